//! Streams converted to every other format.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sagewire_codec::model::{ConverseEncoding, Event, PartKind, ResponseOptions};
use sagewire_codec::{Api, Framing, Options, Transcoder};
use serde_json::{Value, json};

use super::{check_order, cut, events_of, frames_of, seeded};

/// All text of a kind, over all choices and parts. An input of `{}` counts as no input.
fn texts(events: &[Event<'_>]) -> Vec<(u32, &'static str, String)> {
    let mut parts: Vec<(u32, u32, &'static str, String)> = Vec::new();
    for event in events {
        let (choice, part, kind, text) = match event {
            Event::PartStart { choice, part, kind: PartKind::ToolCall { custom: true, .. } } => {
                parts.push((*choice, *part, CUSTOM, String::new()));
                continue;
            }
            Event::TextDelta { choice, part, text } => (*choice, *part, "text", text),
            Event::ReasoningDelta { choice, part, text } => (*choice, *part, "reasoning", text),
            Event::RefusalDelta { choice, part, text } => (*choice, *part, "refusal", text),
            Event::ToolInputDelta { choice, part, text } => (*choice, *part, "input", text),
            _ => continue,
        };
        match parts.iter_mut().find(|(of, at, ..)| (*of, *at) == (choice, part)) {
            Some((.., all)) => all.push_str(text),
            None => parts.push((choice, part, kind, text.clone().into_owned())),
        }
    }
    let mut texts: Vec<(u32, &'static str, String)> = Vec::new();
    for (choice, _, kind, text) in parts {
        if (kind, text.as_str()) == ("input", "{}") || (kind == CUSTOM && text.is_empty()) {
            continue;
        }
        match texts.iter_mut().find(|(of, is, _)| (*of, *is) == (choice, kind)) {
            Some((.., all)) => all.push_str(&text),
            None => texts.push((choice, kind, text)),
        }
    }
    texts
}

/// The input of a custom tool.
const CUSTOM: &str = "custom input";

/// The same for formats that only have functions, which wrap such an input in a field. Other inputs are unchanged, except
/// for the formatting of their JSON.
fn function_texts(events: &[Event<'_>]) -> Vec<(u32, &'static str, String)> {
    let mut customs = BTreeSet::new();
    let mut inputs: BTreeMap<u32, String> = BTreeMap::new();
    for event in events {
        match event {
            Event::PartStart { choice: 0, part, kind: PartKind::ToolCall { custom, .. } } => {
                inputs.insert(*part, String::new());
                if *custom {
                    customs.insert(*part);
                }
            }
            Event::ToolInputDelta { choice: 0, part, text } => {
                inputs.entry(*part).or_default().push_str(text);
            }
            _ => {}
        }
    }
    let others = texts(events).into_iter().filter(|(_, kind, _)| !["input", CUSTOM].contains(kind));
    let inputs = inputs.into_iter().map(|(part, input)| match serde_json::from_str::<Value>(&input) {
        _ if customs.contains(&part) => json!({"input": input}).to_string(),
        Ok(value) => value.to_string(),
        Err(_) if input.is_empty() => "{}".to_owned(),
        Err(_) => input,
    });
    let inputs = inputs.map(|input| (0, "input", input));
    others.chain(inputs).filter(|(choice, ..)| *choice == 0).collect()
}

/// The blocks that only Anthropic has, and their deltas. White space between JSON tokens may differ.
fn own_blocks(events: &[Event<'_>]) -> Vec<String> {
    let mut is_own = false;
    let blocks = events.iter().filter_map(|event| match event {
        Event::PartStart { kind, .. } => {
            is_own = matches!(kind, PartKind::Other { api: Api::Anthropic, .. });
            match kind {
                PartKind::Other { json, .. } if is_own => Some(json),
                _ => None,
            }
        }
        // A delta has to be an object.
        Event::OtherDelta { json, .. } if is_own && json.as_str().starts_with('{') => Some(json),
        _ => None,
    });
    blocks.map(|json| json.as_str().replace(['\n', '\r'], " ")).collect()
}

/// Stream conversion. Never panics; every split gives the same output; the output in OpenAI's format reads back with the same
/// texts and the same kind of ending.
pub fn transcode(data: &[u8]) {
    let (seed, body) = seeded(data);
    let run = |(target, encoding), chunks: Vec<Bytes>| {
        let mut transcoder = Transcoder::new(
            Options::new().framing(Framing::Sse),
            target,
            ResponseOptions::new().encoding(encoding),
        )
        .expect("it is written");
        let mut out = Vec::new();
        for mut chunk in chunks {
            loop {
                match transcoder.decode(&mut chunk) {
                    Ok(Some(bytes)) => out.extend_from_slice(bytes),
                    Ok(None) => break,
                    Err(error) => return (out, Err(error)),
                }
            }
        }
        loop {
            match transcoder.finish() {
                Ok(Some(bytes)) => out.extend_from_slice(bytes),
                Ok(None) => return (out, Ok(())),
                Err(error) => return (out, Err(error)),
            }
        }
    };
    let source = events_of(Options::new().framing(Framing::Sse), vec![Bytes::copy_from_slice(body)]);
    let lines = ConverseEncoding::JsonLines;
    let frames = ConverseEncoding::EventStream;
    for (target, encoding) in [
        (Api::OpenAi, lines),
        (Api::Completions, lines),
        (Api::Responses, lines),
        (Api::Anthropic, lines),
        (Api::Converse, lines),
        (Api::Converse, frames),
        (Api::Tgi, lines),
    ] {
        let (out, ending) = run((target, encoding), vec![Bytes::copy_from_slice(body)]);
        assert_eq!(
            run((target, encoding), cut(body, seed)),
            (out.clone(), ending.clone()),
            "cut with {seed}"
        );
        assert_eq!(ending, source.1);
        match target {
            Api::OpenAi => {
                let (events, again) = events_of(Options::new().framing(Framing::Sse), vec![Bytes::from(out)]);
                check_order(&events);
                assert_eq!(texts(&events), texts(&source.0));
                assert_eq!(again.is_ok(), ending.is_ok());
            }
            Api::Responses => {
                let (events, again) = events_of(Options::new().framing(Framing::Sse), vec![Bytes::from(out)]);
                check_order(&events);
                let of_first = |events: &[Event<'_>]| {
                    let mut first = texts(events);
                    first.retain(|(choice, ..)| *choice == 0);
                    first
                };
                assert_eq!(of_first(&events), of_first(&source.0));
                assert_eq!(again.is_ok(), ending.is_ok());
            }
            Api::Tgi | Api::Completions => {
                let (events, again) = events_of(Options::new().framing(Framing::Sse), vec![Bytes::from(out)]);
                check_order(&events);
                // One kind of text, and in TGI one choice.
                let text = |events: &[Event<'_>]| {
                    let mut texts: BTreeMap<u32, String> = BTreeMap::new();
                    for event in events {
                        if let Event::TextDelta { choice, text, .. }
                        | Event::RefusalDelta { choice, text, .. } = event
                        {
                            texts.entry(*choice).or_default().push_str(text);
                        }
                    }
                    texts.retain(|choice, _| target == Api::Completions || *choice == 0);
                    texts
                };
                assert_eq!(text(&events), text(&source.0));
                assert_eq!(again.is_ok(), ending.is_ok());
            }
            Api::Anthropic => {
                let (events, again) = events_of(Options::new().framing(Framing::Sse), vec![Bytes::from(out)]);
                check_order(&events);
                // A message is one choice, and a refusal in it is text.
                let of_first = |events: &[Event<'_>]| {
                    let first = function_texts(events).into_iter();
                    let text = |kind: &str| matches!(kind, "text" | "refusal");
                    let (written, others): (Vec<_>, Vec<_>) = first.partition(|(_, kind, _)| text(kind));
                    (written.iter().map(|(.., text)| text.len()).sum::<usize>(), others)
                };
                assert_eq!(of_first(&events), of_first(&source.0));
                assert_eq!(own_blocks(&events), own_blocks(&source.0));
                assert_eq!(again.is_ok(), ending.is_ok());
            }
            Api::Converse if encoding == lines => {
                for line in out.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    serde_json::from_slice::<Value>(line).expect("a line is JSON");
                }
            }
            _ => assert!(frames_of(vec![Bytes::from(out)]).1.is_ok()),
        }
    }
}
