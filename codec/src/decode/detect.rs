//! Detects the API of a response by the fields of its records.

use crate::json::{Fault, Json, Kind};
use crate::model::Api;

/// The API of the object that comes next, if its fields show it. The fields of errors do not: all APIs share them.
pub(crate) fn api(mut json: Json<'_>) -> Result<Option<Api>, Fault> {
    let (mut found, mut content_and_stop) = (None, (false, false));
    json.object(|json, name| {
        let api = match name {
            b"choices" => Some(Api::OpenAi),
            b"type" | b"object" => by_type(json)?,
            b"messageStart" | b"contentBlockStart" | b"contentBlockDelta" | b"contentBlockStop"
            | b"messageStop" | b"stopReason" => Some(Api::Converse),
            name if name.ends_with(b"Exception") => Some(Api::Converse),
            b"generated_text" => Some(Api::TextGeneration),
            b"token" | b"generated_texts" | b"generation" | b"outputs" | b"text_output" | b"body" => {
                is_of_generation(json, name)?.then_some(Api::TextGeneration)
            }
            // Only llama-server has both of them.
            b"content" => {
                content_and_stop.0 = json.kind()? == Kind::String;
                None
            }
            b"stop" => {
                content_and_stop.1 = json.kind()? == Kind::Bool;
                None
            }
            _ => None,
        };
        // An unambiguous field has precedence over one that text generation only may have.
        found = match (found, api) {
            (Some(Api::TextGeneration) | None, Some(api)) => Some(api),
            (found, _) => found,
        };
        json.skip().map(drop)
    })?;
    Ok(found.or((content_and_stop == (true, true)).then_some(Api::TextGeneration)))
}

/// Whether the value of a field is what text generation has under this name. Other APIs may use some of these names.
fn is_of_generation(json: &Json<'_>, name: &[u8]) -> Result<bool, Fault> {
    let mut json = json.clone();
    let kind = json.kind()?;
    let mut first = None;
    let mut has_generation = false;
    match kind {
        Kind::Array => json.array(|json| {
            first = first.or(Some(json.kind()?));
            json.skip().map(drop)
        })?,
        Kind::Object => json.object(|json, name| {
            has_generation |= name == b"generation";
            json.skip().map(drop)
        })?,
        _ => json.skip().map(drop)?,
    }
    Ok(match name {
        b"token" => kind == Kind::Object,
        b"body" => has_generation,
        b"generation" => matches!(kind, Kind::String | Kind::Object),
        b"text_output" => kind == Kind::String || first == Some(Kind::String),
        _ => first == Some(Kind::String),
    })
}

/// The API that the type of a record names.
fn by_type(json: &Json<'_>) -> Result<Option<Api>, Fault> {
    let mut json = json.clone();
    let Some(string) = json.string_or_skip()? else { return Ok(None) };
    Ok(match &*json.unescaped(string) {
        b"chat.completion" | b"chat.completion.chunk" | b"text_completion" => Some(Api::OpenAi),
        b"message"
        | b"message_start"
        | b"content_block_start"
        | b"content_block_delta"
        | b"content_block_stop"
        | b"message_delta"
        | b"message_stop"
        | b"ping" => Some(Api::Anthropic),
        b"response" => Some(Api::Responses),
        name if name.starts_with(b"response.") => Some(Api::Responses),
        _ => None,
    })
}
