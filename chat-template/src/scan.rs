//! Scans one tag of a template and finds what has to be rewritten in it. See `meter` for what and why.

use crate::expressions::{CONCATENATION, Expressions, Kind, PRODUCT, SUM};

/// Most operators, names and brackets in one tag. The longest tags in use have about 200.
const TOKENS: usize = 2000;

/// A template is over a bound of the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Bytes of the template before the tag that is over the bound.
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// The kind of the last token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// The end of an operand.
    Operand,
    /// The name of a test: an operand without an operator may follow as its argument.
    Test,
    /// `is`, or `is not`: the name of a test follows.
    Is,
    /// `.` or `|`: a name follows.
    Dot,
    /// Anything else that an operand can follow.
    Operator,
}

/// The target of `{% set … = %}` or `{% for … in %}`, which is no expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    None,
    Set,
    For,
}

/// A scan over one tag.
pub(crate) struct Tag<'a> {
    source: &'a str,
    bytes: &'a [u8],
    open: usize,
    pos: usize,
    last: Last,
    expressions: Expressions<'a>,
    tokens: usize,
    /// The last token is the name of a method that compares its arguments.
    compares_arguments: bool,
    target: Target,
    /// The target of `set` is an attribute.
    is_attribute: bool,
    /// Where the value begins that `for` iterates over.
    iterated: Option<Option<usize>>,
    /// Where the value begins that `set` assigns; `None` before the equals sign.
    value: Option<Option<usize>>,
    pub(crate) is_raw: bool,
    pub(crate) is_branch: bool,
}

impl<'a> Tag<'a> {
    pub(crate) fn new(source: &'a str, open: usize) -> Self {
        let close = if source.as_bytes()[open + 1] == b'{' { b'}' } else { b'%' };
        Self {
            source,
            bytes: source.as_bytes(),
            open,
            pos: open + 2,
            last: Last::Operator,
            expressions: Expressions::new(source.as_bytes(), open, close),
            tokens: 0,
            compares_arguments: false,
            target: Target::None,
            is_attribute: false,
            iterated: None,
            value: None,
            is_raw: false,
            is_branch: false,
        }
    }

    /// Copies the rewritten tag to `out`, and returns the offset of its end.
    pub(crate) fn run(&mut self, out: &mut String) -> Result<usize, Fault> {
        if let Some(b'-' | b'+') = self.bytes.get(self.pos) {
            self.pos += 1;
        }
        if self.bytes[self.open + 1] == b'%' {
            self.keyword();
        }
        while let Some(&byte) = self.bytes.get(self.pos) {
            if byte.is_ascii_whitespace() {
                self.pos += 1;
                continue;
            }
            self.tokens += 1;
            if self.tokens > TOKENS {
                return Err(Fault { offset: self.pos, reason: "too many operators in one tag" });
            }
            let is_end = self.is_end();
            match byte {
                _ if is_end => self.finish(byte),
                b'"' | b'\'' => self.string(byte),
                _ if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => self.word(),
                _ => self.symbol(byte),
            }
            if is_end {
                break;
            }
            self.expressions.end = self.pos;
        }
        self.expressions.apply(self.source, self.open, self.pos, out);
        Ok(self.pos)
    }

