//! A token of a stream.

use core::ops::Range;

use crate::assemble::Emitter;
use crate::formats::text_generation::record::number;
use crate::json::{Fault, Str};

/// The fields of a token.
#[derive(Default)]
pub(crate) struct Token {
    pub(crate) range: Range<usize>,
    pub(crate) text: Option<Str>,
    pub(crate) id: Option<Range<usize>>,
    pub(crate) logprob: Option<Range<usize>>,
    pub(crate) is_special: bool,
    /// Whether it has a field for that.
    pub(crate) has_special: bool,
    /// Why the model failed.
    pub(crate) error: Option<Str>,
    pub(crate) has_other_fields: bool,
}

impl Token {
    pub(crate) fn is_known(name: &[u8]) -> bool {
        matches!(
            name,
            b"text" | b"id" | b"logprob" | b"log_prob" | b"special" | b"special_token" | b"error_msg"
        )
    }

    /// Finds the fields of an object that was checked.
    pub(crate) fn find(emitter: &Emitter<'_>, range: Range<usize>) -> Result<Self, Fault> {
        let mut token = Self { range: range.clone(), ..Self::default() };
        let bytes = emitter.record;
        emitter.json(range.start).object(|json, name| {
            match name {
                b"text" => token.text = json.string_or_skip()?,
                b"error_msg" => token.error = json.string_or_skip()?,
                name => {
                    json.kind()?;
                    let value = json.skip()?;
                    match name {
                        b"id" => token.id = number(bytes, Some(value)),
                        b"logprob" | b"log_prob" => token.logprob = number(bytes, Some(value)),
                        b"special" | b"special_token" => {
                            token.has_special = true;
                            token.is_special = &bytes[value] == b"true";
                        }
                        _ => token.has_other_fields |= bytes[value.start] != b'n',
                    }
                }
            }
            Ok(())
        })?;
        Ok(token)
    }
}
