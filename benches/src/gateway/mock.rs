//! The mocked service: InvokeEndpoint and InvokeEndpointWithResponseStream with a container that speaks OpenAI. It does not
//! check signatures. What it responds with is in the prompt, so it passes through any gateway.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response as HttpResponse};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep, sleep_until};

use super::workload::Response;
use crate::frames::frame;

/// Bytes of a streamed token: a space, four hexadecimal digits of its number, a dash, and sixteen of the time.
pub(super) const TOKEN_LEN: usize = 22;
const MARKERS: [(&str, Response); 5] = [
    ("respond: whole;", Response::Whole),
    ("respond: events;", Response::Events),
    ("respond: bursts;", Response::Bursts),
    ("respond: paced;", Response::Paced),
    ("respond: slow;", Response::Slow),
];
const CHUNK: &str = r#"data: {"id":"chatcmpl-bench-0123456789","object":"chat.completion.chunk","created":1790000000,"model":"bench","choices":"#;

/// The beginning of the prompt that requests this response.
pub(super) fn marker(response: Response) -> &'static str {
    MARKERS.iter().find(|(_, found)| *found == response).map_or("", |(marker, _)| marker)
}

/// Nanoseconds of the clock that all processes of the machine share.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Serves until the process ends.
pub(super) async fn serve(listener: TcpListener) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(|request| async { Ok::<_, Infallible>(respond(request).await) });
            let mut server = hyper::server::conn::http1::Builder::new();
            // A client that disconnects ends only its own connection.
            let _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>) -> HttpResponse<Either<Full<Bytes>, Events>> {
    let streams = request.uri().path().ends_with("-response-stream");
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let has = |(marker, _): &&(&str, _)| memchr::memmem::find(&body, marker.as_bytes()).is_some();
    let response = MARKERS.iter().find(has).map(|(_, response)| *response);
    let mut http = match response {
        Some(response) if response.streams() == streams => match streams {
            true => HttpResponse::new(Either::Right(Events::new(response))),
            false => HttpResponse::new(Either::Left(Full::from(whole(response.tokens())))),
        },
        _ => {
            let mut http = HttpResponse::new(Either::Left(Full::from("no known response is requested")));
            *http.status_mut() = hyper::StatusCode::BAD_REQUEST;
            return http;
        }
    };
    let (content_type, headers) = match streams {
        true => ("application/vnd.amazon.eventstream", http.headers_mut()),
        false => ("application/json", http.headers_mut()),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("x-amzn-requestid", HeaderValue::from_static("00000000-0000-0000-0000-000000000000"));
    headers.insert("x-amzn-invoked-production-variant", HeaderValue::from_static("AllTraffic"));
    if streams {
        headers.insert("x-amzn-sagemaker-content-type", HeaderValue::from_static("text/event-stream"));
    }
    http
}

/// The text of the last token of a whole response.
pub(super) fn last_token(tokens: u32) -> String {
    format!(" {:04x}\"", tokens - 1)
}

fn whole(tokens: u32) -> String {
    let text: String = (0..tokens).map(|number| format!(" {number:04x}")).collect();
    let total = tokens + 200;
    format!(
        r#"{{"id":"chatcmpl-bench-0123456789","object":"chat.completion","created":1790000000,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":200,"completion_tokens":{tokens},"total_tokens":{total}}}}}"#
    )
}

/// The body of a stream.
struct Events {
    response: Response,
    start: Instant,
    timer: Pin<Box<Sleep>>,
    next: u32,
    /// An event was written: give way once, so that it leaves before the next one is made.
    gives_way: bool,
}

impl Events {
    fn new(response: Response) -> Self {
        let start = Instant::now();
        Self { response, start, timer: Box::pin(sleep_until(start)), next: 0, gives_way: false }
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.gives_way {
            self.gives_way = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let due = self.start + self.response.pace() * self.next.min(self.response.tokens() - 1);
        if due <= self.start {
            return Poll::Ready(());
        }
        if self.timer.deadline() < due {
            self.timer.as_mut().reset(due);
        }
        self.timer.as_mut().poll(cx)
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let tokens = self.response.tokens();
        if self.next > tokens {
            return Poll::Ready(None);
        }
        ready!(self.poll_due(cx));
        let mut out = Vec::with_capacity(512);
        if self.next < tokens {
            let role = if self.next == 0 { r#""role":"assistant","# } else { "" };
            let token = format!(" {:04x}-{:016x}", self.next, now());
            let event = format!(
                "{CHUNK}[{{\"index\":0,\"delta\":{{{role}\"content\":\"{token}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
            );
            frame(event.as_bytes(), &mut out);
            self.gives_way = self.response != Response::Bursts;
        } else {
            let total = tokens + 200;
            let last = [
                format!(
                    "{CHUNK}[{{\"index\":0,\"delta\":{{}},\"logprobs\":null,\"finish_reason\":\"stop\"}}]}}\n\n"
                ),
                format!(
                    "{CHUNK}[],\"usage\":{{\"prompt_tokens\":200,\"completion_tokens\":{tokens},\"total_tokens\":{total}}}}}\n\n"
                ),
                "data: [DONE]\n\n".to_owned(),
            ];
            last.iter().for_each(|event| frame(event.as_bytes(), &mut out));
        }
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}

/// Binds an address on loopback.
///
/// # Errors
///
/// Those of the network.
pub(super) async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
