//! Writes requests from a template.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Number;

use crate::formats::conversion::Conversion;
use crate::formats::custom::{ConfigError, Format, invalid, messages};
use crate::formats::request_reader::Result;
use crate::json::value::Tree;
use crate::model::{Losses, Offset, Param, Request};

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body {
    /// The body: JSON.
    pub bytes: Vec<u8>,
    /// What the template cannot express, for example values without a placeholder.
    pub losses: Losses,
}

/// The names that `{{…}}` may contain.
const NAMES: [&str; 19] = [
    "messages",
    "system",
    "prompt",
    "tools",
    "stop",
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "n",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "stream",
    "user",
    // Extra parameters of the source, by name: `{{other.name}}`.
    "other.…",
];
const OTHER: &str = "other.";

type Compiling<T> = core::result::Result<T, ConfigError>;

/// A template, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    root: Node,
    /// The placeholders in it.
    names: Vec<String>,
}

#[derive(Clone, Debug)]
enum Node {
    /// As it is.
    Fixed(Tree),
    /// The value of a placeholder.
    Value(String),
    /// Texts, and placeholders among them.
    Text(Vec<Piece>),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

#[derive(Clone, Debug)]
enum Piece {
    Fixed(String),
    Value(String),
}

impl Compiled {
    pub(crate) fn new(tree: &Tree) -> Compiling<Self> {
        let mut names = Vec::new();
        let root = node(tree, "/request", &mut names)?;
        Ok(Self { root, names })
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

fn node(tree: &Tree, at: &str, names: &mut Vec<String>) -> Compiling<Node> {
    Ok(match tree {
        Tree::String(text) => string(text, at, names)?,
        Tree::Array(items) => {
            let items =
                items.iter().enumerate().map(|(index, item)| node(item, &format!("{at}/{index}"), names));
            Node::Array(items.collect::<Compiling<_>>()?)
        }
        Tree::Object(members) => {
            let mut nodes = Vec::new();
            for (name, field) in members {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                if name.contains("{{") {
                    return Err(invalid(&at, 0, "names of fields have no placeholders"));
                }
                nodes.push((name.clone(), node(field, &at, names)?));
            }
            Node::Object(nodes)
        }
        fixed => Node::Fixed(fixed.clone()),
    })
}

fn string(text: &str, at: &str, names: &mut Vec<String>) -> Compiling<Node> {
    let mut pieces = Vec::new();
    let (mut rest, mut offset) = (text, 0);
    while let Some(open) = rest.find("{{") {
        let Some(len) = rest[open..].find("}}") else {
            return Err(invalid(at, offset + open, "a placeholder does not end"));
        };
        let name = rest[open + 2..open + len].trim();
        let is_other = name.strip_prefix(OTHER).is_some_and(|other| !other.is_empty());
        if !is_other && !NAMES.contains(&name) {
            let why = format!("`{name}` is no placeholder; known: {}", NAMES.join(", "));
            return Err(invalid(at, offset + open, &why));
        }
        if open > 0 {
            pieces.push(Piece::Fixed(rest[..open].to_string()));
        }
        pieces.push(Piece::Value(name.to_string()));
        names.push(name.to_string());
        rest = &rest[open + len + 2..];
        offset += open + len + 2;
    }
    if pieces.is_empty() {
        return Ok(Node::Fixed(Tree::String(text.to_string())));
    }
    if !rest.is_empty() {
        pieces.push(Piece::Fixed(rest.to_string()));
    }
    Ok(match &mut pieces[..] {
        [Piece::Value(name)] => Node::Value(core::mem::take(name)),
        _ => Node::Text(pieces),
    })
}

impl Format {
    /// Whether the template of the request has a placeholder of this name: `prompt`, `stream`.
    pub fn asks_for(&self, name: &str) -> bool {
        self.request.as_ref().is_some_and(|compiled| compiled.has(name))
    }

    /// Writes the body of a request.
    pub(crate) fn write_body(&self, conversion: &Conversion<'_, '_>) -> Result<Vec<u8>> {
        let compiled = self.request.as_ref().ok_or_else(|| {
            conversion.error(None, "requests of a format without a template cannot be written")
        })?;
        let writer = Writer { compiled, conversion };
        let tree = writer.node(&compiled.root)?.unwrap_or(Tree::Null);
        writer.report();
        serde_json::to_vec(&tree).map_err(|error| conversion.error(None, error.to_string()))
    }
}

struct Writer<'c, 'a> {
    compiled: &'c Compiled,
    conversion: &'c Conversion<'c, 'a>,
}

impl Writer<'_, '_> {
    /// The value of a node; `None` if the request does not have it.
    fn node(&self, node: &Node) -> Result<Option<Tree>> {
        Ok(Some(match node {
            Node::Fixed(tree) => tree.clone(),
            Node::Value(name) => return self.value(name),
            Node::Text(pieces) => {
                let mut out = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Fixed(text) => out.push_str(text),
                        Piece::Value(name) => match self.value(name)? {
                            None => {}
                            Some(Tree::String(text)) => out.push_str(&text),
                            Some(tree) => out.push_str(&serde_json::to_string(&tree).unwrap_or_default()),
                        },
                    }
                }
                Tree::String(out)
            }
            Node::Array(items) => {
                let mut array = Vec::new();
                for item in items {
                    array.extend(self.node(item)?);
                }
                Tree::Array(array)
            }
            Node::Object(members) => {
                let mut object = Vec::new();
                for (name, field) in members {
                    object.extend(self.node(field)?.map(|value| (name.clone(), value)));
                }
                Tree::Object(object)
            }
        }))
    }

