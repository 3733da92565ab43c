//! Reads an error as Python prints it: `error=ErrorInfo(message='too long', type='BadRequestError', param=None, code=400)`.
//!
//! LMI on a current vLLM writes this text as its message, beside a code of its own: 500, whatever vLLM's code is.

use alloc::string::String;

/// The arguments of such an error.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Repr {
    pub(crate) message: String,
    pub(crate) name: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) param: Option<String>,
}

/// Reads a text that is such an error and nothing else. An error within it counts instead of it.
pub(crate) fn read(text: &str) -> Option<Repr> {
    let mut rest = text.trim();
    rest = rest.strip_prefix("error=").unwrap_or(rest);
    let mut repr = Repr::default();
    let mut has_message = false;
    read_call(&mut rest, 0, &mut |name, value| match name {
        "message" => (has_message, repr.message) = (true, value),
        "type" => repr.name = Some(value),
        "code" => repr.code = Some(value),
        "param" => repr.param = Some(value),
        _ => {}
    })?;
    (has_message && rest.is_empty()).then_some(repr)
}

/// The deepest nesting of calls.
const DEPTH_MAX: usize = 4;

/// Reads `Name(a='…', b=1, c=None)`, and calls `each` with the arguments that have a value. Those of a nested call are added.
fn read_call(rest: &mut &str, depth: usize, each: &mut dyn FnMut(&str, String)) -> Option<()> {
    name(rest)?;
    *rest = rest.strip_prefix('(')?;
    loop {
        let key = name(rest)?;
        *rest = rest.strip_prefix('=')?;
        match rest.chars().next()? {
            quote @ ('\'' | '"') => {
                let value = string(rest, quote)?;
                each(key, value);
            }
            _ => {
                let len = rest.find([',', ')', '('])?;
                if rest[len..].starts_with('(') {
                    if depth == DEPTH_MAX {
                        return None;
                    }
                    read_call(rest, depth + 1, each)?;
                } else {
                    let value = rest[..len].trim();
                    if value != "None" {
                        each(key, value.into());
                    }
                    *rest = &rest[len..];
                }
            }
        }
        match rest.strip_prefix(')') {
            Some(end) => {
                *rest = end;
                return Some(());
            }
            None => *rest = rest.strip_prefix(',')?.trim_start(),
        }
    }
}

/// Reads a name.
fn name<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let len = rest.find(|c| !is_part(c)).filter(|len| *len > 0)?;
    let (name, end) = rest.split_at(len);
    *rest = end;
    Some(name)
}

/// Reads a string in these quotes.
fn string(rest: &mut &str, quote: char) -> Option<String> {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                c @ ('\\' | '\'' | '"') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c if c == quote => {
                *rest = &rest[at + 1..];
                return Some(value);
            }
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn repr(message: &str, name: &str, code: Option<&str>, param: Option<&str>) -> Option<Repr> {
        let owned = |text: Option<&str>| text.map(ToString::to_string);
        Some(Repr {
            message: message.into(),
            name: Some(name.into()),
            code: owned(code),
            param: owned(param),
        })
    }

    #[test]
    fn errors_of_vllm() {
        assert_eq!(
            read("error=ErrorInfo(message='too long', type='BadRequestError', param=None, code=400)"),
            repr("too long", "BadRequestError", Some("400"), None)
        );
        assert_eq!(
            read(
                r#"ErrorResponse(error=ErrorInfo(message="it's \\ (a=1, b)\n", type='T', param='n', code=None))"#
            ),
            repr("it's \\ (a=1, b)\n", "T", None, Some("n"))
        );
    }

    #[test]
    fn other_texts() {
        for text in [
            "",
            "boom",
            "f(message='x'",
            "message='x'",
            "f()",
            "f(message='x') y",
            "f(type='x')",
            "f(message='x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let deep = "f(a=".repeat(1000);
        assert_eq!(read(&deep), None);
    }
}
