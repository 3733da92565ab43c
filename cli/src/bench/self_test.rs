//! Measures what the client itself adds to latencies.

use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sagewire_emulator::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use sagewire_eval::load::results::Overhead;
use sagewire_eval::load::{PacedServer, measure_overhead};
use sagewire_transport_reqwest::{Client, Credentials, Endpoint, Request, Retry};
use tokio::net::TcpListener;

use crate::call_error::with_cause;
use crate::fault::{Exit, Fault};
use crate::output::print;

/// 50 tokens per second, for five seconds.
const SERVER: PacedServer = PacedServer { tokens: 250, interval: Duration::from_millis(20) };

/// Serves until standard input ends: the process that started this one has ended then.
pub(super) async fn serve() -> Result<(), Fault> {
    let failed = |error| Fault::Line(Exit::Failed, format!("self-test: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    print(&format!("{}\n", listener.local_addr().map_err(failed)?))?;
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(ended);
    });
    tokio::select! {
        served = SERVER.serve(listener) => served.map_err(failed),
        _ = end => Ok(()),
    }
}

/// The server in a process of its own, which ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server in another process, and measures with this many streams.
pub(super) async fn run(streams: u64) -> Result<Overhead, Fault> {
    let failed = |error: &dyn std::fmt::Display| Fault::Line(Exit::Failed, format!("self-test: {error}"));
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut command = Command::new(program);
    command.args(["bench", "--self-test-server"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Server(command.spawn().map_err(|error| failed(&error))?);
    let mut line = String::new();
    if let Some(stdout) = server.0.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(|error| failed(&error))?;
    }
    let client = Client::builder()
        .region("us-east-1")
        .credentials(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "self-test"))
        .endpoint_url(format!("http://{}", line.trim()))
        .retry(Retry::never())
        .build()
        .map_err(|error| failed(&with_cause(&error)))?;
    let request = Request::new(Endpoint::new("self-test"), "{}");
    let overhead = measure_overhead(client, request, streams, SERVER).await;
    overhead.map_err(|error| failed(&with_cause(&error)))
}
