//! Lets AWS's SDK ask for credentials over reqwest, so that there is one HTTP client and one TLS.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use sagewire_transport::{Deadline, Error, Timeouts, read_body};

use crate::body::chunks;

/// Credentials take a few kilobytes.
const ANSWER_LEN_MAX: usize = 1 << 20;
/// Where the SDK sets no times.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn http_client() -> Result<SharedHttpClient, Error> {
    // Without certificates, or without TLS, there are still the metadata services, which speak plain HTTP.
    let http = crate::http_client(true).or_else(|_| crate::http_client(false))?;
    let http =
        http.build().map_err(|error| Error::config("the http client cannot be built").because(error))?;
    Ok(http_client_fn(move |settings, _| {
        let connect = settings.connect_timeout().unwrap_or_default();
        let read = settings.read_timeout().unwrap_or(TIMEOUT);
        SharedHttpConnector::new(Connector { http: http.clone(), first_byte: connect + read, idle: read })
    }))
}

#[derive(Debug)]
struct Connector {
    http: reqwest::Client,
    /// Of connecting, and of the answer's beginning.
    first_byte: Duration,
    idle: Duration,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (http, first_byte, idle) = (self.http.clone(), self.first_byte, self.idle);
        HttpConnectorFuture::new(async move {
            let request = into_reqwest(request).map_err(ConnectorError::user)?;
            let answer = tokio::time::timeout(first_byte, http.execute(request)).await;
            let answer = answer
                .map_err(|elapsed| ConnectorError::timeout(elapsed.into()))?
                .map_err(|error| ConnectorError::io(error.without_url().into()))?;
            let (parts, body) = http::Response::from(answer).into_parts();
            let timeouts = {
                let mut timeouts = Timeouts::default();
                timeouts.idle = idle;
                timeouts
            };
            let deadline = Deadline::new(&timeouts);
            let body = read_body(chunks(body), &timeouts, deadline, ANSWER_LEN_MAX).await;
            let body = body.map_err(|error| match error.is_timeout() {
                true => ConnectorError::timeout(error.into()),
                false => ConnectorError::io(error.into()),
            })?;
            let answer = http::Response::from_parts(parts, SdkBody::from(body));
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn into_reqwest(request: HttpRequest) -> Result<reqwest::Request, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.try_into_http1x()?.into_parts();
    // What asks for credentials is held in memory.
    let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
    Ok(reqwest::Request::try_from(http::Request::from_parts(parts, body))?)
}
