//! The operators of templates as filters: `meter` rewrites the one to the other. They work as in Python, and are bounded.

use std::borrow::Cow;

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use crate::budget::{settle, size, size_of_items, spend, too_large, visit, visit_all, visits_of_index};
use crate::limits::Limits;
use crate::{percent, python};

/// Adds the filters that replace operators, and the functions that make values.
pub(crate) fn add(environment: &mut Environment<'static>, limits: Limits) {
    environment.add_filter("_join", move |state: &mut State<'_, '_>, first: &Value, rest: Rest<Value>| {
        concatenate(state, first, &rest, &limits)
    });
    type Operation = fn(&mut State<'_, '_>, &Value, &Value, &Limits) -> Result<Value, Error>;
    for (name, operation) in [("_add", sum as Operation), ("_mul", product), ("_mod", remainder)] {
        environment.add_filter(name, move |state: &mut State<'_, '_>, first: Value, rest: Rest<Value>| {
            rest.iter().try_fold(first, |left, right| operation(state, &left, right, &limits))
        });
    }
    environment.add_filter("_visit", move |state: &mut State<'_, '_>, value: Value| {
        visit_all(state, &value, true, &limits).map(|_| value)
    });
    environment.add_filter("_within", move |state: &mut State<'_, '_>, value: Value| {
        // A key is looked up in a map, and searched in anything else.
        match value.kind() {
            ValueKind::Map => visit(state, 1, &limits)?,
            _ => drop(visit_all(state, &value, true, &limits)?),
        }
        Ok::<_, Error>(value)
    });
    environment.add_filter("_index", move |state: &mut State<'_, '_>, value: Value| {
        visit(state, visits_of_index(&value), &limits).map(|()| value)
    });
    environment.add_filter("_slice", move |state: &mut State<'_, '_>, value: Value| {
        let items = if is_list(&value) { value.len().unwrap_or(0) as u64 } else { 0 };
        visit(state, items.max(visits_of_index(&value)), &limits).map(|()| value)
    });
    environment.add_filter("_list", move |state: &mut State<'_, '_>, value: Value| {
        spend(state, value.as_str().map_or(0, str::len) as u64, &limits)?;
        settle(state, value, &limits)
    });
    environment.add_filter("_new", move |state: &mut State<'_, '_>, value: Value| new(state, value, &limits));
    environment.add_filter("_attribute", move |state: &mut State<'_, '_>, value: Value| {
        let value = settle(state, value, &limits)?;
        visit_all(state, &value, false, &limits).map(|_| value)
    });
    environment.add_function("namespace", move |state: &mut State<'_, '_>, values: Option<ValueOrKwargs>| {
        if let Some(values) = &values {
            visit_all(state, values, false, &limits)?;
        }
        minijinja::functions::namespace(values)
    });
    environment.add_function(
        "dict",
        move |state: &mut State<'_, '_>, value: Option<Value>, values: Kwargs| {
            let made = minijinja::functions::dict(value, values)?;
            new(state, made, &limits)
        },
    );
}

/// A value that contains other values.
pub(crate) fn new(state: &mut State<'_, '_>, value: Value, limits: &Limits) -> Result<Value, Error> {
    let value = settle(state, value, limits)?;
    visit_all(state, &value, true, limits).map(|_| value)
}

/// `a ~ b ~ c`: texts, joined.
fn concatenate(
    state: &mut State<'_, '_>,
    first: &Value,
    rest: &[Value],
    limits: &Limits,
) -> Result<String, Error> {
    let mut joined = String::new();
    for value in std::iter::once(first).chain(rest) {
        let text = match value.as_str() {
            Some(text) => text,
            None => &python::string(value, limits.prompt)?,
        };
        append(&mut joined, text, limits)?;
    }
    spend(state, joined.len() as u64, limits).map(|()| joined)
}

fn append(text: &mut String, end: &str, limits: &Limits) -> Result<(), Error> {
    if text.len() + end.len() > limits.prompt {
        return Err(too_large());
    }
    text.push_str(end);
    Ok(())
}

/// The text with HTML escapes, as Python's MarkupSafe writes them, if `escape`.
fn escaped(text: &str, escape: bool) -> Cow<'_, str> {
    if !escape || !text.contains(['&', '<', '>', '\'', '"']) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out.into()
}

