//! Writes a chat completion request.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::{Put, has_below};
use crate::formats::openai_chat::write_messages::write_messages;
use crate::formats::request_reader::{Result, string_member};
use crate::json::{Array, Object};
use crate::model::{Offset, Reasoning, ResponseFormat, Tool, ToolChoice};
use crate::model::{Json, Outcome};

/// Parameters that a container with OpenAI's chat takes: vLLM's and SGLang's, too.
const TAKES: &[&str] = &[
    "include_usage",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "n",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "user",
    "service_tier",
    "reasoning",
    "response_format",
    "tool_choice",
    "parallel_tool_calls",
];

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(TAKES, "OpenAI's chat has no such parameter");
    let request = c.request;
    let mut object = Object::new(out);
    if let Some(model) = &request.model {
        object.string("model", &model.value);
    }
    let messages = c.messages(false)?;
    write_messages(c, &messages, object.begin_array("messages"));
    let has_tools = request.tools.iter().any(|tool| tool.other.is_none() || c.same);
    for tool in request.tools.iter().filter(|tool| tool.other.is_some() && !c.same) {
        c.report_dropped(tool.offset, "tools", "only the source's format knows this tool");
    }
    if has_tools {
        let mut tools = object.begin_array("tools");
        for tool in &request.tools {
            write_tool(c, tool, &mut tools);
        }
    }
    if has_tools || c.same {
        tool_choice(c, &mut object);
        if let Some(parallel) = request.parallel_tool_calls {
            object.bool("parallel_tool_calls", parallel.value);
        }
    }
    parameters(c, &mut object);
    response_format(c, &mut object);
    if let Some(reasoning) = &request.reasoning {
        if let Some(effort) = effort(c, &reasoning.value, reasoning.offset) {
            object.string("reasoning_effort", effort);
        }
    }
    stream(c, &mut object);
    c.extra_parameters(&mut object, |name| name == "messages" || crate::formats::openai_chat::OWN.contains(&name));
    if c.same {
        object.extension_fields(&request.extension_fields, "");
    }
    Ok(())
}

fn parameters(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    if let Some(tokens) = request.max_tokens.map(|tokens| tokens.value).or_else(|| c.max_tokens()) {
        let offset = request.max_tokens.and_then(|tokens| tokens.offset);
        let new = c.is_spelled(offset, "max_completion_tokens");
        // Every container takes the older name, not all take the newer one.
        object.integer(if new { "max_completion_tokens" } else { "max_tokens" }, tokens);
    }
    c.number_member(object, "temperature", c.temperature());
    c.number_member(object, "top_p", request.top_p);
    c.signed(object, "top_k", request.top_k);
    c.number_member(object, "min_p", request.min_p);
    c.signed(object, "seed", request.seed);
    if let Some(n) = request.n {
        object.integer("n", n.value);
    }
    match &request.stop[..] {
        [stop] if c.is_spelled(stop.offset, "stop") => object.string("stop", &stop.value),
        _ => c.stop(object, "stop"),
    }
    c.number_member(object, "frequency_penalty", request.frequency_penalty);
    c.number_member(object, "presence_penalty", request.presence_penalty);
    c.number_member(object, "repetition_penalty", request.repetition_penalty);
    // Alternatives are only given with probabilities.
    match (request.logprobs, request.top_logprobs) {
        (Some(logprobs), _) => object.bool("logprobs", logprobs.value),
        (None, Some(_)) if !c.same => object.bool("logprobs", true),
        _ => {}
    }
    if let Some(top) = request.top_logprobs {
        object.integer("top_logprobs", top.value);
    }
    if let Some(bias) = &request.logit_bias {
        object.raw("logit_bias", bias.value.as_str());
    }
    if let Some(user) = &request.user {
        object.string("user", &user.value);
    }
    if let Some(tier) = &request.service_tier {
        match &*tier.value {
            "reserved" if !c.same => {
                c.report_dropped(tier.offset, "service_tier", "OpenAI has no reserved tier");
            }
            "standard_only" if !c.same => object.string("service_tier", "default"),
            same => object.string("service_tier", same),
        }
    }
}

