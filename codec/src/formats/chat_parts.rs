//! Content parts, calls of tools, and tools, in the shapes that the chats of OpenAI and Cohere share.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::media;
use crate::formats::request_reader::{Result, Source, offset_of, wrong_kind};
use crate::json::{Array, Kind, Object};
use crate::model;
use crate::model::{Content, Fields, Json, Param, Part, Text, Tool};

/// Reads `content`: a string, a list of parts, or null.
pub(crate) fn content<'a>(source: &mut Source<'a>, parts: &mut Vec<Part<'a>>) -> Result<bool> {
    let (kind, start) = source.kind()?;
    let offset = offset_of(start);
    parts.clear();
    match kind {
        Kind::String => {
            // Room for one: nearly all messages are one text.
            *parts = Vec::from([Part { offset, ..Part::new(Content::Text(source.text()?)) }]);
        }
        Kind::Array => source.array(|source| {
            parts.push(part(source)?);
            Ok(())
        })?,
        Kind::Null => {
            source.raw()?;
        }
        _ => return Err(wrong_kind(start, "content", "a string or an array", kind)),
    }
    Ok(true)
}

/// Reads a part of the content.
pub(crate) fn part<'a>(source: &mut Source<'a>) -> Result<Part<'a>> {
    source.part_or_other("content part", known_part)
}

/// Reads a part of a kind that has a name in the model.
fn known_part<'a>(source: &mut Source<'a>) -> Result<Option<Part<'a>>> {
    let (mut kind, mut cache) = (None::<Cow<'a, str>>, None);
    let (mut extension_fields, mut extra) = (Fields::new(), Fields::new());
    let (mut content, mut payloads, mut complete) = (None, 0, true);
    let (mut signature, mut signed_at) = (None::<Cow<'a, str>>, None);
    let taken = source.nested(&mut extension_fields, "", |source, field| {
        let found =
            match field {
                "type" => return source.value(&mut kind),
                "prompt_cache_breakpoint" => return source.value(&mut cache),
                "signature" => {
                    let offset = source.offset()?;
                    let taken = source.value(&mut signature)?;
                    signed_at = source.since(offset).map(|json| (json, offset)).filter(|_| taken);
                    return Ok(taken);
                }
                "text" => text(source, Content::Text)?.map(|content| ("text", content)),
                "refusal" => text(source, Content::Refusal)?.map(|content| ("refusal", content)),
                "thinking" => thinking(source)?.map(|content| ("thinking", content)),
                "reasoning" => thinking(source)?.map(|content| ("reasoning", content)),
                "data" => redacted(source)?.map(|content| ("redacted_thinking", content)),
                "image_url" => image(source, &mut extra)?.map(|content| ("image_url", content)),
                "video_url" => link(source, &mut extra, "video_url")?
                    .map(|source| ("video_url", Content::Video { source })),
                "audio_url" => link(source, &mut extra, "audio_url")?
                    .map(|source| ("audio_url", Content::Audio { source })),
                "input_audio" => audio(source, &mut extra)?.map(|content| ("input_audio", content)),
                "file" => file(source, &mut extra)?.map(|content| ("file", content)),
                _ => return Ok(false),
            };
        payloads += 1;
        complete &= found.is_some();
        content = found;
        // If the value cannot be read, the part is unknown and kept as a whole.
        if !complete {
            source.raw()?;
        }
        Ok(true)
    })?;
    extension_fields.append(&mut extra);
    let found = content.and_then(|(name, content)| match (content, kind.as_deref()) {
        (Content::Text(text), Some("reasoning")) => Some(Content::Reasoning { text, signature: None }),
        (content, kind) => (kind == Some(name)).then_some(content),
    });
    let Some(mut content) = found.filter(|_| taken && complete && payloads == 1) else { return Ok(None) };
    match (&mut content, signed_at) {
        (Content::Reasoning { signature: slot, .. }, _) => *slot = signature,
        (_, Some((json, offset))) => {
            extension_fields.push(("signature".into(), Param { value: Json(Cow::Borrowed(json)), offset }));
        }
        _ => {}
    }
    Ok(Some(Part { cache, extension_fields, ..Part::new(content) }))
}

/// Reads reasoning: a text, or a list of texts as Mistral writes it.
fn thinking<'a>(source: &mut Source<'a>) -> Result<Option<Content<'a>>> {
    let mut text = None::<Text<'a>>;
    if source.kind()?.0 == Kind::Array {
        let read = source.probe(|source| {
            let mut parts = Vec::new();
            content(source, &mut parts)?;
            Ok(joined(parts))
        })?;
        text = read.map(Text::from);
    } else {
        source.value(&mut text)?;
    }
    Ok(text.map(|text| Content::Reasoning { text, signature: None }))
}

