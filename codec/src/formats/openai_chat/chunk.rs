//! The fields of a chunk, by their spans.
//!
//! Fields come in any order, and the meaning of one can depend on a later one: the choices may precede the ID, the finish
//! reason the delta, and the delta the index. So each object is first walked to find its fields, and then read in a fixed
//! order. The first walk over a document also checks all of it, and finds the fields of the first choice, of its delta, and
//! of the first tool call in the delta: nearly every chunk has one of each. A list is only walked again if it has more.

use core::ops::Range;

use crate::json::{Fault, Json, Kind, Str};

/// The value of a number, if it is an integer that fits.
pub(crate) fn integer(record: &[u8], number: Option<&Range<usize>>) -> Option<u64> {
    core::str::from_utf8(&record[number?.clone()]).ok()?.parse().ok()
}

/// The string, unless it is empty: servers write `""` for a missing string.
pub(crate) fn non_empty(string: Option<Str>) -> Option<Str> {
    string.filter(|string| string.start < string.end)
}

/// Fields about where and at which price a response is generated. Nearly every chunk repeats them.
pub(crate) const REPEATED_FIELDS: [&str; 2] = ["service_tier", "system_fingerprint"];

/// The fields of a chunk.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(crate) range: Range<usize>,
    pub(crate) id: Option<Str>,
    pub(crate) model: Option<Str>,
    pub(crate) created: Option<Range<usize>>,
    pub(crate) obfuscation: Option<Str>,
    pub(crate) choices: Option<Range<usize>>,
    /// The first choice, and the number of choices, which is nearly always one.
    pub(crate) first: Option<Choice>,
    pub(crate) count: usize,
    pub(crate) usage: Option<Range<usize>>,
    /// The values of [`REPEATED_FIELDS`].
    pub(crate) repeated: [Option<Range<usize>>; 2],
    pub(crate) error: Option<Range<usize>>,
    pub(crate) is_error: bool,
    /// It is a non-streaming response.
    pub(crate) is_whole: bool,
    /// There are fields that have no meaning here and are not null.
    pub(crate) has_other_fields: bool,
}

impl Chunk {
    pub(crate) fn is_known(name: &[u8]) -> bool {
        matches!(
            name,
            b"id"
                | b"model"
                | b"created"
                | b"choices"
                | b"usage"
                | b"error"
                | b"object"
                | b"system_fingerprint"
                | b"service_tier"
                | b"obfuscation"
        )
    }

    /// The index of a field in [`REPEATED_FIELDS`].
    pub(crate) fn repeated(name: &[u8]) -> Option<usize> {
        REPEATED_FIELDS.iter().position(|known| known.as_bytes() == name)
    }

    pub(crate) fn is_of_error(name: &[u8]) -> bool {
        matches!(
            name,
            b"message"
                | b"type"
                | b"code"
                | b"param"
                | b"error_type"
                | b"sequence_number"
                | b"request_id"
                | b"detail"
        )
    }

    pub(crate) fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        let mut chunk = Self::default();
        let start = json.pos();
        json.object(|json, name| {
            match name {
                b"id" => chunk.id = non_empty(json.string_or_skip()?),
                b"model" => chunk.model = non_empty(json.string_or_skip()?),
                b"created" => chunk.created = json.skip_kind(Kind::Number)?,
                b"obfuscation" => chunk.obfuscation = json.string_or_skip()?,
                b"choices" if json.kind()? == Kind::Array => chunk.find_choices(json)?,
                b"choices" => {
                    (chunk.choices, chunk.first, chunk.count) = (json.skip().map(|_| None)?, None, 0)
                }
                b"usage" => chunk.usage = json.skip_kind(Kind::Object)?,
                b"error" => chunk.error = json.skip_some()?,
                b"service_tier" => chunk.repeated[0] = json.skip_some()?,
                b"system_fingerprint" => chunk.repeated[1] = json.skip_some()?,
                b"object" => {
                    let object = json.string_or_skip()?.map(|object| json.unescaped(object));
                    chunk.is_error = object.as_deref() == Some(b"error");
                    chunk.is_whole = object.as_deref() == Some(b"chat.completion");
                }
                name => chunk.has_other_fields |= json.skip_some()?.is_some() && !Self::is_known(name),
            }
            Ok(())
        })?;
        chunk.range = start..json.pos();
        Ok(chunk)
    }

    fn find_choices(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        let start = json.pos();
        (self.first, self.count) = (None, 0);
        json.array(|json| {
            self.count += 1;
            if self.first.is_none() && json.kind()? == Kind::Object {
                self.first = Some(Choice::find(json)?);
                return Ok::<_, Fault>(());
            }
            json.skip().map(drop)
        })?;
        self.choices = Some(start..json.pos());
        Ok(())
    }
}

/// The fields of a choice.
#[derive(Default)]
pub(crate) struct Choice {
    pub(crate) range: Range<usize>,
    pub(crate) index: Option<Range<usize>>,
    /// `delta`, or `message` in a non-streaming response.
    pub(crate) delta: Option<Delta>,
    pub(crate) is_message: bool,
    pub(crate) text: Option<Str>,
    pub(crate) finish: Option<Str>,
    pub(crate) stop: Option<Str>,
    /// May be null.
    pub(crate) logprobs: Option<Range<usize>>,
    /// It has an `error`: OpenRouter.
    pub(crate) has_error: bool,
    /// There are fields that have no meaning here and are not null.
    pub(crate) has_other_fields: bool,
}

impl Choice {
    pub(crate) fn is_known(name: &[u8]) -> bool {
        matches!(name, b"index" | b"delta" | b"message" | b"text" | b"finish_reason" | b"logprobs")
    }

