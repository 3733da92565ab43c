//! Writes events to standard output. Every command that decodes a stream uses this.

use std::io::{self, IsTerminal, Write};

use bytes::Bytes;
use sagewire_codec::model::{Event, FinishReason, Losses, Response, ResponseOptions, ToolNames};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Writer, write_response};
use sagewire_eval::visible;

use crate::fault::{Fault, note};
use crate::progress::Progress;
use crate::unrecognized::{Origin, Recognition, START_LEN};

/// The buffer is written when it holds this many bytes, so that a large chunk does not need a large buffer.
const BUFFER_LEN: usize = 64 * 1024;

/// Arguments about the output.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Send control characters to the terminal as they are, instead of showing them
    #[arg(long)]
    raw: bool,
}

/// A buffer in front of standard output. Nothing is written until it is [flushed](Self::flush) or full. On a terminal, control
/// characters are shown instead of sent; a pipe or a file receives the exact bytes.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    is_raw: bool,
}

impl Output {
    /// An output with the arguments of the user.
    pub(crate) fn new(args: Args) -> Self {
        Self { is_raw: args.raw, ..Self::default() }
    }

    /// The buffer, to append to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn is_full(&self) -> bool {
        self.buffer.len() >= BUFFER_LEN
    }

    /// Writes the buffer if it is full.
    pub(crate) fn flush_if_full(&mut self) -> Result<(), Fault> {
        if self.is_full() { self.flush() } else { Ok(()) }
    }

    /// Writes the buffer.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = if self.is_raw || !stdout.is_terminal() {
            let written = stdout.write_all(&self.buffer);
            self.buffer.clear();
            written
        } else {
            let mut text = String::with_capacity(self.buffer.len());
            visible::text(&mut self.buffer, &mut text);
            stdout.write_all(text.as_bytes())
        };
        written.and_then(|()| stdout.flush()).map_err(|error| Fault::output(&error))
    }
}

/// Prints a text.
pub(crate) fn print(text: &str) -> Result<(), Fault> {
    let mut output = Output::default();
    output.buffer().extend_from_slice(text.as_bytes());
    output.flush()
}

/// Ends the line after a response. On a terminal it has been ended already.
pub(crate) fn end_line() -> Result<(), Fault> {
    if io::stdout().is_terminal() { Ok(()) } else { print("\n") }
}

/// The output format of a stream.
#[derive(Debug)]
pub(crate) enum Sink {
    /// The text of the first choice.
    Text,
    /// One event per line, as JSON.
    Events,
    /// A stream of an API.
    Stream(Box<Writer>),
    /// A non-streaming response of an API.
    Response(Box<ResponseSink>),
}

/// Collects a response, and writes it when it is complete.
#[derive(Debug)]
pub(crate) struct ResponseSink {
    api: Api,
    options: ResponseOptions,
    response: Response,
    losses: Losses,
}

impl Sink {
    /// Writes a stream of an API, which the arguments have restricted to those that have a writer.
    pub(crate) fn stream(api: Api, options: ResponseOptions) -> Self {
        Self::Stream(Box::new(
            Writer::new(api, options).expect("the arguments accept only APIs that have a writer"),
        ))
    }

    /// Writes a non-streaming response of an API.
    pub(crate) fn response(api: Api, options: ResponseOptions) -> Self {
        let (response, losses) = (Response::default(), Losses::default());
        Self::Response(Box::new(ResponseSink { api, options, response, losses }))
    }

    fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Text => {
                if let Event::TextDelta { choice: 0, text, .. } = event {
                    out.extend_from_slice(text.as_bytes());
                }
            }
            Self::Events => {
                let start = out.len();
                serde_json::to_writer(&mut *out, event).expect("events can be serialized");
                // JSON of the source is passed through as it is, and may contain line breaks between tokens.
                for byte in &mut out[start..] {
                    if matches!(byte, b'\n' | b'\r') {
                        *byte = b' ';
                    }
                }
                out.push(b'\n');
            }
            Self::Stream(writer) => writer.write(event, out),
            Self::Response(sink) => sink.response.add(event),
        }
    }

    /// Records the position of the last event in the source, for the losses that it has caused.
    fn mark(&mut self, decoder: &Decoder) {
        match self {
            Self::Text | Self::Events => {}
            Self::Stream(writer) => writer.locate_losses(|| decoder.pointer()),
            Self::Response(sink) => sink.response.mark(decoder),
        }
    }

    fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        match self {
            // A shell prompt belongs on its own line; in a file all bytes are the model's.
            Self::Text if io::stdout().is_terminal() => out.push(b'\n'),
            Self::Text | Self::Events => {}
            Self::Stream(writer) => writer.finish(ending, out),
            Self::Response(sink) if ending.is_ok() => {
                let (body, losses) = write_response(sink.api, &sink.response, &sink.options)
                    .expect("the arguments accept only APIs that have a writer");
                out.extend(body);
                out.push(b'\n');
                sink.losses = losses;
            }
            Self::Response(_) => {}
        }
    }

    fn losses(&self) -> Option<&Losses> {
        match self {
            Self::Text | Self::Events => None,
            Self::Stream(writer) => Some(writer.losses()),
            Self::Response(sink) => Some(&sink.losses),
        }
    }
}

