//! Prompts: messages as the one string that a text generation endpoint takes.
//!
//! A container with a chat API renders its model's template itself. One that takes `{"inputs": "…"}` does not, and the
//! caller has to. The template comes from a family of models ([`Template::named`]), from the model's own
//! `tokenizer_config.json` ([`Template::from_tokenizer_config`]), or is a prefix and a suffix for each role
//! ([`Template::from_roles`]). Nothing is fetched.
//!
//! ```
//! use sagewire_codec::model::{Content, Message, Part, Role};
//! use sagewire_codec::chat_template::Template;
//!
//! let template = Template::named("meta-llama/Llama-2-7b-chat-hf")?;
//! let message = |role, text: &'static str| Message::new(role, vec![Part::new(Content::Text(text.into()))]);
//! let prompt = template.render(&[message(Role::System, "Be brief."), message(Role::User, "Why?")], &[])?;
//! assert_eq!(prompt.text, "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWhy? [/INST]");
//! assert_eq!(prompt.stop, ["</s>"]);
//! # Ok::<(), sagewire_codec::DecodeError>(())
//! ```
//!
//! # What a prompt cannot say
//!
//! Rendering by the caller loses what a chat API keeps. Calls and results of tools, sound, films, documents, and images
//! where the template has no place for them are refused: without them the conversation would be another. Definitions of
//! tools that the template has no place for, names of speakers, reasoning and marks for a cache are dropped and reported in
//! [`Prompt::losses`]. Of an image there is only the template's mark in a prompt, which is reported, too.
//!
//! # Templates are programs
//!
//! What a template does is bounded by [`Limits`]: its steps, what it writes and what it makes on its way, how deep it calls
//! itself. One that means to can use some hundred megabytes and some seconds within the default limits, and no more. A
//! template reads nothing but what it is given.

mod config;
mod control;
mod date;
mod engine;
mod family;
mod messages;
mod meter;
mod python;
mod roles;

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use minijinja::Value;

use self::config::Config;
use self::control::Tokens;
use self::engine::Engine;
use self::messages::{Abilities, Piece, Reader, Texts, Turn, unsupported};
use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::json::value::Tree;
use crate::model::{Losses, Outcome, Rendered};
use crate::model::{Message, Tool};

pub use control::Control;
pub use date::Date;
pub use roles::{Affixes, Roles};

/// A prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prompt {
    /// The prompt.
    pub text: String,
    /// Strings that end an answer, to be sent along where the container does not know them.
    pub stop: Vec<Cow<'static, str>>,
    /// What could not be said. The places are JSON pointers, `/messages/1/content/0`, with every content a list.
    pub losses: Losses,
}

/// What a prompt ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The beginning of an answer (`add_generation_prompt`).
    #[default]
    Prompt,
    /// The last message.
    Message,
    /// The text of the last message, which the answer continues (`continue_final_message`).
    Continue,
}

/// Bounds on what a template does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a template: 1 MiB. The longest that are in use have some 30 KiB.
    pub template: usize,
    /// Steps of the template engine: 1,000,000. A message takes some 50.
    pub steps: u64,
    /// How deep blocks and macros are nested when a template runs: 100. A macro counts several times.
    pub depth: usize,
    /// Bytes of a prompt, and of the values that its template makes with filters: 8 MiB.
    pub prompt: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { template: 1024 * 1024, steps: 1_000_000, depth: 100, prompt: 8 * 1024 * 1024 }
    }
}

/// What turns messages into a prompt.
#[derive(Clone, Debug)]
pub struct Template {
    kind: Kind,
    tokens: Tokens,
    bos: String,
    stop: Vec<Cow<'static, str>>,
    variables: BTreeMap<String, Value>,
    writes_bos: bool,
    ending: Ending,
    control: Control,
}

#[derive(Clone, Debug)]
enum Kind {
    Jinja { engine: Engine, abilities: Option<Abilities>, name: Option<String> },
    Roles(Roles),
}

