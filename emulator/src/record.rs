//! Keeps what passed between a client and a container, as scripts that replay.
//!
//! A file is written as the answer comes, so that a long one is not held in memory. It gets its name when it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::container_response::{Said, SaidBody};
use crate::error::Failed;
use crate::fault::{Exception, Fault, FaultKind};
use crate::front;
use crate::log::Reporter;
use crate::script::Rule;

/// A folder of recordings.
#[derive(Debug)]
pub(crate) struct Recorder {
    folder: PathBuf,
    count: AtomicU64,
    reporter: Reporter,
}

impl Recorder {
    pub(crate) fn new(folder: &Path, reporter: Reporter) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.into(), count: AtomicU64::new(0), reporter })
    }

    /// A call begins.
    pub(crate) fn start(self: &Arc<Self>, call: &Call, rule: &Rule, parts: &Parts, body: &[u8]) -> Recording {
        let (name, text) = text(body, "body", "body_base64");
        // Those that the container saw: none of them is a secret of the client.
        let headers = front::to_container(call.operation, &parts.headers);
        let request = json!({
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "headers": readable(&headers),
            name: text,
        });
        Recording {
            recorder: Arc::clone(self),
            endpoint: call.endpoint.clone(),
            request,
            rule: Rule { body: Default::default(), ..rule.clone() },
            last: Instant::now(),
            file: None,
            len: 0,
            count: 0,
            fault: None,
        }
    }

    /// A file of its own for an endpoint, next to those of earlier runs: its name, and the name until it is whole.
    fn create(&self, endpoint: &str) -> io::Result<(PathBuf, PathBuf, File)> {
        loop {
            let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
            let path = self.folder.join(format!("{count:06}-{endpoint}.json"));
            let part = path.with_extension("part");
            if path.exists() {
                continue;
            }
            match File::create_new(&part) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => return Ok((path, part, file?)),
            }
        }
    }
}

/// A call on its way into a file. Dropping it before its [end](Self::finish) makes the connection's break the end.
#[derive(Debug)]
pub(crate) struct Recording {
    recorder: Arc<Recorder>,
    endpoint: String,
    request: Value,
    rule: Rule,
    /// When something was last waited for.
    last: Instant,
    file: Option<Script>,
    /// Of the container's body.
    len: usize,
    count: u64,
    fault: Option<Value>,
}

impl Recording {
    /// The container's failure.
    pub(crate) fn failed(mut self, failed: &Failed) {
        self.open();
        match failed {
            Failed::Model { status, original, message } => {
                self.field("status", 424);
                self.field("original_status", status);
                if let Some(message) = message {
                    self.field("message", message);
                }
                self.field("body", original);
            }
            Failed::StreamTime => {
                let exception = Exception::time_exceeded();
                self.field("status", 400);
                self.field("error_type", &exception.kind);
                self.field("body", exception.payload());
            }
            // The container has said nothing.
            Failed::Stopped => return self.abandon(),
        }
        let headers = self.rule.headers.clone();
        self.headers(&headers);
        self.finish();
    }

    /// The container's answer: all of it, or its beginning.
    pub(crate) fn said(mut self, said: &Said) -> Option<Self> {
        self.open();
        let mut headers = said.headers.clone();
        let whole_type = said.content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        if said.status.as_u16() == 200 {
            self.field("content_type", whole_type);
        } else {
            self.field("status", said.status.as_u16());
            headers.extend(said.content_type.clone().map(|value| (header::CONTENT_TYPE, value)));
        }
        headers.extend(self.rule.headers.clone());
        self.headers(&headers);
        if said.status.as_u16() == 200 {
            self.field("cut", self.rule.cut);
            self.field("chunks", self.rule.chunks);
        }
        match &said.body {
            SaidBody::Whole(body) => {
                let (name, text) = text(body, "body", "body_base64");
                self.field(name, text);
                if let Some(fault) = self.rule.fault.clone() {
                    self.fault(&fault);
                }
                self.finish();
                None
            }
            SaidBody::Flow(_) => {
                self.write(|script| script.text(",\n  \"body_chunks\": ["));
                Some(self)
            }
        }
    }

