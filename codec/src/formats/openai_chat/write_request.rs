//! Writes a chat completion request.

use alloc::vec::Vec;

use crate::formats::chat_parts::write_function;
use crate::formats::conversion::Conversion;
use crate::formats::openai::{TOOLS, effort, write_format};
use crate::formats::openai_chat::parameters::{PARAMETERS, STREAM, STREAM_OPTIONS, TABLE};
use crate::formats::openai_chat::write_messages::write_messages;
use crate::formats::request_reader::Result;
use crate::json::Object;
use crate::model::{Json, Tool, ToolChoice};

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    let request = c.request;
    let mut object = Object::new(out);
    c.write_model(&mut object);
    let messages = c.messages(false, None)?;
    write_messages(c, &messages, object.begin_array("messages"))?;
    // Without tools, both have no effect, but a native request keeps them.
    if c.write_tools(&mut object, |tool, out| write_tool(c, tool, out))? || c.is_native() {
        tool_choice(c, &mut object);
        c.write_rows(&mut object, &TOOLS);
    }
    c.write_rows(&mut object, &PARAMETERS);
    write_format(c, &mut object, "response_format", Some("json_schema"));
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

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, out: &mut Vec<u8>) {
    if tool.cache.is_some() {
        c.report_dropped(tool.offset, "cache", "OpenAI's tools have no cache points");
    }
    write_function(tool, tool.schema.as_ref().map(Json::as_str), tool.strict, out);
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