/// The text of parts that are plain texts; `None` if others are among them.
fn joined(parts: Vec<Part<'_>>) -> Option<String> {
    let mut all = String::new();
    for part in parts {
        let Content::Text(text) = &part.content else { return None };
        if !part.extension_fields.is_empty() || part.cache.is_some() {
            return None;
        }
        all.push_str(text);
    }
    Some(all)
}

fn redacted<'a>(source: &mut Source<'a>) -> Result<Option<Content<'a>>> {
    let mut data = None;
    source.value(&mut data)?;
    Ok(data.map(Content::Redacted))
}

fn text<'a>(
    source: &mut Source<'a>,
    content: impl FnOnce(Text<'a>) -> Content<'a>,
) -> Result<Option<Content<'a>>> {
    let mut text = None;
    source.value(&mut text)?;
    Ok(text.map(content))
}

fn image<'a>(source: &mut Source<'a>, extension_fields: &mut Fields<'a>) -> Result<Option<Content<'a>>> {
    let (mut url, mut detail) = (None::<Text<'a>>, None);
    source.probe(|source| {
        let is_object = source.nested(extension_fields, "image_url", |source, field| match field {
            "url" => source.value(&mut url),
            "detail" => source.value(&mut detail),
            _ => Ok(false),
        })?;
        if !is_object {
            source.value(&mut url)?;
        }
        Ok(url.map(|url| Content::Image { source: media::of_url(url), detail }))
    })
}

fn link<'a>(
    source: &mut Source<'a>,
    extension_fields: &mut Fields<'a>,
    name: &str,
) -> Result<Option<model::Source<'a>>> {
    let mut url = None;
    source.probe(|source| {
        source.nested(extension_fields, name, |source, field| {
            if field == "url" { source.value(&mut url) } else { Ok(false) }
        })?;
        Ok(url.map(media::of_url))
    })
}

fn audio<'a>(source: &mut Source<'a>, extension_fields: &mut Fields<'a>) -> Result<Option<Content<'a>>> {
    let (mut data, mut format) = (None, None::<Cow<'a, str>>);
    source.probe(|source| {
        source.nested(extension_fields, "input_audio", |source, field| match field {
            "data" => source.value(&mut data),
            "format" => source.value(&mut format),
            _ => Ok(false),
        })?;
        let (Some(data), Some(format)) = (data, format) else { return Ok(None) };
        let media_type = media::media_type("audio", &format);
        Ok(Some(Content::Audio { source: model::Source::Base64 { media_type, data } }))
    })
}

fn file<'a>(source: &mut Source<'a>, extension_fields: &mut Fields<'a>) -> Result<Option<Content<'a>>> {
    let (mut data, mut id, mut name) = (None::<Text<'a>>, None, None);
    source.probe(|source| {
        source.nested(extension_fields, "file", |source, field| match field {
            "file_data" => source.value(&mut data),
            "file_id" => source.value(&mut id),
            "filename" => source.value(&mut name),
            _ => Ok(false),
        })?;
        let source = match (data, id) {
            (Some(data), None) => media::of_file_data(data),
            (None, Some(id)) => model::Source::File(id),
            _ => return Ok(None),
        };
        Ok(Some(Content::Document { source, name }))
    })
}

/// Reads the calls of tools: a list, or the one call that some servers send instead. A list with anything else in it is
/// left alone.
pub(crate) fn tool_calls<'a>(source: &mut Source<'a>, calls: &mut Vec<Part<'a>>) -> Result<bool> {
    let read = source.probe(|source| {
        let (mut read, mut all) = (Vec::new(), true);
        let mut call = |source: &mut Source<'a>| -> Result<()> {
            let part = tool_call(source)?;
            all &= matches!(part.content, Content::ToolCall { .. });
            // Mostly there is one.
            if read.is_empty() {
                read.reserve_exact(1);
            }
            read.push(part);
            Ok(())
        };
        match source.kind()?.0 {
            Kind::Array => source.array(call)?,
            Kind::Object => call(source)?,
            _ => return Ok(None),
        }
        Ok(all.then_some(read))
    })?;
    Ok(read.map(|read| *calls = read).is_some())
}