    /// Skips the keyword of a block, which is not an operand.
    fn keyword(&mut self) {
        let rest = &self.source[self.pos..];
        let word = rest.trim_start();
        self.pos += rest.len() - word.len();
        let word = &word[..word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len())];
        self.is_raw = word == "raw";
        self.is_branch = word == "elif";
        self.target = match word {
            "set" => Target::Set,
            "for" => Target::For,
            _ => Target::None,
        };
        if word == "call" {
            // Parameters may follow: `{% call(x) f() %}`.
            self.last = Last::Operand;
        }
        self.pos += word.len();
        self.expressions.end = self.pos;
    }

    fn is_end(&self) -> bool {
        let Some(close) = self.expressions.end_of_tag() else { return false };
        let rest = &self.bytes[self.pos..];
        let rest = match rest {
            [b'-' | b'+', rest @ ..] if rest.starts_with(&[close, b'}']) => rest,
            rest => rest,
        };
        rest.starts_with(&[close, b'}'])
    }

    /// Ends the tag, whose end begins with this byte.
    fn finish(&mut self, byte: u8) {
        self.expressions.boundary();
        self.end_iterated();
        if let Some(start) = self.value.flatten() {
            let value = (start, self.expressions.end);
            if self.is_attribute {
                self.expressions.wrap(value, ")|_attribute");
            } else if self.expressions.has_comma() {
                self.expressions.wrap(value, ")|_new");
            }
        }
        self.pos += if byte == b'-' || byte == b'+' { 3 } else { 2 };
    }

    fn string(&mut self, quote: u8) {
        let begin = self.pos;
        self.pos += 1;
        while let Some(&byte) = self.bytes.get(self.pos) {
            self.pos += 1;
            match byte {
                b'\\' => self.pos += 1,
                _ if byte == quote => break,
                _ => {}
            }
        }
        // A backslash may be the last byte, or precede a character of several bytes.
        self.pos = self.pos.min(self.bytes.len());
        while !self.source.is_char_boundary(self.pos) {
            self.pos += 1;
        }
        // Texts without an operator between them are one.
        if self.last != Last::Operand {
            self.operand(begin);
        }
        self.last = Last::Operand;
    }

    fn word(&mut self) {
        let begin = self.pos;
        let is_number = self.bytes[begin].is_ascii_digit();
        while self.bytes.get(self.pos).is_some_and(|&byte| {
            let is_point =
                byte == b'.' && is_number && self.bytes.get(self.pos + 1).is_some_and(u8::is_ascii_digit);
            byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 || is_point
        }) {
            self.pos += 1;
        }
        let word = &self.source[begin..self.pos];
        match (word, self.last) {
            (_, Last::Dot) => {
                self.last = Last::Operand;
                // `loop.changed(x)` compares.
                self.compares_arguments = word == "changed";
            }
            ("not", Last::Is) => {}
            (_, Last::Is) => self.last = Last::Test,
            ("in", _) if self.target == Target::For => {
                (self.target, self.iterated) = (Target::None, Some(None));
                self.last = Last::Operator;
            }
            ("is", Last::Operand) => {
                self.expressions.opaque();
                self.last = Last::Is;
            }
            ("not", Last::Operand | Last::Test) => self.comparison(true),
            // The second word of `not in`.
            ("in", Last::Operator) => {}
            ("in", _) => self.comparison(true),
            ("if" | "else" | "and" | "or" | "recursive", _) => {
                self.expressions.boundary();
                self.end_iterated();
                self.expressions.opaque();
                self.last = Last::Operator;
            }
            ("not", _) => self.last = Last::Operator,
            _ => {
                self.operand(begin);
                let constant = matches!(word, "true" | "True" | "false" | "False" | "none" | "None");
                if !is_number && !constant {
                    self.expressions.opaque();
                }
                self.last = Last::Operand;
            }
        }
    }

    fn symbol(&mut self, byte: u8) {
        let begin = self.pos;
        self.pos += self.source[begin..].chars().next().map_or(1, char::len_utf8);
        let is_twice = self.bytes.get(self.pos) == Some(&byte);
        let is_binary = matches!(self.last, Last::Operand | Last::Test);
        match byte {
            b'(' | b'[' | b'{' => self.open(byte, begin),
            b')' | b']' | b'}' => {
                self.expressions.close(byte, self.pos);
                self.last = Last::Operand;
            }
            b'.' | b'|' => {
                self.is_attribute |= self.target == Target::Set && byte == b'.';
                if self.target == Target::Set && byte == b'|' {
                    // Filters of a block: `{% set x | replace(a, b) %}`.
                    self.target = Target::None;
                }
                self.expressions.opaque();
                self.last = Last::Dot;
            }
            b'=' | b'!' | b'<' | b'>' if byte != b'=' || self.bytes.get(self.pos) == Some(&b'=') => {
                self.pos += usize::from(self.bytes.get(self.pos) == Some(&b'='));
                self.comparison(false);
            }
            b'*' | b'/' if is_twice => {
                self.pos += 1;
                if byte == b'/' {
                    self.expressions.binary(PRODUCT, None, begin);
                }
                self.expressions.opaque();
                self.last = Last::Operator;
            }
            b'*' | b'/' | b'%' | b'~' | b'+' | b'-' if is_binary => {
                let (precedence, filter) = match byte {
                    b'*' => (PRODUCT, Some(")|_mul(")),
                    b'%' => (PRODUCT, Some(")|_mod(")),
                    b'/' => (PRODUCT, None),
                    b'~' => (CONCATENATION, Some(")|_join(")),
                    b'+' => (SUM, Some(")|_add(")),
                    _ => (SUM, None),
                };
                self.expressions.binary(precedence, filter, begin);
                self.expressions.opaque();
                self.last = Last::Operator;
            }
            // A sign belongs to the operand that follows.
            b'-' | b'+' => {
                self.operand(begin);
                self.last = Last::Operator;
            }
            _ => {
                self.expressions.boundary();
                self.expressions.separator(byte);
                if self.target == Target::Set && byte == b'=' {
                    (self.target, self.value) = (Target::None, Some(None));
                    self.expressions.forget_commas();
                }
                self.last = Last::Operator;
            }
        }
    }

    /// Notes where an operand begins, or its sign.
    fn operand(&mut self, begin: usize) {
        if self.target != Target::None {
            return;
        }
        for start in [&mut self.value, &mut self.iterated] {
            if let Some(start @ None) = start {
                *start = Some(begin);
            }
        }
        self.expressions.operand(begin);
    }

    /// Ends the value that a `for` iterates over. `if` may follow.
    fn end_iterated(&mut self) {
        if let (Some(_), Some(start)) = (self.expressions.end_of_tag(), self.iterated.flatten()) {
            self.expressions.wrap((start, self.expressions.end), ")|_index");
            self.iterated = None;
        }
    }

    /// A comparison, or `in`, or `not in`.
    fn comparison(&mut self, is_membership: bool) {
        self.expressions.comparison(is_membership);
        self.last = Last::Operator;
    }

    fn open(&mut self, byte: u8, begin: usize) {
        let is_argument = matches!(self.last, Last::Test);
        let (kind, close) = match (byte, self.last) {
            _ if self.target != Target::None => (Kind::Plain, if byte == b'(' { b')' } else { b']' }),
            (b'(', Last::Operand) if self.compares_arguments => (Kind::Compared, b')'),
            (b'(', Last::Operand | Last::Test) => (Kind::Plain, b')'),
            (b'(', _) => (Kind::Parentheses, b')'),
            (b'[', Last::Operand) => (Kind::Subscript, b']'),
            (b'[', _) => (if is_argument { Kind::Plain } else { Kind::List }, b']'),
            _ => (if is_argument { Kind::Plain } else { Kind::Map }, b'}'),
        };
        if !matches!(self.last, Last::Operand | Last::Test) {
            self.operand(begin);
        }
        self.compares_arguments = false;
        self.expressions.open(kind, begin, close);
        self.last = Last::Operator;
    }
}
