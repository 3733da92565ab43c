//! `sagewire demo`: a streamed call against a local emulator, without an AWS account.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use sagewire_codec::model::{
    ConverseEncoding, Event, Param, Request as ChatRequest, ResponseOptions, Role, Usage,
};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Transcoder, eventstream};
use sagewire_emulator::{ACCESS_KEY_ID, ContainerFormat, Emulator, SECRET_ACCESS_KEY, echo};
use sagewire_transport_reqwest::{Client, Credentials, Request};

use crate::call_error::{CONTAINER, call_failed, setup_failed};
use crate::chat_request;
use crate::fault::{Exit, Fault};
use crate::format::{self, Container};
use crate::output::Output;
use crate::request;

const ENDPOINT: &str = "demo-llm";
const REGION: &str = "us-east-1";
const PROMPT: &str = "Do привет, γειά σου, 你好 and こんにちは 👋 survive the way to me?";
/// Token limit: above the length of the response, and above the default limit of most containers.
const TOKENS: u64 = 500;
/// Number of lines of the conversion that are printed, at its beginning and at its end.
const EXCERPT: usize = 3;

const NO_END_MARKER: &str = "not reported by this container, so the conversion below ends with an error";

/// Arguments of `sagewire demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Container to call
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = format::emulated_texts())]
    format: ContainerFormat,
    /// Seed of the random cuts of the stream
    #[arg(long, value_name = "N", default_value_t = Args::default().seed)]
    seed: u64,
    /// Pause between chunks in milliseconds
    #[arg(long, value_name = "MS", default_value_t = Args::default().pause_ms)]
    pause_ms: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { format: ContainerFormat::default(), seed: 1, pause_ms: 2 }
    }
}

/// Calls the emulator, prints the response, and then explains how it was received.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let pause = Duration::from_millis(args.pause_ms);
    let emulator = Emulator::builder().format(args.format).seed(args.seed).pause(pause).start().await;
    let emulator = emulator.map_err(|error| Fault::Line(Exit::Failed, format!("emulator: {error}")))?;
    let mut output = Output::default();
    print(&mut output, &introduction(&emulator.url(), args))?;
    let received = call(&emulator.url(), args.format, &mut output).await?;
    emulator.stop().await;
    received.check()?;
    print(&mut output, &received.summary(args.pause_ms)?)?;
    print(&mut output, &received.conversion()?)?;
    print(&mut output, &closing(args.format))
}

fn closing(format: ContainerFormat) -> String {
    format!(
        "
What happened: the container's events were cut at arbitrary bytes, wrapped in event-stream frames with two checksums each,
and sent in response to a signed request; then reassembled, decoded to chat events, and written as a stream of another
API. For a real endpoint, run: sagewire chat --endpoint NAME --format {format} \"...\"

Next: sagewire decode --help    decode captured bytes to text, events, or another API
      sagewire emulate          run this endpoint for your own client, with faults if needed
"
    )
}

fn introduction(url: &str, Args { format, seed, .. }: &Args) -> String {
    format!(
        "\
sagewire decodes the streams of language models behind Amazon SageMaker. This demo runs on your machine only.

  call    POST {url}/endpoints/{ENDPOINT}/invocations-response-stream
  signed  AWS Signature Version 4, key {ACCESS_KEY_ID}, region {REGION}; the emulated endpoint verifies it
  format  {format}
  cuts    random, seed {seed}: within events, lines and characters
  prompt  {PROMPT}

"
    )
}

fn print(output: &mut Output, text: &str) -> Result<(), Fault> {
    output.buffer().extend_from_slice(text.as_bytes());
    output.flush()
}

/// A response, and the events in it.
#[derive(Debug, Default)]
struct Received {
    format: ContainerFormat,
    text: String,
    /// The response body: event-stream frames.
    bytes: Bytes,
    events: u64,
    texts: u64,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    first_token: Option<Duration>,
    total: Duration,
}

impl Received {
    fn see(&mut self, event: &Event<'_>, start: Instant, output: &mut Output) {
        self.events += 1;
        match event {
            Event::TextDelta { text, .. } => {
                self.texts += 1;
                self.first_token.get_or_insert_with(|| start.elapsed());
                self.text.push_str(text);
                output.buffer().extend_from_slice(text.as_bytes());
            }
            Event::Finish { reason, .. } => self.finish_reason = Some(reason.as_str().into()),
            Event::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }
}

async fn call(url: &str, format: ContainerFormat, output: &mut Output) -> Result<Received, Fault> {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "demo");
    let client = Client::builder().region(REGION).credentials(credentials).endpoint_url(url);
    let client = client.build().map_err(|error| setup_failed(&error))?;
    let failed = |error| call_failed(&error, &client, CONTAINER);
    let mut received = Received { format, ..Received::default() };
    let mut bytes = BytesMut::new();
    let mut decoder = Decoder::with_options(received.options());
    let start = Instant::now();
    let request = Request::new(ENDPOINT, request_body(format)?);
    let mut response = client.invoke_stream(request).await.map_err(failed)?;
    while let Some(mut chunk) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        while let Some(event) = decoder.decode(&mut chunk)? {
            received.see(&event, start, output);
        }
        output.flush()?;
    }
    // Only the decoder knows whether the response is complete.
    loop {
        match decoder.finish() {
            Ok(Some(event)) => received.see(&event, start, output),
            Ok(None) => break,
            Err(error) => break received.ignore_missing_end(error)?,
        }
    }
    output.flush()?;
    received.total = start.elapsed();
    received.bytes = bytes.freeze();
    Ok(received)
}

