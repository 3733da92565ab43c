//! The losses of a conversion.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Serialize, Serializer};

use crate::json::{Landmarks, pointers};
use crate::model::Usage;
use crate::model::position::{RecordOffset, choice_of};

/// The name of the loss of a whole choice. Its path is that of the choice.
pub(crate) const CHOICE: &str = "choice";

/// Why a part is lost that the model has no name for and that is no valid block of its own API.
pub(crate) const SHAPELESS: &str = "it has not the shape of a block";

/// Why a finish reason is lost that [continues](crate::model::FinishReason::is_paused).
pub(crate) const PAUSED: &str =
    "the turn is not over, it continues when the response is sent back: the target has no such reason";

/// Why a delta of such a part is lost if its block is written as a whole.
pub(crate) const FOREIGN_DELTA: &str = "a delta of unknown meaning is not in its block";

/// Something that the target API cannot express like the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// The position in the source, as a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) into the document, or
    /// into the record of the stream where it was first lost.
    ///
    /// A loss without a single position has its [`name`](Self::name) here: a value that the source does not have, a whole
    /// record, values that were joined from several records or held back (counts, which are final at the end of a stream;
    /// interleaved calls; a streamed response that is written as a whole), and values that a custom format read.
    pub path: Cow<'static, str>,
    /// Its name in the canonical model, such as `logprobs`, `tool call id`, `max_tokens`; `None` if only the position is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// What happened to it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Cow<'static, str>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.outcome, self.reason)
    }
}

/// What happened to something that the target API cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The target does not contain it.
    Dropped,
    /// A number is outside of the target's range. The target has the nearest one inside.
    Clamped,
    /// The target has the nearest equivalent.
    Approximated,
    /// The target requires it and the source does not have it. The target has the documented default.
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

/// The losses of one conversion. For a stream, each kind of loss is listed once, with the position where it first occurred;
/// otherwise, each position is listed. An empty list means a lossless conversion.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    list: Vec<Loss>,
    /// The indices of losses without a position in a document, each kind once, so that the list of a stream has a bound.
    loose: Vec<usize>,
    /// The number of those that were searched for in their record.
    looked_for: usize,
    /// The position of what is being written.
    here: Option<RecordOffset>,
    /// Offsets in the document, with the indices of their losses.
    spots: Vec<(u32, usize)>,
    /// The indices of losses that were added at a pointer.
    at_pointer: BTreeMap<Cow<'static, str>, Vec<usize>>,
}

impl PartialEq for Losses {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Losses {}

impl<'a> IntoIterator for &'a Losses {
    type Item = &'a Loss;
    type IntoIter = core::slice::Iter<'a, Loss>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Losses {
    type Item = Loss;
    type IntoIter = alloc::vec::IntoIter<Loss>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

/// As a list.
impl Serialize for Losses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl Losses {
    /// The losses, in the order in which they first occurred.
    pub fn as_slice(&self) -> &[Loss] {
        &self.list
    }

    /// The losses, in the order in which they first occurred.
    pub fn iter(&self) -> core::slice::Iter<'_, Loss> {
        self.list.iter()
    }

    /// The number of losses.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are no losses.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a loss that is not in the list yet.
    pub(crate) fn push(&mut self, loss: Loss) {
        self.list.push(loss);
    }

    /// Adds the loss of the value at a JSON pointer, unless an equal loss is in the list.
    pub fn add_at(
        &mut self,
        pointer: impl Into<Cow<'static, str>>,
        outcome: Outcome,
        why: impl Into<Cow<'static, str>>,
    ) {
        let loss = Loss { path: pointer.into(), name: None, outcome, reason: why.into() };
        let known = self.at_pointer.entry(loss.path.clone()).or_default();
        if !known.iter().any(|&index| self.list[index] == loss) {
            known.push(self.list.len());
            self.list.push(loss);
        }
    }

    /// Adds a loss of what the canonical model calls `name`, at the position of [`set_here`](Self::set_here).
    pub(crate) fn add(&mut self, name: &'static str, outcome: Outcome, why: &'static str) {
        let offset = self.here.map(|RecordOffset(offset)| offset);
        let is_same = |index: &usize| {
            let loss: &Loss = &self.list[*index];
            loss.name == Some(name) && loss.outcome == outcome && loss.reason == why
        };
        let is_known = match offset {
            Some(offset) => {
                let same_place = self.spots.iter().rev().take_while(|(known, _)| *known == offset);
                same_place.map(|(_, index)| index).any(is_same)
            }
            None => self.loose.iter().any(is_same),
        };
        if !is_known {
            match offset {
                Some(offset) => self.spots.push((offset, self.list.len())),
                None => self.loose.push(self.list.len()),
            }
            let what = Cow::Borrowed(name);
            self.list.push(Loss { path: what, name: Some(name), outcome, reason: Cow::Borrowed(why) });
        }
    }

    /// Adds the loss of counts that a target requires and the source does not have.
    pub(crate) fn add_missing_counts(&mut self, usage: &Usage) {
        if usage.input_tokens.is_none() || usage.output_tokens.is_none() {
            self.add("usage", Outcome::Defaulted, "counts that the source does not give are zero");
        }
    }

    /// Sets the position of losses that are added from now on; `None` if it is not known.
    pub(crate) fn set_here(&mut self, offset: Option<RecordOffset>) {
        self.here = offset;
    }

    /// Sets the pointers of all losses with a position in the document, in one walk.
    pub(crate) fn find(&mut self, document: &[u8]) {
        self.here = None;
        let mut spots = core::mem::take(&mut self.spots);
        if spots.is_empty() {
            return;
        }
        spots.sort_unstable();
        let offsets: Vec<usize> = spots.iter().map(|(offset, _)| *offset as usize).collect();
        let found = pointers(document, &offsets, &Landmarks::default());
        for ((_, index), pointer) in spots.into_iter().zip(found) {
            self.set_pointer(index, &pointer);
        }
    }

    /// Sets the pointer of the losses since the last call. Calls `find` only if there are any.
    #[inline]
    pub(crate) fn locate(&mut self, find: impl FnOnce() -> Option<String>) {
        if self.looked_for < self.loose.len() {
            self.locate_new(find());
        }
    }

    #[cold]
    fn locate_new(&mut self, pointer: Option<String>) {
        let from = core::mem::replace(&mut self.looked_for, self.loose.len());
        let Some(pointer) = pointer else { return };
        for at in from..self.loose.len() {
            let index = self.loose[at];
            self.set_pointer(index, &pointer);
        }
    }

    /// Sets the pointer of a loss, unless it is empty: that of the whole document.
    fn set_pointer(&mut self, index: usize, pointer: &str) {
        if !pointer.is_empty() {
            let loss = &mut self.list[index];
            let pointer = if loss.name == Some(CHOICE) { choice_of(pointer) } else { pointer };
            loss.path = Cow::Owned(String::from(pointer));
        }
    }
}
