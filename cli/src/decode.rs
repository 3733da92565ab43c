//! `sagewire decode`: decodes captured bytes.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sagewire_codec::eventstream::{self, Frame, SNIFF_LEN, Value, looks_like_frames};
use sagewire_codec::model::{ConverseEncoding, ResponseOptions};
use sagewire_codec::{Api, Failure, Framing, Layer, Limits, Options, sagemaker, sse};
use serde::{Serialize, Serializer};

use crate::fault::{Exit, Fault};
use crate::format::{self, CUSTOM_HELP, Reading, To};
use crate::input::Input;
use crate::output::{self, Output, Sink, Stream};
use crate::tool_names;
use crate::unrecognized::{self, Content, Origin, START_LEN};

/// Arguments of `sagewire decode`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = CUSTOM_HELP)]
pub(crate) struct Args {
    /// Framing of the input
    #[arg(long, value_enum, default_value_t, value_name = "FRAMING")]
    framing: FramingArg,
    /// Format of the records (see sagewire formats)
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "auto",
        hide_possible_values = true,
        value_parser = format::responses_read()
    )]
    from: Reading,
    /// Output: text, events, frames, sse, bedrock-wire, or an API that sagewire formats lists
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true,
        value_parser = format::printed_of_captures(),
        long_help = TO_HELP
    )]
    to: To,
    #[command(flatten)]
    tool_names: tool_names::Args,
    /// Maximum bytes per decoder call; the output is the same for every value
    #[arg(long, value_name = "N", default_value = "65536")]
    chunk: NonZeroUsize,
    /// Maximum payload of a frame in bytes
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT.payload)]
    max_frame: usize,
    /// Print losses of the conversion to standard error
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    output: output::Args,
    /// Input file; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

const TO_HELP: &str = "\
Output format:
  text          text of the first choice
  events        canonical events, one per line as JSON
  frames        event-stream frames, one per line as JSON
  sse           server-sent events, one per line as JSON
  bedrock-wire  Bedrock ConverseStream, as binary event-stream frames
  any API whose streams sagewire formats lists as written";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum FramingArg {
    /// detected by the first bytes
    #[default]
    Auto,
    /// AWS event-stream frames
    #[value(name = "eventstream")]
    EventStream,
    /// server-sent events
    Sse,
    /// JSON lines
    #[value(name = "jsonl")]
    JsonLines,
}

/// Decodes the input and prints the output as it is available.
pub(crate) fn run(args: &Args) -> Result<(), Fault> {
    decode(args).map_err(|fault| fault.in_file(&args.file))
}

fn decode(args: &Args) -> Result<(), Fault> {
    let fits = match args.to {
        To::Frames => matches!(args.framing, FramingArg::Auto | FramingArg::EventStream),
        To::Sse => args.framing != FramingArg::JsonLines,
        _ => true,
    };
    if !fits {
        return Err(Fault::usage("--to frames and --to sse cannot be combined with this --framing"));
    }
    let names = args.tool_names.tool_names(&args.from)?;
    let input = Input::open(&args.file, args.chunk.get())?;
    let sink = match args.to {
        To::Text => Sink::Text,
        To::Events => Sink::Events,
        To::Api(api) => Sink::stream(api, ResponseOptions::new().encoding(ConverseEncoding::JsonLines)),
        To::ConverseFrames => Sink::stream(Api::Converse, ResponseOptions::new()),
        To::Frames => return flushed(args.output, |output| frames(input, args.limits(), output)),
        To::Sse => return flushed(args.output, |output| events(input, args.framing, args.limits(), output)),
    };
    let mut stream = Stream::new(args.options(), sink, Output::new(args.output), Origin::Input, args.verbose);
    stream.set_tool_names(names);
    records(input, stream)
}

impl Args {
    fn options(&self) -> Options {
        let framing = match self.framing {
            FramingArg::Auto => Framing::Auto,
            FramingArg::EventStream => Framing::EventStream,
            FramingArg::Sse => Framing::Sse,
            FramingArg::JsonLines => Framing::JsonLines,
        };
        self.from.apply(Options::new().framing(framing).limits(self.limits()))
    }

    fn limits(&self) -> Limits {
        Limits { payload: self.max_frame, ..Limits::DEFAULT }
    }
}

fn records(mut input: Input, mut stream: Stream) -> Result<(), Fault> {
    while let Some(chunk) = input.next()? {
        stream.feed(chunk)?;
    }
    stream.finish()
}

/// Writes the output also if `decode` fails.
fn flushed(args: output::Args, decode: impl FnOnce(&mut Output) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut output = Output::new(args);
    let ending = decode(&mut output);
    output.flush()?;
    ending
}

