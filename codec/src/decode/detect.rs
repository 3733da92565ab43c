//! Detects the API of a response by the fields of its records.

use crate::json::{Fault, Json, Kind};
use crate::model::Api;

/// Two fields that show the API only together, with the kinds of their values.
struct Pair {
    first: (&'static [u8], Kind),
    second: (&'static [u8], Kind),
    api: Api,
}

const PAIRS: [Pair; 4] = [
    // Only llama-server has both of them.
    Pair { first: (b"content", Kind::String), second: (b"stop", Kind::Bool), api: Api::TextGeneration },
    // Cohere's whole responses, and those of v1.
    Pair { first: (b"message", Kind::Object), second: (b"finish_reason", Kind::String), api: Api::Cohere },
    Pair { first: (b"text", Kind::String), second: (b"generation_id", Kind::String), api: Api::Cohere },
    Pair { first: (b"text", Kind::String), second: (b"response_id", Kind::String), api: Api::Cohere },
];

/// The API of the object that comes next, if its fields show it. The fields of errors do not: all APIs share them.
pub(crate) fn api(mut json: Json<'_>) -> Result<Option<Api>, Fault> {
    let (mut found, mut pairs) = (None, [(false, false); PAIRS.len()]);
    json.object(|json, name| {
        let api = match name {
            b"choices" => Some(Api::OpenAi),
            b"type" | b"object" => by_type(json)?,
            b"event_type" => (json.kind()? == Kind::String).then_some(Api::Cohere),
            b"messageStart" | b"contentBlockStart" | b"contentBlockDelta" | b"contentBlockStop"
            | b"messageStop" | b"stopReason" => Some(Api::Converse),
            name if name.ends_with(b"Exception") => Some(Api::Converse),
            b"generated_text" => Some(Api::TextGeneration),
            b"token" | b"generated_texts" | b"generation" | b"outputs" | b"text_output" | b"body"
            | b"meta_info" | b"predictions" => is_of_generation(json, name)?.then_some(Api::TextGeneration),
            _ => None,
        };
        let kind = json.kind()?;
        for (seen, pair) in pairs.iter_mut().zip(PAIRS) {
            seen.0 |= (name, kind) == pair.first;
            seen.1 |= (name, kind) == pair.second;
        }
        // An unambiguous field has precedence over one that text generation only may have.
        found = match (found, api) {
            (Some(Api::TextGeneration) | None, Some(api)) => Some(api),
            (found, _) => found,
        };
        json.skip().map(drop)
    })?;
    let pair = || pairs.iter().position(|seen| *seen == (true, true)).map(|at| PAIRS[at].api);
    Ok(found.or_else(pair))
}

/// Whether the value of a field is what text generation has under this name. Other APIs may use some of these names.
fn is_of_generation(json: &Json<'_>, name: &[u8]) -> Result<bool, Fault> {
    let mut json = json.clone();
    let kind = json.kind()?;
    let (mut first, mut has_generation, mut has_records) = (None, false, false);
    match kind {
        Kind::Array => json.array(|json| {
            if first.is_none() {
                first = Some(json.kind()?);
                has_records = first == Some(Kind::Object) && api(json.clone())? == Some(Api::TextGeneration);
            }
            json.skip().map(drop)
        })?,
        Kind::Object => json.object(|json, name| {
            has_generation |= name == b"generation";
            json.skip().map(drop)
        })?,
        _ => json.skip().map(drop)?,
    }
    Ok(match name {
        b"token" | b"meta_info" => kind == Kind::Object,
        b"predictions" => has_records,
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
        b"message-start" | b"content-start" | b"content-delta" | b"content-end" | b"tool-plan-delta"
        | b"tool-call-start" | b"tool-call-delta" | b"tool-call-end" | b"citation-start"
        | b"citation-end" | b"message-end" => Some(Api::Cohere),
        b"response" => Some(Api::Responses),
        name if name.starts_with(b"response.") => Some(Api::Responses),
        _ => None,
    })
}
