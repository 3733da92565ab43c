//! A client of a real container over HTTP/1.1, with one connection per call, so that nothing outlives the call.

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
use crate::container_response::{BodyStream, ContainerResponse, ResponseBody, UpstreamBody};
use crate::error::ContainerFailure;
use crate::headers;
use crate::limits::Limits;

/// The path for the OpenAI route.
const CHAT: &str = "/v1/chat/completions";
/// Most bytes that are read ahead of the client.
const READ_LEN_MAX: usize = 64 << 10;

/// The address of a real model container, used in place of the emulated one.
///
/// It is parsed from an `http` URL, or with the feature `tls` an `https` URL. Requests go to the path of the URL, or to
/// `/invocations` if it has none; those of the OpenAI route go to `/v1/chat/completions`.
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

/// Why a text is not a valid [`Upstream`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUpstream(&'static str);

impl fmt::Display for InvalidUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidUpstream {}

/// A response after its head has arrived. Dropping it closes the connection.
struct PendingResponse {
    parts: response::Parts,
    body: Body,
    connection: JoinSet<()>,
}

impl Upstream {
    /// Invokes the container with the headers that the service passes on.
    ///
    /// # Errors
    ///
    /// The failure of the container.
    pub(crate) async fn invoke_container(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        body: Bytes,
        limits: &Limits,
    ) -> Result<ContainerResponse, ContainerFailure> {
        let request = self.request(operation, headers, body);
        let streams = matches!(operation, Operation::Stream | Operation::OpenAi);
        let deadline = Instant::now() + if streams { limits.stream } else { limits.unary };
        let late = || {
            if operation == Operation::Stream {
                ContainerFailure::StreamTime
            } else {
                ContainerFailure::timed_out()
            }
        };
        let answer = async {
            let begun = self.send(request, limits).await.map_err(ContainerFailure::no_response)?;
            begun.into_response(operation, limits, deadline).await
        };
        timeout_at(deadline, answer).await.unwrap_or_else(|_| Err(late()))
    }

    fn request(&self, operation: Operation, headers: &HeaderMap, body: Bytes) -> Request<Body> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() =
            if operation == Operation::OpenAi { Uri::from_static(CHAT) } else { self.path.clone().into() };
        *request.headers_mut() = headers::to_container(operation, headers);
        let host = HeaderValue::from_str(self.authority.as_str()).expect("an authority is visible ASCII");
        request.headers_mut().insert(header::HOST, host);
        request
    }

    async fn send(&self, request: Request<Body>, limits: &Limits) -> Result<PendingResponse, String> {
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
        // If this fails, requests may arrive later.
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

async fn begin<S>(stream: S, request: Request<Body>) -> Result<PendingResponse, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let no_response = |error: hyper::Error| format!("The container did not respond: {error}");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(READ_LEN_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(no_response)?;
    let mut task = JoinSet::new();
    // The body reports errors of the connection as well.
    task.spawn(async move { drop(connection.await) });
    let (parts, body) = sender.send_request(request).await.map_err(no_response)?.into_parts();
    Ok(PendingResponse { parts, body: Body::new(body), connection: task })
}

impl PendingResponse {
    async fn into_response(
        self,
        operation: Operation,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<ContainerResponse, ContainerFailure> {
        let status = self.parts.status;
        let openai = operation == Operation::OpenAi;
        if !status.is_success() && !openai {
            let body =
                to_bytes(self.body, limits.response_len).await.map_err(|_| ContainerFailure::incomplete())?;
            let original = String::from_utf8_lossy(&body).into_owned();
            return Err(ContainerFailure::Model { status: status.as_u16(), original, message: None });
        }
        let streams = operation == Operation::Stream || (openai && status.as_u16() == 200);
        let body = if streams {
            let data = self.body.into_data_stream();
            ResponseBody::Stream(BodyStream::Upstream(UpstreamBody::new(data, deadline, self.connection)))
        } else {
            ResponseBody::Whole(
                to_bytes(self.body, limits.response_len).await.map_err(|_| ContainerFailure::incomplete())?,
            )
        };
        Ok(ContainerResponse {
            status: if openai { status } else { axum::http::StatusCode::OK },
            headers: headers::from_container(operation, &self.parts.headers),
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
