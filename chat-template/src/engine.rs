//! The template engine: minijinja, set up as transformers' `apply_chat_template` sets up Jinja.
//!
//! `trim_blocks` and `lstrip_blocks` are on; there are loop controls, `raise_exception`, `strftime_now` and a `tojson`
//! without HTML escapes; methods and printed values are as in Python.
//!
//! A template is a program from an untrusted source. Its steps are counted (minijinja's fuel); its output, its recursion
//! depth, the bytes that it creates on the way and the values that it visits are bounded (see `budget` and `meter`).

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Output, State, Value};
use sagewire_codec::model::Message;

use crate::budget::{DEPTH, TooDeep, TooLarge, spend};
use crate::date::Date;
use crate::error::{Position, TemplateError, TemplateErrorKind};
use crate::limits::Limits;
use crate::messages::{Capabilities, Reasoning};
use crate::meter::meter;
use crate::{filters, methods, operators, python};

/// The message of a template that called `raise_exception`.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Raised {}

/// Compiled templates.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    environment: Arc<Environment<'static>>,
    /// The sources by name, before their operators were rewritten.
    sources: BTreeMap<String, Arc<str>>,
    /// Bytes of the longest text between two tags. A step can write it into a variable, which no meter counts.
    longest_text: usize,
    limits: Limits,
}

