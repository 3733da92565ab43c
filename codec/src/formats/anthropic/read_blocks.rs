//! Reads content blocks.
//!
//! | on the wire | canonical |
//! |---|---|
//! | `text`, `image`, `document`, `thinking`, `redacted_thinking`, `tool_use`, `tool_result` | the same |
//! | `cache_control` | a property of its block |
//! | `citations` of a text, `context` of a document | Anthropic's own |
//! | `search_result`, server tools, … | other, as it is |

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::request_reader::{Result, Source, offset_of, wrong_kind};
use crate::json::Kind;
use crate::model;
use crate::model::Json;
use crate::model::{Content, Fields, Part, Text};

/// Reads `content`: a string or a list of blocks.
pub(crate) fn content<'a>(source: &mut Source<'a>, parts: &mut Vec<Part<'a>>) -> Result<bool> {
    let (kind, start) = source.kind()?;
    let offset = offset_of(start);
    parts.clear();
    match kind {
        Kind::String => *parts = Vec::from([Part { offset, ..Part::new(Content::Text(source.text()?)) }]),
        Kind::Array => source.array(|source| {
            parts.push(source.part_or_other("content block", block)?);
            Ok(())
        })?,
        Kind::Null => return Ok(false),
        _ => return Err(wrong_kind(start, "content", "a string or an array", kind)),
    }
    Ok(true)
}

/// The fields that a block may have, whatever its type.
#[derive(Default)]
struct Block<'a> {
    text: Option<Text<'a>>,
    thinking: Option<Text<'a>>,
    signature: Option<Cow<'a, str>>,
    data: Option<Cow<'a, str>>,
    source: Option<model::Source<'a>>,
    title: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    input: Option<Json<'a>>,
    tool_use_id: Option<Cow<'a, str>>,
    content: Option<Vec<Part<'a>>>,
    is_error: Option<bool>,
}

fn block<'a>(source: &mut Source<'a>) -> Result<Option<Part<'a>>> {
    let (mut kind, mut cache, mut extension_fields) = (None::<Cow<'a, str>>, None, Fields::new());
    let (mut block, mut known, mut source_own) = (Block::default(), 0u32, Fields::new());
    source.nested(&mut extension_fields, "", |source, field| {
        let taken = match field {
            "type" => return source.value(&mut kind),
            "cache_control" => return source.value(&mut cache),
            "text" => source.value(&mut block.text)?,
            "thinking" => source.value(&mut block.thinking)?,
            "signature" => source.value(&mut block.signature)?,
            "data" => source.value(&mut block.data)?,
            "source" => {
                block.source = source.probe(|source| media(source, &mut source_own))?;
                block.source.is_some()
            }
            "title" => source.value(&mut block.title)?,
            "id" => source.value(&mut block.id)?,
            "name" => source.value(&mut block.name)?,
            "input" => source.value(&mut block.input)?,
            "tool_use_id" => source.value(&mut block.tool_use_id)?,
            "content" => {
                let mut parts = Vec::new();
                let taken = content(source, &mut parts)?;
                block.content = taken.then_some(parts);
                taken
            }
            "is_error" => source.value(&mut block.is_error)?,
            _ => false,
        };
        known += u32::from(taken);
        Ok(taken)
    })?;
    extension_fields.append(&mut source_own);
    let Some(kind) = kind else { return Ok(None) };
    // A block of one type with fields of another is kept unchanged, because the fields would be lost.
    let Some((content, used)) = meaning(&kind, block) else { return Ok(None) };
    Ok((used == known).then_some(Part { cache, extension_fields, ..Part::new(content) }))
}

/// The content of a block, and how many of its fields it uses.
fn meaning<'a>(kind: &str, block: Block<'a>) -> Option<(Content<'a>, u32)> {
    Some(match kind {
        "text" => (Content::Text(block.text?), 1),
        "thinking" => {
            let used = 1 + u32::from(block.signature.is_some());
            (Content::Reasoning { text: block.thinking?, signature: block.signature }, used)
        }
        "redacted_thinking" => (Content::Redacted(block.data?), 1),
        "image" => (Content::Image { source: block.source?, detail: None }, 1),
        "document" => {
            let used = 1 + u32::from(block.title.is_some());
            (Content::Document { source: block.source?, name: block.title }, used)
        }
        "tool_use" => {
            let call = Content::ToolCall {
                id: Some(block.id?),
                name: block.name?,
                input: block.input?.0.into(),
                custom: false,
            };
            (call, 3)
        }
        "tool_result" => {
            let used = 1 + u32::from(block.content.is_some()) + u32::from(block.is_error.is_some());
            let content = block.content.unwrap_or_default();
            let id = Some(block.tool_use_id?);
            (Content::ToolResult { id, content, is_error: block.is_error }, used)
        }
        _ => return None,
    })
}

/// Reads the source of an image or a document.
fn media<'a>(
    source: &mut Source<'a>,
    extension_fields: &mut Fields<'a>,
) -> Result<Option<model::Source<'a>>> {
    let mut kind = None::<Cow<'a, str>>;
    let (mut media_type, mut data, mut url, mut file) = (None::<Cow<'a, str>>, None, None, None);
    source.nested(extension_fields, "source", |source, field| match field {
        "type" => source.value(&mut kind),
        "media_type" => source.value(&mut media_type),
        "data" => source.value(&mut data),
        "url" => source.value(&mut url),
        "file_id" => source.value(&mut file),
        _ => Ok(false),
    })?;
    Ok(match (kind.as_deref(), media_type, data, url, file) {
        (Some("base64"), Some(media_type), Some(data), None, None) => {
            Some(model::Source::Base64 { media_type, data })
        }
        (Some("text"), Some(media_type), Some(text), None, None) if media_type == "text/plain" => {
            Some(model::Source::Text(text))
        }
        (Some("url"), None, None, Some(url), None) => Some(model::Source::Url(url)),
        (Some("file"), None, None, None, Some(file)) => Some(model::Source::File(file)),
        _ => None,
    })
}
