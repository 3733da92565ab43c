//! Writes a Messages request.

use alloc::format;
use alloc::vec::Vec;

use crate::chat::Outcome;
use crate::chat::request::{Content, Message, Part, ResponseFormat, Role, Source, Tool, ToolChoice};
use crate::format::request::conversion::Conversion;
use crate::format::request::media::{self, CachePoint};
use crate::format::request::names::Names;
use crate::format::request::output::{Array, Object, has_below};
use crate::format::request::source::Result;
use crate::json::write_string;

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

const CACHE: CachePoint =
    CachePoint { name: "cache_control", kind: ("type", "ephemeral"), lifetimes: &["5m", "1h"] };

/// Tokens of an answer that nobody limits, on top of those of its reasoning.
const MAX_TOKENS: u64 = 4096;

const UNKNOWN_TOOL: &str = "only the source's format knows this tool";

const NO_INPUT: &str = "{\"type\":\"object\",\"properties\":{}}";

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.note_parameters(TAKES, "Anthropic has no such parameter");
    c.note_others("Anthropic takes no parameters that it does not know");
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
    c.turns(rest, object.array("messages"), &mut |part, role, out| blocks.write(part, role, out))?;
    tools(c, &names, &mut object);
    parameters(c, &mut object);
    output_config(c, &mut object);
    if c.same {
        c.others(&mut object, |_| true);
        object.own(&request.own, "");
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
    c.lose(None, "max_tokens", Outcome::Defaulted, format!("Anthropic requires a number: {tokens}"));
    Some(tokens)
}

fn parameters(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    let clamped = c.clamped(c.temperature(), "temperature", (0.0, 1.0));
    c.number_member(object, "temperature", c.unless_thinking(clamped, "temperature", 1.0));
    let clamped = c.clamped(request.top_p, "top_p", (0.0, 1.0));
    c.number_member(object, "top_p", c.unless_thinking(clamped, "top_p", 1.0));
    match request.top_k.filter(|top_k| top_k.value > 0 || c.same) {
        Some(top_k) if c.thinks() => c.dropped(top_k.at, "top_k", "a model that thinks does not take it"),
        top_k => c.signed(object, "top_k", top_k),
    }
    let blank = |text: &str| text.trim().is_empty() && !c.same;
    for stop in request.stop.iter().filter(|stop| blank(&stop.value)) {
        c.dropped(stop.at, "stop", "Anthropic takes no blank stop strings");
    }
    if request.stop.iter().any(|stop| !blank(&stop.value)) {
        let mut array = object.array("stop_sequences");
        for stop in request.stop.iter().filter(|stop| !blank(&stop.value)) {
            write_string(&stop.value, array.element());
        }
    }
    if let Some(stream) = request.stream {
        object.bool("stream", stream.value);
    }
    let has_own = c.same && has_below(&request.own, "metadata");
    if request.user.is_some() || has_own {
        let mut metadata = object.object("metadata");
        if let Some(user) = &request.user {
            metadata.string("user_id", &user.value);
        }
        if c.same {
            metadata.own(&request.own, "metadata");
        }
    }
    if let Some(tier) = &request.service_tier {
        match &*tier.value {
            "auto" => object.string("service_tier", "auto"),
            "default" | "standard_only" => object.string("service_tier", "standard_only"),
            same if c.same => object.string("service_tier", same),
            _ => c.dropped(tier.at, "service_tier", "Anthropic has no such tier"),
        }
    }
}

fn output_config(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let request = c.request;
    if let Some(reasoning) = request.reasoning.as_ref().map(|reasoning| &reasoning.value) {
        if let Some(other) = &reasoning.other {
            object.raw("thinking", other.as_str());
        } else if let Some(budget) = reasoning.budget_tokens {
            let mut thinking = object.object("thinking");
            thinking.string("type", "enabled");
            thinking.integer("budget_tokens", budget);
        } else if reasoning.effort.as_deref() == Some("none") && !c.same {
            object.object("thinking").string("type", "disabled");
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
                c.approximated(shape.at, "response_format", why);
            }
            Some(Ok(schema))
        }
        ResponseFormat::Other(other) if c.same => Some(Err(other)),
        _ => {
            c.dropped(shape.at, "response_format", "Anthropic has JSON schemas only");
            None
        }
    });
    let has_own = c.same && has_below(&request.own, "output_config");
    if effort.is_none() && schema.is_none() && !has_own {
        return;
    }
    let mut config = object.object("output_config");
    if let Some(effort) = effort {
        config.string("effort", effort);
    }
    match schema {
        Some(Ok(schema)) => {
            let mut format = config.object("format");
            format.string("type", "json_schema");
            format.raw("schema", schema.as_str());
        }
        Some(Err(other)) => config.raw("format", other.as_str()),
        None => {}
    }
    if c.same {
        config.own(&request.own, "output_config");
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
        unknown.for_each(|tool| c.dropped(tool.at, "tools", UNKNOWN_TOOL));
    } else {
        let mut array = object.array("tools");
        for tool in &request.tools {
            if is_allowed(tool) {
                write_tool(c, tool, names, &mut array);
            } else {
                let why = "Anthropic has no list of allowed tools: others are left out";
                c.approximated(tool.at, "tools", why);
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
            let mut choice = object.object("tool_choice");
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
            return c.dropped(choice.at, "tool_choice", "only the source's format knows this choice");
        }
        _ if c.thinks() => {
            c.approximated(choice.at, "tool_choice", "a model that thinks chooses tools by itself");
            ("auto", None)
        }
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => ("any", None),
        ToolChoice::Tool(name) => ("tool", Some(names.name(name))),
    };
    let mut written = object.object("tool_choice");
    written.string("type", kind);
    if let Some(name) = name {
        written.string("name", name);
    }
    if alone.is_some_and(|_| c.same) || (is_alone && kind != "none") {
        written.bool("disable_parallel_tool_use", is_alone);
    }
    if c.same {
        written.own(&request.own, "tool_choice");
    }
}

