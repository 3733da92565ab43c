//! What is called: a client of SageMaker, or a plain server.

use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use sagewire_codec::Api;
use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Deadline, Error, Metadata, Operation, Request, Response,
    ResponseStream, ServiceError, http_chunks, impl_transport, read_body, read_error_body,
};
use sagewire_transport_reqwest::Client;

use crate::config::{Model, ModelKind, PlainServer, Secret};

/// A transport of a deployment.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    SageMaker(Client),
    Plain(Arc<Plain>),
}

/// A server that is compatible with OpenAI or Anthropic, without AWS.
#[derive(Debug)]
pub(crate) struct Plain {
    http: reqwest::Client,
    url: String,
    headers: HeaderMap,
    key: Option<Secret>,
    bounds: Bounds,
}

impl Plain {
    pub(crate) fn new(
        server: &PlainServer,
        model: &Model,
        http: reqwest::Client,
        bounds: Bounds,
    ) -> Result<Self, Error> {
        let base = server.url.trim_end_matches('/');
        let format = model.format;
        let path = match (model.kind, format) {
            // The URL is all of it.
            _ if model.custom.is_some() => "",
            (ModelKind::Embeddings(_), _) => "/embeddings",
            (_, Api::Anthropic) if base.ends_with("/v1") => "/messages",
            (_, Api::Anthropic) => "/v1/messages",
            (_, Api::Completions) => "/completions",
            (_, Api::Responses) => "/responses",
            (_, Api::OpenAi | Api::Nova) => "/chat/completions",
            // TGI and others have one path.
            _ => "",
        };
        let mut headers = HeaderMap::new();
        if let Some(key) = &server.api_key {
            let (name, value) = match format {
                Api::Anthropic => ("x-api-key", key.expose().to_owned()),
                _ => (AUTHORIZATION.as_str(), format!("Bearer {}", key.expose())),
            };
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| Error::credentials("the key is no header value"))?;
            value.set_sensitive(true);
            headers.insert(http::HeaderName::from_static(name), value);
        }
        if format == Api::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        }
        Ok(Self { http, url: format!("{base}{path}"), headers, key: server.api_key.clone(), bounds })
    }

    async fn send(&self, request: Request, deadline: Deadline) -> Result<(HeaderMap, reqwest::Body), Error> {
        let mut headers = self.headers.clone();
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| Error::invalid_request("a media type is no header value"))
        };
        headers.insert(CONTENT_TYPE, value(&request.content_type)?);
        if let Some(accept) = &request.accept {
            headers.insert(ACCEPT, value(accept)?);
        }
        let sent = self.http.post(&self.url).headers(headers).body(request.body).send();
        let response = self.bounds.timeouts.response(sent).await?.map_err(|error| {
            let kind = if error.is_connect() { Error::connect() } else { Error::broken_off() };
            kind.because(error.without_url())
        })?;
        let (parts, body) = http::Response::from(response).into_parts();
        if parts.status.is_success() {
            return Ok((parts.headers, body));
        }
        let body = read_error_body(chunks(body), &self.bounds, deadline).await;
        let error = ServiceError::new(parts.status, &parts.headers, body);
        Err(error.without_secrets(self.key.as_ref().map(Secret::expose)).into())
    }

    async fn invoke(&self, request: Request) -> Result<Response, Error> {
        let deadline = Deadline::new(&self.bounds.timeouts);
        let call = async {
            let (headers, body) = self.send(request, deadline).await?;
            let body = read_body(chunks(body), &self.bounds, deadline).await?;
            Ok(Response::new(Metadata::new(&headers, Operation::OpenAi), body))
        };
        deadline.bound(std::pin::pin!(call)).await
    }

    async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        let deadline = Deadline::new(&self.bounds.timeouts);
        let call = async {
            let (headers, body) = self.send(request, deadline).await?;
            let operation = Operation::OpenAi;
            ResponseStream::from_headers(&headers, operation, chunks(body), &self.bounds, deadline).await
        };
        deadline.bound(std::pin::pin!(call)).await
    }
}

impl Upstream {
    /// Calls without streaming.
    pub(crate) async fn invoke(&self, request: Request) -> Result<Response, Error> {
        match self {
            Self::SageMaker(client) => client.invoke(request).await,
            Self::Plain(server) => server.invoke(request).await,
        }
    }

    /// The same with a streaming response.
    pub(crate) async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        match self {
            Self::SageMaker(client) => client.invoke_stream(request).await,
            Self::Plain(server) => server.invoke_stream(request).await,
        }
    }

    /// No API of clients has asynchronous invocations.
    async fn invoke_async(&self, _: AsyncRequest) -> Result<AsyncResponse, Error> {
        Err(Error::unsupported("asynchronous invocations"))
    }
}

impl_transport!(Upstream);

fn chunks(body: reqwest::Body) -> sagewire_transport::Chunks {
    http_chunks(body, reqwest::Error::without_url)
}
