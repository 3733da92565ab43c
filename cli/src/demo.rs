//! `sagewire demo`: a streamed call from end to end, without an account and without a network.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use sagewire_codec::model::{
    ConverseEncoding, Event, Param, Request as Question, ResponseOptions, Role, Usage,
};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Transcoder, eventstream};
use sagewire_emulator::{ACCESS_KEY_ID, ContainerFormat, Emulator, SECRET_ACCESS_KEY, echo};
use sagewire_transport_reqwest::{Client, Credentials, Request};

use crate::ask;
use crate::fault::{Exit, Fault};
use crate::format::{self, Container};
use crate::output::Output;
use crate::request;
use crate::service::refused;

const ENDPOINT: &str = "demo-llm";
const REGION: &str = "us-east-1";
const PROMPT: &str = "Do привет, γειά σου, 你好 and こんにちは 👋 survive the way to me?";
/// Tokens that are asked for: more than the answer has, and than most containers give unless they are told to.
const TOKENS: u64 = 500;
/// Lines of the conversion that are shown, of its beginning and of its end.
const SHOWN: usize = 3;

const UNTOLD: &str = "not told by this container, which only stops: the conversion below ends with an error";

/// Arguments of `sagewire demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The container that is called
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = format::emulated())]
    format: ContainerFormat,
    /// Where the answer is cut: the same number, the same cuts
    #[arg(long, value_name = "N", default_value_t = Args::default().seed)]
    seed: u64,
    /// The pause after each part of the answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = Args::default().pause_ms)]
    pause_ms: u64,
}

impl Default for Args {
    fn default() -> Self {
        Self { format: ContainerFormat::default(), seed: 1, pause_ms: 2 }
    }
}

/// Calls, shows the answer as it comes, and then what it was made of.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let pause = Duration::from_millis(args.pause_ms);
    let emulator = Emulator::builder().format(args.format).seed(args.seed).pause(pause).start().await;
    let emulator = emulator.map_err(|error| Fault::Line(Exit::Failed, format!("emulator: {error}")))?;
    let mut output = Output::default();
    print(&mut output, &introduction(&emulator.url(), args))?;
    let answer = call(&emulator.url(), args.format, &mut output).await?;
    emulator.stop().await;
    answer.check()?;
    print(&mut output, &answer.summary(args.pause_ms)?)?;
    print(&mut output, &answer.conversion()?)?;
    print(&mut output, &closing(args.format))
}

fn closing(format: ContainerFormat) -> String {
    format!(
        "
What you saw: the container's events were cut where no event ends, wrapped in frames with two checksums each, sent over
a signed request, put together again byte by byte, read as chat events, and written as another API's stream. On a real
endpoint the command is: sagewire chat --endpoint NAME --format {format} \"...\"

Next: sagewire decode --help    what else captured bytes can be turned into
      sagewire emulate          the same endpoint for your own client, with faults if you like
"
    )
}

fn introduction(url: &str, Args { format, seed, .. }: &Args) -> String {
    format!(
        "\
sagewire reads the streams of language models behind Amazon SageMaker. All of this happens on your machine.

  call    POST {url}/endpoints/{ENDPOINT}/invocations-response-stream
  signed  AWS Signature Version 4, key {ACCESS_KEY_ID}, region {REGION}; the emulated endpoint checks it
  speaks  {format}
  cuts    at random, seed {seed}: in the middle of events, lines and characters
  asked   {PROMPT}

"
    )
}

fn print(output: &mut Output, text: &str) -> Result<(), Fault> {
    output.buffer().extend_from_slice(text.as_bytes());
    output.flush()
}

/// What came, and what was found in it.
#[derive(Debug, Default)]
struct Answer {
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

impl Answer {
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

async fn call(url: &str, format: ContainerFormat, output: &mut Output) -> Result<Answer, Fault> {
    let credentials = Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "demo");
    let client = Client::builder().region(REGION).credentials(credentials).endpoint_url(url);
    let client = client.build().map_err(|error| refused(&error))?;
    let mut answer = Answer { format, ..Answer::default() };
    let mut bytes = BytesMut::new();
    let mut decoder = Decoder::with_options(answer.options());
    let start = Instant::now();
    let request = Request::new(ENDPOINT, question(format)?);
    let mut response = client.invoke_stream(request).await.map_err(|error| refused(&error))?;
    while let Some(mut chunk) = response.chunk().await.map_err(|error| refused(&error))? {
        bytes.extend_from_slice(&chunk);
        while let Some(event) = decoder.decode(&mut chunk)? {
            answer.see(&event, start, output);
        }
        output.flush()?;
    }
    // Only this says that the answer is complete.
    loop {
        match decoder.finish() {
            Ok(Some(event)) => answer.see(&event, start, output),
            Ok(None) => break,
            Err(error) => break answer.forgive(error)?,
        }
    }
    output.flush()?;
    answer.total = start.elapsed();
    answer.bytes = bytes.freeze();
    Ok(answer)
}

/// The body that asks for a streamed answer.
fn question(format: ContainerFormat) -> Result<Vec<u8>, Fault> {
    let to = Container::emulated(format).request;
    let messages = vec![ask::message(Role::User, PROMPT)];
    let mut request = ask::request(&to, Question::default(), messages, true);
    request.max_tokens = Some(Param::new(TOKENS));
    let (body, _) = request::Args::as_it_is().write(&to, &request)?;
    Ok(body)
}

impl Answer {
    fn options(&self) -> Options {
        Container::emulated(self.format).response.apply(Options::new())
    }

