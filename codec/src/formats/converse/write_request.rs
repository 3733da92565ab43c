//! Writes a Converse request.

use alloc::vec::Vec;
use core::cell::RefCell;

use crate::formats::converse::write_blocks::Blocks;
use crate::formats::converse::write_tools::tool_config;
use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::{Put, has_below};
use crate::formats::request_reader::Result;
use crate::formats::tool_names::Names;
use crate::json::{Object, write_string};
use crate::model::ResponseFormat;

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

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(TAKES, "Converse has no such parameter");
    let messages = c.messages(true)?;
    let (system, rest) = c.split_system(&messages);
    let names = Names::new(c, &messages, &c.request.tools, &['.', ':']);
    let mut object = Object::new(out);
    let blocks = Blocks { c, names: &names, documents: RefCell::default(), rest };
    c.turns(rest, object.begin_array("messages"), &mut |part, role, out| blocks.write(part, role, out))?;
    blocks.system(system, &mut object)?;
    inference(c, &mut object);
    let alone = is_alone(c);
    let config = tool_config(c, &messages, &names, alone, &mut object);
    additional(c, (alone && config.tools).then_some(config.choice), &mut object);
    output_config(c, &mut object);
    rest_of(c, &mut object);
    Ok(())
}

fn inference(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    let max_tokens = c.max_tokens();
    let temperature =
        c.unless_thinking(c.clamped(c.temperature(), "temperature", (0.0, 1.0)), "temperature", 1.0);
    let top_p = c.unless_thinking(c.clamped(request.top_p, "top_p", (0.0, 1.0)), "top_p", 1.0);
    let stop: Vec<_> = request.stop.iter().filter(|stop| !stop.value.is_empty()).collect();
    let has_own = c.same && has_below(&request.extension_fields, "inferenceConfig");
    if max_tokens.is_none() && temperature.is_none() && top_p.is_none() && stop.is_empty() && !has_own {
        return;
    }
    let mut config = object.begin_object("inferenceConfig");
    if let Some(tokens) = max_tokens {
        config.integer("maxTokens", tokens);
    }
    c.number_member(&mut config, "temperature", temperature);
    c.number_member(&mut config, "topP", top_p);
    if !stop.is_empty() {
        let mut array = config.begin_array("stopSequences");
        for stop in stop {
            write_string(&stop.value, array.element());
        }
    }
    if c.same {
        config.extension_fields(&request.extension_fields, "inferenceConfig");
    }
}

/// Whether Claude is told to call one tool at a time. Converse has no parameter for that, but hands Claude's own on.
fn is_alone(c: &Conversion<'_, '_>) -> bool {
    let alone = c.request.parallel_tool_calls.filter(|parallel| !parallel.value && !c.same);
    let is_claude = c.request.model.as_ref().is_some_and(|model| model.value.contains("claude"));
    if let (Some(alone), false, false) = (alone, is_claude, c.request.tools.is_empty()) {
        let why = "Converse has no such parameter, and of its models only Claude has";
        c.report_dropped(alone.offset, "parallel_tool_calls", why);
    }
    alone.is_some() && is_claude
}

/// Writes Anthropic's `tool_choice`, into which goes what Converse makes of its own: the type has to come from one of
/// the two, and not from both ([LiteLLM](https://github.com/BerriAI/litellm/issues/36536) met both errors).
fn write_alone(has_choice: bool, fields: &mut Object<'_>) {
    let mut choice = fields.begin_object("tool_choice");
    if !has_choice {
        choice.string("type", "auto");
    }
    choice.bool("disable_parallel_tool_use", true);
}

