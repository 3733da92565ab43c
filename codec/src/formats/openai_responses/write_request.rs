//! Writes a Responses request.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::openai::effort;
use crate::formats::openai_responses::parameters::{PARAMETERS, STREAM, TABLE, TOOLS};
use crate::formats::openai_responses::write_items::Items;
use crate::formats::request_reader::Result;
use crate::formats::tool_calls::IdRules;
use crate::json::{Array, Object, elements, string, write_string};
use crate::model::{Outcome, ResponseFormat, Tool, ToolChoice};

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
    if write_tools(c, &mut object)? || c.is_native() {
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

/// Writes the tools. Returns whether there are any.
fn write_tools(c: &Conversion<'_, '_>, object: &mut Object<'_>) -> Result<bool> {
    let mut written = Vec::new();
    let (mut array, mut any) = (Array::new(&mut written), false);
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
    true
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

fn text_format(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(shape) = &c.request.response_format else { return };
    let kind = match &shape.value {
        ResponseFormat::Text => "text",
        ResponseFormat::JsonObject => "json_object",
        ResponseFormat::JsonSchema { .. } => "json_schema",
        ResponseFormat::Other(other) if c.is_native() => {
            return object.begin_object("text").raw("format", other.as_str());
        }
        ResponseFormat::Regex(_) | ResponseFormat::Other(_) => {
            return c.report_dropped(shape.offset, "response_format", "Responses has JSON schemas only");
        }
    };
    let mut text = object.begin_object("text");
    let mut format = text.begin_object("format");
    format.string("type", kind);
    let ResponseFormat::JsonSchema { name, description, schema, strict } = &shape.value else { return };
    let name = name.as_deref().unwrap_or_else(|| {
        let why = "Responses requires a name of the schema: \"response\"";
        c.report(shape.offset, "response_format", Outcome::Defaulted, why);
        "response"
    });
    format.string("name", name);
    if let Some(description) = description {
        format.string("description", description);
    }
    match schema {
        Some(schema) => format.raw("schema", schema.as_str()),
        None if c.is_native() => {}
        None => {
            let why = "Responses requires a schema: one that allows any JSON";
            c.report(shape.offset, "response_format", Outcome::Defaulted, why);
            format.raw("schema", "{}");
        }
    }
    if let Some(strict) = strict {
        format.bool("strict", *strict);
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
