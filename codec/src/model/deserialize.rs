//! Deserializes events from the JSON that they serialize as.

use alloc::borrow::Cow;
use alloc::string::String;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::model::{Api, Event, FinishReason, Json, PartKind, Usage};

/// The fields of all events. An event is read into this first: serde's own way to read a tagged enum goes through a buffer
/// that does not keep JSON as it is written.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "kind")]
    part_kind: Option<String>,
    choice: Option<u32>,
    part: Option<u32>,
    id: Option<Cow<'a, str>>,
    model: Option<Cow<'a, str>>,
    created: Option<u64>,
    role: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    #[serde(default)]
    custom: bool,
    api: Option<Api>,
    text: Option<Cow<'a, str>>,
    signature: Option<Cow<'a, str>>,
    data: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "json")]
    json: Option<Json<'a>>,
    reason: Option<Cow<'a, str>>,
    stop: Option<Cow<'a, str>>,
    offset: Option<u64>,
    bytes: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

/// A field that is there, also if it is null.
fn json<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Event<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        let kind = fields.kind.clone();
        fields.event().map_err(|missing| match missing {
            "" => D::Error::unknown_variant(&kind, &[]),
            field => D::Error::missing_field(field),
        })
    }
}

impl<'a> Fields<'a> {
    /// The event; otherwise the field that is missing, or nothing for an unknown type.
    fn event(self) -> Result<Event<'a>, &'static str> {
        let choice = self.choice.ok_or("choice");
        let part = self.part.ok_or("part");
        let text = self.text.ok_or("text");
        let json = self.json.ok_or("json");
        Ok(match &*self.kind {
            "start" => {
                Event::Start { id: self.id, model: self.model, created: self.created, role: self.role }
            }
            "part_start" => {
                let kind = match &*self.part_kind.ok_or("kind")? {
                    "text" => PartKind::Text,
                    "reasoning" => PartKind::Reasoning,
                    "refusal" => PartKind::Refusal,
                    "tool_call" => PartKind::ToolCall {
                        id: self.id,
                        name: self.name.ok_or("name")?,
                        custom: self.custom,
                    },
                    "other" => PartKind::Other { api: self.api.ok_or("api")?, json: json? },
                    _ => return Err(""),
                };
                Event::PartStart { choice: choice?, part: part?, kind }
            }
            "text_delta" => Event::TextDelta { choice: choice?, part: part?, text: text? },
            "reasoning_delta" => Event::ReasoningDelta { choice: choice?, part: part?, text: text? },
            "refusal_delta" => Event::RefusalDelta { choice: choice?, part: part?, text: text? },
            "tool_input_delta" => Event::ToolInputDelta { choice: choice?, part: part?, text: text? },
            "other_delta" => Event::OtherDelta { choice: choice?, part: part?, json: json? },
            "reasoning_signature" => {
                let signature = self.signature.ok_or("signature")?;
                Event::ReasoningSignature { choice: choice?, part: part?, signature }
            }
            "redacted" => Event::Redacted { choice: choice?, part: part?, data: self.data.ok_or("data")? },
            "citation" => Event::Citation { choice: choice?, part: self.part, json: json? },
            "part_end" => Event::PartEnd { choice: choice?, part: part? },
            "logprobs" => Event::Logprobs { choice: choice?, part: self.part, json: json? },
            "finish" => {
                let reason = FinishReason::named(self.reason.ok_or("reason")?);
                Event::Finish { choice: choice?, reason, stop: self.stop }
            }
            "usage" => Event::Usage(Usage {
                input_tokens: self.input_tokens,
                output_tokens: self.output_tokens,
                total_tokens: self.total_tokens,
                cache_read_tokens: self.cache_read_tokens,
                cache_write_tokens: self.cache_write_tokens,
                reasoning_tokens: self.reasoning_tokens,
            }),
            "malformed" => Event::Malformed {
                offset: self.offset.ok_or("offset")?,
                bytes: Cow::Owned(self.bytes.ok_or("bytes")?.into_bytes()),
                reason: self.reason.ok_or("reason")?,
            },
            "other" => Event::Other { choice: self.choice, name: self.name, json: json? },
            _ => return Err(""),
        })
    }
}