fn stream(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    if let Some(stream) = request.stream {
        object.bool("stream", stream.value);
    }
    let has_own = c.same && has_below(&request.extension_fields, "stream_options");
    let is_stream = request.stream.is_some_and(|stream| stream.value);
    if (request.include_usage.is_some() && (is_stream || c.same)) || has_own {
        let mut options = object.begin_object("stream_options");
        if let Some(usage) = request.include_usage {
            options.bool("include_usage", usage.value);
        }
        if c.same {
            options.extension_fields(&request.extension_fields, "stream_options");
        }
    }
}

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, tools: &mut Array<'_>) {
    if let Some(other) = &tool.other {
        if c.same {
            tools.element().extend_from_slice(other.as_str().as_bytes());
        }
        return;
    }
    if tool.cache.is_some() {
        c.report_dropped(tool.offset, "cache", "OpenAI's tools have no cache points");
    }
    let mut written = tools.begin_object();
    written.string("type", "function");
    let mut function = written.begin_object("function");
    function.string("name", &tool.name);
    if let Some(description) = &tool.description {
        function.text("description", description);
    }
    if let Some(schema) = &tool.schema {
        function.raw("parameters", schema.as_str());
    }
    if let Some(strict) = tool.strict {
        function.bool("strict", strict);
    }
    if c.same {
        function.extension_fields(&tool.extension_fields, "function");
        drop(function);
        written.extension_fields(&tool.extension_fields, "");
    }
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
        ToolChoice::Other(other) if c.same => object.raw("tool_choice", other.as_str()),
        ToolChoice::Other(_) => {
            c.report_dropped(choice.offset, "tool_choice", "only the source's format knows this choice");
        }
    }
}

fn response_format(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(shape) = &c.request.response_format else { return };
    let extension_fields = &c.request.extension_fields;
    let kind = match &shape.value {
        ResponseFormat::Text => "text",
        ResponseFormat::JsonObject => "json_object",
        ResponseFormat::JsonSchema { .. } => "json_schema",
        ResponseFormat::Other(other) if c.same => return object.raw("response_format", other.as_str()),
        ResponseFormat::Regex(_) | ResponseFormat::Other(_) => {
            return c.report_dropped(shape.offset, "response_format", "OpenAI's chat has JSON schemas only");
        }
    };
    let mut written = object.begin_object("response_format");
    written.string("type", kind);
    if let ResponseFormat::JsonSchema { name, description, schema, strict } = &shape.value {
        let mut json = written.begin_object("json_schema");
        match name {
            Some(name) => json.string("name", name),
            None if c.same => {}
            None => {
                let why = "OpenAI requires a name of the schema: \"response\"";
                c.report(shape.offset, "response_format", Outcome::Defaulted, why);
                json.string("name", "response");
            }
        }
        if let Some(description) = description {
            json.string("description", description);
        }
        if let Some(schema) = schema {
            json.raw("schema", schema.as_str());
        }
        if let Some(strict) = strict {
            json.bool("strict", *strict);
        }
        if c.same {
            json.extension_fields(extension_fields, "response_format/json_schema");
        }
    }
    if c.same {
        written.extension_fields(extension_fields, "response_format");
    }
}

/// How much the model thinks. A number of tokens becomes the effort that LiteLLM takes it for.
fn effort<'r>(c: &Conversion<'_, '_>, reasoning: &'r Reasoning<'_>, offset: Offset) -> Option<&'r str> {
    if let Some(effort) = &reasoning.effort {
        if reasoning.budget_tokens.is_some() || reasoning.other.is_some() {
            c.report_approximated(offset, "reasoning", "OpenAI has an effort only");
        }
        return Some(effort);
    }
    let is_disabled = |other: &Json<'_>| string_member(other, "type").as_deref() == Some("disabled");
    if reasoning.other.as_ref().is_some_and(is_disabled) {
        return Some("none");
    }
    let Some(budget) = reasoning.budget_tokens else {
        c.report_dropped(offset, "reasoning", "OpenAI has an effort only");
        return None;
    };
    c.report_approximated(offset, "reasoning", "OpenAI has an effort, no number of tokens");
    Some(match budget {
        0..2048 => "low",
        2048..4096 => "medium",
        _ => "high",
    })
}
