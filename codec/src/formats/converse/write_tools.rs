//! Writes `toolConfig`.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::{Put, has_below};
use crate::formats::media::CachePoint;
use crate::formats::tool_names::Names;
use crate::json::{Array, Object};
use crate::model::Outcome;
use crate::model::{Offset, Content, Message, Tool, ToolChoice};

pub(crate) const CACHE: CachePoint =
    CachePoint { name: "cachePoint", kind: ("type", "default"), lifetimes: &["5m", "1h"] };

const NO_INPUT: &str = "{\"type\":\"object\",\"properties\":{}}";

/// What was written.
#[derive(Default)]
pub(crate) struct Written {
    /// Tools of the request.
    pub(crate) tools: bool,
    /// A choice among them.
    pub(crate) choice: bool,
}

/// Writes the tools and the choice among them. A conversation that has calls of tools needs tools, whether or not the
/// request has any. The default choice is left out where it `may_go`.
pub(crate) fn tool_config(
    c: &Conversion<'_, '_>,
    messages: &[Message<'_>],
    names: &Names<'_>,
    may_go: bool,
    object: &mut Object<'_>,
) -> Written {
    let request = c.request;
    let has_own = c.same && has_below(&request.extension_fields, "toolConfig");
    let called = called(messages);
    let choice = request.tool_choice.as_ref().map(|choice| (&choice.value, choice.offset));
    if let (false, Some((ToolChoice::None, offset)), true) =
        (request.tools.is_empty(), &choice, called.is_empty())
    {
        c.report_approximated(*offset, "tool_choice", "Converse has no choice `none`: the tools are left out");
        return Written::default();
    }
    let allowed: Vec<&Tool<'_>> = match choice {
        Some((ToolChoice::Allowed { tools, .. }, _)) => {
            request.tools.iter().filter(|tool| tools.contains(&tool.name)).collect()
        }
        _ => request.tools.iter().collect(),
    };
    let kept = allowed.iter().any(|tool| tool.other.is_none() || c.same);
    if !kept && called.is_empty() && !has_own {
        for tool in &request.tools {
            c.report_dropped(tool.offset, "tools", "only the source's format knows this tool");
        }
        return Written::default();
    }
    let mut config = object.begin_object("toolConfig");
    let mut array = config.begin_array("tools");
    for tool in &request.tools {
        if !allowed.iter().any(|kept| core::ptr::eq(*kept, tool)) {
            c.report_approximated(tool.offset, "tools", "Converse has no list of allowed tools: others are left out");
            continue;
        }
        write_tool(c, tool, names, &mut array);
    }
    if !kept {
        for (name, offset) in called {
            let why = "a conversation with calls of tools needs tools: one without a schema is sent";
            c.report(offset, "tools", Outcome::Defaulted, why);
            let mut tool = array.begin_object();
            let mut spec = tool.begin_object("toolSpec");
            spec.string("name", names.name(name));
            spec.begin_object("inputSchema").raw("json", NO_INPUT);
        }
    }
    drop(array);
    let choice = choice.filter(|(choice, _)| kept && !(may_go && choice.is_auto()));
    let choice = choice.is_some_and(|(choice, offset)| tool_choice(c, choice, offset, names, &mut config));
    if c.same {
        config.extension_fields(&request.extension_fields, "toolConfig");
    }
    Written { tools: kept, choice }
}

/// The tools that the conversation names, and where it first does.
fn called<'m>(messages: &'m [Message<'_>]) -> Vec<(&'m str, Offset)> {
    let mut called: Vec<(&str, _)> = Vec::new();
    let mut has_results = None;
    for part in messages.iter().flat_map(|message| &message.content) {
        match &part.content {
            Content::ToolCall { name, .. } if called.iter().all(|(known, _)| known != name) => {
                called.push((name, part.offset));
            }
            Content::ToolResult { .. } => has_results = Some(part.offset),
            _ => {}
        }
    }
    if let (true, Some(offset)) = (called.is_empty(), has_results) {
        called.push(("tool", offset));
    }
    called
}

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, names: &Names<'_>, array: &mut Array<'_>) {
    if let Some(other) = &tool.other {
        if c.same {
            array.element().extend_from_slice(other.as_str().as_bytes());
        } else {
            c.report_dropped(tool.offset, "tools", "only the source's format knows this tool");
        }
        return;
    }
    let mut written = array.begin_object();
    let mut spec = written.begin_object("toolSpec");
    spec.string("name", names.name(&tool.name));
    if let Some(description) = tool.description.as_ref().filter(|text| !text.is_blank()) {
        spec.text("description", description);
    }
    let mut schema = spec.begin_object("inputSchema");
    schema.raw("json", tool.schema.as_ref().map_or(NO_INPUT, |schema| schema.as_str()));
    if c.same {
        schema.extension_fields(&tool.extension_fields, "toolSpec/inputSchema");
    }
    drop(schema);
    if let Some(strict) = tool.strict {
        spec.bool("strict", strict);
    }
    if c.same {
        spec.extension_fields(&tool.extension_fields, "toolSpec");
    }
    drop(spec);
    drop(written);
    if let Some(cache) = &tool.cache {
        c.cache(&mut array.begin_object(), cache, tool.offset, &CACHE);
    }
}

/// Writes the choice, and tells whether there was anything to write.
fn tool_choice(
    c: &Conversion<'_, '_>,
    choice: &ToolChoice<'_>,
    offset: Offset,
    names: &Names<'_>,
    config: &mut Object<'_>,
) -> bool {
    let forced = match choice {
        ToolChoice::Required | ToolChoice::Tool(_) => true,
        ToolChoice::Allowed { required, .. } => *required,
        _ => false,
    };
    if forced && c.thinks() {
        c.report_approximated(offset, "tool_choice", "a model that thinks chooses tools by itself");
        config.begin_object("toolChoice").begin_object("auto");
        return true;
    }
    match choice {
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => {
            config.begin_object("toolChoice").begin_object("auto");
        }
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => {
            config.begin_object("toolChoice").begin_object("any");
        }
        ToolChoice::Tool(name) => {
            config.begin_object("toolChoice").begin_object("tool").string("name", names.name(name));
        }
        ToolChoice::None => {
            let why = "Converse has no choice `none`, and a conversation with calls of tools needs tools";
            c.report_approximated(offset, "tool_choice", why);
            return false;
        }
        ToolChoice::Other(other) if c.same => config.raw("toolChoice", other.as_str()),
        ToolChoice::Other(_) => {
            c.report_dropped(offset, "tool_choice", "only the source's format knows this choice");
            return false;
        }
    }
    true
}
