//! Sends requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sagewire_codec::Framing;
use sagewire_transport::{
    AsyncRequest, AsyncResponse, Deadline, Endpoint, Error, Metadata, Operation, Request, Response,
    ResponseStream, Retry, ServiceError, Timeout, Timeouts, Transport, impl_services, read_body,
    read_error_body,
};
use tokio::time::timeout;

use crate::body::chunks;
use crate::clock::Clock;
use crate::credentials::{Cache, EnvCredentials};
use crate::host::Host;
use crate::sign::sign;

/// The service's own bound is 25 MB.
const RESPONSE_LEN_MAX: usize = 32 << 20;

/// Invokes the endpoints of a region. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    host: Host,
    region: String,
    credentials: Cache,
    clock: Clock,
    timeouts: Timeouts,
    retry: Retry,
    max_response_len: usize,
}

/// A request that is checked, but not signed yet: each try has a signature of its own.
struct Prepared {
    path: String,
    region: Option<String>,
    headers: HeaderMap,
    body: bytes::Bytes,
}

impl Prepared {
    fn new(
        endpoint: &Endpoint,
        operation: Operation,
        headers: HeaderMap,
        body: bytes::Bytes,
    ) -> Result<Self, Error> {
        Ok(Self { path: endpoint.path(operation)?, region: endpoint.region.clone(), headers, body })
    }
}

impl Client {
    /// Settings, to be changed and built.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client with the settings of the environment: see [`Builder::from_env`].
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
        &self.0.region
    }

    /// Where requests go, without a slash at the end.
    pub fn endpoint_url(&self) -> &str {
        self.0.host.url()
    }

    /// Checks and signs a request as it would be sent, and sends nothing.
    ///
    /// # Errors
    ///
    /// Those of a request of which nothing was sent: the request is invalid, or there are no credentials to sign it with.
    pub async fn dry_run(&self, request: &Request, operation: Operation) -> Result<(), Error> {
        let (headers, body) = (request.headers(operation)?, request.body.clone());
        let prepared = Prepared::new(&request.endpoint, operation, headers, body)?;
        self.0.sign(&prepared).await.map(drop)
    }

    /// Invokes an endpoint, and waits for its whole answer.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is one.
    pub async fn invoke(&self, request: Request) -> Result<Response, Error> {
        let headers = request.headers(Operation::Invoke)?;
        let prepared = Prepared::new(&request.endpoint, Operation::Invoke, headers, request.body)?;
        let deadline = Deadline::new(&self.0.timeouts);
        let attempt = || async {
            let (headers, body) = self.0.send(&prepared, StatusCode::OK, deadline).await?;
            let body = chunks(body);
            let body = read_body(body, &self.0.timeouts, deadline, self.0.max_response_len).await?;
            Ok(Response::new(Metadata::new(&headers, Operation::Invoke), body))
        };
        deadline.bound(self.0.retry.run(attempt)).await
    }

    /// Invokes an endpoint, and waits until its answer begins.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is one, and so is a response that is no event stream.
    pub async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        let headers = request.headers(Operation::Stream)?;
        let prepared = Prepared::new(&request.endpoint, Operation::Stream, headers, request.body)?;
        let deadline = Deadline::new(&self.0.timeouts);
        let attempt = || self.0.send(&prepared, StatusCode::OK, deadline);
        let (headers, body) = deadline.bound(self.0.retry.run(attempt)).await?;
        let (body, timeouts) = (chunks(body), &self.0.timeouts);
        if !is_event_stream(&headers) {
            let found = headers.get(header::CONTENT_TYPE);
            let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return Err(Error::content_type(found, read_error_body(body, timeouts, deadline).await));
        }
        let metadata = Metadata::new(&headers, Operation::Stream);
        Ok(ResponseStream::new(metadata, Framing::EventStream, body, timeouts, deadline))
    }

    /// Has an endpoint invoked, which puts its answer into S3.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 202 is one.
    pub async fn invoke_async(&self, request: AsyncRequest) -> Result<AsyncResponse, Error> {
        let (headers, body) = (request.headers()?, request.body());
        let prepared = Prepared::new(&request.endpoint, Operation::Async, headers, body)?;
        let deadline = Deadline::new(&self.0.timeouts);
        let attempt = || async {
            let (headers, body) = self.0.send(&prepared, StatusCode::ACCEPTED, deadline).await?;
            let body = read_body(chunks(body), &self.0.timeouts, deadline, self.0.max_response_len).await?;
            Ok(AsyncResponse::new(&headers, &body))
        };
        deadline.bound(self.0.retry.run(attempt)).await
    }
}

