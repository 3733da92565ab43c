//! The events of a chat stream.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::model::{Api, Usage};

/// One event of a chat stream. Borrows from the chunk or from the decoder.
///
/// `choice` is the index of the choice (`n > 1` gives several), `part` counts the parts of a choice from zero.
///
/// Events serialize as JSON objects with a `type`, and deserialize from them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// The response begins. Fields that the source has not sent yet are `None`.
    Start {
        /// The source's ID of this response.
        id: Option<Cow<'a, str>>,
        /// The model, as the container names it.
        model: Option<Cow<'a, str>>,
        /// Seconds since the Unix epoch.
        created: Option<u64>,
        /// The role; nearly always `assistant`.
        role: Option<Cow<'a, str>>,
    },
    /// A part opens.
    PartStart {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
        /// What the part contains.
        #[serde(flatten)]
        kind: PartKind<'a>,
    },
    /// More text of a text part.
    TextDelta {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
        /// Never empty; whole characters.
        text: Cow<'a, str>,
    },
    /// More text of a reasoning part.
    ReasoningDelta {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
        /// Never empty; whole characters.
        text: Cow<'a, str>,
    },
    /// More text of a refusal.
    RefusalDelta {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
        /// Never empty; whole characters.
        text: Cow<'a, str>,
    },
    /// More of a tool call's input: a piece of JSON, or of free text for a custom tool.
    ToolInputDelta {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
        /// Never empty. The input is all deltas of the part joined; no delta at all means no arguments.
        text: Cow<'a, str>,
    },
    /// More of a [`PartKind::Other`].
    OtherDelta {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
        /// The delta as the source sent it. Only its API defines how it changes the block.
        json: Json<'a>,
    },
    /// The signature of a reasoning part, without which its provider does not accept it back. It may come after the part
    /// has ended.
    ReasoningSignature {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
        /// Opaque. Several signatures of one part are joined.
        signature: Cow<'a, str>,
    },
    /// Encrypted reasoning, which only its provider can read, in a reasoning part.
    Redacted {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
        /// Opaque, in Base64.
        data: Cow<'a, str>,
    },
    /// A citation in a text.
    Citation {
        /// Index of the choice.
        choice: u32,
        /// Index of the part that was open, if any.
        part: Option<u32>,
        /// The JSON as the source sent it.
        json: Json<'a>,
    },
    /// A part is complete.
    PartEnd {
        /// Index of the choice.
        choice: u32,
        /// Index of the part in its choice.
        part: u32,
    },
    /// Probabilities of tokens.
    Logprobs {
        /// Index of the choice.
        choice: u32,
        /// Index of the part that was open, if any.
        part: Option<u32>,
        /// The JSON as the source sent it.
        json: Json<'a>,
    },
    /// A choice is complete.
    Finish {
        /// Index of the choice.
        choice: u32,
        /// Why it ended.
        reason: FinishReason<'a>,
        /// The stop string that ended the response, if the source reports it.
        #[serde(skip_serializing_if = "Option::is_none")]
        stop: Option<Cow<'a, str>>,
    },
    /// Token counts so far. Each replaces the previous one; they must not be added up.
    Usage(Usage),
    /// A record that could not be read. Nothing else is lost: the stream continues.
    Malformed {
        /// Byte offset of the record in what the container wrote.
        offset: u64,
        /// The record.
        #[serde(serialize_with = "lossy")]
        bytes: Cow<'a, [u8]>,
        /// What is wrong with it.
        reason: Cow<'a, str>,
    },
    /// A field or a record that has no event of its own.
    Other {
        /// Index of the choice, if it belongs to one.
        #[serde(skip_serializing_if = "Option::is_none")]
        choice: Option<u32>,
        /// The name of the field or the event; `None` for a whole record.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Cow<'a, str>>,
        /// The JSON as the source sent it.
        json: Json<'a>,
    },
}

impl Event<'_> {
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

