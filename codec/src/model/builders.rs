//! Requests that are built by hand.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::{Content, Json, Message, Param, Part, Request, Role, Source, Text, Tool};

/// The content of a message or of a tool's result: a text, a part, or several parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Parts<'a>(pub Vec<Part<'a>>);

impl<'a> From<Text<'a>> for Parts<'a> {
    fn from(text: Text<'a>) -> Self {
        Self(Vec::from([Part::text(text)]))
    }
}

impl<'a> From<&'a str> for Parts<'a> {
    fn from(text: &'a str) -> Self {
        Text::from(text).into()
    }
}

impl From<String> for Parts<'_> {
    fn from(text: String) -> Self {
        Text::from(text).into()
    }
}

impl<'a> From<Part<'a>> for Parts<'a> {
    fn from(part: Part<'a>) -> Self {
        Self(Vec::from([part]))
    }
}

impl<'a> From<Vec<Part<'a>>> for Parts<'a> {
    fn from(parts: Vec<Part<'a>>) -> Self {
        Self(parts)
    }
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

    /// Sets [`model`](Self::model).
    #[must_use]
    pub fn model(mut self, model: impl Into<Cow<'a, str>>) -> Self {
        self.model = Some(Param::new(model.into()));
        self
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

    /// Sets [`max_tokens`](Self::max_tokens).
    #[must_use]
    pub fn max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens.into());
        self
    }

    /// Sets [`temperature`](Self::temperature).
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature.into());
        self
    }

    /// Sets [`stream`](Self::stream).
    #[must_use]
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = Some(stream.into());
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

    /// Sets [`description`](Self::description).
    #[must_use]
    pub fn description(mut self, description: impl Into<Text<'a>>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets [`schema`](Self::schema): a JSON schema as JSON text.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<Cow<'a, str>>) -> Self {
        self.schema = Some(Json(schema.into()));
        self
    }
}
