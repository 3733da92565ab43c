//! Translates regular expressions of JavaScript, without flags, to those of the crate `regex`.
//!
//! Matching takes linear time, so there are no references back and nothing that looks around. The classes `\d`, `\w` and the boundary
//! `\b` know ASCII only, and `.` does not match ends of lines, as in ECMAScript (section 22.2). Flags in the pattern, as in
//! `(?i)yes`, are an extension.

/// Translates a pattern.
///
/// # Errors
///
/// The pattern has something that the crate does not have.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let tail = &rest[character.len_utf8()..];
        rest = match character {
            '\\' => escape(tail, false, &mut out)?,
            '[' => class(tail, &mut out)?,
            '(' => group(tail, &mut out)?,
            '.' => {
                out.push_str(r"[^\n\r\u{2028}\u{2029}]");
                tail
            }
            '{' => match quantifier(tail) {
                Some(length) => {
                    out.push_str(&rest[..=length]);
                    &rest[length + 1..]
                }
                None => {
                    out.push_str(r"\{");
                    tail
                }
            },
            '}' | ']' => {
                out.push('\\');
                out.push(character);
                tail
            }
            character => {
                out.push(character);
                tail
            }
        };
    }
    Ok(out)
}

/// The length of `2}`, `2,}` or `2,3}`; anything else after a brace is text.
fn quantifier(tail: &str) -> Option<usize> {
    let length = tail.find(|character: char| !character.is_ascii_digit() && character != ',')?;
    let (low, high) = tail[..length].split_once(',').unwrap_or((&tail[..length], ""));
    (tail[length..].starts_with('}') && !low.is_empty() && !high.contains(',')).then_some(length + 1)
}

/// A group: captures, `(?:`, `(?<name>`, and flags.
fn group<'a>(tail: &'a str, out: &mut String) -> Result<&'a str, String> {
    if ["?=", "?!", "?<=", "?<!"].iter().any(|start| tail.starts_with(start)) {
        return Err("it looks around (\"(?=\", \"(?!\", \"(?<=\" or \"(?<!\"), which takes no linear time; use two assertions".into());
    }
    out.push('(');
    Ok(tail)
}

/// An escape, after its backslash.
fn escape<'a>(tail: &'a str, in_class: bool, out: &mut String) -> Result<&'a str, String> {
    let Some(character) = tail.chars().next() else {
        return Err("it ends with a backslash".to_owned());
    };
    let tail = &tail[character.len_utf8()..];
    let class = match character {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\s\u{feff}",
        'D' | 'W' | 'S' => return Ok(negated(character, tail, out)),
        'b' if in_class => r"\x08",
        'b' => {
            out.push_str(r"(?-u:\b)");
            return Ok(tail);
        }
        'B' if !in_class => {
            out.push_str(r"(?-u:\B)");
            return Ok(tail);
        }
        '1'..='9' | 'k' if !in_class => {
            return Err("it refers back to a group, which takes no linear time".to_owned());
        }
        '0' => r"\x00",
        'c' => return control(tail, out),
        'n' | 'r' | 't' | 'v' | 'f' | 'x' | 'u' | 'p' | 'P' => {
            out.push('\\');
            out.push(character);
            return Ok(tail);
        }
        character => {
            // Any other character is itself.
            out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
            return Ok(tail);
        }
    };
    let (open, close) = if in_class { ("", "") } else { ("[", "]") };
    out.extend([open, class, close]);
    Ok(tail)
}

/// `\D`, `\W` or `\S`: a class of its own, also within a class.
fn negated<'a>(character: char, tail: &'a str, out: &mut String) -> &'a str {
    out.push_str(match character {
        'D' => "[^0-9]",
        'W' => "[^0-9A-Za-z_]",
        _ => r"[^\s\u{feff}]",
    });
    tail
}

/// `\cA` is the character 1.
fn control<'a>(tail: &'a str, out: &mut String) -> Result<&'a str, String> {
    let letter = tail.bytes().next().filter(u8::is_ascii_alphabetic);
    let letter = letter.ok_or_else(|| "\"\\c\" has no letter".to_owned())?;
    out.push_str(&format!("\\x{:02x}", letter % 32));
    Ok(&tail[1..])
}

/// A class, after its bracket. Brackets and the signs for operations on sets are text in it.
fn class<'a>(tail: &'a str, out: &mut String) -> Result<&'a str, String> {
    if let Some(rest) = tail.strip_prefix("^]") {
        out.push_str(r"[\s\S]");
        return Ok(rest);
    }
    if let Some(rest) = tail.strip_prefix(']') {
        // It matches nothing.
        out.push_str(r"[^\s\S]");
        return Ok(rest);
    }
    out.push('[');
    let mut rest = tail;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    while let Some(character) = rest.chars().next() {
        let tail = &rest[character.len_utf8()..];
        rest = match character {
            ']' => {
                out.push(']');
                return Ok(tail);
            }
            '\\' => escape(tail, true, out)?,
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(character);
                tail
            }
            '-' if tail.starts_with(']') || out.ends_with(['[', '^']) => {
                out.push_str(r"\-");
                tail
            }
            character => {
                out.push(character);
                tail
            }
        };
    }
    Err("a class has no \"]\"".to_owned())
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    /// Each line: the pattern, a text, whether JavaScript's `new RegExp(pattern).test(text)` is true.
    #[test]
    fn patterns_mean_what_they_mean_in_javascript() {
        for (pattern, text, expected) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^\w+$", "café", false),
            (r"\bcaf\b", "café", true),
            (r"^\W$", "é", true),
            (r"^[\w-]+$", "a-b_c", true),
            (r"^[^\d]+$", "abc", true),
            (r"^[^\d]+$", "ab1", false),
            (r"^[\D]$", "x", true),
            (r"a.b", "a\nb", false),
            (r"a.b", "a\rb", false),
            (r"a.b", "aéb", true),
            (r"a[^]b", "a\nb", true),
            (r"a[]b", "ab", false),
            (r"^a$", "a\n", false),
            (r"[[]x[&&~]", "[x&", true),
            (r"^\{.*\}$", "{1}", true),
            (r"^{a}$", "{a}", true),
            (r"^a{2}$", "aa", true),
            (r"^a{2,}b{1,2}$", "aaabb", true),
            (r"^a{,2}$", "a{,2}", true),
            (r"x{1}}", "x}", true),
            (r"^\/\-\_\@$", "/-_@", true),
            (r"^(?<year>\d{4})$", "2026", true),
            (r"^(?:a|b)+?$", "abab", true),
            (r"^\u00e9\x41\t$", "éA\t", true),
            (r"^\cA\0$", "\u{1}\0", true),
            (r"^[a-]$", "-", true),
            (r"^[-a]$", "-", true),
            (r"^\s$", "\u{feff}", true),
            (r"(?i)YES", "yes", true),
            (r"]", "]", true),
            ("", "anything", true),
        ] {
            let translated = translate(pattern).unwrap();
            let regex =
                Regex::new(&translated).unwrap_or_else(|error| panic!("{pattern} → {translated}: {error}"));
            assert_eq!(regex.is_match(text), expected, "{pattern} → {translated} on {text:?}");
        }
    }

    #[test]
    fn what_takes_no_linear_time_is_refused() {
        for pattern in
            [r"(?=a)b", r"(?!a)b", r"(?<=a)b", r"(?<!a)b", r"(a)\1", r"(?<n>a)\k<n>", r"a\", r"[a", r"\c1"]
        {
            assert!(translate(pattern).is_err(), "{pattern}");
        }
    }
}
