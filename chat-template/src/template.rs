//! The template: where it comes from, its options, and rendering.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::Value;
use sagewire_codec::model::{Losses, Message, Outcome, Rendered, Tool};

use crate::control_tokens::{ControlTokens, TokenSet};
use crate::date::Date;
use crate::engine::Engine;
use crate::error::{TemplateError, TemplateErrorKind};
use crate::family;
use crate::limits::Limits;
use crate::messages::{Capabilities, PromptMessage, TextFilter, read_messages};
use crate::prompt::{Ending, Prompt};
use crate::roles::Roles;
use crate::tokenizer_config::TokenizerConfig;
use crate::values;

/// Renders messages as a prompt.
///
/// Create one for each model and use it for any number of requests, from any thread.
#[derive(Clone, Debug)]
pub struct Template {
    kind: Kind,
    tokens: TokenSet,
    bos: String,
    stop: Vec<Cow<'static, str>>,
    variables: BTreeMap<String, Value>,
    writes_bos: bool,
    ending: Ending,
    control_tokens: ControlTokens,
}

#[derive(Clone, Debug)]
enum Kind {
    Jinja {
        engine: Engine,
        /// Of a family. Those of other templates are derived from their sources.
        capabilities: Option<Capabilities>,
        /// Chosen by name.
        name: Option<String>,
    },
    Roles(Roles),
}

impl Template {
    /// The template of a built-in family, by the name of the family (`llama3`, `chatml`) or of a model, at Hugging Face
    /// (`Qwen/Qwen2.5-7B-Instruct`) or in JumpStart. Names are case-insensitive.
    ///
    /// # Errors
    ///
    /// The name is unknown. The error lists the families.
    pub fn named(name: &str) -> Result<Self, TemplateError> {
        let family = family::find(name)?;
        let tokens = [family.bos, family.eos].into_iter().chain(family.stop.iter().copied());
        let tokens = TokenSet::new(
            tokens.filter(|token| !token.starts_with('\n')).chain(family.control.iter().copied()),
        );
        let engine = Engine::new([("default", family.source)], Limits::default())?;
        let mut capabilities = engine.capabilities("default");
        capabilities.text_with_calls = family.traits.text_with_calls;
        capabilities.short_call_ids = family.traits.short_call_ids;
        capabilities.object_inputs = true;
        // The templates of families use names of tools only.
        capabilities.names = false;
        capabilities.reasoning = family.traits.reasoning;
        let mut variables: BTreeMap<_, _> =
            family.variables.iter().map(|(name, value)| (name.to_string(), Value::from(*value))).collect();
        variables.insert("bos_token".to_string(), family.bos.into());
        variables.insert("eos_token".to_string(), family.eos.into());
        let stop = family.stop.iter().map(|stop| Cow::Borrowed(*stop)).collect();
        let kind = Kind::Jinja { engine, capabilities: Some(capabilities), name: None };
        Ok(Self::new(kind, tokens, family.bos.to_string(), stop, variables))
    }

