//! An HTTP/2 server with faults. A proxy between `h2` and the socket sends the frames that `h2` would not send.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::common::{HTTP2_ORIGIN, secured};
use crate::reply::{Reply, STREAM_HEADERS};

/// The delay before a fault, because a reset discards data in flight.
const FLUSH: Duration = Duration::from_millis(50);
/// An endpoint without faults: it shows whether a connection is usable.
pub(crate) const WELL: &str = "well";

/// A step of the reply to a request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Head(Box<Response<()>>),
    Data(Bytes),
    /// Frames of one byte, each after a pause.
    Drip(Bytes, Duration),
    /// Empty frames, until the client closes the stream.
    Empty(Duration),
    Pause(Duration),
    /// The end of the stream.
    End,
    /// Sends nothing more on this stream.
    Stall,
    ResetStream(Reason),
    /// A GOAWAY frame. If `processed`, its last stream ID includes this stream.
    GoAway {
        reason: Reason,
        processed: bool,
    },
    /// Sends nothing more on the connection, and reads nothing.
    Hang,
    /// A TCP reset.
    Reset,
    /// A TCP FIN.
    Close,
}

/// A fault of a connection. The frame is sent unchanged.
enum Order {
    Frame([u8; 17]),
    Hang,
    Reset,
    Close,
}

/// The server stops when it is dropped.
pub(crate) struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    replies: Vec<Vec<Step>>,
    /// The maximum number of concurrent streams of a connection.
    streams: u32,
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Streams that have no complete reply yet, and that the client has not reset.
    open: AtomicUsize,
    /// The reasons of the client's resets.
    resets: Mutex<Vec<Reason>>,
    /// Sends nothing more.
    silent: watch::Sender<bool>,
}

impl Server {
    /// Sends one reply per request; the last reply is repeated for all further requests.
    pub(crate) async fn start(replies: Vec<Vec<Step>>) -> Self {
        Self::with_streams(replies, 100).await
    }

