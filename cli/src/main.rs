#![forbid(unsafe_code)]
//! `sagewire`: decodes and converts the streams of language models behind Amazon SageMaker endpoints.
//!
//! This file parses the arguments. Each command is a module that returns a [`Fault`] if it fails.

mod aws_config;
mod bench;
mod call_error;
mod chat;
mod chat_request;
mod connection;
mod convert;
mod decode;
mod demo;
mod doctor;
mod emulate;
mod endpoint;
mod environment;
mod eval;
mod fault;
mod format;
mod input;
mod invoke;
mod losses;
mod output;
mod profile;
mod progress;
mod request;
mod runtime;
mod secret;
mod serve;
mod shell;
mod token;
mod tool_names;
mod unrecognized;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::fault::Fault;

/// Decode and convert the streams of language models behind Amazon SageMaker endpoints
///
/// Without a command, sagewire runs the demo.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  success: the stream is complete
  1  the input could not be read, or the output could not be written
  2  the arguments or settings are invalid
  3  the stream ended early; what was received is printed
  4  the model, the service or the connection failed, or the response is not recognized
  5  the input is corrupt, not recognized, or exceeds a limit
  6  the conversion lost something, and --strict was given
  100  eval: a test failed, or had an error
  130  eval or bench was interrupted; what is done is printed and written

Errors are one line on standard error: the layer, the byte offset in its input, and what is wrong.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a streamed call against a local emulator and explain it
    Demo(demo::Args),
    /// Decode captured bytes to text, events, frames, or the stream of another API
    Decode(decode::Args),
    /// Convert a request, response or error from one API to another
    Convert(convert::Args),
    /// List the formats that can be read and written
    Formats,
    /// Chat with a model behind a SageMaker endpoint
    Chat(Box<chat::Args>),
    /// Send any request to a SageMaker endpoint and print the unchanged response
    Invoke(Box<invoke::Args>),
    /// Check region, credentials, host and clock without invoking an endpoint
    Doctor(Box<doctor::Args>),
    /// Print a bearer token for the OpenAI route
    Token(token::Args),
    /// Run a local SageMaker Runtime for AWS SDKs and OpenAI clients
    Emulate(emulate::Args),
    /// Serve the APIs of OpenAI, Anthropic, Bedrock and SageMaker in front of SageMaker endpoints
    Serve(Box<serve::Args>),
    /// Load-test endpoints and servers with OpenAI's API, side by side
    Bench(Box<bench::Args>),
    /// Evaluate endpoints side by side, with the configuration of promptfoo
    Eval(Box<eval::Args>),
    /// Print shell completions
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write the pages of all commands to a directory
    Man(shell::ManArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return print_or_fail(&error),
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
        Some(Command::Decode(args)) => decode::run(args),
        Some(Command::Convert(args)) => convert::run(args),
        Some(Command::Formats) => output::print(&format::table()),
        Some(Command::Chat(args)) => block_on(chat::run(args)),
        Some(Command::Invoke(args)) => block_on(invoke::run(args)),
        Some(Command::Doctor(args)) => block_on(doctor::run(args)),
        Some(Command::Token(args)) => block_on(token::run(args)),
        Some(Command::Completions(args)) => shell::completions(args, Cli::command()),
        Some(Command::Man(args)) => shell::man(args, Cli::command()),
        Some(Command::Emulate(args)) => block_on(emulate::run(args)),
        Some(Command::Bench(args)) => block_on_all_cores(bench::run(args)),
        Some(Command::Eval(args)) => block_on(eval::run(args)),
        Some(Command::Serve(args)) => block_on_all_cores(serve::run(args)),
    }
}

fn block_on(command: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    block_on_runtime(tokio::runtime::Builder::new_current_thread(), command)
}

/// Runs a server or a load test, which use all cores.
fn block_on_all_cores(command: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    block_on_runtime(tokio::runtime::Builder::new_multi_thread(), command)
}

fn block_on_runtime(
    mut runtime: tokio::runtime::Builder,
    command: impl Future<Output = Result<(), Fault>>,
) -> Result<(), Fault> {
    let runtime = runtime.enable_all().build();
    runtime.map_err(|error| Fault::usage(format!("cannot start the runtime: {error}")))?.block_on(command)
}

/// Prints help and version. For other errors of the arguments, prints them as one line and fails.
fn print_or_fail(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // It does not matter if the reader has closed the pipe.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let lines = text
        .trim_start_matches("error: ")
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    let mut message = String::new();
    for line in lines {
        let separator = match line.starts_with("tip:") {
            _ if message.is_empty() => "",
            true => "; ",
            false => " ",
        };
        message = format!("{message}{separator}{line}");
    }
    Fault::usage(format!("{message} (see --help)")).report()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
