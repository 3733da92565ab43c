//! JSON with fields in insertion order, as in the responses of real containers.

use std::fmt;

/// A JSON value. `{}` writes it compactly, `{:#}` with the spaces of Python's `json.dumps`.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Count(u64),
    Number(f64),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
    /// A JSON text.
    Raw(String),
}

impl Json {
    /// Adds a field to an object, unless the value is `None`.
    pub(crate) fn with(mut self, name: &'static str, value: Option<impl Into<Self>>) -> Self {
        if let (Self::Object(members), Some(value)) = (&mut self, value) {
            members.push((name, value.into()));
        }
        self
    }
}

/// A JSON object of names and values.
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::container::json::Json::Object(vec![$(($name, $crate::container::json::Json::from($value))),*])
    };
}
pub(crate) use object;

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (comma, colon) = if f.alternate() { (", ", ": ") } else { (",", ":") };
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Count(value) => write!(f, "{value}"),
            // With a decimal point, as all servers write it.
            Self::Number(value) => write!(f, "{value:?}"),
            Self::Raw(text) => f.write_str(text),
            Self::Text(text) => f.write_str(&crate::json_text::to_json(text)),
            Self::Array(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { comma })?;
                    fmt::Display::fmt(value, f)?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}\"{name}\"{colon}", if at == 0 { "" } else { comma })?;
                    fmt::Display::fmt(value, f)?;
                }
                f.write_str("}")
            }
        }
    }
}

impl From<()> for Json {
    fn from((): ()) -> Self {
        Self::Null
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::Count(value as u64)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

/// Must be finite.
impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<&String> for Json {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Self>> for Json {
    fn from(values: Vec<Self>) -> Self {
        Self::Array(values)
    }
}

impl<const N: usize> From<[Self; N]> for Json {
    fn from(values: [Self; N]) -> Self {
        Self::Array(values.into())
    }
}

/// `None` is `null`.
impl<T: Into<Self>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_are_json_and_keep_the_order() {
        let value = object! {
            "z": [Json::from(1_usize), Json::from(-0.5), Json::from(2.0)],
            "a": object! { "text": "a, \"b\": é\n", "none": None::<bool>, "yes": Some(true) },
            "empty": Vec::new(),
        };
        let compact = r#"{"z":[1,-0.5,2.0],"a":{"text":"a, \"b\": é\n","none":null,"yes":true},"empty":[]}"#;
        let spaced = r#"{"z": [1, -0.5, 2.0], "a": {"text": "a, \"b\": é\n", "none": null, "yes": true}, "empty": []}"#;
        assert_eq!((value.to_string(), format!("{value:#}")), (compact.into(), spaced.into()));
    }
}
