//! `sagewire convert`: converts a request, a response or an error from one API to another.

use std::path::PathBuf;

use bytes::Bytes;
use sagewire_codec::model::{Loss, Param, Response, ResponseOptions};
use sagewire_codec::{Api, ConvertError, HttpError, Options, embeddings, read_request, write_response};

use crate::fault::{Fault, note};
use crate::format::{self, CUSTOM_HELP, EmbeddingFormat, Reading, RequestApi, Writing};
use crate::input;
use crate::output::Output;
use crate::unrecognized::{self, Content, Origin, document_fault};
use crate::{losses, request, tool_names};

/// Arguments of `sagewire convert`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    document: Document,
}

#[derive(Debug, clap::Subcommand)]
enum Document {
    /// Convert a request
    #[command(after_long_help = CUSTOM_HELP)]
    Request(RequestArgs),
    /// Convert a non-streaming response
    #[command(after_long_help = CUSTOM_HELP)]
    Response(ResponseArgs),
    /// Convert an OpenAI embedding request to another format
    EmbeddingRequest(EmbeddingRequestArgs),
    /// Convert an embedding response of any format to OpenAI's
    EmbeddingResponse(EmbeddingResponseArgs),
    /// Convert the body of an error response
    Error(ErrorArgs),
}

#[derive(Debug, clap::Args)]
struct RequestArgs {
    /// API of the input (see sagewire formats)
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "auto",
        hide_possible_values = true,
        value_parser = format::requests_read()
    )]
    from: RequestApi,
    /// Format of the output (see sagewire formats)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, value_parser = format::requests_written())]
    to: Writing,
    /// Model name to write, in place of that of the input
    #[arg(long, value_name = "NAME", conflicts_with = "no_model")]
    model: Option<String>,
    /// Write no model name, for containers that do not accept that of the input
    #[arg(long)]
    no_model: bool,
    #[command(flatten)]
    writing: request::Args,
    #[command(flatten)]
    losses: losses::Args,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, clap::Args)]
struct EmbeddingRequestArgs {
    /// Accepted for symmetry: the input is always OpenAI's
    #[arg(long = "from", value_enum, value_name = "FORMAT", hide = true)]
    _from: Option<OnlyOpenAi>,
    /// Format of the output
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: EmbeddingFormat,
    #[command(flatten)]
    losses: losses::Args,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, clap::Args)]
struct EmbeddingResponseArgs {
    /// Accepted for symmetry: the format is always detected
    #[arg(long = "from", value_enum, value_name = "FORMAT", hide = true)]
    _from: Option<EmbeddingFormat>,
    /// Accepted for symmetry: the output is always OpenAI's
    #[arg(long = "to", value_enum, value_name = "FORMAT", hide = true)]
    _to: Option<OnlyOpenAi>,
    /// How to combine the vectors of tokens
    #[arg(long, value_enum, value_name = "METHOD")]
    pooling: Option<PoolingArg>,
    /// Write vectors in Base64
    #[arg(long)]
    base64: bool,
    #[command(flatten)]
    defaults: Defaults,
    #[command(flatten)]
    losses: losses::Args,
    #[command(flatten)]
    file: File,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OnlyOpenAi {
    /// OpenAI
    #[value(name = "openai")]
    OpenAi,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PoolingArg {
    /// mean of all vectors
    Mean,
    /// first vector
    Cls,
    /// last vector
    Last,
}

#[derive(Debug, clap::Args)]
struct ResponseArgs {
    /// Format of the input (see sagewire formats)
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "auto",
        hide_possible_values = true,
        value_parser = format::responses_read()
    )]
    from: Reading,
    /// API of the output (see sagewire formats)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, value_parser = format::responses_written())]
    to: Api,
    #[command(flatten)]
    tool_names: tool_names::Args,
    #[command(flatten)]
    defaults: Defaults,
    #[command(flatten)]
    losses: losses::Args,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, clap::Args)]
struct ErrorArgs {
    /// Accepted for symmetry: the format is always detected
    #[arg(long = "from", value_name = "FORMAT", value_parser = format::responses_read(), hide = true)]
    _from: Option<Reading>,
    /// API of the output (see sagewire formats)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, value_parser = format::responses_written())]
    to: Api,
    /// HTTP status of the error
    #[arg(long, value_name = "STATUS", default_value_t = 424)]
    status: u16,
    /// Value of the header x-amzn-errortype
    #[arg(long, value_name = "NAME")]
    error_type: Option<String>,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, clap::Args)]
struct Defaults {
    /// Values that the input lacks: id=ID, model=NAME, created=SECONDS, latency_ms=N
    #[arg(long = "context", value_name = "KEY=VALUE,...", value_parser = response_options, default_value = "", hide_default_value = true)]
    options: ResponseOptions,
}

#[derive(Debug, clap::Args)]
struct File {
    /// Input file; - is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    path: PathBuf,
}

