//! Finds the end of numbers. Their values are not needed here.

use crate::json::string::LOW;
use crate::json::{Json, Result};

impl Json<'_> {
    /// Skips a number, after its first byte was seen.
    pub(crate) fn number(&mut self) -> Result<()> {
        let digits = |json: &mut Self| {
            let len = digits_at(json.bytes, json.pos);
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

/// The end of the number at `at`, if there is one. Most numbers have their point or their end in the first word.
#[inline(always)]
pub(crate) fn number_end(bytes: &[u8], at: usize) -> Option<usize> {
    let start = at + usize::from(bytes.get(at) == Some(&b'-'));
    let Some(word) = word_at(bytes, start) else { return any_number(bytes, at) };
    let others = no_digits(word);
    let len = first(others);
    if !(1..8).contains(&len) || (len > 1 && word as u8 == b'0') {
        return any_number(bytes, at);
    }
    let mut end = start + len;
    if (word >> (8 * len)) as u8 == b'.' {
        end = match others & (others - 1) {
            // The fraction continues after the word, or begins there.
            0 => start + 8 + digits_at(bytes, start + 8),
            others => start + first(others),
        };
        if end == start + len + 1 {
            return None;
        }
    }
    match bytes.get(end) {
        Some(b'e' | b'E') => any_number(bytes, at),
        _ => Some(end),
    }
}

#[cold]
fn any_number(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at)?;
    let mut json = Json::new(bytes, at, 0);
    json.number().ok().map(|()| json.pos())
}

/// The number of digits at `at`, read eight at a time.
#[inline(always)]
fn digits_at(bytes: &[u8], at: usize) -> usize {
    let mut len = 0;
    while let Some(word) = word_at(bytes, at + len) {
        match no_digits(word) {
            0 => len += 8,
            others => return len + first(others),
        }
    }
    let rest = bytes.len() - (at + len).min(bytes.len());
    match bytes.last_chunk() {
        _ if rest == 0 => len,
        // The last eight bytes, without those before. Zeros fill up the word; they are not digits.
        Some(word) => len + first(no_digits(u64::from_le_bytes(*word) >> (8 * (8 - rest)))),
        None => len + bytes[at + len..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
    }
}

#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// The index of the first byte with its high bit set.
#[inline(always)]
fn first(highs: u64) -> usize {
    (highs.trailing_zeros() / 8) as usize
}

/// Sets the high bit of each byte of a word that is not a digit.
#[inline(always)]
fn no_digits(word: u64) -> u64 {
    const HIGH: u64 = LOW * 0x80;
    // Digits are now the bytes below ten. For any other byte, the addition carries into its own high bit, and no further.
    let word = word ^ (LOW * 0x30);
    (((word & !HIGH) + LOW * (0x80 - 10)) | word) & HIGH
}
