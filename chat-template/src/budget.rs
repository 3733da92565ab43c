//! Counts the bytes that a template creates.
//!
//! The engine counts steps, but one step can create a large value. Every operation whose result depends on the size of its
//! arguments first adds an upper estimate of that result to a total that each render has.

use std::error::Error;
use std::fmt;

use minijinja::value::ValueKind;
use minijinja::{ErrorKind, State, Value};

/// A value is larger than a prompt may be, or a template has created too many bytes.
#[derive(Debug)]
pub(crate) struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too large")
    }
}

impl Error for TooLarge {}

/// The error of the engine that is caused by [`TooLarge`].
pub(crate) fn too_large() -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, "a value is too large").with_source(TooLarge)
}

/// Bytes that a template has created so far.
struct Spent(u64);

/// A template may create this many times the largest prompt: it joins texts piece by piece.
const BUDGET_PER_PROMPT: u64 = 64;

/// Adds the bytes that a step of the template creates. `limit` is the size of the largest prompt.
///
/// # Errors
///
/// The total is over the budget.
pub(crate) fn spend(state: &mut State<'_, '_>, bytes: u64, limit: usize) -> Result<(), minijinja::Error> {
    let spent = state.get_or_insert_extension(Spent(0));
    spent.0 = spent.0.saturating_add(bytes);
    if spent.0 > BUDGET_PER_PROMPT.saturating_mul(limit as u64) { Err(too_large()) } else { Ok(()) }
}

/// Bytes of a value: of a list, the list itself and its texts.
pub(crate) fn size(value: &Value) -> u64 {
    /// Bytes of an item that is not a text, and the most items of a list: twice as many as `range` returns.
    const ITEM: u64 = 32;
    const ITEMS: u64 = 200_000;
    match (value.as_str(), value.kind()) {
        (Some(text), _) => text.len() as u64,
        (None, ValueKind::Seq | ValueKind::Iterable) => {
            let count = value.len().unwrap_or(0) as u64;
            if count > ITEMS {
                return u64::MAX;
            }
            let items = count * ITEM;
            let texts = value.try_iter().into_iter().flatten();
            items + texts.map(|item| item.as_str().map_or(0, str::len) as u64).sum::<u64>()
        }
        _ => 0,
    }
}

/// The cost of an operand of `*`: bytes that any factor in range can make of it.
pub(crate) fn factor_cost(value: &Value) -> u64 {
    const LARGEST_FACTOR: i64 = 100_000;
    match value.as_i64() {
        Some(number) if !(-LARGEST_FACTOR..=LARGEST_FACTOR).contains(&number) => u64::MAX,
        Some(_) => 0,
        None => size(value).saturating_mul(LARGEST_FACTOR as u64),
    }
}

/// The cost of an operand of `%`.
pub(crate) fn format_cost(value: &Value) -> u64 {
    if has_wide_field(value) { u64::MAX } else { size(value) }
}

/// Whether a text is a format string with a field of a thousand columns or more: `%9999d`, `{:>9999}`.
fn has_wide_field(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    text.split(['%', ':', '.']).skip(1).any(|field| {
        let width = field.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        width.bytes().take_while(u8::is_ascii_digit).count() > 3
    })
}

/// The cost of a filter, or of the method of that name, with these arguments.
pub(crate) fn filter_cost(filter: &str, arguments: &[Value]) -> u64 {
    let is_format = filter == "format";
    let sizes = arguments.iter().map(|argument| match argument.as_i64() {
        // The width of an indent, or the number of items in a row.
        Some(number) if matches!(filter, "indent" | "batch" | "slice") && number > 1000 => u64::MAX,
        Some(_) => 0,
        None if is_format && has_wide_field(argument) => u64::MAX,
        // Each piece of the text becomes a value.
        None if matches!(filter, "split" | "list" | "lines") => size(argument).saturating_mul(4),
        None if filter == "indent" => size(argument).saturating_mul(16),
        None => size(argument),
    });
    let pieces = arguments.first().and_then(Value::len).filter(|_| filter == "join").unwrap_or(0) as u64;
    let joiner = arguments.get(1).and_then(Value::as_str).map_or(0, str::len) as u64;
    sizes.fold(pieces.saturating_mul(joiner), u64::saturating_add)
}
