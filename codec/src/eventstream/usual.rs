//! Frames with the headers of the one before, as nearly all frames of a stream are.
//!
//! Such a frame begins as the one before does, but for its length and the checksum of its prelude, which follows from the
//! length. CRC-32 is linear: what a bit of the length adds to the checksum depends on nothing but how many bytes follow.
//! So the checksum as far as the payload is three looks at a table, and only the payload has to be read. That halves the
//! work, as headers are mostly half of a frame.

use alloc::boxed::Box;

use super::frame::{PRELUDE_LEN, Prelude, prelude_checksum, shift};
use crate::limits::Limits;

/// Bytes of headers that are remembered: those of a `PayloadPart` take 89, those of Bedrock's events 75 to 87. Longer ones
/// are not worth the memory.
const HEADERS_MAX: usize = 127;
/// From here on there are tables for them.
const HEADERS_MIN: usize = 64;
/// Bits of the length of a frame that is read this way.
const BITS: usize = 12;

/// What the length of a frame adds to the checksum as far as its payload, by four bits of it.
type Lengths = [[u32; 16]; BITS / 4];

/// The same for each length of the headers.
static LENGTHS: [Lengths; HEADERS_MAX - HEADERS_MIN + 1] = {
    let mut all = [[[0; 16]; BITS / 4]; HEADERS_MAX - HEADERS_MIN + 1];
    let mut bit = 0;
    while bit < BITS {
        // The length, and that of the headers behind it.
        let prelude = shift((1u32 << bit).swap_bytes(), 8);
        // Its checksum, which begins with the high byte.
        let mut adds = shift(prelude ^ prelude.swap_bytes(), 4 + HEADERS_MIN);
        let mut headers = 0;
        while headers < all.len() {
            let mut value = 0;
            while value < 16 {
                if value >> (bit % 4) & 1 == 1 {
                    all[headers][bit / 4][value] ^= adds;
                }
                value += 1;
            }
            adds = shift(adds, 1);
            headers += 1;
        }
        bit += 1;
    }
    all
};

fn adds(lengths: &Lengths, total: usize) -> u32 {
    lengths[0][total & 15] ^ lengths[1][total >> 4 & 15] ^ lengths[2][total >> 8 & 15]
}

/// What is known after a frame that was checked.
#[derive(Clone, Debug)]
pub(super) struct Usual {
    headers: [u8; HEADERS_MAX],
    len: usize,
    /// For headers of this length.
    lengths: Option<&'static Lengths>,
    /// The checksum as far as the payload, of a frame that has no length.
    checksum: u32,
}

impl Usual {
    /// What is known after a frame with these headers, unless they are long.
    pub(super) fn new(headers: &[u8]) -> Option<Box<Self>> {
        let len = headers.len();
        let mut kept = [0; HEADERS_MAX];
        kept.get_mut(..len)?.copy_from_slice(headers);
        let mut hasher = crc32fast::Hasher::new();
        for word in [0, len as u32, prelude_checksum(0, len as u32)] {
            hasher.update(&word.to_be_bytes());
        }
        hasher.update(headers);
        let lengths = len.checked_sub(HEADERS_MIN).and_then(|index| LENGTHS.get(index));
        Some(Box::new(Self { headers: kept, len, lengths, checksum: hasher.finalize() }))
    }

    /// Whether these are the headers.
    #[inline(always)]
    pub(super) fn has(&self, headers: &[u8]) -> bool {
        self.headers.get(..self.len) == Some(headers)
    }

    /// The prelude of the frame that `bytes` begin with, if all of it is here and good, and has these headers.
    #[inline(always)]
    pub(super) fn read(&self, bytes: &[u8], limits: &Limits) -> Option<Prelude> {
        let prelude = Prelude::read(bytes, limits)?;
        let frame = bytes.get(..prelude.total)?;
        if !self.has(&frame[prelude.headers()]) {
            return None;
        }
        let (covered, stated) = frame.split_last_chunk()?;
        let computed = match self.lengths {
            Some(lengths) if frame.len() < 1 << BITS => {
                let beginning = self.checksum ^ adds(lengths, frame.len());
                let mut hasher = crc32fast::Hasher::new_with_initial(beginning);
                hasher.update(&covered[PRELUDE_LEN + self.len..]);
                hasher.finalize()
            }
            _ => crc32fast::hash(covered),
        };
        (computed == u32::from_be_bytes(*stated)).then_some(prelude)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn checksums_are_those_of_the_library() {
        for len in [HEADERS_MIN, 75, 89, HEADERS_MAX] {
            let headers: Vec<u8> = (0..len as u8).collect();
            let usual = Usual::new(&headers).expect("they are not long");
            let lengths = usual.lengths.expect("there is a table");
            for total in (PRELUDE_LEN + len..1 << BITS).step_by(7) {
                let words = [(total as u32).to_be_bytes(), (len as u32).to_be_bytes()].concat();
                let checksum = crc32fast::hash(&words).to_be_bytes();
                let beginning = [&words[..], &checksum, &headers].concat();
                let computed = usual.checksum ^ adds(lengths, total);
                assert_eq!(computed, crc32fast::hash(&beginning), "{len}, {total}");
            }
        }
    }
}