/// Writes what Converse hands to the model as it is: Claude's names, and the parameters of the source's container.
/// `alone`: one tool at a time, and whether a choice of tools was written.
fn additional(c: &Conversion<'_, '_>, alone: Option<bool>, object: &mut Object<'_>) {
    let request = c.request;
    let top_k = request.top_k.filter(|top_k| top_k.value > 0 || c.same);
    let top_k = match top_k {
        Some(top_k) if c.thinks() => {
            c.report_dropped(top_k.offset, "top_k", "a model that thinks does not take it");
            None
        }
        top_k => top_k,
    };
    let reasoning = request.reasoning.as_ref().map(|reasoning| &reasoning.value);
    let thinking = reasoning.filter(|r| r.budget_tokens.is_some() || r.other.is_some());
    let is_known =
        |name: &str| matches!(name, "top_k" | "thinking") || (name == "tool_choice" && alone.is_some());
    if top_k.is_none() && thinking.is_none() && alone.is_none() && !c.has_extra_parameters(is_known) {
        return;
    }
    let mut fields = object.begin_object("additionalModelRequestFields");
    c.signed(&mut fields, "top_k", top_k);
    if let Some(reasoning) = thinking {
        match (&reasoning.other, reasoning.budget_tokens) {
            (Some(other), _) => fields.raw("thinking", other.as_str()),
            (None, Some(budget)) => {
                let mut thinking = fields.begin_object("thinking");
                thinking.string("type", "enabled");
                thinking.integer("budget_tokens", budget);
            }
            (None, None) => {}
        }
    }
    if let Some(has_choice) = alone {
        write_alone(has_choice, &mut fields);
    }
    c.extra_parameters(&mut fields, is_known);
}

fn output_config(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    let effort = c.effort();
    let shape = request.response_format.as_ref().filter(|shape| !shape.value.is_text());
    let shape = shape.filter(|shape| match &shape.value {
        ResponseFormat::JsonSchema { schema: Some(_), .. } => true,
        ResponseFormat::Other(_) if c.same => true,
        _ => {
            c.report_dropped(shape.offset, "response_format", "Converse has JSON schemas only");
            false
        }
    });
    let has_own = c.same && has_below(&request.extension_fields, "outputConfig");
    if effort.is_none() && shape.is_none() && !has_own {
        return;
    }
    let mut config = object.begin_object("outputConfig");
    if let Some(effort) = effort {
        config.string("effort", effort);
    }
    match shape.map(|shape| &shape.value) {
        Some(ResponseFormat::JsonSchema { name, description, schema: Some(schema), .. }) => {
            let mut format = config.begin_object("textFormat");
            format.string("type", "json_schema");
            let mut structure = format.begin_object("structure");
            let mut json = structure.begin_object("jsonSchema");
            json.string("schema", schema.as_str());
            if let Some(name) = name {
                json.string("name", name);
            }
            if let Some(description) = description {
                json.string("description", description);
            }
        }
        Some(ResponseFormat::Other(other)) => config.raw("textFormat", other.as_str()),
        _ => {}
    }
    if c.same {
        config.extension_fields(&request.extension_fields, "outputConfig");
    }
}

fn rest_of(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    if let Some(user) = &request.user {
        // A value of metadata: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>
        let fits = |ch: char| ch.is_ascii_alphanumeric() || ch.is_whitespace() || ":_@$#=/+,-.".contains(ch);
        if user.value.len() <= 256 && user.value.chars().all(fits) {
            c.report_approximated(user.offset, "user", "Converse has metadata only: `requestMetadata.user`");
            object.begin_object("requestMetadata").string("user", &user.value);
        } else {
            c.report_dropped(user.offset, "user", "metadata takes 256 letters, digits and :_@$#=/+,-.");
        }
    }
    if let Some(tier) = request.service_tier.as_ref() {
        let known = match &*tier.value {
            "standard_only" => Some("default"),
            same @ ("default" | "flex" | "priority" | "reserved") => Some(same),
            same if c.same => Some(same),
            _ => None,
        };
        match known {
            Some(known) => object.begin_object("serviceTier").string("type", known),
            None if tier.value == "auto" => {}
            None => c.report_dropped(tier.offset, "service_tier", "Converse has no such tier"),
        }
    }
    if c.same {
        object.extension_fields(&request.extension_fields, "");
    }
}
