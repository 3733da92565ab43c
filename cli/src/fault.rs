//! How a command ends when it does not end well: one line on standard error, and an exit code.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use sagewire_chat_template::TemplateError;
use sagewire_codec::{ConvertError, DecodeError};

/// Why a command did not end well.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nobody reads the output any more. `head` has what it wanted: that is no error.
    Closed,
    /// Something is to be said about it.
    Line(Exit, String),
}

/// The exit codes other than 0, which means that the stream was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The input could not be read, or the output not be written.
    Io = 1,
    /// The arguments or the settings cannot be used.
    Usage = 2,
    /// The stream ended early.
    Truncated = 3,
    /// The model or the service failed.
    Failed = 4,
    /// The input is corrupt, or larger than a limit.
    Corrupt = 5,
    /// Something could not be carried over, and that was forbidden.
    Lossy = 6,
}

impl Fault {
    /// Arguments or settings that cannot be used.
    pub(crate) fn usage(what: impl fmt::Display) -> Self {
        Self::Line(Exit::Usage, format!("usage: {what}"))
    }

    /// Input that cannot be read.
    pub(crate) fn input(name: &str, error: &io::Error) -> Self {
        Self::Line(Exit::Io, format!("input: {name}: {error}"))
    }

    /// Output that cannot be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Line(Exit::Io, format!("output: {error}")),
        }
    }

    /// Says so, and returns the exit code.
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

/// Writes one line to standard error, whatever control characters a file name or a service put into it.
pub(crate) fn note(line: &str) {
    let mut shown = String::with_capacity(line.len() + 1);
    for c in line.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('\n');
    // There is nobody left to tell if this fails.
    let _ = io::stderr().write_all(shown.as_bytes());
}
