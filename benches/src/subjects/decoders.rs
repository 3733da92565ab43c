//! Decoders of each format with the peers: frames with smithy, events with `P`, and structs with only the fields that are
//! needed, which borrow if possible.
//!
//! None of the peers detects truncated streams, so the code here does.

use std::marker::PhantomData;

use bytes::Bytes;
use memchr::memchr;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::events::Events;
use super::records::{NOT_DONE, Text};
use super::said::{Decode, Reason, Said, Usage};
use super::smithy::{Frames, Payloads, event_type};
use crate::openai_stream::DONE;
use crate::reads::Reads;
use crate::tally::Fault;

/// OpenAI's server-sent events.
pub struct OpenAi<P>(PhantomData<P>);
/// TGI's server-sent events.
pub struct Tgi<P>(PhantomData<P>);
/// JSON lines of LMI.
pub struct Lmi;
/// Frames of ConverseStream.
pub struct ConverseStream;
/// Anthropic's server-sent events.
pub struct Anthropic<P>(PhantomData<P>);
/// Server-sent events of Responses.
pub struct Responses<P>(PhantomData<P>);

/// Cohere's server-sent events.
pub struct Cohere<P>(PhantomData<P>);
/// SGLang's server-sent events.
pub struct Sglang<P>(PhantomData<P>);

fn of_text<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
    text.as_ref().map(|text| &*text.0)
}

fn complete(done: bool, why: &str) -> Result<(), Fault> {
    if done { Ok(()) } else { Err(why.into()) }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    usage: Option<ChunkUsage>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: ChunkDelta<'a>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ChunkDelta<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ChunkUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl<P: Events> Decode for OpenAi<P> {
    fn each(reads: &mut Reads<'_>, mut each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let (mut started, mut done) = (false, false);
        P::each(Payloads::new(reads), |data| {
            if data == DONE {
                done = true;
                return Ok(());
            }
            let chunk: Chunk<'_> = serde_json::from_str(data)?;
            if !started {
                started = true;
                each(Said::Start { id: of_text(&chunk.id), model: of_text(&chunk.model) })?;
            }
            for choice in &chunk.choices {
                if let Some(text) = of_text(&choice.delta.content).filter(|text| !text.is_empty()) {
                    each(Said::Text(text))?;
                }
                if let Some(reason) = of_text(&choice.finish_reason) {
                    each(Said::Finish(if reason == "length" { Reason::Length } else { Reason::Stop }))?;
                }
            }
            if let Some(ChunkUsage { prompt_tokens, completion_tokens }) = chunk.usage {
                each(Said::Usage(Usage { input: prompt_tokens, output: completion_tokens }))?;
            }
            Ok(())
        })?;
        complete(done, NOT_DONE)
    }
}

/// A record of TGI or LMI.
#[derive(Deserialize)]
struct Generated<'a> {
    #[serde(borrow)]
    token: Token<'a>,
    generated_text: Option<IgnoredAny>,
    #[serde(borrow)]
    details: Option<Details<'a>>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    finish_reason: Text<'a>,
    generated_tokens: u64,
    #[serde(default)]
    input_length: u64,
}

/// The state of a stream of tokens.
#[derive(Default)]
struct Tokens {
    started: bool,
    done: bool,
}

