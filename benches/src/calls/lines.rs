//! Server-sent events as they are often read by hand: line by line, what is cut put together, and the rest is JSON.

use memchr::memchr;

use crate::openai_stream::DONE;
use crate::subjects::records::{Minimal, NOT_DONE, Record};
use crate::tally::{Fault, Tally};

/// A splitter of lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    carry: Vec<u8>,
    done: bool,
}

impl Lines {
    /// Reads the lines that end in these bytes.
    ///
    /// # Errors
    ///
    /// Those of serde_json.
    pub(super) fn read(&mut self, mut bytes: &[u8], tally: &mut Tally) -> Result<(), Fault> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.carry.is_empty() {
                self.done |= is_done(line, tally)?;
            } else {
                self.carry.extend_from_slice(line);
                self.done |= is_done(&self.carry, tally)?;
                self.carry.clear();
            }
            bytes = rest;
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    /// Nothing follows.
    ///
    /// # Errors
    ///
    /// The record that ends a stream is missing.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.done { Ok(()) } else { Err(NOT_DONE.into()) }
    }
}

/// Reads a line. True: it says that the stream ends.
#[inline]
fn is_done(line: &[u8], tally: &mut Tally) -> Result<bool, Fault> {
    let Some(data) = line.strip_prefix(b"data: ") else { return Ok(false) };
    let data = std::str::from_utf8(data)?;
    if data == DONE {
        return Ok(true);
    }
    Minimal::read(data, tally)?;
    Ok(false)
}
