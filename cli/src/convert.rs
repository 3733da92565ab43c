//! `sagewire convert`: a request, a response or an error of one API as another would have it.

use std::path::PathBuf;

use bytes::Bytes;
use sagewire_codec::chat::request::{Message, Tool};
use sagewire_codec::chat::{
    Context, FirstMessage, Losses, Response, Settings, SystemPlacement, ZeroTemperature,
};
use sagewire_codec::chat_template::Template;
use sagewire_codec::format::{ServiceError, bedrock, read_request, write_request, write_response};
use sagewire_codec::{Decoder, Format, Framing, Options, embedding};
use serde::Serialize;

use crate::fault::{Exit, Fault, note};
use crate::format::{EmbeddingFormat, From, RequestFormat, To};
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
    /// A request
    Request(RequestArgs),
    /// A response that was not streamed
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
    #[arg(long, value_enum, value_name = "FORMAT")]
    from: RequestFormat,
    /// What it becomes
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: RequestFormat,
    /// The chat template, for formats that take text: a family (llama3, chatml, …), the name of a model, or the path of a
    /// tokenizer_config.json
    #[arg(long, value_name = "NAME|FILE")]
    template: Option<String>,
    /// How it is written: zero-temperature=greedy|clamp|send, max-tokens=N, others=keep|drop,
    /// system=keep|first-user|last-user, merge=true|false, first-message=insert|error|leave
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct EmbeddingRequestArgs {
    /// What it becomes
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: EmbeddingFormat,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct EmbeddingResponseArgs {
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
        What::Request(args) => request(args),
        What::Response(args) => response(args),
        What::EmbeddingRequest(args) => embedding_request(args),
        What::EmbeddingResponse(args) => embedding_response(args),
        What::Error(args) => error(args),
    }
}

fn request(args: &RequestArgs) -> Result<(), Fault> {
    let template = args.template.as_deref().map(template).transpose()?;
    let render = |messages: &[Message<'_>], tools: &[Tool<'_>]| match &template {
        Some(template) => template.rendered(messages, tools),
        None => Err("there is no chat template: give --template".to_owned()),
    };
    let mut settings = args.settings()?;
    if template.is_some() {
        settings = settings.render(&render);
    }
    let body = args.common.read()?;
    let request = read_request(args.from.format(), &body)?;
    let (body, losses) = write_request(args.to.format(), &request, &settings)?;
    args.common.write(body, &losses)
}

/// A template by its name, or of a file.
fn template(name: &str) -> Result<Template, Fault> {
    let unusable = |error| Fault::usage(format!("--template: {error}"));
    if !std::path::Path::new(name).is_file() {
        return Template::named(name).map_err(|error| unusable(error.kind().to_string()));
    }
    let json = std::fs::read_to_string(name).map_err(|error| unusable(format!("{name}: {error}")))?;
    Template::from_tokenizer_config(&json).map_err(|error| unusable(error.to_string()))
}

impl RequestArgs {
    fn settings(&self) -> Result<Settings<'static>, Fault> {
        let mut settings = Settings::new();
        for pair in &self.settings {
            let unusable = || Fault::usage(format!("--set {pair}: not a setting (see --help)"));
            let number = |text: &str| text.parse().map_err(|_| unusable());
            settings = match pair.split_once('=').ok_or_else(unusable)? {
                ("zero-temperature", "greedy") => settings.zero_temperature(ZeroTemperature::Greedy),
                ("zero-temperature", "clamp") => settings.zero_temperature(ZeroTemperature::Clamp),
                ("zero-temperature", "send") => settings.zero_temperature(ZeroTemperature::Send),
                ("max-tokens", tokens) => settings.max_tokens(number(tokens)?),
                ("others", "keep") => settings.drop_others(false),
                ("others", "drop") => settings.drop_others(true),
                ("system", "keep") => settings.system(SystemPlacement::Keep),
                ("system", "first-user") => settings.system(SystemPlacement::FirstUser),
                ("system", "last-user") => settings.system(SystemPlacement::LastUser),
                ("merge", "true") => settings.merge(true),
                ("merge", "false") => settings.merge(false),
                ("first-message", "insert") => settings.first_message(FirstMessage::Insert),
                ("first-message", "error") => settings.first_message(FirstMessage::Error),
                ("first-message", "leave") => settings.first_message(FirstMessage::Leave),
                _ => return Err(unusable()),
            };
        }
        Ok(settings)
    }
}

fn embedding_request(args: &EmbeddingRequestArgs) -> Result<(), Fault> {
    let body = args.common.read()?;
    let body = embedding::Request::read(&body)?.write(args.to.target())?;
    note(&format!("content type: {}", body.media_type));
    args.common.write(body.bytes, &body.losses)
}

fn embedding_response(args: &EmbeddingResponseArgs) -> Result<(), Fault> {
    let body = args.common.read()?;
    let mut reading = embedding::Reading::new();
    if let Some(pooling) = args.pooling {
        reading = reading.pooling(match pooling {
            PoolingArg::Mean => embedding::Pooling::Mean,
            PoolingArg::Cls => embedding::Pooling::First,
            PoolingArg::Last => embedding::Pooling::Last,
        });
    }
    let encoding = if args.base64 { embedding::Encoding::Base64 } else { embedding::Encoding::Float };
    let response = embedding::Response::read(&body, reading)?;
    let (body, losses) = response.write(encoding, &args.common.context)?;
    args.common.write(body, &losses)
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
