//! The client.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Deadline, Endpoint, Error, Metadata, Operation, Request, Response,
    ResponseStream, Runtime, ServiceError, Timeout, impl_transport, read_body, read_error_body,
};

use crate::body::chunks;
use crate::builder::Builder;
use crate::clock::{Clock, may_be_skew};
use crate::credentials::{Cache, are_same, may_be_stale, not_loaded};
use crate::host::Host;
use crate::settings::{CredentialsSource, Settings};
use crate::sign::{LastKey, Scope, Signed, sign};
use crate::token::{Token, Tokens};
use crate::warning::{Warning, is_example};

/// Invokes the endpoints of a region. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    pub(crate) route: Route,
}

/// The route to the container, and how requests are authorized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// The operations of SageMaker Runtime, every request signed.
    #[default]
    Invocations,
    /// The OpenAI route: chat completions with a bearer [`Token`](crate::Token); the response is the container's own, without
    /// frames. It also needs the permission `sagemaker:CallWithBearerToken`.
    OpenAi,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    pub(crate) host: Host,
    pub(crate) settings: Settings,
    pub(crate) credentials: Cache,
    pub(crate) tokens: Tokens,
    pub(crate) last_key: LastKey,
    pub(crate) clock: Clock,
    pub(crate) bounds: Bounds,
    pub(crate) warnings: Vec<Warning>,
    #[cfg(feature = "tracing")]
    pub(crate) has_warned: std::sync::atomic::AtomicBool,
}

/// A request that is validated, but not authorized: each attempt has its own signature.
struct Prepared {
    operation: Operation,
    path: String,
    region: Option<String>,
    runtime: Option<Runtime>,
    headers: HeaderMap,
    body: Bytes,
}

impl Prepared {
    fn new(
        endpoint: &Endpoint,
        operation: Operation,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Self, Error> {
        let path = endpoint.path(operation)?;
        let (region, runtime) = (endpoint.region.clone(), endpoint.runtime.clone());
        Ok(Self { operation, path, region, runtime, headers, body })
    }
}

/// A response with an unexpected status.
struct Rejected {
    headers: HeaderMap,
    error: ServiceError,
    authorization: Authorization,
    /// The clock correction, in seconds, that the request was signed with.
    offset: i64,
}

/// What a request was authorized with.
struct Authorization {
    credentials: Credentials,
    /// The token that was generated from them, if one was sent.
    token: Option<Token>,
}

impl Client {
    /// A builder without settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client with the configuration of the environment: see [`Builder::from_env`].
    ///
    /// # Errors
    ///
    /// The environment names no region, or an endpoint URL that cannot be used. Missing keys are an error of the first
    /// request.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().from_env().build()
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &str {
        &self.inner.settings.region.value
    }

    /// Where requests go, without a slash at the end.
    pub fn endpoint_url(&self) -> &str {
        self.inner.host.url()
    }

    /// The HTTP client that sends the requests, for other requests to the same host.
    pub fn http_client(&self) -> &reqwest::Client {
        &self.inner.http
    }

    /// The configuration of the client, and the origin of each setting.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The same client with another route. They share connections and credentials.
    ///
    /// ```no_run
    /// # use sagewire_transport_reqwest::{Chat, Client, Route};
    /// # fn run(client: Client) {
    /// let chat = Chat::new(client.route(Route::OpenAi), "my-llm");
    /// # }
    /// ```
    #[must_use]
    pub fn route(&self, route: Route) -> Self {
        Self { inner: Arc::clone(&self.inner), route }
    }

    /// Where the credentials were found. This loads and caches them.
    ///
    /// # Errors
    ///
    /// They could not be loaded.
    pub async fn credentials_source(&self) -> Result<CredentialsSource, Error> {
        let credentials = self.inner.credentials().await?;
        Ok(CredentialsSource::new(self.inner.settings.credentials, &credentials))
    }

    /// Possible mistakes in the configuration, for programs that can prompt their user before the first call. This may load and
    /// cache the credentials.
    pub async fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.inner.warnings.clone();
        if self.inner.host.is_exposed() {
            let credentials = self.inner.credentials().await;
            warnings.extend(self.inner.warning(credentials.as_ref().ok()));
        }
        warnings
    }

    /// Generates a bearer token for the OpenAI route in the client's region, for use in other clients. `lifetime` is 1 second
    /// to 12 hours, in whole seconds.
    ///
    /// # Errors
    ///
    /// The lifetime is out of range, or there are no credentials.
    pub async fn token(&self, lifetime: Duration) -> Result<Token, Error> {
        let credentials = self.inner.credentials().await?;
        Token::generate(&credentials, self.region(), self.inner.clock.now(), lifetime)
    }

