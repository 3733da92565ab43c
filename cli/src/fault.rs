//! How a command fails: one line on standard error, and an exit code.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use sagewire_chat_template::TemplateError;
use sagewire_codec::{ConvertError, DecodeError};
use sagewire_eval::visible;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The reader of standard output has closed it, as `head` does. This is not an error.
    Closed,
    /// An error, as an exit code and a message of one line.
    Line(Exit, String),
}

/// The exit codes other than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The input could not be read, or the output could not be written.
    Io = 1,
    /// The arguments or settings are invalid.
    Usage = 2,
    /// The stream ended early.
    Truncated = 3,
    /// The model, the service or the connection failed.
    Failed = 4,
    /// The input is corrupt, not recognized, or larger than a limit.
    Corrupt = 5,
    /// A conversion lost something, and `--strict` was given.
    Lossy = 6,
    /// A test of an evaluation has failed, or had an error. promptfoo has the same code.
    TestsFailed = 100,
    /// A command that takes long was interrupted. Shells have the same code for SIGINT.
    Interrupted = 130,
}

impl Fault {
    /// Invalid arguments or settings.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::Line(Exit::Usage, format!("usage: {message}"))
    }

    /// Input that cannot be read.
    pub(crate) fn input(name: &str, error: &io::Error) -> Self {
        Self::Line(Exit::Io, format!("input: {name}: {error}"))
    }

    /// Input that is larger than a limit, in bytes.
    pub(crate) fn too_large(name: &str, limit: usize) -> Self {
        Self::Line(Exit::Corrupt, format!("input: {name}: larger than the limit of {limit} bytes"))
    }

    /// Output that cannot be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Line(Exit::Io, format!("output: {error}")),
        }
    }

    /// Adds the name of the file to an error about its content. Standard input needs no name.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Line(exit @ (Exit::Truncated | Exit::Failed | Exit::Corrupt), line)
                if path.as_os_str() != "-" && !line.starts_with("input: ") =>
            {
                Self::Line(exit, format!("{}: {line}", path.display()))
            }
            fault => fault,
        }
    }

    /// Prints the message and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Closed => ExitCode::SUCCESS,
            Self::Line(exit, line) => {
                note(line);
                ExitCode::from(*exit as u8)
            }
        }
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        let exit = if error.is_truncated() {
            Exit::Truncated
        } else if error.is_model_failure() {
            Exit::Failed
        } else {
            Exit::Corrupt
        };
        Self::Line(exit, error.to_string())
    }
}

impl From<ConvertError> for Fault {
    fn from(error: ConvertError) -> Self {
        let exit = if error.failure().is_some() {
            Exit::Failed
        } else if error.is_unsupported() {
            Exit::Usage
        } else {
            Exit::Corrupt
        };
        Self::Line(exit, error.to_string())
    }
}

impl From<TemplateError> for Fault {
    fn from(error: TemplateError) -> Self {
        if error.is_limit() {
            Self::Line(Exit::Corrupt, format!("template: {error}"))
        } else {
            Self::usage(format_args!("--template: {error}"))
        }
    }
}

/// Writes one line to standard error. Control characters, which may come from file names or from the service, are escaped.
pub(crate) fn note(line: &str) {
    let mut escaped = visible::line(line);
    escaped.push('\n');
    // If standard error is closed, the error cannot be reported anywhere.
    let _ = io::stderr().write_all(escaped.as_bytes());
}
