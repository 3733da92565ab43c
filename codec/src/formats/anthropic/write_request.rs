//! Writes a Messages request.

use alloc::format;
use alloc::vec::Vec;

use crate::formats::anthropic::write_blocks::{Blocks, CACHE};
use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::{Put, has_below};
use crate::formats::request_reader::Result;
use crate::formats::tool_names::Names;
use crate::json::{Array, Object, write_string};
use crate::model::Outcome;
use crate::model::{ResponseFormat, Role, Tool, ToolChoice};

const TAKES: &[&str] = &[
    "include_usage",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "user",
    "service_tier",
    "reasoning",
    "response_format",
    "tool_choice",
    "parallel_tool_calls",
];

/// Tokens of an answer that nobody limits, on top of those of its reasoning.
const MAX_TOKENS: u64 = 4096;

const UNKNOWN_TOOL: &str = "only the source's format knows this tool";

const NO_INPUT: &str = "{\"type\":\"object\",\"properties\":{}}";

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(TAKES, "Anthropic has no such parameter");
    c.report_extra_parameters("Anthropic takes no parameters that it does not know");
    let request = c.request;
    let messages = c.messages(true)?;
    let (system, rest) = c.split_system(&messages);
    let names = Names::new(c, &messages, &request.tools, &[]);
    let mut object = Object::new(out);
    if let Some(model) = &request.model {
        object.string("model", &model.value);
    }
    if let Some(tokens) = max_tokens(c) {
        object.integer("max_tokens", tokens);
    }
    let prefill = rest.last().filter(|message| message.role == Role::Assistant);
    let blocks = Blocks { c, names: &names, prefill: prefill.and_then(|message| message.content.last()) };
    blocks.system(system, &mut object)?;
    c.turns(rest, object.begin_array("messages"), &mut |part, role, out| blocks.write(part, role, out))?;
    tools(c, &names, &mut object);
    parameters(c, &mut object);
    output_config(c, &mut object);
    if c.same {
        c.extra_parameters(&mut object, |_| true);
        object.extension_fields(&request.extension_fields, "");
    }
    Ok(())
}

fn max_tokens(c: &Conversion<'_, '_>) -> Option<u64> {
    if let Some(tokens) = c.max_tokens() {
        return Some(tokens);
    }
    if c.same {
        return None;
    }
    let budget = c.request.reasoning.as_ref().and_then(|reasoning| reasoning.value.budget_tokens);
    let tokens = MAX_TOKENS.saturating_add(budget.unwrap_or(0));
    c.report(None, "max_tokens", Outcome::Defaulted, format!("Anthropic requires a number: {tokens}"));
    Some(tokens)
}

fn parameters(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    let clamped = c.clamped(c.temperature(), "temperature", (0.0, 1.0));
    c.number_member(object, "temperature", c.unless_thinking(clamped, "temperature", 1.0));
    let clamped = c.clamped(request.top_p, "top_p", (0.0, 1.0));
    c.number_member(object, "top_p", c.unless_thinking(clamped, "top_p", 1.0));
    match request.top_k.filter(|top_k| top_k.value > 0 || c.same) {
        Some(top_k) if c.thinks() => c.report_dropped(top_k.offset, "top_k", "a model that thinks does not take it"),
        top_k => c.signed(object, "top_k", top_k),
    }
    let blank = |text: &str| text.trim().is_empty() && !c.same;
    for stop in request.stop.iter().filter(|stop| blank(&stop.value)) {
        c.report_dropped(stop.offset, "stop", "Anthropic takes no blank stop strings");
    }
    if request.stop.iter().any(|stop| !blank(&stop.value)) {
        let mut array = object.begin_array("stop_sequences");
        for stop in request.stop.iter().filter(|stop| !blank(&stop.value)) {
            write_string(&stop.value, array.element());
        }
    }
    if let Some(stream) = request.stream {
        object.bool("stream", stream.value);
    }
    let has_own = c.same && has_below(&request.extension_fields, "metadata");
    if request.user.is_some() || has_own {
        let mut metadata = object.begin_object("metadata");
        if let Some(user) = &request.user {
            metadata.string("user_id", &user.value);
        }
        if c.same {
            metadata.extension_fields(&request.extension_fields, "metadata");
        }
    }
    if let Some(tier) = &request.service_tier {
        match &*tier.value {
            "auto" => object.string("service_tier", "auto"),
            "default" | "standard_only" => object.string("service_tier", "standard_only"),
            same if c.same => object.string("service_tier", same),
            _ => c.report_dropped(tier.offset, "service_tier", "Anthropic has no such tier"),
        }
    }
}

