//! Reads content blocks.
//!
//! | on the wire | canonical |
//! |---|---|
//! | `text`, `image`, `document`, `video`, `audio`, `toolUse`, `toolResult` | the same |
//! | `reasoningContent` | reasoning, or redacted reasoning |
//! | `cachePoint` | a property of the block before it |
//! | `citationsContent` with one text | text; the citations are Converse's own |
//! | `json` | JSON, in the result of a tool |
//! | `guardContent` with a text | text; that a guardrail checks it is Converse's own |
//! | `searchResult`, `toolAddition`, … | other, as it is |

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::media;
use crate::formats::request_reader::{Result, Source};
use crate::json::Kind;
use crate::model;
use crate::model::Json;
use crate::model::{Content, Fields, Part, Text};

/// Reads `content`, a list of blocks.
pub(crate) fn content<'a>(source: &mut Source<'a>, parts: &mut Vec<Part<'a>>) -> Result<bool> {
    source.expect("content", Kind::Array)?;
    parts.clear();
    list(source, parts)?;
    Ok(true)
}

/// Reads a list of blocks.
pub(crate) fn list<'a>(source: &mut Source<'a>, parts: &mut Vec<Part<'a>>) -> Result<()> {
    source.array(|source| {
        let offset = source.expect("content block", Kind::Object)?;
        let mut cache = None;
        let read = source.probe(|source| block(source, &mut cache))?;
        let other = match (read, cache) {
            (Some(Some(part)), _) => {
                parts.push(Part { offset, ..part });
                return Ok(());
            }
            (Some(None), Some(cache)) => match attach_cache(parts, cache) {
                None => return Ok(()),
                Some(_) => source.since(offset).map(|text| Json(Cow::Borrowed(text))),
            },
            _ => Some(source.raw()?),
        };
        parts.extend(other.map(|other| Part { offset, ..Part::new(Content::Other(other)) }));
        Ok(())
    })
}

/// Attaches a cache point to the part before it.
fn attach_cache<'a>(parts: &mut [Part<'a>], cache: Json<'a>) -> Option<Json<'a>> {
    match parts.last_mut() {
        Some(part) if part.cache.is_none() && !matches!(part.content, Content::Other(_)) => {
            part.cache = Some(cache);
            None
        }
        _ => Some(cache),
    }
}

/// Reads one block, which has exactly one field. `Some(None)` is a cache point.
#[allow(clippy::option_option)]
fn block<'a>(source: &mut Source<'a>, cache: &mut Option<Json<'a>>) -> Result<Option<Option<Part<'a>>>> {
    let (mut rest, mut extension_fields, mut content, mut members) = (Fields::new(), Fields::new(), None, 0);
    source.object(&mut rest, "", |source, name| {
        members += 1;
        content = match name {
            "text" => {
                let mut text = None;
                source.value(&mut text)?;
                text.map(Content::Text)
            }
            "json" => Some(Content::Json(source.raw()?)),
            "image" => medium(source, &mut extension_fields, "image", |source| Content::Image {
                source,
                detail: None,
            })?,
            "audio" => medium(source, &mut extension_fields, "audio", |source| Content::Audio { source })?,
            "video" => medium(source, &mut extension_fields, "video", |source| Content::Video { source })?,
            "document" => document(source, &mut extension_fields)?,
            "toolUse" => tool_use(source, &mut extension_fields)?,
            "toolResult" => tool_result(source, &mut extension_fields)?,
            "reasoningContent" => reasoning(source, &mut extension_fields)?,
            "citationsContent" => cited(source, &mut extension_fields)?,
            "guardContent" => guarded(source, &mut extension_fields)?,
            "cachePoint" => return source.value(cache),
            _ => None,
        };
        Ok(content.is_some())
    })?;
    if members != 1 || !rest.is_empty() {
        return Ok(None);
    }
    Ok(match content {
        Some(content) => Some(Some(Part { extension_fields, ..Part::new(content) })),
        None => Some(None),
    })
}

