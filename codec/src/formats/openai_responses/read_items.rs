//! Reads the input: a text, or a list of items.
//!
//! Each item is a message of its own, so that the fields that only Responses has stay with it.
//!
//! | on the wire | canonical |
//! |---|---|
//! | `message`, also without `type` | a message of its role |
//! | `reasoning` | a message of the assistant with the summaries and texts; `encrypted_content` is the signature of the last |
//! | `function_call`, `custom_tool_call` | a message of the assistant with the call, by `call_id` |
//! | `function_call_output`, `custom_tool_call_output` | a message of a tool with the result |
//! | any other item | a message of the assistant with an unknown part |

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::media;
use crate::formats::request_reader::{Result, Source, expected, offset_of, role, wrong_kind};
use crate::json::Kind;
use crate::model;
use crate::model::{Content, Fields, Message, Part, Role, Text};

/// Reads the input.
pub(super) fn input<'a>(source: &mut Source<'a>) -> Result<Vec<Message<'a>>> {
    let (kind, start) = source.kind()?;
    match kind {
        Kind::String => {
            let offset = offset_of(start);
            let part = Part { offset, ..Part::new(Content::Text(source.text()?)) };
            Ok(Vec::from([Message { offset, ..Message::new(Role::User, part) }]))
        }
        Kind::Array => {
            let mut items = Vec::new();
            source.list(&mut items, item)?;
            Ok(items)
        }
        _ => Err(wrong_kind(start, "input", "a string or an array", kind)),
    }
}

/// The fields that an item may have, whatever its type.
#[derive(Default)]
struct Item<'a> {
    kind: Option<Cow<'a, str>>,
    role: Option<Cow<'a, str>>,
    content: Option<Vec<Part<'a>>>,
    summary: Option<Vec<Part<'a>>>,
    encrypted: Option<Cow<'a, str>>,
    call_id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    arguments: Option<Text<'a>>,
    input: Option<Text<'a>>,
    output: Option<Vec<Part<'a>>>,
    has_id: bool,
}

fn item<'a>(source: &mut Source<'a>) -> Result<Message<'a>> {
    let offset = source.expect("item", Kind::Object)?;
    let (_, start) = source.kind()?;
    let mut is_typed = false;
    let known = source.probe(|source| {
        let (mut item, mut extension_fields, mut read) = (Item::default(), Fields::new(), 0u32);
        source.object(&mut extension_fields, "", |source, field| {
            let is_read = item.read(source, field)?;
            read += u32::from(is_read);
            Ok(is_read)
        })?;
        is_typed = item.kind.is_some() || item.role.is_some() || item.has_id;
        // An item with fields of another type is kept unchanged, because they would be lost.
        let known = item.meaning(offset).filter(|(_, used)| *used == read);
        Ok(known.map(|(message, _)| Message { extension_fields, ..message }))
    })?;
    if !is_typed {
        return Err(expected(start, "type of an item", "a string", "nothing"));
    }
    Ok(match known {
        Some(message) => Message { offset, ..message },
        None => {
            let part = Part { offset, ..Part::new(Content::Other(source.raw()?)) };
            Message { offset, ..Message::new(Role::Assistant, part) }
        }
    })
}

