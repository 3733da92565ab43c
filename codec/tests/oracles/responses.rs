//! Non-streaming responses of any format, written in all others.

use bytes::Bytes;
use sagewire_codec::model::{Choice, Content, Response, ResponseOptions};
use sagewire_codec::{Api, Framing, Options, write_response};
use serde_json::value::RawValue;

use super::readers::{options, response};
use super::{events_of, seeded};

const TARGETS: [(Api, Api); 6] = [
    (Api::OpenAi, Api::OpenAi),
    (Api::Completions, Api::Completions),
    (Api::Responses, Api::Responses),
    (Api::Anthropic, Api::Anthropic),
    (Api::Converse, Api::Converse),
    (Api::Tgi, Api::TextGeneration),
];

/// The text of a choice, including refusals, which formats without refusals write as text.
fn text(choice: &Choice) -> String {
    let texts = choice.content.iter().filter_map(|part| match &part.content {
        Content::Text(text) | Content::Refusal(text) => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// Reads the output.
fn read(body: Vec<u8>, format: Api) -> Response {
    let options = Options::new().api(format).framing(Framing::JsonLines);
    response(&events_of(options, vec![Bytes::from(body)]).0)
}

/// Non-streaming responses. The first byte selects the format, the rest is the body. A response that was read can be written in
/// every format; the output is JSON with the text of the first choice, in OpenAI's format with that of all choices.
pub fn responses(data: &[u8]) {
    let (choice, body) = seeded(data);
    let mut options = options(choice as u8).0;
    options.framing = if choice >= 128 { Framing::Auto } else { Framing::JsonLines };
    let source = response(&events_of(options, vec![Bytes::copy_from_slice(body)]).0);
    for (target, format) in TARGETS {
        let (written, losses) =
            write_response(target, &source, &ResponseOptions::new()).expect("it is written");
        // Unknown fields are copied unchanged: they may contain half a surrogate pair, or a number like 1e999.
        serde_json::from_slice::<&RawValue>(&written)
            .unwrap_or_else(|error| panic!("{target:?}: {error}: {}", String::from_utf8_lossy(&written)));
        let shown = String::from_utf8_lossy(&written).into_owned();
        let again = read(written, format);
        assert_eq!(again.malformed, 0, "{target:?}");
        let texts = |response: &Response| response.choices.first().map(text).unwrap_or_default();
        assert_eq!(texts(&again), texts(&source), "{target:?}: {shown}");
        if matches!(target, Api::OpenAi | Api::Completions) {
            let all = |response: &Response| {
                response.choices.iter().map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>()
            };
            assert_eq!(all(&again), all(&source));
        } else if source.choices.len() > 1 {
            assert!(losses.as_slice().iter().any(|loss| loss.path == "choice"), "{target:?}: {losses:?}");
        }
        if !matches!(target, Api::Tgi | Api::Completions) {
            check_calls(source.choices.first(), again.choices.first(), &format!("{target:?}: {shown}"));
        }
    }
}

/// The tool calls are kept. Readers skip a call without a name.
fn check_calls(source: Option<&Choice>, again: Option<&Choice>, how: &str) {
    let calls = |choice: Option<&Choice>| {
        let calls = choice.into_iter().flat_map(Choice::tool_calls);
        calls.filter(|(_, name, _)| !name.is_empty()).count()
    };
    // Formats that require a name get one when the call is written.
    assert!(calls(again) >= calls(source), "calls of tools, {how}");
}