fn medium<'a>(
    source: &mut Source<'a>,
    extension_fields: &mut Fields<'a>,
    path: &'static str,
    content: impl FnOnce(model::Source<'a>) -> Content<'a>,
) -> Result<Option<Content<'a>>> {
    let mut unused = None;
    Ok(described(source, extension_fields, path, &mut unused)?.map(content))
}

fn document<'a>(source: &mut Source<'a>, extension_fields: &mut Fields<'a>) -> Result<Option<Content<'a>>> {
    let mut name = None;
    let source = described(source, extension_fields, "document", &mut name)?;
    Ok(source.map(|source| Content::Document { source, name }))
}

/// Reads what images, documents, audio and video have in common: a format, and a source.
fn described<'a>(
    source: &mut Source<'a>,
    extension_fields: &mut Fields<'a>,
    path: &'static str,
    name: &mut Option<Cow<'a, str>>,
) -> Result<Option<model::Source<'a>>> {
    source.probe(|source| {
        let mut format: Option<model::Param<Cow<'a, str>>> = None;
        let (mut bytes, mut uri, mut text) = (None, None, None);
        let (mut extra, mut deeper) = (Fields::new(), Fields::new());
        source.nested(extension_fields, path, |source, field| match field {
            "format" => source.param(&mut format),
            "name" if path == "document" => source.value(name),
            "source" => source.nested(&mut extra, &paths(path, "source"), |source, field| match field {
                "bytes" => source.value(&mut bytes),
                "text" => source.value(&mut text),
                "s3Location" => {
                    source.nested(&mut deeper, &paths(path, "source/s3Location"), |source, field| {
                        if field == "uri" { source.value(&mut uri) } else { Ok(false) }
                    })
                }
                _ => Ok(false),
            }),
            _ => Ok(false),
        })?;
        extension_fields.append(&mut extra);
        extension_fields.append(&mut deeper);
        let short = format.as_ref().map(|format| &*format.value);
        let found = match (bytes, uri, text) {
            (Some(data), None, None) => {
                let media_type = short.map_or(Cow::Borrowed(""), |short| media::media_type(path, short));
                format = format.filter(|format| media::short_name(&media_type) != &*format.value);
                model::Source::Base64 { media_type, data }
            }
            (None, Some(uri), None) => model::Source::Url(uri),
            (None, None, Some(text)) => model::Source::Text(text),
            _ => return Ok(None),
        };
        // Neither a URL nor a text has a format, and some formats share a media type.
        extension_fields.extend(format.map(|format| {
            let mut json = Vec::new();
            crate::json::write_string(&format.value, &mut json);
            let json = alloc::string::String::from_utf8(json).unwrap_or_default();
            let value = Json(Cow::Owned(json));
            (paths(path, "format"), model::Param { value, offset: format.offset })
        }));
        Ok(Some(found))
    })
}

fn paths<'a>(path: &str, below: &str) -> Cow<'a, str> {
    Cow::Owned(alloc::format!("{path}/{below}"))
}

