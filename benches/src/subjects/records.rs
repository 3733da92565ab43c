//! The JSON of one record with the peers.

use std::borrow::Cow;

use async_openai::types::chat::CreateChatCompletionStreamResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::events::Events;
use super::smithy::Payloads;
use crate::openai_stream::DONE;
use crate::reads::Reads;
use crate::tally::{Kind, Tally};
use crate::workload::Workload;

/// A way to read the deltas of a record.
pub trait Record {
    /// Adds the deltas of `json` to `tally`.
    ///
    /// # Errors
    ///
    /// The JSON is invalid.
    fn read(json: &str, tally: &mut Tally) -> Result<(), serde_json::Error>;
}

/// Structs with only the deltas, which borrow if possible.
pub struct Minimal;
/// The types of `async-openai`.
pub struct AsyncOpenai;
/// `serde_json::Value`.
pub struct Untyped;

/// Event-stream bytes to deltas: frames with smithy, events with `P`, records with `R`.
///
/// None of the peers detects truncated streams, so this function checks for `[DONE]`.
pub fn decode<P: Events, R: Record>(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    let mut done = false;
    let found = P::each(Payloads::new(reads), |data| {
        match data {
            DONE => done = true,
            _ => R::read(data, tally)?,
        }
        Ok(())
    });
    match found {
        Err(fault) => tally.fail(fault),
        Ok(()) if !done => tally.fail(NOT_DONE),
        Ok(()) => {}
    }
}

/// The fault of a stream without `[DONE]`.
pub const NOT_DONE: &str = "no [DONE]";

/// A string that borrows unless it has escapes. (serde's derive borrows `Cow`, but not `Option<Cow>`.)
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow, alias = "reasoning")]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
}

impl Record for Minimal {
    fn read(json: &str, tally: &mut Tally) -> Result<(), serde_json::Error> {
        let chunk: Chunk<'_> = serde_json::from_str(json)?;
        for Choice { delta } in &chunk.choices {
            if let Some(text) = &delta.reasoning_content {
                tally.text(Kind::Reasoning, &text.0);
            }
            if let Some(text) = &delta.content {
                tally.text(Kind::Text, &text.0);
            }
            for call in &delta.tool_calls {
                if let Some(text) = &call.function.arguments {
                    tally.text(Kind::ToolInput, &text.0);
                }
            }
        }
        Ok(())
    }
}

impl Record for AsyncOpenai {
    fn read(json: &str, tally: &mut Tally) -> Result<(), serde_json::Error> {
        let chunk: CreateChatCompletionStreamResponse = serde_json::from_str(json)?;
        for choice in &chunk.choices {
            if let Some(text) = &choice.delta.content {
                tally.text(Kind::Text, text);
            }
            for call in choice.delta.tool_calls.iter().flatten() {
                if let Some(text) = call.function.as_ref().and_then(|function| function.arguments.as_ref()) {
                    tally.text(Kind::ToolInput, text);
                }
            }
        }
        Ok(())
    }
}

impl Record for Untyped {
    fn read(json: &str, tally: &mut Tally) -> Result<(), serde_json::Error> {
        let chunk: Value = serde_json::from_str(json)?;
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            let delta = &choice["delta"];
            if let Some(text) = delta["reasoning_content"].as_str().or_else(|| delta["reasoning"].as_str()) {
                tally.text(Kind::Reasoning, text);
            }
            if let Some(text) = delta["content"].as_str() {
                tally.text(Kind::Text, text);
            }
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                if let Some(text) = call["function"]["arguments"].as_str() {
                    tally.text(Kind::ToolInput, text);
                }
            }
        }
        Ok(())
    }
}
