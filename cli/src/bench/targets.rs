//! The targets of a load test, with their requests.

use std::path::PathBuf;

use sagewire_codec::model::{Json, Loss, Param, Request};
use sagewire_codec::{Api, Options};
use sagewire_eval::load::{PROMPTS_MAX, Plan, Prompts, Target};
use sagewire_eval::server::Server;
use sagewire_transport_reqwest::{self as transport, Bounds, Endpoint, Error, Operation, Retry};

use super::Args;
use crate::call_error::setup_failed;
use crate::fault::{Fault, note};
use crate::format::Writing;
use crate::secret::Secret;
use crate::{chat_request, environment};

/// Words of a synthetic prompt if they are not given.
const INPUT_TOKENS: usize = 200;
/// The limit on the response to a synthetic prompt if it is not given.
const OUTPUT_TOKENS: u64 = 128;

/// The variable with the key of OpenAI's clients.
const API_KEY: &str = "OPENAI_API_KEY";

/// Arguments about prompts.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Prompts")]
pub(crate) struct PromptArgs {
    /// File with prompts: .jsonl has a chat in each line, .json is a file of ShareGPT [default: synthetic prompts]
    #[arg(long, value_name = "FILE", conflicts_with = "input_tokens")]
    prompts: Option<PathBuf>,
    /// Number of words of a synthetic prompt, which are about its tokens [default: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    input_tokens: Option<u32>,
    /// Maximum number of tokens of a response [default: 128 for synthetic prompts, else as the file has it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    output_tokens: Option<u64>,
    /// Model name, for containers that serve several models or require it
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Parameters that are added to all requests, such as {"ignore_eos":true}
    #[arg(long, value_name = "JSON", value_parser = object)]
    extra_body: Option<Parameters>,
    /// Seed of synthetic prompts and of the times of --rate
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
}

/// Arguments about servers with OpenAI's API.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Options for URLs")]
pub(crate) struct ServerArgs {
    /// Key that is sent to the servers of --url [env: OPENAI_API_KEY]
    // Not with `env` of clap: the variable may be set for other programs, also if there is no --url.
    #[arg(long, value_name = "KEY", requires = "urls")]
    api_key: Option<Secret>,
    /// Header that is sent to the servers of --url (repeatable)
    #[arg(long, value_name = "NAME: VALUE", requires = "urls")]
    url_header: Vec<Secret>,
}

/// Parameters with their values as JSON.
type Parameters = serde_json::Map<String, serde_json::Value>;

fn object(text: &str) -> Result<Parameters, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

impl PromptArgs {
    /// Where prompts come from.
    pub(super) fn origin(&self) -> String {
        match &self.prompts {
            Some(path) => path.display().to_string(),
            None => "synthetic".into(),
        }
    }

    /// Words of a synthetic prompt.
    pub(super) fn synthetic_words(&self) -> Option<usize> {
        let words = self.input_tokens.map_or(INPUT_TOKENS, |words| words as usize);
        self.prompts.is_none().then_some(words)
    }

    /// The limit on the tokens of responses, if it is not left to the file.
    pub(super) fn output_tokens(&self) -> Option<u64> {
        self.output_tokens.or(self.prompts.is_none().then_some(OUTPUT_TOKENS))
    }

    /// As many prompts as the plan needs, if there are as many.
    fn requests(&self, plan: &Plan) -> Result<Vec<Request<'static>>, Fault> {
        let of_level = plan.requests.map_or(u64::MAX, |requests| requests.saturating_add(plan.warmup));
        let needed = of_level.saturating_mul(plan.loads.len() as u64);
        let needed = usize::try_from(needed).unwrap_or(PROMPTS_MAX).min(PROMPTS_MAX);
        let prompts = match (&self.prompts, self.synthetic_words()) {
            (Some(path), _) => {
                Prompts::read(path, needed).map_err(|error| Fault::usage(format!("--prompts: {error}")))?
            }
            (None, words) => Prompts::synthetic(words.unwrap_or(INPUT_TOKENS), needed, self.seed),
        };
        if prompts.skipped > 0 {
            note(&format!("note: {} conversations without a prompt are skipped", prompts.skipped));
        }
        let mut requests = prompts.requests;
        for request in &mut requests {
            if let Some(tokens) = self.output_tokens() {
                request.max_tokens = Some(Param::new(tokens));
            }
            if let Some(model) = &self.model {
                request.model = Some(Param::new(model.clone().into()));
            }
            for (name, value) in self.extra_body.iter().flatten() {
                request.extra_parameters.retain(|(found, _)| found != name);
                let value = Param::new(Json(value.to_string().into()));
                request.extra_parameters.push((name.clone().into(), value));
            }
        }
        Ok(requests)
    }
}

