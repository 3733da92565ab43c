//! Methods of Python's types: minijinja-contrib's, and those that it lacks.

use minijinja::value::Tuple;
use minijinja::{Error, ErrorKind, State, Value};

use crate::budget::{filter_cost, settle, spend, too_large, visit, visit_all, visits_of_index};
use crate::limits::Limits;

/// Calls a method.
pub(crate) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
    limits: &Limits,
) -> Result<Value, Error> {
    for argument in arguments {
        let bytes = visit_all(state, argument, true, limits)?;
        spend(state, if matches!(method, "format" | "join") { bytes } else { 0 }, limits)?;
    }
    // Most methods of texts create one, others only read it.
    let reads = ["startswith", "endswith", "find", "rfind", "count", "get"].contains(&method);
    if reads || method.starts_with("is") {
        visit(state, visits_of_index(value), limits)?;
        if method == "count" {
            visit_all(state, value, true, limits)?;
        }
    } else {
        let filter = if method == "splitlines" { "lines" } else { method };
        let mut all = Vec::from([value.clone()]);
        all.extend_from_slice(arguments);
        if method == "join" {
            // The filter has its arguments in the opposite order: `', '.join(list)`.
            all.reverse();
        }
        spend(state, filter_cost(filter, &all), limits)?;
    }
    let own = match value.as_str() {
        Some(text) => of_text(state, text, method, arguments, limits)?,
        None => of_container(value, method, arguments)?,
    };
    if let Some(result) = own {
        return Ok(result);
    }
    let result = minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)?;
    settle(state, result, limits)
}

/// The methods of a list or a map that minijinja-contrib lacks.
fn of_container(value: &Value, method: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    match (method, arguments) {
        // Values do not change.
        ("copy", []) => Ok(Some(value.clone())),
        ("index", [item]) => {
            let index = value.try_iter()?.position(|other| other == *item);
            index.map(|index| Some(Value::from(index))).ok_or_else(not_found)
        }
        _ => Ok(None),
    }
}

/// The methods of a text that minijinja-contrib lacks, and a `replace` with a bound.
fn of_text(
    state: &mut State<'_, '_>,
    text: &str,
    method: &str,
    arguments: &[Value],
    limits: &Limits,
) -> Result<Option<Value>, Error> {
    let texts: Vec<&str> = arguments.iter().map_while(Value::as_str).collect();
    let tuple = |parts: [&str; 3]| Value::from(Tuple::from(parts.map(Value::from)));
    let value = match (method, &texts[..], arguments) {
        ("removeprefix", [prefix], [_]) => text.strip_prefix(prefix).unwrap_or(text).into(),
        ("removesuffix", [suffix], [_]) => text.strip_suffix(suffix).unwrap_or(text).into(),
        ("replace", [from, to], [_, _]) => replace(state, text, from, to, limits)?.into(),
        ("partition", [separator], [_]) if !separator.is_empty() => match text.split_once(separator) {
            Some((before, after)) => tuple([before, separator, after]),
            None => tuple([text, "", ""]),
        },
        ("rpartition", [separator], [_]) if !separator.is_empty() => match text.rsplit_once(separator) {
            Some((before, after)) => tuple([before, separator, after]),
            None => tuple(["", "", text]),
        },
        ("rsplit", [separator], [_, rest @ ..]) if !separator.is_empty() && rest.len() < 2 => {
            let most = rest.first().and_then(Value::as_i64).and_then(|most| usize::try_from(most).ok());
            let most = most.unwrap_or(usize::MAX).saturating_add(1);
            let mut parts: Vec<Value> = text.rsplitn(most, separator).map(Value::from).collect();
            parts.reverse();
            parts.into()
        }
        ("index", [part], [_]) => position(text, text.find(part))?,
        ("rindex", [part], [_]) => position(text, text.rfind(part))?,
        ("swapcase", [], []) => text.chars().map(swap_case).collect::<String>().into(),
        ("zfill" | "center" | "ljust" | "rjust", _, [width, rest @ ..]) if rest.len() < 2 => {
            let fill = match rest.first() {
                Some(fill) => fill.as_str().filter(|fill| fill.chars().count() == 1),
                None => Some(" "),
            };
            match (width.as_i64(), fill) {
                (Some(width), Some(fill)) => pad(state, text, method, width, fill, limits)?.into(),
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn not_found() -> Error {
    Error::new(ErrorKind::InvalidOperation, "the value is not found")
}

/// The index of the character at this offset.
fn position(text: &str, offset: Option<usize>) -> Result<Value, Error> {
    offset.map(|offset| Value::from(text[..offset].chars().count())).ok_or_else(not_found)
}

fn swap_case(c: char) -> String {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

/// Pads a text to a width.
fn pad(
    state: &mut State<'_, '_>,
    text: &str,
    method: &str,
    width: i64,
    fill: &str,
    limits: &Limits,
) -> Result<String, Error> {
    let width = usize::try_from(width).unwrap_or(0);
    let padding = width.saturating_sub(text.chars().count());
    if padding.saturating_mul(fill.len()) > limits.prompt {
        return Err(too_large());
    }
    spend(state, (padding * fill.len()) as u64, limits)?;
    // As Python does it: the extra character of an odd padding is at the left if the width is odd.
    let left = padding / 2 + (padding & width & 1);
    Ok(match method {
        "ljust" => [text, &fill.repeat(padding)].concat(),
        "rjust" => [&fill.repeat(padding), text].concat(),
        "center" => [&fill.repeat(left), text, &fill.repeat(padding - left)].concat(),
        // Zeros follow a sign.
        _ => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            [sign, &"0".repeat(padding), digits].concat()
        }
    })
}

/// Replaces every `from` in `value` by `to`.
pub(crate) fn replace(
    state: &mut State<'_, '_>,
    value: &str,
    from: &str,
    to: &str,
    limits: &Limits,
) -> Result<String, Error> {
    let grows = to.len().saturating_sub(from.len());
    let count = if grows > 0 { value.matches(from).count() } else { 0 };
    let len = count.saturating_mul(grows).saturating_add(value.len());
    if len > limits.prompt {
        return Err(too_large());
    }
    spend(state, len as u64, limits)?;
    Ok(value.replace(from, to))
}
