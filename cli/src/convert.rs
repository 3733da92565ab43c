//! `sagewire convert`: a request, a response or an error of one API as another would have it.

use std::path::PathBuf;

use sagewire_codec::model::{Loss, Response, ResponseOptions};
use sagewire_codec::{Api, HttpError, Options, embeddings, read_request, write_response};

use crate::fault::{Fault, note};
use crate::format::{self, CUSTOM_HELP, EmbeddingFormat, Reading, Writing};
use crate::input::Input;
use crate::output::Output;
use crate::{asked, losses, request};

/// Arguments of `sagewire convert`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A request
    #[command(after_long_help = CUSTOM_HELP)]
    Request(RequestArgs),
    /// A response that was not streamed
    #[command(after_long_help = CUSTOM_HELP)]
    Response(ResponseArgs),
    /// OpenAI's request for embeddings
    EmbeddingRequest(EmbeddingRequestArgs),
    /// A response with embeddings, which becomes OpenAI's
    EmbeddingResponse(EmbeddingResponseArgs),
    /// The body of an error
    Error(ErrorArgs),
}

#[derive(Debug, clap::Args)]
struct RequestArgs {
    /// What it is
    #[arg(long, value_name = "FORMAT", value_parser = format::requests_read())]
    from: Api,
    /// What it becomes
    #[arg(long, value_name = "FORMAT", value_parser = format::requests_written())]
    to: Writing,
    #[command(flatten)]
    writing: request::Args,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct EmbeddingRequestArgs {
    /// What it is. Nothing else is read, so it need not be said
    #[arg(long = "from", value_enum, value_name = "FORMAT")]
    _from: Option<OnlyOpenAi>,
    /// What it becomes
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: EmbeddingFormat,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct EmbeddingResponseArgs {
    /// What it is. Responses tell that themselves, so it need not be said
    #[arg(long = "from", value_enum, value_name = "FORMAT")]
    _from: Option<EmbeddingFormat>,
    /// What it becomes. Nothing else is written, so it need not be said
    #[arg(long = "to", value_enum, value_name = "FORMAT")]
    _to: Option<OnlyOpenAi>,
    /// How the vectors of tokens become one for each text
    #[arg(long, value_enum, value_name = "HOW")]
    pooling: Option<PoolingArg>,
    /// Write vectors in Base64
    #[arg(long)]
    base64: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnlyOpenAi {
    /// OpenAI
    #[value(name = "openai")]
    OpenAi,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PoolingArg {
    /// The mean of them all
    Mean,
    /// The first
    Cls,
    /// The last
    Last,
}

#[derive(Debug, clap::Args)]
struct ResponseArgs {
    /// What it is; told by its shape if nothing is said
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = format::responses_read())]
    from: Reading,
    /// What it becomes
    #[arg(long, value_name = "FORMAT", value_parser = format::responses_written())]
    to: Api,
    #[command(flatten)]
    asked: asked::Args,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct ErrorArgs {
    /// What it is. Errors tell that themselves, so it need not be said
    #[arg(long = "from", value_name = "FORMAT", value_parser = format::responses_read())]
    _from: Option<Reading>,
    /// What it becomes
    #[arg(long, value_name = "FORMAT", value_parser = format::responses_written())]
    to: Api,
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
    context: ResponseOptions,
    #[command(flatten)]
    losses: losses::Args,
    /// The JSON; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

/// A context as it is written on the command line.
fn context(text: &str) -> Result<ResponseOptions, String> {
    let mut context = ResponseOptions::new();
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
        What::Request(args) => request(args),
        What::Response(args) => response(args),
        What::EmbeddingRequest(args) => embedding_request(args),
        What::EmbeddingResponse(args) => embedding_response(args),
        What::Error(args) => error(args),
    }
}

fn request(args: &RequestArgs) -> Result<(), Fault> {
    let body = args.common.read()?;
    let request = read_request(args.from, &body)?;
    let (body, losses) = args.writing.write(&args.to, &request)?;
    if let Writing::Known(Api::JumpStartRaw) = args.to {
        note(&format!("content type: {}", args.to.content_type()));
    }
    args.common.write(body, &losses)
}

fn embedding_request(args: &EmbeddingRequestArgs) -> Result<(), Fault> {
    let body = args.common.read()?;
    let body = embeddings::Request::read(&body)?.write(args.to.target())?;
    note(&format!("content type: {}", body.media_type));
    args.common.write(body.bytes, body.losses.as_slice())
}

fn embedding_response(args: &EmbeddingResponseArgs) -> Result<(), Fault> {
    let body = args.common.read()?;
    let mut reading = embeddings::Reading::new();
    if let Some(pooling) = args.pooling {
        reading = reading.pooling(match pooling {
            PoolingArg::Mean => embeddings::Pooling::Mean,
            PoolingArg::Cls => embeddings::Pooling::First,
            PoolingArg::Last => embeddings::Pooling::Last,
        });
    }
    let encoding = if args.base64 { embeddings::Encoding::Base64 } else { embeddings::Encoding::Float };
    let response = embeddings::Response::read(&body, reading)?;
    let (body, losses) = response.write(encoding, &args.common.context)?;
    args.common.write(body, losses.as_slice())
}

fn response(args: &ResponseArgs) -> Result<(), Fault> {
    let names = args.asked.tool_names(&args.from, Some(args.to))?;
    let body = args.common.read()?;
    let mut response = Response::read(body, args.from.apply_to_whole(Options::new()))?;
    names.restore_response(&mut response);
    let (body, losses) = write_response(args.to, &response, &args.common.context)?;
    args.common.write(body, losses.as_slice())
}

fn error(args: &ErrorArgs) -> Result<(), Fault> {
    let body = args.common.read()?;
    let error = HttpError::read(args.status, args.error_type.as_deref(), &body);
    let retry = if error.is_retryable() { "may be sent again" } else { "not to be sent again" };
    note(&format!("status: {}, {retry}", error.status));
    args.common.write(error.write(args.to), &[])
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

    fn write(&self, body: Vec<u8>, losses: &[Loss]) -> Result<(), Fault> {
        let mut output = Output::default();
        output.buffer().extend(body);
        output.buffer().push(b'\n');
        output.flush()?;
        self.losses.tell(losses);
        self.losses.check(losses, "")
    }
}

/// Bytes of the largest document that is converted: SageMaker takes and gives no more.
const BODY_MAX: usize = 25 * 1024 * 1024;
