//! A server on loopback, and a client that sees each part of a response when it arrives.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use sagewire_gateway::config::Config;
use sagewire_gateway::{Gateway, Server};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs.
pub struct Running {
    pub address: SocketAddr,
    /// All of them, in the order of the configuration.
    pub addresses: Vec<SocketAddr>,
    pub admin: SocketAddr,
    pub gateway: Gateway,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// Starts a server on free ports. It stops at once when it is asked to, unless the configuration says otherwise.
pub async fn serve(config: Config) -> Running {
    start(config, None).await
}

/// The same, with a configuration file that is applied when it changes.
pub async fn serve_file(path: &Path) -> Running {
    let (config, _) = Config::load(path).unwrap_or_else(|error| panic!("{error}"));
    start(config, Some(path)).await
}

async fn start(mut config: Config, path: Option<&Path>) -> Running {
    for listen in &mut config.listen {
        listen.address.set_port(0);
    }
    config.admin = Some(([127, 0, 0, 1], 0).into());
    let mut server = Server::bind(config).await.expect("a server");
    if let Some(path) = path {
        server = server.with_config_file(path);
    }
    let (addresses, admin) = (server.addresses().to_vec(), server.admin_address().expect("an address"));
    let gateway = server.gateway().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.serve(async { drop(stopped.await) }));
    let running = Running { address: addresses[0], addresses, admin, gateway, stop: Some(stop), task };
    let start = Instant::now();
    while running.admin("/readyz").await.status != 200 {
        assert!(start.elapsed() < Duration::from_secs(10), "it is not ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    running
}

impl Running {
    /// Asks the server to stop.
    pub fn begin_stop(&mut self) {
        self.stop.take().expect("it runs").send(()).expect("it runs");
    }

    /// Waits until the server has stopped.
    pub async fn stopped(self) {
        self.task.await.expect("it does not panic");
    }

    pub fn has_stopped(&self) -> bool {
        self.task.is_finished()
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// The response of health or metrics.
    pub async fn admin(&self, path: &str) -> Whole {
        let mut client = Client::connect(self.admin).await;
        client.send("GET", path, &[], b"").await;
        client.whole().await
    }

    /// The sum of all series of a metric whose labels contain all of these.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let metrics = self.admin("/metrics").await.body;
        let lines = metrics.lines().filter(|line| {
            line.split(['{', ' ']).next() == Some(name) && labels.iter().all(|label| line.contains(label))
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// A connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    /// The bytes that the body has left, if it has a length.
    left: Option<usize>,
}

/// A response as a whole.
#[derive(Debug)]
pub struct Whole {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        Self { stream: BufReader::new(stream), left: None }
    }

    pub async fn send(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) {
        self.send_head(method, path, headers, body.len()).await;
        self.write(body).await;
    }

    /// The connection, for what is read in another way.
    pub fn into_stream(self) -> BufReader<TcpStream> {
        self.stream
    }

    /// Sends a request for a chat of an endpoint.
    pub async fn chat(&mut self, model: &str, stream: bool) {
        let body = format!(
            r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"one two three four"}}]}}"#
        );
        self.send("POST", "/v1/chat/completions", &[], body.as_bytes()).await;
    }

    pub async fn send_head(&mut self, method: &str, path: &str, headers: &[&str], len: usize) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {len}\r\n");
        for header in headers {
            head += header;
            head += "\r\n";
        }
        head += "\r\n";
        self.write(head.as_bytes()).await;
    }

    /// Writes; if the server closes the connection meanwhile, that is seen by reading.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The status and the head of a response, which is read by [`part`](Self::part) then.
    pub async fn head(&mut self) -> (u16, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let len = self.stream.read_line(&mut head).await.expect("a response");
            assert_ne!(len, 0, "the connection was closed: {head:?}");
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a number"))
        });
        self.left = length;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        (status, head)
    }

    /// The next part of the body: what the server has written at once, if nothing was late.
    pub async fn part(&mut self) -> Option<Vec<u8>> {
        let chunked = self.left.is_none();
        let len = match self.left {
            Some(left) => left,
            None => {
                let mut line = String::new();
                self.stream.read_line(&mut line).await.ok()?;
                usize::from_str_radix(line.trim_end(), 16).ok()?
            }
        };
        let mut part = vec![0; len];
        self.stream.read_exact(&mut part).await.ok()?;
        if chunked {
            self.stream.read_exact(&mut [0; 2]).await.ok()?;
        } else {
            self.left = Some(0);
        }
        (len > 0).then_some(part)
    }

    /// The rest of the body.
    pub async fn rest(&mut self) -> String {
        String::from_utf8(self.rest_bytes().await).expect("UTF-8")
    }

    async fn rest_bytes(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(part) = self.part().await {
            body.extend(part);
        }
        body
    }

    /// The status and the body of a response that may be binary.
    pub async fn bytes(&mut self) -> (u16, Vec<u8>) {
        let (status, _) = self.head().await;
        (status, self.rest_bytes().await)
    }

    pub async fn whole(&mut self) -> Whole {
        let (status, head) = self.head().await;
        Whole { status, head, body: self.rest().await }
    }
}