/// The endpoints and servers, in this order.
pub(super) async fn targets(args: &Args, plan: &Plan) -> Result<Vec<Target>, Fault> {
    let requests = args.prompts.requests(plan)?;
    let mut targets = Vec::new();
    if !args.endpoints.is_empty() {
        let bodies = bodies(args, &args.format.request, &requests)?;
        let client = args.connection.client_without_retries().await?;
        let api = match args.format.request {
            Writing::Known(api) => Some(api),
            Writing::Custom(_) => None,
        };
        for name in &args.endpoints {
            let endpoint = args.endpoint.endpoint(name, api)?;
            let requests = sent(&endpoint, &args.format.request, &bodies);
            if let Some(first) = requests.first() {
                client.dry_run(first, Operation::Stream).await.map_err(|error| setup_failed(&error))?;
            }
            let target = Target::new(name, client.clone(), requests);
            targets.push(target.decode_options(args.format.response.apply(Options::new())));
        }
    }
    if !args.urls.is_empty() {
        let openai = Writing::Known(Api::OpenAi);
        let bodies = bodies(args, &openai, &requests)?;
        for url in &args.urls {
            let server = server(args, url)?;
            // The name is not sent.
            let requests = sent(&Endpoint::new("server"), &openai, &bodies);
            targets.push(Target::new(url, server, requests));
        }
    }
    Ok(targets)
}

/// Writes the requests. Losses of the first one are printed, because those of the others are mostly the same.
fn bodies(args: &Args, to: &Writing, requests: &[Request<'static>]) -> Result<Vec<Vec<u8>>, Fault> {
    let writer = args.writing.writer(to)?;
    let mut bodies = Vec::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        let messages = request.messages.clone();
        let request = chat_request::request(to, request.clone(), messages, true);
        let (body, losses): (_, Vec<Loss>) = writer.write(&request)?;
        if index == 0 {
            args.losses.print(&losses);
        }
        args.losses.check(&losses, ", nothing was sent")?;
        bodies.push(body);
    }
    Ok(bodies)
}

fn sent(endpoint: &Endpoint, to: &Writing, bodies: &[Vec<u8>]) -> Vec<transport::Request> {
    let request = |body: &Vec<u8>| {
        transport::Request::new(endpoint.clone(), body.clone()).content_type(to.content_type())
    };
    bodies.iter().map(request).collect()
}

fn server(args: &Args, url: &str) -> Result<Server, Fault> {
    let invalid = |error: Error| Fault::usage(format!("--url {url}: {error}"));
    let mut bounds = Bounds::default();
    bounds.timeouts = args.connection.timeouts();
    bounds.retry = Retry::never();
    let mut server = Server::new(url, bounds).map_err(invalid)?;
    let key = args.servers.api_key.as_ref().map(|Secret(key)| key.clone());
    if let Some(key) = key.or_else(|| environment::text(API_KEY)) {
        server = server.api_key(&key).map_err(|error| Fault::usage(format!("--api-key: {error}")))?;
    }
    for Secret(header) in &args.servers.url_header {
        // The value may be a secret.
        let (name, value) =
            header.split_once(':').ok_or_else(|| Fault::usage("--url-header: not NAME: VALUE"))?;
        server = server
            .header(name.trim(), value.trim())
            .map_err(|error| Fault::usage(format!("--url-header: {error}")))?;
    }
    if server.is_exposed() {
        note(&format!("warning: --url {url}: headers are sent unencrypted"));
    }
    Ok(server)
}
