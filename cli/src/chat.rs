//! `sagewire chat`: asks an endpoint, and prints the answer as it comes.

use std::error::Error as _;
use std::io::{self, Read};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sagewire_codec::chat::Context;
use sagewire_codec::format::bedrock::Encoding;
use sagewire_codec::{Options, Target};
use sagewire_transport_reqwest::{Client, Error, Request, ServiceError};
use serde::Serialize;

use crate::fault::{Exit, Fault};
use crate::output::{Sink, Stream};

/// Characters of a service's message that are shown.
const MESSAGE_MAX: usize = 1000;

/// Arguments of `sagewire chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The request is signed with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. What is not given above comes
from AWS_REGION or AWS_DEFAULT_REGION, and from AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME or AWS_ENDPOINT_URL.")]
pub(crate) struct Args {
    /// Name of the endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: String,
    /// Region of the endpoint
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Where the request goes, instead of the region's SageMaker Runtime
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// The inference component, where the endpoint has several
    #[arg(long, value_name = "NAME")]
    inference_component: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    to: To,
    /// A system message before the prompt
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// How many tokens the answer may have
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// How freely the model chooses its words
    #[arg(long, value_name = "X", value_parser = finite)]
    temperature: Option<f64>,
    /// The model, for containers that serve several or ask for its name
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What to ask; - reads it from standard input
    prompt: String,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum To {
    /// The text of the answer, nothing else
    #[default]
    Text,
    /// One canonical event as JSON a line
    Events,
    /// The server-sent events that an OpenAI client reads
    #[value(name = "openai")]
    OpenAi,
    /// One Bedrock ConverseStream event as JSON a line
    Bedrock,
    /// The server-sent events that an Anthropic client reads
    Anthropic,
    /// The server-sent events that a TGI client reads
    Tgi,
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) => Ok(number),
        _ => Err("not a number that JSON can say".into()),
    }
}

/// Asks, and prints the answer.
pub(crate) async fn run(args: &Args, verbose: bool) -> Result<(), Fault> {
    let prompt = match args.prompt.as_str() {
        "-" => read_prompt()?,
        prompt => prompt.into(),
    };
    let mut client = Client::builder();
    if let Some(region) = &args.region {
        client = client.region(region);
    }
    if let Some(url) = &args.endpoint_url {
        client = client.endpoint_url(url);
    }
    let client = client.from_env().build().map_err(|error| refused(&error))?;
    let mut request = Request::new(&args.endpoint, body(args, &prompt));
    if let Some(name) = &args.inference_component {
        request = request.inference_component(name);
    }

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let context = Context::new().created(now.as_secs());
    let sink = match args.to {
        To::Text => Sink::Text,
        To::Events => Sink::Events,
        To::OpenAi => Sink::stream(Target::OpenAi, context),
        To::Anthropic => Sink::stream(Target::Anthropic, context),
        To::Tgi => Sink::stream(Target::Tgi, context),
        To::Bedrock => Sink::stream(Target::Bedrock(Encoding::JsonLines), context),
    };
    let mut stream = Stream::new(Options::new(), sink, verbose);
    let start = Instant::now();
    let mut response = client.invoke_stream(request).await.map_err(|error| refused(&error))?;
    let mut received: u64 = 0;
    let broken = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                received += chunk.len() as u64;
                stream.feed(chunk)?;
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    stream.set_latency_ms(start.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
    match (stream.finish(), broken) {
        // The stream ended early because the connection did. If it did not, the connection does not matter.
        (Err(Fault::Line(Exit::Truncated, _)), Some(error)) => {
            let line = format!("transport: byte {received}: truncated: {error}");
            Err(Fault::Line(Exit::Truncated, line))
        }
        (ending, _) => ending,
    }
}

fn read_prompt() -> Result<String, Fault> {
    let mut prompt = String::new();
    match io::stdin().read_to_string(&mut prompt) {
        Ok(_) => Ok(prompt),
        Err(error) => Err(Fault::input("standard input", &error)),
    }
}

/// The request of an OpenAI chat completion.
fn body(args: &Args, prompt: &str) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<&'a str>,
        messages: Vec<Message<'a>>,
        stream: bool,
        stream_options: StreamOptions,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_tokens: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        temperature: Option<f64>,
    }
    #[derive(Serialize)]
    struct Message<'a> {
        role: &'a str,
        content: &'a str,
    }
    #[derive(Serialize)]
    struct StreamOptions {
        include_usage: bool,
    }
    let system = args.system.as_deref().map(|content| Message { role: "system", content });
    let user = Message { role: "user", content: prompt };
    let body = Body {
        model: args.model.as_deref(),
        messages: system.into_iter().chain([user]).collect(),
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        max_tokens: args.max_tokens,
        temperature: args.temperature,
    };
    serde_json::to_string(&body).expect("strings and numbers are JSON")
}

/// No answer has begun.
pub(crate) fn refused(error: &Error) -> Fault {
    if let Some(error) = error.service() {
        return Fault::Line(Exit::Failed, service_line(error));
    }
    let mut what = error.to_string();
    if let Some(cause) = root_cause(error) {
        what = format!("{what}: {cause}");
    }
    if error.is_config() || error.is_credentials() || error.is_invalid_request() {
        return Fault::usage(format!("{what} (see chat --help)"));
    }
    Fault::Line(Exit::Failed, format!("transport: {what}"))
}

/// The error at the end of the chain: those before say only that there was one.
fn root_cause(error: &Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Some(cause.to_string())
}

fn service_line(error: &ServiceError) -> String {
    let mut line = format!("service: {}", error.status);
    if let Some(name) = &error.error_type {
        line = format!("{line} {name}");
    }
    let body = String::from_utf8_lossy(&error.body);
    let message = error.message.as_deref().unwrap_or(&body).trim();
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_MAX) {
        line = format!("{line}: {}…", &message[..end]);
    } else if !message.is_empty() {
        line = format!("{line}: {message}");
    }
    if let Some(id) = &error.request_id {
        line = format!("{line} (request {id})");
    }
    match hint(error) {
        Some(hint) => format!("{line}; hint: {hint}"),
        None => line,
    }
}

/// What to look at first.
fn hint(error: &ServiceError) -> Option<&'static str> {
    if error.status != 403 {
        return None;
    }
    Some(match error.error_type.as_deref() {
        Some("InvalidSignatureException" | "SignatureDoesNotMatch") => {
            "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID, or the clock is wrong"
        }
        Some("UnrecognizedClientException" | "InvalidClientTokenId") => {
            "AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN is unknown there"
        }
        Some("ExpiredTokenException" | "ExpiredToken") => "AWS_SESSION_TOKEN has expired",
        _ => "the credentials need the permission sagemaker:InvokeEndpointWithResponseStream",
    })
}