fn tool_call<'a>(source: &mut Source<'a>) -> Result<Part<'a>> {
    let offset = source.offset()?;
    let known = source.probe(|source| {
        let (mut id, mut kind, mut call) = (None, None::<Cow<'a, str>>, None);
        let (mut extension_fields, mut extra) = (Fields::new(), Fields::new());
        source.nested(&mut extension_fields, "", |source, field| match field {
            "id" => source.value(&mut id),
            "type" => source.value(&mut kind),
            "function" => function(source, &mut extra, "function", &mut call),
            "custom" if call.is_none() => custom(source, &mut extra, &mut call),
            _ => Ok(false),
        })?;
        extension_fields.append(&mut extra);
        let Some(Content::ToolCall { name, input, custom, .. }) = call else { return Ok(None) };
        let of = if custom { "custom" } else { "function" };
        if kind.is_some_and(|kind| kind != of) {
            return Ok(None);
        }
        Ok(Some(Part { extension_fields, ..Part::new(Content::ToolCall { id, name, input, custom }) }))
    })?;
    Ok(match known {
        Some(part) => Part { offset, ..part },
        None => Part { offset, ..Part::new(Content::Other(source.raw()?)) },
    })
}

/// Reads the function that is called. Its arguments are a JSON text in a string; some servers send the JSON itself.
pub(crate) fn function<'a>(
    source: &mut Source<'a>,
    extension_fields: &mut Fields<'a>,
    path: &str,
    call: &mut Option<Content<'a>>,
) -> Result<bool> {
    let (mut name, mut input) = (None, None::<Text<'a>>);
    let mut extra = Fields::new();
    let read = source.probe(|source| {
        source.nested(&mut extra, path, |source, field| match field {
            "name" => source.value(&mut name),
            "arguments" if source.kind()?.0 == Kind::Object => {
                input = Some(source.raw()?.0.into());
                Ok(true)
            }
            "arguments" => source.value(&mut input),
            _ => Ok(false),
        })?;
        let input = input.unwrap_or_default();
        Ok(name.map(|name| Content::ToolCall { id: None, name, input, custom: false }))
    })?;
    Ok(take(extension_fields, &mut extra, call, read))
}

/// Reads the custom tool that is called. Its input is free text.
fn custom<'a>(
    source: &mut Source<'a>,
    extension_fields: &mut Fields<'a>,
    call: &mut Option<Content<'a>>,
) -> Result<bool> {
    let (mut name, mut input) = (None, None);
    let mut extra = Fields::new();
    let read = source.probe(|source| {
        source.nested(&mut extra, "custom", |source, field| match field {
            "name" => source.value(&mut name),
            "input" => source.value(&mut input),
            _ => Ok(false),
        })?;
        let (Some(name), Some(input)) = (name, input) else { return Ok(None) };
        Ok(Some(Content::ToolCall { id: None, name, input, custom: true }))
    })?;
    Ok(take(extension_fields, &mut extra, call, read))
}

/// Keeps what was read, if it is a call. Returns whether it is.
fn take<'a>(
    extension_fields: &mut Fields<'a>,
    extra: &mut Fields<'a>,
    call: &mut Option<Content<'a>>,
    read: Option<Content<'a>>,
) -> bool {
    let taken = read.is_some();
    if taken {
        extension_fields.append(extra);
        *call = read;
    }
    taken
}

