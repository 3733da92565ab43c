//! Reading JSON in place.
//!
//! Formats pick a few strings and numbers out of a document. This reads it without building anything: strings and
//! numbers are found as ranges, everything else is skipped, and nothing is allocated. A document is checked whole
//! before any of it is used, so that the second pass cannot fail half-way.
//!
//! It takes what [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259) allows, with these decisions where it leaves room:
//! the last of several equal names counts; numbers have any size and precision, as text; a lone surrogate escape
//! becomes U+FFFD; nesting is bounded by [`Limits::depth`](crate::Limits::depth).

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

/// What is wrong with a document, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) why: &'static str,
}

type Result<T> = core::result::Result<T, Fault>;

/// A string: what stands between the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Str {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// It has a backslash, and so is not what it means.
    pub(crate) escaped: bool,
    /// All of it is ASCII, and so is UTF-8. Not always seen at the end of a buffer.
    pub(crate) ascii: bool,
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// The deepest nesting that can be asked for.
pub(crate) const DEPTH_MAX: usize = 512;

/// A cursor in a document, which is UTF-8.
#[derive(Clone, Debug)]
pub(crate) struct Json<'a> {
    bytes: &'a [u8],
    pos: usize,
    depth: usize,
}

impl<'a> Json<'a> {
    /// A cursor at `pos` of `bytes`, for values nested at most `depth` deep.
    pub(crate) fn new(bytes: &'a [u8], pos: usize, depth: usize) -> Self {
        Self { bytes, pos, depth }
    }

