//! Options for writing requests, where APIs leave a choice.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::limits::RequestLimits;
use crate::model::{Message, Offset, Outcome, Tool};
use crate::setters::setters;

/// Renders a conversation as a prompt, for APIs that take text: a chat template.
///
/// It receives the messages as they would be sent, and the tools that the model may call. It adds what the prompt cannot
/// express to [`Rendered::losses`], and returns a message if it fails.
pub type Render<'a> = dyn Fn(&[Message<'_>], &[Tool<'_>]) -> Result<Rendered, String> + Send + Sync + 'a;

/// A prompt, and its losses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The prompt.
    pub text: String,
    /// Parts of the conversation that the prompt could not express.
    pub losses: Vec<PromptLoss>,
}

impl Rendered {
    /// A prompt that expresses the whole conversation.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), losses: Vec::new() }
    }

    /// Adds a loss.
    pub fn report(
        &mut self,
        offset: Offset,
        name: &'static str,
        outcome: Outcome,
        reason: impl Into<Cow<'static, str>>,
    ) {
        self.losses.push(PromptLoss { offset, name, outcome, reason: reason.into() });
    }
}

/// Something that a prompt does not express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptLoss {
    /// Offset of the message, part or tool in the source of the request.
    pub offset: Offset,
    /// Its name in the canonical model: `tools`, `content`.
    pub name: &'static str,
    /// What happened to it.
    pub outcome: Outcome,
    /// The reason.
    pub reason: Cow<'static, str>,
}

/// What is sent for a temperature of 0 if the target does not accept it: TGI, LMI, JumpStart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZeroTemperature {
    /// No temperature, and `do_sample: false`, which means the same.
    #[default]
    Greedy,
    /// 0.01, which is reported.
    Clamp,
    /// 0 as it is.
    Send,
}

/// Where system messages are placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemPlacement {
    /// Where the target expects them.
    #[default]
    Keep,
    /// Before the text of the first user message, for models without a system role.
    FirstUser,
    /// Before the text of the last user message.
    LastUser,
}

/// What to do if a conversation does not begin with a user message and the target requires one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstMessage {
    /// Insert the user message "Please continue.", and report it.
    #[default]
    Insert,
    /// Return an error.
    Error,
    /// Send the conversation as it is.
    Leave,
}

/// What to do with a call of a tool that has no result, if the target requires one: Converse, Anthropic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingResult {
    /// Insert a result that says so, marked as an error, and report it.
    #[default]
    Insert,
    /// Return an error.
    Error,
}

/// How images are written if the target takes a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromptImages {
    /// As the chat template renders them: a marker without the bytes, or an error.
    #[default]
    Template,
    /// For TGI, as Markdown with their URL, `![](https://…)` or `![](data:…)`, which TGI replaces by the image. TGI does so
    /// for the vision models that it knows: Idefics, Llava, PaliGemma, Qwen2-VL and others. To any other model it is text.
    Markdown,
}

/// How a request is written. By default, the target's requirements are met and every change is reported.
///
/// A request that is written for the API that it was read from keeps everything that was not changed, byte for byte.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct ConversionOptions<'a> {
    /// What is sent for a temperature of 0.
    pub zero_temperature: ZeroTemperature,
    /// Maximum number of generated tokens if the request does not have one. `None` leaves it to the container; Anthropic
    /// requires a number, and gets 4,096 plus the reasoning budget.
    pub max_tokens: Option<u64>,
    /// Whether extra parameters are left out instead of passed on.
    pub drop_extra_parameters: bool,
    /// Where system messages are placed.
    pub system: SystemPlacement,
    /// Whether consecutive messages of one role are merged. `None` does what the target needs.
    pub merge_messages: Option<bool>,
    /// What to do if the conversation does not begin with a user message.
    pub first_message: FirstMessage,
    /// What to do with a call of a tool that has no result.
    pub missing_result: MissingResult,
    /// How images are written if the target takes a prompt.
    pub prompt_images: PromptImages,
    /// Whether the request asks for a count of the reasoning tokens, where it has to: Converse counts them only if
    /// `additionalModelResponseFieldPaths` names Claude's `/usage/output_tokens_details`. Other models ignore it.
    pub reasoning_tokens: bool,
    /// Bounds on the request that is read before it is written, as [`convert_request`](crate::convert_request) does.
    pub limits: RequestLimits,
    /// The chat template, for APIs that take a prompt.
    pub render: Option<&'a Render<'a>>,
}

impl<'a> ConversionOptions<'a> {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        zero_temperature(zero: ZeroTemperature) => zero;
        max_tokens(tokens: u64) => Some(tokens);
        drop_extra_parameters(drop: bool) => drop;
        system(placement: SystemPlacement) => placement;
        merge_messages(merge: bool) => Some(merge);
        first_message(rule: FirstMessage) => rule;
        missing_result(rule: MissingResult) => rule;
        prompt_images(images: PromptImages) => images;
        reasoning_tokens(ask: bool) => ask;
        limits(limits: RequestLimits) => limits;
        render(render: &'a Render<'a>) => Some(render);
    }

    /// Whether the options change requests that are written for the API that they were read from.
    pub(crate) fn change_requests(&self) -> bool {
        self.zero_temperature != ZeroTemperature::default()
            || self.max_tokens.is_some()
            || self.drop_extra_parameters
            || self.system != SystemPlacement::default()
            || self.merge_messages.is_some()
            || self.first_message != FirstMessage::default()
            || self.prompt_images != PromptImages::default()
            || self.reasoning_tokens
    }
}

impl fmt::Debug for ConversionOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversionOptions")
            .field("zero_temperature", &self.zero_temperature)
            .field("max_tokens", &self.max_tokens)
            .field("drop_extra_parameters", &self.drop_extra_parameters)
            .field("system", &self.system)
            .field("merge_messages", &self.merge_messages)
            .field("first_message", &self.first_message)
            .field("missing_result", &self.missing_result)
            .field("prompt_images", &self.prompt_images)
            .field("reasoning_tokens", &self.reasoning_tokens)
            .field("limits", &self.limits)
            .field("render", &self.render.is_some())
            .finish()
    }
}
