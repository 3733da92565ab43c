//! The lower bound: the least that a gateway in front of SageMaker does. The body is hashed and signed, the endpoint called,
//! frames are checked and opened, and what has arrived by now leaves in one write. Nothing is parsed, limited or logged.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::tally::Fault;

/// Polls without news after which gathered bytes are written. hyper's server polls its body twice in one run of its task, and
/// only the end of the run lets the task run that reads from the service.
const GIVE_WAY: u8 = 2;
const GATHERED_LEN: usize = 16 << 10;

type Upstream = Client<HttpConnector, Full<Bytes>>;
type Content = Either<Gathered, Full<Bytes>>;

/// Serves until the process ends.
pub(super) async fn serve(listener: TcpListener, service: SocketAddr) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstream =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1024).build(connector);
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let client = client.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let client = client.clone();
                async move { Ok::<_, Infallible>(respond(request, &client, service).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            let _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>, client: &Upstream, service: SocketAddr) -> Response<Content> {
    forward(request, client, service).await.unwrap_or_else(|fault| {
        let mut response = Response::new(Either::Right(Full::from(fault.to_string())));
        *response.status_mut() = hyper::StatusCode::BAD_GATEWAY;
        response
    })
}

async fn forward(
    request: Request<Incoming>,
    client: &Upstream,
    service: SocketAddr,
) -> Result<Response<Content>, Fault> {
    let body = request.into_body().collect().await?.to_bytes();
    let streams = memchr::memmem::find(&body, b"\"stream\":true").is_some();
    let path = match streams {
        true => "/endpoints/bench/invocations-response-stream",
        false => "/endpoints/bench/invocations",
    };
    let host = service.to_string();
    let Signature { date, hash, authorization } = sign(&host, path, &body)?;
    let call = Request::post(format!("http://{host}{path}"))
        .header("host", host)
        .header("content-type", "application/json")
        .header("x-amz-date", date)
        .header("x-amz-content-sha256", hash)
        .header("authorization", authorization)
        .body(Full::new(body))?;
    let response = client.request(call).await?;
    if !streams || !response.status().is_success() {
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        return Ok(Response::from_parts(head, Either::Right(Full::new(body))));
    }
    let body = Gathered::new(response.into_body());
    let response = Response::builder().header("content-type", "text/event-stream");
    Ok(response.body(Either::Left(body))?)
}

/// The payloads of the frames of a stream; those that are there at the same time in one piece.
struct Gathered {
    inner: Incoming,
    received: BytesMut,
    gathered: BytesMut,
    gave_way: u8,
}

impl Gathered {
    fn new(inner: Incoming) -> Self {
        Self { inner, received: BytesMut::new(), gathered: BytesMut::new(), gave_way: 0 }
    }

    fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            if let Some(payload) = take_payload(&mut self.received)? {
                return Poll::Ready(Some(Ok(payload)));
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)?) {
                Some(frame) => {
                    let data = frame.into_data().unwrap_or_default();
                    self.received.extend_from_slice(&data);
                }
                None if self.received.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(Err("the stream ends within a frame".into()))),
            }
        }
    }

    fn take(&mut self) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.gave_way = 0;
        Poll::Ready(Some(Ok(Frame::data(self.gathered.split().freeze()))))
    }
}

impl Body for Gathered {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            match self.poll_payload(cx)? {
                Poll::Ready(Some(payload)) => {
                    self.gathered.extend_from_slice(&payload);
                    self.gave_way = 0;
                    if self.gathered.len() >= GATHERED_LEN {
                        return self.take();
                    }
                }
                Poll::Ready(None) if self.gathered.is_empty() => return Poll::Ready(None),
                Poll::Ready(None) => return self.take(),
                Poll::Pending if self.gathered.is_empty() => return Poll::Pending,
                Poll::Pending if self.gave_way == GIVE_WAY => return self.take(),
                Poll::Pending => {
                    self.gave_way += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }
}

/// The payload of the next complete frame, whose checksum is verified.
pub(super) fn take_payload(received: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
    let Some(prelude) = received.first_chunk::<8>() else { return Ok(None) };
    let [total, headers] = [&prelude[..4], &prelude[4..]]
        .map(|len| len.iter().fold(0_usize, |len, byte| len << 8 | usize::from(*byte)));
    if !(16..=16 << 20).contains(&total) || headers > total - 16 {
        return Err("a frame has an impossible length".into());
    }
    if received.len() < total {
        return Ok(None);
    }
    let mut frame = received.split_to(total).freeze();
    let checksum = frame.split_off(total - 4).get_u32();
    if crc32fast::hash(&frame) != checksum {
        return Err("a frame has a wrong checksum".into());
    }
    frame.advance(12 + headers);
    Ok(Some(frame))
}

struct Signature {
    date: String,
    hash: String,
    authorization: String,
}

/// A signature of version 4, with a key that is derived anew each time.
fn sign(host: &str, path: &str, body: &[u8]) -> Result<Signature, Fault> {
    let date = iso_8601_basic();
    let hash = hex(&Sha256::digest(body));
    let names = "content-type;host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "POST\n{path}\n\ncontent-type:application/json\nhost:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{date}\n\n{names}\n{hash}"
    );
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/us-east-1/sagemaker/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = b"AWS4bench-secret".to_vec();
    for part in [day, "us-east-1", "sagemaker", "aws4_request", &text] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    let signature = hex(&key);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDBENCH/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    Ok(Signature { date, hash, authorization })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The time as `20261201T013000Z`. The date is counted in years from March, in eras of 400 years.
fn iso_8601_basic() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + next;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}
