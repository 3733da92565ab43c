//! Frames with the headers of the one before, as nearly all frames of a stream are.
//!
//! Such a frame begins with the same bytes as an earlier one of the same length: its prelude states nothing but lengths,
//! and the headers follow. So the checksum over these, which are mostly half of the frame, is looked up and not computed
//! again; only the payload is.

use alloc::boxed::Box;

use super::frame::{PRELUDE_LEN, Prelude, words};
use crate::limits::Limits;

/// Bytes of headers that are remembered: those of a `PayloadPart` take 89. Longer ones are not worth the memory.
const HEADERS_MAX: usize = 128;
/// Bytes of frames whose beginning is worth remembering.
const LEN_MAX: usize = 512;
/// Lengths of frames that are remembered.
const LENGTHS: usize = 64;

/// The headers of a frame that was checked, and how frames with them begin.
#[derive(Clone, Debug)]
pub(super) struct Usual {
    headers: [u8; HEADERS_MAX],
    len: usize,
    /// At a length's remainder.
    beginnings: [Beginning; LENGTHS],
}

/// How frames of one length begin.
#[derive(Clone, Debug, Default)]
struct Beginning {
    /// Bytes of the whole frame; 0 is no frame's.
    total: u32,
    /// The checksum of the prelude.
    prelude: u32,
    /// Makes the checksum of the frame, and has as far as the payload. To clone it is cheaper than to make one, which asks
    /// what the processor can do.
    hasher: crc32fast::Hasher,
}

impl Usual {
    /// What is known after a frame with these headers.
    pub(super) fn new(headers: &[u8]) -> Option<Box<Self>> {
        let len = headers.len();
        let mut kept = [0; HEADERS_MAX];
        kept.get_mut(..len)?.copy_from_slice(headers);
        let none = Beginning::default();
        Some(Box::new(Self { headers: kept, len, beginnings: core::array::from_fn(|_| none.clone()) }))
    }

    /// Whether these are the headers.
    #[inline(always)]
    pub(super) fn has(&self, headers: &[u8]) -> bool {
        self.headers.get(..self.len) == Some(headers)
    }

    /// The prelude of the frame that `bytes` begin with, if all of it is here and good, and has these headers.
    #[inline(always)]
    pub(super) fn read(&mut self, bytes: &[u8], limits: &Limits) -> Option<Prelude> {
        let [total, headers, found] = words(bytes.first_chunk()?);
        let frame = bytes.get(..total as usize)?;
        if frame.len() > LEN_MAX {
            return self.read_long(frame, limits);
        }
        let known = &self.beginnings[total as usize % LENGTHS];
        let is_known = known.total == total && known.prelude == found && headers as usize == self.len;
        let prelude = if is_known { Prelude::checked(total, headers) } else { self.remember(frame, limits)? };
        let (beginning, payload) = frame.split_at_checked(PRELUDE_LEN + self.len)?;
        let (payload, stated) = payload.split_last_chunk()?;
        let mut hasher = self.beginnings[total as usize % LENGTHS].hasher.clone();
        hasher.update(payload);
        let is_good = hasher.finalize() == u32::from_be_bytes(*stated) && self.has(&beginning[PRELUDE_LEN..]);
        is_good.then_some(prelude)
    }

    /// The same for a long frame, of which the beginning is a small part.
    #[inline(never)]
    fn read_long(&self, frame: &[u8], limits: &Limits) -> Option<Prelude> {
        let prelude = Prelude::read(frame, limits)?;
        let (computed, stated) = prelude.checksums(frame);
        (computed == stated && self.has(&frame[prelude.headers()])).then_some(prelude)
    }

    /// The prelude of a frame whose length is not known, and is from now on.
    #[inline(never)]
    fn remember(&mut self, frame: &[u8], limits: &Limits) -> Option<Prelude> {
        let prelude = Prelude::read(frame, limits)?;
        let beginning =
            frame.get(..prelude.payload().start).filter(|_| self.has(&frame[prelude.headers()]))?;
        let [total, _, found] = words(frame.first_chunk()?);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(beginning);
        self.beginnings[total as usize % LENGTHS] = Beginning { total, prelude: found, hasher };
        Some(prelude)
    }
}
