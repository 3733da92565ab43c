//! Copies of requests and events that borrow nothing.

use alloc::borrow::{Cow, ToOwned};
use alloc::vec::Vec;

use crate::json::Landmarks;
use crate::model::{
    Api, Content, Event, FinishReason, Json, Message, Param, Part, PartKind, Reasoning, Request,
    ResponseFormat, Role, Source, Text, Tool, ToolChoice, Usage,
};

/// A value that can copy what it borrows.
trait Owned {
    type Static;

    fn owned(self) -> Self::Static;
}

impl<T: ToOwned + ?Sized + 'static> Owned for Cow<'_, T> {
    type Static = Cow<'static, T>;

    fn owned(self) -> Self::Static {
        Cow::Owned(self.into_owned())
    }
}

impl<T: Owned> Owned for Option<T> {
    type Static = Option<T::Static>;

    fn owned(self) -> Self::Static {
        self.map(T::owned)
    }
}

impl<T: Owned> Owned for Vec<T> {
    type Static = Vec<T::Static>;

    fn owned(self) -> Self::Static {
        self.into_iter().map(T::owned).collect()
    }
}

impl<T: Owned> Owned for Param<T> {
    type Static = Param<T::Static>;

    fn owned(self) -> Self::Static {
        Param { value: self.value.owned(), offset: self.offset }
    }
}

impl<A: Owned, B: Owned> Owned for (A, B) {
    type Static = (A::Static, B::Static);

    fn owned(self) -> Self::Static {
        (self.0.owned(), self.1.owned())
    }
}

macro_rules! plain {
    ($($type:ty),*) => {
        $(impl Owned for $type {
            type Static = Self;

            fn owned(self) -> Self {
                self
            }
        })*
    };
}

plain!(bool, u32, u64, i64, f64, Api, Landmarks, Usage);

macro_rules! inherent {
    ($($type:ident),*) => {
        $(impl Owned for $type<'_> {
            type Static = $type<'static>;

            fn owned(self) -> Self::Static {
                self.into_owned()
            }
        })*
    };
}

inherent!(
    Content,
    FinishReason,
    Json,
    Message,
    Part,
    PartKind,
    Reasoning,
    ResponseFormat,
    Role,
    Source,
    Text,
    Tool,
    ToolChoice
);

macro_rules! structs {
    ($($type:ident { $($field:ident),* })*) => {
        $(impl $type<'_> {
            /// Copies everything that the value borrows.
            pub fn into_owned(self) -> $type<'static> {
                $type { $($field: self.$field.owned()),* }
            }
        })*
    };
}

structs! {
    Message { role, content, name, extension_fields, offset }
    Part { content, cache, extension_fields, offset }
    Tool { name, description, schema, strict, cache, other, extension_fields, offset }
    Reasoning { effort, budget_tokens, other }
    Request {
        model, messages, tools, tool_choice, parallel_tool_calls, max_tokens, temperature, top_p, do_sample, top_k,
        min_p, seed, n, stop, frequency_penalty, presence_penalty, repetition_penalty, logprobs, top_logprobs,
        logit_bias, response_format, reasoning, stream, include_usage, user, service_tier, project,
        return_full_text, details,
        prompt, prompts, extra_parameters, extension_fields, api, source, landmarks
    }
}

macro_rules! enums {
    ($($type:ident {
        $($variant:ident $(($tuple:ident))? $({ $($field:ident),* })?),* $(,)?
    })*) => {
        $(impl $type<'_> {
            /// Copies everything that the value borrows.
            pub fn into_owned(self) -> $type<'static> {
                match self {
                    $(Self::$variant $(($tuple))? $({ $($field),* })? => {
                        $type::$variant $(($tuple.owned()))? $({ $($field: $field.owned()),* })?
                    })*
                }
            }
        })*
    };
}

enums! {
    Role { System, Developer, User, Assistant, Tool, Other(role) }
    Content {
        Text(text), Reasoning { text, signature }, Redacted(data), Refusal(text), Image { source, detail },
        Audio { source }, Video { source }, Document { source, name }, ToolCall { id, name, input, custom },
        ToolResult { id, content, is_error }, Json(json), Other(json),
    }
    Source { Base64 { media_type, data }, Url(url), File(id), Text(text) }
    ToolChoice { Auto, None, Required, Tool(name), Allowed { tools, required }, Other(json) }
    ResponseFormat {
        Text, JsonObject, JsonSchema { name, description, schema, strict }, Regex(regex), Other(json),
    }
    Event {
        Start { id, model, created, role }, PartStart { choice, part, kind }, TextDelta { choice, part, text },
        ReasoningDelta { choice, part, text }, RefusalDelta { choice, part, text },
        ToolInputDelta { choice, part, text }, OtherDelta { choice, part, json },
        ReasoningSignature { choice, part, signature }, Redacted { choice, part, data },
        Citation { choice, part, json }, PartEnd { choice, part }, Logprobs { choice, part, json },
        Finish { choice, reason, stop }, Usage(usage), Malformed { offset, bytes, reason },
        Other { choice, name, json },
    }
    PartKind { Text, Reasoning, Refusal, ToolCall { id, name, custom }, Other { api, json } }
    FinishReason {
        Stop, StopSequence, Length, ContextWindow, ToolCalls, ContentFilter, Guardrail, Refusal, Pause, Compaction,
        MalformedOutput, MalformedToolUse, Other(reason),
    }
}
