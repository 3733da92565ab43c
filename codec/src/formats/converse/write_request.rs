//! Writes a Converse request.

use alloc::vec::Vec;

use crate::formats::converse::CALL_IDS;
use crate::formats::converse::parameters::{
    ADDITIONAL, INFERENCE, PROJECT, SERVICE_TIER, TABLE, TABLE_WITH_CHOICE,
};
use crate::formats::converse::write_blocks::Blocks;
use crate::formats::converse::write_tools::tool_config;
use crate::formats::conversion::Conversion;
use crate::formats::request_reader::Result;
use crate::formats::tool_names::Names;
use crate::json::{Object, elements, string, write_string};
use crate::model::{Json, ResponseFormat};

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TABLE);
    let messages = c.messages(true, Some(CALL_IDS))?;
    let (system, rest) = c.split_system(&messages);
    let names = Names::new(c, &messages, &c.request.tools);
    let mut object = Object::new(out);
    let blocks = Blocks::new(c, &names, rest);
    c.turns(rest, object.begin_array("messages"), &mut |part, role, out| blocks.write(part, role, out))?;
    blocks.system(system, &mut object)?;
    c.write_group(&mut object, &INFERENCE);
    let alone = is_alone(c);
    let config = tool_config(c, &messages, &names, alone, &mut object)?;
    additional(c, (alone && config.tools).then_some(config.choice), &mut object);
    output_config(c, &mut object);
    user(c, &mut object);
    c.write_group(&mut object, &SERVICE_TIER);
    c.write_rows(&mut object, &PROJECT);
    response_fields(c, &mut object);
    Ok(())
}

/// Whether the request limits Claude to one tool call at a time. Converse has no parameter for that, but passes Claude's
/// own parameter on.
fn is_alone(c: &Conversion<'_, '_>) -> bool {
    let alone = c.request.parallel_tool_calls.filter(|parallel| !parallel.value);
    let is_claude = c.request.model.as_ref().is_some_and(|model| model.value.contains("claude"));
    if let (Some(alone), false, false) = (alone, is_claude, c.request.tools.is_empty()) {
        let why = "Converse has no such parameter, and of its models only Claude has";
        c.report_dropped(alone.offset, "parallel_tool_calls", why);
    }
    alone.is_some() && is_claude
}

/// Writes Anthropic's `tool_choice`, which Converse merges with its own: the type has to come from one of the two, and not
/// from both ([LiteLLM](https://github.com/BerriAI/litellm/issues/36536) met both errors).
fn write_alone(has_choice: bool, fields: &mut Object<'_>) {
    let mut choice = fields.begin_object("tool_choice");
    if !has_choice {
        choice.string("type", "auto");
    }
    choice.bool("disable_parallel_tool_use", true);
}

/// Writes the fields that Converse passes on to the model: Claude's parameters, and extra parameters.
/// `alone`: one tool at a time, and whether a choice of tools was written.
fn additional(c: &Conversion<'_, '_>, alone: Option<bool>, object: &mut Object<'_>) {
    let mut written = Vec::new();
    let mut fields = Object::new(&mut written);
    c.write_rows(&mut fields, &ADDITIONAL);
    c.write_thinking(&mut fields);
    if let Some(has_choice) = alone {
        write_alone(has_choice, &mut fields);
    }
    let table = if alone.is_some() { &TABLE_WITH_CHOICE } else { &TABLE };
    c.write_extra_parameters(table, &mut fields);
    drop(fields);
    if written != b"{}" {
        object.name(ADDITIONAL.object).append(&mut written);
    }
}

fn output_config(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let effort = c.effort();
    let shape = c.request.response_format.as_ref().filter(|shape| !shape.value.is_text());
    let shape = shape.filter(|shape| match &shape.value {
        ResponseFormat::JsonSchema { schema: Some(_), .. } => true,
        ResponseFormat::Other(_) if c.is_native() => true,
        _ => {
            c.report_dropped(shape.offset, "response_format", "Converse has JSON schemas only");
            false
        }
    });
    if effort.is_none() && shape.is_none() {
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
}

/// Requests the reasoning tokens, in addition to the fields that the request names itself.
fn response_fields(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    const FIELD: &str = "additionalModelResponseFieldPaths";
    const REASONING: &str = "/usage/output_tokens_details";
    /// Bedrock takes no more.
    const COUNT_MAX: usize = 10;
    if !c.options.reasoning_tokens {
        return;
    }
    let own = c.kept(&c.request.extension_fields).iter().find(|(name, _)| name == FIELD);
    let paths = own.map(|(_, param)| elements(Json::as_str(&param.value))).unwrap_or_default();
    let is_asked = |path: &&str| string(path).is_some_and(|path| path == REASONING || path == "/usage");
    match own {
        _ if paths.iter().any(is_asked) => {}
        Some((_, param)) if paths.len() >= COUNT_MAX => {
            let why = "the request asks for ten fields, so it cannot ask for the reasoning tokens";
            c.report_dropped(param.offset, "reasoning_tokens", why);
        }
        _ => {
            let mut array = object.begin_array(FIELD);
            paths.iter().for_each(|path| array.element().extend_from_slice(path.as_bytes()));
            write_string(REASONING, array.element());
        }
    }
}

fn user(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(user) = &c.request.user else { return };
    // A value of metadata: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>
    let fits = |ch: char| ch.is_ascii_alphanumeric() || ch.is_whitespace() || ":_@$#=/+,-.".contains(ch);
    if user.value.len() <= 256 && user.value.chars().all(fits) {
        c.report_approximated(user.offset, "user", "Converse has metadata only: `requestMetadata.user`");
        object.begin_object("requestMetadata").string("user", &user.value);
    } else {
        c.report_dropped(user.offset, "user", "metadata takes 256 letters, digits and :_@$#=/+,-.");
    }
}
