//! Conditions on the text of an output.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::fields::{Expected, Fields, Text};
use super::{Finding, InvalidAssertion, Output, javascript_regex};
use crate::provider::CallError;
use crate::template;

/// Maximum bytes of a compiled regular expression.
const MAX_REGEX: usize = 4 << 20;

/// A condition on the text of an output.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Equals(Expected),
    /// The output contains one of the texts, or all of them.
    Contains {
        texts: Vec<Text>,
        commas: bool,
        all: bool,
        ignore_case: bool,
    },
    StartsWith(Text),
    EndsWith(Text),
    Regex {
        pattern: Text,
        compiled: Option<Regex>,
    },
    WordCount(WordCount),
}

#[derive(Clone, Debug)]
pub(super) enum WordCount {
    Exactly(Text),
    Between(Option<f64>, Option<f64>),
}

impl Condition {
    /// `None` if this is another type.
    pub(super) fn read(kind: &str, fields: &Fields<'_>) -> Result<Option<Self>, InvalidAssertion> {
        let condition = match kind {
            "equals" => Self::Equals(fields.required("the expected output")?),
            "contains" | "icontains" => Self::Contains {
                texts: vec![text(fields)?],
                commas: false,
                all: true,
                ignore_case: kind == "icontains",
            },
            "contains-any" | "contains-all" | "icontains-any" | "icontains-all" => {
                let expected = fields.required("a list of texts, or texts with commas between them")?;
                let commas = matches!(expected, Expected::Text(_));
                let texts = expected.into_texts()?;
                if let (true, Some(text)) = (commas, texts.first().and_then(Text::fixed)) {
                    split(text).map_err(|error| InvalidAssertion::new("/value", error))?;
                }
                Self::Contains {
                    texts,
                    commas,
                    all: kind.ends_with("-all"),
                    ignore_case: kind.starts_with('i'),
                }
            }
            "starts-with" => Self::StartsWith(text(fields)?),
            "ends-with" => Self::EndsWith(text(fields)?),
            "regex" => {
                let pattern = fields.required("a regular expression")?.into_text("/value")?;
                let compiled = pattern.fixed().map(compile).transpose();
                Self::Regex {
                    compiled: compiled.map_err(|error| InvalidAssertion::new("/value", error))?,
                    pattern,
                }
            }
            "word-count" => Self::WordCount(WordCount::read(fields)?),
            _ => return Ok(None),
        };
        fields.only(&["type", "value", "weight", "metric", "transform"])?;
        Ok(Some(condition))
    }

    pub(super) fn check(&self, output: &Output<'_>) -> Result<Finding, CallError> {
        match self {
            Self::Equals(expected) => Ok(equals(output, &expected.render(output)?)),
            Self::Contains { texts, commas, all, ignore_case } => {
                Ok(contains(output, &values(texts, *commas, output)?, *all, *ignore_case))
            }
            Self::StartsWith(text) => {
                let text = text.render_some(output)?;
                Ok(fact(output.text.starts_with(&text), "starts with", "start with", &text))
            }
            Self::EndsWith(text) => {
                let text = text.render_some(output)?;
                Ok(fact(output.text.ends_with(&text), "ends with", "end with", &text))
            }
            Self::Regex { pattern, compiled } => {
                let pattern = pattern.render_some(output)?;
                let met = match compiled {
                    Some(regex) => regex.is_match(output.text),
                    None => compile(&pattern).map_err(CallError::new)?.is_match(output.text),
                };
                Ok(fact(met, "matches", "match", &pattern))
            }
            Self::WordCount(expected) => expected.check(output),
        }
    }
}

/// A text that is not empty.
fn text(fields: &Fields<'_>) -> Result<Text, InvalidAssertion> {
    fields.required("a text")?.into_text("/value")
}

/// A finding that says whether the output does something with a text.
fn fact(met: bool, does: &str, does_not: &str, text: &str) -> Finding {
    let text = shortened(text);
    Finding::new(
        met,
        if met {
            format!("the output {does} {text:?}")
        } else {
            format!("the output does not {does_not} {text:?}")
        },
    )
}

/// A text that is short enough for a reason.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A list or an object is compared as data with the output as JSON; anything else as text.
fn equals(output: &Output<'_>, expected: &Value) -> Finding {
    let equal = match expected {
        Value::Array(_) | Value::Object(_) => {
            serde_json::from_str::<Value>(output.text).is_ok_and(|value| same(&value, expected))
        }
        expected => output.text == template::text(expected),
    };
    let expected = shortened(&template::text(expected));
    Finding::new(
        equal,
        if equal {
            format!("the output equals {expected:?}")
        } else {
            format!("the output {:?} does not equal {expected:?}", shortened(output.text))
        },
    )
}

/// Whether two values are the same in JavaScript, where 1 and 1.0 are.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

