//! Finds the end of a JSON document without parsing it.
//!
//! Brackets are counted, strings are skipped. Two things show that a document was cut off and that another one follows: a
//! line feed inside a string, and an opening bracket right after a value. No valid document has either. The document that
//! follows must not be lost.

/// Finds the end of a document that arrives in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JsonBoundary {
    depth: u32,
    in_string: bool,
    escaped: bool,
    after_value: bool,
    ended: bool,
}

/// Where in a piece the document ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The document goes on after the piece.
    Open,
    /// The document ends here, at this many bytes of the piece.
    End(usize),
    /// The document was cut off here.
    Broken(usize),
}

impl JsonBoundary {
    /// Whether the last bracket was closed.
    pub(crate) fn is_complete(&self) -> bool {
        self.ended && self.depth == 0
    }

    /// Reads the next piece of the document.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Extent {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            if self.in_string {
                if core::mem::take(&mut self.escaped) {
                    at += 1;
                    continue;
                }
                let Some(len) = memchr::memchr3(b'"', b'\\', b'\n', &piece[at..]) else {
                    return Extent::Open;
                };
                at += len;
                match piece[at] {
                    b'"' => (self.in_string, self.after_value) = (false, true),
                    b'\\' => self.escaped = true,
                    _ => {
                        *self = Self { ended: true, ..Self::default() };
                        return Extent::Broken(at);
                    }
                }
                at += 1;
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                b'"' => self.in_string = true,
                b',' | b':' => self.after_value = false,
                b'{' | b'[' => {
                    if self.after_value && self.depth > 0 {
                        *self = Self { ended: true, ..Self::default() };
                        return Extent::Broken(at);
                    }
                    self.depth += 1;
                    self.after_value = false;
                    self.ended = false;
                }
                b'}' | b']' => {
                    self.after_value = true;
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.ended = true;
                        return Extent::End(at + 1);
                    }
                }
                _ => self.after_value = true,
            }
            at += 1;
        }
        Extent::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_for_every_cut() {
        let cases: [(&str, Extent); 9] = [
            (r#"{"a":"}\"]","b":[1,{}]} {"#, Extent::End(23)),
            ("[DONE]", Extent::End(6)),
            ("{\n \"a\": [\n  {},\n  {}\n ]\n}\n", Extent::End(25)),
            ("{\"a\":\"b\n{\"c\":1}", Extent::Broken(7)),
            ("{\"a\":{\"b\":1}\n{\"c\":1}", Extent::Broken(13)),
            ("{\"a\":1", Extent::Open),
            ("{\"a\":\"\\", Extent::Open),
            ("", Extent::Open),
            ("]", Extent::End(1)),
        ];
        for (text, expected) in cases {
            for cut in 0..=text.len() {
                let mut boundary = JsonBoundary::default();
                let found = match boundary.feed(&text.as_bytes()[..cut]) {
                    Extent::Open => match boundary.feed(&text.as_bytes()[cut..]) {
                        Extent::Open => Extent::Open,
                        Extent::End(at) => Extent::End(cut + at),
                        Extent::Broken(at) => Extent::Broken(cut + at),
                    },
                    found => found,
                };
                assert_eq!(found, expected, "{text:?} at {cut}");
            }
        }
    }
}
