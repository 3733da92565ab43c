//! Assertions in a column `__expected` of a CSV file: `contains-any: a, b` or `similar(0.8): text`.

use serde_json::{Map, Value, json};

use super::types;

/// Prefixes of earlier versions.
const LEGACY: [(&str, &str); 3] = [("grade", "llm-rubric"), ("fn", "javascript"), ("eval", "javascript")];

/// The assertion of a cell of a column `__expected`, as in a configuration in YAML. `None` if the cell is empty.
///
/// A cell that does not begin with the type of an assertion is the expected output. As in promptfoo, the default threshold of
/// `similar` is 0.8 here, and that of `rouge-n`, `levenshtein` and `answer-relevance` is 0.75.
///
/// ```
/// # use sagewire_eval::assertion::from_csv;
/// # use serde_json::json;
/// assert_eq!(from_csv("similar(0.9): Hello"), Some(json!({"type": "similar", "value": "Hello", "threshold": 0.9})));
/// assert_eq!(from_csv("Paris"), Some(json!({"type": "equals", "value": "Paris"})));
/// ```
///
/// Source: `src/csv.ts` of promptfoo.
pub fn from_csv(cell: &str) -> Option<Value> {
    let cell = cell.trim();
    if cell.is_empty() {
        return None;
    }
    if let Some(code) = cell.strip_prefix("file://") {
        let language =
            [(".py", "python"), (".js", "javascript"), (".ts", "javascript"), (".mjs", "javascript")]
                .into_iter()
                .find(|(extension, _)| code.ends_with(extension) || code.contains(&format!("{extension}:")));
        if let Some((_, language)) = language {
            return Some(json!({ "type": language, "value": code }));
        }
    }
    Some(typed(cell).unwrap_or_else(|| json!({ "type": "equals", "value": cell })))
}

/// The assertion of a cell that begins with a type.
fn typed(cell: &str) -> Option<Value> {
    // Types such as `similar:cosine` have a colon of their own.
    let colons = cell.match_indices(':').map(|(index, _)| index);
    let ends: Vec<_> = colons.chain([cell.len()]).take(2).collect();
    ends.into_iter()
        .rev()
        .find_map(|end| of_type(&cell[..end], cell.get(end + 1..).unwrap_or_default().trim()))
}

/// The assertion of a type with its threshold, and a value. `None` if there is no such type.
fn of_type(head: &str, value: &str) -> Option<Value> {
    let (name, threshold) = split_threshold(head)?;
    let (not, kind) = name.strip_prefix("not-").map_or(("", name), |kind| ("not-", kind));
    let kind = LEGACY.into_iter().find(|(prefix, _)| *prefix == kind).map_or(kind, |(_, kind)| kind);
    if !types::is_known(kind) {
        return None;
    }
    let mut assertion = Map::from_iter([("type".to_owned(), format!("{not}{kind}").into())]);
    if !value.is_empty() {
        assertion.insert("value".to_owned(), value.into());
    }
    if let Some(threshold) = threshold.or(default_threshold(kind)) {
        assertion.insert("threshold".to_owned(), threshold.into());
    }
    Some(Value::Object(assertion))
}

/// Splits `similar(0.8)`. `None` if what is in the parentheses is no number.
fn split_threshold(head: &str) -> Option<(&str, Option<f64>)> {
    let Some((name, rest)) = head.split_once('(') else { return Some((head, None)) };
    let number = rest.strip_suffix(')')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    (digits(whole) && digits(fraction))
        .then(|| number.parse().ok())
        .flatten()
        .map(|number| (name, Some(number)))
}

fn default_threshold(kind: &str) -> Option<f64> {
    match kind {
        "similar" => Some(0.8),
        "rouge-n" | "levenshtein" | "answer-relevance" => Some(0.75),
        _ => None,
    }
}
