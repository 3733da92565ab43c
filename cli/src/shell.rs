//! `sagewire completions` and `sagewire man`.

use std::io;
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use crate::fault::Fault;
use crate::output::Output;

const NAME: &str = "sagewire";

/// Arguments of `sagewire completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to generate completions for
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `sagewire man`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Directory to write the pages of all commands to
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints the completions for a shell.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), Fault> {
    let mut output = Output::default();
    clap_complete::generate(args.shell, &mut command, NAME, output.buffer());
    output.flush()
}

/// Prints the main manual page, or writes the pages of all commands.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<(), Fault> {
    let Some(directory) = &args.directory else {
        let mut output = Output::default();
        clap_mangen::Man::new(command).render(output.buffer()).map_err(|error| Fault::output(&error))?;
        return output.flush();
    };
    let failed = |error: io::Error| Fault::usage(format!("{}: {error}", directory.display()));
    if !directory.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    clap_mangen::generate_to(command, directory).map_err(failed)
}