    fn value(&self, name: &str) -> Result<Option<Tree>> {
        let request = self.conversion.request;
        Ok(match name {
            "messages" => Some(messages::messages(self.conversion, self.compiled.has("system"))?),
            "system" => messages::system(self.conversion)?.map(Tree::String),
            "prompt" => Some(Tree::String(match &request.prompt {
                Some(prompt) => prompt.value.to_string(),
                None => self.conversion.prompt()?.to_string(),
            })),
            "tools" if request.tools.is_empty() => None,
            "tools" => Some(messages::tools(self.conversion)?),
            "stop" if request.stop.is_empty() => None,
            "stop" => Some(Tree::Array(
                request.stop.iter().map(|stop| Tree::String(stop.value.to_string())).collect(),
            )),
            name => match name.strip_prefix(OTHER) {
                Some(_) if self.conversion.options.drop_extra_parameters => None,
                Some(other) => {
                    let found = request.extra_parameters.iter().rev().find(|(known, _)| known == other);
                    found.and_then(|(_, json)| serde_json::from_str(json.value.as_str()).ok())
                }
                None => parameters(request)
                    .into_iter()
                    .find(|(known, _)| *known == name)
                    .and_then(|(_, value)| Some(value?.1)),
            },
        })
    }

    /// Reports the values that the template has no placeholder for.
    fn report(&self) {
        let request = self.conversion.request;
        const WHY: &str = "the template has no place for it";
        let report = |name, offset| self.conversion.report_dropped(offset, name, WHY);
        let drop = |name, offset: Option<Offset>| {
            if let (Some(offset), false) = (offset, self.compiled.has(name)) {
                report(name, offset);
            }
        };
        for (name, value) in parameters(request) {
            drop(name, value.map(|(offset, _)| offset));
        }
        drop("tools", request.tools.first().map(|tool| tool.offset));
        drop("stop", request.stop.first().map(|stop| stop.offset));
        drop("project", request.project.as_ref().map(|param| param.offset));
        drop("tool_choice", request.tool_choice.as_ref().map(|param| param.offset));
        drop("parallel_tool_calls", request.parallel_tool_calls.map(|param| param.offset));
        drop("logprobs", request.logprobs.map(|param| param.offset));
        drop("top_logprobs", request.top_logprobs.map(|param| param.offset));
        drop("logit_bias", request.logit_bias.as_ref().map(|param| param.offset));
        drop("response_format", request.response_format.as_ref().map(|param| param.offset));
        drop("reasoning", request.reasoning.as_ref().map(|param| param.offset));
        drop("stream_options", request.include_usage.map(|param| param.offset));
        drop("service_tier", request.service_tier.as_ref().map(|param| param.offset));
        drop("return_full_text", request.return_full_text.map(|param| param.offset));
        drop("details", request.details.map(|param| param.offset));
        for (name, param) in &request.extra_parameters {
            let is_reported = self.conversion.options.drop_extra_parameters;
            if !is_reported && !self.compiled.has(&format!("{OTHER}{name}")) {
                report("extra_parameters", param.offset);
            }
        }
        let has_messages = self.compiled.has("messages") || self.compiled.has("prompt");
        if let (Some(message), false) = (request.messages.first(), has_messages) {
            report("messages", message.offset);
        }
    }
}

/// The parameters that are one value each.
fn parameters(request: &Request<'_>) -> [(&'static str, Option<(Offset, Tree)>); 13] {
    fn of<T: Clone>(param: &Option<Param<T>>, tree: impl Fn(T) -> Option<Tree>) -> Option<(Offset, Tree)> {
        let param = param.as_ref()?;
        Some((param.offset, tree(param.value.clone())?))
    }
    let float = |param| of(param, |value| Number::from_f64(value).map(Tree::Number));
    let count = |param| of(param, |value: u64| Some(Tree::Number(value.into())));
    let integer = |param| of(param, |value: i64| Some(Tree::Number(value.into())));
    let text = |param: &Option<Param<Cow<'_, str>>>| of(param, |text| Some(Tree::String(text.into_owned())));
    [
        ("model", text(&request.model)),
        ("max_tokens", count(&request.max_tokens)),
        ("temperature", float(&request.temperature)),
        ("top_p", float(&request.top_p)),
        ("top_k", integer(&request.top_k)),
        ("min_p", float(&request.min_p)),
        ("seed", integer(&request.seed)),
        ("n", count(&request.n)),
        ("frequency_penalty", float(&request.frequency_penalty)),
        ("presence_penalty", float(&request.presence_penalty)),
        ("repetition_penalty", float(&request.repetition_penalty)),
        ("stream", of(&request.stream, |value| Some(Tree::Bool(value)))),
        ("user", text(&request.user)),
    ]
}
