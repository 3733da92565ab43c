//! The HTTP client of the AWS SDK's credential providers, over reqwest, so that there is one HTTP client and one TLS stack.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use sagewire_transport::{Bounds, Deadline, Error, read_body};

use crate::body::chunks;

/// The largest response, in bytes. Credentials have a few kilobytes.
const MAX_RESPONSE_LEN: usize = 1 << 20;
/// The timeout if the SDK sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn http_client() -> Result<SharedHttpClient, Error> {
    // Without certificates or without TLS, the metadata services still work: they use plain HTTP.
    let http = crate::http_client(true).or_else(|_| crate::http_client(false))?;
    let http =
        http.build().map_err(|error| Error::config("the http client cannot be built").because(error))?;
    Ok(http_client_fn(move |settings, _| {
        let connect = settings.connect_timeout().unwrap_or_default();
        let read = settings.read_timeout().unwrap_or(DEFAULT_TIMEOUT);
        SharedHttpConnector::new(Connector { http: http.clone(), first_byte: connect + read, idle: read })
    }))
}

#[derive(Debug)]
struct Connector {
    http: reqwest::Client,
    /// The timeout for connecting and for the start of the response.
    first_byte: Duration,
    idle: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (http, first_byte, idle) = (self.http.clone(), self.first_byte, self.idle);
        HttpConnectorFuture::new(async move {
            let request = into_reqwest(request).map_err(ConnectorError::user)?;
            let response = tokio::time::timeout(first_byte, http.execute(request)).await;
            let response = response
                .map_err(|elapsed| ConnectorError::timeout(elapsed.into()))?
                .map_err(|error| ConnectorError::io(error.without_url().into()))?;
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

fn into_reqwest(request: HttpRequest) -> Result<reqwest::Request, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.try_into_http1x()?.into_parts();
    // The bodies of these requests are in memory, not streamed.
    let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
    Ok(reqwest::Request::try_from(http::Request::from_parts(parts, body))?)
}
