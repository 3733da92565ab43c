//! Writes content blocks.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::media::{self, CachePoint};
use crate::formats::request_reader::Result;
use crate::formats::thinking::write_thinking;
use crate::formats::tool_names::Names;
use crate::json::{Array, Object};
use crate::model::{Content, Message, Part, Source, Text};

pub(crate) const CACHE: CachePoint =
    CachePoint { name: "cache_control", kind: ("type", "ephemeral"), lifetimes: &["5m", "1h"] };

/// Writes the blocks of one request.
pub(crate) struct Blocks<'b, 'c, 'a> {
    pub(crate) c: &'b Conversion<'c, 'a>,
    pub(crate) names: &'b Names<'b>,
    /// The part that the model continues, if the conversation ends with the assistant.
    pub(crate) prefill: Option<&'b Part<'a>>,
}

impl<'a> Blocks<'_, '_, 'a> {
    pub(crate) fn system(&self, system: &[Message<'a>], object: &mut Object<'_>) -> Result<()> {
        let parts: Vec<_> = system.iter().flat_map(|message| &message.content).collect();
        for message in system.iter().filter(|message| message.name.is_some()) {
            self.c.report_dropped(message.offset, "name", "Anthropic knows no names of speakers");
        }
        self.content("system", &parts, "system", object)
    }

    /// Writes a string for one plain text, else a list of blocks; nothing if there are none.
    fn content(
        &self,
        name: &'static str,
        parts: &[&Part<'a>],
        role: &'static str,
        object: &mut Object<'_>,
    ) -> Result<()> {
        if let [part] = parts {
            let text = match &part.content {
                Content::Text(text) => Some(Cow::Borrowed(text)),
                Content::Json(json) => Some(Cow::Owned(Text::from(json.as_str()))),
                _ => None,
            };
            let is_plain = part.cache.is_none()
                && self.c.kept(&part.extension_fields).is_empty()
                && !self.c.is_copied(part);
            if let Some(text) = text.filter(|text| is_plain && !text.is_blank()) {
                if let Content::Json(_) = &part.content {
                    self.c.report_approximated(part.offset, "json", "JSON is sent as text");
                }
                text.write(object.name(name));
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

    /// Appends a part as a block. Returns whether it has a place.
    pub(crate) fn write(&self, part: &Part<'a>, role: &'static str, out: &mut Vec<u8>) -> Result<bool> {
        self.c.part(part, out, |out| {
            let mut object = Object::new(out);
            let is_written = self.block(part, role, &mut object)?;
            if let (true, Some(cache)) = (is_written, &part.cache) {
                self.c.cache(&mut object, cache, part.offset, &CACHE);
            }
            Ok(is_written)
        })
    }

    fn block(&self, part: &Part<'a>, role: &'static str, object: &mut Object<'_>) -> Result<bool> {
        let c = self.c;
        match &part.content {
            Content::Text(text) => return Ok(self.text(part, text, object)),
            Content::Json(json) => {
                c.report_approximated(part.offset, "json", "JSON is sent as text");
                return Ok(self.text(part, &json.as_str().into(), object));
            }
            Content::Refusal(text) => {
                c.report_approximated(part.offset, "refusal", "Anthropic has no refusals: sent as text");
                return Ok(self.text(part, text, object));
            }
            Content::Reasoning { signature, .. } if !c.takes_reasoning(part, signature.is_some()) => {
                return Ok(false);
            }
            Content::Reasoning { .. } | Content::Redacted(_) => write_thinking(&part.content, object),
            Content::ToolCall { id, name, input, custom } => {
                object.string("type", "tool_use");
                object.string("id", id.as_deref().unwrap_or_default());
                object.string("name", self.names.name(name));
                object.raw("input", &c.input(part, input, *custom)?);
            }
            Content::ToolResult { id, content, is_error } => {
                object.string("type", "tool_result");
                object.string("tool_use_id", id.as_deref().unwrap_or_default());
                let content: Vec<_> = content.iter().collect();
                self.content("content", &content, "user", object)?;
                if let Some(is_error) = is_error.filter(|is_error| *is_error) {
                    object.bool("is_error", is_error);
                }
            }
            _ => return Ok(self.medium(part, role, object)),
        }
        Ok(true)
    }

    fn text(&self, part: &Part<'a>, text: &Text<'_>, object: &mut Object<'_>) -> bool {
        let c = self.c;
        if text.is_blank() {
            c.report_dropped(part.offset, "content", "Anthropic takes no blank text");
            return false;
        }
        object.string("type", "text");
        let is_prefill = self.prefill.is_some_and(|prefill| core::ptr::eq(prefill, part));
        if is_prefill && text.ends_with(char::is_whitespace) {
            c.report_approximated(part.offset, "content", "a started response must not end in white space");
            object.string("text", text.trim_end());
        } else {
            text.write(object.name("text"));
        }
        true
    }

    fn medium(&self, part: &Part<'a>, role: &'static str, object: &mut Object<'_>) -> bool {
        let c = self.c;
        if role != "user" {
            c.report_dropped(part.offset, "content", "Anthropic takes media in messages of the user only");
            return false;
        }
        match &part.content {
            Content::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    c.report_dropped(part.offset, "detail", "Anthropic looks at images in one way");
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
                c.report_dropped(part.offset, "content", "Anthropic takes images and documents only");
                false
            }
        }
    }

    fn source(
        &self,
        kind: &'static str,
        part: &Part<'a>,
        source: &Source<'_>,
        object: &mut Object<'_>,
    ) -> bool {
        let c = self.c;
        let fits = |media_type: &str| match kind {
            "image" => {
                matches!(media_type, "image/jpeg" | "image/jpg" | "image/png" | "image/gif" | "image/webp")
            }
            _ => media_type == "application/pdf",
        };
        let (form, media_type, (name, value)) = match source {
            Source::Base64 { media_type, data } if fits(media_type) => {
                // A common mistake, which Anthropic does not accept.
                let jpeg = if media_type == "image/jpg" { "image/jpeg" } else { media_type };
                ("base64", jpeg, ("data", Cow::Borrowed(data)))
            }
            Source::Base64 { media_type, data } if kind == "document" && media_type.starts_with("text/") => {
                let Some(decoded) = media::decoded(data) else {
                    c.report_dropped(part.offset, "source", "the document is not text in UTF-8");
                    return false;
                };
                ("text", "text/plain", ("data", Cow::Owned(decoded.into())))
            }
            Source::Base64 { media_type, .. } => {
                let why = format!("Anthropic takes no {kind} of type {media_type:?}");
                c.report_dropped(part.offset, "source", why);
                return false;
            }
            Source::Text(text) if kind == "document" => ("text", "text/plain", ("data", Cow::Borrowed(text))),
            Source::Url(url) if url.starts_with("http") => {
                ("url", "", ("url", Cow::Owned(Text::from(&**url))))
            }
            Source::File(id) if c.is_native() => ("file", "", ("file_id", Cow::Owned(Text::from(&**id)))),
            _ => {
                c.report_dropped(part.offset, "source", "Anthropic cannot fetch it: the caller has to");
                return false;
            }
        };
        object.string("type", kind);
        let mut written = object.begin_object("source");
        written.string("type", form);
        if !media_type.is_empty() {
            written.string("media_type", media_type);
        }
        value.write(written.name(name));
        true
    }
}