impl Tokens {
    #[inline]
    fn read(
        &mut self,
        record: &Generated<'_>,
        each: &mut impl FnMut(Said<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if !self.started {
            self.started = true;
            each(Said::Start { id: None, model: None })?;
        }
        let Token { text, special } = &record.token;
        if !special && !text.0.is_empty() {
            each(Said::Text(&text.0))?;
        }
        if let Some(Details { finish_reason, generated_tokens, input_length }) = &record.details {
            let reason = if finish_reason.0 == "length" { Reason::Length } else { Reason::Stop };
            each(Said::Finish(reason))?;
            each(Said::Usage(Usage { input: *input_length, output: *generated_tokens }))?;
        }
        self.done |= record.generated_text.is_some();
        Ok(())
    }

    fn finish(&self) -> Result<(), Fault> {
        complete(self.done, "no generated_text")
    }
}

impl<P: Events> Decode for Tgi<P> {
    fn each(reads: &mut Reads<'_>, mut each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut tokens = Tokens::default();
        P::each(Payloads::new(reads), |data| tokens.read(&serde_json::from_str(data)?, &mut each))?;
        tokens.finish()
    }
}

impl Decode for Lmi {
    fn each(reads: &mut Reads<'_>, mut each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut tokens = Tokens::default();
        lines(Payloads::new(reads), |line| tokens.read(&serde_json::from_slice(line)?, &mut each))?;
        tokens.finish()
    }
}

/// Passes each line on: a simple line splitter.
fn lines<E: Into<Fault>>(
    payloads: impl Iterator<Item = Result<Bytes, E>>,
    mut each: impl FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut carry = Vec::new();
    for payload in payloads {
        let payload = payload.map_err(Into::into)?;
        let mut rest = &payload[..];
        while let Some(end) = memchr(b'\n', rest) {
            if carry.is_empty() {
                each(&rest[..end])?;
            } else {
                carry.extend_from_slice(&rest[..end]);
                each(&carry)?;
                carry.clear();
            }
            rest = &rest[end + 1..];
        }
        carry.extend_from_slice(rest);
    }
    if carry.is_empty() { Ok(()) } else { each(&carry) }
}

#[derive(Deserialize)]
struct ContentBlockDelta<'a> {
    #[serde(borrow)]
    delta: BlockText<'a>,
}

#[derive(Deserialize)]
struct BlockText<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageStop<'a> {
    #[serde(borrow)]
    stop_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Metadata {
    usage: ConverseUsage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConverseUsage {
    input_tokens: u64,
    output_tokens: u64,
}

impl Decode for ConverseStream {
    fn each(reads: &mut Reads<'_>, mut each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut done = false;
        for message in Frames::new(reads) {
            let message = message?;
            let payload = &message.payload()[..];
            match event_type(&message)? {
                "messageStart" => each(Said::Start { id: None, model: None })?,
                "contentBlockDelta" => {
                    let ContentBlockDelta { delta } = serde_json::from_slice(payload)?;
                    if let Some(text) = of_text(&delta.text) {
                        each(Said::Text(text))?;
                    }
                }
                "messageStop" => {
                    let MessageStop { stop_reason } = serde_json::from_slice(payload)?;
                    let is_length = stop_reason.0 == "max_tokens";
                    each(Said::Finish(if is_length { Reason::Length } else { Reason::Stop }))?;
                    done = true;
                }
                "metadata" => {
                    let Metadata { usage } = serde_json::from_slice(payload)?;
                    let ConverseUsage { input_tokens, output_tokens } = usage;
                    each(Said::Usage(Usage { input: input_tokens, output: output_tokens }))?;
                }
                _ => {}
            }
        }
        complete(done, "no messageStop")
    }
}

/// Any event of Anthropic. With an enum tagged by `type`, serde would buffer each event.
#[derive(Deserialize)]
struct MessageEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    delta: Option<MessageDelta<'a>>,
    usage: Option<MessageUsage>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
}

#[derive(Clone, Copy, Deserialize)]
struct MessageUsage {
    #[serde(default)]
    input_tokens: u64,
    output_tokens: u64,
}

impl<P: Events> Decode for Anthropic<P> {
    fn each(reads: &mut Reads<'_>, mut each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut done = false;
        P::each(Payloads::new(reads), |data| {
            let event: MessageEvent<'_> = serde_json::from_str(data)?;
            if let Some(Message { id, model }) = &event.message {
                each(Said::Start { id: Some(&id.0), model: Some(&model.0) })?;
            }
            if let Some(MessageDelta { text, stop_reason }) = &event.delta {
                if let Some(text) = of_text(text) {
                    each(Said::Text(text))?;
                }
                if let Some(reason) = of_text(stop_reason) {
                    each(Said::Finish(if reason == "max_tokens" { Reason::Length } else { Reason::Stop }))?;
                }
            }
            if let Some(MessageUsage { input_tokens, output_tokens }) = event.usage {
                each(Said::Usage(Usage { input: input_tokens, output: output_tokens }))?;
            }
            done |= event.kind.0 == "message_stop";
            Ok(())
        })?;
        complete(done, "no message_stop")
    }
}

/// Any event of Cohere.
#[derive(Deserialize)]
struct ChatEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    delta: Option<ChatDelta<'a>>,
}

#[derive(Deserialize)]
struct ChatDelta<'a> {
    #[serde(borrow)]
    message: Option<ChatMessage<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    usage: Option<ChatUsage>,
}

