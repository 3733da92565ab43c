//! Writes JSON without building a tree.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::json::is_document;
use crate::json::string::special_at;

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// The same without the quotes.
pub(crate) fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let end = special_at(bytes, at);
        out.extend_from_slice(&bytes[at..end]);
        at = end;
        // Escapes that follow each other, as in code, are written at once.
        loop {
            let Some(&byte) = bytes.get(at) else { return };
            match ESCAPES[usize::from(byte)] {
                0 => break,
                b'u' => {
                    let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&digits);
                }
                escape => out.extend_from_slice(&[b'\\', escape]),
            }
            at += 1;
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The byte after the backslash for each byte that needs an escape; 0 for all others.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = b'u';
        control += 1;
    }
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table
};

/// The beginning of a text that has at most `len_max` bytes as JSON, without its quotes.
pub(crate) fn shortened(text: &str, len_max: usize) -> &str {
    let mut len = 0;
    for (at, c) in text.char_indices() {
        len += match c {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            c => c.len_utf8(),
        };
        if len > len_max {
            return &text[..at];
        }
    }
    text
}

/// Appends JSON without the line ends between its tokens, which would end the line of a record.
pub(crate) fn write_one_line(json: &str, out: &mut Vec<u8>) {
    let mut rest = json.as_bytes();
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// The same as text.
pub(crate) fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

/// Appends an integer.
pub(crate) fn write_integer(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number. JSON has no infinities, which become null.
pub(crate) fn write_number(value: f64, out: &mut Vec<u8>) {
    struct Bytes<'o>(&'o mut Vec<u8>);
    impl fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // Appending to memory does not fail.
    let _ = if value.is_finite() { write!(Bytes(out), "{value}") } else { write!(Bytes(out), "null") };
}

/// An object that is being written, comma by comma. It is closed when it is dropped.
///
/// [`object`](Self::object) and [`array`](Self::array) write a whole field in one call.
/// [`begin_object`](Self::begin_object) and [`begin_array`](Self::begin_array) return a writer that can be passed on.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    /// Begins an object.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Appends an object; `write` writes its fields.
    pub(crate) fn write(out: &'o mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
        write(&mut Object::new(out));
    }

    /// Appends a name that needs no escapes. Append the value to the buffer that this returns.
    #[inline]
    pub(crate) fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        let begin: &[u8] = if core::mem::replace(&mut self.is_empty, false) { b"\"" } else { b",\"" };
        self.out.extend_from_slice(begin);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// The same for any name.
    pub(crate) fn any_name(&mut self, name: &str) -> &mut Vec<u8> {
        if !core::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
        write_string(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn string(&mut self, name: &'static str, value: &str) {
        write_string(value, self.name(name));
    }

    pub(crate) fn integer(&mut self, name: &'static str, value: u64) {
        write_integer(value, self.name(name));
    }

    pub(crate) fn bool(&mut self, name: &'static str, value: bool) {
        self.name(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Appends a value that is known to be JSON.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.any_name(name).extend_from_slice(json.as_bytes());
    }

    /// Appends a value as it is if it is JSON, and as a string otherwise.
    pub(crate) fn json(&mut self, name: &str, json: &str) {
        write_json(json, self.any_name(name));
    }

    /// Appends an object; `write` writes its fields.
    pub(crate) fn object(&mut self, name: &'static str, write: impl FnOnce(&mut Object<'_>)) {
        write(&mut self.begin_object(name));
    }

    /// Appends an array; `write` writes each item.
    pub(crate) fn array<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Vec<u8>),
    ) {
        let mut array = self.begin_array(name);
        for item in items {
            write(item, array.element());
        }
    }

    /// Begins a field that is an object.
    pub(crate) fn begin_object(&mut self, name: &'static str) -> Object<'_> {
        Object::new(self.name(name))
    }

    /// Begins a field that is an array.
    pub(crate) fn begin_array(&mut self, name: &'static str) -> Array<'_> {
        Array::new(self.name(name))
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// An array that is being written, comma by comma. It is closed when it is dropped.
pub(crate) struct Array<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Array<'o> {
    /// Begins an array.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, is_empty: true }
    }

    /// Begins an element. Append it to the buffer that this returns.
    pub(crate) fn element(&mut self) -> &mut Vec<u8> {
        if !core::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
        self.out
    }

    /// Begins an element that is an object.
    pub(crate) fn begin_object(&mut self) -> Object<'_> {
        Object::new(self.element())
    }

    /// Appends elements that are written already, with the commas between them.
    pub(crate) fn elements(&mut self, written: &[u8]) {
        if !written.is_empty() {
            self.element().extend_from_slice(written);
        }
    }

    /// Adds what `write` appends, or nothing if it returns `false`.
    pub(crate) fn maybe<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let before = self.out.len();
        if !self.is_empty {
            self.out.push(b',');
        }
        if write(self.out)? {
            self.is_empty = false;
            return Ok(true);
        }
        self.out.truncate(before);
        Ok(false)
    }
}

impl Drop for Array<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}

/// Appends a value as it is if it is JSON, and as a string otherwise.
pub(crate) fn write_json(json: &str, out: &mut Vec<u8>) {
    if is_document(json) { out.extend_from_slice(json.trim().as_bytes()) } else { write_string(json, out) }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    #[test]
    fn writes_what_serde_json_reads() {
        let text: String = (0..0x300).filter_map(char::from_u32).chain("😀\u{2028}".chars()).collect();
        let mut out = Vec::new();
        write_string(&text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
        // Every length, with up to two bytes that need escapes, anywhere.
        for len in 0..100 {
            for (first, second) in
                (0..len).flat_map(|first| (first..len.min(first + 12)).map(move |second| (first, second)))
            {
                let mut bytes = Vec::from_iter((0..len).map(|index| b'a' + (index % 26) as u8));
                (bytes[first], bytes[second]) = (b"\"\\\n\x01"[first % 4], b"\"\\\n\x01"[second % 4]);
                let text = String::from_utf8(bytes).expect("ASCII");
                out.clear();
                write_string(&text, &mut out);
                assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
            }
        }
        for value in [0, 9, 10, u64::MAX] {
            out.clear();
            write_integer(value, &mut out);
            assert_eq!(serde_json::from_slice::<u64>(&out).expect("JSON"), value);
        }
    }
}