fn tool_use<'a>(source: &mut Source<'a>, extension_fields: &mut Fields<'a>) -> Result<Option<Content<'a>>> {
    let (mut id, mut name, mut input) = (None, None, None);
    source.probe(|source| {
        source.nested(extension_fields, "toolUse", |source, field| match field {
            "toolUseId" => source.value(&mut id),
            "name" => source.value(&mut name),
            "input" => source.value(&mut input),
            _ => Ok(false),
        })?;
        let input = input.map(|input: Json<'a>| Text::from(input.0)).unwrap_or_default();
        Ok(name.map(|name| Content::ToolCall { id, name, input, custom: false }))
    })
}

fn tool_result<'a>(
    source: &mut Source<'a>,
    extension_fields: &mut Fields<'a>,
) -> Result<Option<Content<'a>>> {
    let (mut id, mut content, mut status) = (None, None, None::<Cow<'a, str>>);
    source.probe(|source| {
        source.nested(extension_fields, "toolResult", |source, field| match field {
            "toolUseId" => source.value(&mut id),
            "content" if source.kind()?.0 == Kind::Array => {
                let mut parts = Vec::new();
                list(source, &mut parts)?;
                content = Some(parts);
                Ok(true)
            }
            "status" => {
                let known = source.probe(|source| {
                    let mut found = None::<Cow<'a, str>>;
                    source.value(&mut found)?;
                    Ok(found.filter(|found| matches!(&**found, "success" | "error")))
                })?;
                let taken = known.is_some();
                status = known.or(status.take());
                Ok(taken)
            }
            _ => Ok(false),
        })?;
        let is_error = status.map(|status| status == "error");
        let content = content.filter(|_| id.is_some());
        Ok(content.map(|content| Content::ToolResult { id, content, is_error }))
    })
}

fn reasoning<'a>(source: &mut Source<'a>, extension_fields: &mut Fields<'a>) -> Result<Option<Content<'a>>> {
    let (mut text, mut signature, mut redacted) = (None, None, None);
    let mut extra = Fields::new();
    source.probe(|source| {
        source.nested(extension_fields, "reasoningContent", |source, field| match field {
            "reasoningText" => {
                source.nested(&mut extra, "reasoningContent/reasoningText", |source, field| match field {
                    "text" => source.value(&mut text),
                    "signature" => source.value(&mut signature),
                    _ => Ok(false),
                })
            }
            "redactedContent" => source.value(&mut redacted),
            _ => Ok(false),
        })?;
        extension_fields.append(&mut extra);
        Ok(match (text, redacted) {
            (Some(text), None) => Some(Content::Reasoning { text, signature }),
            (None, Some(data)) => Some(Content::Redacted(data)),
            _ => None,
        })
    })
}

/// Reads a text that a guardrail checks, and that the model reads as well. Its qualifiers are an extension field; a text without
/// any has an empty list of them, which means the same.
fn guarded<'a>(source: &mut Source<'a>, extension_fields: &mut Fields<'a>) -> Result<Option<Content<'a>>> {
    let (mut text, mut rest, mut inner) = (None, Fields::new(), Fields::new());
    let offset = source.offset()?;
    source.probe(|source| {
        source.nested(&mut rest, "guardContent", |source, field| {
            if field != "text" {
                return Ok(false);
            }
            source.nested(&mut inner, "guardContent/text", |source, field| {
                if field == "text" { source.value(&mut text) } else { Ok(false) }
            })
        })?;
        if inner.is_empty() {
            let none = model::Param { value: Json(Cow::Borrowed("[]")), offset };
            inner.push((Cow::Borrowed("guardContent/text/qualifiers"), none));
        }
        extension_fields.append(&mut rest);
        extension_fields.append(&mut inner);
        Ok(text.map(Content::Text))
    })
}

/// Reads text with citations, where it is one text.
fn cited<'a>(source: &mut Source<'a>, extension_fields: &mut Fields<'a>) -> Result<Option<Content<'a>>> {
    let (mut text, mut count, mut rest) = (None, 0, Fields::new());
    source.probe(|source| {
        source.nested(extension_fields, "citationsContent", |source, field| {
            if field != "content" || source.kind()?.0 != Kind::Array {
                return Ok(false);
            }
            source.array(|source| {
                count += 1;
                let is_object = source.nested(&mut rest, "", |source, field| {
                    if field == "text" { source.value(&mut text) } else { Ok(false) }
                })?;
                if !is_object {
                    count += 1;
                    source.raw()?;
                }
                Ok(())
            })?;
            Ok(true)
        })?;
        let has_citations = extension_fields.iter().any(|(name, _)| name.starts_with("citationsContent/"));
        Ok(text.filter(|_| count == 1 && rest.is_empty() && has_citations).map(Content::Text))
    })
}
