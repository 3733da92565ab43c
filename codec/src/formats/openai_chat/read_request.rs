//! Reads a chat completion request.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::chat_parts as parts;
use crate::formats::openai::tool_choice;
use crate::formats::openai_chat::parameters::TABLE;
use crate::formats::parameters::split_extra_parameters;
use crate::formats::request_reader::{Result, Source, expected};
use crate::formats::thinking::effort;
use crate::json::Kind;
use crate::model::{
    Content, Fields, Json, Message, Offset, Param, Part, Request, ResponseFormat, Role, Text,
};

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    let (_, start) = source.kind()?;
    let mut request = Request::default();
    let mut fields = Fields::new();
    let mut messages = None;
    let mut max_tokens = None;
    source.object(&mut fields, "", |source, name| {
        Ok(match name {
            "messages" => {
                source.expect("messages", Kind::Array)?;
                let mut read = Vec::new();
                source.list(&mut read, message)?;
                messages = Some(read);
                true
            }
            "max_tokens" => source.param(&mut max_tokens)?,
            "tools" | "functions" => parts::tools(source, &mut request.tools)?,
            "tool_choice" | "function_call" => tool_choice(source, &mut request)?,
            "response_format" => response_format(source, &mut request)?,
            "reasoning_effort" => effort(source, &mut request.reasoning)?,
            _ => TABLE.read(source, name, &mut request)?,
        })
    })?;
    let Some(messages) = messages else { return Err(expected(start, "messages", "an array", "nothing")) };
    request.messages = messages;
    match (request.max_tokens, max_tokens) {
        (None, Some(_)) => request.max_tokens = max_tokens,
        // The newer name counts.
        (Some(_), Some(Param { value, offset })) => {
            let value = Json(Cow::Owned(alloc::format!("{value}")));
            fields.push((Cow::Borrowed("max_tokens"), Param { value, offset }));
        }
        _ => {}
    }
    request.extra_parameters = split_extra_parameters(&mut fields, &TABLE);
    request.extension_fields.append(&mut fields);
    Ok(request)
}

/// Fields of assistants and tools only.
const OF_ROLES: [&str; 7] = [
    "tool_call_id",
    "tool_calls",
    "function_call",
    "reasoning_content",
    "reasoning",
    "thinking_blocks",
    "refusal",
];

/// Their values, until the role of the message is known. Most messages have none.
#[derive(Default)]
struct OfRole<'a> {
    id: Option<Cow<'a, str>>,
    thoughts: Option<Param<Text<'a>>>,
    /// LiteLLM's `thinking_blocks`, which have the signatures that the same text in `reasoning_content` lacks.
    blocks: Vec<Part<'a>>,
    refusal: Option<Param<Text<'a>>>,
    calls: Vec<Part<'a>>,
    members: [Option<(&'a str, Offset)>; 7],
}

impl<'a> OfRole<'a> {
    fn read(&mut self, source: &mut Source<'a>, field: &str) -> Result<bool> {
        let offset = source.offset()?;
        let taken = match field {
            "tool_call_id" => source.value(&mut self.id)?,
            "reasoning_content" | "reasoning" if self.thoughts.is_none() => {
                source.param(&mut self.thoughts)?
            }
            "thinking_blocks" => thinking_blocks(source, &mut self.blocks)?,
            "refusal" => source.param(&mut self.refusal)?,
            "tool_calls" => parts::tool_calls(source, &mut self.calls)?,
            "function_call" => {
                let (mut call, mut extra) = (None, Fields::new());
                let taken = parts::function(source, &mut extra, "function_call", &mut call)?;
                self.calls.extend(call.map(|content| Part {
                    extension_fields: extra,
                    offset,
                    ..Part::new(content)
                }));
                taken
            }
            _ => false,
        };
        if let (true, Some(json)) = (taken, source.since(offset)) {
            if let Some(index) = OF_ROLES.iter().position(|name| *name == field) {
                self.members[index] = Some((json, offset));
            }
        }
        Ok(taken)
    }

    /// Puts back the fields that stay as they are.
    fn put_back(&self, extension_fields: &mut Fields<'a>, stays: impl Fn(&str) -> bool) {
        let all = OF_ROLES.into_iter().zip(self.members).filter(|(name, _)| stays(name));
        extension_fields.extend(all.filter_map(|(name, noted)| {
            let (json, offset) = noted?;
            Some((Cow::Borrowed(name), Param { value: Json(Cow::Borrowed(json)), offset }))
        }));
    }

    /// Whether the blocks have another text than `reasoning_content`, so that this is not replaced by them.
    fn differ(&self) -> bool {
        let texts = self.blocks.iter().map(|part| match &part.content {
            Content::Reasoning { text, .. } => &**text,
            _ => "",
        });
        !self.blocks.is_empty()
            && self.thoughts.as_ref().is_some_and(|thoughts| *thoughts.value != *texts.collect::<String>())
    }

    /// The parts of an assistant message: reasoning, text, refusal, calls of tools.
    fn parts(self, mut content: Vec<Part<'a>>) -> Vec<Part<'a>> {
        let thoughts = self.thoughts.filter(|_| self.blocks.is_empty());
        if content.is_empty() && thoughts.is_none() && self.blocks.is_empty() && self.refusal.is_none() {
            return self.calls;
        }
        let thoughts = thoughts.map(|Param { value, offset }| Part {
            offset,
            ..Part::new(Content::Reasoning { text: value, signature: None })
        });
        let count = usize::from(thoughts.is_some()) + self.blocks.len();
        content.reserve_exact(count + 1 + self.calls.len());
        content.splice(..0, thoughts.into_iter().chain(self.blocks));
        let refusal = self.refusal.map(|Param { value, offset }| (offset, Content::Refusal(value)));
        content.extend(refusal.map(|(offset, refusal)| Part { offset, ..Part::new(refusal) }));
        content.extend(self.calls);
        content
    }
}

/// Reads a list of thinking. A list with anything else in it is left alone.
fn thinking_blocks<'a>(source: &mut Source<'a>, blocks: &mut Vec<Part<'a>>) -> Result<bool> {
    let offset = source.offset()?;
    let read = source.probe(|source| {
        let mut read = Vec::new();
        if !matches!(parts::content(source, &mut read), Ok(true)) {
            return Ok(None);
        }
        let is_block = |part: &Part<'_>| {
            let is_thinking = matches!(part.content, Content::Reasoning { .. } | Content::Redacted(_));
            is_thinking && part.extension_fields.is_empty() && part.cache.is_none()
        };
        Ok(read.iter().all(is_block).then_some(read))
    })?;
    // The offset is that of the list: its elements are no parts of the content.
    let read = read.map(|read| read.into_iter().map(|part| Part { offset, ..part }).collect());
    Ok(read.map(|read| *blocks = read).is_some())
}

