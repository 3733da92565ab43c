//! The template engine: minijinja as `apply_chat_template` of transformers sets up Jinja.
//!
//! `trim_blocks` and `lstrip_blocks` are on, there are loop controls, `raise_exception`, `strftime_now` and a `tojson` that
//! escapes nothing for HTML, and methods and printed values are Python's.
//!
//! A template is a program that somebody else wrote. Its steps are counted (minijinja's fuel), what it writes is bounded,
//! and so are how deep it calls itself and what it makes on its way (see `meter`).

extern crate std;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Output, State, Value};

use super::date::Date;
use super::messages::Abilities;
use super::meter::meter;
use super::{Limits, python};
use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::json::value::Tree;

/// What a template said when it refused the messages.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Raised {}

/// A value became larger than a prompt may be.
#[derive(Debug)]
pub(super) struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too large")
    }
}

impl core::error::Error for TooLarge {}

/// Compiled templates.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    environment: Arc<Environment<'static>>,
    /// As they were given.
    sources: BTreeMap<String, Arc<str>>,
    /// Bytes of the longest text between two tags, which a step can write where it is not counted: into a variable.
    longest_text: usize,
    limits: Limits,
}

impl Engine {
    /// Compiles templates, by their names.
    pub(super) fn new<'a>(
        templates: impl IntoIterator<Item = (&'a str, &'a str)>,
        limits: Limits,
    ) -> Result<Self, DecodeError> {
        let mut environment = Environment::new();
        let mut syntax = SyntaxConfig::builder();
        let syntax = syntax.trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| failed(&error, "", &limits))?);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let (mut sources, mut longest_text) = (BTreeMap::new(), 0);
        for (name, source) in templates {
            if source.len() > limits.template {
                let (len, limit) = (Some(source.len() as u64), limits.template as u64);
                let kind = DecodeErrorKind::Limit { what: "chat template", len, limit };
                return Err(DecodeError::new(Layer::Template, 0, kind));
            }
            let metered = meter(&without_generation_tags(source)).map_err(|(at, why)| {
                let line =
                    source.as_bytes()[..at.min(source.len())].iter().filter(|&&byte| byte == b'\n').count()
                        + 1;
                let why = format!("line {line}: {why}").into();
                DecodeError::new(
                    Layer::Template,
                    at as u64,
                    DecodeErrorKind::Invalid { what: "chat template", why },
                )
            })?;
            longest_text = longest_text.max(metered.longest_text);
            environment
                .add_template_owned(name.to_string(), metered.source)
                .map_err(|error| failed(&error, source, &limits))?;
            sources.insert(name.to_string(), source.into());
        }
        let mut engine = Self { environment: Arc::new(environment), sources, longest_text, limits };
        engine.set_limits(limits);
        Ok(engine)
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        /// Bytes of text between tags that a template may write into variables, and the steps that a loop takes for each.
        const TEXT: u64 = 512 * 1024 * 1024;
        const STEPS: u64 = 3;
        let environment = Arc::make_mut(&mut self.environment);
        let limit = limits.prompt;
        environment.set_fuel(Some(limits.steps.min(TEXT * STEPS / (self.longest_text as u64).max(1))));
        environment.set_recursion_limit(limits.depth);
        environment.remove_global("debug");
        environment.add_function("raise_exception", |message: &Value| -> Result<Value, minijinja::Error> {
            let raised = Raised(python::string(message, 4096).unwrap_or_default());
            Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "raised").with_source(raised))
        });
        add_filters(environment, limit);
        environment.set_unknown_method_callback(move |state, value, method, arguments| {
            python::method(state, value, method, arguments, limit)
        });
        environment.set_formatter(move |out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value| {
            let text = match value.as_str() {
                Some(text) => text,
                None => &python::string(value, limit)?,
            };
            python::make(state, text.len() as u64, limit)?;
            out.write_str(text).map_err(minijinja::Error::from)
        });
        self.limits = limits;
    }

    /// Gives templates the day.
    pub(super) fn set_date(&mut self, date: Date) {
        let now = move |format: &str| date.format(format);
        Arc::make_mut(&mut self.environment).add_function("strftime_now", now);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.sources.contains_key(name)
    }

    pub(super) fn names(&self) -> String {
        self.sources.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// What a template can say, by the names that are in it.
    pub(super) fn abilities(&self, name: &str) -> Abilities {
        let source = self.sources.get(name).map_or("", |source| source);
        let has = |word| source.contains(word);
        Abilities {
            tools: has("tools"),
            calls: has("tool_calls"),
            results: has("tool"),
            images: has("image"),
            // Those that ask whether it is a string take either.
            lists: has("image") && !has("string") && CONTENTS.iter().any(|content| has(content)),
            reasoning: has("reasoning"),
            developer: has("developer"),
            names: has("message.name") || has("message['name']") || has("message[\"name\"]"),
        }
    }

    /// Renders a template.
    pub(super) fn render(&self, name: &str, context: BTreeMap<String, Value>) -> Result<String, DecodeError> {
        let source = self.sources.get(name).map_or("", |source| source);
        let failed = |error: minijinja::Error| failed(&error, source, &self.limits);
        let template = self.environment.get_template(name).map_err(failed)?;
        let mut out = Prompt { text: Vec::new(), limit: self.limits.prompt, is_full: false };
        let rendered = template.render_captured_to(Value::from(context), &mut out).map(drop);
        if out.is_full {
            return Err(full(&self.limits));
        }
        rendered.map_err(failed)?;
        // Templates are text, and so is what they write.
        Ok(String::from_utf8_lossy(&out.text).into_owned())
    }
}

