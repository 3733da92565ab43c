//! Converts the event stream of the SDK into a [`ResponseStream`].

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
use sagewire_transport::{Bounds, Chunks, Error, Metadata, ResponseStream};

type Receiver = EventReceiver<types::ResponseStream, ResponseStreamError>;

/// Converts the output of your own call of the SDK's `invoke_endpoint_with_response_stream`.
///
/// The SDK decodes the frames, so the error of a corrupt frame has no details. Of `bounds`, the idle timeout and the total
/// timeout apply. The idle timeout is the time between two events; the total timeout starts now.
pub fn response_stream(output: InvokeEndpointWithResponseStreamOutput, bounds: &Bounds) -> ResponseStream {
    let mut metadata = Metadata::default();
    metadata.request_id = output.request_id().map(Into::into);
    metadata.content_type = output.content_type;
    metadata.variant = output.invoked_production_variant;
    metadata.custom_attributes = output.custom_attributes.filter(|text| !text.is_empty());
    let chunks: Chunks = Box::pin(parts(output.body));
    ResponseStream::new(metadata, Framing::Unframed, chunks, bounds)
}

/// The payloads of a stream, and its failure or error.
fn parts(receiver: Receiver) -> impl Stream<Item = Result<Chunk, Error>> + Send {
    // Boxed, because a receiver is large and is moved for every payload.
    stream::unfold(Some((Box::new(receiver), 0)), |state| async {
        let (mut receiver, received) = state?;
        loop {
            match receiver.recv().await {
                Ok(Some(types::ResponseStream::PayloadPart(part))) => {
                    let bytes = part.bytes.map(Blob::into_bytes).unwrap_or_default();
                    let received = received + bytes.len() as u64;
                    return Some((Ok(Chunk::Bytes(bytes)), Some((receiver, received))));
                }
                // An event that this version of the SDK does not know.
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some((ending(error, received), None)),
            }
        }
    })
}

/// The failure or error that a stream ended with, after `received` bytes of payload.
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
            let why = "the SDK gives no details";
            fault(Layer::EventStream, DecodeErrorKind::Malformed { what: "frame", why })
        }
        None => Err(Error::broken_off().because(error)),
    }
}

/// Reads the event in a frame, because the SDK does not return the name of an unknown exception or the message of an `error`.
fn event(message: &Message) -> Event<'_> {
    let text = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
        Some(header.value().as_string().ok()?.as_str())
    };
    Event::read(text, message.payload())
}