    /// How far the document was read. Before a value whose [`kind`](Self::kind) was asked, where it begins.
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// What a string means.
    pub(crate) fn unescaped(&self, string: Str) -> Cow<'a, [u8]> {
        unescaped(self.bytes, string)
    }

    fn fault<T>(&self, why: &'static str) -> Result<T> {
        Err(Fault { at: self.pos, why })
    }

    #[inline]
    fn skip_space(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.pos) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.pos += 1,
                next => return next.copied(),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, why: &'static str) -> Result<()> {
        if self.skip_space() != Some(byte) {
            return self.fault(why);
        }
        self.pos += 1;
        Ok(())
    }

    /// The kind of the value that comes next. It still has to be read or skipped.
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

    /// Reads an object, calling `each` with the name of every member; `each` has to read or skip its value.
    pub(crate) fn object(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> Result<()>) -> Result<()> {
        self.expect(b'{', "no object")?;
        self.depth = self.depth.checked_sub(1).ok_or(Fault { at: self.pos, why: "nested too deep" })?;
        if self.skip_space() == Some(b'}') {
            self.pos += 1;
        } else {
            loop {
                let name = self.name()?;
                each(self, &unescaped(self.bytes, name))?;
                if !self.another(b'}')? {
                    break;
                }
            }
        }
        self.depth += 1;
        Ok(())
    }

    /// Reads an array, calling `each` for every element; `each` has to read or skip it, and may stop for reasons of its
    /// own.
    pub(crate) fn array<E: From<Fault>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> core::result::Result<(), E>,
    ) -> core::result::Result<(), E> {
        self.expect(b'[', "no array")?;
        self.depth = self.depth.checked_sub(1).ok_or(Fault { at: self.pos, why: "nested too deep" })?;
        if self.skip_space() == Some(b']') {
            self.pos += 1;
        } else {
            loop {
                each(self)?;
                if !self.another(b']')? {
                    break;
                }
            }
        }
        self.depth += 1;
        Ok(())
    }

    /// Opens the array or the object that comes next, and tells whether anything is in it. Each element has to be read
    /// or skipped, then [`next`](Self::next) asked.
    #[inline]
    pub(crate) fn open(&mut self, kind: Kind) -> Result<bool> {
        let (open, close, why) = match kind {
            Kind::Object => (b'{', b'}', "no object"),
            _ => (b'[', b']', "no array"),
        };
        self.expect(open, why)?;
        self.depth = self.depth.checked_sub(1).ok_or(Fault { at: self.pos, why: "nested too deep" })?;
        if self.skip_space() != Some(close) {
            return Ok(true);
        }
        self.pos += 1;
        self.depth += 1;
        Ok(false)
    }

    /// After an element of what [`open`](Self::open) opened: tells whether another follows.
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

    /// Reads a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Str> {
        self.expect(b'"', "no string")?;
        self.string_rest()
    }

    /// Reads a string whose opening quote was read.
    #[inline]
    pub(crate) fn string_rest(&mut self) -> Result<Str> {
        let start = self.pos;
        let (mut escaped, mut seen) = (false, 0);
        loop {
            self.pos += plain_len(&self.bytes[self.pos..], &mut seen);
            match self.bytes.get(self.pos) {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(Str { start, end: self.pos - 1, escaped, ascii: seen & HIGH == 0 });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) => return self.fault("control character in a string"),
                Some(&byte) => {
                    seen |= u64::from(byte);
                    self.pos += 1;
                }
                None => return self.fault("string does not end"),
            }
        }
    }

    #[cold]
    fn escape(&mut self) -> Result<()> {
        match self.bytes.get(self.pos + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.pos += 2,
            Some(b'u') => {
                if hex4(self.bytes.get(self.pos + 2..self.pos + 6).unwrap_or_default()).is_none() {
                    return self.fault("malformed escape");
                }
                self.pos += 6;
            }
            _ => return self.fault("malformed escape"),
        }
        Ok(())
    }

    /// Reads a string and what it means, in one pass over `text`, which is the document.
    pub(crate) fn meaning(&mut self, text: &'a str) -> Result<Cow<'a, str>> {
        self.expect(b'"', "no string")?;
        let start = self.pos;
        let mut owned: Option<String> = None;
        loop {
            let from = self.pos;
            loop {
                self.pos += plain_len(&self.bytes[self.pos..], &mut 0);
                match self.bytes.get(self.pos) {
                    Some(b'"' | b'\\') | None => break,
                    Some(0..=0x1f) => return self.fault("control character in a string"),
                    Some(_) => self.pos += 1,
                }
            }
            let run = text.get(from..self.pos).unwrap_or_default();
            match self.bytes.get(self.pos) {
                Some(b'"') => {
                    self.pos += 1;
                    let Some(mut owned) = owned else { return Ok(Cow::Borrowed(run)) };
                    owned.push_str(run);
                    return Ok(Cow::Owned(owned));
                }
                None => return self.fault("string does not end"),
                Some(_) => {
                    // Strings with one escape mostly have more: all of what was read, and as much again.
                    let owned = owned
                        .get_or_insert_with(|| String::with_capacity(2 * (from.max(self.pos) - start) + 64));
                    owned.push_str(run);
                    owned.push(self.unescaped_char()?);
                }
            }
        }
    }

    /// Reads an escape.
    #[inline]
    fn unescaped_char(&mut self) -> Result<char> {
        let simple = match self.bytes.get(self.pos + 1) {
            Some(b'n') => '\n',
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            _ => return self.unescaped_unicode(),
        };
        self.pos += 2;
        Ok(simple)
    }

    #[cold]
    fn unescaped_unicode(&mut self) -> Result<char> {
        let at = self.pos + 2;
        self.escape()?;
        let digits = self.bytes.get(at..).unwrap_or_default();
        let mut rest = digits;
        let c = unescape_unicode(&mut rest);
        // A pair of surrogates is two escapes.
        self.pos = at + digits.len() - rest.len();
        Ok(c)
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
        Ok(core::str::from_utf8(&self.bytes[range]).ok().and_then(|digits| digits.parse().ok()))
    }

    /// Skips the value that comes next, checking it, and returns where it lies.
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

    /// Skips a value, and returns where it lies unless it is null.
    pub(crate) fn skip_some(&mut self) -> Result<Option<Range<usize>>> {
        let is_null = self.kind()? == Kind::Null;
        let range = self.skip()?;
        Ok((!is_null).then_some(range))
    }

    /// The same for a value of one kind; others are skipped, too, and not returned.
    pub(crate) fn skip_kind(&mut self, kind: Kind) -> Result<Option<Range<usize>>> {
        let matches = self.kind()? == kind;
        let range = self.skip()?;
        Ok(matches.then_some(range))
    }

    /// Skips an object or an array with all that is in it.
    fn containers(&mut self) -> Result<()> {
        // One bit for each that is open: whether it is an object. No limit on depth is larger.
        let mut objects = [0u64; DEPTH_MAX / 64];
        let mut open = 0;
        loop {
            let kind = self.kind()?;
            match kind {
                Kind::Object | Kind::Array => {
                    self.pos += 1;
                    if open >= self.depth.min(DEPTH_MAX) {
                        return self.fault("nested too deep");
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

    /// Skips the rest of an array of plain integers without spaces, which the bytes of a token and tokens of a prompt
    /// are: half of all logprobs. Anything else is left as it is.
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

    /// The name of a member, and the colon.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<Str> {
        if self.skip_space() != Some(b'"') {
            return self.fault("name of a member is missing");
        }
        let name = self.string()?;
        self.expect(b':', "colon is missing")?;
        Ok(name)
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

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many digits these bytes begin with, eight at a time as far as whole words go: logprobs have up to twenty.
#[inline]
fn digits_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.split_at(bytes.len() & !7);
    for (index, word) in words.chunks_exact(8).enumerate() {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        // The upper half of a digit is 3, and still is with 6 more; a carry spoils nothing below where it comes from.
        let upper = |word: u64| (word & (LOW * 0xf0)) ^ (LOW * 0x30);
        let others = upper(word) | upper(word.wrapping_add(LOW * 6));
        if others != 0 {
            return 8 * index + (others.trailing_zeros() / 8) as usize;
        }
    }
    words.len() + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// How many bytes of a string have no meaning but themselves, at least as far as whole words go. All words that were
/// looked at go into `seen`.
///
/// Most strings are short: eight bytes at a time beat a vector search that has to be called.
#[inline]
fn plain_len(bytes: &[u8], seen: &mut u64) -> usize {
    let mut len = 0;
    for word in bytes[..bytes.len().min(BLOCK)].chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        *seen |= word;
        // Sets the high bit of the first byte that is below `n`, for n ≤ 128; bytes above it may be wrong.
        let below = |word: u64, n: u64| word.wrapping_sub(LOW * n) & !word & HIGH;
        let quote = below(word ^ (LOW * u64::from(b'"')), 1);
        let backslash = below(word ^ (LOW * u64::from(b'\\')), 1);
        let special = quote | backslash | below(word, 0x20);
        if special != 0 {
            return len + (special.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    if len == BLOCK { len + plain_blocks(&bytes[BLOCK..], seen) } else { len }
}

/// Bytes that a compiler looks at at once in a long string.
const BLOCK: usize = 64;

/// The same for long strings, as far as whole blocks go.
#[inline(never)]
fn plain_blocks(bytes: &[u8], seen: &mut u64) -> usize {
    let mut len = 0;
    for block in bytes.chunks_exact(BLOCK) {
        let (mut special, mut high) = (0, 0);
        // Without a branch, so that it is done in vectors.
        for &byte in block {
            special |= u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
            high |= byte;
        }
        if special != 0 {
            break;
        }
        *seen |= u64::from(high);
        len += BLOCK;
    }
    len
}

/// What a string means.
#[inline]
pub(crate) fn unescaped(bytes: &[u8], string: Str) -> Cow<'_, [u8]> {
    let raw = &bytes[string.start..string.end];
    if !string.escaped {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    unescape(raw, &mut out);
    Cow::Owned(out)
}

/// Appends what the inside of a string means. The string was checked; what is wrong all the same is left as it is.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let Some(&escape) = rest.get(at + 1) else { break };
        rest = &rest[at + 2..];
        match escape {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let c = unescape_unicode(&mut rest);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(rest);
}

/// Reads what follows `\u`: four digits, or a pair of surrogates.
fn unescape_unicode(rest: &mut &[u8]) -> char {
    let Some((digits, tail)) = rest.split_at_checked(4) else { return char::REPLACEMENT_CHARACTER };
    let unit = hex4(digits).unwrap_or(0xfffd);
    *rest = tail;
    if !(0xd800..0xdc00).contains(&unit) {
        return char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let low = tail.strip_prefix(b"\\u").and_then(|tail| tail.get(..4)).and_then(hex4);
    match low {
        Some(low @ 0xdc00..0xe000) => {
            *rest = &tail[6..];
            char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
                .unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        // Half a pair has no meaning of its own; what follows it has.
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn hex4(digits: &[u8]) -> Option<u32> {
    if digits.len() != 4 {
        return None;
    }
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

/// Where the values that begin at `offsets`, in ascending order, lie in their document: their JSON pointers
/// ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)), found in one walk. An offset at which no value begins gets the
/// pointer of a value beside it.
///
/// `spans` are values that are known to be whole, where they begin and end, in order: they are not walked through in
/// vain.
pub(crate) fn pointers(source: &[u8], offsets: &[usize], spans: &[(u32, u32)]) -> Vec<String> {
    let mut walk = Walk { offsets, spans, found: Vec::with_capacity(offsets.len()), path: String::new() };
    // A document that is broken further on has its pointers up to there.
    let _ = walk.value(&mut Json::new(source, 0, DEPTH_MAX));
    let (mut found, last) = (walk.found, walk.path);
    found.resize(offsets.len(), last);
    found
}

struct Walk<'o> {
    offsets: &'o [usize],
    spans: &'o [(u32, u32)],
    found: Vec<String>,
    path: String,
}

impl Walk<'_> {
    fn value(&mut self, json: &mut Json<'_>) -> Result<()> {
        let kind = json.kind()?;
        let next = self.offsets.get(self.found.len()..).unwrap_or_default();
        let here = next.iter().take_while(|offset| **offset <= json.pos).count();
        for _ in 0..here {
            self.found.push(self.path.clone());
        }
        let Some(&next) = self.offsets.get(self.found.len()) else { return json.fault("all were found") };
        // What ends before the next offset has nothing of interest in it.
        let mut after = json.clone();
        let span = self.spans.binary_search_by_key(&json.pos, |span| span.0 as usize);
        match span.ok().and_then(|span| self.spans.get(span)) {
            Some(span) => after.pos = span.1 as usize,
            None => after.pos = after.skip()?.end,
        }
        if after.pos <= next {
            *json = after;
            return Ok(());
        }
        if kind != Kind::Object && kind != Kind::Array {
            self.found.push(self.path.clone());
            return self.value(json);
        }
        let (mut more, mut index, len) = (json.open(kind)?, 0, self.path.len());
        while more {
            self.path.push('/');
            if kind == Kind::Object {
                let name = json.name()?;
                let name = String::from_utf8_lossy(&json.unescaped(name)).replace('~', "~0");
                self.path.push_str(&name.replace('/', "~1"));
            } else {
                self.path.push_str(&index.to_string());
            }
            self.value(json)?;
            self.path.truncate(len);
            (more, index) = (json.next(kind)?, index + 1);
        }
        Ok(())
    }
}

/// Whether `text` is one JSON document.
pub(crate) fn is_document(text: &str) -> bool {
    let mut json = Json::new(text.as_bytes(), 0, 127);
    json.skip().is_ok_and(|range| text.as_bytes()[range.end..].trim_ascii().is_empty())
}

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_len(rest, &mut 0);
        let special = rest[plain..].iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\');
        let Some(at) = special.map(|special| plain + special) else { break };
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
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

/// Writes an object, comma by comma.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Appends an object whose members `write` writes.
    pub(crate) fn write(out: &'a mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        let mut object = Object { out, is_empty: true };
        write(&mut object);
        object.out.push(b'}');
    }

    /// Appends a name; the value has to be appended to what this returns.
    pub(crate) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !core::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
        write_string(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn string(&mut self, name: &str, value: &str) {
        write_string(value, self.name(name));
    }

    pub(crate) fn integer(&mut self, name: &str, value: u64) {
        write_integer(value, self.name(name));
    }

    /// Appends JSON as it is, or as a string where it is none.
    pub(crate) fn json(&mut self, name: &str, json: &str) {
        write_json(json, self.name(name));
    }

    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        Object::write(self.name(name), write);
    }

    pub(crate) fn array<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        write: impl FnMut(T, &mut Vec<u8>),
    ) {
        write_array(items, self.name(name), write);
    }
}

/// Appends an array whose items `write` writes.
pub(crate) fn write_array<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// Appends JSON as it is, or as a string where it is none.
pub(crate) fn write_json(json: &str, out: &mut Vec<u8>) {
    if is_document(json) { out.extend_from_slice(json.trim().as_bytes()) } else { write_string(json, out) }
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
        assert_eq!(check(&deep(129)), Err(Fault { at: 129, why: "nested too deep" }));
    }

    #[test]
    fn unescapes_pairs_and_replaces_lone_surrogates() {
        let meaning = |raw: &str| {
            let mut out = Vec::new();
            unescape(raw.as_bytes(), &mut out);
            String::from_utf8(out).expect("valid UTF-8")
        };
        assert_eq!(meaning(r#"a\"\\\/\b\f\n\r\t\u00e9"#), "a\"\\/\u{8}\u{c}\n\r\té");
        assert_eq!(meaning(r"\ud83d\ude00"), "😀");
        assert_eq!(meaning(r"\ud83d!"), "\u{fffd}!");
        assert_eq!(meaning(r"\ud83d\n"), "\u{fffd}\n");
        assert_eq!(meaning(r"\ud83d\ud83d\ude00"), "\u{fffd}😀");
        assert_eq!(meaning(r"\ude00"), "\u{fffd}");
    }

    #[test]
    fn every_value_has_its_pointer() {
        let source = r#" {"a":[1, {"b/c~":null, "\u00e9":"x"}], "d" : {"":[[]]}, "e":2}"#;
        let value: serde_json::Value = serde_json::from_str(source).expect("JSON");
        let starts: Vec<usize> = ["1,", "{\"b", "null", "\"x", "{\"\"", "[[", "[]", "2}"]
            .iter()
            .map(|start| source.find(start).expect("it is there"))
            .collect();
        let all = pointers(source.as_bytes(), &starts, &[]);
        assert_eq!(all, ["/a/0", "/a/1", "/a/1/b~1c~0", "/a/1/é", "/d", "/d/", "/d//0", "/e"]);
        for (start, pointer_of_all) in starts.iter().zip(&all) {
            assert_eq!(pointers(source.as_bytes(), &[*start], &[]).first(), Some(pointer_of_all));
            assert!(value.pointer(pointer_of_all).is_some());
        }
        assert_eq!(pointers(source.as_bytes(), &[1], &[]), [""]);
        assert_eq!(pointers(b"[1 , 2]", &[1, 1, 2, 5, 99], &[]), ["/0", "/0", "/1", "/1", ""]);
        assert_eq!(pointers(b"[[1],2]", &[5], &[(0, 7), (1, 4)]), ["/1"]);
    }

    #[test]
    fn writes_what_serde_json_reads() {
        let text: String = (0..0x300).filter_map(char::from_u32).chain("😀\u{2028}".chars()).collect();
        let mut out = Vec::new();
        write_string(&text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
        for value in [0, 9, 10, u64::MAX] {
            out.clear();
            write_integer(value, &mut out);
            assert_eq!(serde_json::from_slice::<u64>(&out).expect("JSON"), value);
        }
    }
}
