//! Checks frames that repeat the headers of the previous frame, as nearly all frames of a stream do.
//!
//! Such a frame begins as the previous one, except for its length and the checksum of its prelude, which follows from the
//! length. CRC-32 is linear: the contribution of the length to a checksum depends only on the number of bytes that follow,
//! which the length determines. So its part of the checksum of the whole frame is one look-up in a table for any headers,
//! and only the payload has to be checksummed, together with as many bytes of the headers as fill whole blocks. Headers are
//! mostly half of a frame, so this halves the work.

use alloc::boxed::Box;

use crate::eventstream::frame::{FRAME_MIN, PRELUDE_LEN, Prelude, prelude_checksum, shift, words};
use crate::limits::Limits;

/// The longest headers that are cached, in bytes. Those of a `PayloadPart` have 89 bytes, those of Bedrock's events 75 to 87.
const HEADERS_MAX: usize = 127;
/// Frames that are checked this way are shorter than this. In longer ones, the payload dominates the cost.
const TOTAL_MAX: usize = 2048;

/// The block length of the checksum. A partial block takes as long as four whole ones, and branches on its length.
const BLOCK: usize = 16;

/// What the length of a frame contributes to its checksums.
#[derive(Clone, Copy)]
struct Adds {
    to_prelude: u32,
    to_frame: u32,
}

static ADDS: [Adds; TOTAL_MAX] = {
    let mut all = [Adds { to_prelude: 0, to_frame: 0 }; TOTAL_MAX];
    let mut bit = 1;
    while bit < TOTAL_MAX {
        // The length of the headers follows.
        let to_prelude = shift((bit as u32).swap_bytes(), 8);
        // The checksum of both lengths follows, high byte first.
        let mut to_frame = shift(to_prelude ^ to_prelude.swap_bytes(), FRAME_MIN - PRELUDE_LEN);
        let mut total = FRAME_MIN;
        while total < TOTAL_MAX {
            if total & bit != 0 {
                all[total].to_prelude ^= to_prelude;
                all[total].to_frame ^= to_frame;
            }
            to_frame = shift(to_frame, 1);
            total += 1;
        }
        bit <<= 1;
    }
    all
};

/// The headers of a frame that was checked, and checksums of its beginning.
#[derive(Clone, Debug)]
pub(crate) struct HeaderCache {
    headers: [u8; HEADERS_MAX],
    len: usize,
    /// The checksum of the prelude of a frame with length zero.
    prelude: u32,
    /// The same up to the last `n` bytes of the headers, for each `n`.
    before: [crc32fast::Hasher; BLOCK],
}

impl HeaderCache {
    /// Caches these headers, unless they are very long or very short.
    pub(crate) fn new(headers: &[u8]) -> Option<Box<Self>> {
        let len = headers.len();
        let mut kept = [0; HEADERS_MAX];
        kept.get_mut(..len)?.copy_from_slice(headers);
        let prelude = prelude_checksum(0, len as u32);
        let mut hasher = crc32fast::Hasher::new();
        for word in [0, len as u32, prelude] {
            hasher.update(&word.to_be_bytes());
        }
        let (beginning, last) = headers.split_at_checked(len.checked_sub(BLOCK - 1)?)?;
        hasher.update(beginning);
        let mut before = core::array::from_fn(|_| hasher.clone());
        for (before, byte) in before.iter_mut().rev().skip(1).zip(last) {
            hasher.update(&[*byte]);
            *before = hasher.clone();
        }
        Some(Box::new(Self { headers: kept, len, prelude, before }))
    }

    /// Whether these are the headers.
    #[inline(always)]
    pub(crate) fn has(&self, headers: &[u8]) -> bool {
        self.headers.get(..self.len) == Some(headers)
    }

    /// The prelude of the frame that `bytes` begin with, if the frame is complete and valid and has these headers.
    #[inline(always)]
    pub(crate) fn read(&self, bytes: &[u8], limits: &Limits) -> Option<Prelude> {
        let [total, headers, found] = words(bytes.first_chunk()?);
        let adds = ADDS.get(total as usize)?;
        if headers as usize != self.len || found != self.prelude ^ adds.to_prelude {
            return None;
        }
        let (covered, stated) = bytes.get(..total as usize)?.split_last_chunk()?;
        let (headers, payload) = covered.get(PRELUDE_LEN..)?.split_at_checked(self.len)?;
        if payload.len() > limits.payload || !self.has(headers) {
            return None;
        }
        let more = payload.len().wrapping_neg() % BLOCK;
        let mut hasher = self.before[more].clone();
        hasher.update(covered.get(PRELUDE_LEN + self.len - more..)?);
        let computed = hasher.finalize() ^ adds.to_frame;
        (computed == u32::from_be_bytes(*stated))
            .then_some(Prelude { total: total as usize, headers: self.len })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn checksums_are_those_of_the_library() {
        for len in [15, 16, 75, 89, HEADERS_MAX] {
            let headers: Vec<u8> = (0..len as u8).collect();
            let cache = HeaderCache::new(&headers).expect("they are neither long nor short");
            for total in (FRAME_MIN + len..TOTAL_MAX + 8).step_by(7) {
                let words = [(total as u32).to_be_bytes(), (len as u32).to_be_bytes()].concat();
                let checksum = crc32fast::hash(&words).to_be_bytes();
                let payload: Vec<u8> = (FRAME_MIN + len..total).map(|byte| byte as u8).collect();
                let mut frame = [&words[..], &checksum, &headers, &payload].concat();
                frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
                let found = cache.read(&frame, &Limits::default());
                let expected = Prelude::read(&frame, &Limits::default()).filter(|_| total < TOTAL_MAX);
                assert_eq!(found, expected, "{len}, {total}");
                // No byte may be another one, and none may be missing.
                frame[total * 5 / 7] ^= 0x10;
                assert_eq!(cache.read(&frame, &Limits::default()), None, "{len}, {total}");
                frame[total * 5 / 7] ^= 0x10;
                assert_eq!(cache.read(&frame[..total - 1], &Limits::default()), None, "{len}, {total}");
            }
        }
    }
}
