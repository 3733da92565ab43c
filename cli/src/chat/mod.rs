//! `sagewire chat`: asks an endpoint, and prints the answer as it comes.

use std::io::{self, Read};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sagewire_codec::chat::Context;
use sagewire_codec::chat::request::{Param, Request as Question};
use sagewire_codec::{Framing, Options};
use sagewire_transport_reqwest::{Client, Endpoint, Error, Request};

use crate::fault::{Exit, Fault, note};
use crate::format::{self, CUSTOM_HELP, Container, Reading, To};
use crate::output::{Sink, Stream};
use crate::service::refused;
use crate::{ask, losses, request};

/// Arguments of `sagewire chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = ENVIRONMENT, after_long_help = format!("{ENVIRONMENT}\n\n{CUSTOM_HELP}"))]
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
    /// What the container is told besides, where it asks for it: accept_eula=true
    #[arg(long, value_name = "TEXT")]
    custom_attributes: Option<String>,
    /// What the container takes and answers
    #[arg(long, value_name = "FORMAT", default_value = "openai", value_parser = format::containers())]
    format: Container,
    /// What the answer is read as, if it is not what its shape or --format tells
    #[arg(long, value_name = "FORMAT", value_parser = format::responses_read())]
    from: Option<Reading>,
    /// What to print
    #[arg(long, value_name = "WHAT", default_value = "text", value_parser = format::printed())]
    to: To,
    /// Ask for the answer in one piece; what is printed of it is in one piece too
    #[arg(long)]
    no_stream: bool,
    #[command(flatten)]
    writing: request::Args,
    #[command(flatten)]
    losses: losses::Args,
    #[command(flatten)]
    parameters: Parameters,
    /// A system message before the prompt
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// What to ask; - reads it from standard input
    prompt: String,
}

const ENVIRONMENT: &str = "\
The request is signed with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. What is not given above comes
from AWS_REGION or AWS_DEFAULT_REGION, and from AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME or AWS_ENDPOINT_URL.

What --format has no words for is told on standard error, and with --strict nothing is sent then.";

/// What the model is told besides the messages.
#[derive(Debug, clap::Args)]
struct Parameters {
    /// How many tokens the answer may have
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// How freely the model chooses its words
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// From how much of the likeliest words it chooses, 0 to 1
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// The same number, the same answer, where the container can
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<i64>,
    /// A string that ends the answer; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// The model, for containers that serve several or ask for its name
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) => Ok(number),
        _ => Err("not a number that JSON can say".into()),
    }
}

impl Parameters {
    fn apply<'a>(&'a self, question: &mut Question<'a>) {
        question.max_tokens = self.max_tokens.map(Param::new);
        question.temperature = self.temperature.map(Param::new);
        question.top_p = self.top_p.map(Param::new);
        question.seed = self.seed.map(Param::new);
        question.stop = self.stop.iter().map(|stop| Param::new(stop.into())).collect();
        question.model = self.model.as_deref().map(|model| Param::new(model.into()));
    }
}

/// Asks, and prints the answer.
pub(crate) async fn run(args: &Args, verbose: bool) -> Result<(), Fault> {
    let request = args.request(verbose)?;
    let client = args.client()?;
    let stream = match args.no_stream {
        true => args.whole(&client, request, verbose).await?,
        false => args.streamed(&client, request, verbose).await?,
    };
    if stream.is_cut() && args.parameters.max_tokens.is_none() {
        note("note: the answer ends where the container's own limit of tokens is; --max-tokens sets another");
    }
    Ok(())
}

impl Args {
    fn client(&self) -> Result<Client, Fault> {
        let mut client = Client::builder();
        if let Some(region) = &self.region {
            client = client.region(region);
        }
        if let Some(url) = &self.endpoint_url {
            client = client.endpoint_url(url);
        }
        client.from_env().build().map_err(|error| refused(&error))
    }

    /// The request in the words of the container. What it has no words for is told.
    fn request(&self, verbose: bool) -> Result<Request, Fault> {
        let prompt = match self.prompt.as_str() {
            "-" => read_prompt()?,
            prompt => prompt.into(),
        };
        let to = &self.format.request;
        let mut question = ask::request(to, self.system.as_deref(), &prompt, !self.no_stream);
        self.parameters.apply(&mut question);
        let (body, losses) = self.writing.write(to, &question)?;
        self.losses.tell(&losses);
        self.losses.check(&losses, ", nothing was sent")?;
        if verbose {
            note(&format!("request: {}", String::from_utf8_lossy(&body)));
        }
        let mut endpoint = Endpoint::new(&self.endpoint);
        endpoint.inference_component = self.inference_component.clone();
        endpoint.custom_attributes = self.custom_attributes.clone();
        Ok(Request::new(endpoint, body))
    }

    fn reading(&self) -> &Reading {
        self.from.as_ref().unwrap_or(&self.format.response)
    }

    fn sink(&self) -> Sink {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let context = Context::new().created(now.as_secs());
        match self.to {
            To::Api(target) if self.no_stream => Sink::whole(target, context),
            To::Api(target) => Sink::stream(target, context),
            To::Events => Sink::Events,
            _ => Sink::Text,
        }
    }

    async fn streamed(&self, client: &Client, request: Request, verbose: bool) -> Result<Stream, Fault> {
        let mut stream = Stream::new(self.reading().apply(Options::new()), self.sink(), verbose);
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
            (Err(Fault::Line(Exit::Truncated, line)), None) if ask::may_only_stop(&self.format.request) => {
                let hint = "some containers of this format never say that they are done; --no-stream asks for one piece";
                Err(Fault::Line(Exit::Truncated, format!("{line}; hint: {hint}")))
            }
            (ending, _) => ending.map(|()| stream),
        }
    }

    async fn whole(&self, client: &Client, request: Request, verbose: bool) -> Result<Stream, Fault> {
        let start = Instant::now();
        let response = client.invoke(request).await.map_err(|error| broken_off(&error))?;
        // A container that was asked for one piece may stream all the same.
        let options = match response.metadata.content_type.as_deref() {
            Some(content_type) if content_type.starts_with("text/event-stream") => {
                self.reading().apply(Options::new().framing(Framing::Sse))
            }
            _ => self.reading().apply_to_whole(Options::new()),
        };
        let mut stream = Stream::new(options, self.sink(), verbose);
        stream.set_latency_ms(start.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
        stream.feed(response.body)?;
        stream.finish()?;
        Ok(stream)
    }
}

/// A body of one piece that did not come whole ended early, and nothing of it can be used.
fn broken_off(error: &Error) -> Fault {
    match refused(error) {
        Fault::Line(_, line) if error.is_broken_off() => Fault::Line(Exit::Truncated, line),
        fault => fault,
    }
}

fn read_prompt() -> Result<String, Fault> {
    let mut prompt = String::new();
    match io::stdin().read_to_string(&mut prompt) {
        Ok(_) => Ok(prompt),
        Err(error) => Err(Fault::input("standard input", &error)),
    }
}
