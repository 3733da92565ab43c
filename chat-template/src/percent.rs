//! Python's `%` on texts: `'%s has %d items' % (name, count)`.
//!
//! Follows <https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting>, except that numbers are bounded.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use crate::budget::too_large;
use crate::python;

/// Most digits of a number after its point.
const PRECISION: usize = 1000;

/// Formats `values`: a tuple, a mapping, or one value.
///
/// # Errors
///
/// The format is malformed, a value has the wrong type, values are missing or left over, or the text is longer than `limit`.
pub(crate) fn format(format: &str, values: &Value, limit: usize) -> Result<String, Error> {
    let mut arguments = Arguments::new(values)?;
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (field, after) = Field::parse(rest, &mut arguments)?;
        rest = after;
        let value = match field.key {
            Some(key) => arguments.named(key)?,
            None => arguments.next()?,
        };
        out.push_str(&field.format(&value, limit)?);
        if out.len() > limit {
            return Err(too_large());
        }
    }
    out.push_str(rest);
    if !arguments.is_mapping && arguments.next < arguments.values.len() {
        return Err(fault("not all values were used by the format"));
    }
    if out.len() > limit { Err(too_large()) } else { Ok(out) }
}

fn fault(reason: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// The values of a format.
struct Arguments {
    values: Vec<Value>,
    next: usize,
    /// In Python, a list has items as a mapping has, so it may be left over.
    is_mapping: bool,
}

impl Arguments {
    fn new(value: &Value) -> Result<Self, Error> {
        let is_mapping = !value.is_tuple()
            && matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable);
        let values = if value.is_tuple() { value.try_iter()?.collect() } else { Vec::from([value.clone()]) };
        Ok(Self { values, next: 0, is_mapping })
    }

    fn next(&mut self) -> Result<Value, Error> {
        let value = self.values.get(self.next).ok_or_else(|| fault("not enough values for the format"))?;
        self.next += 1;
        Ok(value.clone())
    }

    fn named(&mut self, key: &str) -> Result<Value, Error> {
        let [mapping] = &self.values[..] else { return Err(fault("the format requires a mapping")) };
        if mapping.kind() != ValueKind::Map {
            return Err(fault("the format requires a mapping"));
        }
        self.next = 1;
        match mapping.get_item(&Value::from(key))? {
            value if value.is_undefined() => Err(fault(format!("the format has no value for `{key}`"))),
            value => Ok(value),
        }
    }
}

/// A conversion: `%(name)-10.3s`.
struct Field<'a> {
    key: Option<&'a str>,
    flags: String,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

