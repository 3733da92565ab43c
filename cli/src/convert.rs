//! `sagewire convert`: a request, a response or an error of one API as another would have it.

use std::path::PathBuf;

use bytes::Bytes;
use sagewire_codec::chat::{Context, Losses, Response};
use sagewire_codec::format::{ServiceError, bedrock, write_response};
use sagewire_codec::{Decoder, Format, Framing, Options};
use serde::Serialize;

use crate::fault::{Exit, Fault, note};
use crate::format::{From, To};
use crate::input::Input;
use crate::output::Output;

/// Arguments of `sagewire convert`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A response that was not streamed
    Response(ResponseArgs),
    /// The body of an error
    Error(ErrorArgs),
}

#[derive(Debug, clap::Args)]
struct ResponseArgs {
    /// What it is; told by its shape if nothing is said
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    from: From,
    /// What it becomes
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: To,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct ErrorArgs {
    /// What it becomes
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: To,
    /// The HTTP status that it came with
    #[arg(long, value_name = "STATUS", default_value_t = 424)]
    status: u16,
    /// The header x-amzn-errortype that it came with
    #[arg(long, value_name = "NAME")]
    error_type: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// What the source does not say: id=NAME, model=NAME, created=SECONDS, latency_ms=N, separated by commas
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = context, default_value = "")]
    context: Context,
    /// How losses are told on standard error
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    losses: How,
    /// Exit with 6 if anything is lost
    #[arg(long)]
    strict: bool,
    /// The JSON; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum How {
    /// One line each
    #[default]
    Text,
    /// One JSON array
    Json,
}

/// A context as it is written on the command line.
fn context(text: &str) -> Result<Context, String> {
    let mut context = Context::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        let number = || value.parse().map_err(|_| format!("`{value}` is no number"));
        context = match key {
            "id" => context.id(value),
            "model" => context.model(value),
            "created" => context.created(number()?),
            "latency_ms" => context.latency_ms(number()?),
            _ => return Err(format!("`{key}` is not one of id, model, created, latency_ms")),
        };
    }
    Ok(context)
}

/// Converts, and prints.
pub(crate) fn run(args: &Args) -> Result<(), Fault> {
    match &args.what {
        What::Response(args) => response(args),
        What::Error(args) => error(args),
    }
}

fn response(args: &ResponseArgs) -> Result<(), Fault> {
    let body = args.common.read()?;
    let mut response = Response::default();
    // A whole response is JSON, whatever it looks like.
    let options = Options::new().framing(Framing::JsonLines).format(args.from.format());
    let mut decoder = Decoder::with_options(options);
    let mut chunk = Bytes::from(body);
    while let Some(event) = decoder.decode(&mut chunk)? {
        response.add(&event);
    }
    while let Some(event) = decoder.finish()? {
        response.add(&event);
    }
    let target = args.to.target(bedrock::Encoding::JsonLines);
    let (body, losses) = write_response(target, &response, &args.common.context);
    args.common.write(body, &losses)
}

fn error(args: &ErrorArgs) -> Result<(), Fault> {
    let body = args.common.read()?;
    let error = ServiceError::read(args.status, args.error_type.as_deref(), &body);
    let format = match args.to {
        To::OpenAi => Format::OpenAi,
        To::Bedrock => Format::Bedrock,
        To::Anthropic => Format::Anthropic,
        To::Tgi => Format::Generate,
    };
    let retry = if error.is_retryable() { "may be sent again" } else { "not to be sent again" };
    note(&format!("status: {}, {retry}", error.status));
    args.common.write(error.write(format), &Losses::default())
}

impl Common {
    fn read(&self) -> Result<Vec<u8>, Fault> {
        let mut input = Input::open(&self.file, usize::MAX)?;
        let mut body = Vec::new();
        while let Some(chunk) = input.next()? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_MAX {
                return Err(Fault::usage(format!("a document of more than {BODY_MAX} bytes")));
            }
        }
        Ok(body)
    }

    fn write(&self, body: Vec<u8>, losses: &Losses) -> Result<(), Fault> {
        let mut output = Output::default();
        output.buffer().extend(body);
        output.buffer().push(b'\n');
        output.flush()?;
        match self.losses {
            How::Text => losses.as_slice().iter().for_each(|loss| note(&format!("loss: {loss}"))),
            How::Json => {
                let lines: Vec<Line<'_>> = losses
                    .as_slice()
                    .iter()
                    .map(|loss| Line { what: &loss.what, outcome: loss.outcome.to_string(), why: &loss.why })
                    .collect();
                note(&serde_json::to_string(&lines).expect("strings are JSON"));
            }
        }
        match losses.as_slice().len() {
            0 => Ok(()),
            count if self.strict => Err(Fault::Line(Exit::Lossy, format!("strict: {count} lost"))),
            _ => Ok(()),
        }
    }
}

/// Bytes of the largest document that is converted: SageMaker takes and gives no more.
const BODY_MAX: usize = 25 * 1024 * 1024;

#[derive(Serialize)]
struct Line<'a> {
    what: &'a str,
    outcome: String,
    why: &'a str,
}