    /// The container's next bytes.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        let pause = self.pause();
        let (name, text) = text(bytes, "text", "base64");
        let comma = if self.count == 0 { "" } else { "," };
        let chunk = json!({ "pause_ms": pause, name: text });
        self.write(|script| script.text(&format!("{comma}\n    {chunk}")));
        self.len += bytes.len();
        self.count += 1;
    }

    /// What went wrong, and after how many bytes.
    pub(crate) fn fault(&mut self, fault: &Fault) {
        self.fault = Some(written(fault));
    }

    /// The answer was sent to its end.
    pub(crate) fn finish(mut self) {
        self.close();
    }

    fn close(&mut self) {
        if self.file.as_ref().is_some_and(|script| script.chunks) {
            self.write(|script| script.text("\n  ]"));
        }
        if let Some(fault) = self.fault.take() {
            self.field("fault", fault);
        }
        let Some(script) = self.file.take() else { return };
        if let Err(error) = script.end() {
            self.report(&error);
        }
    }

    fn abandon(mut self) {
        if let Some(script) = self.file.take() {
            // What is left is a file without its name.
            let _ = fs::remove_file(script.part);
        }
    }

    fn open(&mut self) {
        let first_byte = self.pause();
        match self.recorder.create(&self.endpoint) {
            Ok((path, part, file)) => {
                self.file = Some(Script { file: BufWriter::new(file), path, part, fields: 0, chunks: false });
            }
            Err(error) => return self.report(&error),
        }
        self.write(|script| script.text("{\"rules\": [{"));
        let endpoint = self.endpoint.clone();
        self.field("endpoint", endpoint);
        let request = std::mem::take(&mut self.request);
        self.field("request", request);
        self.field("first_byte_ms", first_byte);
        if !self.rule.pause.is_zero() {
            self.field("pause_ms", milliseconds(self.rule.pause));
        }
    }

    fn headers(&mut self, headers: &HeaderMap) {
        let mut headers = readable(headers);
        headers.remove(header::SET_COOKIE.as_str());
        if !headers.is_empty() {
            self.field("headers", headers);
        }
    }

    fn field(&mut self, name: &str, value: impl Serialize) {
        self.write(|script| script.field(name, value));
    }

    fn write(&mut self, write: impl FnOnce(&mut Script) -> io::Result<()>) {
        if let Some(Err(error)) = self.file.as_mut().map(write) {
            self.report(&error);
            self.file = None;
        }
    }

    fn report(&self, error: &io::Error) {
        self.recorder.reporter.tell(&format!("recording in {}: {error}", self.recorder.folder.display()));
    }

    /// Milliseconds since the last time, or the beginning.
    fn pause(&mut self) -> u64 {
        let last = std::mem::replace(&mut self.last, Instant::now());
        milliseconds(self.last - last)
    }

    /// What is waited for from now on is the container.
    pub(crate) fn wait(&mut self) {
        self.last = Instant::now();
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.file.is_some() && self.fault.is_none() {
            self.fault = Some(written(&Fault { kind: FaultKind::HangUp, after: self.len }));
        }
        self.close();
    }
}

/// The file of a script, so far.
#[derive(Debug)]
struct Script {
    file: BufWriter<File>,
    path: PathBuf,
    part: PathBuf,
    fields: u64,
    /// The list of the chunks is open.
    chunks: bool,
}

impl Script {
    fn text(&mut self, text: &str) -> io::Result<()> {
        self.chunks |= text.contains("\"body_chunks\": [");
        self.file.write_all(text.as_bytes())
    }

    fn field(&mut self, name: &str, value: impl Serialize) -> io::Result<()> {
        let comma = if self.fields == 0 { "" } else { "," };
        self.fields += 1;
        write!(self.file, "{comma}\n  \"{name}\": {}", serde_json::to_string(&value)?)
    }

    fn end(mut self) -> io::Result<()> {
        self.file.write_all(b"\n}]}\n")?;
        self.file.flush()?;
        fs::rename(&self.part, &self.path)
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes as text where they are text, under one name or the other.
fn text<'a>(bytes: &[u8], text: &'a str, base64: &'a str) -> (&'a str, String) {
    match std::str::from_utf8(bytes) {
        Ok(found) => (text, found.into()),
        Err(_) => (base64, STANDARD.encode(bytes)),
    }
}

/// Headers as a script has them. A value that is no ASCII text is left out.
fn readable(headers: &HeaderMap) -> BTreeMap<String, String> {
    let readable = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        Some((name.to_string(), value.to_str().ok()?.to_string()))
    };
    headers.iter().filter_map(readable).collect()
}

/// A fault as a script has it.
fn written(Fault { kind, after }: &Fault) -> Value {
    match kind {
        FaultKind::Exception(exception) => json!({"exception": exception, "after": after}),
        FaultKind::Error(error) => json!({"error": error, "after": after}),
        FaultKind::TruncatedFrame => json!({"truncated_frame": true, "after": after}),
        FaultKind::CorruptByte => json!({"corrupt_byte": true, "after": after}),
        FaultKind::Reset => json!({"reset": true, "after": after}),
        FaultKind::HangUp => json!({"hang_up": true, "after": after}),
        FaultKind::Stall => json!({"stall": true, "after": after}),
    }
}
