//! Writes a chat completion request.

use alloc::vec::Vec;

use crate::formats::chat_parts::write_function;
use crate::formats::conversion::Conversion;
use crate::formats::openai::effort;
use crate::formats::openai_chat::parameters::{PARAMETERS, STREAM, STREAM_OPTIONS, TABLE, TOOLS};
use crate::formats::openai_chat::write_messages::write_messages;
use crate::formats::request_reader::Result;
use crate::json::{Array, Object};
use crate::model::{Json, Outcome, ResponseFormat, Tool, ToolChoice};

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    let request = c.request;
    let mut object = Object::new(out);
    c.write_model(&mut object);
    let messages = c.messages(false, None)?;
    write_messages(c, &messages, object.begin_array("messages"))?;
    // Without tools, both have no effect, but a native request keeps them.
    if write_tools(c, &mut object)? || c.is_native() {
        tool_choice(c, &mut object);
        c.write_rows(&mut object, &TOOLS);
    }
    c.write_rows(&mut object, &PARAMETERS);
    response_format(c, &mut object);
    if let Some(effort) = effort(c) {
        object.string("reasoning_effort", effort);
    }
    c.write_rows(&mut object, &STREAM);
    if request.stream.is_some_and(|stream| stream.value) {
        c.write_group(&mut object, &STREAM_OPTIONS);
    }
    c.write_extra_parameters(&TABLE, &mut object);
    Ok(())
}

/// Writes the tools. Returns whether there are any.
fn write_tools(c: &Conversion<'_, '_>, object: &mut Object<'_>) -> Result<bool> {
    let mut written = Vec::new();
    let mut array = Array::new(&mut written);
    let mut any = false;
    for tool in &c.request.tools {
        any |= array.maybe(|out| c.tool(tool, out, |out| Ok(write_tool(c, tool, out))))?;
    }
    drop(array);
    if any {
        object.name("tools").append(&mut written);
    }
    Ok(any)
}

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, out: &mut Vec<u8>) -> bool {
    if tool.cache.is_some() {
        c.report_dropped(tool.offset, "cache", "OpenAI's tools have no cache points");
    }
    write_function(tool, tool.schema.as_ref().map(Json::as_str), tool.strict, out);
    true
}

fn tool_choice(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(choice) = &c.request.tool_choice else { return };
    let function = |object: &mut Object<'_>, name: &str| {
        object.string("type", "function");
        object.begin_object("function").string("name", name);
    };
    match &choice.value {
        ToolChoice::Auto => object.string("tool_choice", "auto"),
        ToolChoice::None => object.string("tool_choice", "none"),
        ToolChoice::Required => object.string("tool_choice", "required"),
        ToolChoice::Tool(name) => function(&mut object.begin_object("tool_choice"), name),
        ToolChoice::Allowed { tools, required } => {
            let mut choice = object.begin_object("tool_choice");
            choice.string("type", "allowed_tools");
            let mut allowed = choice.begin_object("allowed_tools");
            allowed.string("mode", if *required { "required" } else { "auto" });
            let mut list = allowed.begin_array("tools");
            for name in tools {
                function(&mut list.begin_object(), name);
            }
        }
        ToolChoice::Other(other) => {
            if let Some(other) = c.native(other, choice.offset, "tool_choice") {
                object.raw("tool_choice", other);
            }
        }
    }
}

fn response_format(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(shape) = &c.request.response_format else { return };
    let kind = match &shape.value {
        ResponseFormat::Text => "text",
        ResponseFormat::JsonObject => "json_object",
        ResponseFormat::JsonSchema { .. } => "json_schema",
        ResponseFormat::Other(other) if c.is_native() => {
            return object.raw("response_format", other.as_str());
        }
        ResponseFormat::Regex(_) | ResponseFormat::Other(_) => {
            return c.report_dropped(shape.offset, "response_format", "OpenAI's chat has JSON schemas only");
        }
    };
    let mut written = object.begin_object("response_format");
    written.string("type", kind);
    if let ResponseFormat::JsonSchema { name, description, schema, strict } = &shape.value {
        let mut json = written.begin_object("json_schema");
        let name = name.as_deref().unwrap_or_else(|| {
            let why = "OpenAI requires a name of the schema: \"response\"";
            c.report(shape.offset, "response_format", Outcome::Defaulted, why);
            "response"
        });
        json.string("name", name);
        if let Some(description) = description {
            json.string("description", description);
        }
        if let Some(schema) = schema {
            json.raw("schema", schema.as_str());
        }
        if let Some(strict) = strict {
            json.bool("strict", *strict);
        }
    }
}
