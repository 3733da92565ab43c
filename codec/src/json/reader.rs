//! A cursor in a document.

use alloc::borrow::Cow;
use core::ops::Range;

use crate::json::string::unescaped;
use crate::json::{DEPTH_MAX, Fault, Kind, Result, Str, TOO_DEEP};

/// A cursor in a document, which is UTF-8.
#[derive(Clone, Debug)]
pub(crate) struct Json<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) pos: usize,
    depth: usize,
    /// Everything that was skipped is ASCII without line ends.
    pub(crate) plain: bool,
}

impl<'a> Json<'a> {
    /// A cursor at `pos` of `bytes`, for values nested at most `depth` deep.
    pub(crate) fn new(bytes: &'a [u8], pos: usize, depth: usize) -> Self {
        Self { bytes, pos, depth, plain: true }
    }

    /// The offset up to which the document was read. After a call of [`kind`](Self::kind), the start of the value.
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// Whether everything that was skipped is ASCII without line ends. Not always detected at the end of a buffer.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The text of a string.
    pub(crate) fn unescaped(&self, string: Str) -> Cow<'a, [u8]> {
        unescaped(self.bytes, string)
    }

    pub(crate) fn fault<T>(&self, why: &'static str) -> Result<T> {
        Err(Fault { at: self.pos, why })
    }

    #[inline]
    pub(crate) fn skip_space(&mut self) -> Option<u8> {
        // Mostly there is none.
        match self.bytes.get(self.pos) {
            Some(&byte) if byte > b' ' => Some(byte),
            _ => self.skip_blank(),
        }
    }

    fn skip_blank(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.pos) {
                Some(&byte @ (b' ' | b'\t' | b'\n' | b'\r')) => {
                    self.pos += 1;
                    self.plain &= matches!(byte, b' ' | b'\t');
                }
                next => return next.copied(),
            }
        }
    }

    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, why: &'static str) -> Result<()> {
        if self.skip_space() != Some(byte) {
            return self.fault(why);
        }
        self.pos += 1;
        Ok(())
    }

    /// The start of the next value, of any kind.
    #[inline]
    pub(crate) fn value_at(&mut self) -> Result<usize> {
        if self.skip_space().is_none() {
            return self.fault("value is missing");
        }
        Ok(self.pos)
    }

    /// Whether the value that comes next is a string.
    #[inline]
    pub(crate) fn is_string(&mut self) -> bool {
        self.skip_space() == Some(b'"')
    }

    /// The kind of the next value, which has to be read or skipped after this.
    #[inline]
    pub(crate) fn kind(&mut self) -> Result<Kind> {
        Ok(match self.skip_space() {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(_) => return self.fault("no JSON value"),
            None => return self.fault("value is missing"),
        })
    }

    /// Reads an object. Calls `each` with the name of every field; `each` has to read or skip the value.
    pub(crate) fn object(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> Result<()>) -> Result<()> {
        let mut more = self.open(Kind::Object)?;
        while more {
            let name = self.name()?;
            each(self, &unescaped(self.bytes, name))?;
            more = self.next(Kind::Object)?;
        }
        Ok(())
    }

    /// Reads an array. Calls `each` for every element, which `each` has to read or skip; it may stop with its own error.
    pub(crate) fn array<E: From<Fault>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> core::result::Result<(), E>,
    ) -> core::result::Result<(), E> {
        let mut more = self.open(Kind::Array)?;
        while more {
            each(self)?;
            more = self.next(Kind::Array)?;
        }
        Ok(())
    }

    /// Opens the next array or object, and returns whether it has elements. Read or skip each element, then call
    /// [`next`](Self::next).
    #[inline]
    pub(crate) fn open(&mut self, kind: Kind) -> Result<bool> {
        let (open, close, why) = match kind {
            Kind::Object => (b'{', b'}', "no object"),
            _ => (b'[', b']', "no array"),
        };
        self.expect(open, why)?;
        self.depth = self.depth.checked_sub(1).ok_or(Fault { at: self.pos, why: TOO_DEEP })?;
        if self.skip_space() != Some(close) {
            return Ok(true);
        }
        self.pos += 1;
        self.depth += 1;
        Ok(false)
    }

    /// Returns whether another element follows in what [`open`](Self::open) opened.
    #[inline]
    pub(crate) fn next(&mut self, kind: Kind) -> Result<bool> {
        let more = self.another(if kind == Kind::Object { b'}' } else { b']' })?;
        self.depth += usize::from(!more);
        Ok(more)
    }

    #[inline]
    fn another(&mut self, close: u8) -> Result<bool> {
        match self.skip_space() {
            Some(b',') => {
                self.pos += 1;
                Ok(true)
            }
            Some(next) if next == close => {
                self.pos += 1;
                Ok(false)
            }
            _ => self.fault("comma or closing bracket is missing"),
        }
    }

    /// Reads a string, and skips any other value.
    pub(crate) fn string_or_skip(&mut self) -> Result<Option<Str>> {
        if self.kind()? == Kind::String { self.string().map(Some) } else { self.skip().map(|_| None) }
    }

    /// Reads an integer that fits, and skips any other value.
    pub(crate) fn integer_or_skip(&mut self) -> Result<Option<u64>> {
        let is_number = self.kind()? == Kind::Number;
        let range = self.skip()?;
        if !is_number {
            return Ok(None);
        }
        let Ok(digits) = core::str::from_utf8(&self.bytes[range]) else { return Ok(None) };
        // Python servers send some counts as floating-point numbers.
        let whole = || digits.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
        Ok(digits.parse().ok().or_else(|| whole()?.0.parse().ok()))
    }

    /// Reads integers that are fields of an object, or of its fields of the names in `nested`. `target` returns where the
    /// integer of a name belongs.
    pub(crate) fn integers<T>(
        &mut self,
        values: &mut T,
        nested: &[&[u8]],
        target: for<'t> fn(&'t mut T, &[u8]) -> Option<&'t mut Option<u64>>,
    ) -> Result<()> {
        self.object(|json, name| {
            if json.kind()? == Kind::Object && nested.contains(&name) {
                return json.integers(values, nested, target);
            }
            match target(values, name) {
                Some(value) => *value = json.integer_or_skip()?.or(*value),
                None => _ = json.skip()?,
            }
            Ok(())
        })
    }

    /// Checks and skips the next value, and returns its span.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<Range<usize>> {
        let kind = self.kind()?;
        let start = self.pos;
        match kind {
            Kind::String => {
                self.string()?;
            }
            Kind::Object | Kind::Array => self.containers()?,
            _ => self.scalar(kind)?,
        }
        Ok(start..self.pos)
    }

    /// The same, with a span only if the value is not null.
    pub(crate) fn skip_some(&mut self) -> Result<Option<Range<usize>>> {
        let is_null = self.kind()? == Kind::Null;
        let range = self.skip()?;
        Ok((!is_null).then_some(range))
    }

    /// The same, with a span only if the value is of this kind.
    pub(crate) fn skip_kind(&mut self, kind: Kind) -> Result<Option<Range<usize>>> {
        let matches = self.kind()? == kind;
        let range = self.skip()?;
        Ok(matches.then_some(range))
    }

    /// Skips an object or an array with its content.
    fn containers(&mut self) -> Result<()> {
        // One bit for each open container: whether it is an object. No limit of nesting is larger.
        let mut objects = [0u64; DEPTH_MAX / 64];
        let mut open = 0;
        loop {
            let kind = self.kind()?;
            match kind {
                Kind::Object | Kind::Array => {
                    self.pos += 1;
                    if open >= self.depth.min(DEPTH_MAX) {
                        return self.fault(TOO_DEEP);
                    }
                    let bit = 1 << (open % 64);
                    open += 1;
                    let close = if kind == Kind::Object { b'}' } else { b']' };
                    let is_empty = self.skip_space() == Some(close);
                    if kind == Kind::Object {
                        objects[(open - 1) / 64] |= bit;
                    } else {
                        objects[(open - 1) / 64] &= !bit;
                    }
                    if is_empty {
                        self.pos += 1;
                    } else if kind == Kind::Object {
                        self.name()?;
                        continue;
                    } else if !self.rest_of_integers() {
                        continue;
                    }
                    open -= 1;
                }
                Kind::String => {
                    self.string()?;
                }
                _ => self.scalar(kind)?,
            }
            loop {
                let Some(last) = open.checked_sub(1) else { return Ok(()) };
                let is_object = objects[last / 64] >> (last % 64) & 1 == 1;
                if self.another(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.name()?;
                    }
                    break;
                }
                open = last;
            }
        }
    }

    /// Skips the rest of an array of plain integers without spaces, as the bytes of a token are: half of all log
    /// probabilities. Does nothing for any other array.
    #[inline]
    fn rest_of_integers(&mut self) -> bool {
        let mut rest = &self.bytes[self.pos..];
        loop {
            rest = match rest {
                [b'0', rest @ ..] => rest,
                [b'1'..=b'9', ..] => {
                    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    &rest[digits..]
                }
                _ => return false,
            };
            match rest {
                [b',', next @ ..] => rest = next,
                [b']', next @ ..] => {
                    self.pos = self.bytes.len() - next.len();
                    return true;
                }
                _ => return false,
            }
        }
    }

    /// Reads the name of a field, and the colon.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<Str> {
        self.expect_name()?;
        let name = self.string()?;
        self.expect_colon()?;
        Ok(name)
    }

    /// Fails unless a name comes next.
    #[inline]
    pub(crate) fn expect_name(&mut self) -> Result<()> {
        if self.skip_space() == Some(b'"') { Ok(()) } else { self.fault("name of a field is missing") }
    }

    /// Reads the colon after a name.
    #[inline]
    pub(crate) fn expect_colon(&mut self) -> Result<()> {
        self.expect(b':', "colon is missing")
    }

    /// Skips a value that is neither a string nor a container.
    #[inline]
    fn scalar(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Number => self.number(),
            Kind::Null => self.literal(b"null"),
            _ if self.bytes[self.pos] == b't' => self.literal(b"true"),
            _ => self.literal(b"false"),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<()> {
        if !self.bytes[self.pos..].starts_with(literal) {
            return self.fault("no JSON value");
        }
        self.pos += literal.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Range<usize>> {
        Json::new(text.as_bytes(), 0, 128).skip()
    }

    #[test]
    fn accepts_what_serde_json_accepts() {
        let cases = [
            "null",
            "true",
            "false",
            "nul",
            "tru",
            "0",
            "-0",
            "01",
            "1.",
            "1.5",
            ".5",
            "1e5",
            "1E+5",
            "1e",
            "-",
            "\"\"",
            "\"a",
            "\"\\n\"",
            "\"\\x\"",
            "\"\\u00e9\"",
            "\"\\u00g9\"",
            "\"\\u12\"",
            "\"\t\"",
            "[]",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[",
            "{}",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":}",
            "{1:2}",
            "[[[[]]]]",
            "{]",
            " 1",
            "",
            " ",
            "1e400",
            "123456789012345678901234567890",
            "\"\\ud83d\\ude00\"",
            "[1,\n\t2 ]",
            "+1",
            "NaN",
        ];
        for case in cases {
            let serde = serde_json::from_str::<&serde_json::value::RawValue>(case).is_ok();
            let ours = check(case).is_ok_and(|range| case[range.end..].trim().is_empty());
            assert_eq!(ours, serde, "{case:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(check(&deep(128)).is_ok());
        assert_eq!(check(&deep(129)), Err(Fault { at: 129, why: TOO_DEEP }));
    }
}
