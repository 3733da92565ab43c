//! Token counts.

use serde::{Deserialize, Serialize};

use crate::json::{Fault, Json, Kind};
use crate::model::{Losses, Outcome};

/// Token counts as the source gave them: what it did not count is `None`, and nothing is computed. Where the source
/// counts more than there are names for here, all of its counts follow as [`Event::Other`](crate::model::Event::Other) with the
/// name `usage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the request, those read from or written to a cache included (OpenAI's `prompt_tokens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, reasoning included (OpenAI's `completion_tokens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Sum that the source gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Tokens of the request that were read from a cache (OpenAI's `cached_tokens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Tokens of the request that were written to a cache (OpenAI's `cache_write_tokens`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens of the answer that were reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Tokens of the input that a cache gave or took, which some count apart.
    pub(crate) fn cached_tokens(&self) -> u64 {
        self.cache_read_tokens.unwrap_or(0).saturating_add(self.cache_write_tokens.unwrap_or(0))
    }

    /// Notes that counts are written which the source does not give, for a target that has to have both.
    pub(crate) fn note_missing(&self, losses: &mut Losses) {
        if self.input_tokens.is_none() || self.output_tokens.is_none() {
            losses.add("usage", Outcome::Defaulted, "counts that the source does not give are zero");
        }
    }
}

/// Whether a value says anything beside members of known names.
pub(crate) fn says_more(
    record: &[u8],
    json: &mut Json<'_>,
    known: impl Fn(&[u8]) -> bool + Copy,
) -> Result<bool, Fault> {
    let mut says = false;
    match json.kind()? {
        Kind::Object => json.object(|json, name| {
            if known(name) && json.kind()? != Kind::Object {
                return json.skip().map(drop);
            }
            says |= says_more(record, json, known)?;
            Ok(())
        })?,
        Kind::Array => json.array(|json| {
            says |= says_more(record, json, known)?;
            Ok::<_, Fault>(())
        })?,
        Kind::String => says = json.string_or_skip()?.is_some_and(|string| string.start < string.end),
        Kind::Number => says = record[json.skip()?].iter().any(|byte| (b'1'..=b'9').contains(byte)),
        Kind::Bool | Kind::Null => says = json.skip_some()?.is_some(),
    }
    Ok(says)
}