impl<'a> Item<'a> {
    fn read(&mut self, source: &mut Source<'a>, field: &str) -> Result<bool> {
        match field {
            "type" => source.value(&mut self.kind),
            "role" => source.value(&mut self.role),
            "content" => content(source, &mut self.content),
            "summary" => content(source, &mut self.summary),
            "output" => content(source, &mut self.output),
            "encrypted_content" => source.value(&mut self.encrypted),
            "call_id" => source.value(&mut self.call_id),
            "name" => source.value(&mut self.name),
            "arguments" => source.value(&mut self.arguments),
            "input" => source.value(&mut self.input),
            "id" => {
                self.has_id = true;
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// The message that the item is, and the number of fields that it uses.
    fn meaning(self, offset: model::Offset) -> Option<(Message<'a>, u32)> {
        let of = |role, content, used| {
            let part = Part { offset, ..Part::new(content) };
            Some((Message::new(role, part), used))
        };
        match (self.kind.as_deref(), self.role) {
            (kind @ (Some("message") | None), Some(name)) => {
                let content = self.content?;
                let role = if name == "developer" { Role::Developer } else { role(name) };
                let is_message = content.iter().all(|part| !is_reasoning(part));
                is_message.then(|| (Message::new(role, content), 1 + u32::from(kind.is_some()) + 1))
            }
            (Some("reasoning"), None) => {
                let used = [self.summary.is_some(), self.content.is_some(), self.encrypted.is_some()];
                let mut content = self.summary.unwrap_or_default();
                content.extend(self.content.into_iter().flatten());
                let are_texts = content.iter().all(is_reasoning);
                sign(&mut content, self.encrypted, offset);
                let used = 1 + used.into_iter().map(u32::from).sum::<u32>();
                let is_known = are_texts && !content.is_empty();
                is_known.then(|| (Message::new(Role::Assistant, content), used))
            }
            (Some("function_call"), None) => {
                let (id, name, input) = (Some(self.call_id?), self.name?, self.arguments?);
                of(Role::Assistant, Content::ToolCall { id, name, input, custom: false }, 4)
            }
            (Some("custom_tool_call"), None) => {
                let (id, name, input) = (Some(self.call_id?), self.name?, self.input?);
                of(Role::Assistant, Content::ToolCall { id, name, input, custom: true }, 4)
            }
            (Some("function_call_output" | "custom_tool_call_output"), None) => {
                let (id, content) = (Some(self.call_id?), self.output?);
                of(Role::Tool, Content::ToolResult { id, content, is_error: None }, 3)
            }
            _ => None,
        }
    }
}

fn is_reasoning(part: &Part<'_>) -> bool {
    matches!(part.content, Content::Reasoning { .. })
}

/// Makes encrypted reasoning the signature of the last text, or a part of its own if there is none. The offset of that part is that
/// of the item, which has both.
fn sign<'a>(parts: &mut Vec<Part<'a>>, encrypted: Option<Cow<'a, str>>, item: model::Offset) {
    let Some(encrypted) = encrypted else { return };
    if parts.is_empty() {
        parts.push(Part::new(Content::Reasoning { text: Text::default(), signature: None }));
    }
    if let Some(Part { content: Content::Reasoning { signature, .. }, offset, .. }) = parts.last_mut() {
        (*signature, *offset) = (Some(encrypted), item);
    }
}

/// Reads a text, or a list of parts, of any item. Anything else is left unread.
fn content<'a>(source: &mut Source<'a>, slot: &mut Option<Vec<Part<'a>>>) -> Result<bool> {
    let (kind, start) = source.kind()?;
    let parts = match kind {
        Kind::String => {
            let offset = offset_of(start);
            Vec::from([Part { offset, ..Part::new(Content::Text(source.text()?)) }])
        }
        Kind::Array => {
            let mut parts = Vec::new();
            source.array(|source| {
                parts.push(source.part_or_other("content part", part)?);
                Ok(())
            })?;
            parts
        }
        _ => return Ok(false),
    };
    *slot = Some(parts);
    Ok(true)
}

/// The fields that a part may have, whatever its type.
#[derive(Default)]
struct PartFields<'a> {
    text: Option<Text<'a>>,
    refusal: Option<Text<'a>>,
    /// A URL of an image, or one or the bytes of a file.
    url: Option<Text<'a>>,
    file_data: Option<Text<'a>>,
    file_id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    detail: Option<Cow<'a, str>>,
}

/// Reads a part of a kind that has a name in the model.
fn part<'a>(source: &mut Source<'a>) -> Result<Option<Part<'a>>> {
    let (mut kind, mut cache, mut extension_fields) = (None::<Cow<'a, str>>, None, Fields::new());
    let (mut fields, mut read) = (PartFields::default(), 0u32);
    source.object(&mut extension_fields, "", |source, field| {
        let is_read = match field {
            "type" => return source.value(&mut kind),
            "prompt_cache_breakpoint" => return source.value(&mut cache),
            // What the service sends with every text.
            "annotations" | "logprobs" => return source.empty_list(),
            "text" => source.value(&mut fields.text)?,
            "refusal" => source.value(&mut fields.refusal)?,
            "image_url" | "file_url" => source.value(&mut fields.url)?,
            "file_data" => source.value(&mut fields.file_data)?,
            "file_id" => source.value(&mut fields.file_id)?,
            "filename" => source.value(&mut fields.name)?,
            "detail" => source.value(&mut fields.detail)?,
            _ => false,
        };
        read += u32::from(is_read);
        Ok(is_read)
    })?;
    let Some(kind) = kind else { return Ok(None) };
    let known = fields.meaning(&kind).filter(|(_, used)| *used == read);
    Ok(known.map(|(content, _)| Part { cache, extension_fields, ..Part::new(content) }))
}

impl<'a> PartFields<'a> {
    /// The content of a part, and the number of fields that it uses.
    fn meaning(self, kind: &str) -> Option<(Content<'a>, u32)> {
        Some(match kind {
            "input_text" | "output_text" | "text" => (Content::Text(self.text?), 1),
            "summary_text" | "reasoning_text" => {
                (Content::Reasoning { text: self.text?, signature: None }, 1)
            }
            "refusal" => (Content::Refusal(self.refusal?), 1),
            "input_image" => {
                let used = 1 + u32::from(self.detail.is_some());
                let source = match (self.url, self.file_id) {
                    (Some(url), None) => media::of_url(url),
                    (None, id) => model::Source::File(id?),
                    _ => return None,
                };
                (Content::Image { source, detail: self.detail }, used)
            }
            "input_file" if self.detail.is_none() => {
                let used = 1 + u32::from(self.name.is_some());
                let source = match (self.file_data, self.url, self.file_id) {
                    (Some(data), None, None) => media::of_file_data(data),
                    (None, Some(url), None) => media::of_url(url),
                    (None, None, id) => model::Source::File(id?),
                    _ => return None,
                };
                (Content::Document { source, name: self.name }, used)
            }
            _ => return None,
        })
    }
}
