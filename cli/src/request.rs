//! Requests, as a format takes them.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use sagewire_chat_template::{Date, Template};
use sagewire_codec::model::{
    Content, ConversionOptions, FirstMessage, Loss, Message, PromptImages, Rendered, Request, Role,
    SystemPlacement, Tool, ZeroTemperature,
};
use sagewire_codec::{Api, custom, write_request};
use time::OffsetDateTime;

use crate::fault::{Fault, note};
use crate::format::Writing;
use crate::input;

/// Arguments of the commands that write requests.
#[derive(Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The chat template, for formats that take text: a family (llama3, chatml, …), the name of a model at Hugging Face or
    /// in JumpStart, the path of a tokenizer_config.json or of a .jinja file; none sends a single message as it is
    #[arg(long, value_name = "NAME|FILE")]
    template: Option<String>,
    /// How it is written: zero-temperature=greedy|clamp|send, max-tokens=N, others=keep|drop,
    /// system=keep|first-user|last-user, merge=true|false, first-message=insert|error|leave, images=template|markdown (TGI)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// What makes a prompt of messages.
enum Prompting {
    Template(Box<Template>),
    /// The one message is the prompt.
    AsItIs,
}

impl Args {
    /// The arguments that need no chat template.
    pub(crate) fn as_it_is() -> Self {
        Self { template: Some(AS_IT_IS.into()), ..Self::default() }
    }

    /// Writes a request, and says what was lost.
    pub(crate) fn write(&self, to: &Writing, request: &Request<'_>) -> Result<(Vec<u8>, Vec<Loss>), Fault> {
        let prompting = self.template.as_deref().map(Prompting::new).transpose()?;
        let settings = self.settings()?;
        match to {
            Writing::Known(format) => known(*format, request, settings, prompting.as_ref()),
            Writing::Custom(_) if !self.settings.is_empty() => Err(Fault::usage(
                "--set is for the formats that sagewire knows: this one is written as its file says",
            )),
            Writing::Custom(format) => described(format, request, prompting.as_ref()),
        }
    }

    fn settings(&self) -> Result<ConversionOptions<'static>, Fault> {
        let mut settings = ConversionOptions::new();
        for pair in &self.settings {
            let unusable = || Fault::usage(format!("--set {pair}: not a setting (see --help)"));
            let number = |text: &str| text.parse().map_err(|_| unusable());
            settings = match pair.split_once('=').ok_or_else(unusable)? {
                ("zero-temperature", "greedy") => settings.zero_temperature(ZeroTemperature::Greedy),
                ("zero-temperature", "clamp") => settings.zero_temperature(ZeroTemperature::Clamp),
                ("zero-temperature", "send") => settings.zero_temperature(ZeroTemperature::Send),
                ("max-tokens", tokens) => settings.max_tokens(number(tokens)?),
                ("others", "keep") => settings.drop_extra_parameters(false),
                ("others", "drop") => settings.drop_extra_parameters(true),
                ("system", "keep") => settings.system(SystemPlacement::Keep),
                ("system", "first-user") => settings.system(SystemPlacement::FirstUser),
                ("system", "last-user") => settings.system(SystemPlacement::LastUser),
                ("merge", "true") => settings.merge_messages(true),
                ("merge", "false") => settings.merge_messages(false),
                ("first-message", "insert") => settings.first_message(FirstMessage::Insert),
                ("first-message", "error") => settings.first_message(FirstMessage::Error),
                ("first-message", "leave") => settings.first_message(FirstMessage::Leave),
                ("images", "template") => settings.prompt_images(PromptImages::Template),
                ("images", "markdown") => settings.prompt_images(PromptImages::Markdown),
                _ => return Err(unusable()),
            };
        }
        Ok(settings)
    }
}

fn known(
    format: Api,
    request: &Request<'_>,
    settings: ConversionOptions<'_>,
    prompting: Option<&Prompting>,
) -> Result<(Vec<u8>, Vec<Loss>), Fault> {
    let goes_back = request.api == Some(format);
    if prompting.is_none() && request.prompt.is_none() && takes_prompt(format) && !goes_back {
        return Err(no_template());
    }
    let (is_rendered, refused) = (AtomicBool::new(false), OnceLock::new());
    let render = |messages: &[Message<'_>], tools: &[Tool<'_>]| {
        is_rendered.store(true, Ordering::Relaxed);
        match prompting {
            Some(Prompting::Template(template)) => template.rendered(messages, tools),
            _ => as_it_is(messages, tools).map(Rendered::new),
        }
        .inspect_err(|why| drop(refused.set(why.clone())))
    };
    let settings = if prompting.is_some() { settings.render(&render) } else { settings };
    let written = write_request(format, request, &settings);
    if let Some(why) = refused.get() {
        return Err(Fault::usage(format!("--template: {why}")));
    }
    let (body, losses) = written?;
    if matches!(prompting, Some(Prompting::Template(_))) && !is_rendered.load(Ordering::Relaxed) {
        note(UNUSED);
    }
    Ok((body, losses.as_slice().to_vec()))
}

