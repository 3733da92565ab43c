//! What the SDK found in the frames, as chunks for a decoder below them.

use aws_sdk_sagemakerruntime::error::SdkError;
use aws_sdk_sagemakerruntime::operation::RequestId;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint_with_response_stream::InvokeEndpointWithResponseStreamOutput;
use aws_sdk_sagemakerruntime::primitives::Blob;
use aws_sdk_sagemakerruntime::primitives::event_stream::{EventReceiver, Message};
use aws_sdk_sagemakerruntime::types;
use aws_sdk_sagemakerruntime::types::error::ResponseStreamError;
use aws_smithy_types::event_stream::RawMessage;
use futures_core::Stream;
use futures_util::stream;
use sagewire_codec::sagemaker::Event;
use sagewire_codec::stream::Chunk;
use sagewire_codec::{DecodeErrorKind, Framing, Layer};
use sagewire_transport::{Chunks, Deadline, Error, Metadata, ResponseStream, Timeouts};

type Receiver = EventReceiver<types::ResponseStream, ResponseStreamError>;

/// What one's own call of the SDK's `invoke_endpoint_with_response_stream` was answered, to be read as chat events.
///
/// The SDK's frames were not checked here, so a frame that is corrupt is an error without details. Of `timeouts`, those
/// that bound a body count, and the idle time is that between two events.
pub fn response_stream(
    output: InvokeEndpointWithResponseStreamOutput,
    timeouts: &Timeouts,
) -> ResponseStream {
    let mut metadata = Metadata::default();
    metadata.request_id = output.request_id().map(Into::into);
    metadata.content_type = output.content_type;
    metadata.variant = output.invoked_production_variant;
    metadata.custom_attributes = output.custom_attributes.filter(|text| !text.is_empty());
    let (chunks, deadline): (Chunks, _) = (Box::pin(parts(output.body)), Deadline::new(timeouts));
    ResponseStream::new(metadata, Framing::Unframed, chunks, timeouts, deadline)
}

/// The parts of a stream, as they were received, and how it ended.
fn parts(receiver: Receiver) -> impl Stream<Item = Result<Chunk, Error>> + Send {
    // Boxed: a receiver is large, and moves for every part.
    stream::unfold(Some((Box::new(receiver), 0)), |state| async {
        let (mut receiver, received) = state?;
        loop {
            match receiver.recv().await {
                Ok(Some(types::ResponseStream::PayloadPart(part))) => {
                    let bytes = part.bytes.map(Blob::into_bytes).unwrap_or_default();
                    let received = received + bytes.len() as u64;
                    return Some((Ok(Chunk::Bytes(bytes)), Some((receiver, received))));
                }
                // Of a kind that this version of the SDK does not know.
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some((ending(error, received), None)),
            }
        }
    })
}

/// How a stream ended after `received` bytes of the container's.
fn ending(error: SdkError<ResponseStreamError, RawMessage>, received: u64) -> Result<Chunk, Error> {
    let fault = |layer, kind| Ok(Chunk::Error(sagewire_codec::DecodeError::new(layer, received, kind)));
    match error.raw_response() {
        Some(RawMessage::Decoded(message)) => match event(message) {
            Event::Failure(failure) => Ok(Chunk::Failure(failure)),
            _ => {
                let why = "the SDK cannot read it";
                fault(Layer::SageMaker, DecodeErrorKind::Malformed { what: "event", why })
            }
        },
        Some(RawMessage::Invalid(Some(rest))) => {
            let (what, len) = ("frame ends early", rest.len() as u64);
            fault(Layer::EventStream, DecodeErrorKind::Truncated { what, len })
        }
        Some(_) => {
            let why = "the SDK does not say what is wrong";
            fault(Layer::EventStream, DecodeErrorKind::Malformed { what: "frame", why })
        }
        None => Err(Error::broken_off().because(error)),
    }
}

/// The event in a frame, which the SDK knows too little of: neither the name of an exception that it does not know, nor
/// what an `error` says.
fn event(message: &Message) -> Event<'_> {
    let text = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
        Some(header.value().as_string().ok()?.as_str())
    };
    Event::read(text, message.payload())
}