fn output_config(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    if let Some(reasoning) = request.reasoning.as_ref().map(|reasoning| &reasoning.value) {
        if let Some(other) = &reasoning.other {
            object.raw("thinking", other.as_str());
        } else if let Some(budget) = reasoning.budget_tokens {
            let mut thinking = object.begin_object("thinking");
            thinking.string("type", "enabled");
            thinking.integer("budget_tokens", budget);
        } else if reasoning.effort.as_deref() == Some("none") && !c.same {
            object.begin_object("thinking").string("type", "disabled");
        }
    }
    let is_none = |effort: &&str| *effort == "none" && !c.same;
    let said = request.reasoning.as_ref().and_then(|reasoning| reasoning.value.effort.as_deref());
    let effort = if said.as_ref().is_some_and(is_none) { None } else { c.effort() };
    let shape = request.response_format.as_ref().filter(|shape| !shape.value.is_text());
    let schema = shape.and_then(|shape| match &shape.value {
        ResponseFormat::JsonSchema { schema: Some(schema), name, description, .. } => {
            if (name.is_some() || description.is_some()) && !c.same {
                let why = "the schema is sent without its name and its description";
                c.report_approximated(shape.offset, "response_format", why);
            }
            Some(Ok(schema))
        }
        ResponseFormat::Other(other) if c.same => Some(Err(other)),
        _ => {
            c.report_dropped(shape.offset, "response_format", "Anthropic has JSON schemas only");
            None
        }
    });
    let has_own = c.same && has_below(&request.extension_fields, "output_config");
    if effort.is_none() && schema.is_none() && !has_own {
        return;
    }
    let mut config = object.begin_object("output_config");
    if let Some(effort) = effort {
        config.string("effort", effort);
    }
    match schema {
        Some(Ok(schema)) => {
            let mut format = config.begin_object("format");
            format.string("type", "json_schema");
            format.raw("schema", schema.as_str());
        }
        Some(Err(other)) => config.raw("format", other.as_str()),
        None => {}
    }
    if c.same {
        config.extension_fields(&request.extension_fields, "output_config");
    }
}

fn tools(c: &Conversion<'_, '_>, names: &Names<'_>, object: &mut Object<'_>) {
    let request = c.request;
    let choice = request.tool_choice.as_ref();
    let is_allowed = |tool: &Tool<'_>| match choice.map(|choice| &choice.value) {
        Some(ToolChoice::Allowed { tools, .. }) => tools.contains(&tool.name),
        _ => true,
    };
    let is_known = |tool: &Tool<'_>| tool.other.is_none() || c.same;
    let has_tools = request.tools.iter().any(|tool| is_allowed(tool) && is_known(tool));
    if !has_tools {
        let unknown = request.tools.iter().filter(|tool| !is_known(tool));
        unknown.for_each(|tool| c.report_dropped(tool.offset, "tools", UNKNOWN_TOOL));
    } else {
        let mut array = object.begin_array("tools");
        for tool in &request.tools {
            if is_allowed(tool) {
                write_tool(c, tool, names, &mut array);
            } else {
                let why = "Anthropic has no list of allowed tools: others are left out";
                c.report_approximated(tool.offset, "tools", why);
            }
        }
    }
    if !has_tools && !c.same {
        return;
    }
    let alone = request.parallel_tool_calls;
    let is_alone = alone.is_some_and(|parallel| !parallel.value);
    let Some(choice) = choice else {
        if is_alone {
            let mut choice = object.begin_object("tool_choice");
            choice.string("type", "auto");
            choice.bool("disable_parallel_tool_use", true);
        }
        return;
    };
    let (kind, name) = match &choice.value {
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => ("auto", None),
        ToolChoice::None => ("none", None),
        ToolChoice::Other(other) if c.same => return object.raw("tool_choice", other.as_str()),
        ToolChoice::Other(_) => {
            return c.report_dropped(choice.offset, "tool_choice", "only the source's format knows this choice");
        }
        _ if c.thinks() => {
            c.report_approximated(choice.offset, "tool_choice", "a model that thinks chooses tools by itself");
            ("auto", None)
        }
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => ("any", None),
        ToolChoice::Tool(name) => ("tool", Some(names.name(name))),
    };
    let mut written = object.begin_object("tool_choice");
    written.string("type", kind);
    if let Some(name) = name {
        written.string("name", name);
    }
    if alone.is_some_and(|_| c.same) || (is_alone && kind != "none") {
        written.bool("disable_parallel_tool_use", is_alone);
    }
    if c.same {
        written.extension_fields(&request.extension_fields, "tool_choice");
    }
}

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, names: &Names<'_>, array: &mut Array<'_>) {
    if let Some(other) = &tool.other {
        if c.same {
            array.element().extend_from_slice(other.as_str().as_bytes());
        } else {
            c.report_dropped(tool.offset, "tools", UNKNOWN_TOOL);
        }
        return;
    }
    let mut written = array.begin_object();
    written.string("name", names.name(&tool.name));
    if let Some(description) = &tool.description {
        written.text("description", description);
    }
    written.raw("input_schema", tool.schema.as_ref().map_or(NO_INPUT, |schema| schema.as_str()));
    if let Some(strict) = tool.strict {
        written.bool("strict", strict);
    }
    if let Some(cache) = &tool.cache {
        c.cache(&mut written, cache, tool.offset, &CACHE);
    }
    if c.same {
        written.extension_fields(&tool.extension_fields, "");
    }
}
