//! Filters and tests as in Python, with their costs counted.

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, ValueOrKwargs};
use minijinja::{Environment, State, Value, filters, tests};

use crate::budget::{filter_cost, settle, spend, too_large, visit, visit_all, visits_of_index};
use crate::limits::Limits;
use crate::{methods, operators, percent, python};

/// Adds Python's filters and tests, and the counted ones of the engine.
pub(crate) fn add(environment: &mut Environment<'static>, limits: Limits) {
    add_texts(environment, limits);
    add_counted(environment, limits);
    add_tests(environment, limits);
    // These expose internals, or create values that nothing counts.
    for name in ["pprint", "zip", "chain"] {
        environment.remove_filter(name);
    }
}

/// Adds the filters that write values as Python does.
fn add_texts(environment: &mut Environment<'static>, limits: Limits) {
    environment.add_filter(
        "tojson",
        move |state: &mut State<'_, '_>, value: &Value, indent: Option<usize>, kwargs: Kwargs| {
            let json = python::to_json(value, indent, &kwargs, limits.prompt)?;
            spend(state, json.len() as u64, &limits).map(|()| json)
        },
    );
    // Of the built-in families: a text as it is, if it is JSON, or as a JSON string.
    environment.add_filter("_json", move |state: &mut State<'_, '_>, text: &str| {
        let value = serde_json::from_str::<Value>(text).unwrap_or_else(|_| text.into());
        let json =
            python::to_json(&value, None, &Kwargs::from_iter([("indent", Value::from(()))]), limits.prompt)?;
        spend(state, json.len() as u64, &limits).map(|()| json)
    });
    environment.add_filter("string", move |state: &mut State<'_, '_>, value: &Value| {
        let text = python::string(value, limits.prompt)?;
        spend(state, text.len() as u64, &limits).map(|()| text)
    });
    environment.add_filter(
        "format",
        move |state: &mut State<'_, '_>, text: &Value, values: Rest<ValueOrKwargs>| {
            let values = values.into_values();
            for value in &values {
                let bytes = visit_all(state, value, true, &limits)?;
                spend(state, bytes, &limits)?;
            }
            let text = format(text, values, &limits)?;
            spend(state, text.len() as u64, &limits).map(|()| text)
        },
    );
    environment.add_filter(
        "indent",
        move |state: &mut State<'_, '_>, text: &Value, arguments: Rest<ValueOrKwargs>| {
            let text = indent(&python::string(text, limits.prompt)?, &arguments.into_values(), &limits)?;
            spend(state, text.len() as u64, &limits).map(|()| text)
        },
    );
    environment.add_filter("wordcount", move |state: &mut State<'_, '_>, text: &str| {
        visit(state, text.len() as u64, &limits)?;
        // A word is a run of letters, digits and underscores.
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        Ok::<_, minijinja::Error>(words.filter(|word| !word.is_empty()).count())
    });
    environment.add_filter(
        "replace",
        move |state: &mut State<'_, '_>, value: &Value, from: &Value, to: &Value| {
            let text = |value| python::string(value, limits.prompt);
            methods::replace(state, &text(value)?, &text(from)?, &text(to)?, &limits)
        },
    );
}

/// `'%s' | format(x)`: as the operator, with values of its own, or with names.
fn format(format: &Value, values: Vec<Value>, limits: &Limits) -> Result<String, minijinja::Error> {
    let format = python::string(format, limits.prompt)?;
    match values.split_last() {
        Some((names, [])) if names.is_kwargs() => percent::format(&format, names, limits.prompt),
        _ => percent::format(&format, &Tuple::from(values).into(), limits.prompt),
    }
}

/// `text | indent(width=4, first=false, blank=false)`: as Jinja2, which keeps a last line end.
fn indent(text: &str, arguments: &[Value], limits: &Limits) -> Result<String, minijinja::Error> {
    let (arguments, names) = match arguments.split_last() {
        Some((last, rest)) if last.is_kwargs() => (rest, Some(last)),
        _ => (arguments, None),
    };
    let argument = |index: usize, name: &str| {
        let named =
            || names.and_then(|names| names.get_attr(name).ok()).filter(|value| !value.is_undefined());
        arguments.get(index).cloned().or_else(named)
    };
    let width = argument(0, "width").unwrap_or_else(|| Value::from(4));
    let width = match width.as_str() {
        Some(width) => width.to_string(),
        None => {
            let width = usize::try_from(width)?;
            if width > limits.prompt {
                return Err(too_large());
            }
            " ".repeat(width)
        }
    };
    let first = argument(1, "first").is_some_and(|value| value.is_true());
    let blank = argument(2, "blank").is_some_and(|value| value.is_true());
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = if first { width.clone() } else { String::new() };
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&width);
            }
        }
        out.push_str(line);
        if out.len() > limits.prompt {
            return Err(too_large());
        }
    }
    Ok(out)
}

/// What a filter does with the values in its argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// It reads the argument itself.
    Argument,
    /// It compares, hashes or writes all values in it.
    All,
    /// It puts them into new values.
    Nests,
}

