//! A gateway in a process of its own, whose memory and time are not those of the test, and an endpoint that sends when it is told.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sagewire_codec::eventstream::{Header, Value, encode};
use sagewire_gateway::Server;
use sagewire_gateway::config::Config;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::keys;

/// The variable that makes [`serves`] a gateway with this configuration.
const CONFIG: &str = "SAGEWIRE_TEST_GATEWAY";
const READY: &str = "the gateway listens on ";

/// A running gateway, which ends with this value.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Process {
    /// Starts a gateway of these models, with what `more` adds to its configuration.
    pub(super) fn start(models: serde_json::Value, more: &serde_json::Value) -> Self {
        let mut config = json!({"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "access_log": "off"});
        let fields = config.as_object_mut().expect("an object");
        fields.insert("models".to_owned(), models);
        fields.extend(more.as_object().expect("an object").clone());
        let mut child = Command::new(std::env::current_exe().expect("a program"))
            .args(["process::serves", "--exact", "--nocapture"])
            .env(CONFIG, config.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let ready = output.lines().map(|line| line.expect("UTF-8")).find_map(|line| {
            let (address, admin) = line.split_once(READY)?.1.split_once(' ')?;
            Some((address.parse().expect("an address"), admin.parse().expect("an address")))
        });
        let (address, admin) = ready.expect("it is ready");
        Self { child, address, admin }
    }

    /// Its memory in bytes: `VmRSS` at present, `VmHWM` at most.
    pub(super) fn memory(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
        kib.expect("a number") << 10
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process of [`Process::start`], until its standard input ends.
#[test]
fn serves() {
    let Ok(text) = std::env::var(CONFIG) else { return };
    let (config, _) =
        Config::read(&text, Path::new("gateway.yaml"), |_| None).unwrap_or_else(|error| panic!("{error}"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let server = Server::bind(config).await.expect("a server");
        let admin = server.admin_address().expect("it has one");
        println!("\n{READY}{} {admin}", server.addresses()[0]);
        let end = tokio::task::spawn_blocking(|| drop(io::stdin().read(&mut [0])));
        server.serve(async { end.await.expect("no panic") }).await;
    });
}

/// The configuration of a model `e` at an endpoint `e` of a service.
pub(super) fn model(service: SocketAddr) -> serde_json::Value {
    let pair = keys().keys.expect("a key pair");
    json!({
        "name": "e",
        "endpoint": "e",
        "region": "us-east-1",
        "endpoint_url": format!("http://{service}"),
        "aws": {"access_key_id": pair.access_key_id, "secret": pair.secret.expose()},
    })
}

/// The connection of an endpoint.
pub(super) struct Connection(tokio::io::BufReader<TcpStream>);

/// An endpoint whose connections are served by `serve`.
pub(super) async fn endpoint<F>(serve: impl Fn(Connection) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            tokio::spawn(serve(Connection(tokio::io::BufReader::new(stream))));
        }
    });
    address
}

impl Connection {
    /// Reads a request.
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        let mut len = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    len = value.trim().parse().expect("a number");
                }
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        self.0.read_exact(&mut vec![0; len]).await.map(drop)
    }

    /// Reads a request and begins the response, a stream.
    pub(super) async fn begin(&mut self) -> io::Result<()> {
        self.receive().await?;
        self.respond().await
    }

    /// Begins the response, a stream.
    pub(super) async fn respond(&mut self) -> io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
                    x-amzn-sagemaker-content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        self.0.write_all(head.as_bytes()).await
    }

    /// Waits until the other side closes the connection.
    pub(super) async fn closed(&mut self) {
        // Nothing else is sent.
        let _ = self.0.read(&mut [0]).await;
    }

    /// Sends bytes in one frame.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let text = |name, value| Header::new(name, Value::String(value));
        let headers = [
            text(":message-type", "event"),
            text(":event-type", "PayloadPart"),
            text(":content-type", "application/octet-stream"),
        ];
        let mut frame = Vec::new();
        encode(headers, bytes, &mut frame).expect("short headers");
        let mut chunk = format!("{:x}\r\n", frame.len()).into_bytes();
        chunk.extend(frame);
        chunk.extend(b"\r\n");
        self.0.write_all(&chunk).await
    }

    /// Sends an event of a chat with this text.
    pub(super) async fn token(&mut self, text: &str) -> io::Result<()> {
        let event = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
        self.send(format!("data: {event}\n\n").as_bytes()).await
    }

    /// Ends the response as it should be.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        let event = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x",
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        self.send(format!("data: {event}\n\ndata: [DONE]\n\n").as_bytes()).await?;
        self.0.write_all(b"0\r\n\r\n").await
    }
}
