//! `sagewire serve`: the gateway.

mod demo;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sagewire_gateway::Server;
use sagewire_gateway::config::{Config, ConfigError, Listen, Model, Note, Template, Upstream, new_key};

use crate::aws_config;
use crate::emulate::stop_signal;
use crate::fault::{Fault, note};
use crate::format::{self, Writing};
use crate::output::print;
use crate::request::TEMPLATE_HELP;

/// Arguments of `sagewire serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["config", "check", "schema", "new_key", "endpoint", "demo"]))]
pub(crate) struct Args {
    /// Serve the models of this file: the gateway's own, or LiteLLM's
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check a file, without the network, and exit
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Print the JSON Schema of the gateway's own file and exit
    #[arg(long)]
    schema: bool,
    /// Make a key for a client, print it and its entry for the file, and exit
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    new_key: Option<String>,
    /// Serve this SageMaker endpoint, under its name, without a file (repeatable)
    #[arg(long, value_name = "NAME")]
    endpoint: Vec<String>,
    /// Serve emulated endpoints: demo-openai, demo-tgi, demo-lmi, demo-anthropic, demo-embeddings
    #[arg(long)]
    demo: bool,
    /// Address to listen on; port 0 picks a free one (repeatable) [default: 127.0.0.1:4000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Address of health checks and metrics [default: 127.0.0.1:4001]
    #[arg(long, value_name = "ADDRESS|off", value_parser = admin_address)]
    admin: Option<Admin>,
    /// Format of the endpoints' requests
    #[arg(long, value_name = "FORMAT", default_value = "openai", requires = "endpoint", value_parser = format::requests_written())]
    format: Writing,
    /// Chat template, for formats that take a prompt
    #[arg(long, value_name = "NAME|FILE", requires = "endpoint", long_help = TEMPLATE_HELP)]
    template: Option<String>,
    /// URL to use instead of the region's SageMaker Runtime
    #[arg(long, value_name = "URL", requires = "endpoint", help_heading = "Connection options")]
    endpoint_url: Option<String>,
    #[command(flatten)]
    aws: aws_config::Args,
}

const HELP: &str = "\
Clients use the APIs of OpenAI, Anthropic, Bedrock and SageMaker, each with the base URL of the gateway; see docs/gateway.md. \
The first line on standard output is `listening on URL`, the second `admin on URL`. SIGTERM stops after the requests that run.";

/// The address of health checks and metrics, if there is one.
#[derive(Clone, Copy, Debug)]
struct Admin(Option<SocketAddr>);

fn admin_address(text: &str) -> Result<Admin, String> {
    match text {
        "off" => Ok(Admin(None)),
        _ => text
            .parse()
            .map(|address| Admin(Some(address)))
            .map_err(|_| "not an address such as 127.0.0.1:4001".into()),
    }
}

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    if args.schema {
        let schema = serde_json::to_string_pretty(&Config::schema()).expect("a schema is JSON");
        return print(&format!("{schema}\n"));
    }
    if let Some(name) = &args.new_key {
        let (key, entry) = new_key(name).map_err(|error| Fault::usage(format!("--new-key: {error}")))?;
        return print(&format!("{key}\n\n# The entry under `keys` of the file:\n{entry}"));
    }
    if let Some(path) = &args.check {
        let config = load(path)?;
        let keys = config.keys.len();
        return print(&format!("{}: valid: models {}, keys {keys}\n", path.display(), config.models.len()));
    }
    // The emulator runs as long as this is there.
    let demo = if args.demo { Some(demo::start().await?) } else { None };
    let mut config = match (&args.config, &demo) {
        (Some(path), _) => load(path)?,
        (None, Some(demo)) => demo.config(),
        (None, None) => args.endpoints()?,
    };
    if args.config.is_none() {
        // There is no load balancer that has to notice the end.
        config.shutdown.linger = Duration::ZERO;
    }
    if !args.listen.is_empty() {
        config.listen = args.listen.iter().copied().map(Listen::new).collect();
    }
    if let Some(Admin(admin)) = args.admin {
        config.admin = admin;
    }
    if let Some((_, problem)) = config.problems().into_iter().next() {
        return Err(Fault::usage(problem));
    }
    serve(config, args.config.as_deref()).await
}

/// Serves a configuration. If it is that of a file, changes of the file are applied.
async fn serve(config: Config, path: Option<&Path>) -> Result<(), Fault> {
    let schemes: Vec<_> = config.listen.iter().map(scheme).collect();
    // Signals have to be handled before the line that announces the server.
    let stopped = stop_signal().map_err(|error| Fault::usage(format!("signals: {error}")))?;
    let mut server = Server::bind(config).await.map_err(Fault::usage)?;
    if let Some(path) = path {
        server = server.with_config_file(path);
    }
    let addresses = server.addresses().iter().zip(schemes);
    let mut lines: Vec<_> =
        addresses.map(|(address, scheme)| format!("listening on {scheme}://{address}\n")).collect();
    if let Some(address) = server.admin_address() {
        // Programs that start the gateway read the first two lines.
        lines.insert(1.min(lines.len()), format!("admin on http://{address}\n"));
    }
    print(&lines.concat())?;
    server.serve(stopped).await;
    Ok(())
}

fn scheme(listen: &Listen) -> &'static str {
    if listen.tls.is_some() { "https" } else { "http" }
}

/// Reads a file. Prints a line for each note, and for each mistake.
fn load(path: &Path) -> Result<Config, Fault> {
    match Config::load(path) {
        Ok((config, notes)) => {
            for Note { at, message, .. } in notes {
                note(&format!("{}:{at}: note: {message}", path.display()));
            }
            Ok(config)
        }
        Err(error) => Err(report(&error)),
    }
}

fn report(error: &ConfigError) -> Fault {
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        note(line);
    }
    Fault::usage(format!("{}: {} mistakes", error.path().display(), lines.len()))
}

impl Args {
    /// The configuration of the endpoints that the arguments name.
    fn endpoints(&self) -> Result<Config, Fault> {
        let template = self.template.as_deref().map(|name| Template::find(Path::new(""), name)).transpose();
        let template = template.map_err(|reason| Fault::usage(format!("--template: {reason}")))?;
        let mut config = Config::default();
        for name in &self.endpoint {
            let mut model = Model::endpoint(name.as_str());
            match &self.format {
                Writing::Known(api) => model.format = *api,
                Writing::Custom(format) => model.custom = Some(Arc::clone(format)),
            }
            model.template.clone_from(&template);
            if let Upstream::SageMaker(upstream) = &mut model.upstream {
                upstream.endpoint_url.clone_from(&self.endpoint_url);
                self.aws.apply(upstream);
            }
            config.models.push(model);
        }
        Ok(config)
    }
}