/// Parses `--context`.
fn response_options(text: &str) -> Result<ResponseOptions, String> {
    let mut options = ResponseOptions::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` is not KEY=VALUE"))?;
        let number = || value.parse().map_err(|_| format!("`{value}` is not a number"));
        options = match key {
            "id" => options.id(value),
            "model" => options.model(value),
            "created" => options.created(number()?),
            "latency_ms" => options.latency_ms(number()?),
            _ => return Err(format!("`{key}` is not one of id, model, created, latency_ms")),
        };
    }
    Ok(options)
}

/// Converts a document and prints the result.
pub(crate) fn run(args: &Args) -> Result<(), Fault> {
    let (result, file) = match &args.document {
        Document::Request(args) => (request(args), &args.file),
        Document::Response(args) => (response(args), &args.file),
        Document::EmbeddingRequest(args) => (embedding_request(args), &args.file),
        Document::EmbeddingResponse(args) => (embedding_response(args), &args.file),
        Document::Error(args) => (error(args), &args.file),
    };
    result.map_err(|fault| fault.in_file(&file.path))
}

fn request(args: &RequestArgs) -> Result<(), Fault> {
    let body = args.file.read()?;
    let Some(api) = args.from.detect(&body) else {
        let content = Content::of(unrecognized::start(&body));
        return Err(unrecognized::fault(Origin::Input, content, content.hint()));
    };
    let mut request = read_request(api, &body).map_err(|error| explain(error, &body))?;
    if args.no_model || args.model.is_some() {
        request.model = args.model.as_deref().map(|model| Param::new(model.into()));
    }
    let (body, losses) = args.writing.write(&args.to, &request)?;
    if let Writing::Known(Api::JumpStartRaw) = args.to {
        note(&format!("content type: {}", args.to.content_type()));
    }
    write(body, &args.losses, &losses)
}

fn embedding_request(args: &EmbeddingRequestArgs) -> Result<(), Fault> {
    let body = args.file.read()?;
    let request = embeddings::Request::read(&body).map_err(|error| explain(error, &body))?;
    let body = request.write(args.to.shape())?;
    note(&format!("content type: {}", body.media_type));
    write(body.bytes, &args.losses, body.losses.as_slice())
}

fn embedding_response(args: &EmbeddingResponseArgs) -> Result<(), Fault> {
    let body = args.file.read()?;
    let mut reading = embeddings::Reading::new();
    if let Some(pooling) = args.pooling {
        reading = reading.pooling(match pooling {
            PoolingArg::Mean => embeddings::Pooling::Mean,
            PoolingArg::Cls => embeddings::Pooling::First,
            PoolingArg::Last => embeddings::Pooling::Last,
        });
    }
    let encoding = if args.base64 { embeddings::Encoding::Base64 } else { embeddings::Encoding::Float };
    let response = embeddings::Response::read(&body, reading).map_err(|error| explain(error, &body))?;
    let (body, losses) = response.write(encoding, &args.defaults.options)?;
    write(body, &args.losses, losses.as_slice())
}

fn response(args: &ResponseArgs) -> Result<(), Fault> {
    let names = args.tool_names.tool_names(&args.from)?;
    let body = args.file.read()?;
    let options = args.from.apply_to_response(Options::new());
    let mut response = Response::read(body.clone(), options.clone())
        .map_err(|error| document_fault(error, &body, options))?;
    names.restore_response(&mut response);
    let (body, losses) = write_response(args.to, &response, &args.defaults.options)?;
    write(body, &args.losses, losses.as_slice())
}

fn error(args: &ErrorArgs) -> Result<(), Fault> {
    let body = args.file.read()?;
    let error = HttpError::read(args.status, args.error_type.as_deref(), &body);
    let retry = if error.is_retryable() { "retryable" } else { "not retryable" };
    note(&format!("status: {}, {retry}", error.status_for(args.to)));
    print(error.write(args.to))
}

/// The error for a document that could not be read: that of the codec, unless it is no JSON at all.
fn explain(error: ConvertError, body: &Bytes) -> Fault {
    match Content::of(unrecognized::start(body)) {
        Content::Json => error.into(),
        content if error.is_invalid() => unrecognized::fault(Origin::Input, content, ""),
        _ => error.into(),
    }
}

impl File {
    fn read(&self) -> Result<Bytes, Fault> {
        input::read_all(&self.path, BODY_MAX)
    }
}

fn print(body: Vec<u8>) -> Result<(), Fault> {
    let mut output = Output::default();
    output.buffer().extend(body);
    output.buffer().push(b'\n');
    output.flush()
}

fn write(body: Vec<u8>, args: &losses::Args, losses: &[Loss]) -> Result<(), Fault> {
    print(body)?;
    args.print(losses);
    args.check(losses, "")
}

/// Maximum size of a document in bytes, which is SageMaker's.
const BODY_MAX: usize = 25 * 1024 * 1024;
