//! Sends requests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::time::timeout;

use crate::body::Body;
use crate::credentials::{Cache, EnvCredentials};
use crate::error::{Error, Kind, Progress, ServiceError, Timeout};
use crate::host::Host;
use crate::request::Request;
use crate::response::{Metadata, Response, ResponseStream};
use crate::sign::sign;

/// A loopback connection is there in no time, one across an ocean in a few hundred milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A container must answer within 60 seconds; AWS advises clients to wait for 70.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(70);
/// That of botocore.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The service's own bound is 25 MB.
const RESPONSE_LEN_MAX: usize = 32 << 20;
/// An error that takes more than this to explain is not read any further.
const ERROR_LEN_MAX: usize = 1 << 20;

/// Invokes the endpoints of one region. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    host: Host,
    region: String,
    credentials: Cache,
    connect_timeout: Duration,
    first_byte_timeout: Duration,
    idle_timeout: Duration,
    max_response_len: usize,
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

    /// Invokes an endpoint, and waits for its whole answer.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is one.
    pub async fn invoke(&self, request: Request) -> Result<Response, Error> {
        let (headers, body) = self.send(request, false).await?;
        let metadata = Metadata::new(&headers, false);
        let body = Body::new(body, self.0.idle_timeout, false).collect(self.0.max_response_len).await?;
        Ok(Response { metadata, body })
    }

    /// Invokes an endpoint, and waits until its answer begins.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is one, and so is a response that is no event stream.
    pub async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        let (headers, body) = self.send(request, true).await?;
        let metadata = Metadata::new(&headers, true);
        if !is_event_stream(&headers) {
            let found = headers.get(header::CONTENT_TYPE);
            let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let body = Body::new(body, self.0.idle_timeout, false).collect_some(ERROR_LEN_MAX).await;
            return Err(Error::new(Kind::ContentType { found, body }));
        }
        Ok(ResponseStream::new(metadata, Body::new(body, self.0.idle_timeout, true)))
    }

    /// Headers and body of a response with status 200.
    async fn send(&self, request: Request, stream: bool) -> Result<(HeaderMap, reqwest::Body), Error> {
        let inner = &*self.0;
        let request = inner.sign(request, stream).await?;
        let sent = timeout(inner.first_byte_timeout, inner.http.execute(request)).await;
        let response = sent
            .map_err(|_| {
                Error::new(Kind::Timeout(Timeout::FirstByte, inner.first_byte_timeout, Progress::default()))
            })?
            .map_err(|error| Error::from_send(error, inner.connect_timeout))?;
        let (parts, body) = http::Response::from(response).into_parts();
        match parts.status {
            StatusCode::OK => Ok((parts.headers, body)),
            status if status.is_redirection() => {
                let location = parts.headers.get(header::LOCATION);
                let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
                Err(Error::new(Kind::Redirect { status: status.as_u16(), location }))
            }
            status => {
                let body = Body::new(body, inner.idle_timeout, false).collect_some(ERROR_LEN_MAX).await;
                Err(Error::new(Kind::Service(ServiceError::new(status, &parts.headers, body))))
            }
        }
    }
}

impl Inner {
    async fn sign(&self, request: Request, stream: bool) -> Result<reqwest::Request, Error> {
        let uri = format!("{}{}", self.host.url(), request.path(stream)?);
        let mut headers = request.headers(stream)?;
        let now = SystemTime::now();
        let credentials = self.credentials.credentials(now).await.map_err(|error| {
            Error::with_source(Kind::Credentials("the credentials could not be loaded"), error)
        })?;
        let unusable = |error: http::Error| Error::with_source(Kind::Config("endpoint url".into()), error);
        let host = HeaderValue::from_str(self.host.authority()).map_err(|error| unusable(error.into()))?;
        headers.insert(header::HOST, host);
        let mut signed = http::Request::post(uri).body(request.body).map_err(unusable)?;
        *signed.headers_mut() = headers;
        // The time may have passed while the provider was asked.
        sign(&mut signed, &credentials, &self.region, SystemTime::now())?;
        signed.try_into().map_err(|error: reqwest::Error| {
            Error::with_source(Kind::Config("endpoint url".into()), error.without_url())
        })
    }
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
    /// A variable of the environment that asks for what only an endpoint URL can give.
    unsupported: Option<&'static str>,
    connect_timeout: Duration,
    first_byte_timeout: Duration,
    idle_timeout: Duration,
    max_response_len: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            region: None,
            credentials: None,
            endpoint_url: None,
            unsupported: None,
            connect_timeout: CONNECT_TIMEOUT,
            first_byte_timeout: FIRST_BYTE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
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

    /// How long a connection may take. Default: 5 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long it may take from sending the request, connecting included, until a response begins. Default: 70 seconds.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.first_byte_timeout = timeout;
        self
    }

    /// How long to wait for more of the body. Default: 60 seconds.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
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
    /// `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` are an error of [`build`](Self::build) unless there is
    /// an endpoint URL.
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
        self.unsupported =
            ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"].into_iter().find(|name| is_true(name));
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
        let config = |what: &str| Error::new(Kind::Config(what.into()));
        let region = self.region.ok_or_else(|| config("the region is not set"))?;
        let credentials = self.credentials.ok_or_else(|| config("the credentials are not set"))?;
        let host = match (&self.endpoint_url, self.unsupported) {
            (Some(url), _) => Host::parse(url)?,
            (None, Some(name)) => return Err(config(&format!("{name} needs an endpoint url"))),
            (None, None) => Host::of_region(&region)?,
        };
        let http = reqwest::Client::builder()
            .connect_timeout(self.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only();
        #[cfg(feature = "rustls")]
        let http = http.tls_backend_preconfigured(crate::tls::config(host.is_https())?);
        #[cfg(not(feature = "rustls"))]
        if host.is_https() {
            return Err(config("https needs the feature rustls"));
        }
        let http = http.build().map_err(|error| {
            Error::with_source(Kind::Config("the http client cannot be built".into()), error)
        })?;
        Ok(Client(Arc::new(Inner {
            http,
            host,
            region,
            credentials: Cache::new(credentials),
            connect_timeout: self.connect_timeout,
            first_byte_timeout: self.first_byte_timeout,
            idle_timeout: self.idle_timeout,
            max_response_len: self.max_response_len,
        })))
    }
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
        let error = from(&fips, Client::builder()).unwrap_err();
        assert_eq!(error.to_string(), "invalid configuration: AWS_USE_FIPS_ENDPOINT needs an endpoint url");
        assert!(from(&fips, Client::builder().endpoint_url("http://c")).is_ok());
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
        assert!(
            from(&set, Client::builder()).unwrap_err().to_string().contains("AWS_USE_DUALSTACK_ENDPOINT")
        );
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
