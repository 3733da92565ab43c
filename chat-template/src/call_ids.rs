//! IDs of tool calls for models that know only short ones.

use std::collections::BTreeMap;

/// Characters of an ID of Mistral's models.
const LEN: usize = 9;

/// Maps IDs to short ones: the same ID always to the same one, in every render.
#[derive(Debug, Default)]
pub(crate) struct CallIds {
    short: BTreeMap<String, String>,
    used: BTreeMap<String, ()>,
}

impl CallIds {
    /// Whether an ID has nine letters and digits.
    pub(crate) fn is_short(id: &str) -> bool {
        id.len() == LEN && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }

    /// The short ID for an ID.
    pub(crate) fn shorten(&mut self, id: &str) -> String {
        if let Some(short) = self.short.get(id) {
            return short.clone();
        }
        let mut hash = fnv(id);
        let mut short = letters(hash);
        while self.used.insert(short.clone(), ()).is_some() {
            hash = hash.wrapping_add(1);
            short = letters(hash);
        }
        self.short.insert(id.to_string(), short.clone());
        short
    }
}

/// The 64-bit FNV-1a hash, <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Nine letters and digits of a number.
fn letters(number: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digits = (0..LEN as u32).map(|digit| number / 62u64.pow(digit) % 62);
    digits.map(|digit| char::from(LETTERS[digit as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_stable_and_distinct() {
        let mut ids = CallIds::default();
        let first = ids.shorten("call_1");
        assert!(CallIds::is_short(&first) && first == CallIds::default().shorten("call_1"));
        assert_eq!(first, ids.shorten("call_1"));
        assert_ne!(first, ids.shorten("call_2"));
        ids.used.insert(letters(fnv("call_3")), ());
        assert_eq!(ids.shorten("call_3"), letters(fnv("call_3") + 1));
        assert!(!CallIds::is_short("call_1234") && CallIds::is_short("a1B2c3D4e"));
    }
}