fn write_tool(c: &Conversion<'_, '_>, tool: &Tool<'_>, names: &Names<'_>, array: &mut Array<'_>) {
    if let Some(other) = &tool.other {
        if c.same {
            array.element().extend_from_slice(other.as_str().as_bytes());
        } else {
            c.dropped(tool.at, "tools", UNKNOWN_TOOL);
        }
        return;
    }
    let mut written = array.object();
    written.string("name", names.name(&tool.name));
    if let Some(description) = &tool.description {
        written.string("description", description);
    }
    written.raw("input_schema", tool.schema.as_ref().map_or(NO_INPUT, |schema| schema.as_str()));
    if let Some(strict) = tool.strict {
        written.bool("strict", strict);
    }
    if let Some(cache) = &tool.cache {
        c.cache(&mut written, cache, tool.at, &CACHE);
    }
    if c.same {
        written.own(&tool.own, "");
    }
}

/// What is needed to write blocks.
struct Blocks<'b, 'c, 'a> {
    c: &'b Conversion<'c, 'a>,
    names: &'b Names<'b>,
    /// The part that the answer goes on from, if the conversation ends with the model.
    prefill: Option<&'b Part<'a>>,
}

impl<'a> Blocks<'_, '_, 'a> {
    fn system(&self, system: &[Message<'a>], object: &mut Object<'_>) -> Result<()> {
        let parts: Vec<_> = system.iter().flat_map(|message| &message.content).collect();
        for message in system.iter().filter(|message| message.name.is_some()) {
            self.c.dropped(message.at, "name", "Anthropic knows no names of speakers");
        }
        self.content("system", &parts, "system", object)
    }

    /// Writes a string where it is one plain text, else a list of blocks; nothing where there are none.
    fn content(
        &self,
        name: &str,
        parts: &[&Part<'a>],
        role: &'static str,
        object: &mut Object<'_>,
    ) -> Result<()> {
        if let [part] = parts {
            let text = match &part.content {
                Content::Text(text) => &**text,
                Content::Json(json) => json.as_str(),
                _ => "",
            };
            let was_string = !self.c.same || self.c.first_byte(part.at) == Some(b'"');
            if !text.trim().is_empty() && part.cache.is_none() && was_string {
                if let Content::Json(_) = &part.content {
                    self.c.approximated(part.at, "json", "JSON is sent as text");
                }
                object.string(name, text);
                return Ok(());
            }
        }
        let mut written = Vec::new();
        let mut array = Array::new(&mut written);
        let mut any = false;
        for part in parts {
            any |= array.maybe(|out| self.write(part, role, out))?;
        }
        drop(array);
        if any {
            object.name(name).append(&mut written);
        }
        Ok(())
    }

    fn write(&self, part: &Part<'a>, role: &'static str, out: &mut Vec<u8>) -> Result<bool> {
        if let Content::Other(other) = &part.content {
            if self.c.same {
                out.extend_from_slice(other.as_str().as_bytes());
            } else {
                self.c.dropped(part.at, "content", "only the source's format knows this part");
            }
            return Ok(self.c.same);
        }
        let before = out.len();
        let mut object = Object::new(out);
        let written = self.block(part, role, &mut object)?;
        if let (true, Some(cache)) = (written, &part.cache) {
            self.c.cache(&mut object, cache, part.at, &CACHE);
        }
        if self.c.same {
            object.own(&part.own, "");
        }
        drop(object);
        if !written {
            out.truncate(before);
        }
        Ok(written)
    }

    fn block(&self, part: &Part<'a>, role: &'static str, object: &mut Object<'_>) -> Result<bool> {
        let c = self.c;
        match &part.content {
            Content::Text(text) => return Ok(self.text(part, text, object)),
            Content::Json(json) => {
                c.approximated(part.at, "json", "JSON is sent as text");
                return Ok(self.text(part, json.as_str(), object));
            }
            Content::Refusal(text) => {
                c.approximated(part.at, "refusal", "Anthropic has no refusals: sent as text");
                return Ok(self.text(part, text, object));
            }
            Content::Reasoning { text, signature } => {
                if signature.is_none() && !c.same {
                    c.dropped(part.at, "reasoning", "without its signature the model does not take it back");
                    return Ok(false);
                }
                object.string("type", "thinking");
                object.string("thinking", text);
                if let Some(signature) = signature {
                    object.string("signature", signature);
                }
            }
            Content::Redacted(data) => {
                object.string("type", "redacted_thinking");
                object.string("data", data);
            }
            Content::ToolCall { id, name, input } => {
                object.string("type", "tool_use");
                object.string("id", self.names.id(part, id));
                object.string("name", self.names.name(name));
                object.raw("input", c.input(part, input)?);
            }
            Content::ToolResult { id, content, is_error } => {
                object.string("type", "tool_result");
                object.string("tool_use_id", self.names.id(part, id));
                let content: Vec<_> = content.iter().collect();
                self.content("content", &content, "user", object)?;
                if let Some(is_error) = is_error.filter(|is_error| *is_error || c.same) {
                    object.bool("is_error", is_error);
                }
            }
            _ => return Ok(self.medium(part, role, object)),
        }
        Ok(true)
    }

    fn text(&self, part: &Part<'a>, text: &str, object: &mut Object<'_>) -> bool {
        let c = self.c;
        if text.trim().is_empty() && !c.same {
            c.dropped(part.at, "content", "Anthropic takes no blank text");
            return false;
        }
        object.string("type", "text");
        let is_prefill = self.prefill.is_some_and(|prefill| core::ptr::eq(prefill, part)) && !c.same;
        let trimmed = text.trim_end();
        if is_prefill && trimmed.len() < text.len() {
            c.approximated(part.at, "content", "a begun answer must not end in white space");
            object.string("text", trimmed);
        } else {
            object.string("text", text);
        }
        true
    }

    fn medium(&self, part: &Part<'a>, role: &'static str, object: &mut Object<'_>) -> bool {
        let c = self.c;
        if role != "user" && !c.same {
            c.dropped(part.at, "content", "Anthropic takes media in messages of the user only");
            return false;
        }
        match &part.content {
            Content::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    c.dropped(part.at, "detail", "Anthropic looks at images in one way");
                }
                self.source("image", part, source, object)
            }
            Content::Document { source, name } => {
                let written = self.source("document", part, source, object);
                if let (true, Some(name)) = (written, name) {
                    object.string("title", name);
                }
                written
            }
            _ => {
                c.dropped(part.at, "content", "Anthropic takes images and documents only");
                false
            }
        }
    }

