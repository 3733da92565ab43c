//! A common hand-written parser of server-sent events: joins split lines, and parses the data as JSON.

use memchr::memchr;

use crate::openai_stream::DONE;
use crate::subjects::records::{Minimal, NOT_DONE, Record};
use crate::tally::{Fault, Tally};

/// A line splitter.
#[derive(Debug, Default)]
pub(super) struct Lines {
    carry: Vec<u8>,
    done: bool,
}

impl Lines {
    /// Reads the lines that these bytes complete.
    ///
    /// # Errors
    ///
    /// The JSON is invalid.
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

    /// Checks that the stream is complete.
    ///
    /// # Errors
    ///
    /// The terminal record is missing.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.done { Ok(()) } else { Err(NOT_DONE.into()) }
    }
}

/// Reads a line. Returns whether it ends the stream.
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
