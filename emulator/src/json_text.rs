//! Serializes values that cannot fail to serialize.

use serde::Serialize;

/// The JSON of a value made of strings, numbers and structs.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers are JSON")
}
