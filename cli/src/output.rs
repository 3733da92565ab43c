//! From chat events to standard output: the one path that every command's stream takes.

use std::io::{self, IsTerminal, Write};

use bytes::Bytes;
use sagewire_codec::model::{Event, FinishReason, Losses, Response, ResponseOptions, ToolNames};
use sagewire_codec::{Api, DecodeError, Decoder, Layer, Options, Writer, write_response};

use crate::fault::{Exit, Fault, note};
use crate::progress::Progress;

/// Bytes that are gathered before they are written: one large chunk must not become one huge write.
const PIECE: usize = 64 * 1024;

/// Standard output, of which nothing is written until it is [flushed](Self::flush) or has become much.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
}

impl Output {
    /// Where the next bytes are to be appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Nothing was gathered.
    fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Much was gathered.
    fn is_much(&self) -> bool {
        self.buffer.len() >= PIECE
    }

    /// Writes what was gathered, if that is much.
    pub(crate) fn relieve(&mut self) -> Result<(), Fault> {
        if self.is_much() { self.flush() } else { Ok(()) }
    }

    /// Writes what was gathered.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.buffer).and_then(|()| stdout.flush());
        self.buffer.clear();
        written.map_err(|error| Fault::output(&error))
    }
}

/// Prints a text.
pub(crate) fn print(text: &str) -> Result<(), Fault> {
    let mut output = Output::default();
    output.buffer().extend_from_slice(text.as_bytes());
    output.flush()
}

/// Begins a new line between answers. A terminal has got one already.
pub(crate) fn end_line() -> Result<(), Fault> {
    if io::stdout().is_terminal() { Ok(()) } else { print("\n") }
}

/// What chat events are written as.
#[derive(Debug)]
pub(crate) enum Sink {
    /// The text of the first choice.
    Text,
    /// One event as JSON a line.
    Events,
    /// The stream of an API.
    Stream(Box<Writer>),
    /// The whole answer of an API.
    Whole(Box<Whole>),
}

/// A whole answer, which is written when it is complete.
#[derive(Debug)]
pub(crate) struct Whole {
    target: Api,
    context: ResponseOptions,
    response: Response,
    losses: Losses,
}

impl Sink {
    /// Writes the stream of an API, which is one of those that have a writer.
    pub(crate) fn stream(target: Api, context: ResponseOptions) -> Self {
        Self::Stream(Box::new(
            Writer::new(target, context).expect("the arguments name APIs that have a writer"),
        ))
    }

    pub(crate) fn whole(target: Api, context: ResponseOptions) -> Self {
        let (response, losses) = (Response::default(), Losses::default());
        Self::Whole(Box::new(Whole { target, context, response, losses }))
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
                serde_json::to_writer(&mut *out, event)
                    .expect("events are JSON, and memory can be written to");
                // The source's own JSON is passed on as it is, and may have lines; strings have none.
                for byte in &mut out[start..] {
                    if matches!(byte, b'\n' | b'\r') {
                        *byte = b' ';
                    }
                }
                out.push(b'\n');
            }
            Self::Stream(writer) => writer.write(event, out),
            Self::Whole(whole) => whole.response.add(event),
        }
    }

    /// Remembers where that stood which was written last, if it was lost.
    fn mark(&mut self, decoder: &Decoder) {
        match self {
            Self::Text | Self::Events => {}
            Self::Stream(writer) => writer.locate_losses(|| decoder.pointer()),
            Self::Whole(whole) => whole.response.mark(decoder),
        }
    }

    fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        match self {
            // The prompt of a shell belongs on a line of its own; in a file every byte is the model's.
            Self::Text if io::stdout().is_terminal() => out.push(b'\n'),
            Self::Text | Self::Events => {}
            Self::Stream(writer) => writer.finish(ending, out),
            Self::Whole(whole) if ending.is_ok() => {
                let (body, losses) = write_response(whole.target, &whole.response, &whole.context)
                    .expect("the arguments name APIs that have a writer");
                out.extend(body);
                out.push(b'\n');
                whole.losses = losses;
            }
            Self::Whole(_) => {}
        }
    }

    fn losses(&self) -> Option<&Losses> {
        match self {
            Self::Text | Self::Events => None,
            Self::Stream(writer) => Some(writer.losses()),
            Self::Whole(whole) => Some(&whole.losses),
        }
    }
}

/// A stream on its way from bytes to standard output.
#[derive(Debug)]
pub(crate) struct Stream {
    decoder: Decoder,
    names: ToolNames,
    printer: Printer,
}

impl Stream {
    /// A stream that is written to `sink`; what gets lost is told if `verbose`.
    pub(crate) fn new(options: Options, sink: Sink, verbose: bool) -> Self {
        let printer = Printer {
            sink,
            output: Output::default(),
            malformed: Malformed::default(),
            progress: Progress::none(),
            response: None,
            verbose,
            is_told: false,
            is_cut: false,
        };
        Self { decoder: Decoder::with_options(options), names: ToolNames::default(), printer }
    }

    /// Shows how it goes, from now on.
    pub(crate) fn show_progress(&mut self) {
        self.printer.progress = Progress::start();
    }

