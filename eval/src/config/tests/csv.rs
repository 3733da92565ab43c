//! Tests in a CSV file, with promptfoo's columns.
//!
//! | column | what it has |
//! |---|---|
//! | `__expected`, `__expected1`, … | an assertion: see [`from_csv`] |
//! | `__description`, `__threshold`, `__prefix`, `__suffix` | those of the test |
//! | `__metadata:NAME`, `__metric` | no effect |
//! | any other | the variable of this name |

use std::path::Path;

use serde_json::{Map, Value};

use crate::assertion::from_csv;
use crate::config::document::{Document, Problem};

/// Reads the rows, each as a test with its line.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Document>, Problem> {
    let problem = |line, message: String| Problem { path: path.to_owned(), line, column: 1, message };
    let invalid = |error: csv::Error| {
        problem(error.position().map_or(1, csv::Position::line), error.to_string().replace('\n', " "))
    };
    let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(text.as_bytes());
    let columns = rows.headers().map_err(invalid)?.clone();
    let mut tests = Vec::new();
    for row in rows.records() {
        let row = row.map_err(invalid)?;
        let line = row.position().map_or(1, csv::Position::line);
        let mut test = Row::default();
        for (column, value) in columns.iter().zip(&row) {
            test.add(column, value).map_err(|message| problem(line, message))?;
        }
        tests.push(Document::of_line(path, line, test.into_test()));
    }
    Ok(tests)
}

/// A test in the making.
#[derive(Default)]
struct Row {
    test: Map<String, Value>,
    vars: Map<String, Value>,
    options: Map<String, Value>,
    assertions: Vec<Value>,
}

impl Row {
    fn add(&mut self, column: &str, value: &str) -> Result<(), String> {
        let is_assertion = column.strip_prefix("__expected");
        if is_assertion.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            self.assertions.extend(from_csv(value));
            return Ok(());
        }
        match column {
            "__description" if !value.is_empty() => self.test.insert("description".into(), value.into()),
            "__threshold" if !value.trim().is_empty() => {
                let threshold: f64 =
                    value.trim().parse().map_err(|_| format!("{column}: expected a number"))?;
                self.test.insert("threshold".into(), threshold.into())
            }
            "__prefix" => self.options.insert("prefix".into(), value.into()),
            "__suffix" => self.options.insert("suffix".into(), value.into()),
            "__description" | "__threshold" | "__metric" => None,
            _ if column.starts_with("__metadata:") => None,
            _ if column.starts_with("__") => return Err(format!("the column `{column}` is not supported")),
            _ => self.vars.insert(column.into(), value.into()),
        };
        Ok(())
    }

    fn into_test(mut self) -> Value {
        self.test.insert("vars".into(), self.vars.into());
        self.test.insert("options".into(), self.options.into());
        self.test.insert("assert".into(), self.assertions.into());
        self.test.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_tests() {
        let text =
            "topic,__expected,__expected2,__description,__threshold\n\"a, b\",contains:x,,d,0.5\nc,,,,\n";
        let rows = read(Path::new("t.csv"), text).unwrap();
        assert_eq!(
            rows[0].value,
            json!({"vars": {"topic": "a, b"}, "options": {}, "assert": [{"type": "contains", "value": "x"}],
                "description": "d", "threshold": 0.5})
        );
        assert_eq!(rows[1].value, json!({"vars": {"topic": "c"}, "options": {}, "assert": []}));
        assert_eq!(rows[1].root().problem("p").to_string(), "t.csv:3:1: p");
        let error = read(Path::new("t.csv"), "a,b\n1\n").unwrap_err();
        assert!(error.line == 2, "{error}");
        assert!(read(Path::new("t.csv"), "__config:x\n1\n").unwrap_err().message.contains("__config:x"));
    }
}