#[derive(Deserialize)]
struct ChatMessage<'a> {
    #[serde(borrow)]
    content: Option<ChatContent<'a>>,
}

#[derive(Deserialize)]
struct ChatContent<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ChatUsage {
    tokens: ChatTokens,
}

#[derive(Deserialize)]
struct ChatTokens {
    input_tokens: f64,
    output_tokens: f64,
}

impl<P: Events> Decode for Cohere<P> {
    fn each(reads: &mut Reads<'_>, mut each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut done = false;
        P::each(Payloads::new(reads), |data| {
            if data == DONE {
                return Ok(());
            }
            let event: ChatEvent<'_> = serde_json::from_str(data)?;
            if &*event.kind.0 == "message-start" {
                each(Said::Start { id: of_text(&event.id), model: None })?;
            }
            done |= &*event.kind.0 == "message-end";
            let Some(delta) = &event.delta else { return Ok(()) };
            let content = delta.message.as_ref().and_then(|message| message.content.as_ref());
            if let Some(text) =
                content.and_then(|content| of_text(&content.text)).filter(|text| !text.is_empty())
            {
                each(Said::Text(text))?;
            }
            if let Some(reason) = of_text(&delta.finish_reason) {
                each(Said::Finish(if reason == "MAX_TOKENS" { Reason::Length } else { Reason::Stop }))?;
            }
            if let Some(ChatUsage { tokens }) = &delta.usage {
                let (input, output) = (tokens.input_tokens as u64, tokens.output_tokens as u64);
                each(Said::Usage(Usage { input, output }))?;
            }
            Ok(())
        })?;
        complete(done, "no message-end")
    }
}

/// A record of SGLang.
#[derive(Deserialize)]
struct Generation<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    meta_info: MetaInfo<'a>,
}

#[derive(Deserialize)]
struct MetaInfo<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    finish_reason: Option<Ending<'a>>,
    prompt_tokens: u64,
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Ending<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

impl<P: Events> Decode for Sglang<P> {
    fn each(reads: &mut Reads<'_>, mut each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let (mut started, mut done) = (false, false);
        P::each(Payloads::new(reads), |data| {
            if data == DONE {
                done = true;
                return Ok(());
            }
            let Generation { text, meta_info } = serde_json::from_str(data)?;
            if !started {
                started = true;
                each(Said::Start { id: Some(&meta_info.id.0), model: None })?;
            }
            if !text.0.is_empty() {
                each(Said::Text(&text.0))?;
            }
            if let Some(Ending { kind }) = &meta_info.finish_reason {
                each(Said::Finish(if kind.0 == "length" { Reason::Length } else { Reason::Stop }))?;
                let MetaInfo { prompt_tokens, completion_tokens, .. } = meta_info;
                each(Said::Usage(Usage { input: prompt_tokens, output: completion_tokens }))?;
            }
            Ok(())
        })?;
        complete(done, NOT_DONE)
    }
}

/// Any event of Responses: the delta, and the fields of the response.
#[derive(Deserialize)]
struct ResponseEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    delta: Option<Text<'a>>,
    #[serde(borrow)]
    response: Option<ResponseObject<'a>>,
}

#[derive(Deserialize)]
struct ResponseObject<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    usage: Option<MessageUsage>,
}

impl<P: Events> Decode for Responses<P> {
    fn each(reads: &mut Reads<'_>, mut each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut done = false;
        P::each(Payloads::new(reads), |data| {
            let event: ResponseEvent<'_> = serde_json::from_str(data)?;
            match (&*event.kind.0, &event.response) {
                ("response.output_text.delta", _) => match of_text(&event.delta) {
                    Some(text) => each(Said::Text(text))?,
                    None => return Err("a delta without text".into()),
                },
                ("response.created", Some(ResponseObject { id, model, .. })) => {
                    each(Said::Start { id: Some(&id.0), model: Some(&model.0) })?;
                }
                ("response.completed" | "response.incomplete", Some(response)) => {
                    let is_length = response.status.0 == "incomplete";
                    each(Said::Finish(if is_length { Reason::Length } else { Reason::Stop }))?;
                    if let Some(MessageUsage { input_tokens, output_tokens }) = response.usage {
                        each(Said::Usage(Usage { input: input_tokens, output: output_tokens }))?;
                    }
                    done = true;
                }
                _ => {}
            }
            Ok(())
        })?;
        complete(done, "no response.completed")
    }
}
