//! The error of this crate.

use std::error::Error;
use std::fmt::{self, Write};
use std::sync::Arc;

/// Why a template could not be loaded, or messages could not be rendered.
///
/// `Display` writes one line. [`source`](Error::source) is the error of the JSON parser or of the template engine, if one of
/// them reported the problem.
#[derive(Clone, Debug)]
pub struct TemplateError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: TemplateErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// A position in a template or in a JSON file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// Bytes before the position. If only the line is known, bytes before that line.
    pub offset: usize,
}

impl Position {
    /// The position `offset` bytes into `text`.
    pub(crate) fn at_offset(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        Self { line: before.iter().filter(|&&byte| byte == b'\n').count() + 1, offset }
    }

    /// The start of a line, counted from 1, of `text`.
    pub(crate) fn at_line(text: &str, line: usize) -> Self {
        let before = text.split_inclusive('\n').take(line.saturating_sub(1));
        Self { line, offset: before.map(str::len).sum() }
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateErrorKind {
    /// No built-in family has this name, and none includes a model of this name.
    UnknownFamily {
        /// The requested name.
        name: Box<str>,
        /// The names of the families, as [`Template::families`](crate::Template::families) lists them.
        known: Vec<&'static str>,
    },
    /// The `tokenizer_config.json` has no template of this name.
    UnknownTemplate {
        /// The requested name.
        name: Box<str>,
        /// The names that it has.
        known: Vec<String>,
    },
    /// The template does not compile, or it failed while it ran: an undefined value, a call that is nested too deeply.
    InvalidTemplate {
        /// Where in the template, if it is known.
        position: Option<Position>,
        /// What is wrong.
        reason: Box<str>,
    },
    /// The `tokenizer_config.json` is not valid JSON, has no usable template, or a field has the wrong type.
    InvalidConfig {
        /// Where in the file. `None` if the JSON is valid and its content is not.
        position: Option<Position>,
        /// What is wrong.
        reason: Box<str>,
    },
    /// A JSON text outside of the configuration is invalid: the value of a variable, or the definition of a tool.
    InvalidJson {
        /// What the text is: ``variable `x` ``, or a JSON pointer such as `/tools/0`.
        what: Box<str>,
        /// What is wrong.
        reason: Box<str>,
    },
    /// There are no messages.
    NoMessages,
    /// The template called `raise_exception`: it rejects the messages.
    Raised {
        /// Where in the template, if it is known.
        position: Option<Position>,
        /// The message of the template.
        message: Box<str>,
    },
    /// A text contains a control token, which would change the structure of the prompt. See
    /// [`ControlTokens`](crate::ControlTokens).
    ControlToken {
        /// The token.
        token: Box<str>,
        /// The text, as a JSON pointer: `/messages/0/content/1`.
        pointer: Box<str>,
    },
    /// The template cannot express a part of a message, and the conversation would mean something else without it.
    Unsupported {
        /// What it is: `an image`, `a tool call`.
        what: Box<str>,
        /// Where it is, as a JSON pointer: `/messages/0/content/1`.
        pointer: Box<str>,
    },
    /// A bound of [`Limits`](crate::Limits) was exceeded.
    Limit {
        /// What was too large.
        what: &'static str,
        /// Its size, if it is known.
        len: Option<u64>,
        /// The bound.
        limit: u64,
    },
}

impl TemplateError {
    pub(crate) fn new(kind: TemplateErrorKind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn control_token(token: &str, pointer: &str) -> Self {
        Self::new(TemplateErrorKind::ControlToken { token: token.into(), pointer: pointer.into() })
    }

    pub(crate) fn unsupported(what: &str, pointer: &str) -> Self {
        Self::new(TemplateErrorKind::Unsupported { what: what.into(), pointer: pointer.into() })
    }

    pub(crate) fn json(what: impl Into<Box<str>>, error: serde_json::Error) -> Self {
        let kind = TemplateErrorKind::InvalidJson { what: what.into(), reason: error.to_string().into() };
        Self::new(kind).with_source(error)
    }

    /// What went wrong.
    pub fn kind(&self) -> &TemplateErrorKind {
        &self.0.kind
    }

    /// The template or its configuration has to change: an unknown name, invalid Jinja or invalid JSON.
    pub fn is_invalid_template(&self) -> bool {
        use TemplateErrorKind::{
            InvalidConfig, InvalidJson, InvalidTemplate, UnknownFamily, UnknownTemplate,
        };
        matches!(
            self.0.kind,
            UnknownFamily { .. }
                | UnknownTemplate { .. }
                | InvalidTemplate { .. }
                | InvalidConfig { .. }
                | InvalidJson { .. }
        )
    }

    /// The messages have to change, or another template is needed: this one rejects them or cannot express them, or a text
    /// contains a control token.
    pub fn is_rejected(&self) -> bool {
        use TemplateErrorKind::{ControlToken, NoMessages, Raised, Unsupported};
        matches!(self.0.kind, NoMessages | Raised { .. } | ControlToken { .. } | Unsupported { .. })
    }

    /// A bound of [`Limits`](crate::Limits) was exceeded.
    pub fn is_limit(&self) -> bool {
        matches!(self.0.kind, TemplateErrorKind::Limit { .. })
    }

    /// Where in the messages or tools the problem is, as a JSON pointer.
    pub fn pointer(&self) -> Option<&str> {
        match &self.0.kind {
            TemplateErrorKind::ControlToken { pointer, .. }
            | TemplateErrorKind::Unsupported { pointer, .. } => Some(pointer),
            _ => None,
        }
    }

    /// Where in the template or its configuration the problem is.
    pub fn position(&self) -> Option<Position> {
        match self.0.kind {
            TemplateErrorKind::InvalidTemplate { position, .. }
            | TemplateErrorKind::InvalidConfig { position, .. }
            | TemplateErrorKind::Raised { position, .. } => position,
            _ => None,
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl Error for TemplateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, byte {}", self.line, self.offset)
    }
}

impl fmt::Display for TemplateErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = OneLine(f);
        match self {
            Self::UnknownFamily { name, known } => {
                write!(f, "unknown model family `{name}`; known families: {}", known.join(", "))
            }
            Self::UnknownTemplate { name, known } if known.is_empty() => {
                write!(f, "unknown template `{name}`: there are no named templates")
            }
            Self::UnknownTemplate { name, known } => {
                write!(f, "unknown template `{name}`; known templates: {}", known.join(", "))
            }
            Self::InvalidTemplate { position: Some(position), reason } => {
                write!(f, "invalid chat template: {position}: {reason}")
            }
            Self::InvalidTemplate { position: None, reason } => write!(f, "invalid chat template: {reason}"),
            Self::InvalidConfig { position: Some(position), reason } => {
                write!(f, "invalid tokenizer_config.json: {position}: {reason}")
            }
            Self::InvalidConfig { position: None, reason } => {
                write!(f, "invalid tokenizer_config.json: {reason}")
            }
            Self::InvalidJson { what, reason } => write!(f, "{what}: invalid JSON: {reason}"),
            Self::NoMessages => f.write_str("there are no messages"),
            Self::Raised { position: Some(position), message } => {
                write!(f, "rejected by the template: {position}: {message}")
            }
            Self::Raised { position: None, message } => write!(f, "rejected by the template: {message}"),
            Self::ControlToken { token, pointer } => {
                write!(f, "the text at {pointer} contains the control token `{token}`")
            }
            Self::Unsupported { what, pointer } => {
                write!(f, "{what} at {pointer} is not supported by the template")
            }
            Self::Limit { what, len: Some(len), limit } => {
                write!(f, "{what} of {len} exceeds the limit of {limit}")
            }
            Self::Limit { what, len: None, limit } => write!(f, "{what} exceeds the limit of {limit}"),
        }
    }
}

/// Escapes control characters: templates and models' files may contain line ends anywhere.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c.is_control() {
            true => write!(self.0, "{}", c.escape_default()),
            false => self.0.write_char(c),
        })
    }
}
