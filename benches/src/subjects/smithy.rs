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

/// The payloads of `PayloadPart` events, received as the AWS SDK's `Receiver` does it: reads are pushed onto a
/// `SegmentedBuf`, and each frame's headers are parsed. (The SDK then copies the payload into a `Blob`, which is spared
/// here.)
pub struct Payloads<'r, 'a> {
    reads: &'r mut Reads<'a>,
    decoder: MessageFrameDecoder,
    buffer: SegmentedBuf<Bytes>,
}

impl<'r, 'a> Payloads<'r, 'a> {
    /// The payloads in these reads.
    pub fn new(reads: &'r mut Reads<'a>) -> Self {
        Self { reads, decoder: MessageFrameDecoder::new(), buffer: SegmentedBuf::new() }
    }
}

impl Iterator for Payloads<'_, '_> {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.buffer.has_remaining() {
                match self.decoder.decode_frame(&mut self.buffer) {
                    Ok(DecodedFrame::Complete(message)) => match is_part(&message) {
                        Ok(true) => return Some(Ok(message.payload().clone())),
                        Ok(false) => continue,
                        Err(error) => return Some(Err(error)),
                    },
                    Ok(_) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            self.buffer.push(self.reads.next()?);
        }
    }
}

/// Whether a frame is a `PayloadPart` event.
///
/// # Errors
///
/// Those of smithy, where the headers are not those of an event.
#[inline]
pub fn is_part(message: &Message) -> Result<bool, Error> {
    Ok(parse_response_headers(message)?.smithy_type.as_str() == "PayloadPart")
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
