//! Copies of requests that borrow nothing.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::json::Landmarks;
use crate::model::{
    Api, Content, Json, Message, Param, Part, Reasoning, Request, ResponseFormat, Role, Source, Text, Tool,
    ToolChoice,
};

/// A value that can copy what it borrows.
trait Owned {
    type Static;

    fn owned(self) -> Self::Static;
}

impl Owned for Cow<'_, str> {
    type Static = Cow<'static, str>;

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

plain!(bool, u32, u64, i64, f64, Api, Landmarks);

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

inherent!(Content, Json, Message, Part, Reasoning, ResponseFormat, Role, Source, Text, Tool, ToolChoice);

macro_rules! structs {
    ($($type:ident { $($field:ident),* })*) => {
        $(impl $type<'_> {
            /// The same, with a copy of everything that it borrowed.
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
        logit_bias, response_format, reasoning, stream, include_usage, user, service_tier, return_full_text, details,
        prompt, prompts, extra_parameters, extension_fields, api, source, landmarks
    }
}

impl Role<'_> {
    /// The same, with a copy of everything that it borrowed.
    pub fn into_owned(self) -> Role<'static> {
        match self {
            Self::System => Role::System,
            Self::Developer => Role::Developer,
            Self::User => Role::User,
            Self::Assistant => Role::Assistant,
            Self::Tool => Role::Tool,
            Self::Other(role) => Role::Other(role.owned()),
        }
    }
}

impl Content<'_> {
    /// The same, with a copy of everything that it borrowed.
    pub fn into_owned(self) -> Content<'static> {
        match self {
            Self::Text(text) => Content::Text(text.owned()),
            Self::Reasoning { text, signature } => {
                Content::Reasoning { text: text.owned(), signature: signature.owned() }
            }
            Self::Redacted(data) => Content::Redacted(data.owned()),
            Self::Refusal(text) => Content::Refusal(text.owned()),
            Self::Image { source, detail } => {
                Content::Image { source: source.owned(), detail: detail.owned() }
            }
            Self::Audio { source } => Content::Audio { source: source.owned() },
            Self::Video { source } => Content::Video { source: source.owned() },
            Self::Document { source, name } => {
                Content::Document { source: source.owned(), name: name.owned() }
            }
            Self::ToolCall { id, name, input, custom } => {
                Content::ToolCall { id: id.owned(), name: name.owned(), input: input.owned(), custom }
            }
            Self::ToolResult { id, content, is_error } => {
                Content::ToolResult { id: id.owned(), content: content.owned(), is_error }
            }
            Self::Json(json) => Content::Json(json.owned()),
            Self::Other(json) => Content::Other(json.owned()),
        }
    }
}

impl Source<'_> {
    /// The same, with a copy of everything that it borrowed.
    pub fn into_owned(self) -> Source<'static> {
        match self {
            Self::Base64 { media_type, data } => {
                Source::Base64 { media_type: media_type.owned(), data: data.owned() }
            }
            Self::Url(url) => Source::Url(url.owned()),
            Self::File(id) => Source::File(id.owned()),
            Self::Text(text) => Source::Text(text.owned()),
        }
    }
}

impl ToolChoice<'_> {
    /// The same, with a copy of everything that it borrowed.
    pub fn into_owned(self) -> ToolChoice<'static> {
        match self {
            Self::Auto => ToolChoice::Auto,
            Self::None => ToolChoice::None,
            Self::Required => ToolChoice::Required,
            Self::Tool(name) => ToolChoice::Tool(name.owned()),
            Self::Allowed { tools, required } => ToolChoice::Allowed { tools: tools.owned(), required },
            Self::Other(json) => ToolChoice::Other(json.owned()),
        }
    }
}

impl ResponseFormat<'_> {
    /// The same, with a copy of everything that it borrowed.
    pub fn into_owned(self) -> ResponseFormat<'static> {
        match self {
            Self::Text => ResponseFormat::Text,
            Self::JsonObject => ResponseFormat::JsonObject,
            Self::JsonSchema { name, description, schema, strict } => ResponseFormat::JsonSchema {
                name: name.owned(),
                description: description.owned(),
                schema: schema.owned(),
                strict,
            },
            Self::Regex(regex) => ResponseFormat::Regex(regex.owned()),
            Self::Other(json) => ResponseFormat::Other(json.owned()),
        }
    }
}
