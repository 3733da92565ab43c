//! Writes events.

use alloc::vec::Vec;

use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::sse::Event;

impl Event<'_> {
    /// Appends the event to `out`. Decoding it gives exactly one event again, equal to this one but for line ends in
    /// the data: CR LF and CR become LF, the only line end that the format can express.
    ///
    /// # Errors
    ///
    /// CR or LF in the type or in the ID, NUL in the ID: such a value would end its line, and the rest could be
    /// parsed as fields. `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let unencodable = |what| DecodeError::new(Layer::Sse, 0, DecodeErrorKind::Unencodable(what));
        if self.event.contains(['\r', '\n']) {
            return Err(unencodable("line end in the type of an event"));
        }
        if self.id.contains(['\r', '\n', '\0']) {
            return Err(unencodable("line end or NUL in the ID of an event"));
        }
        if self.event != "message" && !self.event.is_empty() {
            field(b"event: ", self.event.as_bytes(), out);
        }
        if !self.id.is_empty() {
            field(b"id: ", self.id.as_bytes(), out);
        }
        if let Some(retry) = self.retry {
            out.extend_from_slice(alloc::format!("retry: {retry}\n").as_bytes());
        }
        let mut rest = self.data.as_bytes();
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            field(b"data: ", &rest[..end], out);
            let len = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
            rest = &rest[end + len..];
        }
        field(b"data: ", rest, out);
        out.push(b'\n');
        Ok(())
    }
}

fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.push(b'\n');
}
