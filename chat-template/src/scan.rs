//! Scans one tag of a template and finds what has to be rewritten in it. See `meter` for what and why.

/// Most operators, names and brackets in one tag. The longest tags in use have about 200.
const TOKENS: usize = 2000;

/// A template is over a bound of the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Bytes of the template before the tag that is over the bound.
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// A change of the source: the offset, the bytes that are replaced, and what replaces them.
type Edit = (usize, usize, &'static str);

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The tag itself, arguments of a call, parentheses, the argument of a test.
    Plain,
    Parentheses,
    List,
    Map,
    Subscript,
}

/// The first operand of a comparison, whose second one is being read.
#[derive(Clone, Copy, Debug)]
struct Comparison {
    left: (usize, usize),
    is_literal: bool,
    is_membership: bool,
}

/// How tight operators bind: products, `~`, sums, and the operands of comparisons.
const PRODUCT: usize = 0;
const CONCATENATION: usize = 1;
const SUM: usize = 2;
const COMPARED: usize = 3;

/// An open bracket, or the tag itself.
#[derive(Clone, Copy, Debug)]
struct Level {
    kind: Kind,
    open: usize,
    close: u8,
    /// Where the operand before a subscript begins and ends.
    source: (usize, usize),
    /// Where the current operand begins, with its attributes and subscripts.
    operand: usize,
    /// Where the current expression of each precedence begins.
    starts: [Option<usize>; 4],
    /// The filter whose arguments are being read, for each operator that became one.
    filters: [Option<&'static str>; 3],
    comparison: Option<Comparison>,
    /// The bracket, and the current operand of a comparison, contain nothing but literals.
    is_literal: bool,
    is_literal_operand: bool,
    has_comma: bool,
    has_colon: bool,
}

impl Level {
    fn new(kind: Kind, open: usize, close: u8, source: (usize, usize)) -> Self {
        Self {
            kind,
            open,
            close,
            source,
            operand: open,
            starts: [None; 4],
            filters: [None; 3],
            comparison: None,
            is_literal: true,
            is_literal_operand: true,
            has_comma: false,
            has_colon: false,
        }
    }
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
    /// The end of the last token.
    end: usize,
    last: Last,
    levels: Vec<Level>,
    edits: Vec<Edit>,
    tokens: usize,
    target: Target,
    /// The target of `set` is an attribute.
    is_attribute: bool,
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
            end: open + 2,
            last: Last::Operator,
            levels: Vec::from([Level::new(Kind::Plain, open, close, (open, open))]),
            edits: Vec::new(),
            tokens: 0,
            target: Target::None,
            is_attribute: false,
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
            if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
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
            self.end = self.pos;
        }
        self.apply(out);
        Ok(self.pos)
    }

    /// Copies the tag with all edits.
    fn apply(&mut self, out: &mut String) {
        self.edits.sort_by_key(|edit| edit.0);
        let mut copied = self.open;
        for &(offset, len, text) in &self.edits {
            out.push_str(&self.source[copied..offset]);
            out.push_str(text);
            copied = offset + len;
        }
        out.push_str(&self.source[copied..self.pos]);
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
        self.end = self.pos;
    }

    fn is_end(&self) -> bool {
        let [Level { close, .. }] = self.levels[..] else { return false };
        let rest = &self.bytes[self.pos..];
        let rest = match rest {
            [b'-' | b'+', rest @ ..] if rest.starts_with(&[close, b'}']) => rest,
            rest => rest,
        };
        rest.starts_with(&[close, b'}'])
    }

    /// Ends the tag, whose end begins with this byte.
    fn finish(&mut self, byte: u8) {
        self.boundary();
        if let Some(start) = self.value.flatten() {
            if self.is_attribute {
                self.wrap((start, self.end), ")|_attribute");
            } else if self.level().has_comma {
                self.wrap((start, self.end), ")|_new");
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
            (_, Last::Dot) => self.last = Last::Operand,
            ("not", Last::Is) => {}
            (_, Last::Is) => self.last = Last::Test,
            ("in", _) if self.target == Target::For => {
                self.target = Target::None;
                self.last = Last::Operator;
            }
            ("is", Last::Operand) => {
                self.opaque();
                self.last = Last::Is;
            }
            ("not", Last::Operand | Last::Test) => self.comparison(begin, true),
            // The second word of `not in`.
            ("in", Last::Operator) => {}
            ("in", _) => self.comparison(begin, true),
            ("if" | "else" | "and" | "or" | "recursive", _) => {
                self.boundary();
                self.opaque();
                self.last = Last::Operator;
            }
            ("not", _) => self.last = Last::Operator,
            _ => {
                self.operand(begin);
                let constant = matches!(word, "true" | "True" | "false" | "False" | "none" | "None");
                if !is_number && !constant {
                    self.opaque();
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
            b')' | b']' | b'}' => self.close(byte),
            b'.' | b'|' => {
                self.is_attribute |= self.target == Target::Set && byte == b'.';
                self.opaque();
                self.last = Last::Dot;
            }
            b'=' | b'!' | b'<' | b'>' if byte != b'=' || self.bytes.get(self.pos) == Some(&b'=') => {
                self.pos += usize::from(self.bytes.get(self.pos) == Some(&b'='));
                self.comparison(begin, false);
            }
            b'*' | b'/' if is_twice => {
                self.pos += 1;
                if byte == b'/' {
                    self.binary(PRODUCT, None, begin);
                }
                self.opaque();
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
                self.binary(precedence, filter, begin);
                self.opaque();
                self.last = Last::Operator;
            }
            // A sign belongs to the operand that follows.
            b'-' | b'+' => {
                self.operand(begin);
                self.last = Last::Operator;
            }
            _ => {
                self.boundary();
                self.level().has_comma |= byte == b',';
                self.level().has_colon |= byte == b':';
                if self.target == Target::Set && byte == b'=' {
                    (self.target, self.value) = (Target::None, Some(None));
                    self.level().has_comma = false;
                }
                self.last = Last::Operator;
            }
        }
    }

    fn level(&mut self) -> &mut Level {
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// Notes where an operand begins, or its sign.
    fn operand(&mut self, begin: usize) {
        if self.target != Target::None {
            return;
        }
        if let Some(value @ None) = &mut self.value {
            *value = Some(begin);
        }
        let level = self.level();
        level.operand = begin;
        for start in &mut level.starts {
            start.get_or_insert(begin);
        }
    }

    /// The current operand and bracket are no literals.
    fn opaque(&mut self) {
        let level = self.level();
        (level.is_literal, level.is_literal_operand) = (false, false);
    }

    fn wrap(&mut self, (begin, end): (usize, usize), filter: &'static str) {
        self.edits.push((begin, 0, "("));
        self.edits.push((end, 0, filter));
    }

    /// Ends all expressions that bind tighter than `precedence`.
    fn end_tighter(&mut self, precedence: usize) {
        for tighter in 0..precedence.min(self.level().filters.len()) {
            if self.level().filters[tighter].take().is_some() {
                self.edits.push((self.end, 0, ")"));
            }
        }
        self.level().starts[..precedence].fill(None);
    }

    /// A binary operator of this precedence, which becomes a filter.
    fn binary(&mut self, precedence: usize, filter: Option<&'static str>, begin: usize) {
        self.end_tighter(precedence);
        let current = self.level().filters[precedence];
        // Operators of one kind become one filter with several arguments, so that long sums do not nest.
        if let (Some(_), true) = (filter, current == filter && filter != Some(")|_mod(")) {
            return self.edits.push((begin, 1, ","));
        }
        if current.is_some() {
            self.edits.push((self.end, 0, ")"));
        }
        if let (Some(filter), Some(start)) = (filter, self.level().starts[precedence]) {
            self.edits.push((start, 0, "("));
            self.edits.push((begin, 1, filter));
        }
        self.level().filters[precedence] = filter;
    }

    /// A comparison, or `in`, or `not in`.
    fn comparison(&mut self, begin: usize, is_membership: bool) {
        self.end_comparison();
        let end = self.end;
        let level = self.level();
        let left = (level.starts[COMPARED].unwrap_or(begin), end);
        let is_literal = level.is_literal_operand;
        level.comparison = Some(Comparison { left, is_literal, is_membership });
        level.starts[COMPARED] = None;
        (level.is_literal, level.is_literal_operand) = (false, true);
        self.last = Last::Operator;
    }

    /// Ends the second operand of a comparison, if there is one.
    fn end_comparison(&mut self) {
        self.end_tighter(COMPARED);
        let end = self.end;
        let level = self.level();
        let (right, is_literal) = (level.starts[COMPARED], level.is_literal_operand);
        let (Some(comparison), Some(right)) = (level.comparison.take(), right) else { return };
        // A comparison with a literal takes no longer than the literal is long.
        if comparison.is_membership && !is_literal {
            self.wrap((right, end), ")|_within");
        } else if !comparison.is_literal && !is_literal {
            self.wrap((right, end), ")|_visit");
        }
        // A key is hashed.
        let is_key = comparison.is_membership && self.bytes[right] == b'{';
        if !comparison.is_literal && (!is_literal || is_key) {
            self.wrap(comparison.left, ")|_visit");
        }
    }

    /// Ends the current expression: what follows binds looser than all operators.
    fn boundary(&mut self) {
        self.end_comparison();
        let level = self.level();
        level.starts = [None; 4];
        level.is_literal_operand = true;
    }

    fn open(&mut self, byte: u8, begin: usize) {
        let is_argument = matches!(self.last, Last::Test);
        let (kind, close) = match (byte, self.last) {
            _ if self.target != Target::None => (Kind::Plain, if byte == b'(' { b')' } else { b']' }),
            (b'(', Last::Operand | Last::Test) => (Kind::Plain, b')'),
            (b'(', _) => (Kind::Parentheses, b')'),
            (b'[', Last::Operand) => (Kind::Subscript, b']'),
            (b'[', _) => (if is_argument { Kind::Plain } else { Kind::List }, b']'),
            _ => (if is_argument { Kind::Plain } else { Kind::Map }, b'}'),
        };
        if !matches!(self.last, Last::Operand | Last::Test) {
            self.operand(begin);
        }
        let source = (self.level().operand, self.end);
        self.levels.push(Level::new(kind, begin, close, source));
        self.last = Last::Operator;
    }

    fn close(&mut self, byte: u8) {
        let is_text = self.level().starts[COMPARED].is_some_and(|start| {
            matches!(self.bytes[start], b'"' | b'\'') && self.levels[self.levels.len() - 1].is_literal
        });
        let key = (self.level().starts[COMPARED], self.end);
        self.boundary();
        self.last = Last::Operand;
        let [.., _, inner] = self.levels[..] else { return };
        self.levels.pop();
        let (begin, end) = inner.source;
        match inner.kind {
            Kind::List | Kind::Map | Kind::Parentheses if inner.is_literal => return,
            Kind::Parentheses if !inner.has_comma => {}
            Kind::List | Kind::Map | Kind::Parentheses => self.wrap((inner.open, self.pos), "|_new)"),
            Kind::Subscript if byte == b']' && !is_text => {
                self.wrap((begin, end), if inner.has_colon { "|_slice)" } else { "|_index)" });
                if inner.has_colon {
                    self.wrap((begin, self.pos), "|_list)");
                } else if let (false, (Some(start), end)) = (inner.is_literal, key) {
                    self.wrap((start, end), ")|_visit");
                }
            }
            Kind::Subscript | Kind::Plain => {}
        }
        self.opaque();
    }
}
