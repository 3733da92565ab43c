//! `sagewire emulate`: runs a local SageMaker Runtime.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use sagewire_emulator::{
    ACCESS_KEY_ID, ContainerFormat, Emulator, Pace, SCRIPT_HELP, SECRET_ACCESS_KEY, Script, Upstream,
};

use crate::fault::{Fault, note};
use crate::format;
use crate::output::{Output, print};
use crate::secret::Secret;

/// How long running responses may continue after the signal to stop. A response that a script stalls never ends.
const GRACE: Duration = Duration::from_secs(1);

/// Arguments of `sagewire emulate`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SCRIPT_HELP)]
pub(crate) struct Args {
    /// Port of 127.0.0.1 to listen on; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 8787)]
    port: u16,
    /// Container behind every endpoint; it echoes the prompt
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = format::emulated())]
    format: ContainerFormat,
    /// Script with the responses; rules without a body get that of the container
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Forward requests to a real container
    #[arg(long, value_name = "URL", conflicts_with = "format", long_help = UPSTREAM_HELP)]
    upstream: Option<Upstream>,
    /// Record each call to the real container as a script; without keys and signatures, with bodies
    #[arg(long, value_name = "DIR", requires = "upstream")]
    record: Option<PathBuf>,
    /// Local directory used in place of S3 for asynchronous calls, as DIR/BUCKET/KEY
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
    /// Lifetime of stateful sessions in seconds; 0 disables them. Containers of vLLM and LMI have them
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    session_lifetime: u64,
    /// Access key id that requests have to be signed with
    #[arg(long, value_name = "ID", default_value = ACCESS_KEY_ID)]
    access_key_id: String,
    /// Secret access key that requests have to be signed with
    #[arg(long, value_name = "KEY", env = "SAGEWIRE_EMULATOR_SECRET_ACCESS_KEY", hide_env_values = true, default_value = SECRET_ACCESS_KEY)]
    secret_access_key: Secret,
    /// Session token that requests have to carry [default: none]
    #[arg(long, value_name = "TOKEN", env = "SAGEWIRE_EMULATOR_SESSION_TOKEN", hide_env_values = true)]
    session_token: Option<Secret>,
    /// Another host name by which clients reach the emulator; web pages could use any name
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Tokens per second of each response
    #[arg(long, value_name = "N", conflicts_with_all = ["script", "upstream"])]
    tokens_per_second: Option<f64>,
    /// Milliseconds until the first token of a response
    #[arg(long, value_name = "MS", default_value_t = 0, conflicts_with_all = ["script", "upstream"])]
    time_to_first_token: u64,
    /// Responses that each endpoint generates at a time [default: no limit]
    #[arg(long, value_name = "N", conflicts_with = "script")]
    slots: Option<usize>,
    /// Requests of each endpoint that wait for a slot; further ones are refused
    #[arg(long, value_name = "N", default_value_t = 0, requires = "slots")]
    queue: usize,
    /// Status of requests that find the queue full: 429 or 503
    #[arg(long, value_name = "STATUS", default_value_t = 429, requires = "slots")]
    overload_status: u16,
    /// How far each time of a token may be off, as a fraction of it, such as 0.2
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, conflicts_with = "script")]
    jitter: f64,
    /// Seed of the random cuts of streams, and of the jitter
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "script")]
    seed: u64,
    /// Pause between chunks in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0, conflicts_with = "script")]
    pause_ms: u64,
    /// Print the environment variables for clients, as lines for a shell, and exit
    #[arg(long)]
    print_env: bool,
    /// Print every request to standard error
    #[arg(short, long)]
    verbose: bool,
}

impl Args {
    /// The lines that a shell evaluates so that any AWS tool calls the emulator at `url`.
    fn env(&self, url: &str) -> String {
        let mut lines = format!("export AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME={url} AWS_REGION=us-east-1\n");
        lines += &format!(
            "export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}\n",
            quoted(&self.access_key_id),
            quoted(&self.secret_access_key.0)
        );
        if let Some(token) = &self.session_token {
            lines += &format!("export AWS_SESSION_TOKEN={}\n", quoted(&token.0));
        }
        lines
    }

