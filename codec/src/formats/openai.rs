//! What OpenAI's APIs, chat completions and Responses, have in common: tools, the choice of tools, reasoning, the service tier,
//! and fields of the same meaning that no other API has.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::edit::put_back;
use crate::formats::parameters::{Group, Parameter, row};
use crate::formats::request_reader::{Result, Source, offset_of, string_field};
use crate::json::{Kind, Object, as_object, member, members, string, with_member};
use crate::model::{Api, Fields, Json, Message, Outcome, Param, Request, ResponseFormat, ToolChoice};

/// The parameters of tools.
pub(crate) const TOOLS: Group =
    Group { object: "", rows: &[&[row(Parameter::ParallelToolCalls, "parallel_tool_calls")]] };

/// Fields of a chat completion request that no other API has, and their paths in a Responses request.
const SHARED_FIELDS: [(&str, &str); 9] = [
    ("metadata", "metadata"),
    ("moderation", "moderation"),
    ("prompt_cache_key", "prompt_cache_key"),
    ("prompt_cache_options", "prompt_cache_options"),
    ("prompt_cache_retention", "prompt_cache_retention"),
    ("safety_identifier", "safety_identifier"),
    ("store", "store"),
    ("stream_options/include_obfuscation", "stream_options/include_obfuscation"),
    ("verbosity", "text/verbosity"),
];

/// The path that an extension field of one of OpenAI's APIs has in the other.
fn shared_field(to: Api, path: &str) -> Option<&'static str> {
    SHARED_FIELDS.into_iter().find_map(|(chat, responses)| match to {
        Api::Responses => (path == chat).then_some(responses),
        _ => (path == responses).then_some(chat),
    })
}

impl Conversion<'_, '_> {
    /// The API that the request is converted to, if that is one of OpenAI's and the source is another one.
    fn sibling(&self) -> Option<Api> {
        let is_sibling = match self.target {
            Some(Api::OpenAi) => self.request.api == Some(Api::Responses),
            Some(Api::Responses) => self.request.api == Some(Api::OpenAi),
            _ => false,
        };
        self.target.filter(|_| is_sibling)
    }

    /// Whether values that only OpenAI's APIs know can be written.
    pub(crate) fn keeps_openai_fields(&self) -> bool {
        self.is_native() || self.sibling().is_some()
    }

    /// Whether an extension field of the request has a place in the target.
    pub(crate) fn is_shared(&self, path: &str) -> bool {
        self.sibling().is_some_and(|target| shared_field(target, path).is_some())
    }

    /// Whether an extension field of a message has a place in the target, or is only bookkeeping of the service: IDs of items, and
    /// that they are complete.
    pub(crate) fn is_shared_in_message(&self, path: &str, value: &Json<'_>) -> bool {
        let is_of_item = path == "id" || (path == "status" && value.as_str() == "\"completed\"");
        (path == PHASE && self.sibling().is_some())
            || (is_of_item && self.request.api == Some(Api::Responses))
    }

    /// The phase of a message, which OpenAI requires to be sent back as it came, if the other of OpenAI's APIs has it.
    pub(crate) fn phase<'m>(&self, message: &'m Message<'_>) -> Option<&'m str> {
        self.sibling()?;
        let fields = &message.extension_fields;
        fields.iter().rfind(|(path, _)| path == PHASE).map(|(_, value)| value.value.as_str())
    }

    /// A custom tool as the other of OpenAI's APIs has it. The chat has its fields in the object `custom`, and those of a grammar in
    /// the object `grammar`.
    pub(crate) fn custom_tool(&self, tool: &Json<'_>) -> Option<String> {
        let target = self.sibling()?;
        let tool = tool.as_str();
        let is_custom = member(tool, "type").and_then(string)? == "custom";
        let moved = move_fields(tool, "custom", target).filter(|_| is_custom)?;
        let (outer, mut inner) = match target {
            Api::Responses => (None, moved),
            _ => (Some(&*moved), String::from(member(&moved, "custom")?)),
        };
        let format = member(&inner, "format").and_then(as_object);
        if let Some(format) = format.and_then(|format| move_fields(format, "grammar", target)) {
            inner = with_member(&inner, "format", Some(&format));
        }
        Some(match outer {
            Some(outer) => with_member(outer, "custom", Some(&inner)),
            None => inner,
        })
    }

