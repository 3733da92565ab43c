//! Values of the configuration: texts, numbers with suffixes, durations, rates, budgets, addresses, secrets and names.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::read::{FromYaml, Position, Reader, names};
use super::yaml::{Node, Value};
use super::{AccessLog, Budget, LossPolicy, Period, Rate, Secret, Streams, WhenDown};

/// The schema of a text with a pattern. Where the value comes from the environment, it is not known yet.
fn pattern(pattern: &str) -> serde_json::Value {
    json!({"type": "string", "pattern": format!(r"^({pattern}|.*\$\{{.*)$")})
}

impl FromYaml for String {
    fn schema() -> serde_json::Value {
        json!({"type": "string"})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.text(node)?;
        if text.is_empty() {
            reader.problem(node.at, "expected a text, found an empty one")
        } else {
            Some(text)
        }
    }
}

impl FromYaml for PathBuf {
    fn schema() -> serde_json::Value {
        String::schema()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        String::read(node, reader).map(|path| reader.path(&path))
    }
}

impl FromYaml for bool {
    fn schema() -> serde_json::Value {
        json!({"type": "boolean"})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => reader.parsed(node, "true or false", |text| text.parse().ok()),
        }
    }
}

impl FromYaml for f64 {
    fn schema() -> serde_json::Value {
        json!({"anyOf": [{"type": "number", "minimum": 0}, pattern("[0-9.]+")]})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let value = match &node.value {
            Value::Number(number) => number.as_f64(),
            _ => reader.parsed(node, "a number", |text| text.parse().ok()),
        }?;
        if value.is_finite() && value >= 0.0 {
            Some(value)
        } else {
            reader.problem(node.at, "expected a number that is not negative")
        }
    }
}

/// The suffixes of whole numbers.
const SUFFIXES: [(&str, u64); 12] = [
    ("", 1),
    ("B", 1),
    ("k", 1000),
    ("kB", 1000),
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Parses a number with one of the suffixes, such as `6MiB`, `1.5k` or `16_384`.
fn amount(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (_, factor) = SUFFIXES.iter().find(|(suffix, _)| *suffix == &text[digits.len()..])?;
    let digits = digits.trim_end().replace('_', "");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let whole = number(whole)?.checked_mul(*factor)?;
    if fraction.is_empty() {
        return (!digits.ends_with('.')).then_some(whole);
    }
    // The fraction of a suffix has to be a whole number, too.
    let scale = 10_u64.checked_pow(fraction.len().try_into().ok()?)?;
    let product = number(fraction)?.checked_mul(*factor)?;
    (product % scale == 0).then(|| whole.checked_add(product / scale))?
}

/// Parses digits only, without a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

macro_rules! whole_numbers {
    ($($type:ty),+) => {$(
        impl FromYaml for $type {
            fn schema() -> serde_json::Value {
                let text = pattern(r"[0-9][0-9_]*(\.[0-9]+)? ?([kMG]?B?|[KMGT]iB)");
                json!({"anyOf": [{"type": "integer", "minimum": 0}, text]})
            }

            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let what = "a whole number, such as 100, 200k or 6MiB";
                let value = match &node.value {
                    Value::Number(number) => number.as_u64(),
                    _ => Some(reader.parsed(node, what, amount)?),
                };
                match value.and_then(|value| value.try_into().ok()) {
                    Some(value) => Some(value),
                    None => reader.problem(node.at, format!("expected {what}, at most {}", <$type>::MAX)),
                }
            }
        }
    )+};
}

whole_numbers!(u32, u64, usize);

/// The units of durations, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];

/// Parses a duration such as `30s`, `250ms` or `1h30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (mut milliseconds, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == &rest[digits..digits + unit])?;
        milliseconds = number(&rest[..digits])?.checked_mul(*factor)?.checked_add(milliseconds)?;
        rest = &rest[digits + unit..];
    }
    (!text.is_empty()).then_some(Duration::from_millis(milliseconds))
}

impl FromYaml for Duration {
    const HAS_OFF: bool = true;

    fn schema() -> serde_json::Value {
        pattern("([0-9]+(ms|s|m|h|d))+")
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.parsed(node, "a duration with its unit, such as 30s, 250ms, 8m or 1h30m", duration)
    }
}

/// Parses `600/min`.
fn rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit.trim() {
        "s" | "sec" | "second" => 1,
        "min" | "minute" => 60,
        "h" | "hour" => 3600,
        "d" | "day" => 86_400,
        _ => return None,
    };
    Some(Rate { amount: amount(count.trim())?, per: Duration::from_secs(seconds) })
}

impl FromYaml for Rate {
    fn schema() -> serde_json::Value {
        pattern(r"[0-9][0-9_]*(\.[0-9]+)? ?[kMG]? ?/ ?(s|sec|second|min|minute|h|hour|d|day)")
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.parsed(node, "an amount in a period, such as 600/min, 200k/min, 10/s or 5000/day", rate)
    }
}

/// Parses `50 USD/month`.
fn budget(text: &str) -> Option<Budget> {
    let (amount, per) = text.split_once('/')?;
    let dollars: f64 = amount.trim().strip_suffix("USD")?.trim().parse().ok()?;
    let per = match per.trim() {
        "day" => Period::Day,
        "week" => Period::Week,
        "month" => Period::Month,
        "year" => Period::Year,
        _ => return None,
    };
    (dollars.is_finite() && dollars >= 0.0).then_some(Budget { dollars, per })
}

