//! Transcoding as a user of the peers would write it: decode to structs, build the other API's structs,
//! serialize.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::encoders::converse_event;
use super::events::Events;
use super::records::Text;
use super::smithy::Payloads;
use crate::openai_stream::DONE;
use crate::reads::Reads;
use crate::tally::{Fault, Tally};
use crate::workload::Workload;

/// A chunk with the fields that a proxy passes on.
#[derive(Deserialize, Serialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    object: Text<'a>,
    created: u64,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
}

#[derive(Deserialize, Serialize)]
struct Choice<'a> {
    index: u32,
    #[serde(borrow)]
    delta: Delta<'a>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize, Serialize)]
struct Delta<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    role: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    content: Option<Text<'a>>,
    #[serde(borrow, alias = "reasoning", skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Deserialize, Serialize)]
struct ToolCall<'a> {
    index: u32,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    id: Option<Text<'a>>,
    #[serde(borrow, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize, Serialize)]
struct Function<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    name: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    arguments: Option<Text<'a>>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

/// Event-stream bytes to OpenAI's server-sent events.
pub fn openai<P: Events>(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    let mut out = Vec::new();
    let done = P::each(Payloads::new(reads), |data| {
        out.clear();
        out.extend_from_slice(b"data: ");
        if data == DONE {
            out.extend_from_slice(DONE.as_bytes());
        } else {
            let chunk: Chunk<'_> = serde_json::from_str(data)?;
            serde_json::to_writer(&mut out, &chunk)?;
        }
        out.extend_from_slice(b"\n\n");
        tally.output(&out);
        Ok(())
    });
    if let Err(fault) = done {
        tally.fail(fault);
    }
}

/// Event-stream bytes to frames of ConverseStream.
pub fn bedrock<P: Events>(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    let mut converse = Converse::default();
    let done = P::each(Payloads::new(reads), |data| {
        converse.out.clear();
        if data == DONE {
            converse.end()?;
        } else {
            let chunk: Chunk<'_> = serde_json::from_str(data)?;
            converse.chunk(&chunk)?;
        }
        if !converse.out.is_empty() {
            tally.output(&converse.out);
        }
        Ok(())
    });
    if let Err(fault) = done {
        tally.fail(fault);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Block {
    Text,
    Reasoning,
    Tool(u32),
}

/// The state of a ConverseStream writer.
#[derive(Default)]
struct Converse {
    out: Vec<u8>,
    open: Option<Block>,
    block: u32,
    stop: Option<&'static str>,
    usage: Option<Usage>,
}

/// `contentBlockDelta`, the only frequent event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta<'a> {
    content_block_index: u32,
    delta: BlockText<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum BlockText<'a> {
    Text(&'a str),
    #[serde(rename = "reasoningContent")]
    Reasoning {
        text: &'a str,
    },
    ToolUse {
        input: &'a str,
    },
}

impl Converse {
    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), Fault> {
        for choice in &chunk.choices {
            let Delta { role, content, reasoning_content, tool_calls } = &choice.delta;
            if let Some(role) = role {
                self.event("messageStart", &json!({ "role": role.0 }))?;
            }
            if let Some(text) = reasoning_content.as_ref().filter(|text| !text.0.is_empty()) {
                self.delta(Block::Reasoning, BlockText::Reasoning { text: &text.0 })?;
            }
            if let Some(text) = content.as_ref().filter(|text| !text.0.is_empty()) {
                self.delta(Block::Text, BlockText::Text(&text.0))?;
            }
            for call in tool_calls {
                let block = Block::Tool(call.index);
                if self.open != Some(block) {
                    self.close()?;
                    self.open = Some(block);
                    let start = json!({ "contentBlockIndex": self.block, "start": { "toolUse": {
                        "toolUseId": call.id, "name": call.function.name,
                    } } });
                    self.event("contentBlockStart", &start)?;
                }
                if let Some(text) = call.function.arguments.as_ref().filter(|text| !text.0.is_empty()) {
                    self.delta(block, BlockText::ToolUse { input: &text.0 })?;
                }
            }
            if let Some(reason) = &choice.finish_reason {
                self.stop = Some(match &*reason.0 {
                    "length" => "max_tokens",
                    "tool_calls" => "tool_use",
                    "content_filter" => "content_filtered",
                    _ => "end_turn",
                });
            }
        }
        self.usage = chunk.usage.or(self.usage);
        Ok(())
    }

    fn delta(&mut self, block: Block, delta: BlockText<'_>) -> Result<(), Fault> {
        if self.open != Some(block) {
            self.close()?;
            self.open = Some(block);
        }
        let content_block_index = self.block;
        self.event("contentBlockDelta", &BlockDelta { content_block_index, delta })
    }

    fn close(&mut self) -> Result<(), Fault> {
        if self.open.take().is_some() {
            self.event("contentBlockStop", &json!({ "contentBlockIndex": self.block }))?;
            self.block += 1;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.close()?;
        self.event("messageStop", &json!({ "stopReason": self.stop }))?;
        if let Some(usage) = self.usage {
            let metadata: Value = json!({
                "usage": {
                    "inputTokens": usage.prompt_tokens,
                    "outputTokens": usage.completion_tokens,
                    "totalTokens": usage.total_tokens,
                },
                "metrics": { "latencyMs": 0 },
            });
            self.event("metadata", &metadata)?;
        }
        Ok(())
    }

    fn event(&mut self, name: &'static str, payload: &impl Serialize) -> Result<(), Fault> {
        converse_event(name, payload, &mut self.out)
    }
}
