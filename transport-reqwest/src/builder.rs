//! The builder of a client.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use sagewire_transport::{Bounds, Error, bounds_setters};

use crate::client::{Client, Inner, Route};
use crate::clock::Clock;
use crate::credentials::{Cache, EnvCredentials, not_loaded};
use crate::host::Host;
use crate::proxy;
use crate::settings::{CredentialsSource, Origin, Setting, Settings};
use crate::token::{Token, Tokens, checked};
use crate::warning::{Warning, not_boolean};

pub(crate) const GLOBAL_URL: &str = "AWS_ENDPOINT_URL";
pub(crate) const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";
pub(crate) const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";
pub(crate) const SERVICE_URL: &str = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME";
pub(crate) const MAX_ATTEMPTS: &str = "AWS_MAX_ATTEMPTS";
/// The variables with a file of trusted certificates. The second one is that of Python's requests, which the AWS CLI uses.
pub(crate) const CA_BUNDLE: [&str; 2] = ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"];
/// The interval of pings on an HTTP/2 connection that waits for a response. Without pings, a dead connection would take all
/// further requests and their retries. The AWS SDK for Java sends pings every five seconds.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// The timeout of a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds a [`Client`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) region: Option<Setting>,
    pub(crate) credentials: Option<(SharedCredentialsProvider, Origin)>,
    pub(crate) endpoint_url: Option<Setting>,
    http: Option<reqwest::Client>,
    pub(crate) fips: Option<Origin>,
    pub(crate) dual_stack: Option<Origin>,
    pub(crate) ca_bundle: Option<Setting>,
    /// The number of attempts as the environment has it. It is parsed by `build`.
    pub(crate) max_attempts: Option<Setting>,
    route: Route,
    token_lifetime: Duration,
    bounds: Bounds,
    pub(crate) warnings: Vec<Warning>,
    /// The program has set the retries, so `max_attempts` does not apply.
    retry_is_set: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            region: None,
            credentials: None,
            endpoint_url: None,
            http: None,
            fips: None,
            dual_stack: None,
            ca_bundle: None,
            max_attempts: None,
            route: Route::default(),
            token_lifetime: Token::LIFETIME_MAX,
            bounds: Bounds::default(),
            warnings: Vec::new(),
            retry_is_set: false,
        }
    }
}