    fn source(&self, kind: &str, part: &Part<'a>, source: &Source<'_>, object: &mut Object<'_>) -> bool {
        let c = self.c;
        let fits = |media_type: &str| match kind {
            "image" => {
                matches!(media_type, "image/jpeg" | "image/jpg" | "image/png" | "image/gif" | "image/webp")
            }
            _ => media_type == "application/pdf",
        };
        let text;
        let (form, members): (&str, [(&str, &str); 2]) = match source {
            Source::Base64 { media_type, data } if fits(media_type) || c.same => {
                // A common mistake, which Anthropic does not take.
                let jpeg = if media_type == "image/jpg" && !c.same { "image/jpeg" } else { media_type };
                ("base64", [("media_type", jpeg), ("data", data)])
            }
            Source::Base64 { media_type, data } if kind == "document" && media_type.starts_with("text/") => {
                let Some(decoded) = media::decoded(data) else {
                    c.dropped(part.at, "source", "the document is not text in UTF-8");
                    return false;
                };
                text = decoded;
                ("text", [("media_type", "text/plain"), ("data", &text)])
            }
            Source::Base64 { media_type, .. } => {
                let why = format!("Anthropic takes no {kind} of type {media_type:?}");
                c.dropped(part.at, "source", why);
                return false;
            }
            Source::Text(text) if kind == "document" || c.same => {
                ("text", [("media_type", "text/plain"), ("data", text)])
            }
            Source::Url(url) if c.same || url.starts_with("http") => ("url", [("url", url), ("", "")]),
            Source::File(id) if c.same => ("file", [("file_id", id), ("", "")]),
            _ => {
                c.dropped(part.at, "source", "Anthropic cannot fetch it: the caller has to");
                return false;
            }
        };
        object.string("type", kind);
        let mut written = object.object("source");
        written.string("type", form);
        for (name, value) in members.iter().filter(|(name, _)| !name.is_empty()) {
            written.string(name, value);
        }
        if c.same {
            written.own(&part.own, "source");
        }
        true
    }
}
