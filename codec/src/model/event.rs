//! The events of a chat stream.

use alloc::borrow::Cow;
use alloc::string::String;

use serde::{Serialize, Serializer};

use crate::model::{Api, Usage};

/// One event of a chat stream. Borrows from the chunk or from the decoder.
///
/// `choice` is the index of the answer (`n > 1` gives several), `part` counts the parts of a choice from zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// The answer begins. What the source has not said is `None`.
    Start {
        /// The source's name for this answer.
        id: Option<Cow<'a, str>>,
        /// The model as the container calls it.
        model: Option<Cow<'a, str>>,
        /// Seconds since the Unix epoch.
        created: Option<u64>,
        /// Who speaks; nearly always `assistant`.
        role: Option<Cow<'a, str>>,
    },
    /// A part opens.
    PartStart {
        /// The choice that it belongs to.
        choice: u32,
        /// Its index in the choice.
        part: u32,
        /// What it holds.
        #[serde(flatten)]
        kind: PartKind<'a>,
    },
    /// More text of a text part.
    TextDelta {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that it continues.
        part: u32,
        /// Never empty; whole characters.
        text: Cow<'a, str>,
    },
    /// More text of a reasoning part.
    ReasoningDelta {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that it continues.
        part: u32,
        /// Never empty; whole characters.
        text: Cow<'a, str>,
    },
    /// More text of a refusal.
    RefusalDelta {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that it continues.
        part: u32,
        /// Never empty; whole characters.
        text: Cow<'a, str>,
    },
    /// More of a tool call's input, a piece of a JSON text; of a custom tool's, of free text.
    ToolInputDelta {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that it continues.
        part: u32,
        /// Never empty. All deltas of the part together are the input; none at all means no arguments.
        text: Cow<'a, str>,
    },
    /// More of a block that the model has no name for.
    OtherDelta {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that it continues.
        part: u32,
        /// As the source has it; what it adds to its block, only their format knows.
        json: Json<'a>,
    },
    /// The signature of a reasoning part, with which its provider takes it back. It may come after the part has ended.
    ReasoningSignature {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that it signs.
        part: u32,
        /// Opaque; with several, all of them together.
        signature: Cow<'a, str>,
    },
    /// Reasoning that only its provider can read, in a reasoning part.
    Redacted {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that it stands in.
        part: u32,
        /// Opaque, in Base64.
        data: Cow<'a, str>,
    },
    /// A source that a text cites.
    Citation {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that was open, if one was.
        part: Option<u32>,
        /// As the source has it.
        json: Json<'a>,
    },
    /// A part is complete.
    PartEnd {
        /// The choice that it belongs to.
        choice: u32,
        /// The part that ends.
        part: u32,
    },
    /// Probabilities of tokens.
    Logprobs {
        /// The choice that they belong to.
        choice: u32,
        /// The part that was open, if one was.
        part: Option<u32>,
        /// As the source has them.
        json: Json<'a>,
    },
    /// A choice is complete.
    Finish {
        /// The choice that ends.
        choice: u32,
        /// Why.
        reason: FinishReason<'a>,
        /// The stop string that was met, where the source says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        stop: Option<Cow<'a, str>>,
    },
    /// Token counts so far. The last one stands; they are never to be added up.
    Usage(Usage),
    /// A record that could not be read. It costs nothing but itself: the stream goes on.
    Malformed {
        /// Bytes before it in what the container wrote.
        offset: u64,
        /// The record.
        #[serde(serialize_with = "lossy")]
        bytes: Cow<'a, [u8]>,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something that this model has no name for.
    Other {
        /// The choice that it belongs to, if to one.
        #[serde(skip_serializing_if = "Option::is_none")]
        choice: Option<u32>,
        /// The name of the field or the event; `None` for a whole record.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Cow<'a, str>>,
        /// As the source has it.
        json: Json<'a>,
    },
}

