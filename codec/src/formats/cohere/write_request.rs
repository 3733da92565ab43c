//! Writes a chat request.
//!
//! | canonical | on the wire |
//! |---|---|
//! | reasoning of a message | a `thinking` item; `tool_plan` where the source has it |
//! | JSON of a result | a `document` |
//! | effort of reasoning | `thinking`, enabled or disabled (approximated) |
//! | strict tools | `strict_tools`, which is one for all tools |
//! | a named tool as choice | `REQUIRED` (approximated) |
//! | top_k of 0 or less | left out, because it disables the filter as the default does |

use alloc::vec::Vec;

use crate::formats::chat_parts::write_function;
use crate::formats::cohere::parameters::{PARAMETERS, TABLE};
use crate::formats::cohere::write_messages::{result, write_message};
use crate::formats::conversion::Conversion;
use crate::formats::request_reader::{Result, string_field};
use crate::json::Object;
use crate::model::{Offset, ResponseFormat, Tool, ToolChoice};

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    let mut object = Object::new(out);
    c.write_model(&mut object);
    let messages = c.messages(false, None)?;
    c.messages_and_results(
        &messages,
        object.begin_array("messages"),
        |_, part, out| result(c, part, out),
        |message, parts, out| write_message(c, message, parts, out),
    )?;
    // Without tools a choice has no effect, but a native request keeps it.
    if write_tools(c, &mut object)? || c.is_native() {
        tool_choice(c, &mut object);
    }
    c.write_rows(&mut object, &PARAMETERS);
    response_format(c, &mut object);
    thinking(c, &mut object);
    c.write_extra_parameters(&TABLE, &mut object);
    c.report_parameters(&TABLE);
    Ok(())
}

/// Writes the tools. Returns whether there are any.
fn write_tools(c: &Conversion<'_, '_>, object: &mut Object<'_>) -> Result<bool> {
    let any = c.write_tools(object, |tool, out| write_tool(c, tool, out))?;
    if any {
        strict_tools(c, object);
    }
    Ok(any)
}

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, out: &mut Vec<u8>) {
    if tool.cache.is_some() {
        c.report_dropped(tool.offset, "cache", "Cohere's tools have no cache points");
    }
    write_function(tool, Some(&c.input_schema(tool)), None, out);
}

fn strict_tools(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let functions = || c.request.tools.iter().filter(|tool| tool.other.is_none());
    if functions().any(|tool| tool.strict == Some(true)) {
        object.bool("strict_tools", true);
        for tool in functions().filter(|tool| tool.strict != Some(true)) {
            c.report_approximated(tool.offset, "strict", "Cohere's tools are strict together, or not at all");
        }
    } else if c.is_native() && functions().any(|tool| tool.strict.is_some()) {
        object.bool("strict_tools", false);
    }
}

fn tool_choice(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(choice) = &c.request.tool_choice else { return };
    let approximated = || {
        let why = "Cohere takes no choice of tools by name, only whether one is required";
        c.report_approximated(choice.offset, "tool_choice", why);
    };
    match &choice.value {
        ToolChoice::Auto => {}
        ToolChoice::None => object.string("tool_choice", "NONE"),
        ToolChoice::Required => object.string("tool_choice", "REQUIRED"),
        ToolChoice::Tool(_) => {
            approximated();
            object.string("tool_choice", "REQUIRED");
        }
        ToolChoice::Allowed { required, .. } => {
            approximated();
            if *required {
                object.string("tool_choice", "REQUIRED");
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
    match &shape.value {
        ResponseFormat::Text => object.begin_object("response_format").string("type", "text"),
        ResponseFormat::JsonObject => object.begin_object("response_format").string("type", "json_object"),
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            if name.is_some() || description.is_some() || strict.is_some() {
                let why = "the schema is sent without its name, its description, and whether it is strict";
                c.report_approximated(shape.offset, "response_format", why);
            }
            let mut format = object.begin_object("response_format");
            format.string("type", "json_object");
            if let Some(schema) = schema {
                format.raw("json_schema", schema.as_str());
            }
        }
        ResponseFormat::Other(other) if c.is_native() => object.raw("response_format", other.as_str()),
        ResponseFormat::Regex(_) | ResponseFormat::Other(_) => {
            c.report_dropped(shape.offset, "response_format", "Cohere takes JSON schemas only");
        }
    }
}

fn thinking(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(reasoning) = &c.request.reasoning else { return };
    let approximated = |offset: Offset| {
        let why = "Cohere has no effort: thinking is enabled";
        c.report_approximated(offset, "reasoning", why);
    };
    let (value, offset) = (&reasoning.value, reasoning.offset);
    let kind = value.other.as_ref().and_then(|other| string_field(other, "type"));
    if value.effort.as_deref() == Some("none") || kind.as_deref() == Some("disabled") {
        object.begin_object("thinking").string("type", "disabled");
        return;
    }
    if value.effort.is_some() || value.other.is_some() {
        approximated(offset);
    }
    let mut thinking = object.begin_object("thinking");
    thinking.string("type", "enabled");
    if let Some(budget) = value.budget_tokens {
        thinking.integer("token_budget", budget);
    }
}
