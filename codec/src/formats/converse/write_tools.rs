//! Writes `toolConfig`.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::formats::conversion::{Conversion, NO_INPUT};
use crate::formats::media::CachePoint;
use crate::formats::request_reader::Result;
use crate::formats::tool_names::Names;
use crate::json::{Array, Object};
use crate::model::{Content, Message, Offset, Outcome, Tool, ToolChoice};

pub(crate) const CACHE: CachePoint =
    CachePoint { name: "cachePoint", kind: ("type", "default"), lifetimes: &["5m", "1h"] };

/// What was written.
#[derive(Default)]
pub(crate) struct Written {
    /// Tools of the request.
    pub(crate) tools: bool,
    /// A choice among them.
    pub(crate) choice: bool,
}

/// Writes the tools and the choice among them. A conversation with calls of tools needs tools, whether or not the request
/// has any. `may_go`: the default choice is left out.
pub(crate) fn tool_config(
    c: &Conversion<'_, '_>,
    messages: &[Message<'_>],
    names: &Names<'_>,
    may_go: bool,
    object: &mut Object<'_>,
) -> Result<Written> {
    let request = c.request;
    let called = called(messages);
    let choice = request.tool_choice.as_ref().map(|choice| (&choice.value, choice.offset));
    if let (false, Some((ToolChoice::None, offset)), true) =
        (request.tools.is_empty(), &choice, called.is_empty())
    {
        c.report_approximated(
            *offset,
            "tool_choice",
            "Converse has no choice `none`: the tools are left out",
        );
        return Ok(Written::default());
    }
    let names_allowed = choice.as_ref().and_then(|(choice, _)| choice.allowed());
    let is_allowed = |tool: &Tool<'_>| names_allowed.as_ref().is_none_or(|names| names.contains(&*tool.name));
    let mut allowed = request.tools.iter().filter(|tool| is_allowed(tool));
    let kept = allowed.any(|tool| tool.other.is_none() || c.is_native());
    if !kept && called.is_empty() {
        for tool in &request.tools {
            c.report_dropped(tool.offset, "tools", "only the source's API has this tool");
        }
        return Ok(Written::default());
    }
    let mut config = object.begin_object("toolConfig");
    let mut array = config.begin_array("tools");
    for tool in &request.tools {
        if !is_allowed(tool) {
            c.report_approximated(
                tool.offset,
                "tools",
                "Converse has no list of allowed tools: others are left out",
            );
            continue;
        }
        write_tool(c, tool, names, &mut array)?;
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
    Ok(Written { tools: kept, choice })
}

/// The tools that the conversation calls, with the offsets of their first calls.
fn called<'m>(messages: &'m [Message<'_>]) -> Vec<(&'m str, Offset)> {
    let mut called: Vec<(&str, _)> = Vec::new();
    let (mut known, mut has_results) = (BTreeSet::new(), None);
    for part in messages.iter().flat_map(|message| &message.content) {
        match &part.content {
            Content::ToolCall { name, .. } if known.insert(&**name) => called.push((name, part.offset)),
            Content::ToolResult { .. } => has_results = Some(part.offset),
            _ => {}
        }
    }
    if let (true, Some(offset)) = (called.is_empty(), has_results) {
        called.push(("tool", offset));
    }
    called
}

fn write_tool(
    c: &Conversion<'_, '_>,
    tool: &Tool<'_>,
    names: &Names<'_>,
    array: &mut Array<'_>,
) -> Result<()> {
    let is_written = array.maybe(|out| c.tool(tool, out, |out| Ok(write_spec(c, tool, names, out))))?;
    if let (true, Some(cache)) = (is_written, &tool.cache) {
        c.cache(&mut array.begin_object(), cache, tool.offset, &CACHE);
    }
    Ok(())
}

fn write_spec(c: &Conversion<'_, '_>, tool: &Tool<'_>, names: &Names<'_>, out: &mut Vec<u8>) -> bool {
    let mut written = Object::new(out);
    let mut spec = written.begin_object("toolSpec");
    spec.string("name", names.name(&tool.name));
    if let Some(description) = tool.description.as_ref().filter(|text| !text.is_blank()) {
        description.write(spec.name("description"));
    }
    spec.begin_object("inputSchema").raw("json", &c.input_schema(tool));
    if let Some(strict) = tool.strict {
        spec.bool("strict", strict);
    }
    true
}

/// Writes the choice. Returns whether there was anything to write.
fn tool_choice(
    c: &Conversion<'_, '_>,
    choice: &ToolChoice<'_>,
    offset: Offset,
    names: &Names<'_>,
    config: &mut Object<'_>,
) -> bool {
    if c.frees_choice(choice, offset) {
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
        ToolChoice::Other(other) => match c.native(other, offset, "tool_choice") {
            Some(other) => config.raw("toolChoice", other),
            None => return false,
        },
    }
    true
}
