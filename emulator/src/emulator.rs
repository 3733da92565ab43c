//! The emulator and its builder.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::container::ContainerFormat;
use crate::limits::Limits;
use crate::log::{Log, Observer, Reporter, Request};
use crate::pace::Pace;
use crate::record::Recorder;
use crate::script::Script;
use crate::server;
use crate::state::{Service, Settings};
use crate::upstream::Upstream;

/// The default access key ID that requests must be signed with: the one of AWS's
/// documentation.
pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
/// The secret access key that belongs to [`ACCESS_KEY_ID`].
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// LMI's default.
const SESSION_LIFETIME: Duration = Duration::from_secs(1200);

/// A running emulator.
///
/// Dropping it stops it: no more connections are accepted, and unfinished responses break off.
/// [`stop`](Self::stop) lets them finish.
#[derive(Debug)]
#[must_use = "the emulator stops when it is dropped"]
pub struct Emulator {
    addr: SocketAddr,
    log: Arc<Log>,
    /// Stops the server when it is dropped.
    accepting: oneshot::Sender<()>,
    server: JoinHandle<()>,
    /// Breaks off responses when it is dropped.
    alive: watch::Sender<()>,
}

impl Emulator {
    /// A builder with the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The address of the listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The requests received so far, including rejected ones: the last 1,024, with at most 64 MiB.
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests()
    }

    /// Accepts no more connections and waits until the responses in progress have been sent. This never returns if a script
    /// stalls one.
    pub async fn stop(self) {
        let Self { accepting, server, alive, .. } = self;
        drop(accepting);
        // It fails only after a panic, which has been printed.
        let _ = server.await;
        drop(alive);
    }
}

/// Settings of an [`Emulator`].
#[derive(Clone, Debug)]
pub struct Builder {
    port: u16,
    credentials: Credentials,
    script: Option<Script>,
    format: ContainerFormat,
    pause: Duration,
    pace: Option<Pace>,
    seed: u64,
    upstream: Option<Upstream>,
    limits: Limits,
    record: Option<PathBuf>,
    storage: Option<PathBuf>,
    session_lifetime: Option<Duration>,
    observer: Option<Observer>,
    reporter: Reporter,
    allowed_hosts: Vec<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            port: 0,
            credentials: credentials(ACCESS_KEY_ID.into(), SECRET_ACCESS_KEY.into(), None),
            script: None,
            format: ContainerFormat::default(),
            pause: Duration::ZERO,
            pace: None,
            seed: 1,
            upstream: None,
            limits: Limits::default(),
            record: None,
            storage: None,
            session_lifetime: Some(SESSION_LIFETIME),
            observer: None,
            reporter: Reporter::default(),
            allowed_hosts: Vec::new(),
        }
    }
}

impl Builder {
    /// The port to listen on. Default: 0, any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The credentials that requests must be signed with. Default: [`ACCESS_KEY_ID`] and [`SECRET_ACCESS_KEY`].
    pub fn credentials(mut self, access_key_id: impl Into<String>, secret: impl Into<String>) -> Self {
        let token = self.credentials.session_token().map(Into::into);
        self.credentials = credentials(access_key_id.into(), secret.into(), token);
        self
    }

