//! A real container, over HTTP/1.1: one connection a call, so that nothing outlives the call.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use axum::body::{Body, to_bytes};
use axum::http::uri::{Authority, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Uri, header, response};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::call::Operation;
use crate::container_response::{Flow, Said, SaidBody, UpstreamBody};
use crate::error::Failed;
use crate::front;
use crate::limits::Limits;

/// Where the OpenAI route goes, whatever the path of the other operations.
const CHAT: &str = "/v1/chat/completions";
/// What is read of a response before it is asked for: one chunk of at most so many bytes.
const READ_LEN_MAX: usize = 64 << 10;

/// The address of a real model container, which answers in place of an emulated one.
///
/// Its text is an `http` URL, or with the feature `tls` an `https` one. Requests go to `/invocations`, or to the URL's own path if it has one; those of the OpenAI
/// route go to `/v1/chat/completions`.
///
/// ```
/// use sagewire_emulator::Upstream;
///
/// assert_eq!("http://localhost:8080".parse::<Upstream>()?.to_string(), "http://localhost:8080/invocations");
/// assert_eq!("http://[::1]:81/v1/score".parse::<Upstream>()?.to_string(), "http://[::1]:81/v1/score");
/// assert!("ftp://localhost:8080".parse::<Upstream>().is_err());
/// # Ok::<(), sagewire_emulator::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    https: bool,
    authority: Authority,
    path: PathAndQuery,
}

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        let parts = text.parse::<Uri>().map_err(|_| InvalidUpstream("not a URL"))?.into_parts();
        let https = parts.scheme == Some(Scheme::HTTPS);
        if !https && parts.scheme != Some(Scheme::HTTP) {
            return Err(InvalidUpstream("not an http or https URL"));
        }
        if https && cfg!(not(feature = "tls")) {
            return Err(InvalidUpstream("https needs the feature tls"));
        }
        let authority = parts.authority.ok_or(InvalidUpstream("the host is missing"))?;
        if authority.as_str().contains('@') {
            return Err(InvalidUpstream("a user or a password is not sent"));
        }
        let path = parts.path_and_query.filter(|path| *path != "/");
        let path = path.unwrap_or(PathAndQuery::from_static("/invocations"));
        Ok(Self { https, authority, path })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// A text is no address of a container that could be called: why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUpstream(&'static str);

impl fmt::Display for InvalidUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidUpstream {}

/// An answer that has begun. Dropping it closes the connection.
struct Begun {
    parts: response::Parts,
    body: Body,
    connection: JoinSet<()>,
}

impl Upstream {
    /// Asks the container, with no more of the client's headers than the service lets through.
    ///
    /// # Errors
    ///
    /// What the service makes of the container's failure.
    pub(crate) async fn ask(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        body: Bytes,
        limits: &Limits,
    ) -> Result<Said, Failed> {
        let request = self.request(operation, headers, body);
        let streams = matches!(operation, Operation::Stream | Operation::OpenAi);
        let deadline = Instant::now() + if streams { limits.stream } else { limits.unary };
        let late = || if operation == Operation::Stream { Failed::StreamTime } else { Failed::timed_out() };
        let answer = async {
            let begun = self.send(request, limits).await.map_err(Failed::unanswered)?;
            begun.hand_on(operation, limits, deadline).await
        };
        timeout_at(deadline, answer).await.unwrap_or_else(|_| Err(late()))
    }

    fn request(&self, operation: Operation, headers: &HeaderMap, body: Bytes) -> Request<Body> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() =
            if operation == Operation::OpenAi { Uri::from_static(CHAT) } else { self.path.clone().into() };
        *request.headers_mut() = front::to_container(operation, headers);
        let host = HeaderValue::from_str(self.authority.as_str()).expect("an authority is visible ASCII");
        request.headers_mut().insert(header::HOST, host);
        request
    }

    async fn send(&self, request: Request<Body>, limits: &Limits) -> Result<Begun, String> {
        let connected = timeout(limits.connect, self.connect()).await;
        match connected.map_err(|_| "The container did not accept the connection in time")?? {
            Connection::Plain(stream) => begin(stream, request).await,
            #[cfg(feature = "tls")]
            Connection::Tls(stream) => begin(stream, request).await,
        }
    }

    async fn connect(&self) -> Result<Connection, String> {
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = self.authority.port_u16().unwrap_or(if self.https { 443 } else { 80 });
        let unreached = |error: std::io::Error| format!("Could not connect to the container: {error}");
        let addrs: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(unreached)?.collect();
        let stream = TcpStream::connect(&addrs[..]).await.map_err(unreached)?;
        // Whole requests are written at once. Without it they arrive all the same.
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "tls")]
        if self.https {
            return Ok(Connection::Tls(Box::new(
                crate::tls::connect(host, stream).await.map_err(unreached)?,
            )));
        }
        Ok(Connection::Plain(stream))
    }
}

enum Connection {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<crate::tls::Stream>),
}

async fn begin<S>(stream: S, request: Request<Body>) -> Result<Begun, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unanswered = |error: hyper::Error| format!("The container did not answer: {error}");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(READ_LEN_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(unanswered)?;
    let mut task = JoinSet::new();
    // What ends it is told by the body as well.
    task.spawn(async move { drop(connection.await) });
    let (parts, body) = sender.send_request(request).await.map_err(unanswered)?.into_parts();
    Ok(Begun { parts, body: Body::new(body), connection: task })
}

impl Begun {
    async fn hand_on(self, operation: Operation, limits: &Limits, deadline: Instant) -> Result<Said, Failed> {
        let status = self.parts.status;
        let openai = operation == Operation::OpenAi;
        if !status.is_success() && !openai {
            let body = to_bytes(self.body, limits.response_len).await.map_err(|_| Failed::unloaded())?;
            let original = String::from_utf8_lossy(&body).into_owned();
            return Err(Failed::Model { status: status.as_u16(), original, message: None });
        }
        let streams = operation == Operation::Stream || (openai && status.as_u16() == 200);
        let body = if streams {
            let data = self.body.into_data_stream();
            SaidBody::Flow(Flow::Upstream(UpstreamBody::new(data, deadline, self.connection)))
        } else {
            SaidBody::Whole(to_bytes(self.body, limits.response_len).await.map_err(|_| Failed::unloaded())?)
        };
        Ok(Said {
            status: if openai { status } else { axum::http::StatusCode::OK },
            headers: front::from_container(operation, &self.parts.headers),
            content_type: self.parts.headers.get(header::CONTENT_TYPE).cloned(),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_called_is_refused() {
        for (text, why) in [
            ("", "not a URL"),
            ("localhost", "not an http or https URL"),
            ("localhost:8080", "not an http or https URL"),
            ("ftp://localhost", "not an http or https URL"),
            #[cfg(not(feature = "tls"))]
            ("https://localhost", "https needs the feature tls"),
            ("/invocations", "not an http or https URL"),
            ("http://user:secret@localhost", "a user or a password is not sent"),
        ] {
            assert_eq!(text.parse::<Upstream>().unwrap_err().to_string(), why, "{text}");
        }
        #[cfg(feature = "tls")]
        assert_eq!(
            "https://localhost".parse::<Upstream>().unwrap().to_string(),
            "https://localhost/invocations"
        );
    }
}
