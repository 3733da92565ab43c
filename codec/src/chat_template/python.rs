//! Values as Python writes them: templates are written for Jinja in Python.

use alloc::format;
use alloc::string::{String, ToString};

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// How far values may be nested.
const DEPTH: usize = 128;

/// How a value is written.
struct Style<'a> {
    json: bool,
    /// Spaces for each level, each item on a line of its own.
    indent: Option<usize>,
    between: &'a str,
    colon: &'a str,
}

/// A text that must not become longer than `limit`.
struct Writer<'a> {
    out: String,
    limit: usize,
    style: Style<'a>,
}

/// The value as `str` gives it.
pub(super) fn string(value: &Value, limit: usize) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_string()),
        None if value.is_undefined() => Ok(String::new()),
        None => {
            let style = Style { json: false, indent: None, between: ", ", colon: ": " };
            write(value, limit, style)
        }
    }
}

/// The filter `tojson` as transformers has it: `json.dumps` with `ensure_ascii=False`, and nothing escaped for HTML.
pub(super) fn to_json(
    value: &Value,
    indent: Option<usize>,
    kwargs: &Kwargs,
    limit: usize,
) -> Result<String, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => kwargs.get::<Option<usize>>("indent")?,
    };
    let separators = kwargs.get::<Option<Value>>("separators")?;
    // Neither changes anything here.
    kwargs.get::<Option<bool>>("ensure_ascii")?;
    kwargs.get::<Option<bool>>("sort_keys")?;
    kwargs.assert_all_used()?;
    let separator = |index| {
        separators
            .as_ref()
            .and_then(|separators| separators.get_item_by_index(index).ok())
            .filter(|it| it.kind() == ValueKind::String)
    };
    let (between, colon) = (separator(0), separator(1));
    let style = Style {
        json: true,
        indent: indent.map(|indent| indent.min(32)),
        between: between.as_ref().and_then(Value::as_str).unwrap_or(if indent.is_some() {
            ","
        } else {
            ", "
        }),
        colon: colon.as_ref().and_then(Value::as_str).unwrap_or(": "),
    };
    write(value, limit, style)
}

fn write(value: &Value, limit: usize, style: Style<'_>) -> Result<String, Error> {
    let mut writer = Writer { out: String::new(), limit, style };
    writer.value(value, 0)?;
    Ok(writer.out)
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deep"));
        }
        let json = self.style.json;
        match value.kind() {
            ValueKind::Undefined if json => {
                return Err(Error::new(ErrorKind::BadSerialization, "an undefined value is no JSON"));
            }
            ValueKind::Undefined => {}
            ValueKind::None => self.push(if json { "null" } else { "None" })?,
            ValueKind::Bool => self.push(match (value.is_true(), json) {
                (true, true) => "true",
                (false, true) => "false",
                (true, false) => "True",
                (false, false) => "False",
            })?,
            ValueKind::Number if value.is_integer() => self.push(&value.to_string())?,
            ValueKind::Number => match f64::try_from(value.clone()) {
                Ok(number) => self.push(&float(number))?,
                Err(_) => self.push(&value.to_string())?,
            },
            ValueKind::Map => self.map(value, depth)?,
            ValueKind::Seq | ValueKind::Iterable => {
                self.push("[")?;
                let mut count = 0;
                for item in value.try_iter()?.checked() {
                    self.item(count, depth)?;
                    count += 1;
                    self.value(&item?, depth + 1)?;
                }
                self.close("]", count, depth)?;
            }
            _ => match value.as_str() {
                Some(text) => self.text(text)?,
                None => self.text(&value.to_string())?,
            },
        }
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.push("{")?;
        let mut count = 0;
        for key in value.try_iter()?.checked() {
            let key = key?;
            self.item(count, depth)?;
            count += 1;
            match key.as_str() {
                Some(key) => self.text(key)?,
                None if self.style.json => self.text(&key.to_string())?,
                None => self.value(&key, depth + 1)?,
            }
            self.push(self.style.colon)?;
            self.value(&value.get_item(&key)?, depth + 1)?;
        }
        self.close("}", count, depth)
    }

    /// What stands before an item.
    fn item(&mut self, count: usize, depth: usize) -> Result<(), Error> {
        if count > 0 {
            self.push(self.style.between)?;
        }
        self.line(depth + 1)
    }

    fn close(&mut self, bracket: &str, count: usize, depth: usize) -> Result<(), Error> {
        if count > 0 {
            self.line(depth)?;
        }
        self.push(bracket)
    }

    fn line(&mut self, depth: usize) -> Result<(), Error> {
        match self.style.indent {
            Some(indent) => self.push(&format!("\n{:1$}", "", indent * depth)),
            None => Ok(()),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        // Python takes double quotes only for what has single ones and no double ones.
        let quote = match self.style.json {
            true => '"',
            false if text.contains('\'') && !text.contains('"') => '"',
            false => '\'',
        };
        let mut out = String::with_capacity(text.len() + 2);
        out.push(quote);
        for c in text.chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\\' => out.push_str("\\\\"),
                '\u{8}' if self.style.json => out.push_str("\\b"),
                '\u{c}' if self.style.json => out.push_str("\\f"),
                c if c == quote => out.extend(['\\', c]),
                c if c < ' ' && self.style.json => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c if c < ' ' || c == '\u{7f}' && !self.style.json => {
                    out.push_str(&format!("\\x{:02x}", u32::from(c)));
                }
                c => out.push(c),
            }
        }
        out.push(quote);
        self.push(&out)
    }

    fn push(&mut self, text: &str) -> Result<(), Error> {
        if self.out.len() + text.len() > self.limit {
            return Err(too_large());
        }
        self.out.push_str(text);
        Ok(())
    }
}

