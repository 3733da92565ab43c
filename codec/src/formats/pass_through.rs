//! Passes the records of a stream on in the API that they have: OpenAI's chat and completions, and Anthropic's Messages.
//!
//! The JSON of a record is unchanged, except that it is one line. The terminal record is written at the end, because only then
//! is it known that the response is complete.

use alloc::vec::Vec;

use crate::json::{as_object, elements, member, string, write_one_line};
use crate::model::Api;

/// Whether a record is one of a stream of the API, by the field that its clients rely on.
pub(crate) fn is_own(api: Api, record: &str) -> bool {
    let text = |name| member(record, name).and_then(string);
    match api {
        Api::OpenAi => text("object").as_deref() == Some("chat.completion.chunk"),
        Api::Completions => text("object").as_deref() == Some("text_completion"),
        Api::Anthropic => text("type").is_some(),
        _ => false,
    }
}

/// The terminal record of an API that has no other content.
fn terminal(api: Api) -> &'static [u8] {
    match api {
        Api::Anthropic => b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        _ => b"data: [DONE]\n\n",
    }
}

/// The records of one stream.
#[derive(Clone, Debug)]
pub(crate) struct PassThrough {
    api: Api,
    hide_usage: bool,
    /// The terminal record.
    last: Vec<u8>,
}

impl PassThrough {
    pub(crate) fn new(api: Api, hide_usage: bool) -> Self {
        Self { api, hide_usage, last: Vec::new() }
    }

    /// Appends a record to `out`, or keeps it if the response is over with it.
    pub(crate) fn write(&mut self, record: &str, is_last: bool, out: &mut Vec<u8>) {
        if self.hide_usage && self.api != Api::Anthropic && is_usage_only(record) {
            return;
        }
        if !is_last {
            // The decoder has read it, so that it is a document.
            let record = record.trim();
            if record.starts_with('{') {
                self.encode(record, out);
            }
        } else if let Some(record) = as_object(record) {
            let mut last = Vec::new();
            self.encode(record, &mut last);
            self.last = last;
        }
    }

    /// Appends the terminal record to `out`.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        match self.last.is_empty() {
            true => out.extend_from_slice(terminal(self.api)),
            false => out.append(&mut self.last),
        }
    }

    fn encode(&self, record: &str, out: &mut Vec<u8>) {
        let kind = if self.api == Api::Anthropic { member(record, "type").and_then(string) } else { None };
        // A name with a line end would end the line.
        if let Some(kind) = kind.filter(|kind| !kind.contains(['\n', '\r'])) {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(kind.as_bytes());
            out.push(b'\n');
        }
        out.extend_from_slice(b"data: ");
        write_one_line(record, out);
        out.extend_from_slice(b"\n\n");
    }
}

/// Whether a chunk has token counts and no choices.
fn is_usage_only(record: &str) -> bool {
    let is_empty = |choices: &str| elements(choices).is_empty();
    record.contains("\"usage\"")
        && member(record, "choices").is_none_or(is_empty)
        && member(record, "usage").is_some_and(|usage| usage != "null")
}
