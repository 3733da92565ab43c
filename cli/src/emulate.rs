//! `sagewire emulate`: a local SageMaker Runtime, until it is told to stop.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use sagewire_emulator::{
    ACCESS_KEY_ID, ContainerFormat, Emulator, SCRIPT_HELP, SECRET_ACCESS_KEY, Script, Upstream,
};

use crate::fault::{Fault, note};
use crate::format;
use crate::output::Output;

/// How long running answers may still take after the signal to stop. One that a script stalls never ends.
const GRACE: Duration = Duration::from_secs(1);

/// Arguments of `sagewire emulate`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SCRIPT_HELP)]
pub(crate) struct Args {
    /// The port to listen on, of 127.0.0.1; 0 picks a free one
    #[arg(long, value_name = "N", default_value_t = 8787)]
    port: u16,
    /// The container of every endpoint, which echoes
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = format::emulated())]
    format: ContainerFormat,
    /// What to answer; without it, and where it has no body, the container answers
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// A real container that answers instead, over http or https: its /invocations, or the path of the URL; for the
    /// OpenAI route its /v1/chat/completions. Of https the platform's certificates are trusted, or those of the file
    /// that SSL_CERT_FILE names
    #[arg(long, value_name = "URL", conflicts_with = "format")]
    upstream: Option<Upstream>,
    /// Keep what passes to and from the real container: a script for each call, without keys and signatures but with
    /// the bodies as they are
    #[arg(long, value_name = "DIR", requires = "upstream")]
    record: Option<PathBuf>,
    /// A folder that plays S3 for asynchronous calls, DIR/BUCKET/KEY; without it they are accepted and nothing more
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
    /// The access key id that requests must be signed with
    #[arg(long, value_name = "ID", default_value = ACCESS_KEY_ID)]
    access_key_id: String,
    /// The secret access key that belongs to it
    #[arg(long, value_name = "KEY", default_value = SECRET_ACCESS_KEY)]
    secret_access_key: String,
    /// The session token that requests must have; without it they must have none
    #[arg(long, value_name = "TOKEN")]
    session_token: Option<String>,
    /// Where streams are cut when there is no script: the same number, the same cuts
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "script")]
    seed: u64,
    /// The pause between chunks when there is no script, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0, conflicts_with = "script")]
    pause_ms: u64,
}

/// Listens until SIGINT or SIGTERM.
pub(crate) async fn run(args: &Args, verbose: bool) -> Result<(), Fault> {
    let mut builder = Emulator::builder()
        .port(args.port)
        .format(args.format)
        .credentials(&args.access_key_id, &args.secret_access_key)
        .seed(args.seed)
        .pause(Duration::from_millis(args.pause_ms));
    if let Some(token) = &args.session_token {
        builder = builder.session_token(token);
    }
    if let Some(path) = &args.script {
        builder = builder.script(Script::load(path).map_err(Fault::usage)?);
    }
    if let Some(upstream) = &args.upstream {
        builder = builder.upstream(upstream.clone());
    }
    if let Some(folder) = &args.record {
        // A folder that cannot be made should not be blamed on the port.
        std::fs::create_dir_all(folder)
            .map_err(|error| Fault::usage(format!("{}: {error}", folder.display())))?;
        builder = builder.record(folder);
    }
    if let Some(folder) = &args.storage {
        builder = builder.storage(folder);
    }
    builder = builder.on_failure(note);
    if verbose {
        builder = builder.on_request(|request, status| {
            note(&format!("{} {} {} bytes: {status}", request.method, request.path, request.body.len()));
        });
    }
    // Before anybody is told that it runs, and might want to stop it.
    let stopped = stop_signal().map_err(|error| Fault::usage(format!("signals: {error}")))?;
    let emulator =
        builder.start().await.map_err(|error| Fault::usage(format!("port {}: {error}", args.port)))?;
    let mut output = Output::default();
    output.buffer().extend_from_slice(format!("listening on {}\n", emulator.url()).as_bytes());
    output.flush()?;
    stopped.await;
    // In time or not: it ends now.
    let _ = tokio::time::timeout(GRACE, emulator.stop()).await;
    Ok(())
}

/// Waits for SIGINT or SIGTERM, from now on.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
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

/// Waits for Ctrl-C, from now on.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signal = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        signal.recv().await;
    })
}
