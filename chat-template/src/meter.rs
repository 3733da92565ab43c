//! Inserts meters into a template before it is compiled.
//!
//! The engine counts steps, but not the bytes that a step creates: a loop that joins a variable to itself sixty times takes
//! a few hundred steps and all memory. So the operands of `~`, `+`, `*` and `%`, and slices, are piped through a filter that
//! adds their size to the budget: `a ~ b.c[1:]` becomes `a|_size ~ b.c[1:]|_size`. The filter returns its argument and binds
//! tighter than any operator, so the meaning of the template stays the same, and so do its line numbers. Operands of `*` are
//! piped through `_factor`, and those of `%` through `_format`, which add what the operator can create from them.
//!
//! ```text
//! {{ a ~ b }}     an operand ends before an operator, a comma, a closing bracket, a keyword or the end of the tag;
//!      ^   ^      it is metered if one of the four operators is before or after it
//! ```
//!
//! The same scan bounds the operators and brackets of one tag, because the compiler of the engine and its destructors
//! recurse along them. The hard part is what looks like code and is not: strings, comments and `raw` blocks.

/// Most operators, names and brackets in one tag. The longest tags in use have about 200.
const TOKENS: usize = 2000;
/// Most `elif` tags in a template: each is nested in the one before. The longest templates in use have about 20.
const BRANCHES: usize = 400;

/// A template with meters, and what limits depend on.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) source: String,
    /// Bytes of the longest text between two tags.
    pub(crate) longest_text: usize,
}

/// A template is over a bound of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Bytes of the template before the tag that is over the bound.
    pub(crate) offset: usize,
    pub(crate) reason: &'static str,
}

/// Inserts meters into a template.
pub(crate) fn meter(source: &str) -> Result<Metered, Fault> {
    let mut out = Metered { source: String::with_capacity(source.len() * 5 / 4), longest_text: 0 };
    let (mut pos, mut branches) = (0, 0);
    while let Some(open) = find_tag(&source[pos..]).map(|at| pos + at) {
        out.longest_text = out.longest_text.max(open - pos);
        out.source.push_str(&source[pos..open]);
        if source[open..].starts_with("{#") {
            pos = source[open..].find("#}").map_or(source.len(), |end| open + end + 2);
            out.source.push_str(&source[open..pos]);
            continue;
        }
        let mut tag = Tag::new(source, open);
        pos = tag.run(&mut out.source)?;
        branches += usize::from(tag.is_branch);
        if branches > BRANCHES {
            return Err(Fault { offset: open, reason: "too many branches" });
        }
        if tag.is_raw {
            let end = find_end_of_raw(&source[pos..]).map_or(source.len(), |at| pos + at);
            out.longest_text = out.longest_text.max(end - pos);
            out.source.push_str(&source[pos..end]);
            pos = end;
        }
    }
    out.longest_text = out.longest_text.max(source.len() - pos);
    out.source.push_str(&source[pos..]);
    Ok(out)
}

fn find_tag(source: &str) -> Option<usize> {
    let mut braces = source.match_indices('{').map(|(at, _)| at);
    braces.find(|&at| matches!(source.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')))
}

/// The offset of the tag that ends a `raw` block.
fn find_end_of_raw(source: &str) -> Option<usize> {
    source.match_indices("{%").map(|(at, _)| at).find(|at| {
        let rest = source[at + 2..].trim_start_matches(['-', '+']).trim_start();
        rest.starts_with("endraw")
    })
}

/// The kind of the last token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// The end of an operand.
    Operand,
    /// Anything that an operand can follow.
    Operator,
}

/// An open bracket, or the tag itself.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// The meter of the operator before the current operand.
    meter: Option<Meter>,
    /// The current operand contains a slice.
    sliced: bool,
    /// A colon was read. In square brackets it makes a slice.
    colon: bool,
}

/// The filter that meters an operand. Between two operators, the greater one is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meter {
    Size,
    Format,
    Factor,
}

/// A scan over one tag.
struct Tag<'a> {
    source: &'a str,
    bytes: &'a [u8],
    pos: usize,
    last: Last,
    levels: Vec<(u8, Level)>,
    tokens: usize,
    is_raw: bool,
    is_branch: bool,
}

impl<'a> Tag<'a> {
    fn new(source: &'a str, open: usize) -> Self {
        let close = if source.as_bytes()[open + 1] == b'{' { b'}' } else { b'%' };
        Self {
            source,
            bytes: source.as_bytes(),
            pos: open,
            last: Last::Operator,
            levels: Vec::from([(close, Level::default())]),
            tokens: 0,
            is_raw: false,
            is_branch: false,
        }
    }

