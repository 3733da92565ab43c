//! The length and a hash of the input of a tool call, however it is cut, so that memory does not grow with the input.

/// Equal inputs have equal hashes; different ones with a probability of about 2⁻⁶⁴ only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputHash {
    /// In bytes.
    len: usize,
    /// The hash of all complete words of eight bytes.
    hash: u64,
    /// The bytes after them.
    pending: u64,
}

impl InputHash {
    pub(crate) fn of(input: &[u8]) -> Self {
        let mut hash = Self::default();
        hash.add(input);
        hash
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn add(&mut self, mut input: &[u8]) {
        while let Some((word, rest)) = input.split_first_chunk() {
            self.word(u64::from_le_bytes(*word), 8);
            input = rest;
        }
        if let Some((word, rest)) = input.split_first_chunk() {
            self.word(u64::from(u32::from_le_bytes(*word)), 4);
            input = rest;
        }
        for &byte in input {
            self.word(u64::from(byte), 1);
        }
    }

    /// Adds `len` bytes, at most eight, which are the low ones of `word`.
    #[inline]
    fn word(&mut self, word: u64, len: usize) {
        let fill = self.len % 8;
        self.len += len;
        self.pending |= word << (fill * 8);
        if fill + len >= 8 {
            self.hash = (self.hash ^ self.pending).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
            self.pending = if fill == 0 { 0 } else { word >> ((8 - fill) * 8) };
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::InputHash;

    #[test]
    fn the_hash_does_not_depend_on_cuts() {
        let input: Vec<u8> = (0..40).collect();
        for len in 1..input.len() {
            let whole = InputHash::of(&input[..len]);
            for cut in 0..=len {
                let mut pieces = InputHash::of(&input[..cut]);
                pieces.add(&input[cut..len]);
                assert_eq!(pieces, whole, "{cut} of {len}");
            }
            assert_ne!(whole, InputHash::of(&input[1..=len]), "{len}");
        }
    }
}
