//! Templates with variables, and expressions.
//!
//! promptfoo's templates are Nunjucks. What configurations use of it is Jinja as well; values that are no text appear as they do
//! there: lists and objects as JSON, `null` as nothing, whole numbers without a fraction. Of JavaScript, expressions have what is most
//! frequent in configurations: `JSON.parse(output).field`, `JSON.stringify`, `toUpperCase`, `toLowerCase`, and `trim`.

use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, escape_formatter};
use serde_json::{Map, Value};

/// Steps that a template may take.
const FUEL: u64 = 200_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default());
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(format);
    environment.set_unknown_method_callback(method);
    environment.add_global("JSON", minijinja::Value::from_object(Json));
    environment.add_filter("dump", to_json);
    environment.add_filter("tojson", to_json);
    environment.add_filter("fromjson", from_json);
    environment
});

/// Checks the syntax of a template.
///
/// # Errors
///
/// What is wrong, in one line.
pub(crate) fn check(template: &str) -> Result<(), String> {
    if is_plain(template) {
        return Ok(());
    }
    ENVIRONMENT.template_from_str(template).map(|_| ()).map_err(|error| message(&error))
}

/// Replaces the variables of a template.
///
/// # Errors
///
/// A variable is not defined, a filter has failed, or the template takes too many steps.
pub(crate) fn render(template: &str, vars: &Map<String, Value>) -> Result<String, String> {
    if is_plain(template) {
        return Ok(template.to_owned());
    }
    ENVIRONMENT.render_str(template, Serde(vars)).map_err(|error| message(&error))
}

/// Checks the syntax of an expression.
///
/// # Errors
///
/// What is wrong, in one line. An expression that is JavaScript is named as such.
pub(crate) fn check_expression(expression: &str) -> Result<(), String> {
    if let Some(mark) = javascript(expression) {
        return Err(format!(
            "JavaScript is not run ({mark:?}); use an expression of Jinja, such as {:?} or {:?}",
            "output | upper", "(output | fromjson).answer"
        ));
    }
    ENVIRONMENT.compile_expression(expression).map(|_| ()).map_err(|error| message(&error))
}

/// The value of an expression.
///
/// # Errors
///
/// A variable is not defined, a filter has failed, the expression takes too many steps, or its value is not JSON.
pub(crate) fn evaluate(expression: &str, vars: &Map<String, Value>) -> Result<Value, String> {
    let expression = ENVIRONMENT.compile_expression(expression).map_err(|error| message(&error))?;
    let value = expression.eval(Serde(vars)).map_err(|error| message(&error))?;
    if value.is_undefined() {
        return Err("the value is not defined".to_owned());
    }
    serde_json::to_value(value).map_err(|error| error.to_string())
}

/// What tells JavaScript from Jinja.
fn javascript(expression: &str) -> Option<&'static str> {
    const MARKS: [&str; 12] =
        ["=>", "===", "!==", "&&", "||", "?.", ";", "return ", "function(", "function (", "${", "file://"];
    MARKS.into_iter().find(|mark| expression.contains(mark))
}

/// A text without tags needs no engine.
pub(crate) fn is_plain(template: &str) -> bool {
    !["{{", "{%", "{#"].iter().any(|tag| template.contains(tag))
}

fn format(
    out: &mut minijinja::Output<'_>,
    state: &mut State<'_, '_>,
    value: &minijinja::Value,
) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::None => String::new(),
        ValueKind::Bool | ValueKind::Number | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            text(&serde_json::to_value(value).map_err(invalid)?)
        }
        _ => return escape_formatter(out, state, value),
    };
    out.write_str(&text).map_err(invalid)
}

/// A value as text: itself if it is a text, JSON otherwise, with numbers as in JavaScript.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => self::number(number),
        value => value.to_string(),
    }
}

/// A number as JavaScript writes it: whole numbers without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "it is a whole number of at most 53 bits")]
fn number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
            (value as i64).to_string()
        }
        _ => number.to_string(),
    }
}

/// JavaScript's object `JSON`.
#[derive(Debug)]
struct Json;

