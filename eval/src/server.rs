//! Servers with OpenAI's API at any URL: containers, gateways, providers.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Deadline, Error, Metadata, Operation, Request, Response,
    ResponseStream, ServiceError, Timeout, http_chunks, impl_transport, read_body, read_error_body,
};
use sagewire_transport_reqwest::http_client;

/// The path of chat completions, behind a URL that ends with the version.
const CHAT_COMPLETIONS: &str = "/chat/completions";
/// The same for embeddings.
const EMBEDDINGS: &str = "/embeddings";

/// A server with OpenAI's API, as a transport. The endpoint of requests is ignored. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Server {
    http: reqwest::Client,
    url: reqwest::Url,
    headers: HeaderMap,
    bounds: Arc<Bounds>,
}

impl Server {
    /// A server. `url` is that of its chat completions, or the URL before `/chat/completions`, as OpenAI's clients have it; without
    /// a path it is followed by `/v1/chat/completions`.
    ///
    /// ```
    /// use sagewire_eval::server::Server;
    ///
    /// let server = Server::new("http://localhost:8000", Default::default())?;
    /// assert_eq!(server.url(), "http://localhost:8000/v1/chat/completions");
    /// # Ok::<(), sagewire_transport::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_config`]: the URL is none of `http` or `https`, or has a user or a query.
    pub fn new(url: &str, bounds: Bounds) -> Result<Self, Error> {
        Self::with_path(url, CHAT_COMPLETIONS, bounds)
    }

    /// The same for embeddings: requests go to `/embeddings` in place of `/chat/completions`.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn embeddings(url: &str, bounds: Bounds) -> Result<Self, Error> {
        Self::with_path(url, EMBEDDINGS, bounds)
    }

    fn with_path(url: &str, path: &str, bounds: Bounds) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::config(format!("the URL {reason}"));
        let mut url = reqwest::Url::parse(url).map_err(|error| invalid(&format!("is invalid: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("has to begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(invalid("must have no user, password or query"));
        }
        let path = match url.path().trim_end_matches('/') {
            "" => format!("/v1{path}"),
            complete if complete.ends_with(path) => complete.to_owned(),
            base => format!("{base}{path}"),
        };
        url.set_path(&path);
        let http = http_client(url.scheme() == "https")?.connect_timeout(bounds.timeouts.connect);
        let http = http.build().map_err(|error| Error::config("the HTTP client").because(error))?;
        Ok(Self { http, url, headers: HeaderMap::new(), bounds: Arc::new(bounds) })
    }

    /// Sends a key with each request, as `Authorization: Bearer KEY`.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`]: the key has characters that a header cannot have.
    pub fn api_key(self, key: &str) -> Result<Self, Error> {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// Sends a header with each request. Its value is shown nowhere.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`]: name or value are none of a header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let invalid = |what: &str| Error::config(format!("the {what} of the header {name:?} is invalid"));
        let header = HeaderName::try_from(name).map_err(|_| invalid("name"))?;
        let mut value = HeaderValue::try_from(value).map_err(|_| invalid("value"))?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(self)
    }

    /// The URL of the requests.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Whether headers, which may have a key, are sent unencrypted to another machine.
    pub fn is_exposed(&self) -> bool {
        let is_loopback = match self.url.host_str() {
            Some(host) => {
                let host = host.trim_matches(['[', ']']);
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            None => false,
        };
        self.url.scheme() == "http" && !is_loopback && !self.headers.is_empty()
    }

    async fn send(&self, request: &Request, deadline: Deadline) -> Result<(HeaderMap, reqwest::Body), Error> {
        let mut headers = self.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sent = self.http.post(self.url.clone()).headers(headers).body(request.body.clone()).send();
        let response = self.bounds.timeouts.response(sent).await?.map_err(|error| self.not_sent(error))?;
        let (parts, body) = http::Response::from(response).into_parts();
        if parts.status.is_success() {
            return Ok((parts.headers, body));
        }
        if parts.status.is_redirection() {
            let location = parts.headers.get(header::LOCATION);
            let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return Err(Error::redirect(parts.status.as_u16(), location));
        }
        let body = read_error_body(chunks(body), &self.bounds, deadline).await;
        let secrets = self.headers.values().filter_map(|value| value.to_str().ok());
        let secrets = secrets.map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
        Err(ServiceError::new(parts.status, &parts.headers, body).without_secrets(secrets).into())
    }

    /// The error of a request that was not sent, or that has no response.
    fn not_sent(&self, error: reqwest::Error) -> Error {
        let kind = match (error.is_connect(), error.is_timeout()) {
            (true, true) => Error::timed_out(Timeout::Connect, self.bounds.timeouts.connect),
            (true, false) => Error::connect(),
            _ => Error::broken_off(),
        };
        kind.because(error.without_url())
    }

    async fn invoke(&self, request: Request) -> Result<Response, Error> {
        let deadline = Deadline::new(&self.bounds.timeouts);
        let attempt = || async {
            let (headers, body) = self.send(&request, deadline).await?;
            let body = read_body(chunks(body), &self.bounds, deadline).await?;
            Ok(Response::new(Metadata::new(&headers, Operation::OpenAi), body))
        };
        deadline.bound(Box::pin(self.bounds.retry.run(attempt))).await
    }

    async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        let deadline = Deadline::new(&self.bounds.timeouts);
        let attempt = || async {
            let (headers, body) = self.send(&request, deadline).await?;
            let chunks = chunks(body);
            ResponseStream::from_headers(&headers, Operation::OpenAi, chunks, &self.bounds, deadline).await
        };
        deadline.bound(Box::pin(self.bounds.retry.run_stream(attempt))).await
    }

    async fn invoke_async(&self, _: AsyncRequest) -> Result<AsyncResponse, Error> {
        Err(Error::unsupported("asynchronous invocations"))
    }
}

impl_transport!(Server);

fn chunks(body: reqwest::Body) -> sagewire_transport::Chunks {
    http_chunks(body, reqwest::Error::without_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_completed() {
        for (url, expected) in [
            ("http://h:8000", Ok("http://h:8000/v1/chat/completions")),
            ("http://h:8000/", Ok("http://h:8000/v1/chat/completions")),
            ("https://h/v1", Ok("https://h/v1/chat/completions")),
            ("https://h/api/v1/chat/completions", Ok("https://h/api/v1/chat/completions")),
            ("ftp://h", Err("has to begin with http")),
            ("localhost:8000", Err("has to begin with http")),
            ("h", Err("is invalid")),
            ("http://user:word@h", Err("no user")),
        ] {
            match (Server::new(url, Bounds::default()), expected) {
                (Ok(server), Ok(expected)) => assert_eq!(server.url(), expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (found, _) => panic!("{url}: {found:?}"),
            }
        }
    }

    #[test]
    fn keys_are_not_shown() {
        let server = Server::new("http://10.0.0.1:80/v1", Bounds::default()).unwrap();
        assert!(!server.is_exposed());
        let server = server.api_key("k-secret").unwrap();
        assert!(server.is_exposed() && !format!("{server:?}").contains("k-secret"), "{server:?}");
    }
}
