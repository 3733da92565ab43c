//! Frames with `aws-smithy-eventstream`.

use aws_smithy_eventstream::error::Error;
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_eventstream::smithy::parse_response_headers;
use aws_smithy_types::event_stream::Message;
use bytes::{Buf, Bytes};
use bytes_utils::SegmentedBuf;

use crate::reads::Reads;
use crate::tally::Tally;
use crate::workload::Workload;

/// Frames, received as the AWS SDK's `Receiver` does it: reads are pushed onto a `SegmentedBuf`.
pub struct Frames<'r, 'a> {
    reads: &'r mut Reads<'a>,
    decoder: MessageFrameDecoder,
    buffer: SegmentedBuf<Bytes>,
}

impl<'r, 'a> Frames<'r, 'a> {
    /// The frames in these reads.
    pub fn new(reads: &'r mut Reads<'a>) -> Self {
        Self { reads, decoder: MessageFrameDecoder::new(), buffer: SegmentedBuf::new() }
    }
}

impl Iterator for Frames<'_, '_> {
    type Item = Result<Message, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.buffer.has_remaining() {
                match self.decoder.decode_frame(&mut self.buffer) {
                    Ok(DecodedFrame::Complete(message)) => return Some(Ok(message)),
                    Ok(_) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            self.buffer.push(self.reads.next()?);
        }
    }
}

/// The payloads of `PayloadPart` events: each frame's headers are parsed, as in the SDK. (The SDK then copies the payload into a
/// `Blob`, which is omitted here.)
pub struct Payloads<'r, 'a>(Frames<'r, 'a>);

impl<'r, 'a> Payloads<'r, 'a> {
    /// The payloads in these reads.
    pub fn new(reads: &'r mut Reads<'a>) -> Self {
        Self(Frames::new(reads))
    }
}

impl Iterator for Payloads<'_, '_> {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0.next()?.and_then(|message| Ok((is_part(&message)?, message))) {
                Ok((true, message)) => return Some(Ok(message.payload().clone())),
                Ok((false, _)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The event type of a frame.
///
/// # Errors
///
/// Errors of smithy, if the headers are not those of an event.
#[inline]
pub fn event_type(message: &Message) -> Result<&str, Error> {
    Ok(parse_response_headers(message)?.smithy_type.as_str())
}

/// Whether a frame is a `PayloadPart` event.
///
/// # Errors
///
/// Errors of smithy, if the headers are not those of an event.
#[inline]
pub fn is_part(message: &Message) -> Result<bool, Error> {
    Ok(event_type(message)? == "PayloadPart")
}

/// Frames alone.
pub fn frames(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    for payload in Payloads::new(reads) {
        match payload {
            Ok(payload) => tally.piece(&payload),
            Err(error) => return tally.fail(error),
        }
    }
}
