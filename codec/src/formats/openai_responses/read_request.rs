//! Reads a Responses request.

use alloc::borrow::Cow;

use crate::formats::chat_parts::tools;
use crate::formats::openai::tool_choice;
use crate::formats::openai_responses::parameters::TABLE;
use crate::formats::openai_responses::read_items::input;
use crate::formats::parameters::split_extra_parameters;
use crate::formats::request_reader::{Result, Source, expected, wrong_kind};
use crate::formats::thinking::effort;
use crate::json::{Kind, member, string};
use crate::model::{
    Content, Fields, Json, Message, Offset, Param, Part, Request, ResponseFormat, Role, Text,
};

/// Fields that name a conversation that the service stores. A request that has one may have no input.
const STORED: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    let (_, start) = source.kind()?;
    let mut request = Request::default();
    let (mut fields, mut instructions, mut messages) = (Fields::new(), None, None);
    source.object(&mut fields, "", |source, name| match name {
        "instructions" => read_instructions(source, &mut instructions),
        "input" => {
            messages = Some(input(source)?);
            Ok(true)
        }
        "tools" => {
            request.tools.clear();
            tools(source, &mut request.tools)
        }
        "tool_choice" => tool_choice(source, &mut request),
        "text" => text(source, &mut request),
        "reasoning" => {
            let Request { reasoning, extension_fields, .. } = &mut request;
            source.nested(extension_fields, "reasoning", |source, name| match name {
                "effort" => effort(source, reasoning),
                _ => Ok(false),
            })
        }
        "stream_options" => source.nested(&mut request.extension_fields, name, |_, _| Ok(false)),
        _ => TABLE.read(source, name, &mut request),
    })?;
    if messages.is_none() && !fields.iter().any(is_stored) {
        return Err(expected(start, "input", "a string or an array", "nothing"));
    }
    request.messages = instructions.into_iter().chain(messages.into_iter().flatten()).collect();
    request.extra_parameters = split_extra_parameters(&mut fields, &TABLE);
    request.extension_fields.append(&mut fields);
    Ok(request)
}

/// Whether a field names something that the service stores.
fn is_stored((name, value): &(Cow<'_, str>, Param<Json<'_>>)) -> bool {
    STORED.contains(&&**name) && value.value.as_str() != "null"
}

/// The offset of what a request refers to instead of containing it: an earlier response, a conversation, a stored prompt, or an
/// item by its ID.
pub(crate) fn stored_history(request: &Request<'_>) -> Option<Offset> {
    let field = request.extension_fields.iter().find(|field| is_stored(field));
    let reference = request.messages.iter().find(|message| match &message.content[..] {
        [Part { content: Content::Other(item), offset, .. }] if *offset == message.offset => {
            let kind = member(item.as_str(), "type").and_then(string);
            kind.is_none_or(|kind| kind == "item_reference")
        }
        _ => false,
    });
    field.map(|(_, value)| value.offset).or(reference.map(|message| message.offset))
}

/// Reads the instructions, which are the system's message.
fn read_instructions<'a>(source: &mut Source<'a>, message: &mut Option<Message<'a>>) -> Result<bool> {
    let (kind, start) = source.kind()?;
    *message = None;
    if kind == Kind::Null {
        return Ok(false);
    }
    let mut text: Option<Param<Text<'a>>> = None;
    if !source.param(&mut text)? {
        return Err(wrong_kind(start, "instructions", "a string", kind));
    }
    *message = text.map(|Param { value, offset }| {
        let part = Part { offset, ..Part::new(Content::Text(value)) };
        Message { offset, ..Message::new(Role::System, part) }
    });
    Ok(true)
}

fn text<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let Request { response_format, extension_fields, .. } = request;
    let mut of_format = Fields::new();
    let is_read = source.nested(extension_fields, "text", |source, name| match name {
        "format" => format(source, response_format, &mut of_format),
        _ => Ok(false),
    })?;
    extension_fields.append(&mut of_format);
    Ok(is_read)
}

/// Reads the format of the text. Unlike the chat's, the fields of a schema are those of the format.
fn format<'a>(
    source: &mut Source<'a>,
    slot: &mut Option<Param<ResponseFormat<'a>>>,
    extension_fields: &mut Fields<'a>,
) -> Result<bool> {
    let offset = source.offset()?;
    if source.kind()?.0 != Kind::Object {
        return Ok(false);
    }
    let known = source.probe(|source| {
        let (mut kind, mut name, mut description) = (None::<Cow<'a, str>>, None, None);
        let (mut schema, mut strict) = (None, None);
        source.object(extension_fields, "text/format", |source, field| match field {
            "type" => source.value(&mut kind),
            "name" => source.value(&mut name),
            "description" => source.value(&mut description),
            "schema" => source.value(&mut schema),
            "strict" => source.value(&mut strict),
            _ => Ok(false),
        })?;
        let is_plain = name.is_none() && description.is_none() && schema.is_none() && strict.is_none();
        Ok(match kind.as_deref() {
            Some("text") if is_plain => Some(ResponseFormat::Text),
            Some("json_object") if is_plain => Some(ResponseFormat::JsonObject),
            Some("json_schema") => Some(ResponseFormat::JsonSchema { name, description, schema, strict }),
            _ => None,
        })
    })?;
    let value = match known {
        Some(format) => format,
        None => {
            extension_fields.clear();
            ResponseFormat::Other(source.raw()?)
        }
    };
    *slot = Some(Param { value, offset });
    Ok(true)
}
