//! Published templates of models are rendered as Jinja2 in Python renders them. They are not part of this project:
//! `jinja2/record_published.py` describes how to run this test.

use std::collections::BTreeMap;
use std::path::Path;

use sagewire_chat_template::{ControlTokens, Date, Template, TemplateErrorKind};
use sagewire_codec::{Api, read_request};
use serde_json::Value;

#[test]
fn as_in_python() {
    let Some(folder) = std::env::var_os("SAGEWIRE_TEMPLATES") else { return };
    let read = |name: &str| std::fs::read_to_string(Path::new(&folder).join(name)).expect("readable");
    let recorded: Value =
        serde_json::from_str(include_str!("../testdata/families.json")).expect("valid JSON");
    let expected: BTreeMap<String, Option<String>> =
        serde_json::from_str(&read("published.json")).expect("valid JSON");
    let mut different = Vec::new();
    for (name, expected) in &expected {
        let (file, conversation) = name.rsplit_once(' ').expect("two names");
        let body = recorded["conversations"][conversation].as_str().expect("a request");
        let request = read_request(Api::OpenAi, body.as_bytes()).expect("a request");
        let config = r#"{"bos_token": "<s>", "eos_token": "</s>"}"#;
        let rendered = Template::from_jinja(&read(file), config).and_then(|template| {
            let template = template.bos(true).control_tokens(ControlTokens::Allow);
            let template = template.date(Date::new(2026, 3, 5).expect("a day"));
            template.render(&request.messages, &request.tools)
        });
        let is_equal = match (&rendered, expected) {
            (Ok(rendered), Some(expected)) => rendered.text == *expected,
            // A template without a word of calls leaves them out, which is an error here.
            (Err(error), Some(_)) => matches!(error.kind(), TemplateErrorKind::Unsupported { .. }),
            // The engine is more lenient: it iterates over `none`, and writes generators as JSON.
            (_, None) => true,
        };
        if !is_equal {
            let rendered = rendered.map_or_else(|error| error.to_string(), |prompt| prompt.text);
            let expected = expected.as_deref().unwrap_or("an error");
            let equal = expected.chars().zip(rendered.chars()).take_while(|(a, b)| a == b).count();
            let part = |text: &str| text.chars().skip(equal.saturating_sub(40)).take(100).collect::<String>();
            let (expected, rendered) = (part(expected), part(&rendered));
            different.push(format!("{name}\n  expected {expected:?}\n  rendered {rendered:?}"));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} differ:\n{}",
        different.len(),
        expected.len(),
        different.join("\n")
    );
}
