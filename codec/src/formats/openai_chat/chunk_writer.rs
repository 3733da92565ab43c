//! Writes the chunks of a stream: what chat completions and completions have in common.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::formats::openai_chat::chunk::{Chunk, REPEATED_FIELDS};
use crate::formats::openai_usage::{CHAT_USAGE, is_chat_usage, whole_usage, write_usage};
use crate::json;
use crate::json::{is_document, write_integer, write_one_line, write_string};
use crate::model::{Event, Json, Losses, Outcome, ResponseOptions, Usage};

/// Why a field of another API is dropped.
const OWN: &str = "in OpenAI's this name has a meaning of its own";

/// The largest length of fields that are held back, in bytes.
const EARLY_MAX: usize = 64 * 1024;

/// The largest length of a field that is in each chunk, in bytes as JSON. Larger ones would let a container make a large stream of
/// a small one.
const REPEATED_MAX: usize = 256;

/// What the chunks of an API are called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// The ID of a response, if there is none.
    pub(crate) id: &'static str,
    /// The kind of object that a chunk is.
    pub(crate) object: &'static str,
}

/// Writes chunks, with the fields that belong to no choice.
///
/// The usage is in the last chunk before `[DONE]`, which has no choices. A stream that fails ends with an `error` and without
/// `[DONE]`, so that it does not look complete.
#[derive(Clone, Debug)]
pub(crate) struct ChunkWriter {
    names: Names,
    pub(crate) context: ResponseOptions,
    /// The beginning of every chunk, up to its choices.
    prefix: Vec<u8>,
    /// The length of the prefix without the fields of [`REPEATED_FIELDS`], and these fields.
    head: usize,
    repeated: [String; REPEATED_FIELDS.len()],
    /// No chunk has these fields yet.
    is_unsaid: bool,
    usage: Option<Usage>,
    /// All counts of the source, if they contain more than the model has names for.
    more_usage: String,
    /// Fields that came before the response had an ID, each with the comma before it.
    early: Vec<u8>,
    pub(crate) losses: Losses,
}

impl ChunkWriter {
    pub(crate) fn new(names: Names, context: ResponseOptions) -> Self {
        Self {
            names,
            context,
            prefix: Vec::new(),
            head: 0,
            repeated: Default::default(),
            is_unsaid: false,
            usage: None,
            more_usage: String::new(),
            early: Vec::new(),
            losses: Losses::default(),
        }
    }