impl Event<'_> {
    /// The same event, with a copy of what it borrowed.
    pub fn into_owned(self) -> Event<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Start { id, model, created, role } => {
                Event::Start { id: id.map(own), model: model.map(own), created, role: role.map(own) }
            }
            Self::PartStart { choice, part, kind } => {
                Event::PartStart { choice, part, kind: kind.into_owned() }
            }
            Self::TextDelta { choice, part, text } => Event::TextDelta { choice, part, text: own(text) },
            Self::ReasoningDelta { choice, part, text } => {
                Event::ReasoningDelta { choice, part, text: own(text) }
            }
            Self::RefusalDelta { choice, part, text } => {
                Event::RefusalDelta { choice, part, text: own(text) }
            }
            Self::ToolInputDelta { choice, part, text } => {
                Event::ToolInputDelta { choice, part, text: own(text) }
            }
            Self::OtherDelta { choice, part, json } => {
                Event::OtherDelta { choice, part, json: json.into_owned() }
            }
            Self::ReasoningSignature { choice, part, signature } => {
                Event::ReasoningSignature { choice, part, signature: own(signature) }
            }
            Self::Redacted { choice, part, data } => Event::Redacted { choice, part, data: own(data) },
            Self::Citation { choice, part, json } => {
                Event::Citation { choice, part, json: json.into_owned() }
            }
            Self::PartEnd { choice, part } => Event::PartEnd { choice, part },
            Self::Logprobs { choice, part, json } => {
                Event::Logprobs { choice, part, json: json.into_owned() }
            }
            Self::Finish { choice, reason, stop } => {
                Event::Finish { choice, reason: reason.into_owned(), stop: stop.map(own) }
            }
            Self::Usage(usage) => Event::Usage(usage),
            Self::Malformed { offset, bytes, why } => {
                Event::Malformed { offset, bytes: Cow::Owned(bytes.into_owned()), why }
            }
            Self::Other { choice, name, json } => {
                Event::Other { choice, name: name.map(own), json: json.into_owned() }
            }
        }
    }

    /// The choice of an event that belongs to a part or ends the choice.
    pub(crate) fn choice_of_part(&self) -> Option<u32> {
        match self {
            Self::PartStart { choice, .. }
            | Self::TextDelta { choice, .. }
            | Self::ReasoningDelta { choice, .. }
            | Self::RefusalDelta { choice, .. }
            | Self::ToolInputDelta { choice, .. }
            | Self::OtherDelta { choice, .. }
            | Self::ReasoningSignature { choice, .. }
            | Self::Redacted { choice, .. }
            | Self::Citation { choice, .. }
            | Self::PartEnd { choice, .. }
            | Self::Finish { choice, .. } => Some(*choice),
            _ => None,
        }
    }
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartKind<'a> {
    /// The answer.
    Text,
    /// What the model thought before it answered.
    Reasoning,
    /// Why the model will not answer.
    Refusal,
    /// A call of a tool that the request offered.
    ToolCall {
        /// The call's ID, which its result has to name; `None` where the source gives none.
        id: Option<Cow<'a, str>>,
        /// The tool's name.
        name: Cow<'a, str>,
        /// Its input is free text and no JSON: a custom tool of OpenAI's.
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        custom: bool,
    },
    /// A block that has no name here: a tool that the service runs itself, what it returned, an image. It goes back into
    /// the format that it came from, and is a loss in any other.
    Other {
        /// The format that it came from.
        api: Api,
        /// As the source has it; of a block that is streamed, how it begins.
        json: Json<'a>,
    },
}

impl PartKind<'_> {
    /// The same kind, with a copy of what it borrowed.
    pub fn into_owned(self) -> PartKind<'static> {
        match self {
            Self::Text => PartKind::Text,
            Self::Reasoning => PartKind::Reasoning,
            Self::Refusal => PartKind::Refusal,
            Self::ToolCall { id, name, custom } => PartKind::ToolCall {
                id: id.map(|id| Cow::Owned(id.into_owned())),
                name: Cow::Owned(name.into_owned()),
                custom,
            },
            Self::Other { api, json } => PartKind::Other { api, json: json.into_owned() },
        }
    }
}

/// Why a choice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason<'a> {
    /// The model was done, or met a stop string.
    Stop,
    /// The model met a stop string, in a format that tells the two apart.
    StopSequence,
    /// The limit on tokens was reached.
    Length,
    /// The model's context is full.
    ContextWindow,
    /// The model calls tools.
    ToolCalls,
    /// The answer was withheld.
    ContentFilter,
    /// A guardrail of the service withheld or changed the answer.
    Guardrail,
    /// The model will not answer.
    Refusal,
    /// A long turn was interrupted, and goes on when it is sent back.
    Pause,
    /// The model wrote what its service cannot read.
    MalformedOutput,
    /// The model called a tool in a way that its service cannot read.
    MalformedToolUse,
    /// A reason that this model has no name for, as it came.
    Other(Cow<'a, str>),
}

impl FinishReason<'_> {
    /// The name of the reason: OpenAI's, where it has one, or the reason as it came.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::StopSequence => "stop_sequence",
            Self::Length => "length",
            Self::ContextWindow => "context_window",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Guardrail => "guardrail",
            Self::Refusal => "refusal",
            Self::Pause => "pause",
            Self::MalformedOutput => "malformed_output",
            Self::MalformedToolUse => "malformed_tool_use",
            Self::Other(reason) => reason,
        }
    }

    /// The same reason, with a copy of what it borrowed.
    pub fn into_owned(self) -> FinishReason<'static> {
        match self {
            Self::Stop => FinishReason::Stop,
            Self::StopSequence => FinishReason::StopSequence,
            Self::Length => FinishReason::Length,
            Self::ContextWindow => FinishReason::ContextWindow,
            Self::ToolCalls => FinishReason::ToolCalls,
            Self::ContentFilter => FinishReason::ContentFilter,
            Self::Guardrail => FinishReason::Guardrail,
            Self::Refusal => FinishReason::Refusal,
            Self::Pause => FinishReason::Pause,
            Self::MalformedOutput => FinishReason::MalformedOutput,
            Self::MalformedToolUse => FinishReason::MalformedToolUse,
            Self::Other(reason) => FinishReason::Other(Cow::Owned(reason.into_owned())),
        }
    }
}

impl Serialize for FinishReason<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A piece of JSON as the source wrote it. Serialised as JSON, not as a string that holds JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<'a>(pub Cow<'a, str>);

impl Json<'_> {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same JSON, with a copy of what it borrowed.
    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&serde_json::value::RawValue>(&self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => serializer.serialize_str(&self.0),
        }
    }
}

// The signature is the one that serde's derive calls.
#[allow(clippy::ptr_arg)]
fn lossy<S: Serializer>(bytes: &Cow<'_, [u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}
