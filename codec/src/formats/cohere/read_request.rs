//! Reads a chat request.
//!
//! | on the wire | canonical |
//! |---|---|
//! | `tool_plan` of an assistant | reasoning, as `thinking` items of the content are |
//! | `document` of a result | JSON, or text if the data is a string |
//! | `thinking` with a budget, or disabled | reasoning; any other is Cohere's own |
//! | `strict_tools` | a property of each tool |
//! | `documents`, `citation_options`, `safety_mode`, … | extra parameters |

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::chat_parts;
use crate::formats::cohere::parameters::TABLE;
use crate::formats::parameters::split_extra_parameters;
use crate::formats::request_reader::{Result, Source, Value, expected};
use crate::json::Kind;
use crate::model::{
    Content, Fields, Message, Param, Part, Reasoning, Request, ResponseFormat, Role, Text, ToolChoice,
};

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    let (_, start) = source.kind()?;
    let mut request = Request::default();
    let (mut fields, mut has_messages, mut strict) = (Fields::new(), false, None);
    source.object(&mut fields, "", |source, name| match name {
        "messages" => {
            source.expect("messages", Kind::Array)?;
            has_messages = true;
            request.messages.clear();
            source.list(&mut request.messages, message)?;
            Ok(true)
        }
        "tools" => chat_parts::tools(source, &mut request.tools),
        "strict_tools" => source.value(&mut strict),
        "tool_choice" => tool_choice(source, &mut request),
        "thinking" => thinking(source, &mut request),
        "response_format" => response_format(source, &mut request),
        _ => TABLE.read(source, name, &mut request),
    })?;
    if !has_messages {
        return Err(expected(start, "messages", "an array", "nothing"));
    }
    for tool in request.tools.iter_mut().filter(|tool| tool.other.is_none()) {
        tool.strict = tool.strict.or(strict);
    }
    request.extra_parameters = split_extra_parameters(&mut fields, &TABLE);
    request.extension_fields.append(&mut fields);
    Ok(request)
}

/// The role of the message that comes next, which stays unread: its other fields have a meaning in messages of one role only.
fn role<'a>(source: &mut Source<'a>) -> Result<Role<'a>> {
    let (mut role, start) = (None::<Cow<'a, str>>, source.kind()?.1);
    source.probe(|source| {
        source.object(&mut Fields::new(), "", |source, field| match field {
            "role" => source.value(&mut role),
            _ => source.raw().map(|_| true),
        })?;
        Ok(None::<()>)
    })?;
    let Some(role) = role else { return Err(expected(start, "role of a message", "a string", "nothing")) };
    Ok(match &*role {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => Role::Other(role),
    })
}

fn message<'a>(source: &mut Source<'a>) -> Result<Message<'a>> {
    let offset = source.expect("message", Kind::Object)?;
    let role = role(source)?;
    let (mut content, mut content_offset, mut extension_fields) = (Vec::new(), offset, Fields::new());
    let (mut id, mut plan, mut calls) = (None, None::<Param<Text<'a>>>, Vec::new());
    source.object(&mut extension_fields, "", |source, field| match (field, &role) {
        ("role", _) => source.raw().map(|_| true),
        ("content", _) => {
            content_offset = source.offset()?;
            read_content(source, &mut content)
        }
        ("tool_call_id", Role::Tool) => source.value(&mut id),
        ("tool_plan", Role::Assistant) => source.param(&mut plan),
        ("tool_calls", Role::Assistant) => chat_parts::tool_calls(source, &mut calls),
        _ => Ok(false),
    })?;
    if role == Role::Tool {
        let result = Content::ToolResult { id, content, is_error: None };
        content = Vec::from([Part { offset: content_offset, ..Part::new(result) }]);
    }
    if let Some(Param { value: text, offset }) = plan {
        let plan = Content::Reasoning { text, signature: None };
        content.insert(0, Part { offset, ..Part::new(plan) });
    }
    content.append(&mut calls);
    Ok(Message { extension_fields, offset, ..Message::new(role, content) })
}

