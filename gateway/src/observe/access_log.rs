//! The access log: one JSON line for each request, at its end.
//!
//! Requests append their line to a buffer, which a thread of its own writes. If the disk or the pipe does not keep up, lines
//! are dropped and counted: a log never delays a request.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use super::timestamp::Timestamp;
use crate::config;
use crate::record::Record;

/// Most bytes that wait to be written.
const BUFFER_LEN_MAX: usize = 4 << 20;
/// Lines of this time are written at once.
const GATHER: Duration = Duration::from_millis(20);
/// How long a flush waits for the disk.
const FLUSH_MAX: Duration = Duration::from_secs(2);
/// Most bytes of a text of the line that others choose.
const TEXT_LEN_MAX: usize = 1024;
/// Most losses in a line. Their number is always there.
const LOSSES_MAX: usize = 32;

/// The access log.
#[derive(Debug)]
pub(super) struct AccessLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or the log ends.
    wake: Condvar,
    /// Everything is written.
    written: Condvar,
    dropped: Counter,
}

#[derive(Debug)]
struct State {
    target: config::AccessLog,
    /// A file that was opened in place of the current one.
    opened: Option<Output>,
    lines: Vec<u8>,
    writing: bool,
    closed: bool,
}

#[derive(Debug)]
enum Output {
    Stderr,
    File(File),
    Off,
}

impl AccessLog {
    /// Opens the log and starts its thread.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or there is no thread to be had.
    pub(super) fn new(target: &config::AccessLog, dropped: Counter) -> io::Result<Self> {
        let output = Output::open(target)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                target: target.clone(),
                opened: None,
                lines: Vec::new(),
                writing: false,
                closed: false,
            }),
            wake: Condvar::new(),
            written: Condvar::new(),
            dropped,
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(output))?;
        Ok(Self(shared))
    }

    /// Writes to another target from now on.
    ///
    /// # Errors
    ///
    /// The file cannot be opened; nothing has changed then.
    pub(super) fn reload(&self, target: &config::AccessLog) -> io::Result<()> {
        if self.0.lock().target == *target {
            return Ok(());
        }
        let output = Output::open(target)?;
        let mut state = self.0.lock();
        state.target = target.clone();
        state.opened = Some(output);
        Ok(())
    }

    /// Opens the file again. If that fails, the old one is used.
    pub(super) fn reopen(&self) {
        let target = self.0.lock().target.clone();
        match Output::open(&target) {
            Ok(output) => self.0.lock().opened = Some(output),
            Err(error) => eprintln!("sagewire: {error}"),
        }
    }

    /// Appends the line of a request.
    pub(super) fn write(&self, record: &Record) {
        let mut state = self.0.lock();
        if state.target == config::AccessLog::Off {
            return;
        }
        if state.lines.len() >= BUFFER_LEN_MAX {
            drop(state);
            self.0.dropped.inc();
            return;
        }
        let first = state.lines.is_empty();
        // Writing to memory does not fail, and a line has no maps whose keys are not texts.
        let _ = serde_json::to_writer(&mut state.lines, &Line::new(record));
        state.lines.push(b'\n');
        drop(state);
        if first {
            self.0.wake.notify_one();
        }
    }

    /// Waits until everything is written, for a short time.
    pub(super) fn flush(&self) {
        let state = self.0.lock();
        let _ = self
            .0
            .written
            .wait_timeout_while(state, FLUSH_MAX, |state| state.writing || !state.lines.is_empty());
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until the log is closed.
    fn run(&self, mut output: Output) {
        let mut lines = Vec::new();
        let mut failing = false;
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() && !state.closed {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.lines.is_empty() {
                return;
            }
            if !state.closed {
                drop(state);
                thread::sleep(GATHER);
                state = self.lock();
            }
            if let Some(opened) = state.opened.take() {
                output = opened;
            }
            std::mem::swap(&mut state.lines, &mut lines);
            state.writing = true;
            drop(state);
            let result = output.write(&lines);
            if let Err(error) = &result {
                self.dropped.inc_by(lines.iter().filter(|byte| **byte == b'\n').count() as u64);
                if !failing {
                    eprintln!("sagewire: cannot write the access log: {error}");
                }
            }
            failing = result.is_err();
            lines.clear();
            self.lock().writing = false;
            self.written.notify_all();
        }
    }
}

impl Output {
    fn open(target: &config::AccessLog) -> io::Result<Self> {
        Ok(match target {
            config::AccessLog::Stderr => Self::Stderr,
            config::AccessLog::File(path) => Self::File(open(path)?),
            config::AccessLog::Off => Self::Off,
        })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(file) => file.write_all(lines),
            Self::Off => Ok(()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot open the access log {}: {error}", path.display()))
    })
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "display")]
    time: Timestamp,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    door: &'static str,
    route: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    status: u16,
    ending: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    streamed: bool,
    cached: bool,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_attempt: Option<u32>,
    input_tokens: u64,
    output_tokens: u64,
    tokens_estimated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_ms: Option<f64>,
    total_ms: f64,
    own_ms: f64,
    loss_count: usize,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    losses: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Hex>,
}

impl<'a> Line<'a> {
    fn new(record: &'a Record) -> Self {
        Self {
            time: Timestamp(SystemTime::now()),
            id: &record.id,
            key: record.key.as_deref(),
            door: record.door.as_str(),
            route: record.route,
            model: record.model.as_deref(),
            endpoint: record.endpoint.as_deref(),
            status: record.status,
            ending: record.ending.as_str(),
            error: record.error.map(|error| error.as_str()),
            message: record.message.as_deref().map(shortened),
            streamed: record.streamed,
            cached: record.cached,
            attempts: record.attempts,
            client_attempt: record.client_attempt,
            input_tokens: record.tokens.input,
            output_tokens: record.tokens.output,
            tokens_estimated: record.tokens.estimated,
            first_event_ms: record.first_event.map(milliseconds),
            total_ms: milliseconds(record.total),
            own_ms: milliseconds(record.own),
            loss_count: record.losses.len(),
            losses: &record.losses[..record.losses.len().min(LOSSES_MAX)],
            upstream_id: record.upstream_id.as_deref().map(shortened),
            trace_id: record.trace.map(|trace| Hex(trace.trace_id)),
        }
    }
}

/// Bytes in hexadecimal digits.
struct Hex([u8; 16]);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", u128::from_be_bytes(self.0)))
    }
}

/// Milliseconds, exact to microseconds.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// The start of a text that is too long.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LEN_MAX)]
}

fn display<S: serde::Serializer>(value: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
