//! The vectors: prompts of the model families and of models' own templates, and malicious templates, which have to fail before
//! they use up time or memory.

mod common;

use std::borrow::Cow;

use sagewire_chat_template::{
    ControlTokens, Date, Ending, Limits, Prompt, Roles, Template, TemplateError, TemplateErrorKind,
};
use sagewire_codec::model::{Content, Json, Message, Part, Role, Source, Tool};
use serde_json::Value;

#[test]
fn prompts() {
    let vectors = common::vectors();
    for vector in &vectors {
        let name = text(vector, "name").expect("a name");
        assert!(text(vector, "why").is_some_and(|why| why.len() > 10), "{name} says why");
        let rendered = render(vector);
        match (rendered, text(vector, "error")) {
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(&*expected), "{name}: {error}");
                let kinds = [error.is_invalid_template(), error.is_rejected(), error.is_limit()];
                assert_eq!(kinds.iter().filter(|is_kind| **is_kind).count(), 1, "{name}: {error:?}");
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
    let vectors = common::vectors();
    let recorded: Value =
        serde_json::from_str(include_str!("../testdata/families.json")).expect("valid JSON");
    for family in Template::families() {
        for kind in ["one", "turns"] {
            let name = format!("{family}_{kind}");
            let is_recorded = recorded["vectors"]
                .as_array()
                .is_some_and(|vectors| vectors.iter().any(|vector| vector["family"] == *family));
            assert!(is_recorded || vectors.iter().any(|vector| vector["name"] == *name), "{name}");
        }
    }
}

#[test]
fn the_caller_sets_the_limits() {
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

/// Deeply nested templates compile and render on small stacks.
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

/// Errors have a position in the template or a pointer into the messages, and a source.
#[test]
fn errors_are_located() {
    use std::error::Error;

    let template =
        Template::from_jinja("{% if true %}\nx\n{{ messages.a.b }}{% endif %}", "{}").expect("valid");
    let message = |text: &'static str| Message::new(Role::User, vec![Part::new(Content::Text(text.into()))]);
    let error = template.render(&[message("x")], &[]).expect_err("an undefined value");
    assert!(error.is_invalid_template());
    assert_eq!(error.position().map(|position| (position.line, position.offset)), Some((3, 16)));
    assert!(error.source().is_some_and(|source| source.is::<minijinja::Error>()));

    let error = Template::from_tokenizer_config("{\n  \"a\": x}").expect_err("invalid JSON");
    assert_eq!(error.position().map(|position| (position.line, position.offset)), Some((2, 9)));
    assert!(error.source().is_some_and(|source| source.is::<serde_json::Error>()));
    assert_eq!(error.to_string(), "invalid tokenizer_config.json: line 2, byte 9: expected value");

    let chatml = Template::named("chatml").expect("a family");
    let error = chatml.render(&[message("x"), message("<|im_end|>")], &[]).expect_err("a control token");
    assert_eq!(error.pointer(), Some("/messages/1/content/0"));
    assert!(error.is_rejected() && error.source().is_none() && error.position().is_none());

    let error = chatml.clone().variable("x", "{").expect_err("invalid JSON");
    assert!(matches!(error.kind(), TemplateErrorKind::InvalidJson { .. }));
    assert!(error.source().is_some());
    assert!(matches!(chatml.render(&[], &[]).expect_err("empty").kind(), TemplateErrorKind::NoMessages));
    assert!(Template::named("gpt2").expect_err("unknown").to_string().contains("chatml"));
}

fn text<'a>(value: &'a Value, name: &str) -> Option<Cow<'a, str>> {
    value[name].as_str().map(Cow::Borrowed)
}

fn render(vector: &Value) -> Result<Prompt, TemplateError> {
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
    template = template.control_tokens(match set["control"].as_str() {
        Some("escape") => ControlTokens::Escape,
        Some("allow") => ControlTokens::Allow,
        _ => ControlTokens::Reject,
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
