//! Shared by the tests of requests.

use sagewire_codec::model::{
    Content, ConversionOptions, FirstMessage, Losses, Message, Outcome, Rendered, Tool,
};
use sagewire_codec::{Api, ConvertError, convert_request};
use serde_json::{Value, json};

/// The request formats that are JSON documents.
pub const FORMATS: [(&str, Api); 14] = [
    ("openai", Api::OpenAi),
    ("completions", Api::Completions),
    ("responses", Api::Responses),
    ("bedrock", Api::Converse),
    ("anthropic", Api::Anthropic),
    ("tgi", Api::Tgi),
    ("lmi", Api::Lmi),
    ("jumpstart", Api::JumpStart),
    ("jumpstart_text", Api::JumpStartText),
    ("jumpstart_dialogs", Api::JumpStartDialogs),
    ("triton", Api::Triton),
    ("cohere", Api::Cohere),
    ("nova", Api::Nova),
    ("sglang", Api::Sglang),
];

/// The request format that is not JSON.
pub const TEXT: (&str, Api) = ("text", Api::JumpStartRaw);

pub fn named(name: &str) -> Api {
    FORMATS.iter().chain([&TEXT]).find(|(known, _)| *known == name).expect("a format").1
}

/// The request of a vector as text.
pub fn source(body: &Value) -> String {
    body.as_str().map_or_else(|| body.to_string(), str::to_owned)
}

/// Options that change nothing, but prevent that the source is copied: the request is serialized again.
pub fn anew<'a>() -> ConversionOptions<'a> {
    ConversionOptions::new().first_message(FirstMessage::Leave)
}

/// A minimal chat template, which renders all text.
pub fn plain(messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<Rendered, String> {
    let mut rendered = Rendered::default();
    for tool in tools {
        rendered.report(tool.offset, "tools", Outcome::Dropped, "the template has no tools");
    }
    for message in messages {
        rendered.text.push_str(&format!("{:?}:", message.role));
        for part in &message.content {
            match &part.content {
                Content::Text(text) => rendered.text.push_str(&format!(" {text}")),
                _ => rendered.report(part.offset, "content", Outcome::Dropped, "the template has text only"),
            }
        }
        rendered.text.push('\n');
    }
    Ok(rendered)
}

pub fn convert(from: &str, to: &str, body: &Value) -> Result<(Value, Losses), ConvertError> {
    convert_with(from, to, body, &ConversionOptions::new().render(&plain))
}

pub fn convert_with(
    from: &str,
    to: &str,
    body: &Value,
    settings: &ConversionOptions<'_>,
) -> Result<(Value, Losses), ConvertError> {
    let source = source(body);
    let (written, losses) = convert_request(named(from), named(to), source.as_bytes(), settings)?;
    let written = match String::from_utf8(written).expect("UTF-8") {
        text if to == TEXT.0 => Value::String(text),
        json => serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}")),
    };
    for loss in losses.as_slice() {
        if loss.path.starts_with('/') {
            assert!(body.pointer(&loss.path).is_some(), "{loss} is a place in {body}");
        }
    }
    Ok((written, losses))
}

pub fn lines(losses: &Losses) -> Vec<String> {
    losses.as_slice().iter().map(ToString::to_string).collect()
}

/// Converts, and expects a value at `pointer` in the output.
// Values are passed by value where they are built.
#[allow(clippy::needless_pass_by_value)]
pub fn expect(from: &str, to: &str, body: &Value, pointer: &str, expected: Value) -> Vec<String> {
    let (written, losses) = convert(from, to, body).expect("it can be written");
    let found = written.pointer(pointer).cloned().unwrap_or(Value::Null);
    assert_eq!(found, expected, "{from} to {to}: {pointer} of {written}");
    lines(&losses)
}

// Values are passed by value where they are built.
#[allow(clippy::needless_pass_by_value)]
pub fn chat(messages: Value) -> Value {
    json!({"messages": messages})
}
