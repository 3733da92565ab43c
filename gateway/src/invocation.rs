//! Invocations of an endpoint that are passed through: the client speaks the container's API.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderValue};
use sagewire_codec::eventstream::{Header, Value, encode};
use sagewire_codec::model::{Event, Usage};
use sagewire_codec::{DecodeError, Decoder, Failure, Options};
use sagewire_transport::{Endpoint, Error, Metadata, Request, ResponseStream};

use crate::door::sagemaker::Forwarded;
use crate::recorder::Recorder;

/// The request for the endpoint: the client's body, and those of its headers that the operation has.
pub(crate) fn request(endpoint: &Endpoint, forwarded: &Forwarded, body: Bytes) -> Request {
    let mut endpoint = endpoint.clone();
    let Forwarded { content_type, accept, custom_attributes, session_id, inference_id, prefix_aware_id } =
        forwarded.clone();
    endpoint.custom_attributes = custom_attributes.or(endpoint.custom_attributes);
    endpoint.session_id = session_id.or(endpoint.session_id);
    endpoint.inference_id = inference_id.or(endpoint.inference_id);
    endpoint.prefix_aware_id = prefix_aware_id.or(endpoint.prefix_aware_id);
    let mut request = Request::new(endpoint, body);
    if let Some(content_type) = content_type {
        request = request.content_type(content_type);
    }
    if let Some(accept) = accept {
        request = request.accept(accept);
    }
    request
}

/// The headers of the endpoint's response that SageMaker's clients read.
pub(crate) fn write_metadata(headers: &mut HeaderMap, metadata: &Metadata) {
    for (name, value) in [
        ("x-amzn-invoked-production-variant", &metadata.variant),
        ("x-amzn-sagemaker-custom-attributes", &metadata.custom_attributes),
        ("x-amzn-sagemaker-new-session-id", &metadata.new_session_id),
        ("x-amzn-sagemaker-closed-session-id", &metadata.closed_session_id),
    ] {
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    }
}

/// A stream of event-stream frames, passed on byte for byte, and decoded at the same time so that its end is known.
pub(crate) struct RawStream {
    stream: ResponseStream,
    decoder: Decoder,
    /// What the decoder has found wrong: it is not used any more. The client gets the bytes nevertheless.
    fault: Option<DecodeError>,
    /// The first chunk, which was read before the response began.
    first: Option<Bytes>,
    usage: Option<Usage>,
    text_events: u64,
    failed: Option<Error>,
    is_over: bool,
}

impl RawStream {
    /// Waits for the first bytes. The stream is decoded with these options.
    pub(crate) async fn start(mut stream: ResponseStream, options: Options) -> Result<Self, Error> {
        let first = stream.chunk().await?;
        let decoder = Decoder::with_options(options.framing(stream.framing()));
        let (fault, usage, failed) = (None, None, None);
        Ok(Self { stream, decoder, fault, first, usage, text_events: 0, failed, is_over: false })
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        self.stream.metadata()
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failed = Some(failure.into());
    }

    pub(crate) fn report(&self, recorder: &mut Recorder) {
        recorder.usage(self.usage);
        recorder.estimate(self.text_events);
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.is_over {
            // The error once, then the end.
            return Poll::Ready(self.failed.take().map(Err));
        }
        let next = match (self.failed.take(), self.first.take()) {
            (Some(error), _) => Some(Err(error)),
            (None, Some(first)) => Some(Ok(first)),
            (None, None) => ready!(Pin::new(&mut self.stream).poll_next(cx)),
        };
        match next {
            Some(Ok(chunk)) => {
                self.decode(chunk.clone());
                Poll::Ready(Some(Ok(chunk)))
            }
            Some(Err(error)) => {
                self.is_over = true;
                let frame = broken(&error);
                self.failed = Some(error);
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.is_over = true;
                let error = self.end();
                Poll::Ready(error.map(|error| Err(error.into())))
            }
        }
    }

    fn decode(&mut self, chunk: Bytes) {
        if self.fault.is_none() {
            let (usage, text_events) = (&mut self.usage, &mut self.text_events);
            self.fault =
                self.decoder.feed(chunk, &mut |event: Event<'_>| see(&event, usage, text_events)).err();
        }
    }

    /// How the stream has ended. What the container writes within the frames may be of any kind, also none that the decoder knows.
    fn end(&mut self) -> Option<DecodeError> {
        let (usage, text_events) = (&mut self.usage, &mut self.text_events);
        let fault = self
            .fault
            .take()
            .or_else(|| self.decoder.end(&mut |event: Event<'_>| see(&event, usage, text_events)).err())?;
        (fault.is_model_failure() || self.text_events > 0).then_some(fault)
    }
}

fn see(event: &Event<'_>, usage: &mut Option<Usage>, text_events: &mut u64) {
    match event {
        Event::TextDelta { .. } => *text_events += 1,
        Event::Usage(found) => *usage = Some(*found),
        _ => {}
    }
}

/// A frame that tells the client's SDK that the stream has broken: without it, a stream that ends between two frames looks
/// complete.
fn broken(error: &Error) -> Bytes {
    let text = |name, value| Header::new(name, Value::String(value));
    let headers = [
        text(":message-type", "exception"),
        text(":exception-type", "InternalStreamFailure"),
        text(":content-type", "application/json"),
    ];
    let payload = serde_json::json!({ "Message": error.to_string() }).to_string();
    let mut out = Vec::new();
    // It fails for longer headers only.
    let _ = encode(headers, payload.as_bytes(), &mut out);
    out.into()
}
