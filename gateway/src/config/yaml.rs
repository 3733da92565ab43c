//! A YAML document as a tree of values with their positions, so that every mistake in it is found and can be located.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number};
use serde_saphyr::{Location, Spanned};

use super::read::{Position, Problem};

/// A value and where it is.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// The values of YAML that a configuration has.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Section(Vec<Entry>),
}

/// A key of a section with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: Position,
    pub(super) key: String,
    pub(super) node: Node,
}

/// Parses a document. An empty one is an empty section.
///
/// The parser bounds depth, nodes and the expansion of aliases. Its messages have no excerpts, because those could have secrets.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    match serde_saphyr::from_str_with_options::<Option<Node>>(text, options) {
        Ok(node) => Ok(node.unwrap_or(Node { at: Position::START, value: Value::Section(Vec::new()) })),
        Err(error) => {
            let error = error.without_snippet();
            let formatter = serde_saphyr::DefaultMessageFormatter;
            let message = serde_saphyr::MessageFormatter::format_message(&formatter, error).into_owned();
            let at = error.location().map_or(Position::START, position);
            // A parser may quote what it has found; a line of the file is enough.
            let message = message.lines().next().unwrap_or_default().to_owned();
            Err(Problem { at, message })
        }
    }
}

fn position(location: Location) -> Position {
    Position { line: location.line(), column: location.column() }
}

impl Node {
    /// The value of a key, if this is a section that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Section(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The position of what a JSON pointer leads to: the longest part of it that exists. Of a key that is there, the key counts.
    pub(super) fn position(&self, pointer: &str) -> Position {
        let (mut node, mut at) = (self, self.at);
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            (node, at) = match &node.value {
                Value::List(items) => match token.parse().ok().and_then(|index: usize| items.get(index)) {
                    Some(item) => (item, item.at),
                    None => break,
                },
                Value::Section(entries) => match entries.iter().find(|entry| entry.key == token) {
                    Some(entry) => (&entry.node, entry.at),
                    // A single value counts as a list of one.
                    None if token == "0" => (node, at),
                    None => break,
                },
                _ if token == "0" => (node, at),
                _ => break,
            };
        }
        at
    }

    /// What the value is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Section(_) => "a section",
        }
    }

    /// The value as JSON, with each text as `expand` returns it.
    pub(super) fn json(
        &self,
        expand: &mut impl FnMut(&Self, &str) -> Option<String>,
    ) -> Option<serde_json::Value> {
        Some(match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => expand(self, text)?.into(),
            Value::List(items) => {
                items.iter().map(|item| item.json(expand)).collect::<Option<Vec<_>>>()?.into()
            }
            Value::Section(entries) => {
                let field = |entry: &Entry| Some((entry.key.clone(), entry.node.json(expand)?));
                entries.iter().map(field).collect::<Option<Map<_, _>>>()?.into()
            }
        })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: position(spanned.defined), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<Value>>()? {
            let name = match key.value {
                Value::Text(text) => text,
                Value::Bool(value) => value.to_string(),
                Value::Number(number) => number.to_string(),
                _ => return Err(A::Error::custom("a key is not a text")),
            };
            entries.push(Entry { at: position(key.defined), key: name, node: map.next_value()? });
        }
        Ok(Value::Section(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_positions() {
        let text = "a: 1\nb:\n  - x: off\n    y: {z: [1.5, null, ~]}\n<<: {m: true}\n5: \"5\"\n";
        let node = parse(text).unwrap();
        let expected = r#"{"a":1,"b":[{"x":"off","y":{"z":[1.5,null,null]}}],"5":"5","m":true}"#;
        let json = node.json(&mut |_, text| Some(text.to_owned())).unwrap();
        assert_eq!(json, serde_json::from_str::<serde_json::Value>(expected).unwrap());
        for (pointer, line, column) in [
            ("", 1, 1),
            ("/a", 1, 1),
            ("/b/0/x", 3, 5),
            ("/b/0/y/z/0", 4, 13),
            ("/b/0/none/z", 3, 5),
            ("/m", 5, 6),
        ] {
            assert_eq!(node.position(pointer), Position { line, column }, "{pointer}");
        }
        assert_eq!(node.get("a").unwrap().at, Position { line: 1, column: 4 });
    }

    #[test]
    fn malformed_documents_are_errors_with_a_position_and_without_their_content() {
        let canary = "canary-4711";
        for (text, line) in [
            ("a: 1\nb: [canary-4711", 2),
            ("a: canary-4711\na: canary-4711\n", 2),
            ("a: canary-4711\n b: 2", 2),
            ("a: *canary-4711", 1),
            ("a: \"canary-4711", 1),
            ("a: !<canary-4711", 1),
            ("? [canary-4711]\n: 1", 1),
            ("a: .nan # canary-4711", 1),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.at.line >= 1 && problem.at.line <= line, "{text:?}: {problem:?}");
            assert!(!problem.message.contains(canary), "{problem:?}");
        }
    }

    #[test]
    fn documents_that_expand_without_end_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{items}]\n");
        }
        assert!(parse(&text).is_err());
        assert!(parse(&"[".repeat(10_000)).is_err());
    }
}