/// Reads `content`: a string, a list of parts, or null.
fn read_content<'a>(source: &mut Source<'a>, parts: &mut Vec<Part<'a>>) -> Result<bool> {
    if source.kind()?.0 != Kind::Array {
        return chat_parts::content(source, parts);
    }
    parts.clear();
    source.array(|source| {
        let offset = source.expect("content part", Kind::Object)?;
        parts.push(match source.probe(cohere_part)? {
            Some(part) => Part { offset, ..part },
            None => chat_parts::part(source)?,
        });
        Ok(())
    })?;
    Ok(true)
}

/// Reads a part of a kind that OpenAI's chat does not have.
fn cohere_part<'a>(source: &mut Source<'a>) -> Result<Option<Part<'a>>> {
    let (mut kind, mut thinking, mut document) = (None::<Cow<'a, str>>, None, None);
    let (mut extension_fields, mut extra) = (Fields::new(), Fields::new());
    source.object(&mut extension_fields, "", |source, field| match field {
        "type" => source.value(&mut kind),
        "thinking" => source.value(&mut thinking),
        "document" => source.nested(&mut extra, "document", |source, field| match field {
            "data" => {
                document = match source.kind()?.0 {
                    Kind::String => Some(Content::Text(source.text()?)),
                    Kind::Object => Some(Content::Json(source.raw()?)),
                    _ => None,
                };
                Ok(document.is_some())
            }
            _ => Ok(false),
        }),
        _ => Ok(false),
    })?;
    extension_fields.append(&mut extra);
    let content = match (kind.as_deref(), thinking, document) {
        (Some("thinking"), Some(text), None) => Some(Content::Reasoning { text, signature: None }),
        (Some("document"), None, document) => document,
        _ => None,
    };
    Ok(content.map(|content| Part { extension_fields, ..Part::new(content) }))
}

fn tool_choice<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    if source.kind()?.0 != Kind::String {
        return Ok(false);
    }
    let choice = |source: &mut Source<'a>| {
        Ok(match &*source.string()? {
            "REQUIRED" => Some(ToolChoice::Required),
            "NONE" => Some(ToolChoice::None),
            _ => None,
        })
    };
    request.tool_choice = Some(source.param_or(choice, ToolChoice::Other)?);
    Ok(true)
}

/// Reads the fields of an object of which one is `type`. Returns nothing if there are others.
fn typed<'a, T: Value<'a>>(source: &mut Source<'a>, name: &str) -> Result<Option<(Cow<'a, str>, Option<T>)>> {
    let (mut kind, mut value, mut rest) = (None, None, Fields::new());
    let is_object = source.nested(&mut rest, "", |source, field| match field {
        "type" => source.value(&mut kind),
        field if field == name => source.value(&mut value),
        _ => Ok(false),
    })?;
    Ok(kind.filter(|_| is_object && rest.is_empty()).map(|kind| (kind, value)))
}

fn thinking<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let offset = source.offset()?;
    let reasoning = source.probe(|source| {
        let Some((kind, budget_tokens)) = typed(source, "token_budget")? else { return Ok(None) };
        Ok(match (&*kind, budget_tokens) {
            ("enabled", Some(_)) => Some(Reasoning { budget_tokens, ..Reasoning::default() }),
            ("disabled", None) => Some(Reasoning { effort: Some("none".into()), ..Reasoning::default() }),
            _ => None,
        })
    })?;
    request.reasoning = reasoning.map(|value| Param { value, offset });
    Ok(request.reasoning.is_some())
}

fn response_format<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    if source.kind()?.0 != Kind::Object {
        return Ok(false);
    }
    let shape = |source: &mut Source<'a>| {
        let Some((kind, schema)) = typed(source, "json_schema")? else { return Ok(None) };
        let (name, description, strict) = (None, None, None);
        Ok(match (&*kind, &schema) {
            ("text", None) => Some(ResponseFormat::Text),
            ("json_object", None) => Some(ResponseFormat::JsonObject),
            ("json_object", _) => Some(ResponseFormat::JsonSchema { name, description, schema, strict }),
            _ => None,
        })
    };
    request.response_format = Some(source.param_or(shape, ResponseFormat::Other)?);
    Ok(true)
}
