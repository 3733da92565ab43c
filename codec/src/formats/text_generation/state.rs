//! What is kept from one record to the next.

use crate::formats::text_generation::sglang::Choices;

/// The state of the reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamState {
    /// SGLang's choices. All other fields are those of the other APIs.
    pub(super) sglang: Choices,

    /// Whether `index` is the choice; known once the first token was read.
    pub(super) index_is_choice: Option<bool>,
    /// The number of whole responses so far. Each is a choice.
    pub(super) responses: u32,
    /// The tokens of the input, which `3p` has only at the beginning.
    pub(super) input_tokens: Option<u64>,
    /// Triton's records without a mark of the end.
    pub(super) open_ends: OpenEnds,
}

/// How many records of Triton's had no mark of the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OpenEnds {
    #[default]
    None,
    One,
    Several,
}

impl StreamState {
    /// Whether a body that is not an event stream is a whole response: one without an end marker.
    pub(crate) fn is_whole_body(&self) -> bool {
        self.open_ends == OpenEnds::One
    }
}
