//! Chats: from a request in the client's API to a response in it.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use sagewire_codec::model::{self, Losses, Param, Request, ResponseOptions, Usage};
use sagewire_codec::{Api, DecodeError, Writer, write_response};
use sagewire_transport::{ChatStream, Error, Metadata, TranscodedResponse, TranscodedStream};

use crate::config::LossPolicy;
use crate::route::Deployment;

/// What a client requests.
#[derive(Clone, Debug)]
pub(crate) struct ChatCall<'a> {
    pub(crate) request: Request<'a>,
    /// The API of the response.
    pub(crate) to: Api,
    pub(crate) streams: bool,
    pub(crate) options: ResponseOptions,
    pub(crate) losses: LossPolicy,
    /// Requests with the same ID are sent to the same instance if possible.
    pub(crate) affinity: Option<String>,
    /// A whole response is kept for the cache.
    pub(crate) keeps: bool,
}

/// A response in the client's API, of which nothing was sent yet.
pub(crate) enum Reply {
    /// It has started.
    Stream(Box<TranscodedStream>),
    Whole(Box<Whole>),
}

/// A response that is there as a whole. The client may have requested a stream: then these are the bytes of one.
pub(crate) struct Whole {
    pub(crate) metadata: Metadata,
    pub(crate) body: Bytes,
    pub(crate) usage: Option<Usage>,
    pub(crate) request_losses: Losses,
    pub(crate) response_losses: Losses,
    /// For the cache.
    pub(crate) response: Option<model::Response>,
}

impl ChatCall<'_> {
    /// Calls a deployment. Returns when the response is there, or its first event.
    pub(crate) async fn send(&self, deployment: &Deployment) -> Result<Reply, Error> {
        let streams = deployment.streams(self.streams);
        let request = self.request_for(deployment, streams);
        let chat = self.chat_for(deployment);
        if self.losses == LossPolicy::Refuse {
            let (_, losses) = chat.request(&request, streams)?;
            if let Some(loss) = losses.iter().next() {
                return Err(Error::invalid_request(format!("this model cannot express `{loss}`")));
            }
        }
        let sent_at = Instant::now();
        match (streams, self.streams) {
            (true, true) => {
                let mut stream = chat.stream(&request).await?.transcoded(self.to, self.options.clone())?;
                stream.start().await?;
                Ok(Reply::Stream(Box::new(stream)))
            }
            (true, false) => {
                let stream = chat.stream(&request).await?;
                let (metadata, losses) = (stream.metadata().clone(), stream.losses().clone());
                let response = gather(stream).await?;
                self.whole(sent_at, metadata, losses, response)
            }
            (false, true) => {
                let response = chat.complete(&request).await?;
                self.whole(sent_at, response.metadata, response.losses, response.response)
            }
            (false, false) => {
                let response = chat.complete(&request).await?;
                let (usage, kept) = (response.response.usage, self.keeps.then(|| response.response.clone()));
                let written = response.transcoded(self.to, &self.options_after(sent_at))?;
                let TranscodedResponse { metadata, body, request_losses, response_losses, .. } = written;
                let response = kept;
                Ok(Reply::Whole(Box::new(Whole {
                    metadata,
                    body,
                    usage,
                    request_losses,
                    response_losses,
                    response,
                })))
            }
        }
    }

    /// The request with what the configuration of the deployment adds. A stream of OpenAI's API has
    /// token counts only if they are requested; they are hidden from a client that did not request them. TGI and LMI report the
    /// token counts, and whether the limit was reached, only with details.
    fn request_for(&self, deployment: &Deployment, streams: bool) -> Cow<'_, Request<'_>> {
        let mut request = Cow::Borrowed(&self.request);
        if !deployment.model.defaults.is_empty() {
            deployment.prepare(request.to_mut());
        }
        if deployment.model.custom.is_some() {
            return request;
        }
        let format = deployment.model.format;
        let counts = matches!(format, Api::OpenAi | Api::Completions);
        if streams && counts && request.include_usage.as_ref().is_none_or(|include| !include.value) {
            request.to_mut().include_usage = Some(Param::new(true));
        }
        if matches!(format, Api::Tgi | Api::Lmi) && self.to != format && request.details.is_none() {
            request.to_mut().details = Some(Param::new(true));
        }
        request
    }

    fn chat_for<'d>(
        &self,
        deployment: &'d Deployment,
    ) -> Cow<'d, sagewire_transport::Chat<crate::route::Upstream>> {
        let mut chat = Cow::Borrowed(&deployment.chat);
        if let Some(affinity) = &self.affinity {
            chat.to_mut().endpoint_mut().prefix_aware_id = Some(affinity.clone());
        }
        chat
    }

    /// The reply of a whole response.
    fn whole(
        &self,
        sent_at: Instant,
        metadata: Metadata,
        request_losses: Losses,
        response: model::Response,
    ) -> Result<Reply, Error> {
        let (body, response_losses) = self.write(&response, &self.options_after(sent_at))?;
        let (usage, response) = (response.usage, self.keeps.then_some(response));
        Ok(Reply::Whole(Box::new(Whole { metadata, body, usage, request_losses, response_losses, response })))
    }

    /// The options of a response to a call that was sent then. Only Converse has a field for the time that it took.
    pub(crate) fn options_after(&self, sent_at: Instant) -> Cow<'_, ResponseOptions> {
        let mut options = Cow::Borrowed(&self.options);
        if self.to == Api::Converse {
            options.to_mut().latency_ms = sent_at.elapsed().as_millis().try_into().ok();
        }
        options
    }

    /// Writes a whole response in the client's API, as a stream if that was requested.
    pub(crate) fn write(
        &self,
        response: &model::Response,
        options: &ResponseOptions,
    ) -> Result<(Bytes, Losses), Error> {
        if !self.streams {
            let (body, losses) =
                write_response(self.to, response, options).map_err(Error::response_conversion)?;
            return Ok((body.into(), losses));
        }
        let mut writer = Writer::new(self.to, options.clone()).map_err(Error::response_conversion)?;
        let mut out = Vec::new();
        response.for_each_event(|event| writer.write(event, &mut out));
        writer.finish(Ok::<(), &DecodeError>(()), &mut out);
        Ok((out.into(), writer.losses().clone()))
    }
}

/// The whole response of a stream.
async fn gather(mut stream: ChatStream) -> Result<model::Response, Error> {
    let mut response = model::Response::default();
    while let Some(event) = stream.event().await? {
        response.add(&event);
    }
    Ok(response)
}
