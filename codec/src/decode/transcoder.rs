//! Turns the bytes of one API into those of another.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::convert_error::ConvertError;
use crate::decode::decoder::Decoder;
use crate::error::DecodeError;
use crate::formats::Writer;
use crate::model::Api;
use crate::model::Failure;
use crate::model::{Event, Losses, ResponseOptions, ToolNames};
use crate::options::Options;

/// Turns a response stream of one API into that of another, chunk by chunk.
///
/// If the stream fails, the output ends with the error of the target API, and then the error is returned.
///
/// ```
/// use bytes::Bytes;
/// use sagewire_codec::{Api, Options, Transcoder, model::{ConverseEncoding, ResponseOptions}};
///
/// let mut out = Vec::new();
/// let options = ResponseOptions::new().encoding(ConverseEncoding::JsonLines);
/// let mut transcoder = Transcoder::new(Options::new(), Api::Converse, options)?;
/// let mut chunk = Bytes::from_static(
///     b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n",
/// );
/// while let Some(bytes) = transcoder.decode(&mut chunk)? {
///     out.extend_from_slice(bytes);
/// }
/// while let Some(bytes) = transcoder.finish()? {
///     out.extend_from_slice(bytes);
/// }
/// assert_eq!(
///     String::from_utf8_lossy(&out),
///     r#"{"messageStart":{"role":"assistant"}}
/// {"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"hi"}}}
/// {"contentBlockStop":{"contentBlockIndex":0}}
/// {"messageStop":{"stopReason":"end_turn"}}
/// "#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transcoder {
    decoder: Decoder,
    writer: Writer,
    names: ToolNames,
    /// The output, which is borrowed until the next call.
    out: Vec<u8>,
    /// The end was written.
    ended: bool,
}

/// A call returns once it has this many bytes, so that one large chunk does not become one huge piece.
const PIECE: usize = 64 * 1024;

impl Transcoder {
    /// A transcoder that decodes with `options`, and writes streams of `api`. `response` has the values that the source
    /// does not contain.
    ///
    /// # Errors
    ///
    /// [`Api::writes_streams`] is false.
    pub fn new(options: Options, api: Api, response: ResponseOptions) -> Result<Self, ConvertError> {
        let (decoder, writer) = (Decoder::with_options(options), Writer::new(api, response)?);
        Ok(Self { decoder, writer, names: ToolNames::default(), out: Vec::new(), ended: false })
    }

    /// The next piece of output, which is all of the output for `chunk` unless that is long. `Ok(None)` means that `chunk` is
    /// used up: call again with the next one.
    ///
    /// # Errors
    ///
    /// Those of [`Decoder::decode`], after the piece with the error of the target API.
    pub fn decode<'a>(&'a mut self, chunk: &mut Bytes) -> Result<Option<&'a [u8]>, DecodeError> {
        self.out.clear();
        while self.out.len() < PIECE {
            match self.decoder.decode(chunk) {
                Ok(Some(event)) => {
                    // A further delta of a part loses nothing that its first delta has not lost.
                    let is_more = matches!(event, Event::TextDelta { .. });
                    self.writer.write(&self.names.restore(event), &mut self.out);
                    if !is_more {
                        self.writer.locate_losses(|| self.decoder.pointer());
                    }
                }
                Ok(None) => break,
                Err(error) => return self.end(error),
            }
        }
        if self.out.is_empty() && self.out.capacity() > 2 * PIECE {
            self.out = Vec::new();
        }
        Ok((!self.out.is_empty()).then_some(&self.out[..]))
    }

    /// Ends the input. Returns the end of the output, then `Ok(None)`, which means that the stream is complete.
    ///
    /// # Errors
    ///
    /// Those of [`Decoder::finish`], after the piece with the error of the target API.
    pub fn finish(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        self.out.clear();
        while self.out.len() < PIECE {
            match self.decoder.finish() {
                Ok(Some(event)) => {
                    // A further delta of a part loses nothing that its first delta has not lost.
                    let is_more = matches!(event, Event::TextDelta { .. });
                    self.writer.write(&self.names.restore(event), &mut self.out);
                    if !is_more {
                        self.writer.locate_losses(|| self.decoder.pointer());
                    }
                }
                Ok(None) => {
                    if !core::mem::replace(&mut self.ended, true) {
                        self.writer.finish(Ok(()), &mut self.out);
                    }
                    break;
                }
                Err(error) => return self.end(error),
            }
        }
        Ok((!self.out.is_empty()).then_some(&self.out[..]))
    }

    /// Reports that the stream failed. See [`Decoder::fail`].
    pub fn fail(&mut self, failure: Failure) {
        self.decoder.fail(failure);
    }

    /// Reports that the frames are corrupt or truncated. See [`Decoder::fail_with`].
    pub fn fail_with(&mut self, error: DecodeError) {
        self.decoder.fail_with(error);
    }

    /// What could not be converted so far.
    pub fn losses(&self) -> &Losses {
        self.writer.losses()
    }

    /// Sets the names of tools that the conversion of the request had to change, so that calls have the original names. Call
    /// it before the first [`decode`](Self::decode).
    pub fn set_tool_names(&mut self, names: ToolNames) {
        self.names = names;
    }

    /// Sets how long the response took, in milliseconds. Call it before [`finish`](Self::finish).
    pub fn set_latency_ms(&mut self, milliseconds: u64) {
        self.writer.set_latency_ms(milliseconds);
    }

    /// Ends the output with the error first.
    fn end(&mut self, error: DecodeError) -> Result<Option<&[u8]>, DecodeError> {
        if !core::mem::replace(&mut self.ended, true) {
            self.writer.finish(Err(&error), &mut self.out);
        }
        if self.out.is_empty() { Err(error) } else { Ok(Some(&self.out)) }
    }
}