/// How templates go through the parts of a message.
const CONTENTS: [&str; 3] = ["in message['content']", "in message[\"content\"]", "in message.content"];

/// Adds filters that are Python's, and counts what the others make.
fn add_filters(environment: &mut Environment<'static>, limit: usize) {
    use minijinja::filters;

    environment.add_filter("_size", move |state: &mut State<'_, '_>, value: Value| {
        python::make(state, python::size(&value), limit).map(|()| value)
    });
    environment.add_filter("_factor", move |state: &mut State<'_, '_>, value: Value| {
        python::make(state, python::factor(&value), limit).map(|()| value)
    });
    environment.add_filter("_format", move |state: &mut State<'_, '_>, value: Value| {
        python::make(state, python::format_effort(&value), limit).map(|()| value)
    });
    environment.add_filter(
        "tojson",
        move |state: &mut State<'_, '_>, value: &Value, indent: Option<usize>, kwargs: Kwargs| {
            let json = python::to_json(value, indent, &kwargs, limit)?;
            python::make(state, json.len() as u64, limit).map(|()| json)
        },
    );
    environment.add_filter("string", move |state: &mut State<'_, '_>, value: &Value| {
        let text = python::string(value, limit)?;
        python::make(state, text.len() as u64, limit).map(|()| text)
    });
    environment.add_filter(
        "replace",
        move |state: &mut State<'_, '_>, value: &Value, from: &Value, to: &Value| {
            let text = |value| python::string(value, limit);
            python::replace(state, &text(value)?, &text(from)?, &text(to)?, limit)
        },
    );
    let counted = [
        ("upper", Value::from_function(filters::upper)),
        ("lower", Value::from_function(filters::lower)),
        ("title", Value::from_function(filters::title)),
        ("capitalize", Value::from_function(filters::capitalize)),
        ("trim", Value::from_function(filters::trim)),
        ("join", Value::from_function(filters::join)),
        ("split", Value::from_function(filters::split)),
        ("lines", Value::from_function(filters::lines)),
        ("list", Value::from_function(filters::list)),
        ("map", Value::from_function(filters::map)),
        ("select", Value::from_function(filters::select)),
        ("reject", Value::from_function(filters::reject)),
        ("selectattr", Value::from_function(filters::selectattr)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("batch", Value::from_function(filters::batch)),
        ("slice", Value::from_function(filters::slice)),
        ("sum", Value::from_function(filters::sum)),
        ("sort", Value::from_function(filters::sort)),
        ("unique", Value::from_function(filters::unique)),
        ("groupby", Value::from_function(filters::groupby)),
        ("reverse", Value::from_function(filters::reverse)),
        ("indent", Value::from_function(filters::indent)),
        ("format", Value::from_function(filters::format)),
    ];
    for (name, filter) in counted {
        environment.add_filter(name, move |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
            let arguments = arguments.into_values();
            python::make(state, python::effort(name, &arguments), limit)?;
            filter.call(state, &arguments)
        });
    }
    // As Python sees them: a text is both, and none is neither.
    let is_sequence = |value: &Value| {
        value.is_undefined() || matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
    };
    environment.add_test("sequence", move |value: &Value| is_sequence(value));
    environment
        .add_test("iterable", move |value: &Value| is_sequence(value) || value.kind() == ValueKind::Iterable);
    // These show what is none of a prompt's business, or write what nothing counts.
    for name in ["pprint", "zip", "chain"] {
        environment.remove_filter(name);
    }
}

