//! An HTTP/2 server without TLS, which records its requests.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The pieces of a body, until the sender is dropped.
pub(crate) type Parts = mpsc::Receiver<Bytes>;

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) parts: Parts,
}

impl Reply {
    pub(crate) fn new(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Self {
        let (sender, parts) = mpsc::channel(1);
        sender.try_send(body.into()).expect("room for one");
        Self { parts, ..Self::open(status, headers).1 }
    }

    /// A reply with the body that the sender sends.
    pub(crate) fn open(status: u16, headers: &[(&'static str, &str)]) -> (mpsc::Sender<Bytes>, Self) {
        let (sender, parts) = mpsc::channel(1);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        (sender, Self { status, headers: map, parts })
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
    reset: mpsc::Receiver<()>,
}

impl Server {
    /// Sends one reply per request, and status 500 to all further requests.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
        let (tell, reset) = mpsc::channel(8);
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, Arc::clone(&replies), Arc::clone(&kept), tell.clone()));
            }
        });
        Self { addr, requests, reset }
    }

    /// Waits until the client has reset a stream.
    #[allow(dead_code, reason = "not every test drops streams")]
    pub(crate) async fn reset(&mut self) {
        self.reset.recv().await.expect("the server runs")
    }

    pub(crate) fn requests(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut self.requests.lock().expect("not poisoned"))
    }
}

type Answers = Arc<Mutex<VecDeque<Reply>>>;

async fn connection(
    socket: TcpStream,
    replies: Answers,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
    reset: mpsc::Sender<()>,
) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (replies, requests, reset) = (Arc::clone(&replies), Arc::clone(&requests), reset.clone());
        tokio::spawn(async move {
            let (parts, mut body) = request.into_parts();
            let mut whole = Vec::new();
            while let Some(Ok(chunk)) = body.data().await {
                let _ = body.flow_control().release_capacity(chunk.len());
                whole.extend_from_slice(&chunk);
            }
            requests.lock().expect("not poisoned").push(Request::from_parts(parts, whole.into()));
            let reply = replies.lock().expect("not poisoned").pop_front();
            let reply = reply.unwrap_or_else(|| Reply::new(500, &[], "no more replies"));
            if send(reply, respond).await.is_err() {
                let _ = reset.send(()).await;
            }
        });
    }
}

/// # Errors
///
/// The client has disconnected.
async fn send(mut reply: Reply, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("a status");
    *response.headers_mut() = reply.headers;
    let mut stream = respond.send_response(response, false)?;
    loop {
        tokio::select! {
            part = reply.parts.recv() => match part {
                Some(part) => stream.send_data(part, false)?,
                None => return stream.send_data(Bytes::new(), true),
            },
            reason = std::future::poll_fn(|cx| stream.poll_reset(cx)) => return Err(reason?.into()),
        }
    }
}
