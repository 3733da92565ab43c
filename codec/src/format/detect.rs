//! Tells the format of a response by the members of its records.

use super::Format;
use crate::json::{Fault, Json};

/// The format of the object that comes next, if its members tell. An error tells nothing: all formats share those.
pub(super) fn format(mut json: Json<'_>) -> Result<Option<Format>, Fault> {
    let mut found = None;
    json.object(|json, name| {
        let format = match name {
            b"choices" => Some(Format::OpenAi),
            b"type" | b"object" => by_type(json)?,
            b"messageStart" | b"contentBlockStart" | b"contentBlockDelta" | b"contentBlockStop"
            | b"messageStop" | b"stopReason" => Some(Format::Bedrock),
            name if name.ends_with(b"Exception") => Some(Format::Bedrock),
            b"token" | b"generated_text" | b"generated_texts" | b"generation" | b"outputs"
            | b"text_output" | b"body" | b"content" => Some(Format::Generate),
            _ => None,
        };
        // What says what it is comes before what looks like it.
        found = match (found, format) {
            (Some(Format::Generate) | None, Some(format)) => Some(format),
            (found, _) => found,
        };
        json.skip().map(drop)
    })?;
    Ok(found)
}

/// The format that a record says it has.
fn by_type(json: &Json<'_>) -> Result<Option<Format>, Fault> {
    let mut json = json.clone();
    let Some(string) = json.string_or_skip()? else { return Ok(None) };
    Ok(match &*json.unescaped(string) {
        b"chat.completion" | b"chat.completion.chunk" | b"text_completion" => Some(Format::OpenAi),
        b"message"
        | b"message_start"
        | b"content_block_start"
        | b"content_block_delta"
        | b"content_block_stop"
        | b"message_delta"
        | b"message_stop"
        | b"ping" => Some(Format::Anthropic),
        b"response" => Some(Format::Responses),
        name if name.starts_with(b"response.") => Some(Format::Responses),
        _ => None,
    })
}
