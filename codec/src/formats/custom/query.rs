//! Paths, and a bound on the work that they cause.
//!
//! The container chooses the record, so a path that is quick in one record may take forever in another. What a path visits in the
//! worst case is estimated from its text and the size of the record, and a record for which that is too much is an error.

use alloc::format;

use serde_json_path::JsonPath;

use crate::error::DecodeErrorKind;
use crate::formats::custom::{ConfigError, invalid};

/// A compiled path.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) path: JsonPath,
    /// Steps to all descendants, `..`.
    descents: u32,
    /// Each list of selectors multiplies what is visited, and so does a pattern, which is compiled for each value.
    factor: usize,
    /// Queries within filters that begin at the record, each of which may visit all of it.
    roots: u32,
}

/// The size of a record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    /// The number of its values.
    pub(crate) values: usize,
    /// How deep they are nested.
    pub(crate) depth: usize,
}

/// The number of values that a path may visit in one record.
const VISITS_MAX: usize = 1 << 22;
/// Compiling a short pattern takes as long as visiting so many values.
const PATTERN_COST: usize = 256;
/// The number of `..` in a path.
const DESCENTS_MAX: u32 = 2;
/// The repetitions that the counts of a pattern amount to.
const REPETITIONS_MAX: usize = 100;

impl Query {
    /// Compiles the path at the pointer `at` of the file.
    pub(crate) fn new(at: &str, path: &str) -> Result<Self, ConfigError> {
        /// Bounds on the bytes and the nested brackets of a path, because its compiler is recursive.
        const LEN: usize = 1024;
        const DEPTH: usize = 16;
        let mut scan = Scan::default();
        for (offset, byte) in path.bytes().enumerate() {
            scan.byte(byte).map_err(|why| invalid(at, offset, why))?;
            if scan.depth > DEPTH || offset >= LEN {
                return Err(invalid(at, offset, "the path is too long or nested too deep"));
            }
        }
        if scan.descents > DESCENTS_MAX {
            let why = format!("a path may have `..` {DESCENTS_MAX} times, because each multiplies its work");
            return Err(invalid(at, 0, &why));
        }
        // The documentation counts from 1, the code from 0.
        let compiled =
            JsonPath::parse(path).map_err(|error| invalid(at, error.position(), error.message()))?;
        let Scan { descents, factor, roots, .. } = scan;
        Ok(Self { path: compiled, descents, factor: factor.max(1), roots: roots.saturating_sub(1) })
    }

    /// Checks that the path visits a bounded number of values in a record of this size.
    pub(crate) fn check(&self, size: Size) -> Result<(), DecodeErrorKind> {
        let within = size.depth.max(1).saturating_pow(self.descents);
        let visits = size.values.saturating_mul(within).saturating_mul(self.factor);
        let visits = visits.saturating_mul(size.values.max(1).saturating_pow(self.roots));
        if visits <= VISITS_MAX {
            return Ok(());
        }
        let (what, limit) = ("number of values that a path of the format visits", VISITS_MAX as u64);
        Err(DecodeErrorKind::Limit { what, len: Some(visits as u64), limit })
    }
}

/// Reads a path byte by byte.
#[derive(Default)]
struct Scan {
    /// The quote of the string that is open.
    quote: Option<u8>,
    is_escaped: bool,
    /// The string is a pattern; the number in its braces, and what its counts amount to.
    is_pattern: bool,
    count: Option<usize>,
    repetitions: usize,
    /// Nested brackets and parentheses.
    depth: usize,
    /// The depth within the parentheses of `match` or `search`, and whether their comma was read.
    call: Option<(usize, bool)>,
    /// The last bytes outside of strings, which tell a function's name.
    last: [u8; 6],
    descents: u32,
    factor: usize,
    roots: u32,
}

impl Scan {
    fn byte(&mut self, byte: u8) -> Result<(), &'static str> {
        match self.quote {
            Some(quote) => self.in_string(byte, quote),
            None => self.outside(byte),
        }
    }

    fn in_string(&mut self, byte: u8, quote: u8) -> Result<(), &'static str> {
        if core::mem::take(&mut self.is_escaped) {
            return Ok(());
        }
        match byte {
            b'\\' => self.is_escaped = true,
            _ if byte == quote => (self.quote, self.is_pattern) = (None, false),
            b'{' if self.is_pattern => self.count = Some(0),
            b'0'..=b'9' if self.count.is_some() => {
                self.count = self.count.map(|count| count.saturating_mul(10) + usize::from(byte - b'0'));
            }
            // The upper bound follows, if there is one.
            b',' if self.count.is_some() => self.count = self.count.map(|_| 0),
            b'}' => {
                let count = self.count.take().unwrap_or(1).max(1);
                self.repetitions = self.repetitions.max(1).saturating_mul(count);
                if self.repetitions > REPETITIONS_MAX {
                    return Err("the counts of a pattern amount to too many repetitions");
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn outside(&mut self, byte: u8) -> Result<(), &'static str> {
        let ends = |name: &[u8]| self.last.ends_with(name);
        if let (Some((_, true)), false) = (self.call, byte.is_ascii_whitespace()) {
            // The second argument.
            if !matches!(byte, b'"' | b'\'') {
                return Err("the pattern has to be a string");
            }
            (self.is_pattern, self.call) = (true, None);
        }
        match byte {
            b'"' | b'\'' => self.quote = Some(byte),
            b'.' if ends(b".") => self.descents += 1,
            b'$' => self.roots += 1,
            b'(' => {
                self.depth += 1;
                if ends(b"match") || ends(b"search") {
                    self.call = Some((self.depth, false));
                    self.factor = self.factor.max(1).saturating_mul(PATTERN_COST);
                }
            }
            b'[' => self.depth += 1,
            b')' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' => match &mut self.call {
                Some((depth, has_comma)) if *depth == self.depth => *has_comma = true,
                _ => self.factor = self.factor.max(1).saturating_mul(2),
            },
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            self.last.rotate_left(1);
            self.last[5] = byte;
        }
        Ok(())
    }
}
