//! `sagewire decode`: captured bytes, decoded.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sagewire_codec::eventstream::{self, Frame, SNIFF_LEN, Value, looks_like_frames};
use sagewire_codec::model::{ConverseEncoding, ResponseOptions};
use sagewire_codec::{Api, Framing, Layer, Limits, Options, sagemaker, sse};
use serde::{Serialize, Serializer};

use crate::asked;
use crate::fault::{Exit, Fault};
use crate::format::{self, CUSTOM_HELP, Reading, To};
use crate::input::Input;
use crate::output::{Output, Sink, Stream};

/// Arguments of `sagewire decode`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = CUSTOM_HELP)]
pub(crate) struct Args {
    /// What the bytes are: event-stream frames with the container's bytes in them, or those bytes themselves
    #[arg(long, value_enum, default_value_t, value_name = "FRAMING")]
    framing: FramingArg,
    /// What the records mean
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = format::responses_read())]
    from: Reading,
    /// What to print
    #[arg(long, value_name = "WHAT", default_value = "text", value_parser = format::printed_of_captures())]
    to: To,
    #[command(flatten)]
    asked: asked::Args,
    /// Feed the decoder so many bytes at a time, at most; the output is the same for every number
    #[arg(long, value_name = "N", default_value = "65536")]
    chunk: NonZeroUsize,
    /// Refuse frames with a payload of more than so many bytes
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT.payload)]
    max_frame: usize,
    /// The captured bytes; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum FramingArg {
    /// Tell frames from text by the first bytes
    #[default]
    Auto,
    /// AWS event-stream frames
    #[value(name = "eventstream")]
    EventStream,
    /// Server-sent events
    Sse,
    /// JSON lines
    #[value(name = "jsonl")]
    JsonLines,
}

/// Decodes, and prints as it goes.
pub(crate) fn run(args: &Args, verbose: bool) -> Result<(), Fault> {
    let fits = match args.to {
        To::Frames => matches!(args.framing, FramingArg::Auto | FramingArg::EventStream),
        To::Sse => args.framing != FramingArg::JsonLines,
        _ => true,
    };
    if !fits {
        return Err(Fault::usage("--to frames and --to sse cannot be read from another --framing"));
    }
    let api = match args.to {
        To::Api(api) => Some(api),
        To::ConverseFrames => Some(Api::Converse),
        _ => None,
    };
    let names = args.asked.tool_names(&args.from, api)?;
    let input = Input::open(&args.file, args.chunk.get())?;
    let sink = match args.to {
        To::Text => Sink::Text,
        To::Events => Sink::Events,
        To::Api(api) => Sink::stream(api, ResponseOptions::new().encoding(ConverseEncoding::JsonLines)),
        To::ConverseFrames => Sink::stream(Api::Converse, ResponseOptions::new()),
        To::Frames => return flushed(|output| frames(input, args.limits(), output)),
        To::Sse => return flushed(|output| events(input, args.framing, args.limits(), output)),
    };
    let mut stream = Stream::new(args.options(), sink, verbose);
    stream.set_tool_names(names);
    chat(input, stream)
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

fn chat(mut input: Input, mut stream: Stream) -> Result<(), Fault> {
    while let Some(chunk) = input.next()? {
        stream.feed(chunk)?;
    }
    stream.finish()
}

/// Writes what `decode` has decoded also where it fails.
fn flushed(decode: impl FnOnce(&mut Output) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut output = Output::default();
    let ending = decode(&mut output);
    output.flush()?;
    ending
}

fn frames(mut input: Input, limits: Limits, output: &mut Output) -> Result<(), Fault> {
    let mut decoder = eventstream::Decoder::with_limits(limits);
    while let Some(mut chunk) = input.next()? {
        while let Some(frame) = decoder.decode(&mut chunk)? {
            write_line(&FrameLine::new(&frame), output)?;
        }
        output.flush()?;
    }
    Ok(decoder.finish()?)
}

fn events(mut input: Input, framing: FramingArg, limits: Limits, output: &mut Output) -> Result<(), Fault> {
    let mut events = sse::Decoder::with_limits(limits);
    let framed = match framing {
        FramingArg::Auto => looks_like_frames(input.peek(SNIFF_LEN)?),
        framing => framing == FramingArg::EventStream,
    };
    if framed {
        let mut frames = eventstream::Decoder::with_limits(limits);
        let mut offset = 0;
        while let Some(mut chunk) = input.next()? {
            while let Some(frame) = frames.decode(&mut chunk)? {
                match sagemaker::Event::parse(&frame) {
                    sagemaker::Event::PayloadPart(_) => {
                        write_events(&mut events, frame.payload_bytes(), output)?;
                    }
                    sagemaker::Event::Failure(failure) => {
                        let line = format!("{}: byte {offset}: {failure}", Layer::SageMaker);
                        return Err(Fault::Line(Exit::Failed, line));
                    }
                    _ => {}
                }
                offset += frame.as_bytes().len();
            }
            output.flush()?;
        }
        frames.finish()?;
    } else {
        while let Some(chunk) = input.next()? {
            write_events(&mut events, chunk, output)?;
            output.flush()?;
        }
    }
    Ok(events.finish()?)
}

fn write_events(events: &mut sse::Decoder, mut chunk: Bytes, output: &mut Output) -> Result<(), Fault> {
    while let Some(sse::Event { event, data, id, retry }) = events.decode(&mut chunk)? {
        write_line(&EventLine { event: &event, data: &data, id: &id, retry }, output)?;
    }
    Ok(())
}

fn write_line(line: &impl Serialize, output: &mut Output) -> Result<(), Fault> {
    let buffer = output.buffer();
    serde_json::to_writer(&mut *buffer, line)
        .expect("strings and numbers are JSON, and memory can be written to");
    buffer.push(b'\n');
    output.relieve()
}

/// A server-sent event as a line of JSON.
#[derive(Serialize)]
struct EventLine<'a> {
    event: &'a str,
    data: &'a str,
    id: &'a str,
    retry: Option<u64>,
}

/// A frame as a line of JSON.
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

/// Groups of 8, 4, 4, 4 and 12 digits.
fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
