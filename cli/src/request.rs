//! Writes requests: chat templates and conversion options.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use sagewire_chat_template::{Date, Template};
use sagewire_codec::model::{
    Content, ConversionOptions, FirstMessage, Loss, Message, MissingResult, PromptImages, Rendered, Request,
    Role, SystemPlacement, Tool, ZeroTemperature,
};
use sagewire_codec::write_request;
use time::OffsetDateTime;

use crate::fault::{Fault, note};
use crate::format::Writing;
use crate::input;

/// Arguments of the commands that write requests.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Chat template, for formats that take a prompt
    #[arg(long, value_name = "NAME|FILE", long_help = TEMPLATE_HELP)]
    template: Option<String>,
    /// Conversion option (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE", long_help = SET_HELP)]
    options: Vec<String>,
}

pub(crate) const TEMPLATE_HELP: &str = "\
Chat template, for formats that take a prompt:
  llama3, chatml, ...     a family
  a model's name          as on Hugging Face or in JumpStart
  tokenizer_config.json   the path of such a file
  *.jinja                 the path of a template
  none                    no template: a single user message is the prompt";

const SET_HELP: &str = "\
Conversion option (repeatable):
  zero-temperature=greedy|clamp|send
  max-tokens=N
  others=keep|drop
  system=keep|first-user|last-user
  merge=true|false
  first-message=insert|error|leave
  missing-result=insert|error
  images=template|markdown  (TGI)
  reasoning-tokens=true|false  (Converse)";

/// How messages become a prompt.
enum Prompting {
    Template(Box<Template>),
    /// A single message is the prompt.
    None,
}

impl Args {
    /// Arguments without a chat template.
    pub(crate) fn without_template() -> Self {
        Self { template: Some(NO_TEMPLATE.into()), ..Self::default() }
    }

    /// Writes a request, and returns it with its losses.
    pub(crate) fn write(&self, to: &Writing, request: &Request<'_>) -> Result<(Vec<u8>, Vec<Loss>), Fault> {
        self.writer(to)?.write(request)
    }

    /// Reads the template and the options, to write several requests.
    pub(crate) fn writer<'a>(&self, to: &'a Writing) -> Result<Writer<'a>, Fault> {
        if matches!(to, Writing::Custom(_)) && !self.options.is_empty() {
            return Err(Fault::usage(
                "--set is not available for this format: its file describes how it is written",
            ));
        }
        let prompting = self.template.as_deref().map(Prompting::new).transpose()?;
        Ok(Writer { to, prompting, options: self.conversion_options()?, has_noted: AtomicBool::new(false) })
    }

    fn conversion_options(&self) -> Result<ConversionOptions<'static>, Fault> {
        let mut options = ConversionOptions::new();
        for pair in &self.options {
            let invalid = || Fault::usage(format!("--set {pair}: no such option or value (see --help)"));
            let number = |text: &str| text.parse().map_err(|_| invalid());
            options = match pair.split_once('=').ok_or_else(invalid)? {
                ("zero-temperature", "greedy") => options.zero_temperature(ZeroTemperature::Greedy),
                ("zero-temperature", "clamp") => options.zero_temperature(ZeroTemperature::Clamp),
                ("zero-temperature", "send") => options.zero_temperature(ZeroTemperature::Send),
                ("max-tokens", tokens) => options.max_tokens(number(tokens)?),
                ("others", "keep") => options.drop_extra_parameters(false),
                ("others", "drop") => options.drop_extra_parameters(true),
                ("system", "keep") => options.system(SystemPlacement::Keep),
                ("system", "first-user") => options.system(SystemPlacement::FirstUser),
                ("system", "last-user") => options.system(SystemPlacement::LastUser),
                ("merge", "true") => options.merge_messages(true),
                ("merge", "false") => options.merge_messages(false),
                ("first-message", "insert") => options.first_message(FirstMessage::Insert),
                ("first-message", "error") => options.first_message(FirstMessage::Error),
                ("first-message", "leave") => options.first_message(FirstMessage::Leave),
                ("reasoning-tokens", "false") => options.reasoning_tokens(false),
                ("reasoning-tokens", "true") => options.reasoning_tokens(true),
                ("missing-result", "insert") => options.missing_result(MissingResult::Insert),
                ("missing-result", "error") => options.missing_result(MissingResult::Error),
                ("images", "template") => options.prompt_images(PromptImages::Template),
                ("images", "markdown") => options.prompt_images(PromptImages::Markdown),
                _ => return Err(invalid()),
            };
        }
        Ok(options)
    }
}

/// Writes requests of one format.
pub(crate) struct Writer<'a> {
    to: &'a Writing,
    prompting: Option<Prompting>,
    options: ConversionOptions<'static>,
    /// The user knows that the template is not used.
    has_noted: AtomicBool,
}

