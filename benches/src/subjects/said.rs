//! Any format to any other with the peers: what a stream says stands between, so that N decoders and M encoders make
//! N × M pipelines.

use crate::reads::Reads;
use crate::tally::{Fault, Kind, Tally};
use crate::workload::Workload;

/// A piece of what a stream of text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// The answer begins.
    Start {
        /// Its name.
        id: Option<&'a str>,
        /// The model.
        model: Option<&'a str>,
    },
    /// More text.
    Text(&'a str),
    /// It ends.
    Finish(Reason),
    /// What it took.
    Usage(Usage),
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The model is done.
    #[default]
    Stop,
    /// The model was stopped.
    Length,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the prompt.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

/// A peer that decodes one format.
pub trait Decode {
    /// Hands over what the stream says.
    ///
    /// # Errors
    ///
    /// Those of the peer and of `each`, or that the stream is not complete.
    fn each(reads: &mut Reads<'_>, each: impl FnMut(Said<'_>) -> Result<(), Fault>) -> Result<(), Fault>;
}

/// A peer that encodes one format.
pub trait Encode: Default {
    /// Appends what becomes of a piece to `out`.
    ///
    /// # Errors
    ///
    /// Those of the peer.
    fn write(&mut self, said: Said<'_>, out: &mut Vec<u8>) -> Result<(), Fault>;

    /// Appends the end.
    ///
    /// # Errors
    ///
    /// Those of the peer.
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