    /// Puts the fields that both of OpenAI's APIs have into the written request. A missing object is created if it is one of
    /// `objects`.
    pub(crate) fn put_shared(&self, out: &mut Vec<u8>, objects: &[&str]) {
        let Some(target) = self.sibling() else { return };
        let mut shared = Vec::new();
        for (path, field) in &self.request.extension_fields {
            if let Some(path) = shared_field(target, path) {
                shared.push((Cow::Borrowed(path), field.value.as_str()));
            }
        }
        put_back(out, 0, &shared, objects);
    }
}

/// An object with a type, of which the chat has the other fields in an object of the name `of`: with these fields where the target has
/// them. `None` if there are none, or others than expected.
fn move_fields(object: &str, of: &'static str, target: Api) -> Option<String> {
    let kind = member(object, "type")?;
    let fields = match target {
        Api::Responses if members(object).len() == 2 => members(as_object(member(object, of)?)?),
        Api::Responses => return None,
        _ => members(object).into_iter().filter(|(name, _)| name != "type").collect(),
    };
    let mut out = Vec::new();
    Object::write(&mut out, |moved| {
        moved.raw("type", kind);
        let write = |object: &mut Object<'_>| fields.iter().for_each(|(name, value)| object.raw(name, value));
        match target {
            Api::Responses => write(moved),
            _ => moved.object(of, write),
        }
    });
    (!fields.is_empty()).then(|| String::from_utf8_lossy(&out).into_owned())
}

/// The field of a message with its purpose: a commentary or the final response.
const PHASE: &str = "phase";

/// Reads the choice of tools.
pub(crate) fn tool_choice<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let (kind, offset) = source.kind()?;
    let offset = offset_of(offset);
    let choice = match kind {
        Kind::String => source.probe(|source| {
            Ok(match &*source.string()? {
                "auto" => Some(ToolChoice::Auto),
                "none" => Some(ToolChoice::None),
                "required" => Some(ToolChoice::Required),
                _ => None,
            })
        })?,
        Kind::Object => source.probe(named_choice)?,
        _ => return Ok(false),
    };
    let value = match choice {
        Some(choice) => choice,
        None => ToolChoice::Other(source.raw()?),
    };
    request.tool_choice = Some(Param { value, offset });
    Ok(true)
}

/// Reads `{"type":"function","function":{"name":…}}`, `{"name":…}`, and `allowed_tools`, the fields of which the chat wraps in
/// `allowed_tools`. Any other shape is not recognized.
fn named_choice<'a>(source: &mut Source<'a>) -> Result<Option<ToolChoice<'a>>> {
    let mut choice = Choice { is_exact: true, ..Choice::default() };
    choice.read(source)?;
    Ok(match (choice.kind.as_deref(), choice.name, choice.mode.as_deref()) {
        _ if !choice.is_exact => None,
        (Some("function") | None, Some(name), None) => Some(ToolChoice::Tool(name)),
        (Some("allowed_tools"), None, Some(mode @ ("auto" | "required"))) => {
            Some(ToolChoice::Allowed { tools: choice.tools, required: mode == "required" })
        }
        _ => None,
    })
}

/// The fields of a choice, in whichever of its objects they are.
#[derive(Default)]
struct Choice<'a> {
    kind: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    mode: Option<Cow<'a, str>>,
    tools: Vec<Cow<'a, str>>,
    /// There is nothing else.
    is_exact: bool,
}

impl<'a> Choice<'a> {
    fn read(&mut self, source: &mut Source<'a>) -> Result<()> {
        let mut unknown = Fields::new();
        source.object(&mut unknown, "", |source, field| match field {
            "type" => source.value(&mut self.kind),
            "name" => source.value(&mut self.name),
            "mode" => source.value(&mut self.mode),
            "function" | "allowed_tools" if source.kind()?.0 == Kind::Object => {
                self.read(source).map(|()| true)
            }
            "tools" if source.kind()?.0 == Kind::Array => {
                source.array(|source| {
                    match source.probe(named_choice)? {
                        Some(ToolChoice::Tool(name)) => self.tools.push(name),
                        _ => {
                            self.is_exact = false;
                            source.raw()?;
                        }
                    }
                    Ok(())
                })?;
                Ok(true)
            }
            _ => Ok(false),
        })?;
        self.is_exact &= unknown.is_empty();
        Ok(())
    }
}

