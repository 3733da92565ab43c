//! How requests are written, where the formats leave a choice.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::model::Outcome;
use crate::model::{At, Message, Tool};

/// Makes a prompt of a conversation, for formats that take text: a chat template.
///
/// It gets the messages as they would be sent, and the tools that the model may call. What it cannot say it adds to
/// [`Rendered::lost`]; what it cannot do at all it says in words.
pub type Render<'a> = dyn Fn(&[Message<'_>], &[Tool<'_>]) -> Result<Rendered, String> + Send + Sync + 'a;

/// A prompt, and what is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The prompt.
    pub text: String,
    /// Where what was lost stood, what it is, what became of it, and why.
    pub lost: Vec<(At, &'static str, Outcome, Cow<'static, str>)>,
}

impl Rendered {
    /// A prompt that says all of the conversation.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), lost: Vec::new() }
    }
}

/// What is sent for a temperature of 0, where the target does not take it: TGI, LMI, JumpStart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZeroTemperature {
    /// No temperature, and `do_sample: false`: the same in other words.
    #[default]
    Greedy,
    /// 0.01, which is reported.
    Clamp,
    /// 0 all the same.
    Send,
}

/// Where system messages go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemPlacement {
    /// Where the target has them.
    #[default]
    Keep,
    /// Before the text of the first user message, for models that know no system role.
    FirstUser,
    /// Before the text of the last user message.
    LastUser,
}

/// What is done about a conversation that the user does not begin, where the target requires it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstMessage {
    /// A user message is put before it, "Please continue.", and reported.
    #[default]
    Insert,
    /// It is an error.
    Error,
    /// It is sent as it is.
    Leave,
}

/// What becomes of images where the target takes a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromptImages {
    /// What the chat template makes of them: its mark for one, which has no bytes, or an error.
    #[default]
    Template,
    /// For TGI, Markdown with their URL, `![](https://…)` or `![](data:…)`, which TGI replaces by the image. It does so for
    /// the models that it knows as models of images, Idefics, Llava, PaliGemma, Qwen2-VL and others; to any other model
    /// it is text.
    Markdown,
}

/// How a request is written. The default does what the target needs and reports what it had to change.
///
/// A request goes back into the format that it was read from byte for byte, if nobody changed it and no setting but
/// [`render`](Self::render) was made.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct ConversionOptions<'a> {
    /// What is sent for a temperature of 0.
    pub zero_temperature: ZeroTemperature,
    /// Most tokens of an answer whose request does not say. `None` leaves it to the container; Anthropic requires a
    /// number, and gets 4,096 more than the model may think.
    pub max_tokens: Option<u64>,
    /// Parameters of the source's container are left out instead of passed on.
    pub drop_others: bool,
    /// Where system messages go.
    pub system: SystemPlacement,
    /// Whether messages that follow each other in one role become one. `None` is as the target needs.
    pub merge: Option<bool>,
    /// What is done about a conversation that the user does not begin.
    pub first_message: FirstMessage,
    /// What becomes of images where the target takes a prompt.
    pub images: PromptImages,
    /// The chat template, for formats that take text.
    pub render: Option<&'a Render<'a>>,
}

impl<'a> ConversionOptions<'a> {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`zero_temperature`](Self::zero_temperature).
    #[must_use]
    pub fn zero_temperature(mut self, zero: ZeroTemperature) -> Self {
        self.zero_temperature = zero;
        self
    }

    /// Sets [`max_tokens`](Self::max_tokens).
    #[must_use]
    pub fn max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Sets [`drop_others`](Self::drop_others).
    #[must_use]
    pub fn drop_others(mut self, drop: bool) -> Self {
        self.drop_others = drop;
        self
    }

    /// Sets [`system`](Self::system).
    #[must_use]
    pub fn system(mut self, placement: SystemPlacement) -> Self {
        self.system = placement;
        self
    }

    /// Sets [`merge`](Self::merge).
    #[must_use]
    pub fn merge(mut self, merge: bool) -> Self {
        self.merge = Some(merge);
        self
    }

    /// Sets [`first_message`](Self::first_message).
    #[must_use]
    pub fn first_message(mut self, rule: FirstMessage) -> Self {
        self.first_message = rule;
        self
    }

    /// Sets [`images`](Self::images).
    #[must_use]
    pub fn images(mut self, images: PromptImages) -> Self {
        self.images = images;
        self
    }

    /// Sets [`render`](Self::render).
    #[must_use]
    pub fn render(mut self, render: &'a Render<'a>) -> Self {
        self.render = Some(render);
        self
    }

    /// Whether a request may come out other than it went in, because somebody asked for it.
    pub(crate) fn change(&self) -> bool {
        self.zero_temperature != ZeroTemperature::default()
            || self.max_tokens.is_some()
            || self.drop_others
            || self.system != SystemPlacement::default()
            || self.merge.is_some()
            || self.first_message != FirstMessage::default()
            || self.images != PromptImages::default()
    }
}

impl fmt::Debug for ConversionOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversionOptions")
            .field("zero_temperature", &self.zero_temperature)
            .field("max_tokens", &self.max_tokens)
            .field("drop_others", &self.drop_others)
            .field("system", &self.system)
            .field("merge", &self.merge)
            .field("first_message", &self.first_message)
            .field("images", &self.images)
            .field("render", &self.render.is_some())
            .finish()
    }
}