impl Template {
    /// The template of a family of models, by its name (`llama3`, `chatml`) or the name of a model, at Hugging Face
    /// (`Qwen/Qwen2.5-7B-Instruct`) or in JumpStart. Upper and lower case are the same.
    ///
    /// # Errors
    ///
    /// The name is not known. The error lists the families.
    pub fn named(name: &str) -> Result<Self, DecodeError> {
        let family = family::find(name)?;
        let control = [family.bos, family.eos].into_iter().chain(family.stop.iter().copied());
        let tokens = Tokens::new(
            control.filter(|token| !token.starts_with('\n')).chain(family.control.iter().copied()),
        );
        let engine = Engine::new([("default", family.source)], Limits::default())?;
        let abilities = Abilities { results: family.name.starts_with("llama3"), ..Abilities::default() };
        let mut variables: BTreeMap<_, _> =
            family.variables.iter().map(|(name, value)| (name.to_string(), Value::from(*value))).collect();
        variables.insert("bos_token".to_string(), family.bos.into());
        variables.insert("eos_token".to_string(), family.eos.into());
        let stop = family.stop.iter().map(|stop| Cow::Borrowed(*stop)).collect();
        let kind = Kind::Jinja { engine, abilities: Some(abilities), name: None };
        Ok(Self::new(kind, tokens, family.bos.to_string(), stop, variables))
    }

