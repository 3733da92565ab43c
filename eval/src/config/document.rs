//! A YAML or JSON file as a JSON value, with the position of each of its values, so that every mistake can be located.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

/// A file of a configuration, or a part of one.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) value: Value,
    /// The line and column of each value by its JSON pointer. Of a value in a section, the key counts.
    positions: HashMap<String, (u64, u64)>,
    /// The line and column of everything that has no position of its own.
    start: (u64, u64),
}

/// Something in a file that is wrong, or that has no effect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
    /// What it is, in one line.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path.display(), self.line, self.column, self.message)
    }
}

impl Document {
    /// Parses YAML or JSON. An empty file is `null`.
    ///
    /// The parser bounds depth, nodes and the expansion of aliases. Its messages have no excerpts, because those could have secrets.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Problem> {
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        let tree = serde_saphyr::from_str_with_options::<Option<Tree>>(text, options).map_err(|error| {
            let error = error.without_snippet();
            let formatter = serde_saphyr::DefaultMessageFormatter;
            let message = serde_saphyr::MessageFormatter::format_message(&formatter, error).into_owned();
            let (line, column) = error.location().map_or((1, 1), position);
            let message = message.lines().next().unwrap_or_default().to_owned();
            Problem { path: path.to_owned(), line, column, message }
        })?;
        let mut positions = HashMap::new();
        let value = match tree {
            Some(tree) => flatten(tree, &mut String::new(), None, &mut positions),
            None => Value::Null,
        };
        Ok(Self { path: path.to_owned(), value, positions, start: (1, 1) })
    }

    /// A value that was made from a line of a file.
    pub(super) fn of_line(path: &Path, line: u64, value: Value) -> Self {
        Self { path: path.to_owned(), value, positions: HashMap::new(), start: (line, 1) }
    }

    /// The value of the whole document.
    pub(super) fn root(&self) -> Node<'_> {
        Node { document: self, value: &self.value, pointer: String::new() }
    }

    /// The position of what a JSON pointer leads to: that of the longest part of it that has one.
    pub(super) fn position(&self, pointer: &str) -> (u64, u64) {
        let mut pointer = pointer;
        loop {
            if let Some(position) = self.positions.get(pointer) {
                return *position;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return self.start,
            }
        }
    }
}

/// A value of a document.
#[derive(Clone, Debug)]
pub(super) struct Node<'d> {
    pub(super) document: &'d Document,
    pub(super) value: &'d Value,
    pub(super) pointer: String,
}

impl<'d> Node<'d> {
    /// The value of a key, if this is a section that has it with a value other than null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(self.child(key, value))
    }

    /// The items of a list, or a single value as a list of one.
    pub(super) fn items(&self) -> Vec<Self> {
        match self.value {
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, item)| self.child(&index.to_string(), item)).collect()
            }
            Value::Null => Vec::new(),
            _ => vec![self.clone()],
        }
    }

    /// The entries of a section in the order of the file; none of another value.
    pub(super) fn entries(&self) -> Vec<(&'d str, Self)> {
        let Value::Object(map) = self.value else { return Vec::new() };
        let mut entries: Vec<_> = map.iter().map(|(key, value)| (&**key, self.child(key, value))).collect();
        entries.sort_by_key(|(_, node)| self.document.position(&node.pointer));
        entries
    }

    fn child(&self, token: &str, value: &'d Value) -> Self {
        let pointer = format!("{}/{}", self.pointer, escape(token));
        Self { document: self.document, value, pointer }
    }

    /// A problem with this value.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        self.problem_at("", message)
    }

    /// A problem with what a pointer from this value leads to.
    pub(super) fn problem_at(&self, pointer: &str, message: impl Into<String>) -> Problem {
        let (line, column) = self.document.position(&format!("{}{pointer}", self.pointer));
        Problem { path: self.document.path.clone(), line, column, message: message.into() }
    }

    /// What the value is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a section",
        }
    }
}

fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

fn position(location: Location) -> (u64, u64) {
    (location.line(), location.column())
}

/// A value of YAML with its position.
struct Tree {
    at: (u64, u64),
    value: Branch,
}

enum Branch {
    Scalar(Value),
    List(Vec<Tree>),
    /// Keys with their positions, and values.
    Section(Vec<(String, (u64, u64), Tree)>),
}

/// Makes a value of a tree, and notes the positions. `key` is the position of the key that the value has.
fn flatten(
    tree: Tree,
    pointer: &mut String,
    key: Option<(u64, u64)>,
    positions: &mut HashMap<String, (u64, u64)>,
) -> Value {
    positions.insert(pointer.clone(), key.unwrap_or(tree.at));
    let len = pointer.len();
    match tree.value {
        Branch::Scalar(value) => value,
        Branch::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                *pointer += &format!("/{index}");
                list.push(flatten(item, pointer, None, positions));
                pointer.truncate(len);
            }
            Value::Array(list)
        }
        Branch::Section(entries) => {
            let mut map = Map::new();
            for (name, at, item) in entries {
                *pointer += &format!("/{}", escape(&name));
                let value = flatten(item, pointer, Some(at), positions);
                map.insert(name, value);
                pointer.truncate(len);
            }
            Value::Object(map)
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Branch>::deserialize(deserializer)?;
        Ok(Self { at: position(spanned.defined), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Branch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BranchVisitor)
    }
}

struct BranchVisitor;

impl<'de> Visitor<'de> for BranchVisitor {
    type Value = Branch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Branch, E> {
        Ok(Branch::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Branch, E> {
        Ok(Branch::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Branch, E> {
        Ok(Branch::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Branch, E> {
        Ok(Branch::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Branch, E> {
        Ok(Branch::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Branch, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("the number is not finite"))?;
        Ok(Branch::Scalar(number.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Branch, E> {
        Ok(Branch::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Branch, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Branch::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Branch, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<Branch>>()? {
            let name = match key.value {
                Branch::Scalar(Value::String(text)) => text,
                Branch::Scalar(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
                _ => return Err(A::Error::custom("a key is not a text")),
            };
            entries.push((name, position(key.defined), map.next_value()?));
        }
        Ok(Branch::Section(entries))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_positions() {
        let text = "a: 1\nb:\n  - x: off\n    y: {z: [1.5, null, ~]}\n<<: {m: true}\n5: \"5\"\n";
        let document = Document::parse(Path::new("f.yaml"), text).unwrap();
        let expected =
            json!({"a": 1, "b": [{"x": "off", "y": {"z": [1.5, null, null]}}], "5": "5", "m": true});
        assert_eq!(document.value, expected);
        for (pointer, position) in [
            ("", (1, 1)),
            ("/a", (1, 1)),
            ("/b/0/x", (3, 5)),
            ("/b/0/y/z/0", (4, 13)),
            ("/b/0/none/z", (3, 5)),
            ("/m", (5, 6)),
        ] {
            assert_eq!(document.position(pointer), position, "{pointer}");
        }
        let node = document.root().get("b").unwrap();
        assert_eq!(node.problem_at("/0/y", "wrong").to_string(), "f.yaml:4:5: wrong");
        let keys: Vec<_> = document.root().entries().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "b", "m", "5"], "in the order of the file");
    }

    #[test]
    fn malformed_documents_are_errors_with_a_position_and_without_their_content() {
        for text in
            ["a: 1\nb: [canary-4711", "a: canary-4711\n b: 2", "a: \"canary-4711", "? [canary-4711]\n: 1"]
        {
            let problem = Document::parse(Path::new("f.yaml"), text).unwrap_err();
            assert!(problem.line >= 1 && !problem.to_string().contains("canary"), "{problem}");
        }
    }
}
