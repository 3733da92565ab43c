//! Numbers: where they end. Nobody needs to know what they mean.

use super::string::LOW;
use super::{Json, Result};

impl Json<'_> {
    /// Skips a number, whose first byte was seen.
    pub(crate) fn number(&mut self) -> Result<()> {
        let digits = |json: &mut Self| {
            let len = digits_len(&json.bytes[json.pos..]);
            json.pos += len;
            if len == 0 { json.fault("malformed number") } else { Ok(len) }
        };
        if self.bytes[self.pos] == b'-' {
            self.pos += 1;
        }
        let zero = self.bytes.get(self.pos) == Some(&b'0');
        if digits(self)? > 1 && zero {
            return self.fault("malformed number");
        }
        if self.bytes.get(self.pos) == Some(&b'.') {
            self.pos += 1;
            digits(self)?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.pos) {
            self.pos += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.pos) {
                self.pos += 1;
            }
            digits(self)?;
        }
        Ok(())
    }
}

/// Where the number at `at` ends, if there is one.
#[inline(always)]
pub(crate) fn number_end(bytes: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(bytes.get(at) == Some(&b'-'));
    let len = digits_at(bytes, start);
    if len == 0 || (len > 1 && bytes[start] == b'0') {
        return None;
    }
    let mut end = start + len;
    if bytes.get(end) == Some(&b'.') {
        let len = digits_at(bytes, end + 1);
        if len == 0 {
            return None;
        }
        end += 1 + len;
    }
    match bytes.get(end) {
        Some(b'e' | b'E') => number_with_exponent(bytes, at),
        _ => Some(end),
    }
}

#[cold]
fn number_with_exponent(bytes: &[u8], at: usize) -> Option<usize> {
    let mut json = Json::new(bytes, at, 0);
    json.number().ok().map(|()| json.pos())
}

/// How many digits begin at `at`. Nearly all numbers end within a word, or the two behind it: logprobs have up to twenty
/// digits, and no branch is to depend on how many.
#[inline(always)]
fn digits_at(bytes: &[u8], at: usize) -> usize {
    let Some(word) = bytes.get(at..at + 8).and_then(|word| word.first_chunk()) else {
        return digits_len(bytes.get(at..).unwrap_or_default());
    };
    match no_digits(u64::from_le_bytes(*word)) {
        0 => 8 + more_digits_at(bytes, at + 8),
        others => (others.trailing_zeros() / 8) as usize,
    }
}

/// The same for the rest of a long number.
#[inline]
fn more_digits_at(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let window = match rest.first_chunk::<16>() {
        Some(window) => u128::from_le_bytes(*window),
        // The last of all bytes, without those before `at`. In their place come zeros, which are no digits.
        None => match bytes.last_chunk() {
            Some(window) if !rest.is_empty() => u128::from_le_bytes(*window) >> (8 * (16 - rest.len())),
            _ => return digits_len(rest),
        },
    };
    let halves = [window as u64, (window >> 64) as u64].map(|word| u128::from(no_digits(word)));
    match halves[0] | halves[1] << 64 {
        0 => 16 + digits_len(&rest[16..]),
        others => (others.trailing_zeros() / 8) as usize,
    }
}

/// How many digits these bytes begin with, eight at a time as far as whole words go.
fn digits_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.split_at(bytes.len() & !7);
    for (index, word) in words.chunks_exact(8).enumerate() {
        let others = no_digits(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        if others != 0 {
            return 8 * index + (others.trailing_zeros() / 8) as usize;
        }
    }
    words.len() + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The bytes of a word that are no digits: the lowest bit that is set lies in the first of them; those above may be wrong.
#[inline(always)]
fn no_digits(word: u64) -> u64 {
    // The upper half of a digit is 3, and still is with 6 more; a carry spoils nothing below where it comes from.
    let upper = |word: u64| (word & (LOW * 0xf0)) ^ (LOW * 0x30);
    upper(word) | upper(word.wrapping_add(LOW * 6))
}