    /// The names of the families.
    pub fn families() -> impl Iterator<Item = &'static str> {
        family::FAMILIES.iter().map(|family| family.name)
    }

    /// The template in a `tokenizer_config.json`. Of several, `tool_use` is taken where there are tools, and `default`
    /// otherwise, as transformers does.
    ///
    /// # Errors
    ///
    /// The text is no such file, has no template, or one that is malformed.
    pub fn from_tokenizer_config(json: &str) -> Result<Self, DecodeError> {
        let config = Config::parse(json)?;
        if config.templates.is_empty() {
            return Err(invalid("tokenizer_config.json", "there is no chat_template in it"));
        }
        Self::from_config(&config)
    }

    /// The template in a file of its own, `chat_template.jinja`, and the `tokenizer_config.json` that names its tokens.
    ///
    /// # Errors
    ///
    /// One of them is malformed.
    pub fn from_jinja(source: &str, tokenizer_config: &str) -> Result<Self, DecodeError> {
        let mut config = Config::parse(tokenizer_config)?;
        config.templates = BTreeMap::from([("default".to_string(), source.to_string())]);
        Self::from_config(&config)
    }

    fn from_config(config: &Config) -> Result<Self, DecodeError> {
        let templates = config.templates.iter().map(|(name, source)| (name.as_str(), source.as_str()));
        let engine = Engine::new(templates, Limits::default())?;
        let tokens = Tokens::new(config.special.iter().map(String::as_str));
        let token = |name| config.tokens.get(name).cloned();
        let stop = token("eos_token").map(Cow::Owned).into_iter().collect();
        let variables =
            config.tokens.iter().map(|(name, token)| (name.clone(), token.as_str().into())).collect();
        let kind = Kind::Jinja { engine, abilities: None, name: None };
        Ok(Self::new(kind, tokens, token("bos_token").unwrap_or_default(), stop, variables))
    }

    /// A prefix and a suffix for each role.
    pub fn from_roles(roles: Roles) -> Self {
        let tokens = Tokens::new(roles.control.iter().map(String::as_str));
        let stop = roles.stop.iter().cloned().map(Cow::Owned).collect();
        Self::new(Kind::Roles(roles), tokens, String::new(), stop, BTreeMap::new())
    }

    fn new(
        kind: Kind,
        tokens: Tokens,
        bos: String,
        stop: Vec<Cow<'static, str>>,
        variables: BTreeMap<String, Value>,
    ) -> Self {
        let (ending, control) = (Ending::default(), Control::default());
        Self { kind, tokens, bos, stop, variables, writes_bos: false, ending, control }
    }

    /// Whether the prompt begins with the token for its beginning, where the template writes it. Default: no. TGI, vLLM and
    /// LMI put it before every text themselves, and would have it twice.
    #[must_use]
    pub fn bos(mut self, writes: bool) -> Self {
        self.writes_bos = writes;
        self
    }

    /// What the prompt ends with. Default: the beginning of an answer.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// What becomes of control tokens in texts. Default: the messages are refused.
    #[must_use]
    pub fn control(mut self, control: Control) -> Self {
        self.control = control;
        self
    }

    /// The day, for templates that ask for it. Without it, one that has to know is an error.
    #[must_use]
    pub fn date(mut self, date: Date) -> Self {
        if let Kind::Jinja { engine, .. } = &mut self.kind {
            engine.set_date(date);
        }
        self
    }

    /// Sets the bounds on what the template does.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        if let Kind::Jinja { engine, .. } = &mut self.kind {
            engine.set_limits(limits);
        }
        self
    }

    /// Gives the template a variable: `enable_thinking`, `false`. The value is a JSON text.
    ///
    /// # Errors
    ///
    /// The value is no JSON.
    pub fn variable(mut self, name: &str, json: &str) -> Result<Self, DecodeError> {
        let value = engine::value(&tree("variable", json)?, &mut |text| Ok(text.to_string()))?;
        self.variables.insert(name.to_string(), value);
        Ok(self)
    }

    /// Takes the template of this name, where a `tokenizer_config.json` has several.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn choose(mut self, template: &str) -> Result<Self, DecodeError> {
        let known = match &mut self.kind {
            Kind::Jinja { engine, name, .. } if engine.has(template) => {
                *name = Some(template.to_string());
                return Ok(self);
            }
            Kind::Jinja { engine, .. } => engine.names(),
            Kind::Roles(_) => String::new(),
        };
        let kind = DecodeErrorKind::Unknown { what: "template", found: template.into(), known: known.into() };
        Err(DecodeError::new(Layer::Template, 0, kind))
    }

    /// Strings that end an answer.
    pub fn stop(&self) -> &[Cow<'static, str>] {
        &self.stop
    }

    /// The same for [`ConversionOptions::render`](ConversionOptions::render): what is lost by its place in the request's source.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render), in words.
    pub fn rendered(&self, messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<Rendered, String> {
        let prompt = self.render(messages, tools).map_err(|error| error.kind().to_string())?;
        let at = |pointer: &str| {
            let mut steps = pointer.split('/').skip(1);
            let list = steps.next()?;
            let index: usize = steps.next()?.parse().ok()?;
            if list == "tools" {
                return tools.get(index)?.offset;
            }
            let message = messages.get(index)?;
            let part = steps.nth(1).and_then(|part| message.content.get(part.parse::<usize>().ok()?));
            part.map_or(message.offset, |part| part.offset)
        };
        let mut rendered = Rendered::new(prompt.text);
        for loss in prompt.losses.as_slice() {
            rendered.report(at(&loss.path), "message", loss.outcome, loss.reason.clone());
        }
        Ok(rendered)
    }

    /// Makes a prompt of messages.
    ///
    /// # Errors
    ///
    /// The template refuses the messages, fails or reaches a limit; a text has a control token in it; or there is something
    /// in the messages without which they would say something else, and that a prompt cannot say.
    pub fn render(&self, messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<Prompt, DecodeError> {
        if messages.is_empty() {
            return Err(invalid("messages", "there are none"));
        }
        let mut texts = Texts { tokens: &self.tokens, control: self.control, losses: Losses::default() };
        let text = match &self.kind {
            Kind::Jinja { engine, abilities, name } => {
                let chosen = name.as_deref().unwrap_or(match tools.is_empty() {
                    false if engine.has("tool_use") => "tool_use",
                    _ => "default",
                });
                let abilities = abilities.unwrap_or_else(|| engine.abilities(chosen));
                let turns = Reader::new(abilities, &mut texts).read(messages)?;
                let text = self.jinja(engine, chosen, abilities, &turns, tools, &mut texts)?;
                self.end(text, &turns)?
            }
            Kind::Roles(roles) => {
                drop_tools(tools, &mut texts.losses);
                let turns = Reader::new(Abilities::default(), &mut texts).read(messages)?;
                roles.render(&turns, self.ending)?
            }
        };
        Ok(Prompt { text, stop: self.stop.clone(), losses: texts.losses })
    }

    fn jinja(
        &self,
        engine: &Engine,
        name: &str,
        abilities: Abilities,
        turns: &[Turn],
        tools: &[Tool<'_>],
        texts: &mut Texts<'_>,
    ) -> Result<String, DecodeError> {
        let mut context = self.variables.clone();
        let messages = turns.iter().map(|turn| message(turn, abilities, texts));
        let messages = messages.collect::<Result<Vec<_>, _>>()?;
        context.insert("messages".to_string(), messages.into());
        context.insert("add_generation_prompt".to_string(), (self.ending == Ending::Prompt).into());
        // Templates ask whether there are any, and some only whether it is none.
        let mut definitions = Value::from(());
        if !abilities.tools {
            drop_tools(tools, &mut texts.losses);
        } else if !tools.is_empty() {
            let tools = tools.iter().enumerate();
            definitions = tools
                .map(|(index, tool)| definition(tool, index, texts))
                .collect::<Result<Vec<_>, _>>()?
                .into();
        }
        context.insert("tools".to_string(), definitions);
        context.insert("documents".to_string(), Value::from(()));
        engine.render(name, context)
    }

    /// The prompt without the token for its beginning, and without what stands behind a message that goes on.
    fn end(&self, mut text: String, turns: &[Turn]) -> Result<String, DecodeError> {
        if self.ending == Ending::Continue {
            let last = turns.last().map(Turn::text).unwrap_or_default();
            let at = text.rfind(last.trim()).filter(|_| !last.trim().is_empty()).ok_or_else(|| {
                unsupported(
                    "a message that is to go on, and that the template does not write as it is,",
                    "/messages",
                )
            })?;
            let whole = last.trim_start();
            let len = if text[at..].starts_with(whole) { whole.len() } else { last.trim().len() };
            text.truncate(at + len);
        }
        if !self.writes_bos && !self.bos.is_empty() && text.starts_with(&self.bos) {
            text.drain(..self.bos.len());
        }
        Ok(text)
    }
}

fn invalid(what: &'static str, why: &str) -> DecodeError {
    DecodeError::new(Layer::Template, 0, DecodeErrorKind::Invalid { what, why: why.into() })
}

fn tree(what: &'static str, json: &str) -> Result<Tree, DecodeError> {
    serde_json::from_str(json).map_err(|error| invalid(what, &error.to_string()))
}

fn drop_tools(tools: &[Tool<'_>], losses: &mut Losses) {
    for index in 0..tools.len() {
        losses.add_at(format!("/tools/{index}"), Outcome::Dropped, "the template has no place for tools");
    }
}

/// A message as templates know it: OpenAI's, with the input of tool calls as JSON.
fn message(turn: &Turn, abilities: Abilities, texts: &mut Texts<'_>) -> Result<Value, DecodeError> {
    let mut members = Vec::from([("role", Value::from(turn.role.as_str()))]);
    let content = if turn.has_images() || abilities.lists {
        let pieces = turn.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => Value::from_pairs([("type", "text"), ("text", text.as_str())]),
            Piece::Image => Value::from_pairs([("type", "image")]),
        });
        pieces.collect::<Value>()
    } else {
        turn.text().into()
    };
    members.push(("content", content));
    if let Some(reasoning) = &turn.reasoning {
        // The names that templates have for it.
        members.push(("reasoning_content", reasoning.as_str().into()));
        members.push(("reasoning", reasoning.as_str().into()));
    }
    let calls = turn.calls.iter().map(|call| {
        // Templates write the input with `tojson`. What is no JSON is a string to them.
        let input = match call.input.trim() {
            "" => Value::from_pairs([("", ""); 0]),
            input => match serde_json::from_str::<Tree>(input) {
                Ok(tree) => engine::value(&tree, &mut |text| texts.text(text, &call.at))?,
                Err(_) => texts.text(input, &call.at)?.into(),
            },
        };
        let function = Value::from_pairs([("name", Value::from(call.name.as_str())), ("arguments", input)]);
        let mut members = Vec::from([("type", Value::from("function")), ("function", function)]);
        if let Some(id) = &call.id {
            members.insert(0, ("id", id.as_str().into()));
        }
        Ok(Value::from_pairs(members))
    });
    let calls = calls.collect::<Result<Vec<_>, DecodeError>>()?;
    if !calls.is_empty() {
        members.push(("tool_calls", calls.into()));
    }
    for (name, value) in [("name", &turn.name), ("tool_call_id", &turn.call_id)] {
        if let Some(value) = value {
            members.push((name, value.as_str().into()));
        }
    }
    Ok(Value::from_pairs(members))
}

/// A tool as templates know it: OpenAI's.
fn definition(tool: &Tool<'_>, index: usize, texts: &mut Texts<'_>) -> Result<Value, DecodeError> {
    let at = format!("/tools/{index}");
    let mut json = |json: &str| engine::value(&tree("tool", json)?, &mut |text| texts.text(text, &at));
    if let Some(other) = &tool.other {
        return json(other.as_str());
    }
    let parameters = tool.schema.as_ref().map(|schema| json(schema.as_str())).transpose()?;
    let mut members = Vec::from([("name", Value::from(texts.text(&tool.name, &at)?))]);
    if let Some(description) = &tool.description {
        members.push(("description", texts.text(description, &at)?.into()));
    }
    if let Some(parameters) = parameters {
        members.push(("parameters", parameters));
    }
    if tool.cache.is_some() {
        texts.losses.add_at(at, Outcome::Dropped, "a prompt has no marks for a cache");
    }
    Ok(Value::from_pairs([("type", Value::from("function")), ("function", Value::from_pairs(members))]))
}