    /// Copies the tag to `out` with meters, and returns the offset of its end.
    fn run(&mut self, out: &mut String) -> Result<usize, Fault> {
        let open = self.pos;
        let is_block = self.bytes[open + 1] == b'%';
        self.pos += 2;
        if let Some(b'-' | b'+') = self.bytes.get(self.pos) {
            self.pos += 1;
        }
        out.push_str(&self.source[open..self.pos]);
        if is_block {
            self.keyword(out);
        }
        while let Some(&byte) = self.bytes.get(self.pos) {
            let begin = self.pos;
            self.tokens += 1;
            if self.tokens > TOKENS {
                return Err(Fault { offset: begin, reason: "too many operators in one tag" });
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.pos += 1;
                    self.tokens -= 1;
                }
                b'"' | b'\'' => self.string(byte),
                _ if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => self.word(out),
                _ if self.is_end() => {
                    self.terminate(out, None);
                    self.pos += if byte == b'-' || byte == b'+' { 3 } else { 2 };
                    out.push_str(&self.source[begin..self.pos]);
                    return Ok(self.pos);
                }
                _ => self.symbol(byte, out),
            }
            out.push_str(&self.source[begin..self.pos]);
        }
        Ok(self.pos)
    }

    /// Copies the keyword of a block, which is not an operand.
    fn keyword(&mut self, out: &mut String) {
        let rest = &self.source[self.pos..];
        let begin = rest.len() - rest.trim_start().len();
        let word: &str = rest.trim_start();
        let word = &word[..word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len())];
        self.is_raw = word == "raw";
        self.is_branch = word == "elif";
        out.push_str(&rest[..begin + word.len()]);
        self.pos += begin + word.len();
    }

    fn is_end(&self) -> bool {
        let [(close, _)] = self.levels[..] else { return false };
        let rest = &self.bytes[self.pos..];
        let rest = match rest {
            [b'-' | b'+', rest @ ..] if rest.starts_with(&[close, b'}']) => rest,
            rest => rest,
        };
        rest.starts_with(&[close, b'}'])
    }

    fn string(&mut self, quote: u8) {
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
        self.last = Last::Operand;
    }

    fn word(&mut self, out: &mut String) {
        let begin = self.pos;
        let is_number = self.bytes[begin].is_ascii_digit();
        while self.bytes.get(self.pos).is_some_and(|&byte| {
            let is_point =
                byte == b'.' && is_number && self.bytes.get(self.pos + 1).is_some_and(u8::is_ascii_digit);
            byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 || is_point
        }) {
            self.pos += 1;
        }
        match &self.source[begin..self.pos] {
            "if" | "else" | "and" | "or" | "is" | "in" | "not" | "recursive" => {
                self.terminate(out, None);
                self.last = Last::Operator;
            }
            _ => self.last = Last::Operand,
        }
    }

    fn symbol(&mut self, byte: u8, out: &mut String) {
        let is_twice = |next| self.bytes.get(self.pos + 1) == Some(&next);
        match byte {
            b'(' | b'[' | b'{' => {
                let close = match byte {
                    b'(' => b')',
                    b'[' => b']',
                    _ => b'}',
                };
                self.levels.push((close, Level::default()));
                self.last = Last::Operator;
            }
            b')' | b']' | b'}' => {
                self.terminate(out, None);
                if let [.., _, (_, inner)] = self.levels[..] {
                    self.levels.pop();
                    self.level().sliced |= byte == b']' && inner.colon;
                }
                self.last = Last::Operand;
            }
            b'.' | b'|' => self.last = Last::Operator,
            b'~' | b'+' | b'%' | b'*' if self.last == Last::Operand => {
                let is_power = byte == b'*' && is_twice(b'*');
                let meter = match byte {
                    b'~' | b'+' => Meter::Size,
                    b'%' => Meter::Format,
                    _ => Meter::Factor,
                };
                self.terminate(out, Some(meter));
                self.pos += usize::from(is_power);
                self.last = Last::Operator;
            }
            _ => {
                let is_comparison = matches!(byte, b'=' | b'!' | b'<' | b'>') && is_twice(b'=');
                // The target of an assignment and the name of an argument are not operands.
                if byte == b'=' && !is_comparison {
                    (self.level().meter, self.level().sliced) = (None, false);
                }
                // A sign before an operand is not one of the four operators and ends no operand.
                if self.last == Last::Operand || matches!(byte, b',' | b':' | b'=') {
                    self.terminate(out, None);
                }
                self.level().colon |= byte == b':';
                self.pos += usize::from(is_comparison);
                self.last = Last::Operator;
            }
        }
        self.pos += self.source[self.pos..].chars().next().map_or(1, char::len_utf8);
    }

    fn level(&mut self) -> &mut Level {
        let last = self.levels.len() - 1;
        &mut self.levels[last].1
    }

    /// Ends the current operand, if there is one. `meter` is that of the operator that follows.
    fn terminate(&mut self, out: &mut String, meter: Option<Meter>) {
        let is_operand = self.last == Last::Operand;
        let level = self.level();
        let name = match level.meter.max(meter) {
            Some(Meter::Factor) => "|_factor",
            Some(Meter::Format) => "|_format",
            Some(Meter::Size) => "|_size",
            None if level.sliced => "|_size",
            None => "",
        };
        if is_operand {
            // Before the white space that follows the operand.
            let end = out.trim_end_matches([' ', '\t', '\r', '\n']).len();
            out.insert_str(end, name);
        }
        (level.meter, level.sliced) = (meter, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_metered() {
        for (source, expected) in [
            ("a + b {{ a }}", "a + b {{ a }}"),
            ("{{ a ~ b }}", "{{ a|_size ~ b|_size }}"),
            ("{{- a+b-}}", "{{- a|_size+b|_size-}}"),
            (
                "{{ a.b['~'](c ~ 1)[0] ~ d | e(f) if g else h }}",
                "{{ a.b['~'](c|_size ~ 1|_size)[0]|_size ~ d | e(f)|_size if g else h }}",
            ),
            ("{% set a.b = c ~ d %}", "{% set a.b = c|_size ~ d|_size %}"),
            ("{% set a, b = c %}", "{% set a, b = c %}"),
            ("{{ -1 + +2 }}", "{{ -1|_size + +2|_size }}"),
            ("{{ a * b + c % d ** e }}", "{{ a|_factor * b|_factor + c|_format % d|_factor ** e|_factor }}"),
            ("{{ f(*a, x=b ~ c, y=1) }}", "{{ f(*a, x=b|_size ~ c|_size, y=1) }}"),
            ("{{ a[1:].b }}{{ {'a': [c[:2]]} }}", "{{ a[1:].b|_size }}{{ {'a': [c[:2]|_size]} }}"),
            ("{{ {'a': {'b': 1}} ~ 'x' }}", "{{ {'a': {'b': 1}}|_size ~ 'x'|_size }}"),
            (
                "{{ a ~ b == c ~ d and e ~ f }}",
                "{{ a|_size ~ b|_size == c|_size ~ d|_size and e|_size ~ f|_size }}",
            ),
            ("{{ a ~ '}}' ~ \"\\\"~\" }}", "{{ a|_size ~ '}}'|_size ~ \"\\\"~\"|_size }}"),
            ("{# a ~ b #}{{ 1.5~'é' }}", "{# a ~ b #}{{ 1.5|_size~'é'|_size }}"),
            (
                "{% raw %}{{ a ~ b }}{% endraw %}{{ a ~ b }}",
                "{% raw %}{{ a ~ b }}{% endraw %}{{ a|_size ~ b|_size }}",
            ),
            ("{%- for a in b + c if d -%}", "{%- for a in b|_size + c|_size if d -%}"),
            ("{% if i % 2 == 0 %}", "{% if i|_format % 2|_format == 0 %}"),
            ("{%+ if a %}x{% else +%}", "{%+ if a %}x{% else +%}"),
            ("{{ 'a", "{{ 'a"),
            ("{{ 'a\\", "{{ 'a\\"),
            ("{% raw %}{{ a", "{% raw %}{{ a"),
            ("{{ ] ~ } %} ", "{{ ]|_size ~ }|_format %} "),
            ("{", "{"),
            ("{#", "{#"),
        ] {
            assert_eq!(meter(source).expect("few tokens").source, expected);
        }
    }

    #[test]
    fn tags_and_branches_are_bounded() {
        let long = ["x\n{{ 1", &" ~ 1".repeat(1100), " }}"].concat();
        assert_eq!(
            meter(&long).map(|_| ()).map_err(|fault| fault.reason),
            Err("too many operators in one tag")
        );
        let branches = ["{% if a %}", &"{% elif a %}".repeat(401)].concat();
        assert_eq!(meter(&branches).map(|_| ()).map_err(|fault| fault.reason), Err("too many branches"));
        assert_eq!(meter("abc{{ a }}abcdef{% raw %}abcdefgh{% endraw %}").expect("short").longest_text, 8);
    }
}
