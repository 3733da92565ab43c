//! The built-in families render conversations with tools as the models' published templates do.
//! `jinja2/record_families.py` records what that is.

use sagewire_chat_template::{Date, Prompt, Template, TemplateError};
use sagewire_codec::{Api, read_request};
use serde_json::{Map, Value};

/// Conversations with calls or definitions of tools.
const WITH_TOOLS: &[&str] = &[
    "tools",
    "system_tools",
    "call",
    "system_call",
    "call_answer",
    "call_without_tools",
    "parallel",
    "rounds",
    "nested_arguments",
    "no_arguments",
    "text_and_call",
    "text_and_parallel",
    "reasoning_and_call",
];

/// What is known to differ: the family, the conversations, and why.
const DIFFERENT: &[(&str, &[&str], &str)] = &[
    (
        "deepseek-r1",
        WITH_TOOLS,
        "the published template does not end a single call, and leaves out definitions; as DeepSeek V3",
    ),
    (
        "gemma3",
        &[
            "call",
            "system_call",
            "call_answer",
            "call_without_tools",
            "parallel",
            "rounds",
            "nested_arguments",
            "text_and_call",
            "text_and_parallel",
            "reasoning_and_call",
        ],
        "the published template forgets the commas between arguments, which its own prompt asks for",
    ),
    (
        "gpt-oss",
        &["tools", "system_call", "nested_arguments", "no_arguments"],
        "the published template has the indent of its source in the types of nested objects",
    ),
    (
        "gpt-oss",
        &["parallel", "text_and_parallel"],
        "the published template leaves out all calls but the first",
    ),
];

fn recorded() -> Value {
    serde_json::from_str(include_str!("../testdata/families.json")).expect("valid JSON")
}

fn render(family: &str, conversation: &Value) -> Result<Prompt, TemplateError> {
    let body = conversation.as_str().expect("a request");
    let request = read_request(Api::OpenAi, body.as_bytes()).expect("a request");
    let date = Date::new(2026, 3, 5).expect("a day");
    let template = Template::named(family).expect("a family").bos(true).date(date);
    template.render(&request.messages, &request.tools)
}

#[test]
fn as_published() {
    let recorded = recorded();
    let mut different = Vec::new();
    let mut known = 0;
    for vector in recorded["vectors"].as_array().expect("vectors") {
        let text = |name: &str| vector[name].as_str().unwrap_or_default();
        let (family, name) = (text("family"), text("conversation"));
        let rendered = render(family, &recorded["conversations"][name]).map(|prompt| prompt.text);
        let is_equal = match (&rendered, vector["rendered"].as_str()) {
            (Ok(rendered), Some(expected)) => rendered == expected,
            // What a model's own template rejects may be an error, or a reported loss.
            (_, None) => true,
            (Err(_), Some(_)) => false,
        };
        let is_known = is_known(family, name);
        known += usize::from(is_known);
        if is_equal == is_known {
            let rendered = rendered.unwrap_or_else(|error| error.to_string());
            different.push(format!("{family} {name}\n  {}", difference(text("rendered"), &rendered)));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    assert_eq!(known, DIFFERENT.iter().map(|(_, names, _)| names.len()).sum::<usize>());
}

fn is_known(family: &str, name: &str) -> bool {
    DIFFERENT.iter().any(|(of, names, _)| *of == family && names.contains(&name))
}

/// What differs from the published templates, what is lost, and what is an error, for every family and conversation.
/// `SAGEWIRE_GOLDEN=write` writes the file anew.
#[test]
fn decided() {
    let recorded = recorded();
    let mut decided = Map::new();
    for family in Template::families() {
        for (name, conversation) in recorded["conversations"].as_object().expect("conversations") {
            let mut entry = Map::new();
            match render(family, conversation) {
                Ok(prompt) => {
                    if is_known(family, name) {
                        entry.insert("rendered".into(), prompt.text.into());
                    }
                    let losses = prompt.losses.as_slice().iter().map(ToString::to_string);
                    entry.insert("losses".into(), losses.collect());
                }
                Err(error) => {
                    assert!(error.is_rejected(), "{family} {name}: {error}");
                    entry.insert("error".into(), error.to_string().into());
                }
            }
            if entry.contains_key("rendered")
                || entry.get("losses").and_then(Value::as_array).is_none_or(|losses| !losses.is_empty())
            {
                decided.insert(format!("{family} {name}"), entry.into());
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/families_decided.json");
    let text = serde_json::to_string_pretty(&decided).expect("JSON") + "\n";
    if std::env::var_os("SAGEWIRE_GOLDEN").is_some() {
        std::fs::write(path, &text).expect("writable");
    }
    let golden = std::fs::read_to_string(path).expect("readable");
    assert!(golden == text, "{}", difference(&golden, &text));
}

/// Where two texts begin to differ.
fn difference(expected: &str, rendered: &str) -> String {
    let equal = expected.chars().zip(rendered.chars()).take_while(|(a, b)| a == b).count();
    let from = equal.saturating_sub(40);
    let part = |text: &str| text.chars().skip(from).take(160).collect::<String>();
    format!("expected …{:?}\n  rendered …{:?}", part(expected), part(rendered))
}