/// `a + b`: numbers, texts or lists.
fn sum(state: &mut State<'_, '_>, left: &Value, right: &Value, limits: &Limits) -> Result<Value, Error> {
    if let (Some(left_text), Some(right_text)) = (left.as_str(), right.as_str()) {
        // A text that is not safe is escaped when it is added to one that is.
        let is_safe = left.is_safe() || right.is_safe();
        let mut text = String::new();
        append(&mut text, &escaped(left_text, is_safe && !left.is_safe()), limits)?;
        append(&mut text, &escaped(right_text, is_safe && !right.is_safe()), limits)?;
        spend(state, text.len() as u64, limits)?;
        return Ok(if is_safe { Value::from_safe_string(text) } else { text.into() });
    }
    if is_list(left) && is_list(right) && left.is_tuple() == right.is_tuple() {
        let len = left.len().unwrap_or(0).saturating_add(right.len().unwrap_or(0));
        spend(state, size_of_items(Some(len)), limits)?;
        let items: Vec<Value> = left.try_iter()?.chain(right.try_iter()?).collect();
        return Ok(if left.is_tuple() { Tuple::from(items).into() } else { items.into() });
    }
    let result = match numbers(left, right) {
        Some(Numbers::Integers(left, right)) => left.checked_add(right).map(integer),
        Some(Numbers::Floats(left, right)) => Some(Value::from(left + right)),
        None => return Err(unsupported("+", left, right)),
    };
    result.ok_or_else(out_of_range)
}

/// `a * b`: numbers, or a text or list and the number of its repetitions.
fn product(state: &mut State<'_, '_>, left: &Value, right: &Value, limits: &Limits) -> Result<Value, Error> {
    let is_repeatable = |value: &Value| value.as_str().is_some() || is_list(value);
    let repeated = match (is_repeatable(left), is_repeatable(right)) {
        (true, false) => Some((left, right)),
        (false, true) => Some((right, left)),
        _ => None,
    };
    if let Some((value, count)) = repeated.filter(|(_, count)| count.as_i64().is_some()) {
        let count = usize::try_from(count.as_i64().unwrap_or(0)).unwrap_or(0);
        let bytes = size(value).max(1).saturating_mul(count as u64);
        if value.as_str().is_some() && bytes > limits.prompt as u64 {
            return Err(too_large());
        }
        spend(state, bytes, limits)?;
        if let Some(text) = value.as_str() {
            return Ok(text.repeat(count).into());
        }
        let once: Vec<Value> = value.try_iter()?.collect();
        let mut items = Vec::with_capacity(once.len() * count);
        for _ in 0..count {
            items.extend_from_slice(&once);
        }
        return Ok(if value.is_tuple() { Tuple::from(items).into() } else { items.into() });
    }
    let result = match numbers(left, right) {
        Some(Numbers::Integers(left, right)) => left.checked_mul(right).map(integer),
        Some(Numbers::Floats(left, right)) => Some(Value::from(left * right)),
        None => return Err(unsupported("*", left, right)),
    };
    result.ok_or_else(out_of_range)
}

/// `a % b`: a format string and its values, or the remainder, which has the sign of `b`.
fn remainder(
    state: &mut State<'_, '_>,
    left: &Value,
    right: &Value,
    limits: &Limits,
) -> Result<Value, Error> {
    if let Some(format) = left.as_str() {
        let bytes = visit_all(state, right, true, limits)?;
        spend(state, bytes, limits)?;
        let text = percent::format(format, right, limits.prompt)?;
        return spend(state, text.len() as u64, limits).map(|()| text.into());
    }
    let result = match numbers(left, right) {
        Some(Numbers::Integers(_, 0)) | Some(Numbers::Floats(_, 0.0)) => {
            return Err(Error::new(ErrorKind::InvalidOperation, "division by zero"));
        }
        Some(Numbers::Integers(left, right)) => left
            .checked_rem(right)
            .map(|rest| if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest })
            .map(integer),
        Some(Numbers::Floats(left, right)) => {
            let rest = left % right;
            let differs = rest != 0.0 && (rest < 0.0) != (right < 0.0);
            Some(Value::from(if differs { rest + right } else { rest }))
        }
        None => return Err(unsupported("%", left, right)),
    };
    result.ok_or_else(out_of_range)
}

enum Numbers {
    Integers(i128, i128),
    Floats(f64, f64),
}

fn numbers(left: &Value, right: &Value) -> Option<Numbers> {
    let is_number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !is_number(left) || !is_number(right) {
        return None;
    }
    let whole = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        _ => i128::try_from(value.clone()).ok().filter(|_| value.is_integer()),
    };
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return Some(Numbers::Integers(left, right));
    }
    let float = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        _ => f64::try_from(value.clone()).ok(),
    };
    Some(Numbers::Floats(float(left)?, float(right)?))
}

/// The smallest representation, so that equal integers have the same hash and the same text.
fn integer(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| number.into(), Value::from)
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn out_of_range() -> Error {
    Error::new(ErrorKind::InvalidOperation, "an integer is out of range")
}

fn unsupported(operator: &str, left: &Value, right: &Value) -> Error {
    let (left, right) = (left.kind(), right.kind());
    let reason = format!("tried to use {operator} operator on unsupported types {left} and {right}");
    Error::new(ErrorKind::InvalidOperation, reason)
}