/// A prompt that is being written.
struct Prompt {
    text: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl std::io::Write for Prompt {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.text.len() + bytes.len() > self.limit {
            self.is_full = true;
            return Err(std::io::Error::other("the prompt is too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn full(limits: &Limits) -> DecodeError {
    DecodeError::new(
        Layer::Template,
        0,
        DecodeErrorKind::Limit {
            what: "prompt, or a value of its template,",
            len: None,
            limit: limits.prompt as u64,
        },
    )
}

/// What went wrong with a template, and where in it.
fn failed(error: &minijinja::Error, source: &str, limits: &Limits) -> DecodeError {
    // Errors in macros are wrapped.
    let mut cause: Option<&dyn core::error::Error> = Some(error);
    let (mut raised, mut deepest) = (None, error);
    while let Some(error) = cause {
        raised = raised.or_else(|| error.downcast_ref::<Raised>());
        deepest = error.downcast_ref::<minijinja::Error>().unwrap_or(deepest);
        if error.is::<TooLarge>() {
            return full(limits);
        }
        cause = error.source();
    }
    let line = deepest.line().or(error.line()).unwrap_or(0);
    let offset: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let kind = match raised {
        Some(Raised(message)) => {
            DecodeErrorKind::Raised { line: line as u32, message: message.as_str().into() }
        }
        None if deepest.kind() == minijinja::ErrorKind::OutOfFuel => {
            DecodeErrorKind::Limit { what: "steps of the template", len: None, limit: limits.steps }
        }
        None => DecodeErrorKind::Invalid { what: "chat template", why: why(deepest, line) },
    };
    DecodeError::new(Layer::Template, offset as u64, kind)
}

fn why(error: &minijinja::Error, line: usize) -> Box<str> {
    let detail = error.detail().unwrap_or_default();
    if error.kind() == minijinja::ErrorKind::UnknownFunction && detail.contains("strftime_now") {
        return format!("line {line}: it asks for the day, which has to be given").into();
    }
    match detail {
        "" => format!("line {line}: {}", error.kind()).into(),
        detail => format!("line {line}: {}: {detail}", error.kind()).into(),
    }
}

/// `{% generation %}` marks what the assistant said, for training. Here it is a block like any other.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        // The percent sign of `{%}` does not end what it begins.
        let Some(len) = tag[2..].find("%}") else {
            rest = tag;
            break;
        };
        let (tag, behind) = tag.split_at(2 + len + 2);
        match tag[2..2 + len].trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '-' | '+')) {
            "generation" => out.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => out.push_str(&tag.replace("endgeneration", "endif")),
            _ => out.push_str(tag),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// JSON as a value. Every string in it, names included, goes through `text`.
pub(super) fn value(
    tree: &Tree,
    text: &mut dyn FnMut(&str) -> Result<String, DecodeError>,
) -> Result<Value, DecodeError> {
    Ok(match tree {
        Tree::Null => Value::from(()),
        Tree::Bool(value) => Value::from(*value),
        Tree::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (_, Some(integer)) => Value::from(integer),
            _ => Value::from(number.as_f64().unwrap_or_default()),
        },
        Tree::String(string) => Value::from(text(string)?),
        Tree::Array(items) => {
            items.iter().map(|item| value(item, text)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Tree::Object(members) => {
            let mut pairs = Vec::with_capacity(members.len());
            for (name, member) in members {
                pairs.push((text(name)?, value(member, text)?));
            }
            Value::from_pairs(pairs)
        }
    })
}
