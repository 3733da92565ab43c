//! Rewrites the operators of a template before it is compiled.
//!
//! The engine counts steps, but not what one step costs: a loop that joins a variable to itself sixty times takes a few hundred
//! steps and all memory, and a comparison of two shared lists takes exponential time. Its operators cannot be replaced either,
//! and `%` has no strings. So operators that create or visit values of any size become filters, which are ours (see
//! `operators`), can be bounded, and work as in Python:
//!
//! | in the template | compiled |
//! |---|---|
//! | `a * b`, `a % b`, `a + b` | `(a)\|_mul(b)`, `(a)\|_mod(b)`, `(a)\|_add(b)` |
//! | `a ~ b ~ c` | `(a)\|_join(b, c)` |
//! | `a < b`, `a in b` | `(a)\|_visit < (b)\|_visit`, `(a)\|_visit in (b)\|_within`; nothing for a literal |
//! | `[a, b]`, `(a, b)`, `{'k': a}` | `([a, b]\|_new)` |
//! | `a[b]`, `a[1:]` | `(a\|_index)[(b)\|_visit]`, `((a\|_slice)[1:]\|_list)` |
//! | `{% for a in b %}` | `{% for a in (b)\|_index %}` |
//! | `{% set a.b = c %}` | `{% set a.b = (c)\|_attribute %}` |
//!
//! Filters bind tighter than all operators and cannot be redefined by a template. The meaning of a template stays the same,
//! and so do its line numbers. For this, the scan knows the precedence of the operators, from loose to tight:
//!
//! ```text
//! keywords , : =     <  comparisons, in     <  + -     <  ~     <  * / // %     <  **     <  sign     <  . [] () | is
//! ```
//!
//! The same scan bounds the operators and brackets of one tag, because the compiler of the engine and its destructors
//! recurse along them. The hard part is what looks like code and is not: strings, comments and `raw` blocks.

use crate::scan::{Fault, Tag};

/// Most `elif` tags in a template: each is nested in the one before. The longest templates in use have about 20.
const BRANCHES: usize = 400;

/// A rewritten template, and what limits depend on.
#[derive(Debug)]
pub(crate) struct Metered {
    pub(crate) source: String,
    /// Bytes of the longest text between two tags.
    pub(crate) longest_text: usize,
}

/// Rewrites the operators of a template.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_become_filters() {
        for (source, expected) in [
            ("a + b {{ a }}", "a + b {{ a }}"),
            ("{{ a ~ b ~ c }}", "{{ (a )|_join( b , c) }}"),
            ("{{- a+b+c-}}", "{{- (a)|_add(b,c)-}}"),
            ("{{ a - b + c - d }}", "{{ (a - b )|_add( c) - d }}"),
            ("{{ a * b % c / d }}", "{{ ((a )|_mul( b) )|_mod( c) / d }}"),
            ("{{ a % b % c }}", "{{ ((a )|_mod( b) )|_mod( c) }}"),
            ("{{ a ~ b * c + d }}", "{{ ((a )|_join( (b )|_mul( c)) )|_add( d) }}"),
            ("{{ -a % -b ** c }}", "{{ (-a )|_mod( -b ** c) }}"),
            ("{{ not a is b(c) ~ d | e }}", "{{ not (a is b(c) )|_join( d | e) }}"),
            ("{{ a if b ~ c else d }}", "{{ a if (b )|_join( c) else d }}"),
            ("{{ f(*a, x=b ~ c, **d) }}", "{{ f(*a, x=(b )|_join( c), **d) }}"),
            ("{{ a == 'b' and c < d }}", "{{ a == 'b' and (c)|_visit < (d)|_visit }}"),
            ("{{ a ~ b in c }}", "{{ ((a )|_join( b))|_visit in (c)|_within }}"),
            ("{{ 'a' not in b }}", "{{ 'a' not in (b)|_within }}"),
            ("{{ a in ['b', 'c'] }}", "{{ a in ['b', 'c'] }}"),
            ("{{ a in {'b': 1} }}", "{{ (a)|_visit in {'b': 1} }}"),
            ("{{ a.in.x['b'].c[0] }}", "{{ (a.in.x['b'].c|_index)[0] }}"),
            ("{{ -a[b ~ c][1:] }}", "{{ -(((a|_index)[((b )|_join( c))|_visit]|_slice)[1:]|_list) }}"),
            ("{{ [a, (b, 1)], (c), {'d': e} }}", "{{ ([a, ((b, 1)|_new)]|_new), (c), ({'d': e}|_new) }}"),
            (
                "{% set a.b = c, 1 %}{% set a, b = c, 1 %}",
                "{% set a.b = (c, 1)|_attribute %}{% set a, b = (c, 1)|_new %}",
            ),
            ("{% for (a, b) in c[1:] if a %}", "{% for (a, b) in (((c|_slice)[1:]|_list))|_index if a %}"),
            ("{{ a\u{c}== b }}", "{{ (a)|_visit\u{c}== (b)|_visit }}"),
            ("{% set a | f(b == c, [d]) %}", "{% set a | f((b)|_visit == (c)|_visit, ([d]|_new)) %}"),
            ("{{ loop.changed(a, b.c) }}", "{{ loop.changed((a)|_visit, (b.c)|_visit) }}"),
            ("{% call(a) f([b]) %}", "{% call(a) f(([b]|_new)) %}"),
            ("{{ a is in [b] or c is not in d }}", "{{ a is in [b] or c is not in d }}"),
            ("{{ a ~ '}}' ~ \"\\\"~\" 'b' }}", "{{ (a )|_join( '}}' , \"\\\"~\" 'b') }}"),
            ("{# a ~ b #}{{ 1.5~'é' }}", "{# a ~ b #}{{ (1.5)|_join('é') }}"),
            ("{% raw %}{{ a ~ b }}{% endraw %}{{ a }}", "{% raw %}{{ a ~ b }}{% endraw %}{{ a }}"),
            ("{%+ if a %}x{% else +%}", "{%+ if a %}x{% else +%}"),
            ("{{ 'a", "{{ 'a"),
            ("{{ 'a\\", "{{ 'a\\"),
            ("{% raw %}{{ a", "{% raw %}{{ a"),
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
