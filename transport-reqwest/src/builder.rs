//! Settings of a client, and where they come from.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use sagewire_transport::{Bounds, Error, bounds_setters};

use crate::client::{Client, Inner, Route};
use crate::clock::Clock;
use crate::credentials::{Cache, EnvCredentials, not_loaded};
use crate::host::Host;
use crate::settings::{CredentialsSource, Origin, Setting, Settings};
use crate::token::{Token, Tokens, checked};

pub(crate) const GLOBAL_URL: &str = "AWS_ENDPOINT_URL";
pub(crate) const FIPS: &str = "AWS_USE_FIPS_ENDPOINT";
pub(crate) const DUAL_STACK: &str = "AWS_USE_DUALSTACK_ENDPOINT";
pub(crate) const SERVICE_URL: &str = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME";
/// A connection of HTTP/2 that waits for an answer is asked so often whether anybody is there: one that is dead would take
/// every further request, and all of their tries. AWS's SDK for Java asks every five seconds.
const PING_AFTER: Duration = Duration::from_secs(10);
/// How long the answer to that may take.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) region: Option<Setting>,
    pub(crate) credentials: Option<(SharedCredentialsProvider, Origin)>,
    pub(crate) endpoint_url: Option<Setting>,
    http: Option<reqwest::Client>,
    pub(crate) fips: Option<Origin>,
    pub(crate) dual_stack: Option<Origin>,
    route: Route,
    token_lifetime: Duration,
    bounds: Bounds,
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
            route: Route::default(),
            token_lifetime: Token::LIFETIME_MAX,
            bounds: Bounds::default(),
        }
    }
}

impl Builder {
    /// The region, which requests are signed for.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(Setting::new(region, Origin::Program));
        self
    }

    /// Keys ([`Credentials`](crate::Credentials)), or whatever provides them: those of `aws-config` do. They are kept
    /// until five minutes before they expire, or for 15 minutes if they do not say when. If the service says that they have
    /// expired, the provider is asked anew, and the request is sent again, once.
    pub fn credentials(mut self, provider: impl ProvideCredentials + 'static) -> Self {
        self.credentials = Some((SharedCredentialsProvider::new(provider), Origin::Program));
        self
    }

    /// Where requests go. Default: the runtime's host in the region.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(Setting::new(url, Origin::Program));
        self
    }

    /// Hosts that are validated for FIPS 140. Not with an endpoint URL.
    pub fn fips(mut self, fips: bool) -> Self {
        self.fips = fips.then_some(Origin::Program);
        self
    }

    /// Hosts that have IPv6 addresses, too. Not with an endpoint URL.
    pub fn dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack.then_some(Origin::Program);
        self
    }

    /// An HTTP client of one's own, in place of the one that [`build`](Self::build) makes. Its connect timeout is its own
    /// affair. It must neither follow redirects nor decompress nor try again: [`http_client`](crate::http_client) has a
    /// builder that is set up so. A redirect that it followed all the same is an error.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http = Some(client);
        self
    }

    /// The way to the container. Default: the operations of SageMaker Runtime. [`Client::route`] changes it for a call.
    pub fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// How long the tokens of the OpenAI route last: 1 second to 12 hours, which is the default. They are made anew in time.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    bounds_setters!();

    /// Takes from the environment what has not been set: the region from `AWS_REGION` or `AWS_DEFAULT_REGION`, the
    /// endpoint URL from `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME` or `AWS_ENDPOINT_URL` (unless
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` is true), the credentials from [`EnvCredentials`].
    ///
    /// `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` choose the host.
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
        let asked = |name| is_true(name).then_some(Origin::Environment(name));
        self.fips = self.fips.or_else(|| asked(FIPS));
        self.dual_stack = self.dual_stack.or_else(|| asked(DUAL_STACK));
        self.credentials.get_or_insert_with(|| {
            let provider = SharedCredentialsProvider::new(EnvCredentials::new());
            (provider, Origin::Environment("AWS_ACCESS_KEY_ID"))
        });
        self
    }

    /// The region that was set or found so far, and where it was found.
    pub fn found_region(&self) -> Option<&Setting> {
        self.region.as_ref()
    }

    /// Where credentials are found that were set, as [`Client::credentials_source`] says it, for those who have no client
    /// because of something else. They are loaded for it, and not kept.
    ///
    /// # Errors
    ///
    /// None were set, or they could not be loaded.
    pub async fn credentials_source(&self) -> Result<CredentialsSource, Error> {
        let (provider, origin) = self.credentials.as_ref().ok_or_else(no_credentials)?;
        let credentials = provider.provide_credentials().await.map_err(not_loaded)?;
        Ok(CredentialsSource::new(*origin, &credentials))
    }

    /// The client. No connection is made yet.
    ///
    /// # Errors
    ///
    /// No region, no credentials, an endpoint URL that cannot be used, a token lifetime that is out of its range, or no
    /// certificates to trust.
    pub fn build(self) -> Result<Client, Error> {
        let region = self.region.ok_or_else(|| Error::config("the region is not set"))?;
        let (credentials, origin) = self.credentials.ok_or_else(no_credentials)?;
        let (fips, dual_stack) = (self.fips.is_some(), self.dual_stack.is_some());
        let host = match &self.endpoint_url {
            Some(_) if fips || dual_stack => {
                let which = if fips { "FIPS" } else { "dual stack" };
                return Err(Error::config(format!("{which} does not go with an endpoint url")));
            }
            Some(url) => Host::parse(&url.value)?,
            None => Host::of_region(&region.value, fips, dual_stack)?,
        };
        let host_origin = self.endpoint_url.map_or(Origin::Region, |url| url.origin);
        let settings = Settings {
            region,
            endpoint_url: Setting::new(host.url(), host_origin),
            fips: self.fips,
            dual_stack: self.dual_stack,
            credentials: origin,
        };
        let http = match self.http {
            Some(http) => http,
            None => http_client(host.is_https())?
                .connect_timeout(self.bounds.timeouts.connect)
                .build()
                .map_err(|error| Error::config("the http client cannot be built").because(error))?,
        };
        let inner = Inner {
            http,
            host,
            settings,
            credentials: Cache::new(credentials),
            tokens: Tokens::new(checked(self.token_lifetime)?),
            clock: Clock::default(),
            bounds: self.bounds,
            #[cfg(feature = "tracing")]
            has_warned: Default::default(),
        };
        Ok(Client { inner: Arc::new(inner), route: self.route })
    }
}

fn no_credentials() -> Error {
    Error::config("the credentials are not set")
}

/// What [`Builder::build`] makes its HTTP client with: no redirects, no proxies, no decompression, no tries of its own,
/// and for `https` rustls with the certificates of the platform, HTTP/2 where the server has it. Such a connection is given
/// up if it does not answer a ping within 10 seconds, which it is sent every 10 seconds while it waits for an answer.
///
/// # Errors
///
/// `https` is wanted, and the feature `rustls` is not there, or there are no certificates to trust.
pub fn http_client(https: bool) -> Result<reqwest::ClientBuilder, Error> {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // Another crate may have turned on what reqwest then does by default.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .no_proxy()
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PONG_WITHIN);
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
    use sagewire_transport::{Request, ResponseStream};

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
