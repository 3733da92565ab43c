//! Writes a Messages request.

use alloc::vec::Vec;

use crate::formats::anthropic::CALL_IDS;
use crate::formats::anthropic::parameters::{MAX_TOKENS, METADATA, SAMPLING, SERVICE_TIER, TABLE};
use crate::formats::anthropic::write_blocks::{Blocks, CACHE};
use crate::formats::conversion::Conversion;
use crate::formats::request_reader::Result;
use crate::formats::tool_names::Names;
use crate::json::{Array, Object};
use crate::model::{ResponseFormat, Role, Tool, ToolChoice};

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    c.report_extra_parameters("Anthropic takes no parameters that it does not know");
    let request = c.request;
    let messages = c.messages(true, Some(CALL_IDS))?;
    let (system, rest) = c.split_system(&messages);
    let names = Names::new(c, &messages, &request.tools);
    let mut object = Object::new(out);
    c.write_model(&mut object);
    c.write_rows(&mut object, &MAX_TOKENS);
    let prefill = rest.last().filter(|message| message.role == Role::Assistant);
    let blocks = Blocks { c, names: &names, prefill: prefill.and_then(|message| message.content.last()) };
    blocks.system(system, &mut object)?;
    c.turns(rest, object.begin_array("messages"), &mut |part, role, out| blocks.write(part, role, out))?;
    if tools(c, &names, &mut object)? || c.is_native() {
        tool_choice(c, &names, &mut object);
    }
    c.write_rows(&mut object, &SAMPLING);
    c.write_group(&mut object, &METADATA);
    c.write_rows(&mut object, &SERVICE_TIER);
    thinking(c, &mut object);
    output_config(c, &mut object);
    Ok(())
}

/// Whether the request disables thinking.
fn is_disabled(c: &Conversion<'_, '_>) -> bool {
    let reasoning = c.request.reasoning.as_ref();
    reasoning.is_some_and(|reasoning| reasoning.value.effort.as_deref() == Some("none"))
}

fn thinking(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let is_plain = |reasoning: &crate::model::Reasoning<'_>| {
        reasoning.other.is_none() && reasoning.budget_tokens.is_none()
    };
    if is_disabled(c) && c.request.reasoning.as_ref().is_some_and(|reasoning| is_plain(&reasoning.value)) {
        object.begin_object("thinking").string("type", "disabled");
    } else {
        c.write_thinking(object);
    }
}

fn output_config(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let effort = if is_disabled(c) { None } else { c.effort() };
    let shape = c.request.response_format.as_ref().filter(|shape| !shape.value.is_text());
    let format = shape.and_then(|shape| match &shape.value {
        ResponseFormat::JsonSchema { schema: Some(schema), name, description, .. } => {
            if name.is_some() || description.is_some() {
                let why = "the schema is sent without its name and its description";
                c.report_approximated(shape.offset, "response_format", why);
            }
            Some((true, schema.as_str()))
        }
        ResponseFormat::Other(other) if c.is_native() => Some((false, other.as_str())),
        _ => {
            c.report_dropped(shape.offset, "response_format", "Anthropic has JSON schemas only");
            None
        }
    });
    if effort.is_none() && format.is_none() {
        return;
    }
    let mut config = object.begin_object("output_config");
    if let Some(effort) = effort {
        config.string("effort", effort);
    }
    match format {
        Some((true, schema)) => {
            let mut format = config.begin_object("format");
            format.string("type", "json_schema");
            format.raw("schema", schema);
        }
        Some((false, other)) => config.raw("format", other),
        None => {}
    }
}

/// Writes the tools. Returns whether there are any.
fn tools(c: &Conversion<'_, '_>, names: &Names<'_>, object: &mut Object<'_>) -> Result<bool> {
    let choice = c.request.tool_choice.as_ref().map(|choice| &choice.value);
    let allowed = choice.and_then(ToolChoice::allowed);
    let is_allowed = |tool: &Tool<'_>| allowed.as_ref().is_none_or(|names| names.contains(&*tool.name));
    let mut written = Vec::new();
    let mut array = Array::new(&mut written);
    let (mut any, mut left_out) = (false, Vec::new());
    for tool in &c.request.tools {
        if is_allowed(tool) {
            any |= array.maybe(|out| c.tool(tool, out, |out| Ok(write_tool(c, tool, names, out))))?;
        } else {
            left_out.push(tool);
        }
    }
    drop(array);
    if any {
        object.name("tools").append(&mut written);
    }
    for tool in left_out {
        if tool.other.is_some() && !any {
            c.report_dropped(tool.offset, "tools", "only the source's API has this tool");
        } else {
            let reason = "Anthropic has no list of allowed tools: others are left out";
            c.report_approximated(tool.offset, "tools", reason);
        }
    }
    Ok(any)
}

fn tool_choice(c: &Conversion<'_, '_>, names: &Names<'_>, object: &mut Object<'_>) {
    let is_alone = c.request.parallel_tool_calls.is_some_and(|parallel| !parallel.value);
    let Some(choice) = &c.request.tool_choice else {
        if is_alone {
            let mut choice = object.begin_object("tool_choice");
            choice.string("type", "auto");
            choice.bool("disable_parallel_tool_use", true);
        }
        return;
    };
    let (kind, name) = match &choice.value {
        ToolChoice::Other(other) => {
            if let Some(other) = c.native(other, choice.offset, "tool_choice") {
                object.raw("tool_choice", other);
            }
            return;
        }
        value if c.frees_choice(value, choice.offset) => ("auto", None),
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => ("auto", None),
        ToolChoice::None => ("none", None),
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => ("any", None),
        ToolChoice::Tool(name) => ("tool", Some(names.name(name))),
    };
    let mut written = object.begin_object("tool_choice");
    written.string("type", kind);
    if let Some(name) = name {
        written.string("name", name);
    }
    if (is_alone || (c.is_native() && c.request.parallel_tool_calls.is_some())) && kind != "none" {
        written.bool("disable_parallel_tool_use", is_alone);
    }
}

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, names: &Names<'_>, out: &mut Vec<u8>) -> bool {
    let mut written = Object::new(out);
    written.string("name", names.name(&tool.name));
    if let Some(description) = &tool.description {
        description.write(written.name("description"));
    }
    written.raw("input_schema", &c.input_schema(tool));
    if let Some(strict) = tool.strict {
        written.bool("strict", strict);
    }
    if let Some(cache) = &tool.cache {
        c.cache(&mut written, cache, tool.offset, &CACHE);
    }
    true
}
