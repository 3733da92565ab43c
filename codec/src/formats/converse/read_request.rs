//! Reads a Converse request.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::converse::parameters::{ADDITIONAL, TABLE};
use crate::formats::converse::read_blocks as blocks;
use crate::formats::request_reader::{Result, Source, message, offset_of, unescaped_name};
use crate::formats::thinking::{effort, thinking};
use crate::json::{Kind, is_document};
use crate::model::{Fields, Json, Message, Param, Request, ResponseFormat, Role, Tool, ToolChoice};

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    let mut request = Request::default();
    let mut system = None;
    let mut extension_fields = Vec::new();
    source.object(&mut extension_fields, "", |source, name| match name {
        "messages" => {
            source.expect("messages", Kind::Array)?;
            request.messages.clear();
            source.list(&mut request.messages, |source| message(source, blocks::content))?;
            Ok(true)
        }
        "system" => {
            if source.kind()?.0 == Kind::Null {
                return Ok(false);
            }
            let offset = source.expect("system", Kind::Array)?;
            let mut content = Vec::new();
            blocks::list(source, &mut content)?;
            // Agents without a prompt send an empty list.
            let message = Message { offset, ..Message::new(Role::System, content) };
            system = Some(message).filter(|message| !message.content.is_empty());
            Ok(true)
        }
        "toolConfig" => tool_config(source, &mut request),
        "additionalModelRequestFields" => additional(source, &mut request),
        "outputConfig" => output_config(source, &mut request),
        _ => TABLE.read(source, name, &mut request),
    })?;
    for (name, _) in &mut request.extra_parameters {
        *name = unescaped_name(core::mem::take(name));
    }
    if let Some(system) = system {
        request.messages.insert(0, system);
    }
    request.extension_fields.append(&mut extension_fields);
    Ok(request)
}

/// Reads parameters of one model.
fn additional<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let mut extra = Fields::new();
    let is_read = source.nested(&mut extra, "", |source, name| match name {
        "thinking" => thinking(source, &mut request.reasoning),
        _ => TABLE.read_in(ADDITIONAL.object, source, name, request),
    })?;
    request.extra_parameters.append(&mut extra);
    Ok(is_read)
}

fn output_config<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let Request { response_format, reasoning, extension_fields, .. } = request;
    source.nested(extension_fields, "outputConfig", |source, name| match name {
        "effort" => effort(source, reasoning),
        "textFormat" => {
            let offset = source.offset()?;
            let shape = source.probe(text_format)?;
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

/// Reads `{"type":"json_schema","structure":{"jsonSchema":{"schema":"…"}}}`; any other shape is not recognized.
fn text_format<'a>(source: &mut Source<'a>) -> Result<Option<ResponseFormat<'a>>> {
    let (mut kind, mut schema, mut name, mut description) = (None::<Cow<'a, str>>, None, None, None);
    let (mut rest, mut deeper, mut deepest) = (Fields::new(), Fields::new(), Fields::new());
    source.nested(&mut rest, "", |source, field| match field {
        "type" => source.value(&mut kind),
        "structure" => source.nested(&mut deeper, "", |source, field| match field {
            "jsonSchema" => source.nested(&mut deepest, "", |source, field| match field {
                "schema" => source.value(&mut schema),
                "name" => source.value(&mut name),
                "description" => source.value(&mut description),
                _ => Ok(false),
            }),
            _ => Ok(false),
        }),
        _ => Ok(false),
    })?;
    let exact = rest.is_empty() && deeper.is_empty() && deepest.is_empty();
    let is_schema = kind.as_deref() == Some("json_schema") && exact;
    let schema = schema.filter(|schema: &Cow<'a, str>| is_schema && is_document(schema));
    Ok(schema.map(|schema| ResponseFormat::JsonSchema {
        name,
        description,
        schema: Some(Json(schema)),
        strict: None,
    }))
}

fn tool_config<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let Request { tools, tool_choice, extension_fields, .. } = request;
    source.nested(extension_fields, "toolConfig", |source, name| match name {
        "tools" if source.kind()?.0 == Kind::Array => {
            tools.clear();
            source.array(|source| tool(source, tools))?;
            Ok(true)
        }
        "toolChoice" if source.kind()?.0 == Kind::Object => {
            let offset = source.offset()?;
            let value = match source.probe(choice)? {
                Some(choice) => choice,
                None => ToolChoice::Other(source.raw()?),
            };
            *tool_choice = Some(Param { value, offset });
            Ok(true)
        }
        _ => Ok(false),
    })
}

fn choice<'a>(source: &mut Source<'a>) -> Result<Option<ToolChoice<'a>>> {
    let (mut rest, mut deeper, mut found) = (Fields::new(), Fields::new(), None);
    source.object(&mut rest, "", |source, field| {
        let mut tool = None;
        let taken = source.nested(&mut deeper, "", |source, name| {
            if field == "tool" && name == "name" { source.value(&mut tool) } else { Ok(false) }
        })?;
        found = match (field, tool) {
            ("auto", None) => Some(ToolChoice::Auto),
            ("any", None) => Some(ToolChoice::Required),
            ("tool", Some(name)) => Some(ToolChoice::Tool(name)),
            _ => None,
        };
        Ok(taken)
    })?;
    Ok(found.filter(|_| rest.is_empty() && deeper.is_empty()))
}

fn tool<'a>(source: &mut Source<'a>, tools: &mut Vec<Tool<'a>>) -> Result<()> {
    let (kind, offset) = source.kind()?;
    let offset = offset_of(offset);
    let (mut tool, mut cache) = (Tool::new(""), None);
    tool.offset = offset;
    let read = source.probe(|source| {
        let (mut rest, mut extension_fields, mut extra) = (Fields::new(), Fields::new(), Fields::new());
        if kind != Kind::Object {
            return Ok(None);
        }
        source.object(&mut rest, "", |source, field| match field {
            "cachePoint" => source.value(&mut cache),
            "toolSpec" => source.nested(&mut extension_fields, "toolSpec", |source, field| match field {
                "name" => source.required(&mut tool.name),
                "description" => source.value(&mut tool.description),
                "strict" => source.value(&mut tool.strict),
                "inputSchema" => source.nested(&mut extra, "toolSpec/inputSchema", |source, field| {
                    if field == "json" { source.value(&mut tool.schema) } else { Ok(false) }
                }),
                _ => Ok(false),
            }),
            _ => Ok(false),
        })?;
        extension_fields.append(&mut extra);
        tool.extension_fields = extension_fields;
        Ok(rest.is_empty().then_some(tool))
    })?;
    match (read, cache, tools.last_mut()) {
        (Some(tool), None, _) if !tool.name.is_empty() => tools.push(tool),
        // A cache point comes after what it caches.
        (Some(tool), Some(cache), Some(last)) if tool.name.is_empty() && last.cache.is_none() => {
            last.cache = Some(cache);
        }
        (read, ..) => {
            let other = match read {
                // The tool is read again, as one raw value.
                Some(_) => whole(source, offset),
                None => Some(source.raw()?),
            };
            tools.push(Tool { other, offset, ..Tool::new("") });
        }
    }
    Ok(())
}

/// The value that began at `at` and was just read.
fn whole<'a>(source: &Source<'a>, offset: crate::model::Offset) -> Option<Json<'a>> {
    source.since(offset).map(|text| Json(Cow::Borrowed(text)))
}
