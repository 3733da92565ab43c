//! Records calls to a container as scripts that replay them.
//!
//! A file is written while the response arrives, so that a long response is not held in memory, and renamed when it is
//! complete.

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
use crate::container_response::{ContainerResponse, ResponseBody};
use crate::error::ContainerFailure;
use crate::fault::{Exception, Fault, FaultKind};
use crate::headers::{self, IDENTITY_TOKEN};
use crate::log::Reporter;
use crate::private_file;
use crate::script::Rule;

/// A directory of recordings.
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

    /// Starts the recording of a call.
    pub(crate) fn start(self: &Arc<Self>, call: &Call, rule: &Rule, parts: &Parts, body: &[u8]) -> Recording {
        let (name, text) = text(body, "body", "body_base64");
        // The headers that the container received, without the one that is secret.
        let mut headers = headers::to_container(call.operation, &parts.headers);
        headers.remove(IDENTITY_TOKEN);
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

    /// Creates a new file: its final path, its path until it is complete, and the file.
    fn create(&self, endpoint: &str) -> io::Result<(PathBuf, PathBuf, File)> {
        loop {
            let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
            let path = self.folder.join(format!("{count:06}-{endpoint}.json"));
            let part = path.with_extension("part");
            if path.exists() {
                continue;
            }
            match private_file::create(&part) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => return Ok((path, part, file?)),
            }
        }
    }
}

/// A recording in progress. If it is dropped before it is [finished](Self::finish), it ends with a closed connection.
#[derive(Debug)]
pub(crate) struct Recording {
    recorder: Arc<Recorder>,
    endpoint: String,
    request: Value,
    rule: Rule,
    /// When the last wait for the container started.
    last: Instant,
    file: Option<Script>,
    /// Bytes of the container's body.
    len: usize,
    count: u64,
    fault: Option<Value>,
}

impl Recording {
    /// Records a failure of the container.
    pub(crate) fn failed(mut self, failed: &ContainerFailure) {
        self.open();
        match failed {
            ContainerFailure::Model { status, original, message } => {
                self.field("status", 424);
                self.field("original_status", status);
                if let Some(message) = message {
                    self.field("message", message);
                }
                self.field("body", original);
            }
            ContainerFailure::StreamTime => {
                let exception = Exception::time_exceeded();
                self.field("status", 400);
                self.field("error_type", &exception.kind);
                self.field("body", exception.payload());
            }
            // There is no response to record.
            ContainerFailure::Stopped => return self.abandon(),
        }
        let headers = self.rule.headers.clone();
        self.headers(&headers);
        self.finish();
    }

    /// Records a response, or the head of a streamed one. Returns the recording if chunks follow.
    pub(crate) fn response(mut self, response: &ContainerResponse) -> Option<Self> {
        self.open();
        let mut headers = response.headers.clone();
        let whole_type =
            response.content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        if response.status.as_u16() == 200 {
            self.field("content_type", whole_type);
        } else {
            self.field("status", response.status.as_u16());
            headers.extend(response.content_type.clone().map(|value| (header::CONTENT_TYPE, value)));
        }
        headers.extend(self.rule.headers.clone());
        self.headers(&headers);
        if response.status.as_u16() == 200 {
            self.field("cut", self.rule.cut);
            self.field("chunks", self.rule.chunks);
        }
        match &response.body {
            ResponseBody::Whole(body) => {
                let (name, text) = text(body, "body", "body_base64");
                self.field(name, text);
                if let Some(fault) = self.rule.fault.clone() {
                    self.fault(&fault);
                }
                self.finish();
                None
            }
            ResponseBody::Stream(_) => {
                self.write(|script| script.text(",\n  \"body_chunks\": ["));
                Some(self)
            }
        }
    }

    /// Records the next chunk.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        let pause = self.pause();
        let (name, text) = text(bytes, "text", "base64");
        let comma = if self.count == 0 { "" } else { "," };
        let chunk = json!({ "pause_ms": pause, name: text });
        self.write(|script| script.text(&format!("{comma}\n    {chunk}")));
        self.len += bytes.len();
        self.count += 1;
    }

    /// Records a fault.
    pub(crate) fn fault(&mut self, fault: &Fault) {
        self.fault = Some(written(fault));
    }

    /// Completes the recording.
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
            // If this fails, the temporary file is left.
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

    /// Milliseconds since the last call, or since the recording started.
    fn pause(&mut self) -> u64 {
        let last = std::mem::replace(&mut self.last, Instant::now());
        milliseconds(self.last - last)
    }

    /// Starts a wait for the container.
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

/// A script file that is being written.
#[derive(Debug)]
struct Script {
    file: BufWriter<File>,
    path: PathBuf,
    part: PathBuf,
    fields: u64,
    /// Whether the list of chunks is open.
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

/// Bytes as a field: as text under one name, or in Base64 under the other.
fn text<'a>(bytes: &[u8], text: &'a str, base64: &'a str) -> (&'a str, String) {
    match std::str::from_utf8(bytes) {
        Ok(found) => (text, found.into()),
        Err(_) => (base64, STANDARD.encode(bytes)),
    }
}

/// Headers in a script's form. Values other than ASCII text are left out.
fn readable(headers: &HeaderMap) -> BTreeMap<String, String> {
    let readable = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        Some((name.to_string(), value.to_str().ok()?.to_string()))
    };
    headers.iter().filter_map(readable).collect()
}

/// A fault in a script's form.
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