/// Reads the tools: `tools`, or `functions`, which are the same without their wrapping.
pub(crate) fn tools<'a>(source: &mut Source<'a>, tools: &mut Vec<Tool<'a>>) -> Result<bool> {
    if source.kind()?.0 != Kind::Array {
        return Ok(false);
    }
    source.array(|source| {
        let offset = source.offset()?;
        let read = source.probe(|source| {
            let (mut tool, mut kind, mut extension_fields) =
                (Tool::new(""), None::<Cow<'a, str>>, Vec::new());
            tool.offset = offset;
            let mut extra = Fields::new();
            let taken = source.nested(&mut extension_fields, "", |source, field| match field {
                "type" => source.value(&mut kind),
                "function" => source.nested(&mut extra, "function", |source, field| {
                    function_member(source, field, &mut tool)
                }),
                _ => function_member(source, field, &mut tool),
            })?;
            extension_fields.append(&mut extra);
            tool.extension_fields = extension_fields;
            let is_function = kind.is_none_or(|kind| kind == "function");
            Ok(Some(tool).filter(|tool| taken && is_function && !tool.name.is_empty()))
        })?;
        tools.push(match read {
            Some(tool) => tool,
            None => Tool { other: Some(source.raw()?), offset, ..Tool::new("") },
        });
        Ok(())
    })?;
    Ok(true)
}

fn function_member<'a>(source: &mut Source<'a>, field: &str, tool: &mut Tool<'a>) -> Result<bool> {
    match field {
        "name" => source.required(&mut tool.name),
        "description" => source.value(&mut tool.description),
        "parameters" => source.value(&mut tool.schema),
        "strict" => source.value(&mut tool.strict),
        _ => Ok(false),
    }
}

/// Writes `content` as a list of parts; as an empty text if nothing is left of them.
pub(crate) fn write_content<'a>(
    c: &Conversion<'_, 'a>,
    parts: &[&Part<'a>],
    object: &mut Object<'_>,
    write_part: impl Fn(&Part<'a>, &mut Vec<u8>) -> bool,
) -> Result<()> {
    let (mut written, mut any) = (Vec::new(), false);
    let mut array = Array::new(&mut written);
    for part in parts {
        any |= array.maybe(|out| c.part(part, out, |out| Ok(write_part(part, out))))?;
    }
    drop(array);
    if any {
        object.name("content").append(&mut written);
    } else {
        object.string("content", "");
    }
    Ok(())
}

/// Writes a part whose text is in the field that has the name of its type.
pub(crate) fn text_part(object: &mut Object<'_>, kind: &'static str, text: &Text<'_>) -> bool {
    object.string("type", kind);
    text.write(object.name(kind));
    true
}

/// Writes a part that refers to a file by its URL. `why` is the reason for the loss of one without such a URL.
pub(crate) fn url_part(
    c: &Conversion<'_, '_>,
    part: &Part<'_>,
    (kind, why): (&'static str, &'static str),
    source: &model::Source<'_>,
    detail: Option<&str>,
    object: &mut Object<'_>,
) -> bool {
    let Some(url) = media::to_url(source).filter(|url| !url.starts_with("s3:")) else {
        c.report_dropped(part.offset, "source", why);
        return false;
    };
    object.string("type", kind);
    let mut link = object.begin_object(kind);
    link.string("url", &url);
    if let Some(detail) = detail {
        link.string("detail", detail);
    }
    true
}

/// Writes a tool that is a function.
pub(crate) fn write_function(tool: &Tool<'_>, schema: Option<&str>, strict: Option<bool>, out: &mut Vec<u8>) {
    let mut written = Object::new(out);
    written.string("type", "function");
    let mut function = written.begin_object("function");
    function.string("name", &tool.name);
    if let Some(description) = &tool.description {
        description.write(function.name("description"));
    }
    if let Some(schema) = schema {
        function.raw("parameters", schema);
    }
    if let Some(strict) = strict {
        function.bool("strict", strict);
    }
}