/// A template that somebody gave for nothing.
const UNUSED: &str = "note: --template is not used: this format takes messages, or there is a prompt already";

fn described(
    format: &custom::Format,
    request: &Request<'_>,
    prompting: Option<&Prompting>,
) -> Result<(Vec<u8>, Vec<Loss>), Fault> {
    let mut losses = Vec::new();
    let mut prompt = None;
    if format.asks_for("prompt") && request.prompt.is_none() {
        prompt = Some(match prompting.ok_or_else(no_template)? {
            Prompting::Template(template) => {
                let prompt = template.render(&request.messages, &request.tools)?;
                losses.extend_from_slice(prompt.losses.as_slice());
                prompt.text
            }
            Prompting::AsItIs => as_it_is(&request.messages, &request.tools)
                .map_err(|why| Fault::usage(format!("--template: {why}")))?,
        });
    } else if matches!(prompting, Some(Prompting::Template(_))) {
        note(UNUSED);
    }
    let body = format.write(request, prompt.as_deref())?;
    losses.extend_from_slice(body.losses.as_slice());
    Ok((body.bytes, losses))
}

/// Whether requests of this format have a prompt in place of messages.
fn takes_prompt(format: Api) -> bool {
    matches!(
        format,
        Api::Completions
            | Api::Tgi
            | Api::Lmi
            | Api::JumpStart
            | Api::JumpStartText
            | Api::Triton
            | Api::JumpStartRaw
    )
}

fn no_template() -> Fault {
    Fault::usage(
        "this format takes a prompt, which a chat template makes of messages: give --template the name of the model or of \
         a family (llama3, chatml, …), the path of its tokenizer_config.json, or none to send a single message as it is",
    )
}

/// The name for no template.
const AS_IT_IS: &str = "none";

/// The one message, if it is one and of text.
fn as_it_is(messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<String, String> {
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
    .ok_or_else(|| "none is for a single message of the user, of text and without tools".to_owned())
}

impl Prompting {
    /// A template by its name, or of a file.
    fn new(name: &str) -> Result<Self, Fault> {
        if name == AS_IT_IS {
            return Ok(Self::AsItIs);
        }
        let path = Path::new(name);
        let template = match path.extension().and_then(|extension| extension.to_str()) {
            Some("jinja" | "jinja2" | "j2") => jinja(path),
            Some("json") => tokenizer_config(path),
            _ if path.is_file() => tokenizer_config(path),
            _ => Template::named(name).map_err(|error| error.to_string()),
        };
        let template = template.map_err(|why| Fault::usage(format!("--template: {why}")))?;
        Ok(Self::Template(Box::new(match today() {
            Some(today) => template.date(today),
            None => template,
        })))
    }
}

fn tokenizer_config(path: &Path) -> Result<Template, String> {
    let json = input::read_text(path)?;
    let beside = path.with_file_name("chat_template.jinja");
    let hint = if beside.is_file() { "; hint: there is a chat_template.jinja beside it" } else { "" };
    let template = Template::from_tokenizer_config(&json);
    template.map_err(|error| format!("{}: {error}{hint}", path.display()))
}

/// A template in a file of its own; the tokens that it names are in the file beside it.
fn jinja(path: &Path) -> Result<Template, String> {
    let source = input::read_text(path)?;
    let beside = path.with_file_name("tokenizer_config.json");
    let config = if beside.is_file() { input::read_text(&beside)? } else { "{}".into() };
    let template = Template::from_jinja(&source, &config);
    template.map_err(|error| format!("{}: {error}", path.display()))
}

/// The current date in UTC, for templates that write it.
fn today() -> Option<Date> {
    let now = OffsetDateTime::now_utc();
    let date = Date::new(now.year().try_into().ok()?, now.month().into(), now.day())?;
    date.time(now.hour(), now.minute(), now.second())
}
