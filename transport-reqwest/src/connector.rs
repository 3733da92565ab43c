//! The HTTP client of the AWS SDK's credential providers, over reqwest, so that there is one HTTP client and one TLS stack.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use sagewire_transport::{Bounds, Deadline, read_body};

use crate::body::chunks;
use crate::builder::client_builder;
use crate::settings::Setting;

/// The largest response, in bytes. Credentials have a few kilobytes.
const MAX_RESPONSE_LEN: usize = 1 << 20;
/// The timeout if the SDK sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client for the providers. STS and SSO are reached through the proxies of the environment; the metadata services, which are
/// on this machine or on its link, are not.
pub(crate) fn http_client(
    ca_bundle: Option<&Setting>,
) -> Result<SharedHttpClient, sagewire_transport::Error> {
    // Without certificates or without TLS, the metadata services still work: they use plain HTTP. A file that was set is needed.
    let builder = || match client_builder(true, ca_bundle) {
        Err(error) if ca_bundle.is_some() => Err(error),
        Err(_) => client_builder(false, None),
        builder => builder,
    };
    let unusable =
        |error| sagewire_transport::Error::config("the http client cannot be built").because(error);
    let proxied = builder()?.build().map_err(unusable)?;
    let direct = builder()?.no_proxy().build().map_err(unusable)?;
    Ok(http_client_fn(move |settings, _| {
        let connect = settings.connect_timeout().unwrap_or_default();
        let read = settings.read_timeout().unwrap_or(DEFAULT_TIMEOUT);
        let (proxied, direct) = (proxied.clone(), direct.clone());
        SharedHttpConnector::new(Connector { proxied, direct, first_byte: connect + read, idle: read })
    }))
}

/// Whether a host is this machine or on its link, as the metadata services are.
fn is_local(host: &str) -> bool {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        // The metadata services of instances and of EKS have unique local addresses.
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.is_unique_local()
        }
        Err(_) => host == "localhost",
    }
}

#[derive(Debug)]
struct Connector {
    proxied: reqwest::Client,
    direct: reqwest::Client,
    /// The timeout for connecting and for the start of the response.
    first_byte: Duration,
    idle: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (proxied, direct) = (self.proxied.clone(), self.direct.clone());
        let (first_byte, idle) = (self.first_byte, self.idle);
        HttpConnectorFuture::new(async move {
            let request = into_reqwest(request).map_err(ConnectorError::user)?;
            let http = if request.url().host_str().is_some_and(is_local) { direct } else { proxied };
            let url = request.url();
            let port = url.port().map_or(String::new(), |port| format!(":{port}"));
            let host = format!("{}{port}", url.host_str().unwrap_or_default());
            let response = tokio::time::timeout(first_byte, http.execute(request)).await;
            let response = response
                .map_err(|elapsed| ConnectorError::timeout(elapsed.into()))?
                .map_err(|error| ConnectorError::io(unreachable(&host, &error).into()))?;
            let (parts, body) = http::Response::from(response).into_parts();
            let mut bounds = Bounds::default();
            (bounds.timeouts.idle, bounds.max_response_len) = (idle, MAX_RESPONSE_LEN);
            let body = read_body(chunks(body), &bounds, Deadline::new(&bounds.timeouts)).await;
            let body = body.map_err(|error| match error.is_timeout() {
                true => ConnectorError::timeout(error.into()),
                false => ConnectorError::io(error.into()),
            })?;
            let response = http::Response::from_parts(parts, SdkBody::from(body));
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The host, and the last of the causes. Those before it only say that there is one.
fn unreachable(host: &str, error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| Error::source(*error));
    format!("{host}: {}", causes.last().map_or_else(|| error.to_string(), ToString::to_string))
}

fn into_reqwest(request: HttpRequest) -> Result<reqwest::Request, Box<dyn Error + Send + Sync>> {
    let (parts, body) = request.try_into_http1x()?.into_parts();
    // The bodies of these requests are in memory, not streamed.
    let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
    Ok(reqwest::Request::try_from(http::Request::from_parts(parts, body))?)
}
