//! Bounds the bytes that a template creates and the values that it visits.
//!
//! The engine counts steps, but one step can create a large value or visit one. Every operation whose cost depends on the size
//! of its arguments first adds an estimate of that cost to the totals that each render has. Values are bounded in depth when
//! they are created, so that comparing, printing and dropping them needs little stack.

use std::error::Error;
use std::fmt;

use minijinja::value::ValueKind;
use minijinja::{ErrorKind, State, Value};

use crate::limits::Limits;

/// A value is larger than a prompt may be, or a template has created too many bytes.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// A value is nested too deeply.
#[derive(Debug)]
pub(crate) struct TooDeep;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too large")
    }
}

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too deep")
    }
}

impl Error for TooLarge {}
impl Error for TooDeep {}

/// The error of the engine that is caused by [`TooLarge`].
pub(crate) fn too_large() -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, "a value is too large").with_source(TooLarge)
}

/// The error of the engine that is caused by [`TooDeep`].
pub(crate) fn too_deep() -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, "a value is nested too deeply").with_source(TooDeep)
}

/// What a template has used so far.
#[derive(Default)]
struct Spent {
    bytes: u64,
    visits: u64,
}

/// A template may create this many times the largest prompt: it joins texts piece by piece.
const BUDGET_PER_PROMPT: u64 = 16;
/// Values that a template may visit for each step that it may take.
const VISITS_PER_STEP: u64 = 8;
/// Bytes of a text that are visited as fast as a value.
const BYTES_PER_VISIT: u64 = 64;
/// Bytes of a number when it is written, and of the comma after it.
const SHORT: u64 = 8;
/// Bytes of an item of a list, without its text.
const ITEM: u64 = 32;
/// Deepest nesting of a value. That of JSON is 128, to which a message adds a few levels.
pub(crate) const DEPTH: usize = 160;

/// Adds the bytes that a step of the template creates.
///
/// # Errors
///
/// The total is over the budget.
pub(crate) fn spend(state: &mut State<'_, '_>, bytes: u64, limits: &Limits) -> Result<(), minijinja::Error> {
    let spent = state.get_or_insert_extension(Spent::default());
    spent.bytes = spent.bytes.saturating_add(bytes);
    if spent.bytes > BUDGET_PER_PROMPT.saturating_mul(limits.prompt as u64) {
        return Err(too_large());
    }
    Ok(())
}

/// Adds values that a step of the template visits.
///
/// # Errors
///
/// The total is over the bound that follows from the bound on steps.
pub(crate) fn visit(state: &mut State<'_, '_>, values: u64, limits: &Limits) -> Result<(), minijinja::Error> {
    let spent = state.get_or_insert_extension(Spent::default());
    spent.visits = spent.visits.saturating_add(values);
    if spent.visits > limits.steps.saturating_mul(VISITS_PER_STEP) {
        return Err(minijinja::Error::from(ErrorKind::OutOfFuel));
    }
    Ok(())
}

/// Visits a value and all values in it, as a comparison does, and returns the bytes that it has when it is written.
/// `namespaces`: whether the value may contain a namespace.
///
/// # Errors
///
/// The value is nested too deeply, too many values were visited, or there is a namespace.
pub(crate) fn visit_all(
    state: &mut State<'_, '_>,
    value: &Value,
    namespaces: bool,
    limits: &Limits,
) -> Result<u64, minijinja::Error> {
    let spent = state.get_or_insert_extension(Spent::default());
    let bound = limits.steps.saturating_mul(VISITS_PER_STEP);
    let mut walk = Walk { visits: spent.visits, bytes: 0, bound, namespaces };
    let result = walk.value(value, 0);
    spent.visits = walk.visits;
    result.map(|()| walk.bytes)
}

/// Visits a value and all values in it.
struct Walk {
    visits: u64,
    bytes: u64,
    bound: u64,
    /// Whether there may be a namespace. One in another could grow after it was visited, or contain itself.
    namespaces: bool,
}

