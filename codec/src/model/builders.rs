//! Builders for requests.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::{Content, Json, Message, Param, Part, Request, Role, Source, Text, Tool};
use crate::setters::setters;

/// The content of a message or of a tool's result: a text, a part, or several parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Parts<'a>(pub Vec<Part<'a>>);

macro_rules! parts {
    ($($value:ident: $type:ty => $parts:expr;)*) => {
        $(impl<'a> From<$type> for Parts<'a> {
            fn from($value: $type) -> Self {
                Self($parts)
            }
        })*
    };
}

parts! {
    parts: Vec<Part<'a>> => parts;
    part: Part<'a> => Vec::from([part]);
    text: Text<'a> => Vec::from([Part::text(text)]);
    text: &'a str => Vec::from([Part::text(text)]);
    text: String => Vec::from([Part::text(text)]);
}

impl<T> From<T> for Param<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<'a> From<&'a str> for Param<Cow<'a, str>> {
    fn from(value: &'a str) -> Self {
        Self::new(value.into())
    }
}

impl From<String> for Param<Cow<'_, str>> {
    fn from(value: String) -> Self {
        Self::new(value.into())
    }
}

impl<'a> Request<'a> {
    /// A request without messages or parameters.
    ///
    /// ```
    /// use sagewire_codec::model::{Message, Request};
    ///
    /// let request = Request::new()
    ///     .message(Message::system("Be brief."))
    ///     .message(Message::user("Hello!"))
    ///     .max_tokens(100);
    /// assert_eq!(request.messages.len(), 2);
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        model(model: impl Into<Cow<'a, str>>) => Some(Param::new(model.into()));
        max_tokens(tokens: u64) => Some(tokens.into());
        temperature(temperature: f64) => Some(temperature.into());
        stream(stream: bool) => Some(stream.into());
    }

    /// Adds a message.
    #[must_use]
    pub fn message(mut self, message: Message<'a>) -> Self {
        self.messages.push(message);
        self
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: Tool<'a>) -> Self {
        self.tools.push(tool);
        self
    }
}

impl<'a> Message<'a> {
    /// A message of this role.
    pub fn new(role: Role<'a>, content: impl Into<Parts<'a>>) -> Self {
        Self { role, content: content.into().0, name: None, extension_fields: Vec::new(), offset: None }
    }

    /// A system message.
    pub fn system(content: impl Into<Parts<'a>>) -> Self {
        Self::new(Role::System, content)
    }

    /// A message of the user.
    pub fn user(content: impl Into<Parts<'a>>) -> Self {
        Self::new(Role::User, content)
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<Parts<'a>>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// The result of the call with this ID.
    pub fn tool(id: impl Into<Cow<'a, str>>, content: impl Into<Parts<'a>>) -> Self {
        Self::new(Role::Tool, Part::tool_result(id, content))
    }
}

impl<'a> Part<'a> {
    /// A part with this content.
    pub fn new(content: Content<'a>) -> Self {
        Self { content, cache: None, extension_fields: Vec::new(), offset: None }
    }

    /// Text.
    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Self::new(Content::Text(text.into()))
    }

    /// Reasoning of the model, without a signature.
    pub fn reasoning(text: impl Into<Text<'a>>) -> Self {
        Self::new(Content::Reasoning { text: text.into(), signature: None })
    }

    /// An image at a URL: `https` or `s3`.
    pub fn image_url(url: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Content::Image { source: Source::Url(url.into()), detail: None })
    }

    /// An image in Base64, and its media type: `image/png`.
    pub fn image_base64(media_type: impl Into<Cow<'a, str>>, data: impl Into<Text<'a>>) -> Self {
        let source = Source::Base64 { media_type: media_type.into(), data: data.into() };
        Self::new(Content::Image { source, detail: None })
    }

    /// A call of a tool. `input` is a JSON object.
    pub fn tool_call(
        id: impl Into<Cow<'a, str>>,
        name: impl Into<Cow<'a, str>>,
        input: impl Into<Text<'a>>,
    ) -> Self {
        let (id, name, input) = (Some(id.into()), name.into(), input.into());
        Self::new(Content::ToolCall { id, name, input, custom: false })
    }

    /// The result of the call with this ID.
    pub fn tool_result(id: impl Into<Cow<'a, str>>, content: impl Into<Parts<'a>>) -> Self {
        let (id, content) = (Some(id.into()), content.into().0);
        Self::new(Content::ToolResult { id, content, is_error: None })
    }
}

impl<'a> Tool<'a> {
    /// A function of this name.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self {
            name: name.into(),
            description: None,
            schema: None,
            strict: None,
            cache: None,
            other: None,
            extension_fields: Vec::new(),
            offset: None,
        }
    }

    setters! {
        description(description: impl Into<Text<'a>>) => Some(description.into());
        schema(schema: impl Into<Cow<'a, str>>) => Some(Json(schema.into()));
    }
}
