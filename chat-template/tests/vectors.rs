//! Prompts: the strings of the model families, templates of models, and templates that mean harm, which have to end before
//! they take all time or memory.
#![cfg(feature = "templates")]

mod common;

use std::borrow::Cow;

use sagewire_codec::DecodeError;
use sagewire_codec::chat_template::{Control, Date, Ending, Limits, Prompt, Roles, Template};
use sagewire_codec::model::{Content, Json, Message, Part, Role, Source, Tool};
use serde_json::Value;

#[test]
fn prompts() {
    let vectors = common::read_json(&common::testdata("chat_templates.json"));
    let vectors = vectors.as_array().expect("a list");
    for vector in vectors {
        let name = text(vector, "name").expect("a name");
        assert!(text(vector, "why").is_some_and(|why| why.len() > 10), "{name} says why");
        let rendered = render(vector);
        match (rendered, text(vector, "error")) {
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(&*expected), "{name}: {error}");
                assert!(error.is_refused() || error.is_limit(), "{name}: {error}");
                assert!(!error.is_corrupt(), "{name}: {error}");
            }
            (Ok(prompt), None) => {
                assert_eq!(prompt.text, vector["prompt"].as_str().expect("a prompt"), "{name}");
                if let Some(stop) = vector["stop"].as_array() {
                    assert_eq!(
                        &prompt.stop.iter().map(|stop| Value::from(&**stop)).collect::<Vec<_>>(),
                        stop
                    );
                }
                let losses: Vec<_> = prompt.losses.as_slice().iter().map(ToString::to_string).collect();
                let expected = vector["losses"].as_array().cloned().unwrap_or_default();
                assert_eq!(losses.into_iter().map(Value::from).collect::<Vec<_>>(), expected, "{name}");
            }
            (rendered, expected) => panic!("{name}: {rendered:?}, expected {expected:?}"),
        }
    }
    assert!(vectors.len() >= 190);
}

#[test]
fn every_family_has_vectors() {
    let vectors = common::read_json(&common::testdata("chat_templates.json"));
    let vectors = vectors.as_array().expect("a list");
    for family in Template::families() {
        for kind in ["one", "turns"] {
            let name = format!("{family}_{kind}");
            assert!(vectors.iter().any(|vector| vector["name"] == *name), "{name}");
        }
    }
}

#[test]
fn limits_are_the_callers() {
    let config = r#"{"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}"#;
    let template = Template::from_tokenizer_config(config).expect("a template");
    let messages = [Message::new(Role::User, vec![Part::new(Content::Text("x".repeat(100).into()))])];
    assert!(template.clone().render(&messages, &[]).is_ok());
    for limits in [Limits { prompt: 99, ..Limits::default() }, Limits { steps: 3, ..Limits::default() }] {
        let error = template.clone().limits(limits).render(&messages, &[]).expect_err("a limit");
        assert!(error.is_limit(), "{error}");
    }
    let long = format!(r#"{{"chat_template": "{}"}}"#, "x".repeat(1024 * 1024 + 1));
    assert!(Template::from_tokenizer_config(&long).expect_err("too long").is_limit());
}

/// Templates are compiled and rendered on small stacks, too.
#[test]
fn nesting_does_not_need_a_large_stack() {
    let run = || {
        let nested = "{% if true %}".repeat(140) + &"{% endif %}".repeat(140);
        for source in [
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
            "{{ ".to_owned() + &"[".repeat(100_000),
            "{{ ".to_owned() + &"-".repeat(100_000) + "1 }}",
            "{{ 1".to_owned() + &" ~ 1".repeat(20_000) + " }}",
            "{{ messages".to_owned() + &"[0]".repeat(20_000) + " }}",
            nested,
            "{% if x %}".to_owned() + &"{% elif x %}".repeat(20_000) + "{% endif %}",
            "{{ 1".to_owned() + &" ~ 1".repeat(990) + " }}",
            "{{ 1".to_owned() + &" and 1".repeat(990) + " }}",
            "{{ messages".to_owned() + &".a".repeat(990) + " }}",
            "{{ messages".to_owned() + &"|a".repeat(990) + " }}",
            "{% if x %}".to_owned() + &"{% elif x %}".repeat(390) + "{% endif %}",
            "{{ [".to_owned() + &"{'a': [".repeat(60),
        ] {
            let messages = [Message::new(Role::User, vec![Part::new(Content::Text("x".into()))])];
            let _ = Template::from_jinja(&source, "{}").and_then(|template| template.render(&messages, &[]));
        }
    };
    std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no overflow");
}

fn text<'a>(value: &'a Value, name: &str) -> Option<Cow<'a, str>> {
    value[name].as_str().map(Cow::Borrowed)
}

fn render(vector: &Value) -> Result<Prompt, DecodeError> {
    let source = &vector["template"];
    let mut template = if let Some(name) = source["named"].as_str() {
        Template::named(name)?
    } else if let Some(roles) = source.get("roles") {
        Template::from_roles(serde_json::from_value::<Roles>(roles.clone()).expect("roles"))
    } else {
        Template::from_tokenizer_config(&source["config"].to_string())?
    };
    let set = &vector["set"];
    template = template.bos(set["bos"] == true);
    template = template.ending(match set["ending"].as_str() {
        Some("message") => Ending::Message,
        Some("continue") => Ending::Continue,
        _ => Ending::Prompt,
    });
    template = template.control(match set["control"].as_str() {
        Some("escape") => Control::Escape,
        Some("allow") => Control::Allow,
        _ => Control::Refuse,
    });
    if let Some(date) = set["date"].as_array() {
        let number = |index: usize| date[index].as_u64().expect("a number");
        template =
            template.date(Date::new(number(0) as u16, number(1) as u8, number(2) as u8).expect("a day"));
    }
    if let Some(name) = set["choose"].as_str() {
        template = template.choose(name)?;
    }
    for (name, value) in set["variables"].as_object().into_iter().flatten() {
        template = template.variable(name, &value.to_string())?;
    }
    let messages: Vec<_> = vector["messages"].as_array().expect("messages").iter().map(message).collect();
    let tools: Vec<_> = vector["tools"].as_array().into_iter().flatten().map(tool).collect();
    template.render(&messages, &tools)
}

fn message(value: &Value) -> Message<'_> {
    let role = match value["role"].as_str().expect("a role") {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => Role::Other(other.into()),
    };
    let content = match &value["content"] {
        Value::String(text) => vec![Part::new(Content::Text(text.into()))],
        parts => parts.as_array().expect("parts").iter().map(|value| Part::new(part(value))).collect(),
    };
    let mut message = Message::new(role, content);
    message.name = text(value, "name");
    message
}

fn part(value: &Value) -> Content<'_> {
    let id = text(value, "id");
    if let Some(text) = text(value, "text") {
        Content::Text(text.into())
    } else if let Some(text) = text(value, "reasoning") {
        Content::Reasoning { text: text.into(), signature: None }
    } else if let Some(url) = text(value, "image") {
        Content::Image { source: Source::Url(url), detail: None }
    } else if let Some(name) = text(value, "call") {
        Content::ToolCall {
            id,
            name,
            input: text(value, "input").expect("input").into(),
            custom: value["custom"] == true,
        }
    } else {
        let content = vec![Part::new(Content::Text(text(value, "result").expect("a result").into()))];
        Content::ToolResult { id, content, is_error: None }
    }
}

fn tool(value: &Value) -> Tool<'_> {
    let mut tool = Tool::new(text(value, "name").expect("a name"));
    tool.description = text(value, "description").map(Into::into);
    tool.schema = text(value, "schema").map(Json);
    tool
}