impl<'a> Field<'a> {
    /// Parses what follows a percent sign, and returns what follows the field.
    fn parse(text: &'a str, arguments: &mut Arguments) -> Result<(Self, &'a str), Error> {
        let incomplete = || fault("the format ends within a field");
        let (key, mut rest) = match text.strip_prefix('(') {
            Some(text) => {
                let len = key_len(text).ok_or_else(incomplete)?;
                (Some(&text[..len]), &text[len + 1..])
            }
            None => (None, text),
        };
        let after = rest.trim_start_matches(['-', '+', ' ', '#', '0']);
        let mut flags = rest[..rest.len() - after.len()].to_string();
        rest = after;
        let mut width = 0;
        if let Some(number) = number(&mut rest, arguments)? {
            // A negative width aligns to the left.
            if number < 0 {
                flags.push('-');
            }
            width = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
        }
        let mut precision = None;
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            let number = number(&mut rest, arguments)?.unwrap_or(0);
            precision = Some(usize::try_from(number).unwrap_or(0));
        }
        rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
        let conversion = rest.chars().next().ok_or_else(incomplete)?;
        let field = Self { key, flags, width, precision, conversion };
        Ok((field, &rest[conversion.len_utf8()..]))
    }

    fn format(&self, value: &Value, limit: usize) -> Result<String, Error> {
        if self.width > limit {
            return Err(too_large());
        }
        let text = match self.conversion {
            's' => python::string(value, limit)?,
            'r' => python::representation(value, limit)?,
            'a' => ascii(&python::representation(value, limit)?),
            'c' => return Ok(self.align("", &character(value)?.to_string(), false)),
            'd' | 'i' | 'u' => return self.integer(integer(value, true)?, limit),
            'o' | 'x' | 'X' => return self.integer(integer(value, false)?, limit),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => return self.float(float(value)?),
            other => return Err(fault(format!("unsupported format character `{other}`"))),
        };
        let len = self.precision.and_then(|precision| text.char_indices().nth(precision));
        Ok(self.align("", &text[..len.map_or(text.len(), |(at, _)| at)], false))
    }

    /// Pads a text to the width. Zeros of a number follow its sign.
    fn align(&self, sign: &str, text: &str, zeros: bool) -> String {
        let padding = self.width.saturating_sub(sign.chars().count() + text.chars().count());
        match (self.flags.contains('-'), zeros && self.flags.contains('0')) {
            (true, _) => [sign, text, &" ".repeat(padding)].concat(),
            (false, true) => [sign, &"0".repeat(padding), text].concat(),
            (false, false) => [&" ".repeat(padding), sign, text].concat(),
        }
    }

    fn sign(&self, is_negative: bool) -> &'static str {
        match is_negative {
            true => "-",
            false if self.flags.contains('+') => "+",
            false if self.flags.contains(' ') => " ",
            false => "",
        }
    }

    fn integer(&self, number: i128, limit: usize) -> Result<String, Error> {
        let magnitude = number.unsigned_abs();
        let (prefix, digits) = match self.conversion {
            'o' => ("0o", format!("{magnitude:o}")),
            'x' => ("0x", format!("{magnitude:x}")),
            'X' => ("0X", format!("{magnitude:X}")),
            _ => ("", magnitude.to_string()),
        };
        let zeros = self.precision.unwrap_or(0).saturating_sub(digits.len());
        if zeros > limit {
            return Err(too_large());
        }
        let prefix = if self.flags.contains('#') { prefix } else { "" };
        let sign = [self.sign(number < 0), prefix].concat();
        Ok(self.align(&sign, &["0".repeat(zeros), digits].concat(), true))
    }

    fn float(&self, number: f64) -> Result<String, Error> {
        let precision = self.precision.unwrap_or(6);
        if precision > PRECISION {
            return Err(too_large());
        }
        let sign = self.sign(number.is_sign_negative() && !number.is_nan());
        let magnitude = number.abs();
        let mut text = match self.conversion.to_ascii_lowercase() {
            _ if !magnitude.is_finite() => format!("{magnitude}").to_lowercase(),
            'e' => scientific(magnitude, precision).0,
            'f' => format!("{magnitude:.precision$}"),
            _ => self.general(magnitude, precision.max(1)),
        };
        if self.flags.contains('#') && magnitude.is_finite() && !text.contains('.') {
            text.insert(text.find('e').unwrap_or(text.len()), '.');
        }
        if self.conversion.is_ascii_uppercase() {
            text.make_ascii_uppercase();
        }
        Ok(self.align(sign, &text, magnitude.is_finite()))
    }

    /// `%g`: this many significant digits, in scientific notation if the number is very large or small.
    fn general(&self, magnitude: f64, digits: usize) -> String {
        let (text, exponent) = scientific(magnitude, digits - 1);
        let last = i64::try_from(digits).unwrap_or(i64::MAX);
        let is_fixed = (-4..last).contains(&exponent);
        let text = if is_fixed {
            let decimals = usize::try_from(last - 1 - exponent).unwrap_or(0);
            format!("{magnitude:.decimals$}")
        } else {
            text
        };
        let (number, exponent) = text.split_at(text.find('e').unwrap_or(text.len()));
        let number = match number.contains('.') && !self.flags.contains('#') {
            true => number.trim_end_matches('0').trim_end_matches('.'),
            false => number,
        };
        [number, exponent].concat()
    }
}

/// A number in scientific notation, and its exponent.
fn scientific(magnitude: f64, precision: usize) -> (String, i64) {
    let text = format!("{magnitude:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    (format!("{digits}e{sign}{:02}", exponent.unsigned_abs()), exponent)
}

/// Bytes of a key, which may contain parentheses itself.
fn key_len(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    text.bytes().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return true,
            b')' => depth -= 1,
            _ => {}
        }
        false
    })
}

/// A width or precision: digits, or `*` for the next value.
fn number(rest: &mut &str, arguments: &mut Arguments) -> Result<Option<i64>, Error> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        let value = arguments.next()?;
        return value.as_i64().map(Some).ok_or_else(|| fault("`*` requires an integer"));
    }
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &rest[..rest.len() - after.len()];
    *rest = after;
    // More digits than fit are too wide in any case.
    Ok(if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(i64::MAX)) })
}

/// The integer of `%d` or `%x`. Only the former accepts a number with a fraction.
fn integer(value: &Value, truncates: bool) -> Result<i128, Error> {
    /// Numbers with a fraction are smaller.
    const RANGE: f64 = 1e38;
    match value.kind() {
        ValueKind::Bool => Ok(value.is_true().into()),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()),
        ValueKind::Number if truncates => match f64::try_from(value.clone())?.trunc() {
            number if (-RANGE..=RANGE).contains(&number) => Ok(number as i128),
            _ => Err(fault("the number is out of range")),
        },
        kind => Err(fault(format!("the format requires an integer, not {kind}"))),
    }
}

fn float(value: &Value) -> Result<f64, Error> {
    match value.kind() {
        ValueKind::Bool => Ok(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()),
        kind => Err(fault(format!("the format requires a number, not {kind}"))),
    }
}

fn character(value: &Value) -> Result<char, Error> {
    let mut text = value.as_str().unwrap_or_default().chars();
    let character = match (value.kind(), text.next(), text.next()) {
        (ValueKind::String, character, None) => character,
        (ValueKind::String, ..) => None,
        _ => u32::try_from(integer(value, false)?).ok().and_then(char::from_u32),
    };
    character.ok_or_else(|| fault("`%c` requires one character"))
}

/// Escapes everything but ASCII, as Python's `ascii` does.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            0..0x80 => out.push(c),
            code @ 0x80..0x100 => out.push_str(&format!("\\x{code:02x}")),
            code @ 0x100..0x10000 => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}