    pub(crate) fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        let mut choice = Self::default();
        let start = json.pos();
        json.object(|json, name| {
            match name {
                b"index" => choice.index = json.skip_kind(Kind::Number)?,
                b"delta" | b"message" if json.kind()? == Kind::Object => {
                    choice.is_message = name == b"message";
                    choice.delta = Some(Delta::find(json)?);
                }
                b"text" => choice.text = non_empty(json.string_or_skip()?),
                b"finish_reason" => choice.finish = json.string_or_skip()?,
                b"stop_reason" | b"matched_stop" if json.kind()? == Kind::String => {
                    choice.stop = Some(json.string()?)
                }
                b"logprobs" => choice.logprobs = Some(json.skip()?),
                b"error" => {
                    choice.has_error = json.skip_some()?.is_some();
                    choice.has_other_fields |= choice.has_error;
                }
                name => choice.has_other_fields |= json.skip_some()?.is_some() && !Self::is_known(name),
            }
            Ok(())
        })?;
        choice.range = start..json.pos();
        Ok(choice)
    }
}

/// The fields of a delta or a message.
#[derive(Default)]
pub(crate) struct Delta {
    pub(crate) range: Range<usize>,
    pub(crate) role: Option<Str>,
    pub(crate) content: Option<Str>,
    pub(crate) content_parts: Option<Range<usize>>,
    pub(crate) reasoning_content: Option<Str>,
    pub(crate) reasoning: Option<Str>,
    pub(crate) refusal: Option<Str>,
    /// A list or an object.
    pub(crate) tool_calls: Option<Range<usize>>,
    /// The first call of the list, and the number of calls.
    pub(crate) first_call: Option<ToolCall>,
    pub(crate) call_count: usize,
    pub(crate) function_call: Option<Range<usize>>,
    /// There are fields that have no meaning here and are not null.
    pub(crate) has_other_fields: bool,
}

impl Delta {
    pub(crate) fn is_known(name: &[u8]) -> bool {
        matches!(
            name,
            b"role"
                | b"content"
                | b"reasoning_content"
                | b"reasoning"
                | b"refusal"
                | b"tool_calls"
                | b"function_call"
        )
    }

    /// Whether a field without a meaning here belongs into a message or a delta, and not beside it.
    pub(crate) fn has(name: &str) -> bool {
        matches!(name, "audio" | "images" | "phase" | "reasoning_details" | "thinking_blocks")
    }

    pub(crate) fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        let mut delta = Self::default();
        let start = json.pos();
        json.object(|json, name| {
            match name {
                b"role" => delta.role = non_empty(json.string_or_skip()?),
                b"content" if json.kind()? == Kind::Array => delta.content_parts = Some(json.skip()?),
                b"content" => delta.content = json.string_or_skip()?,
                b"reasoning_content" => delta.reasoning_content = non_empty(json.string_or_skip()?),
                b"reasoning" => delta.reasoning = non_empty(json.string_or_skip()?),
                b"refusal" => delta.refusal = json.string_or_skip()?,
                b"tool_calls" => delta.find_calls(json)?,
                b"function_call" => delta.function_call = json.skip_kind(Kind::Object)?,
                name => delta.has_other_fields |= json.skip_some()?.is_some() && !Self::is_known(name),
            }
            Ok(())
        })?;
        delta.range = start..json.pos();
        Ok(delta)
    }

    fn find_calls(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        let kind = json.kind()?;
        let start = json.pos();
        (self.tool_calls, self.first_call, self.call_count) = (None, None, 0);
        match kind {
            Kind::Array => json.array(|json| {
                self.call_count += 1;
                if self.first_call.is_none() && json.kind()? == Kind::Object {
                    self.first_call = Some(ToolCall::find(json)?);
                    return Ok::<_, Fault>(());
                }
                json.skip().map(drop)
            })?,
            Kind::Object => (self.first_call, self.call_count) = (Some(ToolCall::find(json)?), 1),
            _ => return json.skip().map(drop),
        }
        self.tool_calls = Some(start..json.pos());
        Ok(())
    }
}

/// The fields of a tool call, in whichever of its objects they are.
#[derive(Default)]
pub(crate) struct ToolCall {
    pub(crate) start: usize,
    pub(crate) index: Option<Range<usize>>,
    pub(crate) id: Option<Str>,
    pub(crate) name: Option<Str>,
    pub(crate) arguments: Option<Arguments>,
    /// It calls a custom tool, with free text as input.
    pub(crate) custom: bool,
}

pub(crate) enum Arguments {
    String(Str),
    Json(Range<usize>),
}

impl ToolCall {
    pub(crate) fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        json.kind()?;
        let mut call = Self { start: json.pos(), ..Self::default() };
        call.find_fields(json)?;
        Ok(call)
    }

    fn find_fields(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        json.object(|json, name| {
            match name {
                b"index" => self.index = json.skip_kind(Kind::Number)?,
                b"id" => self.id = json.string_or_skip()?,
                b"name" => self.name = json.string_or_skip()?,
                b"function" if json.kind()? == Kind::Object => self.find_fields(json)?,
                b"custom" if json.kind()? == Kind::Object => self.find_custom(json)?,
                b"arguments" | b"input" => {
                    self.arguments = match json.kind()? {
                        Kind::String => Some(Arguments::String(json.string()?)),
                        _ => json.skip_some()?.map(Arguments::Json),
                    }
                }
                _ => json.skip().map(drop)?,
            }
            Ok(())
        })
    }

    /// A custom tool's name and input. Some gateways put an empty object beside every function.
    fn find_custom(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        let mut call = Self::default();
        call.find_fields(json)?;
        self.custom = call.name.is_some() || call.arguments.is_some();
        (self.name, self.arguments) = (call.name.or(self.name), call.arguments.or(self.arguments.take()));
        Ok(())
    }
}