impl Object for Json {
    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[minijinja::Value],
    ) -> Result<minijinja::Value, Error> {
        match (method, args) {
            ("parse", [text]) => from_json(text.as_str().ok_or_else(|| invalid("JSON.parse takes a text"))?),
            ("stringify", [value]) => to_json(value).map(Into::into),
            _ => Err(Error::new(ErrorKind::UnknownMethod, format!("JSON.{method}"))),
        }
    }
}

/// The methods of Python, and those of JavaScript that do the same.
fn method(
    state: &mut State<'_, '_>,
    value: &minijinja::Value,
    method: &str,
    args: &[minijinja::Value],
) -> Result<minijinja::Value, Error> {
    let method = match method {
        "toUpperCase" => "upper",
        "toLowerCase" => "lower",
        "trim" => "strip",
        method => method,
    };
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}

fn to_json(value: &minijinja::Value) -> Result<String, Error> {
    serde_json::to_string(value).map_err(invalid)
}

fn from_json(text: &str) -> Result<minijinja::Value, Error> {
    let value: Value = serde_json::from_str(text).map_err(invalid)?;
    Ok(Serde(value).into())
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.to_string())
}

/// An error of the engine, in one line and without the name that it gives to texts.
fn message(error: &Error) -> String {
    let mut message = error.kind().to_string();
    if let Some(detail) = error.detail() {
        message = format!("{message}: {detail}");
    }
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vars(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn values_appear_as_in_nunjucks() {
        let vars = vars(
            &json!({"a": "x", "n": 1.0, "f": 0.5, "l": [1, "b"], "o": {"k": null}, "z": null, "t": true}),
        );
        for (template, expected) in [
            ("{{a}}", "x"),
            ("{{ a | upper }}!\n", "X!\n"),
            ("{{n}} {{f}}", "1 0.5"),
            ("{{l}}", r#"[1,"b"]"#),
            ("{{o}}", r#"{"k":null}"#),
            ("[{{z}}]", "[]"),
            ("{{t}}", "true"),
            ("{% for x in l %}{{x}},{% endfor %}", "1,b,"),
            ("{{ o | dump }}", r#"{"k":null}"#),
            ("<b>{{a}}</b> & no tags", "<b>x</b> & no tags"),
        ] {
            assert_eq!(render(template, &vars).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_variable_that_is_not_defined_is_an_error() {
        let error = render("{{ missing }}", &Map::new()).unwrap_err();
        assert!(error.contains("undefined"), "{error}");
        assert_eq!(render("{{ missing | default('') }}", &Map::new()).as_deref(), Ok(""));
        assert_eq!(render("{% if missing %}a{% else %}b{% endif %}", &Map::new()).as_deref(), Ok("b"));
    }

    #[test]
    fn a_template_has_a_bound() {
        assert!(render("{% for a in range(100000) %}{{a}}{% endfor %}", &Map::new()).is_err());
        assert!(check("{% if %}").is_err());
    }

    #[test]
    fn expressions_give_json() {
        let vars = vars(&json!({"output": "{\"a\": [1, 2]}", "text": " Hi "}));
        assert_eq!(evaluate("(output | fromjson).a[1]", &vars), Ok(json!(2)));
        assert_eq!(evaluate("text.strip().lower()", &vars), Ok(json!("hi")));
        assert!(evaluate("(output | fromjson).b", &vars).is_err());
        assert!(evaluate("text | fromjson", &vars).is_err());
        assert_eq!(evaluate("JSON.parse(output).a", &vars), Ok(json!([1, 2])));
        assert_eq!(
            evaluate("JSON.stringify(vars.list)", &self::vars(&json!({"vars": {"list": [1]}}))),
            Ok(json!("[1]"))
        );
        assert_eq!(evaluate("text.trim().toUpperCase()", &vars), Ok(json!("HI")));
        assert!(evaluate("JSON.parse(text)", &vars).is_err());
        assert!(evaluate("JSON.other(text)", &vars).is_err());
        assert!(check_expression("text === 'a'").unwrap_err().contains("JavaScript"));
        assert!(check_expression("output +").is_err());
    }
}
