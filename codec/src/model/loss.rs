//! What a conversion could not carry over.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Serialize, Serializer};

use crate::json::{Landmarks, pointers};
use crate::model::Usage;
use crate::model::position::{RecordOffset, choice_of};

/// What the loss of all of a choice is called. It stands where the choice does.
pub(crate) const CHOICE: &str = "choice";

/// Why a part is lost that has no name here, and is its own format's, but cannot be read as one of its blocks.
pub(crate) const SHAPELESS: &str = "it has not the shape of a block";

/// Why a piece of such a part is lost where its block is written whole.
pub(crate) const FOREIGN_DELTA: &str = "a delta of unknown meaning is not in its block";

/// Something that the target format cannot express as the source did.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// Where it stood in the source, as a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)): in the document,
    /// or in the record of the stream where it was first lost. What stands in a list at the top is a record of it.
    ///
    /// What has no one place there goes by its [`name`](Self::name): what the source does not say at all, all of a record,
    /// what was joined from several records or held back (counts, which are settled at the end of a stream; calls that came
    /// interleaved; an answer that was streamed and is written whole), and what a custom format read.
    pub path: Cow<'static, str>,
    /// Its name in the canonical model, `logprobs`, `tool call id`, `max_tokens`; `None` where nothing but the place is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Cow<'static, str>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.outcome, self.reason)
    }
}

/// What became of something that the target format cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// The losses of one conversion: of a stream each kind once, with the place where it first occurred; otherwise each place.
/// Empty means lossless.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    list: Vec<Loss>,
    /// Which of them stand at no known place of a document, each kind once: so that the list of a stream cannot grow
    /// without bound.
    loose: Vec<usize>,
    /// How many of those were looked for in their record.
    looked_for: usize,
    /// Where in the document that stands which is being written.
    here: Option<RecordOffset>,
    /// Which of them stand where in the document.
    spots: Vec<(u32, usize)>,
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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing was lost.
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
        if !self.list.contains(&loss) {
            self.list.push(loss);
        }
    }

    /// Adds a loss of what the canonical model calls `name`, from [here](Self::set_here).
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

    /// What is added from here on stands at this place of a document, or at none that is known.
    pub(crate) fn set_here(&mut self, offset: Option<RecordOffset>) {
        self.here = offset;
    }

    /// Gives what stands somewhere in the document its pointer. One walk finds all of them.
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

    /// Sets the pointer of what was lost since the last call. `find` is called only if there is such a loss.
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

    /// An empty pointer, of the document as a whole, says nothing.
    fn set_pointer(&mut self, index: usize, pointer: &str) {
        if !pointer.is_empty() {
            let loss = &mut self.list[index];
            let pointer = if loss.name == Some(CHOICE) { choice_of(pointer) } else { pointer };
            loss.path = Cow::Owned(String::from(pointer));
        }
    }
}