impl Transport for Client {
    async fn invoke(&self, request: Request) -> Result<Response, Error> {
        Client::invoke(self, request).await
    }

    async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        Client::invoke_stream(self, request).await
    }

    async fn invoke_async(&self, request: AsyncRequest) -> Result<AsyncResponse, Error> {
        Client::invoke_async(self, request).await
    }
}

impl_services!(Client);

impl Inner {
    /// Headers and body of a response with this status. A clock that is wrong is put right, once.
    async fn send(
        &self,
        prepared: &Prepared,
        status: StatusCode,
        deadline: Deadline,
    ) -> Result<(HeaderMap, reqwest::Body), Error> {
        let was = self.clock.offset();
        let (headers, error) = match self.send_once(prepared, status, deadline).await? {
            Ok(answer) => return Ok(answer),
            Err(refused) => refused,
        };
        if error.status != 403 || !self.clock.correct(was, &headers, &error) {
            return Err(error.into());
        }
        let again = self.send_once(prepared, status, deadline).await?;
        again.map_err(|(_, error)| error.into())
    }

    async fn send_once(
        &self,
        prepared: &Prepared,
        status: StatusCode,
        deadline: Deadline,
    ) -> Result<Result<(HeaderMap, reqwest::Body), (HeaderMap, ServiceError)>, Error> {
        let request = self.sign(prepared).await?;
        let (url, times) = (request.url().clone(), &self.timeouts);
        let sent = timeout(times.first_byte, self.http.execute(request)).await;
        let response = sent
            .map_err(|_| Error::timed_out(Timeout::FirstByte, times.first_byte))?
            .map_err(|error| from_send(error, times.connect))?;
        if *response.url() != url {
            // A client of the caller's own followed it.
            return Err(Error::redirect(302, Some(response.url().to_string())));
        }
        let (parts, body) = http::Response::from(response).into_parts();
        if parts.status == status {
            return Ok(Ok((parts.headers, body)));
        }
        if parts.status.is_redirection() {
            let location = parts.headers.get(header::LOCATION);
            let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return Err(Error::redirect(parts.status.as_u16(), location));
        }
        let body = read_error_body(chunks(body), times, deadline).await;
        let error = ServiceError::new(parts.status, &parts.headers, body);
        Ok(Err((parts.headers, error)))
    }

    async fn sign(&self, prepared: &Prepared) -> Result<reqwest::Request, Error> {
        let credentials = self
            .credentials
            .credentials(SystemTime::now())
            .await
            .map_err(|error| Error::credentials("the credentials could not be loaded").because(error))?;
        let (host, region) = match prepared.region.as_deref().filter(|region| *region != self.region) {
            Some(region) => (&self.host.of_other_region(region)?, region),
            None => (&self.host, self.region.as_str()),
        };
        let unusable = |error: http::Error| Error::config("endpoint url").because(error);
        let uri = format!("{}{}", host.url(), prepared.path);
        let mut headers = prepared.headers.clone();
        let authority = HeaderValue::from_str(host.authority()).map_err(|error| unusable(error.into()))?;
        headers.insert(header::HOST, authority);
        let mut signed = http::Request::post(uri).body(prepared.body.clone()).map_err(unusable)?;
        *signed.headers_mut() = headers;
        // The time may have passed while the provider was asked.
        sign(&mut signed, &credentials, region, self.clock.now())?;
        signed
            .try_into()
            .map_err(|error: reqwest::Error| Error::config("endpoint url").because(error.without_url()))
    }
}

