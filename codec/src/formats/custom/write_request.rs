//! Writes requests from a template.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Number;

use crate::convert_error::ConvertError;
use crate::formats::custom::ConfigError;
use crate::formats::custom::{Format, invalid, messages};
use crate::json::value::Tree;
use crate::model::{Losses, Outcome};
use crate::model::{Param, Request};

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body {
    /// The body: JSON.
    pub bytes: Vec<u8>,
    /// Values that the template has no placeholder for, as JSON pointers into OpenAI's request.
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
    pub(crate) fn new(tree: &Tree) -> Result<Self, ConfigError> {
        let mut names = Vec::new();
        let root = node(tree, "/request", &mut names)?;
        Ok(Self { root, names })
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

fn node(tree: &Tree, at: &str, names: &mut Vec<String>) -> Result<Node, ConfigError> {
    Ok(match tree {
        Tree::String(text) => string(text, at, names)?,
        Tree::Array(items) => {
            let items =
                items.iter().enumerate().map(|(index, item)| node(item, &format!("{at}/{index}"), names));
            Node::Array(items.collect::<Result<_, _>>()?)
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

fn string(text: &str, at: &str, names: &mut Vec<String>) -> Result<Node, ConfigError> {
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

    /// Writes a request. `prompt` is the value of `{{prompt}}` if the request itself has no prompt: the messages as one
    /// text, as the crate `sagewire-chat-template` renders it.
    ///
    /// # Errors
    ///
    /// The format has no template; its template needs a prompt and there is none; or the messages contain something that
    /// OpenAI's messages cannot express, and their meaning would change without it.
    pub fn write(&self, request: &Request<'_>, prompt: Option<&str>) -> Result<Body, ConvertError> {
        let compiled = self.request.as_ref().ok_or_else(|| {
            ConvertError::unsupported("a request of a format without a template", "/request")
        })?;
        let mut writer = Writer { compiled, request, prompt, losses: Losses::default() };
        let tree = writer.node(&compiled.root)?.unwrap_or(Tree::Null);
        writer.report();
        let bytes = serde_json::to_vec(&tree)
            .map_err(|error| ConvertError::unsupported(&error.to_string(), "/request"))?;
        Ok(Body { bytes, losses: writer.losses })
    }
}

struct Writer<'a, 'b> {
    compiled: &'a Compiled,
    request: &'a Request<'b>,
    prompt: Option<&'a str>,
    losses: Losses,
}

impl Writer<'_, '_> {
    /// The value of a node; `None` if the request does not have it.
    fn node(&mut self, node: &Node) -> Result<Option<Tree>, ConvertError> {
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

    fn value(&mut self, name: &str) -> Result<Option<Tree>, ConvertError> {
        let request = self.request;
        Ok(match name {
            "messages" => {
                let without_system = self.compiled.has("system");
                Some(messages::messages(&request.messages, without_system, &mut self.losses)?)
            }
            "system" => messages::system(&request.messages, &mut self.losses)?.map(Tree::String),
            "prompt" => {
                let prompt = request.prompt.as_ref().map(|prompt| &*prompt.value).or(self.prompt);
                let prompt = prompt.filter(|_| request.prompts.is_none()).ok_or_else(|| {
                    let what = "a request without a prompt, which the template requires,";
                    ConvertError::unsupported(what, "/prompt")
                })?;
                Some(Tree::String(prompt.to_string()))
            }
            "tools" if request.tools.is_empty() => None,
            "tools" => Some(messages::tools(&request.tools, &mut self.losses)?),
            "stop" if request.stop.is_empty() => None,
            "stop" => Some(Tree::Array(
                request.stop.iter().map(|stop| Tree::String(stop.value.to_string())).collect(),
            )),
            name => match name.strip_prefix(OTHER) {
                Some(other) => {
                    let found = request.extra_parameters.iter().rev().find(|(known, _)| known == other);
                    found.and_then(|(_, json)| serde_json::from_str(json.value.as_str()).ok())
                }
                None => parameters(request)
                    .into_iter()
                    .find(|(known, _)| *known == name)
                    .and_then(|(_, value)| value),
            },
        })
    }

    /// Reports the values that the template has no placeholder for.
    fn report(&mut self) {
        let request = self.request;
        const WHY: &str = "the template has no place for it";
        let mut drop = |name: &str, is_said: bool| {
            if is_said && !self.compiled.has(name) {
                let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
                self.losses.add_at(pointer, Outcome::Dropped, WHY);
            }
        };
        for (name, value) in parameters(request) {
            drop(name, value.is_some());
        }
        drop("tools", !request.tools.is_empty());
        drop("stop", !request.stop.is_empty());
        drop("project", request.project.is_some());
        for (name, is_said) in [
            ("tool_choice", request.tool_choice.is_some()),
            ("parallel_tool_calls", request.parallel_tool_calls.is_some()),
            ("logprobs", request.logprobs.is_some()),
            ("top_logprobs", request.top_logprobs.is_some()),
            ("logit_bias", request.logit_bias.is_some()),
            ("response_format", request.response_format.is_some()),
            ("reasoning", request.reasoning.is_some()),
            ("stream_options", request.include_usage.is_some()),
            ("service_tier", request.service_tier.is_some()),
            ("return_full_text", request.return_full_text.is_some()),
            ("details", request.details.is_some()),
        ] {
            drop(name, is_said);
        }
        for (name, _) in &request.extra_parameters {
            if !self.compiled.has(&format!("{OTHER}{name}")) {
                let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
                self.losses.add_at(pointer, Outcome::Dropped, WHY);
            }
        }
        let has_messages = self.compiled.has("messages") || self.compiled.has("prompt");
        if !request.messages.is_empty() && !has_messages {
            self.losses.add_at("/messages", Outcome::Dropped, WHY);
        }
    }
}

/// The parameters that are one value each.
fn parameters(request: &Request<'_>) -> [(&'static str, Option<Tree>); 13] {
    let float =
        |param: Option<Param<f64>>| param.and_then(|param| Number::from_f64(param.value)).map(Tree::Number);
    let count = |param: Option<Param<u64>>| param.map(|param| Tree::Number(param.value.into()));
    let integer = |param: Option<Param<i64>>| param.map(|param| Tree::Number(param.value.into()));
    let text = |param: &Option<Param<Cow<'_, str>>>| {
        param.as_ref().map(|param| Tree::String(param.value.to_string()))
    };
    [
        ("model", text(&request.model)),
        ("max_tokens", count(request.max_tokens)),
        ("temperature", float(request.temperature)),
        ("top_p", float(request.top_p)),
        ("top_k", integer(request.top_k)),
        ("min_p", float(request.min_p)),
        ("seed", integer(request.seed)),
        ("n", count(request.n)),
        ("frequency_penalty", float(request.frequency_penalty)),
        ("presence_penalty", float(request.presence_penalty)),
        ("repetition_penalty", float(request.repetition_penalty)),
        ("stream", request.stream.map(|param| Tree::Bool(param.value))),
        ("user", text(&request.user)),
    ]
}