    /// Validates and signs a request without sending it.
    ///
    /// # Errors
    ///
    /// The request is invalid, or there are no credentials to sign it with.
    pub async fn dry_run(&self, request: &Request, operation: Operation) -> Result<(), Error> {
        let prepared = self.prepare(operation, request.clone())?;
        self.inner.authorize(&prepared).await.map(drop)
    }

    /// Invokes an endpoint, and waits for the whole response.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is an error.
    pub async fn invoke(&self, request: Request) -> Result<Response, Error> {
        let prepared = self.prepare(Operation::Invoke, request)?;
        let inner = &self.inner;
        let deadline = Deadline::new(&inner.bounds.timeouts);
        let attempt = || async {
            let (headers, body) = inner.send(&prepared, deadline).await?;
            let body = read_body(chunks(body), &inner.bounds, deadline).await?;
            Ok(Response::new(Metadata::new(&headers, prepared.operation), body))
        };
        deadline.bound(pin!(inner.bounds.retry.run(attempt))).await
    }

    /// Invokes an endpoint, and waits for the start of the streaming response: for its first event, unless retries are off. A
    /// stream that ends before its first event may be retried: see
    /// [`Retry::run_stream`](sagewire_transport::Retry::run_stream).
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is an error, and so is a response that is not an event stream; over the OpenAI
    /// route, and from another [`Runtime`], a response may be of any type.
    pub async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        let prepared = self.prepare(Operation::Stream, request)?;
        let inner = &self.inner;
        let deadline = Deadline::new(&inner.bounds.timeouts);
        let attempt = || inner.stream(&prepared, deadline);
        deadline.bound(pin!(inner.bounds.retry.run_stream(attempt))).await
    }

    /// Starts an asynchronous invocation of an endpoint, which puts its response into S3. The OpenAI route does not support it.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status outside 2xx is an error.
    pub async fn invoke_async(&self, request: AsyncRequest) -> Result<AsyncResponse, Error> {
        if self.route == Route::OpenAi {
            return Err(Error::invalid_request("the OpenAI route has no asynchronous invocations"));
        }
        let (headers, body) = (request.headers()?, request.body());
        let prepared = Prepared::new(&request.endpoint, Operation::Async, headers, body)?;
        let inner = &self.inner;
        let deadline = Deadline::new(&inner.bounds.timeouts);
        let attempt = || async {
            let (headers, body) = inner.send(&prepared, deadline).await?;
            let body = read_body(chunks(body), &inner.bounds, deadline).await?;
            Ok(AsyncResponse::new(&headers, &body))
        };
        deadline.bound(pin!(inner.bounds.retry.run(attempt))).await
    }

    fn prepare(&self, operation: Operation, request: Request) -> Result<Prepared, Error> {
        let operation = match self.route {
            Route::Invocations => operation,
            Route::OpenAi => Operation::OpenAi,
        };
        let headers = request.headers(operation)?;
        Prepared::new(&request.endpoint, operation, headers, request.body)
    }
}

impl_transport!(Client);

impl Inner {
    /// Headers and body of a successful response. A wrong clock is corrected once, and a refused token or expired
    /// credentials are refreshed once.
    async fn send(
        &self,
        prepared: &Prepared,
        deadline: Deadline,
    ) -> Result<(HeaderMap, reqwest::Body), Error> {
        let rejected = match self.send_once(prepared, deadline).await? {
            Ok(response) => return Ok(response),
            Err(rejected) => rejected,
        };
        if !self.can_recover(&rejected).await {
            return Err(rejected.error.into());
        }
        self.send_once(prepared, deadline).await?.map_err(|rejected| rejected.error.into())
    }

    async fn stream(&self, prepared: &Prepared, deadline: Deadline) -> Result<ResponseStream, Error> {
        let (headers, body) = self.send(prepared, deadline).await?;
        if prepared.runtime.is_some() {
            let chunks = chunks(body);
            return Ok(ResponseStream::detect_framing(&headers, chunks, &self.bounds, deadline).await);
        }
        ResponseStream::from_headers(&headers, prepared.operation, chunks(body), &self.bounds, deadline).await
    }

    /// Whether another attempt may succeed, because the clock was corrected, or a token or credentials are refreshed.
    async fn can_recover(&self, rejected: &Rejected) -> bool {
        let Rejected { headers, error, authorization, offset } = rejected;
        if may_be_stale(error) && self.has_other_credentials(&authorization.credentials).await {
            authorization.token.iter().for_each(|token| self.tokens.refused(token));
            return true;
        }
        match &authorization.token {
            Some(token) if matches!(error.status, 401 | 403) => {
                self.clock.correct(*offset, headers);
                self.tokens.refused(token);
                true
            }
            Some(_) => false,
            None => may_be_skew(error) && self.clock.correct(*offset, headers),
        }
    }

    /// Refreshes the credentials, unless that has happened in the meantime. False if they stay the same.
    async fn has_other_credentials(&self, refused: &Credentials) -> bool {
        self.credentials.refused(refused);
        let found = self.credentials.credentials(SystemTime::now()).await;
        found.is_ok_and(|found| !are_same(&found, refused))
    }