/// Adds the filters of the engine, each of which first spends what it may cost.
fn add_counted(environment: &mut Environment<'static>, limits: Limits) {
    use Reads::{All, Argument, Nests};
    let counted = [
        ("upper", Argument, Value::from_function(filters::upper)),
        ("lower", Argument, Value::from_function(filters::lower)),
        ("title", Argument, Value::from_function(filters::title)),
        ("capitalize", Argument, Value::from_function(filters::capitalize)),
        ("trim", Argument, Value::from_function(filters::trim)),
        ("split", Argument, Value::from_function(filters::split)),
        ("lines", Argument, Value::from_function(filters::lines)),
        ("list", Argument, Value::from_function(filters::list)),
        ("map", Argument, Value::from_function(filters::map)),
        ("select", Argument, Value::from_function(filters::select)),
        ("reject", Argument, Value::from_function(filters::reject)),
        ("selectattr", Argument, Value::from_function(filters::selectattr)),
        ("rejectattr", Argument, Value::from_function(filters::rejectattr)),
        ("reverse", Argument, Value::from_function(filters::reverse)),
        ("escape", Argument, Value::from_function(filters::escape)),
        ("e", Argument, Value::from_function(filters::escape)),
        ("batch", Nests, Value::from_function(filters::batch)),
        ("slice", Nests, Value::from_function(filters::slice)),
        ("items", Nests, Value::from_function(filters::items)),
        ("dictsort", Nests, Value::from_function(filters::dictsort)),
        ("groupby", Nests, Value::from_function(filters::groupby)),
        ("sort", All, Value::from_function(filters::sort)),
        ("unique", All, Value::from_function(filters::unique)),
        ("min", All, Value::from_function(filters::min)),
        ("max", All, Value::from_function(filters::max)),
        ("sum", All, Value::from_function(filters::sum)),
        ("join", All, Value::from_function(filters::join)),
    ];
    for (name, reads, filter) in counted {
        environment.add_filter(name, move |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
            let arguments = arguments.into_values();
            spend(state, filter_cost(name, &arguments), &limits)?;
            if reads != Argument {
                visit_arguments(state, name, &arguments, &limits)?;
            }
            let value = filter.call(state, &arguments)?;
            if reads == Nests { operators::new(state, value, &limits) } else { settle(state, value, &limits) }
        });
    }
    // A text that is no number is zero, unless there is a default.
    for (name, filter, zero) in [
        ("int", Value::from_function(filters::int), Value::from(0)),
        ("float", Value::from_function(filters::float), Value::from(0.0)),
    ] {
        environment.add_filter(name, move |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
            let arguments = arguments.into_values();
            visit(state, arguments.first().map_or(0, visits_of_index), &limits)?;
            match filter.call(state, &arguments) {
                Err(_) if arguments.len() == 1 && arguments[0].as_str().is_some() => Ok(zero.clone()),
                result => result,
            }
        });
    }
    let length = Value::from_function(filters::length);
    for name in ["length", "count"] {
        let length = length.clone();
        environment.add_filter(name, move |state: &mut State<'_, '_>, value: &Value| {
            visit(state, visits_of_index(value), &limits)?;
            length.call(state, std::slice::from_ref(value))
        });
    }
}

/// Visits the arguments of a filter, as often as it may visit them itself.
fn visit_arguments(
    state: &mut State<'_, '_>,
    filter: &str,
    arguments: &[Value],
    limits: &Limits,
) -> Result<(), minijinja::Error> {
    for argument in arguments {
        let bytes = visit_all(state, argument, true, limits)?;
        match filter {
            "join" => spend(state, bytes, limits)?,
            // A sort compares each value about as often as the number of values has digits in base two.
            "sort" | "unique" | "groupby" | "dictsort" => {
                let comparisons = u64::from(argument.len().unwrap_or(0).max(1).ilog2());
                visit(state, comparisons.saturating_mul(bytes / 8), limits)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Adds tests as in Python, and counts those that compare.
fn add_tests(environment: &mut Environment<'static>, limits: Limits) {
    // A string is both, and `none` is neither.
    let is_sequence = |value: &Value| {
        value.is_undefined() || matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
    };
    environment.add_test("sequence", move |value: &Value| is_sequence(value));
    environment
        .add_test("iterable", move |value: &Value| is_sequence(value) || value.kind() == ValueKind::Iterable);
    type Comparison = (&'static [&'static str], fn(&Value, &Value) -> bool);
    let comparisons: [Comparison; 6] = [
        (&["eq", "equalto", "=="], |a, b| a == b),
        (&["ne", "!="], |a, b| a != b),
        (&["lt", "lessthan", "<"], |a, b| a < b),
        (&["le", "<="], |a, b| a <= b),
        (&["gt", "greaterthan", ">"], |a, b| a > b),
        (&["ge", ">="], |a, b| a >= b),
    ];
    for (names, compare) in comparisons {
        for name in names {
            environment.add_test(*name, move |state: &mut State<'_, '_>, a: &Value, b: &Value| {
                visit_all(state, a, true, &limits)?;
                visit_all(state, b, true, &limits)?;
                Ok::<_, minijinja::Error>(compare(a, b))
            });
        }
    }
    for (name, test) in
        [("lower", Value::from_function(tests::is_lower)), ("upper", Value::from_function(tests::is_upper))]
    {
        environment.add_test(name, move |state: &mut State<'_, '_>, value: &Value| {
            visit(state, visits_of_index(value), &limits)?;
            Ok::<_, minijinja::Error>(test.call(state, std::slice::from_ref(value))?.is_true())
        });
    }
    let is_in = Value::from_function(tests::is_in);
    environment.add_test("in", move |state: &mut State<'_, '_>, value: &Value, container: &Value| {
        visit_all(state, value, true, &limits)?;
        visit_all(state, container, true, &limits)?;
        Ok::<_, minijinja::Error>(is_in.call(state, &[value.clone(), container.clone()])?.is_true())
    });
}