/// The request was not sent, or no response began.
fn from_send(error: reqwest::Error, connect_timeout: Duration) -> Error {
    let kind = match (error.is_connect(), error.is_timeout()) {
        (true, true) => Error::timed_out(Timeout::Connect, connect_timeout),
        (true, false) => Error::connect(),
        _ => Error::broken_off(),
    };
    kind.because(error.without_url())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/vnd.amazon.eventstream")
}

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    region: Option<String>,
    credentials: Option<SharedCredentialsProvider>,
    endpoint_url: Option<String>,
    http: Option<reqwest::Client>,
    fips: bool,
    dual_stack: bool,
    timeouts: Timeouts,
    retry: Retry,
    max_response_len: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            region: None,
            credentials: None,
            endpoint_url: None,
            http: None,
            fips: false,
            dual_stack: false,
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            max_response_len: RESPONSE_LEN_MAX,
        }
    }
}

impl Builder {
    /// The region, which requests are signed for.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Keys ([`Credentials`](crate::Credentials)), or whatever provides them: those of `aws-config` do. They are kept
    /// until they expire, or for 15 minutes if they do not say when.
    pub fn credentials(mut self, provider: impl ProvideCredentials + 'static) -> Self {
        self.credentials = Some(SharedCredentialsProvider::new(provider));
        self
    }

    /// Where requests go. Default: the runtime's host in the region.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Hosts that are validated for FIPS 140. Not with an endpoint URL.
    pub fn fips(mut self, fips: bool) -> Self {
        self.fips = fips;
        self
    }

