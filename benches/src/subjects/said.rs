//! Conversion between any two formats with the peers. All decoders produce, and all encoders take, the same events, so N
//! decoders and M encoders make N × M pipelines.

use crate::reads::Reads;
use crate::tally::{Fault, Kind, Tally};
use crate::workload::Workload;

/// An event of a text stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// The response begins.
    Start {
        /// The ID of the response.
        id: Option<&'a str>,
        /// The model.
        model: Option<&'a str>,
    },
    /// More text.
    Text(&'a str),
    /// The response ends.
    Finish(Reason),
    /// The token usage.
    Usage(Usage),
}

/// The finish reason of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The model is done.
    #[default]
    Stop,
    /// The response reached the token limit.
    Length,
}

/// Token counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the response.
    pub output: u64,
}

/// A peer that decodes one format.
pub trait Decode {
    /// Passes the events of the stream to `each`.
    ///
    /// # Errors
    ///
    /// Errors of the peer and of `each`, or that the stream is not complete.
    fn each(reads: &mut Reads<'_>, each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault>;
}

/// A peer that encodes one format.
pub trait Encode: Default {
    /// Appends the encoding of an event to `out`.
    ///
    /// # Errors
    ///
    /// Errors of the peer.
    fn write(&mut self, said: Said<'_>, out: &mut Vec<u8>) -> Result<(), Fault>;

    /// Appends the end of the stream.
    ///
    /// # Errors
    ///
    /// Errors of the peer.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Fault>;
}

/// Bytes to deltas.
pub fn decode<D: Decode>(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    let found = D::each(reads, |said| {
        if let Said::Text(text) = said {
            tally.text(Kind::Text, text);
        }
        Ok(())
    });
    if let Err(fault) = found {
        tally.fail(fault);
    }
}

/// Bytes to bytes.
pub fn transcode<D: Decode, E: Encode>(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    let (mut encoder, mut out) = (E::default(), Vec::new());
    let found = D::each(reads, |said| {
        out.clear();
        encoder.write(said, &mut out)?;
        if !out.is_empty() {
            tally.output(&out);
        }
        Ok(())
    });
    out.clear();
    match found.and_then(|()| encoder.end(&mut out)) {
        Err(fault) => tally.fail(fault),
        Ok(()) => tally.output(&out),
    }
}
