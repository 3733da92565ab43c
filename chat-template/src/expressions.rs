//! The expressions of one tag: where they begin and end, by the precedence of their operators, and what has to be rewritten.
//! See `meter` for what and why.

/// A change of the source: the offset, the bytes that are replaced, and what replaces them.
type Edit = (usize, usize, &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The tag itself, arguments of a call, parentheses, the argument of a test.
    Plain,
    /// Arguments that are compared.
    Compared,
    Parentheses,
    List,
    Map,
    Subscript,
}

/// The first operand of a comparison, whose second one is being read.
#[derive(Clone, Copy, Debug)]
struct Comparison {
    left: Option<(usize, usize)>,
    is_literal: bool,
    is_membership: bool,
}

/// How tight operators bind: products, `~`, sums, and the operands of comparisons.
pub(crate) const PRODUCT: usize = 0;
pub(crate) const CONCATENATION: usize = 1;
pub(crate) const SUM: usize = 2;
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

/// The open brackets of a tag with their current expressions, and the changes found so far.
pub(crate) struct Expressions<'a> {
    bytes: &'a [u8],
    /// The end of the last token.
    pub(crate) end: usize,
    levels: Vec<Level>,
    edits: Vec<Edit>,
}

impl<'a> Expressions<'a> {
    /// Those of the tag at `open`, which ends with the byte `close` and a brace.
    pub(crate) fn new(bytes: &'a [u8], open: usize, close: u8) -> Self {
        let tag = Level::new(Kind::Plain, open, close, (open, open));
        Self { bytes, end: open + 2, levels: Vec::from([tag]), edits: Vec::new() }
    }

    /// The byte that ends the tag, if no bracket is open.
    pub(crate) fn end_of_tag(&self) -> Option<u8> {
        let [tag] = &self.levels[..] else { return None };
        Some(tag.close)
    }

    /// The source from `open` to `pos` with all changes.
    pub(crate) fn apply(&mut self, source: &str, open: usize, pos: usize, out: &mut String) {
        self.edits.sort_by_key(|edit| edit.0);
        let mut copied = open;
        for &(offset, len, text) in &self.edits {
            out.push_str(&source[copied..offset]);
            out.push_str(text);
            copied = offset + len;
        }
        out.push_str(&source[copied..pos]);
    }

    fn level(&mut self) -> &mut Level {
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// A comma, or a colon, after the end of an expression.
    pub(crate) fn separator(&mut self, byte: u8) {
        self.level().has_comma |= byte == b',';
        self.level().has_colon |= byte == b':';
    }

    /// The commas of the target of an assignment make no tuple of its value.
    pub(crate) fn forget_commas(&mut self) {
        self.level().has_comma = false;
    }

    pub(crate) fn has_comma(&mut self) -> bool {
        self.level().has_comma
    }

    /// Notes where an operand begins, or its sign.
    pub(crate) fn operand(&mut self, begin: usize) {
        let level = self.level();
        level.operand = begin;
        for start in &mut level.starts {
            start.get_or_insert(begin);
        }
    }

    /// The current operand and bracket are no literals.
    pub(crate) fn opaque(&mut self) {
        let level = self.level();
        (level.is_literal, level.is_literal_operand) = (false, false);
    }

    /// Pipes what is between two offsets through a filter.
    pub(crate) fn wrap(&mut self, (begin, end): (usize, usize), filter: &'static str) {
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

    /// A binary operator of this precedence at `begin`, which becomes a filter.
    pub(crate) fn binary(&mut self, precedence: usize, filter: Option<&'static str>, begin: usize) {
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
    pub(crate) fn comparison(&mut self, is_membership: bool) {
        self.end_comparison();
        let end = self.end;
        let level = self.level();
        let left = level.starts[COMPARED].map(|start| (start, end));
        let is_literal = left.is_some() && level.is_literal_operand;
        level.comparison = Some(Comparison { left, is_literal, is_membership });
        level.starts[COMPARED] = None;
        (level.is_literal, level.is_literal_operand) = (false, true);
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
        if let (false, Some(left)) = (comparison.is_literal || is_literal && !is_key, comparison.left) {
            self.wrap(left, ")|_visit");
        }
    }

    /// Ends the current expression: what follows binds looser than all operators.
    pub(crate) fn boundary(&mut self) {
        self.end_comparison();
        let end = self.end;
        if let (Kind::Compared, Some(start)) = (self.level().kind, self.level().starts[COMPARED]) {
            self.wrap((start, end), ")|_visit");
        }
        let level = self.level();
        level.starts = [None; 4];
        level.is_literal_operand = true;
    }

    /// Opens a bracket at `begin`.
    pub(crate) fn open(&mut self, kind: Kind, begin: usize, close: u8) {
        let source = (self.level().operand, self.end);
        self.levels.push(Level::new(kind, begin, close, source));
    }

    /// Closes a bracket that ends at `pos`.
    pub(crate) fn close(&mut self, byte: u8, pos: usize) {
        let level = self.level();
        let (start, is_literal) = (level.starts[COMPARED], level.is_literal);
        let is_text = is_literal && start.is_some_and(|start| matches!(self.bytes[start], b'"' | b'\''));
        let key = (start, self.end);
        self.boundary();
        let [.., _, inner] = self.levels[..] else { return };
        self.levels.pop();
        let (begin, end) = inner.source;
        match inner.kind {
            Kind::List | Kind::Map | Kind::Parentheses if inner.is_literal => return,
            Kind::Parentheses if !inner.has_comma => {}
            Kind::List | Kind::Map | Kind::Parentheses => self.wrap((inner.open, pos), "|_new)"),
            Kind::Subscript if byte == b']' && !is_text => {
                self.wrap((begin, end), if inner.has_colon { "|_slice)" } else { "|_index)" });
                if inner.has_colon {
                    self.wrap((begin, pos), "|_list)");
                } else if let (false, (Some(start), end)) = (inner.is_literal, key) {
                    self.wrap((start, end), ")|_visit");
                }
            }
            Kind::Subscript | Kind::Plain | Kind::Compared => {}
        }
        self.opaque();
    }
}
