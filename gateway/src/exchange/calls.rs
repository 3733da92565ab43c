//! Embeddings, and invocations that are passed through.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use sagewire_codec::model::{Losses, ResponseOptions};
use sagewire_codec::{embeddings, read_request};

use super::{Content, EVENT_STREAM, Exchange, JSON, Result};
use crate::body::Source;
use crate::config::ModelKind;
use crate::door::sagemaker::Forwarded;
use crate::fault::Fault;
use crate::invocation::{self, RawStream};
use crate::route::Deployment;

impl Exchange<'_> {
    pub(super) async fn embeddings(&mut self, body: &Bytes) -> Result<Content> {
        let request = embeddings::Request::read(body)?;
        let name =
            request.model.as_ref().ok_or_else(|| Fault::invalid("The request has no model."))?.to_string();
        let group = self.group(&name)?;
        let makes_vectors =
            |deployment: &Arc<Deployment>| matches!(deployment.model.kind, ModelKind::Embeddings(_));
        if !group.deployments.iter().all(makes_vectors) {
            return Err(Fault::invalid(format!("The model `{name}` does not make embeddings.")));
        }
        self.reserve(&group, body.len(), Some(0)).await?;
        let options = &ResponseOptions::new().model(name);
        let request = &request;
        let response = self.call(&group, |deployment| {
            Box::pin(async move {
                let response = deployment.embeddings.embed(request).await?;
                let usage = response.read()?.usage;
                Ok((response.transcoded(options)?, usage))
            })
        });
        let (response, usage) = response.await?;
        self.recorder.usage(Some(usage));
        let headers = self.headers(response.metadata.request_id.as_deref(), &response.request_losses);
        self.recorder.losses(&response.response_losses);
        Ok(self.whole(response.body, headers, JSON))
    }

    pub(super) async fn invocation(&mut self, endpoint: &str, streams: bool, body: Bytes) -> Result<Content> {
        let group = self.group(endpoint)?;
        let speaks = group.deployments.first().and_then(|deployment| deployment.model.speaks);
        if let Some(api) = speaks {
            let request = read_request(api, &body)?;
            return self.chat(endpoint, request, api, streams, &body).await;
        }
        self.recorder.record.streamed = streams;
        self.reserve(&group, body.len(), None).await?;
        let forwarded = &Forwarded::read(&self.parts.headers);
        if streams {
            let stream = self.call(&group, |deployment| {
                let body = body.clone();
                Box::pin(async move {
                    let request = invocation::request(deployment.chat.endpoint(), forwarded, body);
                    let stream = deployment.upstream.invoke_stream(request).await?;
                    RawStream::start(stream, deployment.decode_options()).await
                })
            });
            let stream = stream.await?;
            let mut headers = self.headers(stream.metadata().request_id.as_deref(), &Losses::default());
            invocation::write_metadata(&mut headers, stream.metadata());
            headers.insert(CONTENT_TYPE, EVENT_STREAM);
            if let Some(Ok(inner)) = stream.metadata().content_type.as_deref().map(HeaderValue::from_str) {
                headers.insert("x-amzn-sagemaker-content-type", inner);
            }
            return Ok(Content::Stream(Source::Raw(Box::new(stream)), headers, None));
        }
        let response = self.call(&group, |deployment| {
            let body = body.clone();
            Box::pin(async move {
                let request = invocation::request(deployment.chat.endpoint(), forwarded, body);
                let response = deployment.upstream.invoke(request).await?;
                let usage = response.chat(deployment.decode_options()).ok().and_then(|chat| chat.usage);
                Ok((response, usage))
            })
        });
        let (response, usage) = response.await?;
        if usage.is_some() {
            self.recorder.usage(usage);
        }
        let mut headers = self.headers(response.metadata.request_id.as_deref(), &Losses::default());
        invocation::write_metadata(&mut headers, &response.metadata);
        let content_type = response.metadata.content_type.as_deref().map(HeaderValue::from_str);
        let media_type = content_type.and_then(std::result::Result::ok).unwrap_or(JSON);
        Ok(self.whole(response.body, headers, media_type))
    }
}
