//! Values and methods as in Python: models' templates are written for Jinja in Python.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use crate::budget::{DEPTH, too_deep, too_large};

/// How a value is written.
struct Style<'a> {
    json: bool,
    /// In JSON, whether everything but ASCII is escaped.
    ascii: bool,
    /// Whether the keys of maps are sorted.
    sorted: bool,
    /// Spaces for each level, with each item on its own line.
    indent: Option<usize>,
    /// Written between two items.
    separator: &'a str,
    /// Written between a key and its value.
    colon: &'a str,
}

/// A text of at most `limit` bytes.
struct Writer<'a> {
    out: String,
    limit: usize,
    style: Style<'a>,
}

/// `str(value)`.
pub(crate) fn string(value: &Value, limit: usize) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_string()),
        None if value.is_undefined() => Ok(String::new()),
        None => representation(value, limit),
    }
}

/// `repr(value)`.
pub(crate) fn representation(value: &Value, limit: usize) -> Result<String, Error> {
    let style =
        Style { json: false, ascii: false, sorted: false, indent: None, separator: ", ", colon: ": " };
    write(value, limit, style)
}

/// The filter `tojson` as in transformers: `json.dumps` with `ensure_ascii=False`, without escapes for HTML.
pub(crate) fn to_json(
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
    let ascii = kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
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
        ascii,
        sorted,
        indent: indent.map(|indent| indent.min(32)),
        separator: between.as_ref().and_then(Value::as_str).unwrap_or(if indent.is_some() {
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
            return Err(too_deep());
        }
        let json = self.style.json;
        match value.kind() {
            ValueKind::Undefined if json => {
                return Err(Error::new(ErrorKind::BadSerialization, "an undefined value is not JSON"));
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
                let is_tuple = value.is_tuple() && !json;
                self.push(if is_tuple { "(" } else { "[" })?;
                let mut count = 0;
                for item in value.try_iter()?.checked() {
                    self.item(count, depth)?;
                    count += 1;
                    self.value(&item?, depth + 1)?;
                }
                let close = match (is_tuple, count) {
                    (false, _) => "]",
                    (true, 1) => ",)",
                    (true, _) => ")",
                };
                self.close(close, count, depth)?;
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
        let mut keys = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
        if self.style.sorted {
            keys.sort();
        }
        for key in keys {
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

    /// Writes what precedes an item.
    fn item(&mut self, count: usize, depth: usize) -> Result<(), Error> {
        if count > 0 {
            self.push(self.style.separator)?;
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
        // Python uses double quotes only for a text with single quotes and without double quotes.
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
                c if self.style.ascii && !c.is_ascii() => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
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

/// `repr(number)`: the shortest digits that read back as the number, in scientific notation from 1e16 on and below 1e-4.
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
    // `Debug` writes a decimal point in every number.
    format!("{number:?}")
}
