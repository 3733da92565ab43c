//! Reads a Messages request.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::anthropic::parameters::TABLE;
use crate::formats::anthropic::read_blocks as blocks;
use crate::formats::parameters::split_extra_parameters;
use crate::formats::request_reader::{Result, Source, expected, message};
use crate::formats::thinking::{effort, thinking};
use crate::json::Kind;
use crate::model::{Fields, Message, Param, Request, ResponseFormat, Role, Tool, ToolChoice};

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    let (_, start) = source.kind()?;
    let mut request = Request::default();
    let (mut system, mut has_messages, mut extension_fields) = (None, false, Vec::new());
    source.object(&mut extension_fields, "", |source, name| match name {
        "messages" => {
            source.expect("messages", Kind::Array)?;
            has_messages = true;
            request.messages.clear();
            source.list(&mut request.messages, |source| message(source, blocks::content))?;
            Ok(true)
        }
        "system" => {
            let offset = source.offset()?;
            let mut content = Vec::new();
            let taken = blocks::content(source, &mut content)?;
            if taken {
                // As in Converse, an empty list is no prompt.
                let message = Message { offset, ..Message::new(Role::System, content) };
                system = Some(message).filter(|message| !message.content.is_empty());
            }
            Ok(taken)
        }
        "tools" if source.kind()?.0 == Kind::Array => {
            request.tools.clear();
            source.array(|source| tool(source, &mut request.tools))?;
            Ok(true)
        }
        "tool_choice" => tool_choice(source, &mut request),
        "output_config" => output_config(source, &mut request),
        "thinking" => thinking(source, &mut request.reasoning),
        _ => TABLE.read(source, name, &mut request),
    })?;
    if !has_messages {
        return Err(expected(start, "messages", "an array", "nothing"));
    }
    if let Some(system) = system {
        request.messages.insert(0, system);
    }
    request.extra_parameters = split_extra_parameters(&mut extension_fields, &TABLE);
    request.extension_fields.append(&mut extension_fields);
    Ok(request)
}

/// Reads a tool. One with a type other than `custom` is the provider's own.
fn tool<'a>(source: &mut Source<'a>, tools: &mut Vec<Tool<'a>>) -> Result<()> {
    let offset = source.offset()?;
    let known = source.probe(|source| {
        let (mut name, mut kind, mut extension_fields) =
            (None::<Cow<'a, str>>, None::<Param<Cow<'a, str>>>, Vec::new());
        let mut tool = Tool { offset, ..Tool::new("") };
        source.nested(&mut extension_fields, "", |source, field| match field {
            "name" => source.value(&mut name),
            "type" => source.param(&mut kind),
            "description" => source.value(&mut tool.description),
            "input_schema" => source.value(&mut tool.schema),
            "strict" => source.value(&mut tool.strict),
            "cache_control" => source.value(&mut tool.cache),
            _ => Ok(false),
        })?;
        tool.extension_fields = extension_fields;
        let is_function = kind.is_none_or(|kind| kind.value == "custom");
        Ok(name.filter(|_| is_function).map(|name| Tool { name, ..tool }))
    })?;
    tools.push(match known {
        Some(tool) => tool,
        None => Tool { other: Some(source.raw()?), offset, ..Tool::new("") },
    });
    Ok(())
}

fn tool_choice<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    if source.kind()?.0 != Kind::Object {
        return Ok(false);
    }
    let offset = source.offset()?;
    let (mut kind, mut name, mut alone) = (None::<Cow<'a, str>>, None, None::<Param<bool>>);
    let mut rest = Fields::new();
    let known = source.probe(|source| {
        source.object(&mut rest, "tool_choice", |source, field| match field {
            "type" => source.value(&mut kind),
            "name" => source.value(&mut name),
            "disable_parallel_tool_use" => source.param(&mut alone),
            _ => Ok(false),
        })?;
        Ok(match (kind.as_deref(), name) {
            (Some("auto"), None) => Some(ToolChoice::Auto),
            (Some("any"), None) => Some(ToolChoice::Required),
            (Some("none"), None) => Some(ToolChoice::None),
            (Some("tool"), Some(name)) => Some(ToolChoice::Tool(name)),
            _ => None,
        })
    })?;
    let value = match known {
        Some(choice) => {
            request.extension_fields.append(&mut rest);
            request.parallel_tool_calls =
                alone.map(|alone| Param { value: !alone.value, offset: alone.offset });
            choice
        }
        None => ToolChoice::Other(source.raw()?),
    };
    request.tool_choice = Some(Param { value, offset });
    Ok(true)
}

fn output_config<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let Request { reasoning, response_format, extension_fields, .. } = request;
    source.nested(extension_fields, "output_config", |source, name| match name {
        "effort" => effort(source, reasoning),
        "format" => {
            let offset = source.offset()?;
            let shape = source.probe(|source| {
                let (mut kind, mut schema, mut rest) = (None::<Cow<'a, str>>, None, Fields::new());
                source.nested(&mut rest, "", |source, field| match field {
                    "type" => source.value(&mut kind),
                    "schema" => source.value(&mut schema),
                    _ => Ok(false),
                })?;
                let exact = rest.is_empty() && schema.is_some() && kind.as_deref() == Some("json_schema");
                let (name, description, strict) = (None, None, None);
                Ok(exact.then_some(ResponseFormat::JsonSchema { name, description, schema, strict }))
            })?;
            let value = match shape {
                Some(shape) => shape,
                None => ResponseFormat::Other(source.raw()?),
            };
            *response_format = Some(Param { value, offset });
            Ok(true)
        }
        _ => Ok(false),
    })
}