impl Engine {
    /// Compiles named templates.
    pub(crate) fn new<'a>(
        templates: impl IntoIterator<Item = (&'a str, &'a str)>,
        limits: Limits,
    ) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        let mut syntax = SyntaxConfig::builder();
        let syntax = syntax.trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| failed(error, "", &limits))?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let (mut sources, mut longest_text) = (BTreeMap::new(), 0);
        for (name, source) in templates {
            if source.len() > limits.template {
                let (len, limit) = (Some(source.len() as u64), limits.template as u64);
                return Err(TemplateError::new(TemplateErrorKind::Limit {
                    what: "template size",
                    len,
                    limit,
                }));
            }
            let metered = meter(&without_generation_tags(source)).map_err(|fault| {
                let position = Some(Position::at_offset(source, fault.offset));
                let reason = fault.reason.into();
                TemplateError::new(TemplateErrorKind::InvalidTemplate { position, reason })
            })?;
            longest_text = longest_text.max(metered.longest_text);
            environment
                .add_template_owned(name.to_string(), metered.source)
                .map_err(|error| failed(error, source, &limits))?;
            sources.insert(name.to_string(), source.into());
        }
        let mut engine = Self { environment: Arc::new(environment), sources, longest_text, limits };
        engine.set_limits(limits);
        Ok(engine)
    }

    pub(crate) fn set_limits(&mut self, limits: Limits) {
        /// Bytes of text between tags that a template may write into variables.
        const TEXT: u64 = 512 * 1024 * 1024;
        /// Steps that a loop takes to write one such text.
        const STEPS: u64 = 3;
        let environment = Arc::make_mut(&mut self.environment);
        environment.set_fuel(Some(limits.steps.min(TEXT * STEPS / (self.longest_text as u64).max(1))));
        environment.set_recursion_limit(limits.depth);
        environment.remove_global("debug");
        environment.add_function("raise_exception", |message: &Value| -> Result<Value, minijinja::Error> {
            let raised = Raised(python::string(message, 4096).unwrap_or_default());
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "raised").with_source(raised))
        });
        operators::add(environment, limits);
        filters::add(environment, limits);
        environment.set_unknown_method_callback(move |state, value, method, arguments| {
            methods::call(state, value, method, arguments, &limits)
        });
        environment.set_formatter(move |out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value| {
            let text = match value.as_str() {
                Some(text) => text,
                None => &python::string(value, limits.prompt)?,
            };
            spend(state, text.len() as u64, &limits)?;
            out.write_str(text).map_err(minijinja::Error::from)
        });
        self.limits = limits;
    }

    /// Sets where the date comes from that templates may read.
    pub(crate) fn set_clock(&mut self, now: impl Fn() -> Date + Send + Sync + 'static) {
        let now = move |format: &str| now().format(format);
        Arc::make_mut(&mut self.environment).add_function("strftime_now", now);
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.sources.contains_key(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.sources.keys().cloned().collect()
    }

    /// What a template can express, derived from the words in it.
    pub(crate) fn capabilities(&self, name: &str) -> Capabilities {
        let source = self.sources.get(name).map_or("", |source| source);
        let has = |word| source.contains(word);
        Capabilities {
            tools: has("tools"),
            tool_calls: has("tool_calls"),
            tool_results: has("tool"),
            images: has("image"),
            // A template that tests whether the content is a string accepts a string.
            content_lists: has("image") && !has("string") && CONTENT_LOOPS.iter().any(|code| has(code)),
            reasoning: if has("reasoning") { Reasoning::All } else { Reasoning::None },
            developer: has("developer"),
            names: has("message.name") || has("message['name']") || has("message[\"name\"]"),
            ..Capabilities::default()
        }
    }

    /// Refuses more messages than a template can write in its steps, before their values take memory.
    pub(crate) fn check_count(&self, messages: &[Message<'_>]) -> Result<(), TemplateError> {
        /// Fewer steps than any template takes for a message.
        const STEPS: u64 = 8;
        let count = messages.iter().map(|message| message.content.len().max(1) as u64).sum::<u64>();
        let limit = self.limits.steps / STEPS;
        if count <= limit {
            return Ok(());
        }
        let what = "the number of messages and their parts";
        Err(TemplateError::new(TemplateErrorKind::Limit { what, len: Some(count), limit }))
    }

    /// Renders a template.
    pub(crate) fn render(
        &self,
        name: &str,
        context: BTreeMap<String, Value>,
    ) -> Result<String, TemplateError> {
        let source = self.sources.get(name).map_or("", |source| source);
        let failed = |error: minijinja::Error| failed(error, source, &self.limits);
        let template = self.environment.get_template(name).map_err(failed)?;
        let mut out = BoundedOutput { text: Vec::new(), limit: self.limits.prompt, is_full: false };
        let rendered = template.render_captured_to(Value::from(context), &mut out).map(drop);
        if out.is_full {
            return Err(prompt_too_large(&self.limits));
        }
        rendered.map_err(failed)?;
        // Templates and values are text, so the output is UTF-8.
        Ok(String::from_utf8_lossy(&out.text).into_owned())
    }
}

/// How templates iterate over the parts of a message.
const CONTENT_LOOPS: [&str; 3] = ["in message['content']", "in message[\"content\"]", "in message.content"];

/// The output: a text of at most `limit` bytes.
struct BoundedOutput {
    text: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl io::Write for BoundedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.limit {
            self.is_full = true;
            return Err(io::Error::other("the prompt is too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn prompt_too_large(limits: &Limits) -> TemplateError {
    let what = "the prompt, or a value of its template,";
    TemplateError::new(TemplateErrorKind::Limit { what, len: None, limit: limits.prompt as u64 })
}

/// Converts an error of the engine.
fn failed(error: minijinja::Error, source: &str, limits: &Limits) -> TemplateError {
    // Errors in macros are wrapped.
    let mut cause: Option<&dyn Error> = Some(&error);
    let (mut raised, mut deepest) = (None, &error);
    while let Some(error) = cause {
        raised = raised.or_else(|| error.downcast_ref::<Raised>());
        deepest = error.downcast_ref::<minijinja::Error>().unwrap_or(deepest);
        if error.is::<TooLarge>() {
            return prompt_too_large(limits);
        }
        if error.is::<TooDeep>() {
            let (what, limit) = ("the nesting of a value", DEPTH as u64);
            return TemplateError::new(TemplateErrorKind::Limit { what, len: None, limit });
        }
        cause = error.source();
    }
    let line = deepest.line().or(error.line());
    let position = line.map(|line| Position::at_line(source, line));
    if let Some(Raised(message)) = raised {
        let message = message.as_str().into();
        return TemplateError::new(TemplateErrorKind::Raised { position, message });
    }
    if deepest.kind() == minijinja::ErrorKind::OutOfFuel {
        let what = "the number of template steps";
        return TemplateError::new(TemplateErrorKind::Limit { what, len: None, limit: limits.steps });
    }
    let reason = reason(deepest);
    TemplateError::new(TemplateErrorKind::InvalidTemplate { position, reason }).with_source(error)
}

fn reason(error: &minijinja::Error) -> Box<str> {
    let detail = error.detail().unwrap_or_default();
    if error.kind() == minijinja::ErrorKind::UnknownFunction && detail.contains("strftime_now") {
        return "the template needs the current date, which was not set".into();
    }
    match detail {
        "" => error.kind().to_string().into(),
        detail => format!("{}: {detail}", error.kind()).into(),
    }
}

/// Replaces `{% generation %}`, which marks the assistant's texts for training, by a block without effect. All offsets stay
/// the same.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        // In `{%}`, the percent sign starts the tag and does not end it.
        let Some(len) = tag[2..].find("%}") else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(2 + len + 2);
        match tag[2..2 + len].trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '-' | '+')) {
            "generation" => out.push_str(&tag.replace("generation", "if true   ")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif        ")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