impl Writer<'_> {
    /// Writes a request, and returns it with its losses.
    pub(crate) fn write(&self, request: &Request<'_>) -> Result<(Vec<u8>, Vec<Loss>), Fault> {
        let takes_prompt = match self.to {
            Writing::Known(api) => api.takes_prompt() && request.api != Some(*api),
            Writing::Custom(format) => format.asks_for("prompt"),
        };
        if self.prompting.is_none() && request.prompt.is_none() && takes_prompt {
            return Err(missing_template());
        }
        let (is_rendered, failure) = (AtomicBool::new(false), OnceLock::new());
        let render = |messages: &[Message<'_>], tools: &[Tool<'_>]| {
            is_rendered.store(true, Ordering::Relaxed);
            match &self.prompting {
                Some(Prompting::Template(template)) => template.rendered(messages, tools),
                _ => single_text(messages, tools).map(Rendered::new),
            }
            .inspect_err(|reason| drop(failure.set(reason.clone())))
        };
        let mut options: ConversionOptions<'_> = self.options;
        if self.prompting.is_some() {
            options = options.render(&render);
        }
        let written = match self.to {
            Writing::Known(api) => write_request(*api, request, &options),
            Writing::Custom(format) => format.write(request, &options).map(|body| (body.bytes, body.losses)),
        };
        if let Some(reason) = failure.get() {
            return Err(Fault::usage(format!("--template: {reason}")));
        }
        let (body, losses) = written?;
        let is_unused =
            matches!(self.prompting, Some(Prompting::Template(_))) && !is_rendered.load(Ordering::Relaxed);
        if is_unused && !self.has_noted.swap(true, Ordering::Relaxed) {
            note(UNUSED_TEMPLATE);
        }
        Ok((body, losses.as_slice().to_vec()))
    }
}

const UNUSED_TEMPLATE: &str =
    "note: --template is not used: this format takes messages, or the request has a prompt already";

fn missing_template() -> Fault {
    Fault::usage(
        "this format takes a prompt, so a chat template is required: give --template the name of the model or of a \
         family (llama3, chatml, ...), the path of its tokenizer_config.json, or none to send a single message unchanged",
    )
}

/// The name for no template.
const NO_TEMPLATE: &str = "none";

/// The text of a single user message.
fn single_text(messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<String, String> {
    let text = |message: &Message<'_>| {
        let texts = message.content.iter().map(|part| match &part.content {
            Content::Text(text) => Some(&**text),
            _ => None,
        });
        texts.collect::<Option<String>>()
    };
    match messages {
        [message] if message.role == Role::User && tools.is_empty() => text(message),
        _ => None,
    }
    .ok_or_else(|| "none requires a single user message, with text only and without tools".to_owned())
}

impl Prompting {
    /// Finds a template by its name, or reads it from a file.
    fn new(name: &str) -> Result<Self, Fault> {
        if name == NO_TEMPLATE {
            return Ok(Self::None);
        }
        let path = Path::new(name);
        let template = match path.extension().and_then(|extension| extension.to_str()) {
            Some("jinja" | "jinja2" | "j2") => jinja(path),
            Some("json") => tokenizer_config(path),
            _ if path.is_file() => tokenizer_config(path),
            _ => Template::named(name).map_err(|error| error.to_string()),
        };
        let template = template.map_err(|reason| Fault::usage(format!("--template: {reason}")))?;
        Ok(Self::Template(Box::new(match today() {
            Some(today) => template.date(today),
            None => template,
        })))
    }
}

fn tokenizer_config(path: &Path) -> Result<Template, String> {
    let json = input::read_text(path)?;
    let neighbour = path.with_file_name("chat_template.jinja");
    let hint = if neighbour.is_file() { "; hint: there is a chat_template.jinja next to it" } else { "" };
    let template = Template::from_tokenizer_config(&json);
    template.map_err(|error| format!("{}: {error}{hint}", path.display()))
}

/// Reads a template from its own file. The special tokens are in the tokenizer_config.json next to it.
fn jinja(path: &Path) -> Result<Template, String> {
    let source = input::read_text(path)?;
    let neighbour = path.with_file_name("tokenizer_config.json");
    let config = if neighbour.is_file() { input::read_text(&neighbour)? } else { "{}".into() };
    let template = Template::from_jinja(&source, &config);
    template.map_err(|error| format!("{}: {error}", path.display()))
}

/// The current date in UTC, for templates that contain it.
fn today() -> Option<Date> {
    let now = OffsetDateTime::now_utc();
    let date = Date::new(now.year().try_into().ok()?, now.month().into(), now.day())?;
    date.time(now.hour(), now.minute(), now.second())
}
