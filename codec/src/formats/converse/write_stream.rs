//! Writes the events of ConverseStream.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::eventstream::{Header, Value, encode_block, encode_headers};
use crate::formats::call_ids::CallIds;
use crate::formats::converse::extra_fields::{ExtraFields, is_citation};
use crate::formats::converse::other_blocks as own;
use crate::formats::converse::write_common::{
    Counts, Names, RESPONSE_FIELDS, exception_name, own_body, status, write_response_fields,
};
use crate::json::{Object, as_object, write_integer, write_one_line, write_string};
use crate::model::custom_tool_input::{CUSTOM_INPUT, CustomInput};
use crate::model::{
    Api, ConverseEncoding, Event, FinishReason, Json, Losses, Outcome, PAUSED, PartKind, ResponseOptions,
    Usage,
};

#[derive(Clone, Debug)]
struct Stop {
    reason: &'static str,
    /// The stop string that ended the response.
    sequence: Option<String>,
}

/// Writes canonical events as the events of ConverseStream.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    context: ResponseOptions,
    started: bool,
    /// Why the response ended. Written at the end: `messageStop` follows all blocks, and `metadata` follows it.
    stop: Option<Stop>,
    /// The number of blocks so far.
    blocks: u64,
    has_tools: bool,
    ids: CallIds,
    usage: Option<Usage>,
    /// The open part.
    open: Option<u32>,
    /// Puts the input into an object, if the open part is the call of a custom tool.
    custom: Option<CustomInput>,
    /// Fields that only Bedrock has.
    extra_fields: ExtraFields,
    pub(crate) losses: Losses,
    /// The name of the last event, and the headers of its frame. Nearly all frames are deltas.
    headers: (&'static str, Vec<u8>),
}

impl Writer {
    /// A writer with these defaults for values that the source does not have.
    pub(crate) fn new(context: ResponseOptions) -> Self {
        Self {
            ids: CallIds::new(context.id.as_deref(), context.created),
            context,
            started: false,
            stop: None,
            blocks: 0,
            has_tools: false,
            usage: None,
            open: None,
            custom: None,
            extra_fields: ExtraFields::default(),
            losses: Losses::default(),
            headers: ("", Vec::new()),
        }
    }

    /// Sets how long the response took, in milliseconds. Call it before [`finish`](Self::finish).
    pub(crate) fn set_latency_ms(&mut self, milliseconds: u64) {
        self.context.latency_ms = Some(milliseconds);
    }

