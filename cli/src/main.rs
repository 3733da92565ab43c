#![forbid(unsafe_code)]
//! `sagewire`: reads and converts the streams of language models behind Amazon SageMaker endpoints.
//!
//! Arguments and exit codes. Each command is a module; what goes wrong in it comes back here as a [`Fault`].

mod ask;
mod asked;
mod chat;
mod connection;
mod convert;
mod decode;
mod demo;
mod doctor;
mod emulate;
mod endpoint;
mod environment;
mod fault;
mod format;
mod input;
mod invoke;
mod losses;
mod output;
mod profile;
mod progress;
mod request;
mod service;
mod shell;
mod token;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::fault::Fault;

/// Reads and converts the streams of language models behind Amazon SageMaker endpoints.
///
/// Without a command it is `sagewire demo`.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli {
    /// Tell more on standard error: what an answer loses on its way, what chat sends and the headers of
    /// its answer, which requests the emulator was sent
    #[arg(short, long, global = true, display_order = 900)]
    verbose: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the stream is complete
  1  the input could not be read, or the output not be written
  2  the arguments or the settings cannot be used
  3  the stream ended early; what came is printed
  4  the model or the service failed; what came is printed
  5  the input is corrupt or exceeds a limit; what came before is printed
  6  something could not be carried over, and --strict was given

Errors are one line on standard error: the layer, the byte offset in its input, and what was found there.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what all this is about: a signed, streamed call of a local endpoint, cut at random and put together again
    Demo(demo::Args),
    /// Decode captured bytes, and print them as text, events, frames, or another API's stream
    Decode(decode::Args),
    /// Turn a request, a response or an error of one API into that of another
    Convert(convert::Args),
    /// Print what can be read and written, as a table
    Formats,
    /// Ask a model behind a SageMaker endpoint, and print its answer as it comes
    Chat(Box<chat::Args>),
    /// Send a SageMaker endpoint any request, and print what its container answers, as it is
    Invoke(Box<invoke::Args>),
    /// Show what a call would use, where it comes from, and whether it would work; nothing is invoked
    Doctor(Box<doctor::Args>),
    /// Make a bearer token for the OpenAI route of the endpoints in a region, and print it
    Token(token::Args),
    /// Run a local SageMaker Runtime that any AWS SDK can be pointed at
    Emulate(emulate::Args),
    /// Print completions for a shell
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write those of all commands into a folder
    Man(shell::ManArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.report(),
    }
}

fn run(cli: &Cli) -> Result<(), Fault> {
    match &cli.command {
        None => block_on(demo::run(&demo::Args::default())),
        Some(Command::Demo(args)) => block_on(demo::run(args)),
        Some(Command::Decode(args)) => decode::run(args, cli.verbose),
        Some(Command::Convert(args)) => convert::run(args),
        Some(Command::Formats) => output::print(&format::table()),
        Some(Command::Chat(args)) => block_on(chat::run(args, cli.verbose)),
        Some(Command::Invoke(args)) => block_on(invoke::run(args, cli.verbose)),
        Some(Command::Doctor(args)) => block_on(doctor::run(args)),
        Some(Command::Token(args)) => block_on(token::run(args)),
        Some(Command::Completions(args)) => shell::completions(args, Cli::command()),
        Some(Command::Man(args)) => shell::man(args, Cli::command()),
        Some(Command::Emulate(args)) => block_on(emulate::run(args, cli.verbose)),
    }
}

fn block_on(command: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| Fault::usage(format!("the runtime cannot be started: {error}")))?
        .block_on(command)
}

/// Prints the help that was asked for; or what is wrong with the arguments, as one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A reader that has gone has seen enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let said = text.trim_start_matches("error: ").lines().map(str::trim);
    let said: Vec<&str> = said
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    Fault::usage(format!("{} (see --help)", said.join(" "))).report()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_do_not_clash() {
        Cli::command().debug_assert();
    }
}