    async fn send_once(
        &self,
        prepared: &Prepared,
        deadline: Deadline,
    ) -> Result<Result<(HeaderMap, reqwest::Body), Rejected>, Error> {
        let offset = self.clock.offset();
        let (request, authorization) = self.authorize(prepared).await?;
        let (url, timeouts) = (request.url().clone(), &self.bounds.timeouts);
        let response = timeouts.response(self.http.execute(request)).await?;
        let response = response.map_err(|error| from_send(error, timeouts.connect))?;
        if *response.url() != url {
            // A custom HTTP client followed a redirect.
            return Err(Error::redirect(302, Some(response.url().to_string())));
        }
        let (parts, body) = http::Response::from(response).into_parts();
        if prepared.operation.accepts(parts.status) {
            return Ok(Ok((parts.headers, body)));
        }
        if parts.status.is_redirection() {
            let location = parts.headers.get(header::LOCATION);
            let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return Err(Error::redirect(parts.status.as_u16(), location));
        }
        let body = read_error_body(chunks(body), &self.bounds, deadline).await;
        let rules = prepared.runtime.as_ref().map(|runtime| runtime.rules).unwrap_or_default();
        let Authorization { credentials, token } = &authorization;
        let secrets = [Some(credentials.secret_access_key()), credentials.session_token()];
        let token = token.as_ref().map(Token::expose);
        let error = ServiceError::new(parts.status, &parts.headers, body).with_rules(rules);
        let error = error.without_secrets(secrets.into_iter().chain([token]).flatten());
        Ok(Err(Rejected { headers: parts.headers, error, authorization, offset }))
    }

    async fn authorize(&self, prepared: &Prepared) -> Result<(reqwest::Request, Authorization), Error> {
        let own = self.settings.region.value.as_str();
        let other = prepared.region.as_deref().filter(|region| *region != own);
        let region = other.unwrap_or(own);
        let host = match &prepared.runtime {
            Some(runtime) => &self.host.of_runtime(&runtime.host, region)?,
            None if other.is_some() => &self.host.of_other_region(region)?,
            None => &self.host,
        };
        let url = host.with_path(&prepared.path);
        let mut headers = prepared.headers.clone();
        let name = HeaderValue::from_str(host.authority());
        headers.insert(header::HOST, name.map_err(|error| Error::config("endpoint url").because(error))?);
        let authorization = match prepared.operation {
            Operation::OpenAi => {
                let (token, credentials) = self.token(region).await?;
                headers.insert(header::AUTHORIZATION, token.header()?);
                Authorization { credentials, token: Some(token) }
            }
            _ => {
                let credentials = self.credentials().await?;
                // The time is read now, because loading credentials may take long.
                let (path, query) = (url.path(), url.query().unwrap_or_default());
                let signed = Signed { method: "POST", path, query, body: &prepared.body };
                let scope = Scope::new(region, self.clock.now());
                sign(&mut headers, signed, &credentials, scope, &self.last_key)?;
                Authorization { credentials, token: None }
            }
        };
        let mut request = reqwest::Request::new(Method::POST, url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(prepared.body.clone().into());
        Ok((request, authorization))
    }

    async fn token(&self, region: &str) -> Result<(Token, Credentials), Error> {
        if let Some(cached) = self.tokens.cached(region, self.clock.now()) {
            return Ok(cached);
        }
        let credentials = self.credentials().await?;
        let token = self.tokens.generate(&credentials, region, self.clock.now())?;
        Ok((token, credentials))
    }

    async fn credentials(&self) -> Result<Credentials, Error> {
        let credentials = self.credentials.credentials(SystemTime::now()).await.map_err(not_loaded)?;
        #[cfg(feature = "tracing")]
        if let Some(warning) = self.warning(Some(&credentials))
            && !self.has_warned.swap(true, std::sync::atomic::Ordering::Relaxed)
        {
            tracing::warn!("{warning}");
        }
        Ok(credentials)
    }

    /// A warning if credentials other than those of the emulator are sent in plain text.
    fn warning(&self, credentials: Option<&Credentials>) -> Option<Warning> {
        let is_example = credentials.is_some_and(is_example);
        let host = || self.host.authority().to_owned();
        (self.host.is_exposed() && !is_example).then(|| Warning::PlainHttp { host: host() })
    }
}

/// The error of a request that was not sent, or that has no response.
fn from_send(error: reqwest::Error, connect_timeout: Duration) -> Error {
    let kind = match (error.is_connect(), error.is_timeout()) {
        (true, true) => Error::timed_out(Timeout::Connect, connect_timeout),
        (true, false) => Error::connect(),
        _ => Error::broken_off(),
    };
    kind.because(error.without_url())
}
