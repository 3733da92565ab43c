//! The readers of all formats, each selected by name, on arbitrary bytes.

use bytes::Bytes;
use sagewire_codec::model::{Content, Event, Response};
use sagewire_codec::{Api, DecodeError, Decoder, Framing, Limits, Options};

use super::{check_order, cut, events_of, parts, seeded};

const FORMATS: [Option<Api>; 7] = [
    None,
    Some(Api::OpenAi),
    Some(Api::Responses),
    Some(Api::Converse),
    Some(Api::Anthropic),
    Some(Api::TextGeneration),
    Some(Api::PlainText),
];

/// The first byte from which Cohere is selected.
pub const COHERE: u8 = 7 * 32;

/// The options that the first byte selects: the format, the framing, and whether the container's bytes are put into frames.
pub(super) fn options(choice: u8) -> (Options, bool) {
    let (format, rest) = match choice {
        COHERE.. => (Some(Api::Cohere), choice - COHERE),
        _ => (FORMATS[usize::from(choice % 7)], choice / 7),
    };
    let framing =
        [Framing::Auto, Framing::Sse, Framing::JsonLines, Framing::EventStream][usize::from(rest % 4)];
    let mut options = Options::new().api(format).framing(framing).token_logprobs(rest / 4 % 2 == 1);
    if rest / 8 % 2 == 1 {
        options.limits =
            Limits { record: 512, depth: 8, choices: 3, tools: 3, pending: 64, ..Limits::default() };
    }
    (options, framing == Framing::EventStream && rest / 16 % 2 == 0)
}

/// Checks that the ending is one of the four kinds, and no other.
pub(super) fn check_ending(ending: &Result<(), DecodeError>) {
    let Err(error) = ending else { return };
    let is = [error.is_truncated(), error.is_model_failure(), error.is_limit(), error.is_corrupt()];
    assert_eq!(is.into_iter().filter(|is| *is).count(), 1, "one ending: {error:?}");
    assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
}

/// An ending is final, regardless of the bytes after it.
fn check_sticky(options: Options, chunks: Vec<Bytes>) {
    let mut decoder = Decoder::with_options(options);
    let mut failed = None;
    for mut chunk in chunks {
        while failed.is_none() {
            match decoder.decode(&mut chunk) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = &failed {
            assert_eq!(decoder.decode(&mut chunk), Err(error.clone()), "errors are sticky");
        }
    }
    let ending = loop {
        match decoder.finish() {
            Ok(Some(_)) => assert_eq!(failed, None, "nothing comes behind an error"),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Some(error) = failed {
        assert_eq!(ending, Err(error), "errors are sticky");
    }
    for _ in 0..2 {
        assert_eq!(decoder.finish().map(|event| assert_eq!(event, None)), ending, "the ending stays");
    }
}

/// The events are not larger than the input.
fn check_bounds(events: &[Event<'_>], len: usize) {
    let mut texts = 0;
    for event in events {
        texts += match event {
            Event::TextDelta { text, .. }
            | Event::ReasoningDelta { text, .. }
            | Event::RefusalDelta { text, .. }
            | Event::ToolInputDelta { text, .. } => text.len(),
            _ => 0,
        };
    }
    // An invalid UTF-8 byte becomes three bytes. A tool's input may be converted from JSON, and gets brackets.
    assert!(texts <= 3 * len + 16, "{texts} bytes of text out of {len}");
    assert!(events.len() <= 8 * len + 16, "{} events out of {len} bytes", events.len());
}

/// The non-streaming response that the events add up to. Never fails, and has all their text.
pub(super) fn response(events: &[Event<'_>]) -> Response {
    let mut response = Response::default();
    let mut texts = String::new();
    let mut last = 0;
    for event in events {
        response.add(event);
        if let Event::TextDelta { choice, text, .. } = event {
            last = *choice;
            texts.push_str(text);
        }
    }
    let all = |choice: &sagewire_codec::model::Choice| choice.text().len();
    assert_eq!(response.choices.iter().map(all).sum::<usize>(), texts.len());
    if let [choice] = &response.choices[..] {
        assert_eq!(choice.text(), texts);
        assert!(texts.is_empty() || choice.index == last);
    }
    for choice in &response.choices {
        let calls = choice.content.iter().filter(|part| matches!(part.content, Content::ToolCall { .. }));
        assert_eq!(choice.tool_calls().count(), calls.count());
    }
    response
}

/// Every split gives the same events. The deltas of plain text depend on the splits, so its texts are joined.
fn events(options: &Options, chunks: Vec<Bytes>) -> (Vec<Event<'static>>, Result<(), DecodeError>) {
    let (events, ending) = events_of(options.clone(), chunks);
    if options.api != Some(Api::PlainText) {
        return (events, ending);
    }
    let mut joined: Vec<Event<'static>> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(Event::TextDelta { text, .. }), Event::TextDelta { text: more, .. }) => {
                text.to_mut().push_str(&more)
            }
            (_, event) => joined.push(event),
        }
    }
    (joined, ending)
}

/// The readers. The first byte selects the format and the framing; the rest is the input, split anywhere. Never panics; every
/// split gives the same events in the guaranteed order; there is one final ending; the events are not larger than the input;
/// the non-streaming response has all the text.
pub fn readers(data: &[u8]) {
    let (choice, data) = seeded(data);
    let (seed, body) = seeded(data);
    let (options, framed) = options(choice as u8);
    let bytes = if framed { parts(body, seed ^ 0x5555) } else { body.to_vec() };
    let whole = events(&options, vec![Bytes::from(bytes.clone())]);
    check_order(&whole.0);
    check_ending(&whole.1);
    check_bounds(&whole.0, bytes.len());
    let cuts = cut(&bytes, seed);
    assert_eq!(events(&options, cuts.clone()), whole, "cut with {seed}");
    let single = bytes.chunks(1).map(Bytes::copy_from_slice).collect();
    assert_eq!(events(&options, single), whole, "byte by byte");
    check_sticky(options, cuts);
    response(&whole.0);
}