    /// Appends the output for `event` to `out`.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, role, created, .. } => {
                let created = created.or(self.context.created);
                self.ids.set_response(id.as_deref().or(self.context.id.as_deref()), created);
                self.start(role.as_deref(), out);
            }
            event if event.choice_of_part().is_some_and(|choice| choice != 0) => {
                self.losses.add("choice", Outcome::Dropped, "Converse has only one choice");
            }
            Event::PartStart { part, kind: PartKind::Other { api, json }, .. } => {
                self.start_other(*part, (*api, json), out);
            }
            Event::PartStart { part, kind, .. } => self.start_block(*part, kind, out),
            Event::TextDelta { text, .. } | Event::RefusalDelta { text, .. } => {
                self.delta(b"{\"text\":", text, b"}", out);
            }
            Event::ReasoningDelta { text, .. } => {
                self.delta(b"{\"reasoningContent\":{\"text\":", text, b"}}", out);
            }
            Event::ToolInputDelta { text, .. } => match self.custom.take() {
                Some(mut input) => {
                    self.tool_input(&input.piece(text), out);
                    self.custom = Some(input);
                }
                None => self.tool_input(text, out),
            },
            Event::OtherDelta { part, json, .. }
                if self.open == Some(*part) && as_object(json.as_str()).is_some() =>
            {
                self.block_delta(out, |out| write_one_line(json.as_str(), out));
            }
            // The loss of the whole part is in the list.
            Event::OtherDelta { .. } => {}
            Event::ReasoningSignature { part, .. } | Event::Redacted { part, .. }
                if self.open != Some(*part) =>
            {
                self.losses.add("reasoning signature", Outcome::Dropped, "it came after its block had ended");
            }
            Event::ReasoningSignature { signature, .. } => {
                self.delta(b"{\"reasoningContent\":{\"signature\":", signature, b"}}", out);
            }
            Event::Redacted { data, .. } => {
                self.delta(b"{\"reasoningContent\":{\"redactedContent\":", data, b"}}", out);
            }
            Event::Citation { part, json, .. }
                if self.open == *part && part.is_some() && is_citation(json) =>
            {
                self.block_delta(out, |out| {
                    out.extend_from_slice(b"{\"citation\":");
                    write_one_line(json.as_str(), out);
                    out.push(b'}');
                });
            }
            Event::Citation { .. } => {
                self.losses.add("citation", Outcome::Dropped, "formats disagree on what a citation is");
            }
            // Nothing was written for a part of another API.
            Event::PartEnd { .. } if self.open.is_none() => {}
            Event::PartEnd { .. } => {
                self.open = None;
                if self.custom.take().is_some() {
                    self.tool_input(CustomInput::END, out);
                }
                self.block_stop(out);
            }
            Event::Finish { reason, stop, .. } => self.stop(reason, stop.as_deref()),
            Event::Usage(usage) => {
                self.usage = Some(*usage);
                self.extra_fields.usage.clear();
            }
            Event::Logprobs { .. } => {
                self.losses.add("logprobs", Outcome::Dropped, "Converse has no place for them");
            }
            Event::Malformed { .. } => {
                self.losses.add(
                    "malformed record",
                    Outcome::Dropped,
                    "what could not be read cannot be written",
                );
            }
            Event::Other { choice: None, name: Some(name), json } if self.extra_fields.take(name, json) => {}
            Event::Other { .. } => {
                self.losses.add(
                    "other",
                    Outcome::Dropped,
                    "Converse has no place for a field of unknown meaning",
                );
            }
        }
    }

    /// Appends the end of the stream to `out`: the stop and the usage, or the exception that the stream ended with.
    pub(crate) fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        if let Err(error) = ending {
            return self.exception(error, out);
        }
        self.start(None, out);
        if self.stop.is_none() {
            self.losses.add("finish reason", Outcome::Defaulted, "the source gives none");
            let reason = if self.has_tools { FinishReason::ToolCalls } else { FinishReason::Stop };
            self.stop(&reason, None);
        }
        if let Some(stop) = self.stop.take() {
            self.message_stop(&stop, out);
        }
        match self.usage.take() {
            Some(usage) => self.metadata(&usage, out),
            None if self.extra_fields.has_metadata() => {
                self.losses.add("other", Outcome::Dropped, "without usage there is no metadata to hold it");
            }
            None => {
                self.losses.add("usage", Outcome::Dropped, "the source reports no token counts: no metadata")
            }
        }
    }

    fn start(&mut self, role: Option<&str>, out: &mut Vec<u8>) {
        if core::mem::replace(&mut self.started, true) {
            return;
        }
        if role.is_some_and(|role| role != "assistant") {
            self.losses.add(
                "role",
                Outcome::Approximated,
                "in Converse the message is always from the assistant",
            );
        }
        self.event("messageStart", out, |out| out.extend_from_slice(b"{\"role\":\"assistant\"}"));
    }

    /// Opens a block for the part.
    fn open_block(&mut self, part: u32) {
        self.open = Some(part);
        self.blocks += 1;
    }

    /// Writes the start of the open block; `start` writes its content.
    fn block_start(&mut self, out: &mut Vec<u8>, start: impl FnOnce(&mut Vec<u8>)) {
        self.block("contentBlockStart", b",\"start\":", out, start);
    }

    fn block_stop(&mut self, out: &mut Vec<u8>) {
        self.block("contentBlockStop", b"", out, |_| {});
    }

    fn start_block(&mut self, part: u32, kind: &PartKind<'_>, out: &mut Vec<u8>) {
        self.start(None, out);
        self.open_block(part);
        if let PartKind::Refusal = kind {
            let why = "Converse has no refusals: written as text";
            self.losses.add("refusal", Outcome::Approximated, why);
        }
        let PartKind::ToolCall { id, name, custom } = kind else { return };
        self.has_tools = true;
        let given = Names::given_id(id.as_deref(), &mut self.losses);
        let id = self.ids.next(given, "tooluse", format_args!("{part}"), &mut self.losses);
        let name = Names::tool(Cow::Borrowed(name), &mut self.losses);
        self.block_start(out, |out| {
            out.extend_from_slice(b"{\"toolUse\":{\"toolUseId\":");
            write_string(&id, out);
            out.extend_from_slice(b",\"name\":");
            write_string(&name, out);
            out.extend_from_slice(b"}}");
        });
        if *custom {
            self.losses.add("tool call input", Outcome::Approximated, CUSTOM_INPUT);
            self.custom = Some(CustomInput::default());
            self.tool_input(CustomInput::BEGIN, out);
        }
    }

    fn tool_input(&mut self, text: &str, out: &mut Vec<u8>) {
        self.delta(b"{\"toolUse\":{\"input\":", text, b"}}", out);
    }

    /// Begins a block of Converse's that the model has no name for, unchanged.
    fn start_other(&mut self, part: u32, (api, json): (Api, &Json<'_>), out: &mut Vec<u8>) {
        self.start(None, out);
        if let Some(why) = own::why_lost(Some(api), json.as_str()) {
            self.losses.add("other part", Outcome::Dropped, why);
            return;
        }
        self.open_block(part);
        let (start, delta) = own::split(json.as_str());
        self.block_start(out, |out| write_one_line(&start, out));
        if let Some(delta) = delta {
            self.block_delta(out, |out| write_one_line(&delta, out));
        }
    }

    fn delta(&mut self, before: &[u8], text: &str, after: &[u8], out: &mut Vec<u8>) {
        self.block_delta(out, |out| {
            out.extend_from_slice(before);
            write_string(text, out);
            out.extend_from_slice(after);
        });
    }

    fn block_delta(&mut self, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        self.block("contentBlockDelta", b",\"delta\":", out, delta);
    }

    /// Writes an event of the open block: its index, and the fields that `rest` writes.
    #[inline]
    fn block(
        &mut self,
        event: &'static str,
        before: &[u8],
        out: &mut Vec<u8>,
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let index = self.blocks.saturating_sub(1);
        self.event(event, out, |out| {
            out.extend_from_slice(b"{\"contentBlockIndex\":");
            write_integer(index, out);
            out.extend_from_slice(before);
            value(out);
            out.push(b'}');
        });
    }

    fn stop(&mut self, reason: &FinishReason<'_>, sequence: Option<&str>) {
        let reason = stop_reason(reason, sequence.is_some(), self.has_tools, &mut self.losses);
        self.stop = Some(Stop { reason, sequence: sequence.map(String::from) });
    }

    fn message_stop(&mut self, stop: &Stop, out: &mut Vec<u8>) {
        let fields = core::mem::take(&mut self.extra_fields.response_fields);
        let usage = self.usage;
        self.event("messageStop", out, |out| {
            let mut object = Object::new(out);
            object.string("stopReason", stop.reason);
            match &fields {
                None => write_response_fields(stop.sequence.as_deref(), usage.as_ref(), &mut object),
                // The source's own fields have the stop string and the reasoning tokens, if there are any.
                Some(fields) => object.json(RESPONSE_FIELDS, fields),
            }
        });
    }

    fn metadata(&mut self, usage: &Usage, out: &mut Vec<u8>) {
        let counts = Counts::new(*usage, &mut self.losses);
        let latency = self.extra_fields.latency_ms.or(self.context.latency_ms);
        if latency.is_none() {
            self.losses.add("latency", Outcome::Defaulted, "the source does not give the latency");
        }
        let latency = latency.unwrap_or(0);
        let more = core::mem::take(&mut self.extra_fields.metadata);
        let more_usage = core::mem::take(&mut self.extra_fields.usage);
        self.event("metadata", out, |out| {
            out.extend_from_slice(b"{\"usage\":");
            counts.write(&more_usage, out);
            out.extend_from_slice(b",\"metrics\":{\"latencyMs\":");
            write_integer(latency, out);
            out.push(b'}');
            out.extend_from_slice(&more);
            out.push(b'}');
        });
    }

    fn event(&mut self, name: &'static str, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        self.message([":event-type", name, "event"], out, body);
    }

    fn exception(&mut self, error: &DecodeError, out: &mut Vec<u8>) {
        let text = alloc::format!("{error}");
        let message = match error.failure() {
            Some(failure) if !failure.message.is_empty() => failure.message.as_str(),
            _ => text.as_str(),
        };
        let name = error.failure().map_or("modelStreamErrorException", exception_name);
        let status = error.failure().and_then(status);
        let own = error.failure().and_then(own_body);
        self.message([":exception-type", name, "exception"], out, |out| {
            if let Some(own) = own {
                return write_one_line(own, out);
            }
            out.extend_from_slice(b"{\"message\":");
            write_string(message, out);
            if let (Some(status), "modelStreamErrorException") = (status, name) {
                out.extend_from_slice(b",\"originalStatusCode\":");
                write_integer(status, out);
                out.extend_from_slice(b",\"originalMessage\":");
                write_string(message, out);
            }
            out.push(b'}');
        });
    }

    fn message(
        &mut self,
        [kind, name, message_type]: [&'static str; 3],
        out: &mut Vec<u8>,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        match self.context.encoding {
            ConverseEncoding::JsonLines => {
                out.push(b'{');
                write_string(name, out);
                out.push(b':');
                body(out);
                out.extend_from_slice(b"}\n");
            }
            ConverseEncoding::EventStream => {
                let (of, block) = &mut self.headers;
                let mut written = Ok(());
                if *of != name {
                    block.clear();
                    *of = name;
                    let headers = [
                        Header::new(kind, Value::String(name)),
                        Header::new(":content-type", Value::String("application/json")),
                        Header::new(":message-type", Value::String(message_type)),
                    ];
                    written = encode_headers(headers, block);
                }
                // These headers can be encoded, and the limit of a record is far below 4 GiB.
                written = written.and_then(|()| encode_block(block, out, body));
                debug_assert!(written.is_ok());
            }
        }
    }
}

/// Converse's name for the reason. `has_stop` is whether a stop string ended the response.
pub(crate) fn stop_reason(
    reason: &FinishReason<'_>,
    has_stop: bool,
    has_tools: bool,
    losses: &mut Losses,
) -> &'static str {
    match reason {
        FinishReason::Stop if has_stop => "stop_sequence",
        // vLLM sends `stop` if the request forced the tool, but it is a tool call.
        FinishReason::Stop if has_tools => {
            losses.add("finish reason", Outcome::Approximated, "`stop` after tool calls is `tool_use`");
            "tool_use"
        }
        FinishReason::Stop => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::ContextWindow => "model_context_window_exceeded",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "content_filtered",
        FinishReason::Guardrail => "guardrail_intervened",
        FinishReason::MalformedOutput => "malformed_model_output",
        FinishReason::MalformedToolUse => "malformed_tool_use",
        FinishReason::Refusal => {
            losses.add("finish reason", Outcome::Approximated, "a refusal is `content_filtered`");
            "content_filtered"
        }
        FinishReason::Pause | FinishReason::Compaction => {
            losses.add("finish reason", Outcome::Approximated, PAUSED);
            "end_turn"
        }
        FinishReason::Other(_) => {
            losses.add("finish reason", Outcome::Approximated, "Converse does not know it: `end_turn`");
            "end_turn"
        }
    }
}