impl Walk {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), minijinja::Error> {
        let len = value.as_str().map_or(0, str::len) as u64;
        self.visits += 1 + len / BYTES_PER_VISIT;
        self.bytes += SHORT + len;
        if self.visits > self.bound {
            return Err(minijinja::Error::from(ErrorKind::OutOfFuel));
        }
        let kind = value.kind();
        if !matches!(kind, ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
            return Ok(());
        }
        if depth >= DEPTH {
            return Err(too_deep());
        }
        if !self.namespaces && is_namespace(value) {
            let reason = "a namespace cannot contain a namespace";
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, reason));
        }
        for item in value.try_iter()? {
            self.value(&item, depth + 1)?;
            if kind == ValueKind::Map {
                self.value(&value.get_item(&item)?, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Whether a value was made by `namespace(…)`. The type is private to the engine.
fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace"))
}

/// Values that an index or the length of a value visits.
pub(crate) fn visits_of_index(value: &Value) -> u64 {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => text.len() as u64 / BYTES_PER_VISIT,
        (None, ValueKind::Iterable) => value.len().unwrap_or(0) as u64,
        _ => 0,
    }
}

/// Bytes of a value: of a list, the list itself and its texts.
pub(crate) fn size(value: &Value) -> u64 {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => text.len() as u64,
        (None, ValueKind::Seq | ValueKind::Iterable) => {
            let texts = value.try_iter().into_iter().flatten();
            size_of_items(value.len())
                + texts.map(|item| item.as_str().map_or(0, str::len) as u64).sum::<u64>()
        }
        _ => 0,
    }
}

/// Bytes of a list of this length without the texts in it, which are shared.
pub(crate) fn size_of_items(len: Option<usize>) -> u64 {
    (len.unwrap_or(0) as u64).saturating_mul(ITEM)
}

/// Returns a lazy list as a list. Lazy lists that are made from each other would need a stack as deep as they are many.
///
/// # Errors
///
/// The budget is spent.
pub(crate) fn settle(
    state: &mut State<'_, '_>,
    value: Value,
    limits: &Limits,
) -> Result<Value, minijinja::Error> {
    match value.kind() {
        ValueKind::Iterable => {
            visit(state, value.len().unwrap_or(0) as u64, limits)?;
            let most = usize::try_from(limits.steps).unwrap_or(usize::MAX);
            let items: Vec<Value> = value.try_iter()?.take(most).collect();
            spend(state, size_of_items(Some(items.len())), limits)?;
            Ok(Value::from(items))
        }
        ValueKind::Seq => {
            spend(state, size_of_items(value.len()), limits)?;
            Ok(value)
        }
        _ => Ok(value),
    }
}

/// Whether a text is a format string with a field of a thousand columns or more: `%9999d`, `{:>9999}`.
fn has_wide_field(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    text.split(['%', ':', '.']).skip(1).any(|field| {
        let width = field.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        width.bytes().take_while(u8::is_ascii_digit).count() > 3
    })
}

/// The bytes that a filter, or the method of that name, can create from these arguments.
pub(crate) fn filter_cost(filter: &str, arguments: &[Value]) -> u64 {
    let is_format = filter == "format";
    let sizes = arguments.iter().map(|argument| match argument.as_i64() {
        // The number of items in a row.
        Some(number) if matches!(filter, "batch" | "slice") && number > 1000 => u64::MAX,
        Some(_) => 0,
        None if is_format && has_wide_field(argument) => u64::MAX,
        None if filter == "list" && argument.as_str().is_some() => size(argument).saturating_mul(ITEM),
        None => size(argument),
    });
    let text = arguments.first().and_then(Value::as_str);
    let pieces = match (filter, text, arguments.get(1).and_then(Value::as_str)) {
        // Each piece of the text becomes a value.
        ("split", Some(text), Some(separator)) if !separator.is_empty() => text.matches(separator).count(),
        ("split" | "lines", Some(text), _) => text.matches(char::is_whitespace).count(),
        _ => 0,
    };
    let joined = arguments.first().and_then(Value::len).filter(|_| filter == "join").unwrap_or(0) as u64;
    let joiner = arguments.get(1).and_then(Value::as_str).map_or(0, str::len) as u64;
    let fixed = joined.saturating_mul(joiner).saturating_add(size_of_items(Some(pieces)));
    sizes.fold(fixed, u64::saturating_add)
}