    /// The session token that requests must have. Default: none; a request with one is rejected.
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        let (id, secret) = (self.credentials.access_key_id(), self.credentials.secret_access_key());
        self.credentials = credentials(id.into(), secret.into(), Some(token.into()));
        self
    }

    /// The responses. Default: every endpoint has a container that echoes, with random cuts.
    pub fn script(mut self, script: Script) -> Self {
        self.script = Some(script);
        self
    }

    /// The API of the emulated container, unless the script has another response. Default:
    /// [`OpenAi`](ContainerFormat::OpenAi).
    pub fn format(mut self, format: ContainerFormat) -> Self {
        self.format = format;
        self
    }

    /// A real container in place of the emulated one, for every rule of the script without a body, a failure or a
    /// format. Its response is cut, paused and broken as the script defines, chunk by chunk. At most one
    /// chunk is read ahead of the client. Default: none.
    pub fn upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// The limits of the service. Default: those of the service's documentation.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A directory for recordings of the [`upstream`](Self::upstream): one [`Script`] per call, which
    /// replays it. Recordings have the headers that the container received, without signatures, keys and tokens, and
    /// the unchanged bodies. The directory is created if it does not exist. Default: no recordings.
    pub fn record(mut self, folder: impl Into<PathBuf>) -> Self {
        self.record = Some(folder.into());
        self
    }

    /// A local directory used in place of S3 by asynchronous requests: `s3://BUCKET/KEY` is the file `BUCKET/KEY` in it.
    /// Default: none; asynchronous requests are accepted, but the container is not invoked.
    pub fn storage(mut self, folder: impl Into<PathBuf>) -> Self {
        self.storage = Some(folder.into());
        self
    }

    /// How long a stateful session of an emulated container lasts. `None`: it has no sessions, as vLLM's by default. Only the
    /// containers of vLLM and LMI have sessions. Default: 20 minutes, as in LMI.
    pub fn session_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.session_lifetime = lifetime.into();
        self
    }

    /// Called with a message about each recording or asynchronous response that could not be written. It must
    /// not block. Default: nothing.
    pub fn on_failure(mut self, reporter: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.reporter = Reporter(Some(Arc::new(reporter)));
        self
    }

    /// The pause between chunks when there is no script. Default: none.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// How fast the container responds, and how many responses it generates at a time, when there is no script. Streams are then
    /// cut after each event. Default: as fast as possible, without a limit.
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = Some(pace);
        self
    }

    /// The seed of the random cuts when there is no script. Default: 1.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Called with every request and the status of its response, before the response is sent. It must
    /// not block. Default: nothing.
    pub fn on_request(mut self, observer: impl Fn(&Request, u16) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer(Arc::new(observer)));
        self
    }

    /// Another host name by which clients reach the emulator. Default: `localhost` and its subdomains, loopback addresses, and
    /// `host.docker.internal`. Requests for other hosts are rejected, because a web page could have sent them: its own name may
    /// resolve to 127.0.0.1, and the default credentials are public.
    pub fn allow_host(mut self, name: impl Into<String>) -> Self {
        self.allowed_hosts.push(name.into());
        self
    }

    /// Listens on 127.0.0.1 and serves requests in tasks of the current tokio runtime, which needs its I/O and time drivers.
    ///
    /// # Errors
    ///
    /// The port is in use or not permitted, the directory for recordings cannot be created, or the [`Pace`] has a value that is
    /// out of range.
    pub async fn start(self) -> io::Result<Emulator> {
        if let Some(pace) = &self.pace {
            pace.check().map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let addr = listener.local_addr()?;
        let recorder = self.record.map(|folder| Recorder::new(&folder, self.reporter.clone())).transpose()?;
        let log = Arc::new(Log::default());
        let (alive, still_alive) = watch::channel(());
        let (accepting, stopped) = oneshot::channel::<()>();
        let settings = Settings {
            credentials: self.credentials,
            script: self.script.unwrap_or_else(|| Script::echo(self.pause, self.seed, self.pace)),
            format: self.format,
            upstream: self.upstream,
            limits: self.limits,
            recorder: recorder.map(Arc::new),
            storage: self.storage,
            session_lifetime: self.session_lifetime,
            log: Arc::clone(&log),
            observer: self.observer,
            reporter: self.reporter,
            allowed_hosts: self.allowed_hosts,
        };
        let service = Arc::new(Service::new(settings, still_alive));
        let server = tokio::spawn(server::serve(listener, service, stopped));
        Ok(Emulator { addr, log, accepting, server, alive })
    }
}

fn credentials(id: String, secret: String, token: Option<String>) -> Credentials {
    Credentials::new(id, secret, token, None, "sagewire-emulator")
}
