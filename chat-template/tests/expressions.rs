//! Expressions are rendered as Jinja2 in Python renders them. `jinja2/record_expressions.py` records what that is.

use sagewire_chat_template::{Date, Template};
use sagewire_codec::model::{Content, Message, Part, Role};
use serde_json::Value;

/// What is known to differ, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("{{ lipsum is defined }}", "a function that writes random text, which nobody wants in a prompt"),
    ("{% set ns = namespace(a=1) %}{{ ns }}", "a namespace is written as a map"),
    ("{{ '%G' % 1e-7 }}", "the engine has no exponents with a sign in numbers"),
    ("{{ 'a\tb'.expandtabs(4) }}", "no published template was found that calls it"),
];

#[test]
fn as_in_python() {
    let recorded: Value =
        serde_json::from_str(include_str!("../testdata/expressions.json")).expect("valid JSON");
    let messages: Vec<_> = recorded["messages"].as_array().expect("messages").iter().map(message).collect();
    let mut different = Vec::new();
    let (mut count, mut known) = (0, 0);
    for group in recorded["groups"].as_array().expect("groups") {
        for vector in group["expressions"].as_array().expect("expressions") {
            count += 1;
            let source = vector["template"].as_str().expect("a template");
            let rendered = render(source, &recorded["values"], &messages);
            let is_equal = match (&rendered, vector["rendered"].as_str()) {
                (Ok(rendered), Some(expected)) => rendered == expected,
                (Err(_), None) => true,
                _ => false,
            };
            let is_known = DIFFERENT.iter().any(|(known, _)| *known == source);
            known += usize::from(is_known);
            if is_equal == is_known {
                different.push(format!(
                    "{source}\n  expected {}{}\n  rendered {rendered:?}",
                    vector["rendered"], vector["fails"]
                ));
            }
        }
    }
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
    assert_eq!(known, DIFFERENT.len(), "all known differences are recorded");
    assert!(count > 900, "{count} expressions");
}

fn render(source: &str, values: &Value, messages: &[Message<'_>]) -> Result<String, String> {
    let mut template = Template::from_jinja(source, "{}").map_err(|error| error.to_string())?;
    for (name, value) in values.as_object().expect("values") {
        template = template.variable(name, &value.to_string()).expect("valid JSON");
    }
    let template = template.date(Date::new(2026, 3, 5).expect("a day"));
    template.render(messages, &[]).map(|prompt| prompt.text).map_err(|error| error.to_string())
}

fn message(value: &Value) -> Message<'_> {
    let role = match value["role"].as_str() {
        Some("system") => Role::System,
        Some("assistant") => Role::Assistant,
        _ => Role::User,
    };
    let text = value["content"].as_str().expect("a text");
    Message::new(role, vec![Part::new(Content::Text(text.into()))])
}