fn message<'a>(source: &mut Source<'a>) -> Result<Message<'a>> {
    let offset = source.expect("message", Kind::Object)?;
    let (_, start) = source.kind()?;
    let (mut role, mut name, mut content, mut content_offset) =
        (None::<Cow<'a, str>>, None, Vec::new(), offset);
    // Fields of one role have no meaning in a message of another.
    let (mut extension_fields, mut of_role) = (Fields::new(), None::<OfRole<'a>>);
    source.object(&mut extension_fields, "", |source, field| match field {
        "role" => source.value(&mut role),
        "name" => source.value(&mut name),
        "content" => {
            content_offset = source.offset()?;
            parts::content(source, &mut content)
        }
        field if OF_ROLES.contains(&field) => of_role.get_or_insert_default().read(source, field),
        _ => Ok(false),
    })?;
    let Some(role) = role else { return Err(expected(start, "role of a message", "a string", "nothing")) };
    let role = match &*role {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => Role::Other(role),
    };
    if let Some(said) = &of_role {
        said.put_back(&mut extension_fields, |name| match role {
            Role::Tool => name != "tool_call_id",
            Role::Assistant => name == "tool_call_id" || (name.starts_with("reasoning") && said.differ()),
            _ => true,
        });
    }
    let content = match (&role, of_role) {
        (Role::Tool, said) => {
            let id = said.and_then(|said| said.id);
            let result = Content::ToolResult { id, content, is_error: None };
            Vec::from([Part { offset: content_offset, ..Part::new(result) }])
        }
        (Role::Assistant, Some(said)) => said.parts(content),
        _ => content,
    };
    Ok(Message { role, content, name, extension_fields, offset })
}

fn response_format<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    if source.kind()?.0 != Kind::Object {
        return Ok(false);
    }
    let offset = source.offset()?;
    let mut extension_fields = Vec::new();
    let shape = source.probe(|source| {
        let mut kind = None::<Cow<'a, str>>;
        let (mut name, mut description, mut schema, mut strict) = (None, None, None, None);
        let mut extra = Fields::new();
        let mut has_schema = false;
        source.object(&mut extension_fields, "response_format", |source, field| match field {
            "type" => source.value(&mut kind),
            "json_schema" => {
                has_schema = true;
                source.nested(&mut extra, "response_format/json_schema", |source, field| match field {
                    "name" => source.value(&mut name),
                    "description" => source.value(&mut description),
                    "schema" => source.value(&mut schema),
                    "strict" => source.value(&mut strict),
                    _ => Ok(false),
                })
            }
            _ => Ok(false),
        })?;
        extension_fields.append(&mut extra);
        Ok(match (kind.as_deref(), has_schema) {
            (Some("text"), false) => Some(ResponseFormat::Text),
            (Some("json_object"), false) => Some(ResponseFormat::JsonObject),
            (Some("json_schema"), true) => {
                Some(ResponseFormat::JsonSchema { name, description, schema, strict })
            }
            _ => None,
        })
    })?;
    let value = match shape {
        Some(shape) => {
            request.extension_fields.append(&mut extension_fields);
            shape
        }
        None => ResponseFormat::Other(source.raw()?),
    };
    request.response_format = Some(Param { value, offset });
    Ok(true)
}