    /// The same with a maximum number of concurrent streams.
    pub(crate) async fn with_streams(replies: Vec<Vec<Step>>, streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (connections, requests, open, resets) = Default::default();
        let silent = watch::channel(false).0;
        let shared = Arc::new(Shared { replies, streams, connections, requests, open, resets, silent });
        let own = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, Arc::clone(&own)));
            }
        });
        Self { addr, shared, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("{HTTP2_ORIGIN}:{}", self.addr.port())
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Without those to the endpoint without faults.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    pub(crate) fn resets(&self) -> Vec<Reason> {
        self.shared.resets.lock().expect("not poisoned").clone()
    }

    /// From now on the server only waits for the client to reset its streams, except for those of the endpoint without faults.
    pub(crate) fn silence(&self) {
        self.shared.silent.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(socket: TcpStream, shared: Arc<Shared>) {
    let _ = socket.set_nodelay(true);
    let (socket, control) = twice(socket).expect("a socket");
    let Some(wire) = secured(socket).await else { return };
    let (near, far) = tokio::io::duplex(1 << 20);
    let (give, orders) = mpsc::channel(1);
    tokio::spawn(between(wire, far, orders, control));
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(shared.streams);
    let Ok(mut connection) = builder.handshake(near).await else { return };
    shared.connections.fetch_add(1, Ordering::Relaxed);
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(stream(request, respond, give.clone(), Arc::clone(&shared)));
    }
}

/// The socket, and a second handle that sets how it closes.
fn twice(socket: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let socket = socket.into_std()?;
    Ok((TcpStream::from_std(socket.try_clone()?)?, TcpStream::from_std(socket)?))
}

/// Copies bytes between the client and `h2`, until there is a fault or one of them disconnects.
async fn between(
    wire: impl AsyncRead + AsyncWrite,
    far: DuplexStream,
    mut orders: mpsc::Receiver<Order>,
    control: TcpStream,
) {
    let (mut from_client, mut to_client) = split(wire);
    let (mut from_server, mut to_server) = split(far);
    let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
    loop {
        let sent = tokio::select! {
            // The output of `h2` comes first, so that a fault is not sent in the middle of a frame.
            biased;
            len = from_server.read_buf(&mut down) => match len {
                Ok(1..) => to_client.write_all_buf(&mut down).await,
                _ => return,
            },
            Some(order) = orders.recv() => match order {
                Order::Frame(frame) => to_client.write_all(&frame).await,
                Order::Hang => std::future::pending().await,
                Order::Reset => return control.set_zero_linger().expect("a connection"),
                Order::Close => return,
            },
            len = from_client.read_buf(&mut up) => match len {
                Ok(1..) => to_server.write_all_buf(&mut up).await,
                _ => return,
            },
        };
        if sent.is_err() || to_client.flush().await.is_err() {
            return;
        }
    }
}

async fn stream(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
) {
    let (head, mut body) = request.into_parts();
    let well = [Step::Head(head_of(200, &[])), Step::Data("{}".into()), Step::End];
    let is_usable = head.uri.path().contains(&format!("/{WELL}/"));
    shared.open.fetch_add(usize::from(!is_usable), Ordering::Relaxed);
    let mut is_whole = true;
    while let Some(chunk) = body.data().await {
        is_whole &= chunk.is_ok_and(|chunk| body.flow_control().release_capacity(chunk.len()).is_ok());
    }
    let mut answering = Answering { id: body.stream_id().into(), out: Out::Head(respond), orders };
    if is_usable {
        return drop(answering.reply(&well, &mut watch::channel(false).1).await);
    }
    let mut ended = Ok(());
    if is_whole {
        let at = shared.requests.fetch_add(1, Ordering::Relaxed);
        let steps = &shared.replies[at.min(shared.replies.len() - 1)];
        ended = answering.reply(steps, &mut shared.silent.subscribe()).await;
    }
    shared.resets.lock().expect("not poisoned").extend(ended.err().and_then(|error| error.reason()));
    shared.open.fetch_sub(1, Ordering::Relaxed);
}

/// A stream, before or after the head of its reply.
enum Out {
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
}

struct Answering {
    id: u32,
    out: Out,
    orders: mpsc::Sender<Order>,
}

impl Answering {
    /// # Errors
    ///
    /// The client has reset the stream, or the connection is closed.
    async fn reply(&mut self, steps: &[Step], silent: &mut watch::Receiver<bool>) -> Result<(), h2::Error> {
        for step in steps {
            tokio::select! {
                biased;
                _ = async { silent.wait_for(|silent| *silent).await.is_ok() || std::future::pending().await } => {
                    return Err(self.given_up().await);
                }
                sent = self.take(step) => sent?,
            }
        }
        Ok(())
    }

    /// Waits until the client resets the stream.
    async fn given_up(&mut self) -> h2::Error {
        poll_fn(|cx| match &mut self.out {
            Out::Head(respond) => respond.poll_reset(cx),
            Out::Body(stream) => stream.poll_reset(cx),
        })
        .await
        .map_or_else(|error| error, h2::Error::from)
    }

    async fn pause(&mut self, pause: Duration) -> Result<(), h2::Error> {
        tokio::select! {
            error = self.given_up() => Err(error),
            () = sleep(pause) => Ok(()),
        }
    }

    fn send(&mut self, data: Bytes, is_end: bool) -> Result<(), h2::Error> {
        let Out::Body(stream) = &mut self.out else { panic!("no data without a head") };
        stream.send_data(data, is_end)
    }

    async fn take(&mut self, step: &Step) -> Result<(), h2::Error> {
        match step {
            Step::Head(head) => {
                let Out::Head(respond) = &mut self.out else { panic!("there is one head") };
                self.out = Out::Body(respond.send_response((**head).clone(), false)?);
            }
            Step::Data(data) => self.send(data.clone(), false)?,
            Step::Drip(data, pause) => {
                for at in 0..data.len() {
                    self.send(data.slice(at..=at), false)?;
                    self.pause(*pause).await?;
                }
            }
            Step::Empty(pause) => loop {
                self.send(Bytes::new(), false)?;
                self.pause(*pause).await?;
            },
            Step::Pause(pause) => self.pause(*pause).await?,
            Step::End => self.send(Bytes::new(), true)?,
            Step::Stall => return Err(self.given_up().await),
            Step::ResetStream(reason) => {
                self.pause(FLUSH).await?;
                match &mut self.out {
                    Out::Head(respond) => respond.send_reset(*reason),
                    Out::Body(stream) => stream.send_reset(*reason),
                }
            }
            Step::GoAway { reason, processed } => {
                let last = if *processed { self.id } else { 0 };
                self.order(Order::Frame(go_away(last, *reason))).await?;
            }
            Step::Hang => return self.end_with(Order::Hang).await,
            Step::Reset => return self.end_with(Order::Reset).await,
            Step::Close => return self.end_with(Order::Close).await,
        }
        Ok(())
    }

    async fn order(&mut self, order: Order) -> Result<(), h2::Error> {
        self.pause(FLUSH).await?;
        let _ = self.orders.send(order).await;
        Ok(())
    }

    /// Keeps the stream until its connection is closed, because dropping it would reset it.
    async fn end_with(&mut self, order: Order) -> Result<(), h2::Error> {
        self.order(order).await?;
        Err(self.given_up().await)
    }
}

/// A GOAWAY frame with the last processed stream.
/// Source: [RFC 9113, section 6.8](https://www.rfc-editor.org/rfc/rfc9113#section-6.8).
fn go_away(last: u32, reason: Reason) -> [u8; 17] {
    let mut frame = [0; 17];
    (frame[2], frame[3]) = (8, 7);
    frame[9..13].copy_from_slice(&last.to_be_bytes());
    frame[13..].copy_from_slice(&u32::from(reason).to_be_bytes());
    frame
}

fn head_of(status: u16, headers: &[(&'static str, &str)]) -> Box<Response<()>> {
    let mut head = Response::new(());
    *head.status_mut() = status.try_into().expect("a status");
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).expect("a value");
        head.headers_mut().append(HeaderName::from_static(name), value);
    }
    Box::new(head)
}

pub(crate) fn head(status: u16, headers: &[(&'static str, &str)]) -> Step {
    Step::Head(head_of(status, headers))
}

/// The head of a streaming reply.
pub(crate) fn stream_head() -> Step {
    head(200, &STREAM_HEADERS)
}

pub(crate) fn steps(reply: &Reply) -> Vec<Step> {
    match reply {
        Reply::Whole { status, headers, body } => {
            let len = body.len().to_string();
            let head = head(*status, &[headers, &[("content-length", &*len)][..]].concat());
            vec![head, Step::Data(body.clone()), Step::End]
        }
        Reply::Stream(frames) => {
            let data = frames.iter().map(|frame| Step::Data(frame.clone().into()));
            [stream_head()].into_iter().chain(data).chain([Step::End]).collect()
        }
    }
}