impl FromYaml for Budget {
    fn schema() -> serde_json::Value {
        pattern(r"[0-9]+(\.[0-9]+)? ?USD ?/ ?(day|week|month|year)")
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.parsed(node, "dollars in a period, such as 50 USD/month", budget)
    }
}

impl FromYaml for SocketAddr {
    const HAS_OFF: bool = true;

    fn schema() -> serde_json::Value {
        pattern(".*:[0-9]+")
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let localhost = |text: &str| {
            let port = text.strip_prefix("localhost:")?.parse().ok()?;
            Some((Ipv4Addr::LOCALHOST, port).into())
        };
        let parse = |text: &str| text.parse().ok().or_else(|| localhost(text));
        reader.parsed(node, "an IP address and a port, such as 127.0.0.1:4000", parse)
    }
}

/// The schema of `{file: PATH}`.
fn file_schema() -> serde_json::Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {"file": {"type": "string"}},
        "required": ["file"],
    })
}

/// The path in `{file: PATH}`.
fn file(node: &Node, reader: &mut Reader<'_>) -> Option<Located<PathBuf>> {
    let entries = reader.section(node, &["file"], &["file"])?;
    let entry = entries.iter().find(|entry| entry.key == "file")?;
    Located::read(&entry.node, reader)
}

impl FromYaml for Secret {
    fn schema() -> serde_json::Value {
        json!({"anyOf": [{"type": "string"}, file_schema()]})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let secret = match &node.value {
            Value::Section(_) => {
                let path = file(node, reader)?;
                reader.file(path.at, &path.value)?
            }
            Value::Text(text) => {
                if !text.contains("${") {
                    reader.note(node.at, LITERAL);
                }
                reader.text(node)?
            }
            _ => return reader.expected(node, "${NAME} or {file: PATH}"),
        };
        if secret.is_empty() {
            reader.problem(node.at, "the secret is empty")
        } else {
            Some(Self::new(secret))
        }
    }
}

/// The note on secrets in the file.
pub(super) const LITERAL: &str =
    "the secret is in the file as plain text; use the environment or a file of its own for it";

/// The SHA-256 of a client's key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(pub(super) [u8; 32]);

impl Hash {
    /// The hash of a key.
    pub(super) fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl FromYaml for Hash {
    fn schema() -> serde_json::Value {
        pattern("sha256:[0-9a-fA-F]{64}")
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let parse = |text: &str| hex::decode(text.strip_prefix("sha256:")?).ok()?.try_into().ok();
        reader
            .parsed(
                node,
                "`sha256:` and 64 hexadecimal digits; `sagewire serve --new-key NAME` makes one",
                parse,
            )
            .map(Self)
    }
}

/// Any JSON.
impl FromYaml for serde_json::Value {
    fn schema() -> serde_json::Value {
        json!({})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        node.json(&mut |node, text| reader.expand(node.at, text))
    }
}

/// A value with its position.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) at: Position,
    pub(super) value: T,
}

impl<T: FromYaml> FromYaml for Located<T> {
    const HAS_OFF: bool = T::HAS_OFF;

    fn schema() -> serde_json::Value {
        T::schema()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, reader).map(|value| Self { at: node.at, value })
    }
}

names!(LossPolicy, {"report" => Self::Report, "refuse" => Self::Refuse});
names!(WhenDown, {"local" => Self::Local, "deny" => Self::Deny});
names!(Streams, {"both" => Self::Both, "never" => Self::Never, "always" => Self::Always});

impl FromYaml for AccessLog {
    fn schema() -> serde_json::Value {
        json!({"anyOf": [{"enum": ["stderr", "off"]}, file_schema()]})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::Section(_) => file(node, reader).map(|path| Self::File(path.value)),
            _ => reader.parsed(node, "stderr, off, or {file: PATH}", |text| match text {
                "stderr" => Some(Self::Stderr),
                "off" => Some(Self::Off),
                _ => None,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("250ms", 250),
            ("8m", 480_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["", "30", "s", "1.5s", "-1s", "1 s", "1x", "é", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_have_suffixes() {
        for (text, value) in [
            ("600", 600),
            ("200k", 200_000),
            ("6MiB", 6 << 20),
            ("1.5k", 1500),
            ("2 GB", 2_000_000_000),
            ("16_384", 16_384),
            ("0", 0),
        ] {
            assert_eq!(amount(text), Some(value), "{text}");
        }
        for text in [
            "",
            "k",
            "1.5",
            "1.",
            ".5k",
            "-1",
            "+1",
            "6mib",
            "1e3",
            "99999999999999999999",
            "99999999999G",
            "é",
        ] {
            assert_eq!(amount(text), None, "{text}");
        }
    }

    #[test]
    fn rates_and_budgets_have_periods() {
        assert_eq!(rate("600/min"), Some(Rate { amount: 600, per: Duration::from_secs(60) }));
        assert_eq!(rate("200k / hour"), Some(Rate { amount: 200_000, per: Duration::from_secs(3600) }));
        assert_eq!(budget("50 USD/month"), Some(Budget { dollars: 50.0, per: Period::Month }));
        assert_eq!(budget("0.5USD / day"), Some(Budget { dollars: 0.5, per: Period::Day }));
        for text in
            ["600", "600/", "/min", "600/fortnight", "50 EUR/month", "-1 USD/day", "inf USD/day", "50 USD"]
        {
            assert!(rate(text).is_none() && budget(text).is_none(), "{text}");
        }
    }
}