/// The effort of reasoning. A number of tokens becomes the effort that LiteLLM takes it for.
pub(crate) fn effort<'r>(c: &Conversion<'r, '_>) -> Option<&'r str> {
    let reasoning = c.request.reasoning.as_ref()?;
    let (reasoning, offset) = (&reasoning.value, reasoning.offset);
    if let Some(effort) = &reasoning.effort {
        if reasoning.budget_tokens.is_some() || reasoning.other.is_some() {
            c.report_approximated(offset, "reasoning", "OpenAI has only an effort");
        }
        return Some(effort);
    }
    let is_disabled = |other: &Json<'_>| string_field(other, "type").as_deref() == Some("disabled");
    if reasoning.other.as_ref().is_some_and(is_disabled) {
        return Some("none");
    }
    let Some(budget) = reasoning.budget_tokens else {
        c.report_dropped(offset, "reasoning", "OpenAI has only an effort");
        return None;
    };
    c.report_approximated(offset, "reasoning", "OpenAI has an effort, no number of tokens");
    Some(match budget {
        0..2048 => "low",
        2048..4096 => "medium",
        _ => "high",
    })
}

/// Writes the format of the response as the field `name`. The chat has the fields of a schema in an object of their own, `nested`.
pub(crate) fn write_format(
    c: &Conversion<'_, '_>,
    object: &mut Object<'_>,
    name: &'static str,
    nested: Option<&'static str>,
) {
    let Some(shape) = &c.request.response_format else { return };
    let kind = match &shape.value {
        ResponseFormat::Text => "text",
        ResponseFormat::JsonObject => "json_object",
        ResponseFormat::JsonSchema { .. } => "json_schema",
        ResponseFormat::Other(other) if c.is_native() => return object.raw(name, other.as_str()),
        ResponseFormat::Regex(_) | ResponseFormat::Other(_) => {
            return c.report_dropped(shape.offset, "response_format", "OpenAI has JSON schemas only");
        }
    };
    let mut format = object.begin_object(name);
    format.string("type", kind);
    match nested {
        _ if kind != "json_schema" => {}
        Some(nested) => write_schema(c, shape, &mut format.begin_object(nested)),
        None => write_schema(c, shape, &mut format),
    }
}

fn write_schema(c: &Conversion<'_, '_>, shape: &Param<ResponseFormat<'_>>, object: &mut Object<'_>) {
    let ResponseFormat::JsonSchema { name, description, schema, strict } = &shape.value else { return };
    let name = name.as_deref().unwrap_or_else(|| {
        let why = "OpenAI requires a name of the schema: \"response\"";
        c.report(shape.offset, "response_format", Outcome::Defaulted, why);
        "response"
    });
    object.string("name", name);
    if let Some(description) = description {
        object.string("description", description);
    }
    match schema {
        Some(schema) => object.raw("schema", schema.as_str()),
        None if c.target == Some(Api::Responses) => {
            let why = "Responses requires a schema: one that allows any JSON";
            c.report(shape.offset, "response_format", Outcome::Defaulted, why);
            object.raw("schema", "{}");
        }
        None => {}
    }
    if let Some(strict) = strict {
        object.bool("strict", *strict);
    }
}

/// Writes the service tier.
pub(crate) fn service_tier(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let Some(tier) = &c.request.service_tier else { return };
    match &*tier.value {
        "reserved" => c.report_dropped(tier.offset, "service_tier", "OpenAI has no reserved tier"),
        "standard_only" => object.string(name, "default"),
        tier => object.string(name, tier),
    }
}

/// The types of annotations of Responses.
const ANNOTATIONS: [&str; 4] = ["file_citation", "url_citation", "container_file_citation", "file_path"];

/// A citation in the shape of Responses, if it is one of OpenAI's. The chat has its fields in an object named like its type.
pub(crate) fn annotation(json: &str) -> Option<Cow<'_, str>> {
    let kind = member(json, "type").and_then(string)?;
    let Some(fields) = member(json, &kind).and_then(as_object) else {
        return ANNOTATIONS.contains(&&*kind).then_some(Cow::Borrowed(json));
    };
    let mut flat = Vec::new();
    Object::write(&mut flat, |object| {
        object.string("type", &kind);
        for (name, value) in members(fields) {
            object.raw(&name, value);
        }
    });
    Some(Cow::Owned(String::from_utf8_lossy(&flat).into_owned()))
}

/// A citation in the shape of the chat, if it is one of OpenAI's.
pub(crate) fn chat_annotation(json: &str) -> Option<Cow<'_, str>> {
    let kind = member(json, "type").and_then(string)?;
    if member(json, &kind).and_then(as_object).is_some() {
        return Some(Cow::Borrowed(json));
    }
    ANNOTATIONS.contains(&&*kind).then_some(())?;
    let mut nested = Vec::new();
    Object::write(&mut nested, |object| {
        object.string("type", &kind);
        object.raw(&kind, &with_member(json, "type", None));
    });
    Some(Cow::Owned(String::from_utf8_lossy(&nested).into_owned()))
}