impl Builder {
    /// Sets the region, for which requests are signed.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(Setting::new(region, Origin::Program));
        self
    }

    /// Sets the credentials: [`Credentials`](crate::Credentials), or a provider, such as those of `aws-config`. They are cached
    /// until five minutes before they expire, or for 15 minutes if they have no expiry. If the service reports that they have
    /// expired, they are refreshed, and the request is sent again, once.
    pub fn credentials(mut self, provider: impl ProvideCredentials + 'static) -> Self {
        self.credentials = Some((SharedCredentialsProvider::new(provider), Origin::Program));
        self
    }

    /// Sets the URL of the service. Default: the host of SageMaker Runtime in the region.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(Setting::new(url, Origin::Program));
        self
    }

    /// Uses hosts that are validated for FIPS 140. Not with an endpoint URL.
    pub fn fips(mut self, fips: bool) -> Self {
        self.fips = fips.then_some(Origin::Program);
        self
    }

    /// Uses hosts that also have IPv6 addresses. Not with an endpoint URL.
    pub fn dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack.then_some(Origin::Program);
        self
    }

    /// Sets a file of certificates, in PEM form, that are trusted instead of those of the platform.
    pub fn ca_bundle(mut self, path: impl Into<String>) -> Self {
        self.ca_bundle = Some(Setting::new(path, Origin::Program));
        self
    }

    /// Sets the HTTP client. Default: one that [`build`](Self::build) creates. The connect timeout of this builder does not apply
    /// to it. It must not follow redirects, decompress, or retry: [`http_client`](crate::http_client) returns a builder with
    /// these settings. If it follows a redirect, the call fails.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http = Some(client);
        self
    }

    /// Sets the route to the container. Default: the operations of SageMaker Runtime. [`Client::route`] changes it later.
    pub fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// Sets the lifetime of the tokens of the OpenAI route: 1 second to 12 hours. Default: 12 hours. They are refreshed before
    /// they expire.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    bounds_setters!(retry_is_set);

    /// Takes settings that are not set from the environment: the region from `AWS_REGION` or `AWS_DEFAULT_REGION`, the
    /// endpoint URL from `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME` or `AWS_ENDPOINT_URL` (unless
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` is true), trusted certificates from `AWS_CA_BUNDLE` or `REQUESTS_CA_BUNDLE`, the
    /// number of attempts from `AWS_MAX_ATTEMPTS` (unless the retries are set), the credentials from [`EnvCredentials`].
    ///
    /// `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` select the host.
    pub fn from_env(self) -> Self {
        self.with_lookup(|name| std::env::var(name).ok())
    }

    fn with_lookup(mut self, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| {
            let text = lookup(name)?.trim().to_string();
            (!text.is_empty()).then(|| Setting::new(text, Origin::Environment(name)))
        };
        let is_true = |name| set(name).is_some_and(|setting| setting.value.eq_ignore_ascii_case("true"));
        self.region = self.region.or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
        if !is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
            self.endpoint_url = self.endpoint_url.or_else(|| set(SERVICE_URL)).or_else(|| set(GLOBAL_URL));
        }
        self.ca_bundle = self.ca_bundle.or_else(|| CA_BUNDLE.into_iter().find_map(set));
        self.max_attempts = self.max_attempts.or_else(|| set(MAX_ATTEMPTS));
        let enabled = |name| is_true(name).then_some(Origin::Environment(name));
        self.warnings.extend([FIPS, DUAL_STACK].into_iter().filter_map(|name| not_boolean(set(name)?)));
        self.fips = self.fips.or_else(|| enabled(FIPS));
        self.dual_stack = self.dual_stack.or_else(|| enabled(DUAL_STACK));
        self.credentials.get_or_insert_with(|| {
            let provider = SharedCredentialsProvider::new(EnvCredentials::new());
            (provider, Origin::Environment("AWS_ACCESS_KEY_ID"))
        });
        self
    }

    /// The region that was set or found so far, and its origin.
    pub fn found_region(&self) -> Option<&Setting> {
        self.region.as_ref()
    }

    /// Possible mistakes in the settings that were found so far.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Where the credentials come from, as [`Client::credentials_source`] returns it, for diagnostics if the client cannot be
    /// built. This loads the credentials, and does not cache them.
    ///
    /// # Errors
    ///
    /// No credentials are set, or they could not be loaded.
    pub async fn credentials_source(&self) -> Result<CredentialsSource, Error> {
        let (provider, origin) = self.credentials.as_ref().ok_or_else(no_credentials)?;
        let credentials = provider.provide_credentials().await.map_err(not_loaded)?;
        Ok(CredentialsSource::new(*origin, &credentials))
    }

    /// Builds the client. No connection is established yet.
    ///
    /// # Errors
    ///
    /// There is no region, no credentials, or no trusted certificate, the endpoint URL is invalid, the token lifetime is out of
    /// range, or `AWS_MAX_ATTEMPTS` or `max_attempts` of the profile is not a number of attempts.
    pub fn build(mut self) -> Result<Client, Error> {
        let max_attempts = self.max_attempts.take().filter(|_| !self.retry_is_set);
        if let Some(setting) = &max_attempts {
            self.bounds.retry.attempts = attempts(setting)?;
        }
        let region = self.region.ok_or_else(|| Error::config("the region is not set"))?;
        let (credentials, origin) = self.credentials.ok_or_else(no_credentials)?;
        let (fips, dual_stack) = (self.fips.is_some(), self.dual_stack.is_some());
        let host = match &self.endpoint_url {
            Some(url) if fips || dual_stack => return Err(not_with_url(url, self.fips, self.dual_stack)),
            Some(url) => Host::parse(&url.value)?,
            None => Host::of_region(&region.value, fips, dual_stack)?,
        };
        let host_origin = self.endpoint_url.map_or(Origin::Region, |url| url.origin);
        let settings = Settings {
            region,
            endpoint_url: Setting::new(host.url(), host_origin),
            fips: self.fips,
            dual_stack: self.dual_stack,
            ca_bundle: self.ca_bundle,
            proxy: if self.http.is_some() { None } else { proxy::of(&host) },
            max_attempts,
            credentials: origin,
        };
        let http = match self.http {
            Some(http) => http,
            None => {
                let http = client_builder(host.is_https(), settings.ca_bundle.as_ref())?;
                let http = if host.is_loopback() { http.no_proxy() } else { http };
                http.connect_timeout(self.bounds.timeouts.connect)
                    .build()
                    .map_err(|error| Error::config("the http client cannot be built").because(error))?
            }
        };
        let inner = Inner {
            http,
            host,
            settings,
            credentials: Cache::new(credentials),
            tokens: Tokens::new(checked(self.token_lifetime)?),
            last_key: Default::default(),
            clock: Clock::default(),
            bounds: self.bounds,
            warnings: self.warnings,
            #[cfg(feature = "tracing")]
            has_warned: Default::default(),
        };
        Ok(Client { inner: Arc::new(inner), route: self.route })
    }
}

/// The URL may be another host, so AWS's endpoint rules refuse it as well.
fn not_with_url(url: &Setting, fips: Option<Origin>, dual_stack: Option<Origin>) -> Error {
    let (name, variable, origin) = match fips {
        Some(origin) => ("FIPS", FIPS, Some(origin)),
        None => ("dual stack", DUAL_STACK, dual_stack),
    };
    let origin = origin.map_or(String::new(), |origin| format!(" ({origin})"));
    Error::config(format!(
        "{name}{origin} does not go with an endpoint url ({}); {variable}=false disables it",
        url.origin
    ))
}

/// The number of attempts.
pub(crate) fn attempts(setting: &Setting) -> Result<usize, Error> {
    let attempts = setting.value.parse().ok().filter(|attempts| *attempts > 0);
    attempts.ok_or_else(|| {
        let Setting { value, origin } = setting;
        Error::config(format!("max attempts ({origin}): {value:?} is not a whole number above 0"))
    })
}

fn no_credentials() -> Error {
    Error::config("the credentials are not set")
}

/// The builder that [`Builder::build`] creates its HTTP client with: without redirects, decompression and retries; with the
/// proxies of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, also in lower case); for `https` with
/// rustls, the certificates of the platform, and HTTP/2 if the server offers it. An HTTP/2 connection that waits for a response
/// gets a ping every 10 seconds, and is closed if it does not respond within 10 seconds.
///
/// # Errors
///
/// `https` is true and the feature `rustls` is disabled, or there is no trusted certificate.
pub fn http_client(https: bool) -> Result<reqwest::ClientBuilder, Error> {
    client_builder(https, None)
}

pub(crate) fn client_builder(
    https: bool,
    ca_bundle: Option<&Setting>,
) -> Result<reqwest::ClientBuilder, Error> {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // Another crate may have enabled these features of reqwest, which are then on by default.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT);
    #[cfg(feature = "rustls")]
    let http = http.tls_backend_preconfigured(crate::tls::config(https, ca_bundle)?);
    #[cfg(not(feature = "rustls"))]
    if https || ca_bundle.is_some() {
        return Err(Error::config("https needs the feature rustls"));
    }
    Ok(http)
}

#[cfg(test)]
mod tests {
    use sagewire_transport::{Request, ResponseStream};

    use super::*;

    fn from(set: &[(&str, &str)], builder: Builder) -> Result<Client, Error> {
        let lookup =
            |name: &str| set.iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_string());
        builder.with_lookup(lookup).build()
    }

    #[test]
    fn the_environment_is_used_for_settings_that_are_not_set() {
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
        assert_eq!(
            error.to_string(),
            "invalid configuration: FIPS (environment: AWS_USE_FIPS_ENDPOINT) does not go with an endpoint url \
             (set by the program); AWS_USE_FIPS_ENDPOINT=false disables it"
        );
        let builder = Client::builder().with_lookup(|name| (name == FIPS).then(|| "yes".into()));
        let [warning] = builder.warnings() else { panic!("{builder:?}") };
        let expected =
            "yes (environment: AWS_USE_FIPS_ENDPOINT) is neither true nor false, and has no effect";
        assert_eq!(warning.to_string(), expected);
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

    #[test]
    fn attempts_are_set_by_the_environment_unless_the_program_sets_them() {
        use sagewire_transport::Retry;
        let set = |value: &'static str| {
            [("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "http://a"), (MAX_ATTEMPTS, value)]
        };
        let attempts = |client: Client| client.inner.bounds.retry.attempts;
        for (value, expected) in [("1", 1), (" 5 ", 5), ("", 3)] {
            assert_eq!(attempts(from(&set(value), Client::builder()).unwrap()), expected, "{value:?}");
        }
        for value in ["0", "-1", "many", "2.5", "1234567890123456789012345"] {
            let error = from(&set(value), Client::builder()).unwrap_err();
            let reason = format!(
                "max attempts (environment: AWS_MAX_ATTEMPTS): {value:?} is not a whole number above 0"
            );
            assert!(error.is_config() && error.to_string().ends_with(&reason), "{error}");
            // It is not used.
            assert_eq!(attempts(from(&set(value), Client::builder().retry(Retry::never())).unwrap()), 1);
        }
        assert_eq!(attempts(from(&set("5"), Client::builder().bounds(Bounds::default())).unwrap()), 3);
        assert_eq!(attempts(from(&set("5"), Client::builder().timeouts(Default::default())).unwrap()), 5);
    }

    #[test]
    fn futures_are_send() {
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
