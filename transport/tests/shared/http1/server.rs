//! An HTTP/1.1 server with faults.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::ReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::reply::{Reply, STREAM_HEADERS};

/// The delay before a reset, which would otherwise discard data in flight.
const FLUSH: Duration = Duration::from_millis(50);

/// A step of the reply to a request. After the last one, the connection stays open for the next request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Bytes),
    /// Byte by byte, each after a pause.
    Drip(Bytes, Duration),
    Pause(Duration),
    /// Sends nothing more.
    Stall,
    Reset,
    Close,
}

/// The server stops when it is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    replies: Vec<Vec<Step>>,
    requests: AtomicUsize,
    /// Requests that have no complete reply yet, and that the client has not cancelled.
    open: AtomicUsize,
    /// Sends nothing more.
    silent: watch::Sender<bool>,
}

impl Server {
    /// Sends one reply per request; the last reply is repeated for all further requests.
    pub(crate) async fn start(replies: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (requests, open) = Default::default();
        let shared = Arc::new(Shared { replies, requests, open, silent: watch::channel(false).0 });
        let own = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, Arc::clone(&own)));
            }
        });
        Self { addr, shared, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// From now on the server only waits for the client to close its connections.
    pub(crate) fn silence(&self) {
        self.shared.silent.send_replace(true);
    }

    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(mut socket: TcpStream, shared: Arc<Shared>) {
    let _ = socket.set_nodelay(true);
    while read_request(&mut socket).await.is_some() {
        let at = shared.requests.fetch_add(1, Ordering::Relaxed);
        let steps = &shared.replies[at.min(shared.replies.len() - 1)];
        shared.open.fetch_add(1, Ordering::Relaxed);
        let goes_on = reply(&mut socket, steps, &shared).await;
        shared.open.fetch_sub(1, Ordering::Relaxed);
        if !goes_on {
            return;
        }
    }
}

/// Reads a complete request; `None` at the end of the connection.
async fn read_request(socket: &mut TcpStream) -> Option<()> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let len = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let len: usize = len.map_or(0, |len| len.trim().parse().expect("a length"));
            if request.len() >= end + 4 + len {
                return Some(());
            }
        }
        if socket.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}

/// Returns whether the connection can be used for another request.
async fn reply(socket: &mut TcpStream, steps: &[Step], shared: &Shared) -> bool {
    for step in steps {
        let (mut reader, mut writer) = socket.split();
        let mut silent = shared.silent.subscribe();
        let sending = async {
            match step {
                Step::Send(bytes) => writer.write_all(bytes).await,
                Step::Drip(bytes, pause) => {
                    for byte in bytes {
                        writer.write_all(&[*byte]).await?;
                        sleep(*pause).await;
                    }
                    Ok(())
                }
                Step::Pause(pause) => {
                    sleep(*pause).await;
                    Ok(())
                }
                Step::Stall => std::future::pending().await,
                Step::Reset | Step::Close => {
                    sleep(FLUSH).await;
                    Ok(())
                }
            }
        };
        let sent = tokio::select! {
            biased;
            _ = silent.wait_for(|silent| *silent) => None,
            () = closed(&mut reader) => return false,
            sent = sending => Some(sent),
        };
        match (sent, step) {
            (None, _) => {
                closed(&mut reader).await;
                return false;
            }
            (Some(Err(_)), _) => return false,
            (_, Step::Reset) => {
                let _ = socket.set_zero_linger();
                return false;
            }
            (_, Step::Close) => return false,
            _ => {}
        }
    }
    true
}

/// Waits until the client closes the connection. It sends nothing during a reply.
async fn closed(reader: &mut ReadHalf<'_>) {
    while reader.read(&mut [0; 64]).await.is_ok_and(|len| len > 0) {}
}

/// The head of a streaming reply.
pub(crate) fn stream_head() -> Bytes {
    head(200, &[&STREAM_HEADERS[..], &[("transfer-encoding", "chunked")]].concat())
}

fn head(status: u16, headers: &[(&str, &str)]) -> Bytes {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} Some\r\n{headers}\r\n").into()
}

/// The bytes of a reply.
pub(crate) fn bytes(reply: &Reply) -> Bytes {
    match reply {
        Reply::Whole { status, headers, body } => {
            let len = body.len().to_string();
            let head = head(*status, &[headers, &[("content-length", &*len)][..]].concat());
            [head, body.clone()].concat().into()
        }
        Reply::Stream(frames) => {
            let chunks = frames.iter().map(|frame| chunk(frame));
            [stream_head()]
                .into_iter()
                .chain(chunks)
                .chain([last_chunk()])
                .collect::<Vec<_>>()
                .concat()
                .into()
        }
    }
}

pub(crate) fn steps(reply: &Reply) -> Vec<Step> {
    vec![Step::Send(bytes(reply))]
}

/// A chunk of the chunked transfer encoding.
pub(crate) fn chunk(bytes: &[u8]) -> Bytes {
    let head = format!("{:x}\r\n", bytes.len());
    [head.as_bytes(), bytes, b"\r\n"].concat().into()
}

pub(crate) fn last_chunk() -> Bytes {
    Bytes::from_static(b"0\r\n\r\n")
}