/// The texts of a condition: those of a list, or those between the commas of one text.
fn values(texts: &[Text], commas: bool, output: &Output<'_>) -> Result<Vec<String>, CallError> {
    let rendered: Vec<_> = texts.iter().map(|text| text.render_some(output)).collect::<Result<_, _>>()?;
    match rendered.as_slice() {
        [text] if commas => split(text).map_err(|error| CallError::new(format_args!("value: {error}"))),
        _ => Ok(rendered),
    }
}

fn contains(output: &Output<'_>, texts: &[String], all: bool, ignore_case: bool) -> Finding {
    let lower = ignore_case.then(|| output.text.to_lowercase());
    let has = |text: &String| match &lower {
        Some(lower) => lower.contains(&text.to_lowercase()),
        None => output.text.contains(text),
    };
    let (found, missing): (Vec<_>, Vec<_>) = texts.iter().partition(|text| has(text));
    let quoted = |texts: &[&String]| {
        texts.iter().map(|text| format!("{:?}", shortened(text))).collect::<Vec<_>>().join(", ")
    };
    let met = if all { missing.is_empty() } else { !found.is_empty() };
    let (verb, texts) = if met { ("contains", found) } else { ("does not contain", missing) };
    Finding::new(met, format!("the output {verb} {}", quoted(&texts)))
}

/// Splits a text at its commas, as in promptfoo: a part in double quotes can have commas.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(|character: char| character == ',' || character.is_whitespace());
    while !rest.is_empty() {
        let part;
        (part, rest) = match rest.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted)?,
            None => {
                let (part, rest) = rest.split_once(',').unwrap_or((rest, ""));
                (part.trim().to_owned(), rest)
            }
        };
        parts.push(part);
        rest = rest.trim_start_matches(|character: char| character == ',' || character.is_whitespace());
    }
    if parts.is_empty() {
        return Err("it has no text between its commas".to_owned());
    }
    Ok(parts)
}

/// A part in double quotes, in which `\"`, `""` and `\\` are characters, and the text after it.
fn split_quoted(text: &str) -> Result<(String, &str), String> {
    let mut part = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        match (character, next) {
            ('\\', Some(escaped @ ('"' | '\\'))) | ('"', Some(escaped @ '"')) => {
                part.push(escaped);
                characters.next();
            }
            ('"', _) => {
                let rest = text[index + 1..].trim_start();
                if !rest.is_empty() && !rest.starts_with(',') {
                    return Err("a comma is missing after a text in quotes".to_owned());
                }
                return Ok((part, rest));
            }
            (character, _) => part.push(character),
        }
    }
    Err("a quote is not closed".to_owned())
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = javascript_regex::translate(pattern)?;
    let error = match RegexBuilder::new(&translated).size_limit(MAX_REGEX).build() {
        Ok(regex) => return Ok(regex),
        Err(error) => error.to_string(),
    };
    let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Err(format!("is not a regular expression: {reason}"))
}

impl WordCount {
    fn read(fields: &Fields<'_>) -> Result<Self, InvalidAssertion> {
        let invalid = |message: &str| InvalidAssertion::new("/value", message);
        match fields.required("a number of words, or \"min\" and \"max\"")? {
            Expected::Json(Value::Object(range)) => {
                if let Some(key) = range.keys().find(|key| !["min", "max"].contains(&key.as_str())) {
                    return Err(InvalidAssertion::new(
                        format!("/value/{key}"),
                        "is neither \"min\" nor \"max\"",
                    ));
                }
                let bound = |key: &str| match range.get(key) {
                    None => Ok(None),
                    Some(value) => value
                        .as_f64()
                        .map(Some)
                        .ok_or_else(|| InvalidAssertion::new(format!("/value/{key}"), "has to be a number")),
                };
                let (min, max) = (bound("min")?, bound("max")?);
                if min.is_none() && max.is_none() {
                    return Err(invalid("has neither \"min\" nor \"max\""));
                }
                if min.zip(max).is_some_and(|(min, max)| min > max) {
                    return Err(invalid("\"min\" is greater than \"max\""));
                }
                Ok(Self::Between(min, max))
            }
            expected => {
                let text = expected.into_text("/value")?;
                if text.fixed().is_some_and(|text| text.trim().parse::<f64>().is_err()) {
                    return Err(invalid("has to be a number"));
                }
                Ok(Self::Exactly(text))
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no output has 2^53 words")]
    fn check(&self, output: &Output<'_>) -> Result<Finding, CallError> {
        let count = output.text.split_whitespace().count() as f64;
        let (min, max) = match self {
            Self::Between(min, max) => (*min, *max),
            Self::Exactly(text) => {
                let text = text.render(output)?;
                let invalid = |_| CallError::new(format_args!("value: {text:?} is not a number"));
                let number = text.trim().parse::<f64>().map_err(invalid)?;
                (Some(number), Some(number))
            }
        };
        let met = min.is_none_or(|min| count >= min) && max.is_none_or(|max| count <= max);
        Ok(Finding::new(met, format!("the output has {count} words")))
    }
}
