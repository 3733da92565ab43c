//! What a conversion could not carry over.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

/// Something that the target format cannot express as the source did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// What was lost: in a document its place there, as a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901));
    /// in a stream its name in the canonical model, `logprobs`, `choice`, `refusal`.
    pub what: Cow<'static, str>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub why: Cow<'static, str>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.what, self.outcome, self.why)
    }
}

/// What became of something that the target format cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is not in the target.
    Dropped,
    /// A number is not in the target's range: it has the nearest that is.
    Clamped,
    /// The target has the nearest thing that it can say.
    Approximated,
    /// The target requires it, the source does not have it: it has its documented default.
    Defaulted,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dropped => "dropped",
            Self::Clamped => "clamped",
            Self::Approximated => "approximated",
            Self::Defaulted => "defaulted",
        })
    }
}

/// The losses of one conversion, each kind once. Empty means lossless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// The losses, in the order in which they first occurred.
    pub fn as_slice(&self) -> &[Loss] {
        &self.0
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a loss that is not in the list yet.
    pub(crate) fn push(&mut self, loss: Loss) {
        self.0.push(loss);
    }

    /// Adds a loss. In a stream all three are constants of a writer, so that the list cannot grow without bound.
    pub(crate) fn add(
        &mut self,
        what: impl Into<Cow<'static, str>>,
        outcome: Outcome,
        why: impl Into<Cow<'static, str>>,
    ) {
        let loss = Loss { what: what.into(), outcome, why: why.into() };
        if !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }
}
