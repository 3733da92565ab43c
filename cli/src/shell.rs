//! `sagewire completions` and `sagewire man`: what a shell and `man` know of the command line.

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
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `sagewire man`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The folder that the pages of all commands are written to; without it the first one is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the completions for a shell.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<(), Fault> {
    let mut output = Output::default();
    clap_complete::generate(args.shell, &mut command, NAME, output.buffer());
    output.flush()
}

/// Prints the manual page, or writes all of them.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<(), Fault> {
    let Some(folder) = &args.folder else {
        let mut output = Output::default();
        clap_mangen::Man::new(command).render(output.buffer()).map_err(|error| Fault::output(&error))?;
        return output.flush();
    };
    let unusable = |error: io::Error| Fault::usage(format!("{}: {error}", folder.display()));
    if !folder.is_dir() {
        return Err(unusable(io::ErrorKind::NotADirectory.into()));
    }
    clap_mangen::generate_to(command, folder).map_err(unusable)
}