    /// The names of the built-in families.
    pub fn families() -> impl Iterator<Item = &'static str> {
        family::FAMILIES.iter().map(|family| family.name)
    }

    /// The template in the text of a `tokenizer_config.json`. If there are several, `tool_use` is used for requests with
    /// tools and `default` for all others, as in transformers.
    ///
    /// # Errors
    ///
    /// The text is not such a file, has no template, or has a malformed one.
    pub fn from_tokenizer_config(json: &str) -> Result<Self, TemplateError> {
        let config = TokenizerConfig::parse(json)?;
        if config.templates.is_empty() {
            return Err(TokenizerConfig::invalid("there is no chat_template"));
        }
        Self::from_config(&config)
    }

    /// The template in the text of a `chat_template.jinja`, with the special tokens of a `tokenizer_config.json`.
    ///
    /// # Errors
    ///
    /// One of them is malformed.
    pub fn from_jinja(source: &str, tokenizer_config: &str) -> Result<Self, TemplateError> {
        let mut config = TokenizerConfig::parse(tokenizer_config)?;
        config.templates = BTreeMap::from([("default".to_string(), source.to_string())]);
        Self::from_config(&config)
    }

    fn from_config(config: &TokenizerConfig) -> Result<Self, TemplateError> {
        let templates = config.templates.iter().map(|(name, source)| (name.as_str(), source.as_str()));
        let engine = Engine::new(templates, Limits::default())?;
        let tokens = TokenSet::new(config.special.iter().map(String::as_str));
        let token = |name| config.tokens.get(name).cloned();
        let stop = token("eos_token").map(Cow::Owned).into_iter().collect();
        let variables =
            config.tokens.iter().map(|(name, token)| (name.clone(), token.as_str().into())).collect();
        let kind = Kind::Jinja { engine, capabilities: None, name: None };
        Ok(Self::new(kind, tokens, token("bos_token").unwrap_or_default(), stop, variables))
    }

    /// A prompt format that has a prefix and a suffix for each role.
    pub fn from_roles(roles: Roles) -> Self {
        let tokens = TokenSet::new(roles.control.iter().map(String::as_str));
        let stop = roles.stop.iter().cloned().map(Cow::Owned).collect();
        Self::new(Kind::Roles(roles), tokens, String::new(), stop, BTreeMap::new())
    }

    fn new(
        kind: Kind,
        tokens: TokenSet,
        bos: String,
        stop: Vec<Cow<'static, str>>,
        variables: BTreeMap<String, Value>,
    ) -> Self {
        let (ending, control_tokens) = (Ending::default(), ControlTokens::default());
        Self { kind, tokens, bos, stop, variables, writes_bos: false, ending, control_tokens }
    }

    /// Whether the prompt starts with the beginning-of-sequence token, if the template writes one. Default: `false`, because
    /// TGI, vLLM and LMI add it to every text and the model would see it twice.
    #[must_use]
    pub fn bos(mut self, write: bool) -> Self {
        self.writes_bos = write;
        self
    }

    /// What the prompt ends with. Default: [`Ending::Prompt`].
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// What to do with control tokens in texts. Default: [`ControlTokens::Reject`].
    #[must_use]
    pub fn control_tokens(mut self, policy: ControlTokens) -> Self {
        self.control_tokens = policy;
        self
    }

    /// Sets the date for templates that read it (`strftime_now`). A template that requires the date fails without it.
    #[must_use]
    pub fn date(self, date: Date) -> Self {
        self.clock(move || date)
    }

    /// The same for a program that runs for long: `now` is called each time that a template reads the date.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> Date + Send + Sync + 'static) -> Self {
        if let Kind::Jinja { engine, .. } = &mut self.kind {
            engine.set_clock(now);
        }
        self
    }

    /// Sets the bounds on what the template may use.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        if let Kind::Jinja { engine, .. } = &mut self.kind {
            engine.set_limits(limits);
        }
        self
    }

    /// Sets a variable of the template to a JSON value: `enable_thinking`, `false`.
    ///
    /// # Errors
    ///
    /// The value is not valid JSON.
    pub fn variable(mut self, name: &str, json: &str) -> Result<Self, TemplateError> {
        let value = serde_json::from_str(json)
            .map_err(|error| TemplateError::json(format!("variable `{name}`"), error))?;
        self.variables.insert(name.to_string(), value);
        Ok(self)
    }

    /// Uses the template of this name, if a `tokenizer_config.json` has several.
    ///
    /// # Errors
    ///
    /// There is no template of this name.
    pub fn choose(mut self, template: &str) -> Result<Self, TemplateError> {
        let known = match &mut self.kind {
            Kind::Jinja { engine, name, .. } if engine.has(template) => {
                *name = Some(template.to_string());
                return Ok(self);
            }
            Kind::Jinja { engine, .. } => engine.names(),
            Kind::Roles(_) => Vec::new(),
        };
        Err(TemplateError::new(TemplateErrorKind::UnknownTemplate { name: template.into(), known }))
    }

    /// The stop sequences of the model.
    pub fn stop(&self) -> &[Cow<'static, str>] {
        &self.stop
    }

    /// Renders messages as a prompt. Losses have JSON pointers into `messages` and `tools`.
    ///
    /// # Errors
    ///
    /// The template rejects the messages, fails or exceeds a limit; a text contains a control token; or the messages contain
    /// something that the prompt cannot express and that cannot be left out. See [`TemplateErrorKind`].
    pub fn render(&self, messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<Prompt, TemplateError> {
        if messages.is_empty() {
            return Err(TemplateError::new(TemplateErrorKind::NoMessages));
        }
        let mut filter =
            TextFilter { tokens: &self.tokens, policy: self.control_tokens, losses: Losses::default() };
        let text = match &self.kind {
            Kind::Jinja { engine, capabilities, name } => {
                let name = name.as_deref().unwrap_or(match tools.is_empty() {
                    false if engine.has("tool_use") => "tool_use",
                    _ => "default",
                });
                engine.check_count(messages)?;
                let capabilities = capabilities.unwrap_or_else(|| engine.capabilities(name));
                let messages = read_messages(messages, capabilities, &mut filter)?;
                let context = self.context(capabilities, &messages, tools, &mut filter)?;
                self.trim(engine.render(name, context)?, &messages)?
            }
            Kind::Roles(roles) => {
                drop_tools(tools, &mut filter.losses);
                let messages = read_messages(messages, Capabilities::default(), &mut filter)?;
                roles.render(&messages, self.ending)?
            }
        };
        Ok(Prompt { text, stop: self.stop.clone(), losses: filter.losses })
    }

    /// Renders messages for [`ConversionOptions::render`](sagewire_codec::model::ConversionOptions::render): losses have byte
    /// offsets into the document that the request was read from.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render), as a message.
    pub fn rendered(&self, messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<Rendered, String> {
        let prompt = self.render(messages, tools).map_err(|error| error.to_string())?;
        let mut rendered = Rendered::new(prompt.text);
        for loss in &prompt.losses {
            let offset = source_offset(&loss.path, messages, tools);
            rendered.report(offset, "message", loss.outcome, loss.reason.clone());
        }
        Ok(rendered)
    }

    /// The variables that a Jinja template reads.
    fn context(
        &self,
        capabilities: Capabilities,
        messages: &[PromptMessage],
        tools: &[Tool<'_>],
        filter: &mut TextFilter<'_>,
    ) -> Result<BTreeMap<String, Value>, TemplateError> {
        let mut context = self.variables.clone();
        let messages = messages.iter().map(|message| values::message(message, capabilities, filter));
        let messages = messages.collect::<Result<Vec<_>, _>>()?;
        context.insert("messages".to_string(), messages.into());
        context.insert("add_generation_prompt".to_string(), (self.ending == Ending::Prompt).into());
        // `none` instead of an empty list: some templates test only `tools is not none`.
        let mut definitions = Value::from(());
        if !capabilities.tools {
            drop_tools(tools, &mut filter.losses);
        } else if !tools.is_empty() {
            let tools = tools.iter().enumerate().map(|(index, tool)| values::tool(tool, index, filter));
            definitions = tools.collect::<Result<Vec<_>, _>>()?.into();
        }
        context.insert("tools".to_string(), definitions);
        context.insert("documents".to_string(), Value::from(()));
        Ok(context)
    }

    /// Removes the beginning-of-sequence token, and what follows the text of a message to be continued.
    fn trim(&self, mut text: String, messages: &[PromptMessage]) -> Result<String, TemplateError> {
        if self.ending == Ending::Continue {
            let last = messages.last().map(PromptMessage::text).unwrap_or_default();
            let start = text.rfind(last.trim()).filter(|_| !last.trim().is_empty()).ok_or_else(|| {
                let what = "continuing a message that the template does not write unchanged";
                TemplateError::unsupported(what, "/messages")
            })?;
            let untrimmed = last.trim_start();
            let len = if text[start..].starts_with(untrimmed) { untrimmed.len() } else { last.trim().len() };
            text.truncate(start + len);
        }
        if !self.writes_bos && !self.bos.is_empty() && text.starts_with(&self.bos) {
            text.drain(..self.bos.len());
        }
        Ok(text)
    }
}

fn drop_tools(tools: &[Tool<'_>], losses: &mut Losses) {
    for index in 0..tools.len() {
        losses.add_at(format!("/tools/{index}"), Outcome::Dropped, "the template has no tool definitions");
    }
}

/// The offset in the source document of the message, part or tool at a JSON pointer.
fn source_offset(pointer: &str, messages: &[Message<'_>], tools: &[Tool<'_>]) -> Option<u32> {
    let mut steps = pointer.split('/').skip(1);
    let list = steps.next()?;
    let index: usize = steps.next()?.parse().ok()?;
    if list == "tools" {
        return tools.get(index)?.offset;
    }
    let message = messages.get(index)?;
    let part = steps.nth(1).and_then(|part| message.content.get(part.parse::<usize>().ok()?));
    part.map_or(message.offset, |part| part.offset)
}
