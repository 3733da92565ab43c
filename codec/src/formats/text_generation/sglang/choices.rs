//! What is kept of the choices from one record to the next.

use alloc::vec::Vec;

use crate::formats::text_generation::sglang::text_mode::TextMode;

/// What is kept of all choices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    pub(super) choices: Vec<Choice>,
    /// Responses that have ended, which is the choice of the next record without index.
    pub(super) ended: u32,
    /// The tokens of choices that have ended.
    pub(super) output_tokens: Option<u64>,
    pub(super) reasoning_tokens: Option<u64>,
}

/// What is kept of one choice.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) index: u64,
    pub(super) text: TextMode,
    /// Log probabilities that were delivered.
    pub(super) logprobs: u64,
}

impl Choices {
    /// The state of a choice, if there was a record of it.
    pub(super) fn get(&self, index: u64) -> Option<&Choice> {
        self.choices.iter().find(|choice| choice.index == index)
    }

    /// The state of a choice.
    pub(super) fn choice(&mut self, index: u64) -> &mut Choice {
        let known = self.choices.iter().position(|choice| choice.index == index);
        let at = known.unwrap_or(self.choices.len());
        if known.is_none() {
            self.choices.push(Choice { index, ..Choice::default() });
        }
        &mut self.choices[at]
    }
}