    /// `None` without options for it: streams are then cut at random.
    fn pace(&self) -> Option<Pace> {
        let is_default = self.tokens_per_second.is_none()
            && self.time_to_first_token == 0
            && self.slots.is_none()
            && self.jitter == 0.0;
        if is_default {
            return None;
        }
        let mut pace = Pace::new()
            .time_to_first_token(Duration::from_millis(self.time_to_first_token))
            .queue(self.queue)
            .overload_status(self.overload_status)
            .jitter(self.jitter)
            .seed(self.seed);
        if let Some(rate) = self.tokens_per_second {
            pace = pace.tokens_per_second(rate);
        }
        if let Some(count) = self.slots {
            pace = pace.slots(count);
        }
        Some(pace)
    }

    /// Whether the credentials are the public ones of the emulator.
    fn has_default_credentials(&self) -> bool {
        self.session_token.is_none()
            && (&*self.access_key_id, &*self.secret_access_key.0) == (ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    }
}

/// A value as one word of a shell.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/+=:._-".contains(c);
    match value.chars().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

const UPSTREAM_HELP: &str = "\
Forward requests to a real container, over http or https: to /invocations or the path of the URL, and to \
/v1/chat/completions on the OpenAI route. For https, the certificates of the platform are trusted, or those in the file \
that SSL_CERT_FILE names.";

/// Listens until SIGINT or SIGTERM.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    if args.print_env {
        return print(&args.env(&format!("http://127.0.0.1:{}", args.port)));
    }
    let mut builder = Emulator::builder()
        .port(args.port)
        .format(args.format)
        .credentials(&args.access_key_id, &args.secret_access_key.0)
        .session_lifetime((args.session_lifetime > 0).then(|| Duration::from_secs(args.session_lifetime)))
        .seed(args.seed)
        .pause(Duration::from_millis(args.pause_ms));
    if let Some(pace) = args.pace() {
        builder = builder.pace(pace);
    }
    if let Some(token) = &args.session_token {
        builder = builder.session_token(&token.0);
    }
    for name in &args.allow_host {
        builder = builder.allow_host(name);
    }
    if let Some(path) = &args.script {
        builder =
            builder.script(Script::load(path).map_err(|error| Fault::usage(format!("--script: {error}")))?);
    }
    if let Some(upstream) = &args.upstream {
        builder = builder.upstream(upstream.clone());
    }
    if let Some(directory) = &args.record {
        // Otherwise the error would name the port.
        std::fs::create_dir_all(directory)
            .map_err(|error| Fault::usage(format!("--record: {}: {error}", directory.display())))?;
        builder = builder.record(directory);
    }
    if let Some(directory) = &args.storage {
        builder = builder.storage(directory);
    }
    builder = builder.on_failure(note);
    if args.verbose {
        builder = builder.on_request(|request, status| {
            note(&format!("{} {} {} bytes: {status}", request.method, request.path, request.body.len()));
        });
    }
    // Signals have to be handled before the line that announces the server.
    let stopped = stop_signal().map_err(|error| Fault::usage(format!("signals: {error}")))?;
    let emulator = builder.start().await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Fault::usage(error.to_string()),
        _ => Fault::usage(format!("--port {}: {error}", args.port)),
    })?;
    let mut output = Output::default();
    output.buffer().extend_from_slice(format!("listening on {}\n", emulator.url()).as_bytes());
    // Real secrets are printed on request only.
    if args.has_default_credentials() {
        output.buffer().extend_from_slice(args.env(&emulator.url()).as_bytes());
    }
    output.flush()?;
    stopped.await;
    // After the grace period the process ends in any case.
    let _ = tokio::time::timeout(GRACE, emulator.stop()).await;
    Ok(())
}

/// Registers for SIGINT and SIGTERM, and returns a future that waits for one of them.
#[cfg(unix)]
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::signal::unix::{SignalKind, signal};

    let mut signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    Ok(poll_fn(move |cx| {
        if signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }))
}

/// Registers for Ctrl-C, and returns a future that waits for it.
#[cfg(not(unix))]
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signal = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        signal.recv().await;
    })
}
