//! The fields of a small document, by name.

use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Fault, Json, Kind, Object};

/// The limit of nesting, which is that of readers by default.
const DEPTH: usize = 127;

/// The fields of an object, with their values as JSON. A value that is not an object has none.
pub(crate) fn members(object: &str) -> Vec<(String, &str)> {
    let mut members = Vec::new();
    let mut json = Json::new(object.as_bytes(), 0, DEPTH);
    let read = json.object(|json, name| {
        let name = String::from_utf8_lossy(name).into_owned();
        members.push((name, &object[json.skip()?]));
        Ok(())
    });
    if read.is_ok() && is_end(object, &json) { members } else { Vec::new() }
}

/// The value of a field of an object as JSON. The last field of the name counts.
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    members(object).into_iter().rfind(|(known, _)| known == name).map(|(_, value)| value)
}

/// The offset of the value at a path in the object that begins at `offset`; `None` if there is none.
pub(crate) fn field_offset(source: &str, offset: usize, path: &str) -> Option<usize> {
    let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let mut found = None;
    let mut json = Json::new(source.as_bytes(), offset, DEPTH);
    let read = json.object(|json, known| {
        if known == name.as_bytes() {
            found = Some(json.value_at()?);
        }
        json.skip().map(drop)
    });
    let found = read.ok().and(found)?;
    rest.map_or(Some(found), |rest| field_offset(source, found, rest))
}

/// An object with this value for the field of this name, which is the last field then. `None` removes the field.
pub(crate) fn with_member(object: &str, name: &str, value: Option<&str>) -> String {
    let mut out = Vec::new();
    Object::write(&mut out, |written| {
        for (known, value) in members(object).iter().filter(|(known, _)| known != name) {
            written.raw(known, value);
        }
        if let Some(value) = value {
            written.raw(name, value);
        }
    });
    String::from_utf8_lossy(&out).into_owned()
}

/// The elements of an array as JSON. A value that is not an array has none.
pub(crate) fn elements(array: &str) -> Vec<&str> {
    let mut elements = Vec::new();
    let mut json = Json::new(array.as_bytes(), 0, DEPTH);
    let read = json.array(|json| {
        elements.push(&array[json.skip()?]);
        Ok::<_, Fault>(())
    });
    if read.is_ok() && is_end(array, &json) { elements } else { Vec::new() }
}

/// Whether the text ends after the document that was read.
fn is_end(text: &str, json: &Json<'_>) -> bool {
    text.as_bytes()[json.pos()..].trim_ascii().is_empty()
}

/// The text of a JSON string.
pub(crate) fn string(value: &str) -> Option<String> {
    let mut json = Json::new(value.as_bytes(), 0, DEPTH);
    if json.kind() != Ok(Kind::String) {
        return None;
    }
    let string = json.string().ok()?;
    Some(String::from_utf8_lossy(&json.unescaped(string)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_there() {
        let object = r#" {"a" : [1, {"b":2}], "\u0063":"x\n", "a": null }"#;
        let named: Vec<_> = members(object).into_iter().map(|(name, value)| (name, value.trim())).collect();
        assert_eq!(named, [("a".into(), r#"[1, {"b":2}]"#), ("c".into(), r#""x\n""#), ("a".into(), "null")]);
        assert_eq!(member(object, "a"), Some("null"));
        assert_eq!(member(object, "c").and_then(string).as_deref(), Some("x\n"));
        let [with, without] = [Some("7"), None].map(|value| with_member(object, "a", value));
        assert_eq!([&*with, &*without], [r#"{"c":"x\n","a":7}"#, r#"{"c":"x\n"}"#]);
        assert_eq!(elements("[1, [2] ,{}]"), ["1", "[2]", "{}"]);
        for broken in ["", "7", "{\"a\":}", "[1,", "{} 1", "[] 1"] {
            assert!(members(broken).is_empty() && elements(broken).is_empty() && string(broken).is_none());
        }
    }
}
