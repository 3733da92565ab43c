//! Writes content blocks.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::formats::converse::write_tools::CACHE;
use crate::formats::conversion::Conversion;
use crate::formats::media;
use crate::formats::request_reader::Result;
use crate::formats::tool_names::Names;
use crate::formats::unique_names::UniqueNames;
use crate::json::{Array, Object};
use crate::model::{Content, Json, Message, Offset, Outcome, Param, Part, Source, Text};

/// Writes the blocks of one request.
pub(crate) struct Blocks<'b, 'c, 'a> {
    pub(crate) c: &'b Conversion<'c, 'a>,
    pub(crate) names: &'b Names<'b>,
    /// Names of the documents so far, which have to differ.
    documents: RefCell<UniqueNames>,
    /// Addresses of the documents without a text beside them, which are only compared.
    lonely: BTreeSet<*const Part<'a>>,
}

impl<'b, 'c, 'a> Blocks<'b, 'c, 'a> {
    /// The blocks of these messages.
    pub(crate) fn new(c: &'b Conversion<'c, 'a>, names: &'b Names<'b>, messages: &[Message<'a>]) -> Self {
        let is_text = |part: &Part<'_>| matches!(&part.content, Content::Text(text) if !text.is_blank());
        let lonely = messages.iter().filter(|message| !message.content.iter().any(is_text));
        let lonely = lonely.flat_map(|message| &message.content).map(core::ptr::from_ref).collect();
        Self { c, names, documents: RefCell::default(), lonely }
    }

    pub(crate) fn system(&self, system: &[Message<'a>], object: &mut Object<'_>) -> Result<()> {
        let parts = || system.iter().flat_map(|message| &message.content);
        if parts().next().is_none() {
            return Ok(());
        }
        for message in system.iter().filter(|message| message.name.is_some()) {
            self.c.report_dropped(message.offset, "name", "Converse knows no names of speakers");
        }
        let mut written = Vec::new();
        let mut array = Array::new(&mut written);
        let mut any = false;
        for part in parts() {
            any |= array.maybe(|out| match &part.content {
                Content::Text(_) | Content::Other(_) => self.write(part, "system", out),
                _ => {
                    self.c.report_dropped(part.offset, "system", "Converse takes text in `system` only");
                    Ok(false)
                }
            })?;
        }
        drop(array);
        if any {
            object.name("system").append(&mut written);
        }
        Ok(())
    }

    /// Appends a part as a block, and its cache point after it. Returns whether it has a place.
    pub(crate) fn write(&self, part: &Part<'a>, role: &'static str, out: &mut Vec<u8>) -> Result<bool> {
        if !self.write_without_cache(part, role, out)? {
            return Ok(false);
        }
        if let Some((cache, offset)) = self.cache_of(part) {
            out.push(b',');
            self.c.cache(&mut Object::new(out), cache, offset, &CACHE);
        }
        Ok(true)
    }

    fn write_without_cache(&self, part: &Part<'a>, role: &'static str, out: &mut Vec<u8>) -> Result<bool> {
        let is_written = self.c.part(part, out, |out| self.block(part, role, &mut Object::new(out)))?;
        let is_document = matches!(part.content, Content::Document { .. });
        if is_written && is_document && !self.c.is_copied(part) && !self.has_text_beside(part) {
            let why = "a document needs a text beside it: \"See the document.\"";
            self.c.report(part.offset, "content", Outcome::Defaulted, why);
            out.push(b',');
            Object::new(out).string("text", "See the document.");
        }
        Ok(is_written)
    }

    /// The cache point of a part, and its place in the source. The content of a tool's result has no cache points in Converse, so
    /// the last one of it is that of the result; the others are reported.
    fn cache_of<'p>(&self, part: &'p Part<'a>) -> Option<(&'p Json<'a>, Offset)> {
        let own = part.cache.as_ref().map(|cache| (cache, part.offset));
        let Content::ToolResult { content, .. } = &part.content else { return own };
        if self.c.is_copied(part) {
            return own;
        }
        let inner = content.iter().filter_map(|part| Some((part.cache.as_ref()?, part.offset)));
        let mut all: Vec<_> = inner.chain(own).collect();
        let last = all.pop();
        for (_, offset) in all {
            let why = "the content of a tool's result has no cache points: there is one after the result";
            self.c.report_dropped(offset, "cache", why);
        }
        last
    }

    fn block(&self, part: &Part<'a>, role: &'static str, object: &mut Object<'_>) -> Result<bool> {
        let c = self.c;
        match &part.content {
            Content::Text(text) => return Ok(self.text(part, text, object)),
            Content::Refusal(text) => {
                c.report_approximated(part.offset, "refusal", "Converse has no refusals: sent as text");
                return Ok(self.text(part, text, object));
            }
            Content::Json(json) => object.raw("json", json.as_str()),
            Content::Reasoning { text, signature } => {
                if !c.takes_reasoning(part, signature.is_some()) {
                    return Ok(false);
                }
                let mut reasoning = object.begin_object("reasoningContent");
                let mut inner = reasoning.begin_object("reasoningText");
                text.write(inner.name("text"));
                if let Some(signature) = signature {
                    inner.string("signature", signature);
                }
            }
            Content::Redacted(data) => {
                object.begin_object("reasoningContent").string("redactedContent", data)
            }
            Content::ToolCall { id, name, input, custom } => {
                let mut call = object.begin_object("toolUse");
                call.string("toolUseId", id.as_deref().unwrap_or_default());
                call.string("name", self.names.name(name));
                call.raw("input", &c.input(part, input, *custom)?);
            }
            Content::ToolResult { id, content, is_error } => {
                let mut result = object.begin_object("toolResult");
                result.string("toolUseId", id.as_deref().unwrap_or_default());
                self.result(content, &mut result)?;
                if let Some(is_error) = is_error {
                    result.string("status", if *is_error { "error" } else { "success" });
                }
            }
            _ => return self.medium(part, role, object),
        }
        Ok(true)
    }

    fn result(&self, content: &[Part<'a>], result: &mut Object<'_>) -> Result<()> {
        let mut array = result.begin_array("content");
        for part in content {
            array.maybe(|out| self.write_without_cache(part, "user", out))?;
        }
        Ok(())
    }

    fn text(&self, part: &Part<'a>, text: &Text<'_>, object: &mut Object<'_>) -> bool {
        if text.is_blank() {
            self.c.report_dropped(part.offset, "content", "Converse takes no blank text");
            return false;
        }
        let kept = self.c.kept(&part.extension_fields);
        let has = |block: &str| kept.iter().any(|(path, _)| path.starts_with(block));
        if has("guardContent/") {
            text.write(object.begin_object("guardContent").begin_object("text").name("text"));
        } else if has("citationsContent/") {
            let mut cited = object.begin_object("citationsContent");
            text.write(cited.begin_array("content").begin_object().name("text"));
        } else {
            text.write(object.name("text"));
        }
        true
    }

    /// Writes an image, a document, video or audio.
    fn medium(&self, part: &Part<'a>, role: &'static str, object: &mut Object<'_>) -> Result<bool> {
        let c = self.c;
        let (kind, source) = match &part.content {
            Content::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    c.report_dropped(part.offset, "detail", "Converse looks at images in one way");
                }
                ("image", source)
            }
            Content::Audio { source } => ("audio", source),
            Content::Video { source } => ("video", source),
            Content::Document { source, .. } => ("document", source),
            _ => return Ok(false),
        };
        if role != "user" {
            c.report_dropped(part.offset, "content", "Converse takes media in messages of the user only");
            return Ok(false);
        }
        let Some(format) = self.format(part, kind, source) else { return Ok(false) };
        self.write_medium(part, kind, source, format, object)
    }

    fn write_medium(
        &self,
        part: &Part<'a>,
        kind: &'static str,
        source: &Source<'_>,
        format: &str,
        object: &mut Object<'_>,
    ) -> Result<bool> {
        let mut medium = object.begin_object(kind);
        if !format.is_empty() {
            medium.string("format", format);
        }
        if let Content::Document { name, .. } = &part.content {
            let name = self.document_name(part, name.as_deref());
            medium.string("name", &name);
        }
        let mut written = medium.begin_object("source");
        match source {
            Source::Base64 { data, .. } => data.write(written.name("bytes")),
            Source::Text(text) => text.write(written.name("text")),
            Source::Url(uri) => written.begin_object("s3Location").string("uri", uri),
            Source::File(_) => {}
        }
        Ok(true)
    }

    /// Converse's name of the format; empty if it is an extension field.
    fn format<'s>(&self, part: &Part<'a>, kind: &str, source: &'s Source<'_>) -> Option<&'s str> {
        let c = self.c;
        let known: &[&str] = match kind {
            "image" => &["png", "jpeg", "gif", "webp"],
            "document" => &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"],
            "video" => &["mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"],
            _ => &[
                "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg",
                "mpga", "pcm", "webm",
            ],
        };
        let is_format =
            |(path, _): &(Cow<'_, str>, Param<Json<'_>>)| path.strip_prefix(kind) == Some("/format");
        match source {
            _ if c.kept(&part.extension_fields).iter().any(is_format) => Some(""),
            Source::Base64 { media_type, .. } => {
                let format = media::short_name(media_type);
                if known.contains(&format) {
                    return Some(format);
                }
                c.report_dropped(
                    part.offset,
                    "source",
                    format!("Converse takes no {kind} of type {media_type:?}"),
                );
                None
            }
            Source::Url(url) if url.starts_with("s3://") => {
                let end = url.rsplit('.').next().unwrap_or_default();
                let end = if end == "jpg" { "jpeg" } else { end };
                if known.contains(&end) {
                    return Some(end);
                }
                c.report_dropped(
                    part.offset,
                    "source",
                    "the name of the object does not say what format it has",
                );
                None
            }
            Source::Text(_) => Some("txt"),
            Source::Url(_) => {
                c.report_dropped(
                    part.offset,
                    "source",
                    "Converse takes bytes or S3: the caller has to fetch it",
                );
                None
            }
            Source::File(_) => {
                c.report_dropped(part.offset, "source", "Converse knows no files of other providers");
                None
            }
        }
    }

    fn has_text_beside(&self, part: &Part<'a>) -> bool {
        !self.lonely.contains(&core::ptr::from_ref(part))
    }

    /// A name that Converse accepts, and that no other document has.
    fn document_name(&self, part: &Part<'a>, name: Option<&str>) -> String {
        let mut clean = String::new();
        for ch in name.unwrap_or("document").chars().take(200) {
            let fits = ch.is_ascii_alphanumeric() || "-()[] ".contains(ch);
            let ch = if fits { ch } else { '-' };
            if !(ch == ' ' && clean.ends_with(' ')) {
                clean.push(ch);
            }
        }
        let clean = self.documents.borrow_mut().take(clean, '-', 200);
        match name {
            None => {
                let why = format!("Converse requires a name of a document: {clean:?}");
                self.c.report(part.offset, "name", Outcome::Defaulted, why);
            }
            Some(name) if name != clean => {
                let why = format!("Converse takes few characters, and no name twice: {clean:?}");
                self.c.report_approximated(part.offset, "name", why);
            }
            Some(_) => {}
        }
        clean
    }
}