/// Prints all frames. The first exception or error frame makes the command fail at the end.
fn frames(mut input: Input, limits: Limits, output: &mut Output) -> Result<(), Fault> {
    let mut decoder = eventstream::Decoder::with_limits(limits);
    let (mut offset, mut ending) = (0, Ok(()));
    while let Some(mut chunk) = input.next()? {
        while let Some(frame) = decoder.decode(&mut chunk)? {
            write_line(&FrameLine::new(&frame), output)?;
            if let (Ok(()), sagemaker::Event::Failure(failure)) = (&ending, sagemaker::Event::parse(&frame)) {
                ending = Err(failure_at(offset, &failure));
            }
            offset += frame.as_bytes().len();
        }
        output.flush()?;
    }
    decoder.finish()?;
    ending
}

fn failure_at(offset: usize, failure: &Failure) -> Fault {
    Fault::Line(Exit::Failed, format!("{}: byte {offset}: {failure}", Layer::SageMaker))
}

/// Prints server-sent events. Text without any event is valid; HTML or binary data is not.
fn events(mut input: Input, framing: FramingArg, limits: Limits, output: &mut Output) -> Result<(), Fault> {
    let mut events = Events { decoder: sse::Decoder::with_limits(limits), count: 0 };
    let has_frames = match framing {
        FramingArg::Auto => looks_like_frames(input.peek(SNIFF_LEN)?),
        framing => framing == FramingArg::EventStream,
    };
    let (mut frames, mut offset) = (eventstream::Decoder::with_limits(limits), 0);
    let mut start = Vec::new();
    while let Some(mut chunk) = input.next()? {
        start.extend_from_slice(&chunk[..chunk.len().min(START_LEN - start.len())]);
        if !has_frames {
            events.write(chunk, output)?;
            output.flush()?;
            continue;
        }
        while let Some(frame) = frames.decode(&mut chunk)? {
            match sagemaker::Event::parse(&frame) {
                sagemaker::Event::PayloadPart(_) => events.write(frame.payload_bytes(), output)?,
                sagemaker::Event::Failure(failure) => return Err(failure_at(offset, &failure)),
                _ => {}
            }
            offset += frame.as_bytes().len();
        }
        output.flush()?;
    }
    if has_frames {
        frames.finish()?;
    }
    let content = Content::of(&start);
    if events.count == 0 && matches!(content, Content::Gzip | Content::Html | Content::Xml | Content::Binary)
    {
        return Err(unrecognized::fault(Origin::Input, content, ""));
    }
    Ok(events.decoder.finish()?)
}

/// Decodes and prints server-sent events.
struct Events {
    decoder: sse::Decoder,
    count: u64,
}

impl Events {
    fn write(&mut self, mut chunk: Bytes, output: &mut Output) -> Result<(), Fault> {
        while let Some(sse::Event { event, data, id, retry }) = self.decoder.decode(&mut chunk)? {
            self.count += 1;
            write_line(&EventLine { event: &event, data: &data, id: &id, retry }, output)?;
        }
        Ok(())
    }
}

fn write_line(line: &impl Serialize, output: &mut Output) -> Result<(), Fault> {
    let buffer = output.buffer();
    serde_json::to_writer(&mut *buffer, line).expect("strings and numbers can be serialized");
    buffer.push(b'\n');
    output.flush_if_full()
}

/// A server-sent event, as a line of JSON.
#[derive(Serialize)]
struct EventLine<'a> {
    event: &'a str,
    data: &'a str,
    id: &'a str,
    retry: Option<u64>,
}

/// A frame, as a line of JSON.
#[derive(Serialize)]
struct FrameLine<'a> {
    headers: Vec<HeaderLine<'a>>,
    #[serde(serialize_with = "base64")]
    payload: &'a [u8],
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(serialize_with = "value")]
    value: Value<'a>,
}

impl<'a> FrameLine<'a> {
    fn new(frame: &Frame<'a>) -> Self {
        let headers = frame.headers().iter().map(|header| HeaderLine {
            name: header.name,
            kind: header.value.type_name(),
            value: header.value,
        });
        Self { headers: headers.collect(), payload: frame.payload() }
    }
}

fn value<S: Serializer>(value: &Value<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        Value::Bool(bool) => serializer.serialize_bool(bool),
        Value::Byte(number) => serializer.serialize_i8(number),
        Value::Short(number) => serializer.serialize_i16(number),
        Value::Integer(number) => serializer.serialize_i32(number),
        Value::Long(number) | Value::Timestamp(number) => serializer.serialize_i64(number),
        Value::ByteArray(bytes) => base64(&bytes, serializer),
        Value::String(text) => serializer.serialize_str(text),
        Value::Uuid(bytes) => serializer.serialize_str(&uuid(bytes)),
    }
}

fn base64<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

/// Formats a UUID in groups of 8, 4, 4, 4 and 12 digits.
fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