/// The body of the request.
fn request_body(format: ContainerFormat) -> Result<Vec<u8>, Fault> {
    let to = Container::emulated(format).request;
    let messages = vec![chat_request::message(Role::User, PROMPT)];
    let mut request = chat_request::request(&to, ChatRequest::default(), messages, true);
    request.max_tokens = Some(Param::new(TOKENS));
    let (body, _) = request::Args::without_template().write(&to, &request)?;
    Ok(body)
}

impl Received {
    fn options(&self) -> Options {
        Container::emulated(self.format).response.apply(Options::new())
    }

    /// Ignores the error of a stream that is complete but has no end marker.
    fn ignore_missing_end(&self, error: DecodeError) -> Result<(), DecodeError> {
        if error.is_truncated() && !chat_request::has_end_marker(self.format) { Ok(()) } else { Err(error) }
    }

    /// Compares the text with what the container has sent.
    fn check(&self) -> Result<(), Fault> {
        if self.text == echo(PROMPT) {
            return Ok(());
        }
        Err(Fault::Line(Exit::Corrupt, "format: the text differs from what the container has sent".into()))
    }

    fn summary(&self, pause_ms: u64) -> Result<String, DecodeError> {
        let Cuts { parts, in_lines, in_characters } = Cuts::of(self.bytes.clone())?;
        let usage = self.usage.unwrap_or_default();
        let number = |count: Option<u64>| count.map_or("?".into(), |count| count.to_string());
        let (input, output) = (number(usage.input_tokens), number(usage.output_tokens));
        let rows = [
            ("parts", format!("{parts}, in {} bytes of frames", self.bytes.len())),
            ("cuts", format!("{in_lines} inside a line, {in_characters} inside a character")),
            ("events", format!("{}, {} of them text", self.events, self.texts)),
            (
                "text",
                format!("complete: {} bytes, identical to what the container has sent", self.text.len()),
            ),
            (
                "ending",
                if chat_request::has_end_marker(self.format) { "complete" } else { NO_END_MARKER }.into(),
            ),
            ("finish reason", self.finish_reason.clone().unwrap_or("none".into())),
            ("usage", format!("{input} tokens in, {output} out")),
            (
                "first token",
                format!("after {:.1} ms", self.first_token.unwrap_or_default().as_secs_f64() * 1000.0),
            ),
            (
                "speed",
                format!(
                    "{:.0} events/s, with a pause of {pause_ms} ms after each chunk; {:.0} for decoding alone",
                    self.events as f64 / self.total.as_secs_f64(),
                    self.events as f64 / self.decode_again()?.as_secs_f64()
                ),
            ),
        ];
        let rows: String = rows.iter().map(|(name, value)| format!("  {name:<15}{value}\n")).collect();
        Ok(format!("\n\n{rows}\n"))
    }

    /// The time that the decoder alone takes for the response.
    fn decode_again(&self) -> Result<Duration, DecodeError> {
        let start = Instant::now();
        let mut decoder = Decoder::with_options(self.options());
        let mut chunk = self.bytes.clone();
        while decoder.decode(&mut chunk)?.is_some() {}
        loop {
            match decoder.finish() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(start.elapsed()),
                Err(error) => return self.ignore_missing_end(error).map(|()| start.elapsed()),
            }
        }
    }

    /// The beginning and the end of the response as a stream of another API.
    fn conversion(&self) -> Result<String, DecodeError> {
        let options = ResponseOptions::new().encoding(ConverseEncoding::JsonLines);
        let mut transcoder =
            Transcoder::new(self.options(), Api::Converse, options).expect("ConverseStream has a writer");
        transcoder.set_latency_ms(self.total.as_millis().try_into().unwrap_or(u64::MAX));
        let mut converted = Vec::new();
        let mut chunk = self.bytes.clone();
        while let Some(piece) = transcoder.decode(&mut chunk)? {
            converted.extend_from_slice(piece);
        }
        loop {
            match transcoder.finish() {
                Ok(Some(piece)) => converted.extend_from_slice(piece),
                Ok(None) => break,
                Err(error) => break self.ignore_missing_end(error)?,
            }
        }
        let converted = String::from_utf8_lossy(&converted);
        let lines: Vec<&str> = converted.lines().collect();
        let (first, rest) = lines.split_at(EXCERPT.min(lines.len()));
        let (hidden, last) = rest.split_at(rest.len().saturating_sub(EXCERPT));
        let indented = |lines: &[&str]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
        let hidden = match hidden.len() {
            0 => String::new(),
            count => format!("  ... {count} more ...\n"),
        };
        Ok(format!(
            "The same response as a stream of another API, Bedrock ConverseStream:\n\n{}{hidden}{}",
            indented(first),
            indented(last)
        ))
    }
}

/// Where the response was cut into parts.
#[derive(Debug, Default)]
struct Cuts {
    parts: u64,
    in_lines: u64,
    in_characters: u64,
}

impl Cuts {
    /// Counts the cuts between the payloads of `frames`.
    fn of(mut frames: Bytes) -> Result<Self, DecodeError> {
        let mut cuts = Self::default();
        let mut decoder = eventstream::Decoder::new();
        let mut previous = b'\n';
        while let Some(frame) = decoder.decode(&mut frames)? {
            let (Some(&first), Some(&last)) = (frame.payload().first(), frame.payload().last()) else {
                continue;
            };
            cuts.parts += 1;
            cuts.in_lines += u64::from(previous != b'\n');
            // In UTF-8, all bytes of a character except the first begin with the bits 10.
            cuts.in_characters += u64::from(first & 0xc0 == 0x80);
            previous = last;
        }
        decoder.finish()?;
        Ok(cuts)
    }
}