    /// Shows no more how it goes.
    pub(crate) fn hide_progress(&mut self) {
        self.printer.progress.clear();
    }

    /// Gives tools the names back that the request could not keep.
    pub(crate) fn set_tool_names(&mut self, names: ToolNames) {
        self.names = names;
    }

    /// Keeps the answer as well.
    pub(crate) fn keep(&mut self) {
        self.printer.response = Some(Response::default());
    }

    /// What was kept of the answer, however it ended.
    pub(crate) fn into_response(self) -> Option<Response> {
        self.printer.response
    }

    /// Reads what is to come as `options` say.
    pub(crate) fn set_options(&mut self, options: Options) {
        self.decoder = Decoder::with_options(options);
    }

    /// Writes what came, of an answer that nobody waits for any longer.
    pub(crate) fn stop(&mut self) -> Result<(), Fault> {
        self.hide_progress();
        if let (Sink::Text, true) = (&self.printer.sink, io::stdout().is_terminal()) {
            self.printer.output.buffer().push(b'\n');
        }
        self.printer.output.flush()
    }

    /// Decodes a chunk, and writes all that it becomes.
    pub(crate) fn feed(&mut self, mut chunk: Bytes) -> Result<(), Fault> {
        loop {
            match self.decoder.decode(&mut chunk) {
                Ok(Some(event)) => {
                    self.printer.write(&self.names.restore(event));
                    self.printer.sink.mark(&self.decoder);
                    self.printer.relieve()?;
                }
                Ok(None) => return self.printer.flush(),
                Err(error) => return self.printer.end(Err(error)),
            }
        }
    }

    /// The end of the input: writes what was held back, and says how the stream ended.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        loop {
            match self.decoder.finish() {
                Ok(Some(event)) => {
                    self.printer.write(&self.names.restore(event));
                    self.printer.sink.mark(&self.decoder);
                    self.printer.relieve()?;
                }
                Ok(None) => return self.printer.end(Ok(())),
                Err(error) => return self.printer.end(Err(error)),
            }
        }
    }

    /// Whether the answer ended at a limit of tokens.
    pub(crate) fn is_cut(&self) -> bool {
        self.printer.is_cut
    }

    /// How long the answer took, for the target that has a place for it.
    pub(crate) fn set_latency_ms(&mut self, milliseconds: u64) {
        match &mut self.printer.sink {
            Sink::Stream(writer) => writer.set_latency_ms(milliseconds),
            Sink::Whole(whole) => whole.context = whole.context.clone().latency_ms(milliseconds),
            Sink::Text | Sink::Events => {}
        }
    }
}

/// The half of a stream that takes events.
#[derive(Debug)]
struct Printer {
    sink: Sink,
    output: Output,
    malformed: Malformed,
    progress: Progress,
    /// The answer, where somebody wants to have it.
    response: Option<Response>,
    verbose: bool,
    /// Something was understood.
    is_told: bool,
    /// A choice ended at a limit of tokens.
    is_cut: bool,
}

impl Printer {
    fn write(&mut self, event: &Event<'_>) {
        self.malformed.see(event);
        self.is_told |= !matches!(event, Event::Malformed { .. } | Event::Other { .. });
        self.is_cut |= matches!(event, Event::Finish { reason: FinishReason::Length, .. });
        self.progress.see(event);
        if let Some(response) = &mut self.response {
            response.add(event);
        }
        self.sink.write(event, self.output.buffer());
    }

    fn relieve(&mut self) -> Result<(), Fault> {
        if self.output.is_much() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if !self.output.is_empty() {
            self.progress.make_room();
        }
        self.output.flush()
    }

    fn end(&mut self, ending: Result<(), DecodeError>) -> Result<(), Fault> {
        self.progress.clear();
        self.sink.finish(ending.as_ref().copied(), self.output.buffer());
        self.output.flush()?;
        if let (true, Some(losses)) = (self.verbose, self.sink.losses()) {
            losses.as_slice().iter().for_each(|loss| note(&format!("loss: {loss}")));
        }
        match ending {
            Ok(()) => self.malformed.check(),
            // All of it was read, and none of it was understood.
            Err(error)
                if error.is_truncated()
                    && error.layer() == Layer::Format
                    && error.offset() > 0
                    && !self.is_told =>
            {
                let hint = "nothing of it is of the format that it was read as, see --from";
                Err(Fault::Line(Exit::Truncated, format!("{error}; hint: {hint}")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The records that could not be read.
#[derive(Debug, Default)]
struct Malformed {
    count: u64,
    /// Offset of the first, and what is wrong with it.
    first: Option<(u64, String)>,
}

impl Malformed {
    fn see(&mut self, event: &Event<'_>) {
        if let Event::Malformed { offset, reason, .. } = event {
            self.count += 1;
            self.first.get_or_insert_with(|| (*offset, reason.to_string()));
        }
    }

    /// A stream that is complete but for such records is corrupt after all.
    fn check(&self) -> Result<(), Fault> {
        let Some((offset, reason)) = &self.first else { return Ok(()) };
        let more = match self.count - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Err(Fault::Line(Exit::Corrupt, format!("format: byte {offset}: malformed record: {reason}{more}")))
    }
}