    /// A stream that cannot say that it is complete looks as if it ended early.
    fn forgive(&self, error: DecodeError) -> Result<(), DecodeError> {
        if error.is_truncated() && !ask::tells_end(self.format) { Ok(()) } else { Err(error) }
    }

    /// The text must be what the container said, to the byte.
    fn check(&self) -> Result<(), Fault> {
        if self.text == echo(PROMPT) {
            return Ok(());
        }
        Err(Fault::Line(Exit::Corrupt, "format: the text is not what the container said".into()))
    }

    fn summary(&self, pause_ms: u64) -> Result<String, DecodeError> {
        let Parts { count, borders_in_lines, borders_in_characters } = Parts::of(self.bytes.clone())?;
        let usage = self.usage.unwrap_or_default();
        let number = |count: Option<u64>| count.map_or("?".into(), |count| count.to_string());
        let (input, output) = (number(usage.input_tokens), number(usage.output_tokens));
        let rows = [
            ("parts", format!("{count}, in {} bytes of frames", self.bytes.len())),
            ("cuts", format!("{borders_in_lines} inside a line, {borders_in_characters} inside a character")),
            ("events", format!("{}, {} of them text", self.events, self.texts)),
            ("text", format!("came whole: {} bytes, compared with what the container said", self.text.len())),
            ("ending", if ask::tells_end(self.format) { "complete" } else { UNTOLD }.into()),
            ("finish reason", self.finish_reason.clone().unwrap_or("none".into())),
            ("usage", format!("{input} tokens in, {output} out")),
            (
                "first token",
                format!("after {:.1} ms", self.first_token.unwrap_or_default().as_secs_f64() * 1000.0),
            ),
            (
                "speed",
                format!(
                    "{:.0} events/s, as the endpoint pauses {pause_ms} ms after each part; {:.0} without the wait",
                    self.events as f64 / self.total.as_secs_f64(),
                    self.events as f64 / self.decode_again()?.as_secs_f64()
                ),
            ),
        ];
        let rows: String = rows.iter().map(|(name, value)| format!("  {name:<15}{value}\n")).collect();
        Ok(format!("\n\n{rows}\n"))
    }

    /// How long the decoder alone takes for what came.
    fn decode_again(&self) -> Result<Duration, DecodeError> {
        let start = Instant::now();
        let mut decoder = Decoder::with_options(self.options());
        let mut chunk = self.bytes.clone();
        while decoder.decode(&mut chunk)?.is_some() {}
        loop {
            match decoder.finish() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(start.elapsed()),
                Err(error) => return self.forgive(error).map(|()| start.elapsed()),
            }
        }
    }

    /// The beginning and the end of the same bytes as another API's stream.
    fn conversion(&self) -> Result<String, DecodeError> {
        let options = ResponseOptions::new().encoding(ConverseEncoding::JsonLines);
        let mut transcoder =
            Transcoder::new(self.options(), Api::Converse, options).expect("ConverseStream is written");
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
                Err(error) => break self.forgive(error)?,
            }
        }
        let converted = String::from_utf8_lossy(&converted);
        let lines: Vec<&str> = converted.lines().collect();
        let (first, rest) = lines.split_at(SHOWN.min(lines.len()));
        let (hidden, last) = rest.split_at(rest.len().saturating_sub(SHOWN));
        let indented = |lines: &[&str]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
        let hidden = match hidden.len() {
            0 => String::new(),
            count => format!("  ... {count} more ...\n"),
        };
        Ok(format!(
            "The same bytes as the stream of another API, Bedrock's ConverseStream:\n\n{}{hidden}{}",
            indented(first),
            indented(last)
        ))
    }
}

/// How the answer was cut.
#[derive(Debug, Default)]
struct Parts {
    count: u64,
    borders_in_lines: u64,
    borders_in_characters: u64,
}

impl Parts {
    /// Looks at the borders between the payloads of `frames`.
    fn of(mut frames: Bytes) -> Result<Self, DecodeError> {
        let mut parts = Self::default();
        let mut decoder = eventstream::Decoder::new();
        let mut before = b'\n';
        while let Some(frame) = decoder.decode(&mut frames)? {
            let (Some(&first), Some(&last)) = (frame.payload().first(), frame.payload().last()) else {
                continue;
            };
            parts.count += 1;
            parts.borders_in_lines += u64::from(before != b'\n');
            // In UTF-8 the bytes of a character after its first one begin with the bits 10.
            parts.borders_in_characters += u64::from(first & 0xc0 == 0x80);
            before = last;
        }
        decoder.finish()?;
        Ok(parts)
    }
}