/// The kind of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartKind<'a> {
    /// Text of the response.
    Text,
    /// Reasoning that precedes the response.
    Reasoning,
    /// The model's explanation for a refusal.
    Refusal,
    /// A call of a tool.
    ToolCall {
        /// ID of the call, which the tool's result has to repeat; `None` if the source sends none.
        id: Option<Cow<'a, str>>,
        /// The tool's name.
        name: Cow<'a, str>,
        /// Whether the input is free text instead of JSON: a custom tool of OpenAI.
        #[serde(skip_serializing_if = "core::ops::Not::not")]
        custom: bool,
    },
    /// A block that has no kind of its own, such as a tool that the service runs itself, its result, or an image. It can be
    /// written back to the API that it came from, and is a loss for any other.
    Other {
        /// The format that it came from.
        api: Api,
        /// The block as the source sent it; for a streamed block, its start.
        json: Json<'a>,
    },
}

/// Why a choice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason<'a> {
    /// The model ended its response, or generated a stop string.
    Stop,
    /// The model generated a stop string, in an API that distinguishes this from [`Stop`](Self::Stop).
    StopSequence,
    /// The limit on tokens was reached.
    Length,
    /// The model's context is full.
    ContextWindow,
    /// The model calls tools.
    ToolCalls,
    /// A content filter withheld the response.
    ContentFilter,
    /// A guardrail of the service withheld or changed the response.
    Guardrail,
    /// The model refused to respond.
    Refusal,
    /// The service paused a long turn. It continues when the response is sent back.
    Pause,
    /// The service summarized the conversation, which was too long, and the response has the summary. The turn continues when the
    /// response is sent back.
    Compaction,
    /// The service could not parse the model's output.
    MalformedOutput,
    /// The service could not parse the model's tool call.
    MalformedToolUse,
    /// Any other reason, as the source sent it.
    Other(Cow<'a, str>),
}

impl<'a> FinishReason<'a> {
    /// Names of the reasons: those of OpenAI, where it has one.
    const NAMED: [(&'static str, FinishReason<'static>); 12] = [
        ("stop", FinishReason::Stop),
        ("stop_sequence", FinishReason::StopSequence),
        ("length", FinishReason::Length),
        ("context_window", FinishReason::ContextWindow),
        ("tool_calls", FinishReason::ToolCalls),
        ("content_filter", FinishReason::ContentFilter),
        ("guardrail", FinishReason::Guardrail),
        ("refusal", FinishReason::Refusal),
        ("pause", FinishReason::Pause),
        ("compaction", FinishReason::Compaction),
        ("malformed_output", FinishReason::MalformedOutput),
        ("malformed_tool_use", FinishReason::MalformedToolUse),
    ];

    /// The name of the reason: that of OpenAI, where it has one. [`Other`](Self::Other) returns the source's own.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(reason) => reason,
            named => {
                let found = Self::NAMED.iter().find(|(_, known)| known == named);
                found.map_or("", |(name, _)| name)
            }
        }
    }

    /// Whether the turn is not over: it continues when the response is sent back. A caller that takes such a response for the last
    /// one stops too early.
    pub fn is_paused(&self) -> bool {
        matches!(self, Self::Pause | Self::Compaction)
    }

    /// The reason with this [name](Self::as_str).
    pub(crate) fn named(name: Cow<'a, str>) -> Self {
        match Self::NAMED.iter().find(|(known, _)| *known == name) {
            Some((_, reason)) => reason.clone(),
            None => Self::Other(name),
        }
    }
}

/// Its [name](FinishReason::as_str).
impl fmt::Display for FinishReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for FinishReason<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FinishReason<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::named(Cow::Owned(name)))
    }
}

/// JSON as the source wrote it. It serializes as JSON, not as a string that contains JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Json<'a>(pub Cow<'a, str>);

impl Json<'_> {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Copies what the JSON borrows.
    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(&self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => serializer.serialize_str(&self.0),
        }
    }
}

/// Any JSON, kept byte for byte. Only `serde_json` can deserialize it.
impl<'de> Deserialize<'de> for Json<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Cow::Owned(Box::<str>::from(raw).into())))
    }
}

// serde's derive requires this signature.
#[allow(clippy::ptr_arg)]
fn lossy<S: Serializer>(bytes: &Cow<'_, [u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}
