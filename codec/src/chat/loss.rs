//! What a conversion could not carry over.

use alloc::vec::Vec;
use core::fmt;

/// Something that the target format cannot express as the source did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// What was lost, as a name of the canonical model: `logprobs`, `choice`, `refusal`.
    pub what: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Dropped => "dropped",
            Outcome::Approximated => "approximated",
            Outcome::Defaulted => "defaulted",
        };
        write!(f, "{} {outcome}: {}", self.what, self.why)
    }
}

/// What became of something that the target format cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is not in the target.
    Dropped,
    /// The target has the nearest thing that it can say.
    Approximated,
    /// The target requires it, the source does not have it: it has its documented default.
    Defaulted,
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

    pub(crate) fn add(&mut self, what: &'static str, outcome: Outcome, why: &'static str) {
        let loss = Loss { what, outcome, why };
        // All three are constants of a writer: the list cannot grow without bound.
        if !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }
}
