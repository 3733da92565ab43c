//! A raw TCP container: it sends scripted bytes, valid or not, and records the requests that it receives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sagewire_emulator::{Builder, Emulator, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An action on a connection, after its request was received.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Sends chunks of 64 KiB until the socket accepts no more.
    Flood,
    /// Waits until the peer closes the connection.
    AwaitClose,
}

#[derive(Debug)]
pub(crate) struct Container {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    closed: Arc<AtomicUsize>,
    flooded: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Container {
    pub(crate) async fn new(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (requests, closed, flooded) = (Arc::default(), Arc::default(), Arc::default());
        let mut task = JoinSet::new();
        let shared = (Arc::clone(&requests), Arc::clone(&closed), Arc::clone(&flooded));
        task.spawn(async move {
            let (requests, closed, flooded): (Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>, Arc<AtomicUsize>) =
                shared;
            let mut connections = JoinSet::new();
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let (requests, closed, flooded) =
                    (Arc::clone(&requests), Arc::clone(&closed), Arc::clone(&flooded));
                let steps = steps.clone();
                connections.spawn(async move {
                    let request = read_request(&mut socket).await;
                    requests.lock().unwrap().push(request);
                    for step in steps {
                        if !run(step, &mut socket, &flooded).await {
                            closed.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                    }
                });
            }
        });
        Self { addr, requests, closed, flooded, _task: task }
    }

    /// A container that sends a response with a `content-length`.
    pub(crate) async fn whole(status: &str, headers: &str, body: &str) -> Self {
        Self::new(vec![whole(status, headers, body)]).await
    }

    /// A container that streams chunks of server-sent events, and ends the body properly.
    pub(crate) async fn streaming(chunks: &[&str]) -> Self {
        let mut steps = vec![head()];
        for text in chunks {
            steps.extend([chunk(text), Step::Wait(Duration::from_millis(15))]);
        }
        steps.push(Step::Send(b"0\r\n\r\n".into()));
        Self::new(steps).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn behind(&self) -> Builder {
        Emulator::builder().upstream(self.url().parse().unwrap())
    }

    pub(crate) async fn emulator(&self) -> Emulator {
        self.behind().start().await.unwrap()
    }

    pub(crate) async fn limited(&self, limits: Limits) -> Emulator {
        self.behind().limits(limits).start().await.unwrap()
    }

    /// The heads and bodies of the requests, in the order of arrival.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn flooded(&self) -> usize {
        self.flooded.load(Ordering::SeqCst)
    }

    /// Waits up to two seconds until the peer has closed a connection.
    pub(crate) async fn is_closed(&self) -> bool {
        for _ in 0..200 {
            if self.closed.load(Ordering::SeqCst) > 0 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

pub(crate) fn whole(status: &str, headers: &str, body: &str) -> Step {
    let len = body.len();
    Step::Send(format!("HTTP/1.1 {status}\r\n{headers}content-length: {len}\r\n\r\n{body}").into())
}

/// The head of a streaming response.
pub(crate) fn head() -> Step {
    Step::Send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nserver: uvicorn\r\nx-other: 1\r\n\
         x-amzn-sagemaker-custom-attributes: trace=7\r\ntransfer-encoding: chunked\r\n\r\n"
            .into(),
    )
}

pub(crate) fn chunk(text: impl AsRef<[u8]>) -> Step {
    let text = text.as_ref();
    Step::Send([format!("{:x}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat())
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= len.map_or(0, |len| len.parse().unwrap()) {
                return String::from_utf8(bytes).unwrap();
            }
        }
        assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "a whole request");
    }
}

/// Returns whether the connection may still be used.
async fn run(step: Step, socket: &mut TcpStream, flooded: &AtomicUsize) -> bool {
    match step {
        Step::Send(bytes) => return socket.write_all(&bytes).await.is_ok(),
        Step::Wait(pause) => tokio::time::sleep(pause).await,
        Step::Flood => {
            let Step::Send(bytes) = chunk([b'x'; 64 << 10]) else { unreachable!("a chunk is sent") };
            while socket.write_all(&bytes).await.is_ok() {
                flooded.fetch_add(bytes.len(), Ordering::SeqCst);
            }
            return false;
        }
        Step::AwaitClose => {
            let mut rest = [0; 64];
            while socket.read(&mut rest).await.is_ok_and(|len| len > 0) {}
            return false;
        }
    }
    true
}