    /// Writes or keeps an event that belongs to no choice; returns false for any other.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        match event {
            Event::Start { id, model, created, .. } => {
                self.begin(id.as_deref(), model.as_deref(), *created);
                self.write_early(out);
            }
            Event::Usage(usage) => {
                self.usage = Some(*usage);
                self.more_usage.clear();
            }
            Event::Other { choice: None, name: Some(name), json } if is_chat_usage(name, json) => {
                self.more_usage = json::one_line(json.as_str());
            }
            Event::Other { choice: None, name: Some(name), json } if self.take_repeated(name, json) => {}
            Event::Other { choice: None, name: Some(name), json } if !is_taken(name) => {
                self.early.push(b',');
                write_member(name, json, &mut self.early);
                if !self.prefix.is_empty() || self.early.len() > EARLY_MAX {
                    self.write_early(out);
                }
            }
            Event::Other { choice: None, name: Some(name), .. } => {
                self.losses.add("other", Outcome::Dropped, why_taken(name));
            }
            Event::Other { name: None, .. } => {
                self.losses.add(
                    "record",
                    Outcome::Dropped,
                    "a record of unknown meaning has no place in a chunk",
                );
            }
            Event::Malformed { .. } => {
                self.losses.add(
                    "malformed record",
                    Outcome::Dropped,
                    "what could not be read cannot be written",
                );
            }
            _ => return false,
        }
        true
    }

    /// Whether there are counts to write.
    pub(crate) fn has_usage(&self) -> bool {
        self.usage.is_some()
    }

    /// Appends the end of the stream to `out`: the usage and `[DONE]`, or the error that it ended with.
    pub(crate) fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.take().filter(|_| !self.context.hide_usage) {
            let usage = whole_usage(&usage, &mut self.losses);
            let more = core::mem::take(&mut self.more_usage);
            self.chunk(out, |out| {
                out.extend_from_slice(b"],\"usage\":");
                write_usage(&CHAT_USAGE, &usage, &more, out);
            });
        }
        if self.is_unsaid {
            self.chunk(out, |out| out.push(b']'));
        }
        match ending {
            Ok(()) => out.extend_from_slice(b"data: [DONE]\n\n"),
            Err(error) => write_error(error, out),
        }
    }

    /// Writes the fields that belong to no choice.
    pub(crate) fn write_early(&mut self, out: &mut Vec<u8>) {
        if !self.early.is_empty() {
            let mut early = core::mem::take(&mut self.early);
            self.chunk(out, |out| {
                out.push(b']');
                out.extend_from_slice(&early);
            });
            early.clear();
            self.early = early;
        }
    }

    fn begin(&mut self, id: Option<&str>, model: Option<&str>, created: Option<u64>) {
        let Self { names, context, prefix, losses, .. } = self;
        let id = id.or(context.id.as_deref());
        let model = model.or(context.model.as_deref());
        let mut short = |name, text| {
            let short = json::shortened(text, REPEATED_MAX);
            if short != text {
                losses.add(name, Outcome::Approximated, "it is in each chunk, and cut to 256 bytes");
            }
            short
        };
        prefix.clear();
        prefix.extend_from_slice(b"data: {\"id\":");
        write_string(short("id", id.unwrap_or(names.id)), prefix);
        prefix.extend_from_slice(b",\"object\":\"");
        prefix.extend_from_slice(names.object.as_bytes());
        prefix.extend_from_slice(b"\",\"created\":");
        write_integer(created.or(context.created).unwrap_or(0), prefix);
        prefix.extend_from_slice(b",\"model\":");
        write_string(short("model", model.unwrap_or("")), prefix);
        self.head = self.prefix.len();
        self.end_prefix();
    }

    /// Renews the part of the prefix behind its fixed length.
    fn end_prefix(&mut self) {
        let Self { prefix, repeated, .. } = self;
        prefix.truncate(self.head);
        for (name, json) in REPEATED_FIELDS.into_iter().zip(repeated).filter(|(_, json)| !json.is_empty()) {
            prefix.push(b',');
            write_string(name, prefix);
            prefix.push(b':');
            prefix.extend_from_slice(json.as_bytes());
        }
        prefix.extend_from_slice(b",\"choices\":[");
    }

    /// Keeps a field for all chunks that follow, if it is one of [`REPEATED_FIELDS`].
    fn take_repeated(&mut self, name: &str, json: &Json<'_>) -> bool {
        let index = Chunk::repeated(name.as_bytes());
        let Some(index) = index.filter(|_| json.as_str().len() <= REPEATED_MAX && is_document(json.as_str()))
        else {
            return false;
        };
        self.repeated[index] = json::one_line(json.as_str());
        self.is_unsaid = true;
        if !self.prefix.is_empty() {
            self.end_prefix();
        }
        true
    }

    /// Writes a chunk; `rest` follows the bracket that opens the choices.
    pub(crate) fn chunk(&mut self, out: &mut Vec<u8>, rest: impl FnOnce(&mut Vec<u8>)) {
        if self.prefix.is_empty() {
            self.begin(None, None, None);
        }
        self.is_unsaid = false;
        out.extend_from_slice(&self.prefix);
        rest(out);
        out.extend_from_slice(b"}\n\n");
    }
}

/// Whether a field of a response has its own meaning here, so that fields of other APIs cannot have this name.
pub(crate) fn is_taken(name: &str) -> bool {
    Chunk::is_known(name.as_bytes()) && Chunk::repeated(name.as_bytes()).is_none()
}

/// Why such a field is lost.
pub(crate) fn why_taken(name: &str) -> &'static str {
    if name == "usage" { "OpenAI has no names for these counts" } else { OWN }
}

/// Writes the index of a choice, as its first field.
pub(crate) fn write_index(choice: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"index\":");
    write_integer(choice.into(), out);
}

/// Writes a field of unknown meaning.
pub(crate) fn write_member(name: &str, json: &Json<'_>, out: &mut Vec<u8>) {
    write_string(name, out);
    out.push(b':');
    if is_document(json.as_str()) {
        write_one_line(json.as_str(), out);
    } else {
        write_string(json.as_str(), out);
    }
}

fn write_error(error: &DecodeError, out: &mut Vec<u8>) {
    let text = alloc::format!("{error}");
    let (message, name, code) = match error.failure() {
        Some(failure) => (failure.message.as_str(), failure.name.as_str(), failure.code.as_deref()),
        None if error.is_unrecognized() => (text.as_str(), "stream_unrecognized", None),
        None if error.is_truncated() => (text.as_str(), "stream_truncated", None),
        None => (text.as_str(), "stream_corrupt", None),
    };
    out.extend_from_slice(b"data: {\"error\":{\"message\":");
    write_string(message, out);
    out.extend_from_slice(b",\"type\":");
    write_string(name, out);
    out.extend_from_slice(b",\"param\":");
    match error.failure().and_then(|failure| failure.param.as_deref()) {
        Some(param) => write_string(param, out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"code\":");
    match code {
        // vLLM and SGLang write the HTTP status as a number.
        Some(code) => match code.parse() {
            Ok(number) => write_integer(number, out),
            Err(_) => write_string(code, out),
        },
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}}\n\n");
}
