//! Writes a Responses request.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::openai::{TOOLS, effort, write_format};
use crate::formats::openai_responses::parameters::{PARAMETERS, STREAM, TABLE};
use crate::formats::openai_responses::write_items::Items;
use crate::formats::request_reader::Result;
use crate::formats::tool_calls::IdRules;
use crate::json::{Object, elements, string, write_string};
use crate::model::{Tool, ToolChoice};

/// OpenAI limits the length of the IDs of calls, and nothing else. All of ASCII is more than any server uses.
const IDS: IdRules = IdRules {
    more_chars: &[
        ' ', '!', '"', '#', '$', '%', '&', '\'', '(', ')', '*', '+', ',', '.', '/', ':', ';', '<', '=', '>',
        '?', '@', '[', '\\', ']', '^', '`', '{', '|', '}', '~',
    ],
    len_max: 64,
};

/// What `include` has to list for log probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    let request = c.request;
    let mut object = Object::new(out);
    if let Some(model) = &request.model {
        object.string("model", &model.value);
    }
    let messages = c.messages(false, Some(IDS))?;
    Items::new(c, &messages).write(&messages, &mut object)?;
    // Without tools, both have no effect, but a native request keeps them.
    if c.write_tools(&mut object, |tool, out| write_tool(c, tool, out))? || c.is_native() {
        tool_choice(c, &mut object);
        c.write_rows(&mut object, &TOOLS);
    }
    c.write_rows(&mut object, &PARAMETERS);
    text_format(c, &mut object);
    if let Some(effort) = effort(c) {
        object.begin_object("reasoning").string("effort", effort);
    }
    include(c, &mut object);
    c.write_rows(&mut object, &STREAM);
    c.write_extra_parameters(&TABLE, &mut object);
    Ok(())
}

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, out: &mut Vec<u8>) {
    if tool.cache.is_some() {
        c.report_dropped(tool.offset, "cache", "OpenAI's tools have no cache points");
    }
    let mut written = Object::new(out);
    written.string("type", "function");
    written.string("name", &tool.name);
    if let Some(description) = &tool.description {
        description.write(written.name("description"));
    }
    written.raw("parameters", tool.schema.as_ref().map_or("null", |schema| schema.as_str()));
    match tool.strict {
        Some(strict) => written.bool("strict", strict),
        None if c.is_native() => {}
        // Here, a function without this field is strict. It is not in any other API.
        None => written.bool("strict", false),
    }
}

fn tool_choice(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(choice) = &c.request.tool_choice else { return };
    let function = |object: &mut Object<'_>, name: &str| {
        object.string("type", "function");
        object.string("name", name);
    };
    let name = "tool_choice";
    match &choice.value {
        ToolChoice::Auto => object.string(name, "auto"),
        ToolChoice::None => object.string(name, "none"),
        ToolChoice::Required => object.string(name, "required"),
        ToolChoice::Tool(tool) => object.object(name, |choice| function(choice, tool)),
        ToolChoice::Allowed { tools, required } => object.object(name, |choice| {
            choice.string("type", "allowed_tools");
            choice.string("mode", if *required { "required" } else { "auto" });
            choice.array("tools", tools, |tool, out| Object::write(out, |allowed| function(allowed, tool)));
        }),
        ToolChoice::Other(other) => {
            if let Some(other) = c.native(other, choice.offset, name) {
                object.raw(name, other);
            }
        }
    }
}

/// Writes the format of the text, if the request has one that can be written.
fn text_format(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let mut written = Vec::new();
    write_format(c, &mut Object::new(&mut written), "format", None);
    if written != b"{}" {
        object.name("text").append(&mut written);
    }
}

/// Writes what else the response has to include: what the source's own request has, and log probabilities if they are wanted.
fn include(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    if !c.wants(&[c.request.logprobs]) {
        return;
    }
    let own = c.kept(&c.request.extension_fields).iter().find(|(path, _)| path == "include");
    let own = own.map(|(_, value)| elements(value.value.as_str())).unwrap_or_default();
    let mut list = object.begin_array("include");
    let mut is_listed = false;
    for entry in own {
        is_listed |= string(entry).as_deref() == Some(LOGPROBS);
        list.element().extend_from_slice(entry.as_bytes());
    }
    if !is_listed {
        write_string(LOGPROBS, list.element());
    }
}
