//! Decodes the output of transcoders, slowly and without sagewire, to check it against the source.

use aws_smithy_eventstream::frame::read_message_from;
use bytes::Buf;
use serde_json::Value;

use crate::openai_stream::DONE;
use crate::tally::{Answer, Kind, Tally};

/// The deltas in frames of ConverseStream, with the given number of streams.
///
/// # Errors
///
/// What is wrong with the output.
pub fn bedrock(mut wire: &[u8], streams: usize) -> Result<Answer, String> {
    let mut tally = Tally::thorough();
    let mut stopped = 0;
    while wire.has_remaining() {
        let message = read_message_from(&mut wire).map_err(|error| error.to_string())?;
        let header = |name| {
            let mut headers = message.headers().iter();
            headers.find(|header| header.name().as_str() == name)?.value().as_string().ok()
        };
        let payload: Value = serde_json::from_slice(message.payload()).map_err(|error| error.to_string())?;
        match header(":event-type").map(|name| name.as_str()) {
            Some("contentBlockDelta") => {
                let delta = &payload["delta"];
                let texts = [
                    (Kind::Reasoning, &delta["reasoningContent"]["text"]),
                    (Kind::Text, &delta["text"]),
                    (Kind::ToolInput, &delta["toolUse"]["input"]),
                ];
                for (kind, text) in texts {
                    tally.text(kind, text.as_str().unwrap_or_default());
                }
            }
            Some("messageStop") => stopped += usize::from(payload["stopReason"].is_string()),
            Some(_) => {}
            None => return Err("a frame that is no event".to_owned()),
        }
    }
    if stopped == streams {
        Ok(tally.answer())
    } else {
        Err(format!("{stopped} messageStop for {streams} streams"))
    }
}

/// The deltas in OpenAI's server-sent events, with the given number of streams.
///
/// # Errors
///
/// What is wrong with the output.
pub fn openai(wire: &[u8], streams: usize) -> Result<Answer, String> {
    let text = std::str::from_utf8(wire).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    for event in text.split_terminator("\n\n") {
        records.push(event.strip_prefix("data: ").ok_or("an event that is not one data line")?);
    }
    let written = records.len();
    let ended = records.last() == Some(&DONE);
    records.retain(|record| *record != DONE);
    let done = written - records.len();
    if !ended || done != streams {
        return Err(format!("{done} [DONE] for {streams} streams"));
    }
    let mut tally = Tally::thorough();
    for (kind, delta) in deltas(records)? {
        tally.text(kind, &delta);
    }
    Ok(tally.answer())
}

/// The deltas in Anthropic's server-sent events, with the given number of streams.
///
/// # Errors
///
/// What is wrong with the output.
pub fn anthropic(wire: &[u8], streams: usize) -> Result<Answer, String> {
    let text = std::str::from_utf8(wire).map_err(|error| error.to_string())?;
    let mut tally = Tally::thorough();
    let (mut stopped, mut ended) = (0, 0);
    for event in text.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').ok_or("an event of one line")?;
        let name = name.strip_prefix("event: ").ok_or("an event without a name")?;
        let data = data.strip_prefix("data: ").ok_or("an event without data")?;
        let data: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        if data["type"] != name {
            return Err(format!("{name} with the type {}", data["type"]));
        }
        let delta = &data["delta"];
        match name {
            "content_block_delta" => tally.text(Kind::Text, delta["text"].as_str().unwrap_or_default()),
            "message_delta" => stopped += usize::from(delta["stop_reason"].is_string()),
            "message_stop" => ended += 1,
            _ => {}
        }
    }
    if (stopped, ended) == (streams, streams) {
        Ok(tally.answer())
    } else {
        Err(format!("{stopped} stop reasons and {ended} message_stop for {streams} streams"))
    }
}

/// The deltas in TGI's server-sent events, with the given number of streams, each of which repeats its text at its end.
///
/// # Errors
///
/// What is wrong with the output.
pub fn tgi(wire: &[u8], streams: usize) -> Result<Answer, String> {
    let text = std::str::from_utf8(wire).map_err(|error| error.to_string())?;
    let mut tally = Tally::thorough();
    let (mut ended, mut generated) = (0, String::new());
    for event in text.split_terminator("\n\n") {
        let record = event.strip_prefix("data: ").ok_or("an event that is not one data line")?;
        let record: Value = serde_json::from_str(record).map_err(|error| error.to_string())?;
        let token = &record["token"];
        if token["special"] == false {
            let text = token["text"].as_str().ok_or("a token without text")?;
            tally.text(Kind::Text, text);
            generated.push_str(text);
        }
        if let Some(all) = record["generated_text"].as_str() {
            if all != generated || !record["details"]["finish_reason"].is_string() {
                return Err("an end with another text, or without a reason".to_owned());
            }
            ended += 1;
            generated.clear();
        }
    }
    if ended == streams { Ok(tally.answer()) } else { Err(format!("{ended} ends of {streams} streams")) }
}

/// The deltas in OpenAI's chunks.
///
/// # Errors
///
/// What is wrong with the output.
pub fn deltas<'a>(records: impl IntoIterator<Item = &'a str>) -> Result<Vec<(Kind, String)>, String> {
    let mut deltas = Vec::new();
    for record in records {
        let chunk: Value = serde_json::from_str(record).map_err(|error| error.to_string())?;
        for choice in chunk["choices"].as_array().ok_or("a chunk without choices")? {
            let delta = &choice["delta"];
            let mut push = |kind, text: &Value| match text.as_str() {
                None | Some("") => {}
                Some(text) => deltas.push((kind, text.to_owned())),
            };
            push(Kind::Reasoning, &delta["reasoning_content"]);
            push(Kind::Reasoning, &delta["reasoning"]);
            push(Kind::Text, &delta["content"]);
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                push(Kind::ToolInput, &call["function"]["arguments"]);
            }
        }
    }
    Ok(deltas)
}
