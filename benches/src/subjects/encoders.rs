//! Encoders of each format with the peers: structs, serde_json, and smithy where there are frames.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde::Serialize;
use serde_json::json;

use super::said::{Encode, Reason, Said, Usage};
use crate::openai_stream::DONE;
use crate::tally::Fault;

/// Appends a server-sent event, with its name if it has one.
fn event(name: Option<&str>, data: &impl Serialize, out: &mut Vec<u8>) -> Result<(), Fault> {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *out, data)?;
    out.extend_from_slice(b"\n\n");
    Ok(())
}

/// OpenAI's server-sent events.
#[derive(Default)]
pub struct OpenAi {
    id: String,
    model: String,
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'a str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<ChunkUsage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    delta: ChunkDelta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct ChunkDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

#[derive(Serialize)]
struct ChunkUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl OpenAi {
    fn chunk(
        &self,
        choices: &[Choice<'_>],
        usage: Option<ChunkUsage>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let Self { id, model, .. } = self;
        event(None, &Chunk { id, object: "chat.completion.chunk", created: 0, model, choices, usage }, out)
    }

    fn choice(
        &self,
        delta: ChunkDelta<'_>,
        finish_reason: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.chunk(&[Choice { index: 0, delta, logprobs: None, finish_reason }], None, out)
    }
}

impl Encode for OpenAi {
    fn write(&mut self, said: Said<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match said {
            Said::Start { id, model } => {
                self.id = id.unwrap_or("chatcmpl-0").to_owned();
                self.model = model.unwrap_or_default().to_owned();
                self.choice(ChunkDelta { role: Some("assistant"), content: Some("") }, None, out)
            }
            Said::Text(text) => self.choice(ChunkDelta { content: Some(text), role: None }, None, out),
            Said::Finish(reason) => {
                let reason = if reason == Reason::Length { "length" } else { "stop" };
                self.choice(ChunkDelta::default(), Some(reason), out)
            }
            Said::Usage(usage) => {
                self.usage = Some(usage);
                Ok(())
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if let Some(Usage { input, output }) = self.usage {
            let usage =
                ChunkUsage { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
            self.chunk(&[], Some(usage), out)?;
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(DONE.as_bytes());
        out.extend_from_slice(b"\n\n");
        Ok(())
    }
}

/// Appends a frame of ConverseStream.
///
/// # Errors
///
/// Errors of serde_json and smithy.
pub fn converse_event(name: &'static str, payload: &impl Serialize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let message = Message::new(serde_json::to_vec(payload)?)
        .add_header(Header::new(":event-type", HeaderValue::String(name.into())))
        .add_header(Header::new(":content-type", HeaderValue::String("application/json".into())))
        .add_header(Header::new(":message-type", HeaderValue::String("event".into())));
    Ok(write_message_to(&message, out)?)
}

/// Frames of ConverseStream.
#[derive(Default)]
pub struct ConverseStream {
    reason: Reason,
    usage: Option<Usage>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentBlockDelta<'a> {
    content_block_index: u32,
    delta: BlockText<'a>,
}

#[derive(Serialize)]
struct BlockText<'a> {
    text: &'a str,
}

impl Encode for ConverseStream {
    fn write(&mut self, said: Said<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match said {
            Said::Start { .. } => converse_event("messageStart", &json!({ "role": "assistant" }), out),
            Said::Text(text) => {
                let delta = ContentBlockDelta { content_block_index: 0, delta: BlockText { text } };
                converse_event("contentBlockDelta", &delta, out)
            }
            Said::Finish(reason) => {
                self.reason = reason;
                Ok(())
            }
            Said::Usage(usage) => {
                self.usage = Some(usage);
                Ok(())
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let reason = if self.reason == Reason::Length { "max_tokens" } else { "end_turn" };
        converse_event("contentBlockStop", &json!({ "contentBlockIndex": 0 }), out)?;
        converse_event("messageStop", &json!({ "stopReason": reason }), out)?;
        let Some(Usage { input, output }) = self.usage else { return Ok(()) };
        let usage = json!({ "inputTokens": input, "outputTokens": output, "totalTokens": input + output });
        converse_event("metadata", &json!({ "usage": usage, "metrics": { "latencyMs": 0 } }), out)
    }
}

/// Anthropic's server-sent events.
#[derive(Default)]
pub struct Anthropic {
    reason: Reason,
    usage: Usage,
}

#[derive(Serialize)]
struct MessageEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    index: u32,
    delta: MessageDelta<'a>,
}

#[derive(Serialize)]
struct MessageDelta<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    text: &'a str,
}

impl Encode for Anthropic {
    fn write(&mut self, said: Said<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match said {
            Said::Start { id, model } => {
                let message = json!({
                    "id": id.unwrap_or("msg_0"), "type": "message", "role": "assistant",
                    "model": model.unwrap_or_default(), "content": [], "stop_reason": null,
                    "stop_sequence": null, "usage": { "input_tokens": 0, "output_tokens": 0 },
                });
                let start = json!({ "type": "message_start", "message": message });
                event(Some("message_start"), &start, out)?;
                let block = json!({ "type": "text", "text": "" });
                let start = json!({ "type": "content_block_start", "index": 0, "content_block": block });
                event(Some("content_block_start"), &start, out)
            }
            Said::Text(text) => {
                let kind = "content_block_delta";
                let delta = MessageDelta { kind: "text_delta", text };
                event(Some(kind), &MessageEvent { kind, index: 0, delta }, out)
            }
            Said::Finish(reason) => {
                self.reason = reason;
                Ok(())
            }
            Said::Usage(usage) => {
                self.usage = usage;
                Ok(())
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let stop = json!({ "type": "content_block_stop", "index": 0 });
        event(Some("content_block_stop"), &stop, out)?;
        let reason = if self.reason == Reason::Length { "max_tokens" } else { "end_turn" };
        let Usage { input, output } = self.usage;
        let delta = json!({
            "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
            "usage": { "input_tokens": input, "output_tokens": output },
        });
        event(Some("message_delta"), &delta, out)?;
        event(Some("message_stop"), &json!({ "type": "message_stop" }), out)
    }
}

/// TGI's server-sent events.
#[derive(Default)]
pub struct Tgi {
    index: u64,
    generated_text: String,
    reason: Reason,
    usage: Usage,
}

#[derive(Serialize)]
struct Generated<'a> {
    index: u64,
    token: Token<'a>,
    generated_text: Option<&'a str>,
    details: Option<Details>,
}

#[derive(Serialize)]
struct Token<'a> {
    id: u32,
    text: &'a str,
    logprob: f32,
    special: bool,
}

#[derive(Serialize)]
struct Details {
    finish_reason: &'static str,
    generated_tokens: u64,
    input_length: u64,
    seed: Option<u64>,
}

impl Encode for Tgi {
    fn write(&mut self, said: Said<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match said {
            Said::Start { .. } => {}
            Said::Text(text) => {
                self.index += 1;
                self.generated_text.push_str(text);
                let token = Token { id: 0, text, logprob: 0.0, special: false };
                let record = Generated { index: self.index, token, generated_text: None, details: None };
                event(None, &record, out)?;
            }
            Said::Finish(reason) => self.reason = reason,
            Said::Usage(usage) => self.usage = usage,
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let details = Details {
            finish_reason: if self.reason == Reason::Length { "length" } else { "eos_token" },
            generated_tokens: self.usage.output,
            input_length: self.usage.input,
            seed: None,
        };
        let record = Generated {
            index: self.index + 1,
            token: Token { id: 0, text: "", logprob: 0.0, special: true },
            generated_text: Some(&self.generated_text),
            details: Some(details),
        };
        event(None, &record, out)
    }
}