/// Bytes that a template has made of values so far.
struct Made(u64);

/// A prompt may take this many times its own size to make: texts are joined piece by piece.
const EFFORT: u64 = 64;

/// Counts bytes that a step of the template makes.
pub(super) fn make(state: &mut State<'_, '_>, bytes: u64, limit: usize) -> Result<(), Error> {
    let made = state.get_or_insert_extension(Made(0));
    made.0 = made.0.saturating_add(bytes);
    if made.0 > EFFORT.saturating_mul(limit as u64) { Err(too_large()) } else { Ok(()) }
}

/// Bytes of a value: of a list, what its texts have together with the list itself.
pub(super) fn size(value: &Value) -> u64 {
    /// Bytes of an item that is no text, and the most items that a list may have: `range` gives half as many.
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

/// The same for an operand of `*`: with what the other operand can make of it.
pub(super) fn factor(value: &Value) -> u64 {
    const MANY: i64 = 100_000;
    match value.as_i64() {
        Some(number) if !(-MANY..=MANY).contains(&number) => u64::MAX,
        Some(_) => 0,
        None => size(value).saturating_mul(MANY as u64),
    }
}

/// The same for an operand of `%`.
pub(super) fn format_effort(value: &Value) -> u64 {
    if has_width(value) { u64::MAX } else { size(value) }
}

/// Whether a text is a format with a wide field in it: `%9999d`, `{:>9999}`.
fn has_width(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    text.split(['%', ':', '.']).skip(1).any(|field| {
        let width = field.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        width.bytes().take_while(u8::is_ascii_digit).count() > 3
    })
}

/// What a filter may make of its arguments.
pub(super) fn effort(filter: &str, arguments: &[Value]) -> u64 {
    let is_format = filter == "format";
    let sizes = arguments.iter().map(|argument| match argument.as_i64() {
        // The width of an indent, or how many items a row has.
        Some(number) if matches!(filter, "indent" | "batch" | "slice") && number > 1000 => u64::MAX,
        Some(_) => 0,
        None if is_format && has_width(argument) => u64::MAX,
        // Each piece of a text becomes a value.
        None if matches!(filter, "split" | "list" | "lines") => size(argument).saturating_mul(4),
        None if filter == "indent" => size(argument).saturating_mul(16),
        None => size(argument),
    });
    let pieces = arguments.first().and_then(Value::len).filter(|_| filter == "join").unwrap_or(0) as u64;
    let joiner = arguments.get(1).and_then(Value::as_str).map_or(0, str::len) as u64;
    sizes.fold(pieces.saturating_mul(joiner), u64::saturating_add)
}

/// A value became too large.
pub(super) fn too_large() -> Error {
    Error::new(ErrorKind::InvalidOperation, "a value is too large").with_source(super::engine::TooLarge)
}

/// A number as `repr` gives it: the shortest digits that mean it, in scientific notation from 1e16 on and below 1e-4.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_string();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_string();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    // `Debug` has a point in every number.
    format!("{number:?}")
}

/// Methods of Python's types that are missing in what minijinja has of them, and those that must not grow a text without
/// bound.
pub(super) fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
    limit: usize,
) -> Result<Value, Error> {
    let text = |index: usize| arguments.get(index).and_then(Value::as_str);
    let receiver = core::slice::from_ref(value);
    let filter = if method == "splitlines" { "lines" } else { method };
    let effort = effort(filter, receiver).saturating_add(effort(filter, arguments));
    // `', '.join(list)` has its arguments the other way round.
    let joined = [arguments.first().cloned().unwrap_or_default(), value.clone()];
    make(state, if method == "join" { self::effort(method, &joined) } else { effort }, limit)?;
    if let Some(value) = value.as_str() {
        match (method, arguments.len()) {
            ("removeprefix", 1) => {
                return Ok(text(0).and_then(|prefix| value.strip_prefix(prefix)).unwrap_or(value).into());
            }
            ("removesuffix", 1) => {
                return Ok(text(0).and_then(|suffix| value.strip_suffix(suffix)).unwrap_or(value).into());
            }
            ("replace", 2) => {
                if let (Some(from), Some(to)) = (text(0), text(1)) {
                    return replace(state, value, from, to, limit).map(Value::from);
                }
            }
            _ => {}
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments)
}

/// Replaces all of `from` in `value`.
pub(super) fn replace(
    state: &mut State<'_, '_>,
    value: &str,
    from: &str,
    to: &str,
    limit: usize,
) -> Result<String, Error> {
    let grows = to.len().saturating_sub(from.len());
    let count = if grows > 0 { value.matches(from).count() } else { 0 };
    let len = count.saturating_mul(grows).saturating_add(value.len());
    if len > limit {
        return Err(too_large());
    }
    make(state, len as u64, limit)?;
    Ok(value.replace(from, to))
}