/// Decodes a stream and writes it to standard output.
#[derive(Debug)]
pub(crate) struct Stream {
    decoder: Decoder,
    names: ToolNames,
    origin: Origin,
    /// The first bytes of the input, to describe it if it is not recognized.
    start: Vec<u8>,
    /// The connection broke off.
    is_broken: bool,
    printer: Printer,
}

impl Stream {
    /// Decodes with `options` and writes through `sink` to `output`. Losses are printed if `verbose`.
    pub(crate) fn new(options: Options, sink: Sink, output: Output, origin: Origin, verbose: bool) -> Self {
        let printer = Printer {
            sink,
            output,
            recognition: Recognition::default(),
            progress: Progress::hidden(),
            response: None,
            verbose,
            is_cut: false,
        };
        let decoder = Decoder::with_options(options);
        Self { decoder, names: ToolNames::default(), origin, start: Vec::new(), is_broken: false, printer }
    }

    /// Starts to show the progress.
    pub(crate) fn show_progress(&mut self) {
        self.printer.progress = Progress::start();
    }

    /// Removes the progress line.
    pub(crate) fn hide_progress(&mut self) {
        self.printer.progress.clear();
    }

    /// Restores the names of tools that the request could not keep.
    pub(crate) fn set_tool_names(&mut self, names: ToolNames) {
        self.names = names;
    }

    /// Collects the response as well.
    pub(crate) fn collect(&mut self) {
        self.printer.response = Some(Response::default());
    }

    /// The collected response, however it ended.
    pub(crate) fn into_response(self) -> Option<Response> {
        self.printer.response
    }

    /// The connection broke off, so that the input may be recognized if it were complete.
    pub(crate) fn set_broken(&mut self) {
        self.is_broken = true;
    }

    /// Replaces the options of the decoder. Has to precede the first chunk.
    pub(crate) fn set_options(&mut self, options: Options) {
        self.decoder = Decoder::with_options(options);
    }

    /// Writes what was received of a response that the user has stopped.
    pub(crate) fn stop(&mut self) -> Result<(), Fault> {
        self.hide_progress();
        if let (Sink::Text, true) = (&self.printer.sink, io::stdout().is_terminal()) {
            self.printer.output.buffer().push(b'\n');
        }
        self.printer.output.flush()
    }

    /// Decodes a chunk and writes its events.
    pub(crate) fn feed(&mut self, mut chunk: Bytes) -> Result<(), Fault> {
        let missing = START_LEN - self.start.len();
        self.start.extend_from_slice(&chunk[..chunk.len().min(missing)]);
        loop {
            match self.decoder.decode(&mut chunk) {
                Ok(Some(event)) => {
                    self.printer.write(&self.names.restore(event));
                    self.printer.sink.mark(&self.decoder);
                    self.printer.flush_if_full()?;
                }
                Ok(None) => return self.printer.flush(),
                Err(error) => return self.end(Err(error)),
            }
        }
    }

    /// Ends the input: writes the remaining events and returns how the stream ended.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        loop {
            match self.decoder.finish() {
                Ok(Some(event)) => {
                    self.printer.write(&self.names.restore(event));
                    self.printer.sink.mark(&self.decoder);
                    self.printer.flush_if_full()?;
                }
                Ok(None) => return self.end(Ok(())),
                Err(error) => return self.end(Err(error)),
            }
        }
    }

    fn end(&mut self, ending: Result<(), DecodeError>) -> Result<(), Fault> {
        self.printer.end(ending.as_ref().copied())?;
        let recognition = &self.printer.recognition;
        match ending {
            Ok(()) => recognition.check_malformed(),
            Err(error) if self.is_broken => Err(error.into()),
            Err(error) => Err(recognition.fault(error, self.origin, &self.start)),
        }
    }

    /// Whether the response ended at a token limit.
    pub(crate) fn is_cut(&self) -> bool {
        self.printer.is_cut
    }

    /// Sets the latency in milliseconds, for the APIs that report it.
    pub(crate) fn set_latency_ms(&mut self, milliseconds: u64) {
        match &mut self.printer.sink {
            Sink::Stream(writer) => writer.set_latency_ms(milliseconds),
            Sink::Response(sink) => sink.options = sink.options.clone().latency_ms(milliseconds),
            Sink::Text | Sink::Events => {}
        }
    }
}

/// The part of a stream that takes events.
#[derive(Debug)]
struct Printer {
    sink: Sink,
    output: Output,
    recognition: Recognition,
    progress: Progress,
    /// The collected response, if it is needed.
    response: Option<Response>,
    verbose: bool,
    /// A choice ended at a token limit.
    is_cut: bool,
}

impl Printer {
    fn write(&mut self, event: &Event<'_>) {
        self.recognition.see(event);
        self.is_cut |= matches!(event, Event::Finish { reason: FinishReason::Length, .. });
        self.progress.see(event);
        if let Some(response) = &mut self.response {
            response.add(event);
        }
        self.sink.write(event, self.output.buffer());
    }

    fn flush_if_full(&mut self) -> Result<(), Fault> {
        if self.output.is_full() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if !self.output.is_empty() {
            self.progress.make_room();
        }
        self.output.flush()
    }

    fn end(&mut self, ending: Result<(), &DecodeError>) -> Result<(), Fault> {
        self.progress.clear();
        self.sink.finish(ending, self.output.buffer());
        self.output.flush()?;
        if let (true, Some(losses)) = (self.verbose, self.sink.losses()) {
            losses.as_slice().iter().for_each(|loss| note(&format!("loss: {loss}")));
        }
        Ok(())
    }
}