    /// Hosts that have IPv6 addresses, too. Not with an endpoint URL.
    pub fn dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack;
        self
    }

    /// An HTTP client of one's own, in place of the one that [`build`](Self::build) makes. Its connect timeout is its own
    /// affair. It must neither follow redirects nor decompress nor try again: [`http_client`](crate::http_client) has a
    /// builder that is set up so. A redirect that it followed all the same is an error.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http = Some(client);
        self
    }

    /// The times that bound a call.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets [`Timeouts::connect`].
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.connect = timeout;
        self
    }

    /// Sets [`Timeouts::first_byte`].
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.first_byte = timeout;
        self
    }

    /// Sets [`Timeouts::idle`].
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.idle = timeout;
        self
    }

    /// Sets [`Timeouts::total`].
    pub fn total_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.total = Some(timeout);
        self
    }

    /// How often a call is tried. Default: 3 times; [`Retry::never`] is one.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Bytes of the largest body that [`Client::invoke`] returns. Default: 32 MiB; the service's own bound is 25 MB.
    pub fn max_response_len(mut self, len: usize) -> Self {
        self.max_response_len = len;
        self
    }

    /// Takes from the environment what has not been set: the region from `AWS_REGION` or `AWS_DEFAULT_REGION`, the
    /// endpoint URL from `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME` or `AWS_ENDPOINT_URL` (unless
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` is true), the credentials from [`EnvCredentials`].
    ///
    /// `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` choose the host.
    pub fn from_env(self) -> Self {
        self.with_lookup(|name| std::env::var(name).ok())
    }

    fn with_lookup(mut self, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| lookup(name).map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
        let is_true = |name| set(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        self.region = self.region.or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
        if !is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
            let names = ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "AWS_ENDPOINT_URL"];
            self.endpoint_url = self.endpoint_url.or_else(|| names.into_iter().find_map(set));
        }
        self.fips |= is_true("AWS_USE_FIPS_ENDPOINT");
        self.dual_stack |= is_true("AWS_USE_DUALSTACK_ENDPOINT");
        self.credentials =
            self.credentials.or_else(|| Some(SharedCredentialsProvider::new(EnvCredentials::new())));
        self
    }

    /// The client. No connection is made yet.
    ///
    /// # Errors
    ///
    /// No region, no credentials, an endpoint URL that cannot be used, or no certificates to trust.
    pub fn build(self) -> Result<Client, Error> {
        let region = self.region.ok_or_else(|| Error::config("the region is not set"))?;
        let credentials = self.credentials.ok_or_else(|| Error::config("the credentials are not set"))?;
        let host = match &self.endpoint_url {
            Some(_) if self.fips || self.dual_stack => {
                let which = if self.fips { "FIPS" } else { "dual stack" };
                return Err(Error::config(format!("{which} does not go with an endpoint url")));
            }
            Some(url) => Host::parse(url)?,
            None => Host::of_region(&region, self.fips, self.dual_stack)?,
        };
        let http = match self.http {
            Some(http) => http,
            None => http_client(host.is_https())?
                .connect_timeout(self.timeouts.connect)
                .build()
                .map_err(|error| Error::config("the http client cannot be built").because(error))?,
        };
        Ok(Client(Arc::new(Inner {
            http,
            host,
            region,
            credentials: Cache::new(credentials),
            clock: Clock::default(),
            timeouts: self.timeouts,
            retry: self.retry,
            max_response_len: self.max_response_len,
        })))
    }
}

/// What [`Builder::build`] makes its HTTP client with: no redirects, no proxies, no decompression, no tries of its own,
/// and for `https` rustls with the certificates of the platform, HTTP/2 where the server has it.
///
/// # Errors
///
/// `https` is wanted, and the feature `rustls` is not there, or there are no certificates to trust.
pub fn http_client(https: bool) -> Result<reqwest::ClientBuilder, Error> {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy();
    #[cfg(feature = "rustls")]
    let http = http.tls_backend_preconfigured(crate::tls::config(https)?);
    #[cfg(not(feature = "rustls"))]
    if https {
        return Err(Error::config("https needs the feature rustls"));
    }
    Ok(http)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(set: &[(&str, &str)], builder: Builder) -> Result<Client, Error> {
        let lookup =
            |name: &str| set.iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_string());
        builder.with_lookup(lookup).build()
    }

    #[test]
    fn the_environment_fills_what_is_not_set() {
        let region = ("AWS_DEFAULT_REGION", "eu-west-1");
        let client = from(&[region, ("AWS_ENDPOINT_URL", "http://a:1/")], Client::builder()).unwrap();
        assert_eq!((client.region(), client.endpoint_url()), ("eu-west-1", "http://a:1"));

        let both = [region, ("AWS_REGION", "eu-west-2"), ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://b")];
        let client = from(&both, Client::builder()).unwrap();
        assert_eq!((client.region(), client.endpoint_url()), ("eu-west-2", "http://b"));
        let client = from(&both, Client::builder().region("us-east-1").endpoint_url("http://c")).unwrap();
        assert_eq!((client.region(), client.endpoint_url()), ("us-east-1", "http://c"));

        assert!(from(&[], Client::builder()).unwrap_err().to_string().contains("region is not set"));
        let fips = [region, ("AWS_USE_FIPS_ENDPOINT", "true")];
        let client = from(&fips, Client::builder()).unwrap();
        assert_eq!(client.endpoint_url(), "https://runtime-fips.sagemaker.eu-west-1.amazonaws.com");
        let error = from(&fips, Client::builder().endpoint_url("http://c")).unwrap_err();
        assert_eq!(error.to_string(), "invalid configuration: FIPS does not go with an endpoint url");
        let error = Client::builder().region("us-east-1").build().unwrap_err();
        assert!(error.is_config() && error.to_string().contains("credentials are not set"));
    }

    #[test]
    fn ignored_endpoint_urls_are_ignored() {
        let set = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "http://a"),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
            ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ];
        let client = from(&set, Client::builder()).unwrap();
        assert_eq!(client.endpoint_url(), "https://runtime.sagemaker.eu-west-1.api.aws");
    }

    #[tokio::test]
    async fn a_dry_run_needs_neither_network_nor_endpoint() {
        let builder = || Client::builder().region("us-east-1").endpoint_url("http://a.invalid");
        let credentials = crate::Credentials::new("id", "secret", None, None, "test");
        let client = builder().credentials(credentials).build().unwrap();
        client.dry_run(&Request::new("e", "{}"), Operation::Stream).await.unwrap();
        let error = client.dry_run(&Request::new("e!", "{}"), Operation::Invoke).await.unwrap_err();
        assert!(error.is_invalid_request());
    }

    #[test]
    fn futures_may_move_between_threads() {
        fn assert_send<T: Send>(_: &T) {}
        let credentials = crate::Credentials::new("id", "secret", None, None, "test");
        let builder = Client::builder().region("us-east-1").endpoint_url("http://a").credentials(credentials);
        let client = builder.build().unwrap();
        assert_send(&client.invoke(Request::new("e", "")));
        assert_send(&client.invoke_stream(Request::new("e", "")));
        fn assert_stream<T: Send + Unpin + futures_core::Stream>() {}
        assert_stream::<ResponseStream>();
    }
}
