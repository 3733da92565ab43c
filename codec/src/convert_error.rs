//! The error of converting requests and responses.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::json::{Fault, Landmarks, pointers};
use crate::model::{Api, Failure};

/// Why a request or a response could not be read or written.
///
/// It is about one document that the caller has as a whole; [`DecodeError`](crate::DecodeError) is about a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct ConvertError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: ConvertErrorKind,
    offset: u64,
    pointer: Option<String>,
}

impl ConvertError {
    /// An error `offset` bytes into the document.
    pub(crate) fn new(offset: usize, kind: ConvertErrorKind) -> Self {
        Self(Box::new(Inner { kind, offset: offset as u64, pointer: None }))
    }

    pub(crate) fn malformed(what: &'static str, fault: Fault) -> Self {
        Self::new(fault.at, ConvertErrorKind::Malformed { what, reason: fault.why })
    }

    pub(crate) fn unsupported(what: &str, pointer: &str) -> Self {
        let pointer = Some(pointer.into());
        Self(Box::new(Inner {
            kind: ConvertErrorKind::Unsupported { what: what.into() },
            offset: 0,
            pointer,
        }))
    }

    /// Finds the pointer of the value at the offset, if `document` is sound up to there.
    #[cold]
    pub(crate) fn in_document(mut self, document: &[u8]) -> Self {
        let is_found = self.0.pointer.is_some() || matches!(self.0.kind, ConvertErrorKind::Malformed { .. });
        if let (false, Ok(offset)) = (is_found, usize::try_from(self.0.offset)) {
            self.0.pointer = pointers(document, &[offset], &Landmarks::default()).pop();
        }
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> &ConvertErrorKind {
        &self.0.kind
    }

    /// Byte offset in the document of the value that caused the error; 0 if the value is not in the document.
    pub fn offset(&self) -> u64 {
        self.0.offset
    }

    /// The position of the value, as a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)), if it is known.
    pub fn pointer(&self) -> Option<&str> {
        self.0.pointer.as_deref().filter(|pointer| !pointer.is_empty())
    }

    /// The document is invalid for its API. Its author has to change it.
    pub fn is_invalid(&self) -> bool {
        use ConvertErrorKind::{Expected, Invalid, Malformed};
        matches!(self.0.kind, Malformed { .. } | Expected { .. } | Invalid { .. })
    }

    /// The document is valid, and the target cannot express it.
    pub fn is_unsupported(&self) -> bool {
        use ConvertErrorKind::{Api, Unsupported, Unwritable};
        matches!(self.0.kind, Api { .. } | Unsupported { .. } | Unwritable(_))
    }

    /// A bound was reached.
    pub fn is_limit(&self) -> bool {
        matches!(self.0.kind, ConvertErrorKind::Limit { .. })
    }

    /// The failure of the model or the service, if the document is an error instead of a response.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.0.kind {
            ConvertErrorKind::Failure(failure) => Some(failure),
            _ => None,
        }
    }
}

impl fmt::Debug for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, offset, pointer } = &*self.0;
        let mut shown = f.debug_struct("ConvertError");
        shown.field("kind", kind).field("offset", offset).field("pointer", pointer).finish()
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(pointer), true) = (self.pointer(), self.is_unsupported()) {
            return match &self.0.kind {
                ConvertErrorKind::Unsupported { what } => write!(f, "{what} at {pointer} cannot be written"),
                kind => write!(f, "{kind} (at {pointer})"),
            };
        }
        if let ConvertErrorKind::Api { .. } = self.0.kind {
            return self.0.kind.fmt(f);
        }
        write!(f, "byte {}: {}", self.0.offset, self.0.kind)?;
        self.pointer().map_or(Ok(()), |pointer| write!(f, " (at {pointer})"))
    }
}

impl core::error::Error for ConvertError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.0.kind {
            ConvertErrorKind::Failure(failure) => Some(&**failure),
            _ => None,
        }
    }
}

/// What went wrong in converting a request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConvertErrorKind {
    /// The document is not valid JSON, or is not a document of the expected kind.
    Malformed {
        /// The expected kind of document.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A field has another type than the API requires.
    Expected {
        /// The field.
        what: &'static str,
        /// The required type.
        expected: &'static str,
        /// The actual type.
        found: &'static str,
    },
    /// A value is not what was requested.
    Invalid {
        /// The value.
        what: &'static str,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// A bound was reached.
    Limit {
        /// The item that was too large.
        what: &'static str,
        /// Its size in bytes or items, where it is known.
        len: Option<u64>,
        /// The bound.
        limit: u64,
    },
    /// The codec does not read or write such documents of this API.
    Api {
        /// The API.
        api: Api,
        /// The unsupported operation: "reading requests", "writing streams".
        what: &'static str,
    },
    /// A value that the target cannot express, and without which the document would have another meaning.
    Unsupported {
        /// The value.
        what: Box<str>,
    },
    /// The document cannot be written for the target.
    Unwritable(Cow<'static, str>),
    /// The response is an error that the model or the service reported.
    Failure(Box<Failure>),
}

impl fmt::Display for ConvertErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { what, reason } => write!(f, "malformed {what}: {reason}"),
            Self::Invalid { what, reason } => write!(f, "{what}: {reason}"),
            Self::Expected { what, expected, found } => {
                write!(f, "{what}: expected {expected}, found {found}")
            }
            Self::Limit { what, len: Some(len), limit } => {
                write!(f, "{what} of {len} exceeds the limit of {limit}")
            }
            Self::Limit { what, len: None, limit } => write!(f, "{what} exceeds the limit of {limit}"),
            Self::Api { api, what } => write!(f, "{what} is not supported for the API `{api}`"),
            Self::Unsupported { what } => write!(f, "{what} cannot be written"),
            Self::Unwritable(reason) => write!(f, "cannot be written: {reason}"),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}
