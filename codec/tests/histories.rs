//! Long conversations of agents, as tolerant containers and the APIs themselves accept them, in all other APIs: what they become is
//! accepted by the official clients, and follows the rules that their types do not express.
//!
//! `SAGEWIRE_PYTHON` names a Python with the packages of `tests/requirements.txt`; default: `python3`. Without them, the checks
//! against the clients' types are skipped.

mod common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::requests::{convert, lines, named};
use proptest::prelude::*;
use sagewire_codec::model::Outcome;
use serde_json::{Value, json};

/// The APIs whose clients have types.
const TARGETS: [&str; 4] = ["openai", "responses", "anthropic", "bedrock"];

/// Each conversation in each other API: the losses are golden, renewed with `SAGEWIRE_GOLDEN=write`.
#[test]
fn conversations_convert() {
    let path = common::testdata("histories.json");
    let mut conversations = common::read_json(&path);
    let renew = std::env::var_os("SAGEWIRE_GOLDEN").is_some_and(|value| value == "write");
    let mut written = Vec::new();
    for conversation in conversations.as_array_mut().expect("a list") {
        let name = common::name_of(conversation).to_owned();
        let api = conversation["api"].as_str().expect("an API").to_owned();
        let messages = ["messages", "input"].iter().find_map(|field| conversation["body"][field].as_array());
        assert!(messages.expect("messages").len() >= 20, "{name}");
        for target in TARGETS.into_iter().filter(|target| *target != api) {
            let (body, losses) = convert(&api, target, &conversation["body"]).expect(&name);
            follows_the_rules(target, &body).unwrap_or_else(|why| panic!("{name} to {target}: {why}"));
            if renew {
                conversation["losses"][target] = json!(lines(&losses));
            } else {
                assert_eq!(json!(lines(&losses)), conversation["losses"][target], "{name} to {target}");
            }
            is_stable(target, &body).unwrap_or_else(|why| panic!("{name} to {target}: {why}"));
            written.push(json!({"name": name, "api": target, "body": body}));
        }
    }
    assert!(written.len() >= 30, "{}", written.len());
    if renew {
        let lines: Vec<String> =
            conversations.as_array().into_iter().flatten().map(Value::to_string).collect();
        std::fs::write(path, format!("[\n {}\n]\n", lines.join(",\n "))).expect("a file");
    }
    if let Some(problems) = problems_of_clients(&written) {
        assert_eq!(problems, "", "the clients do not accept what was written");
    }
}

/// What a strict API accepts needs no repair: written for the other strict API, no call and no result changes.
fn is_stable(api: &str, body: &Value) -> Result<(), String> {
    let other = match api {
        "bedrock" => "anthropic",
        "anthropic" => "bedrock",
        _ => return Ok(()),
    };
    let (_, losses) = convert(api, other, body).map_err(|error| error.to_string())?;
    let is_repair = |name: Option<&str>| matches!(name, Some("tool result"));
    match losses.iter().find(|loss| is_repair(loss.name)) {
        Some(loss) => Err(format!("it is repaired again: {loss}")),
        None => Ok(()),
    }
}

/// The reports of the clients' types; `None` if there are no clients.
fn problems_of_clients(requests: &[Value]) -> Option<String> {
    let python = std::env::var_os("SAGEWIRE_PYTHON").unwrap_or_else(|| "python3".into());
    let imports = ["-c", "import anthropic, botocore, openai, pydantic"];
    let has_clients = Command::new(&python).args(imports).stderr(Stdio::null()).status();
    if !has_clients.is_ok_and(|status| status.success()) {
        println!("skipped: no python3 with the packages of tests/requirements.txt");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validate_requests.py");
    let mut child = Command::new(&python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("it is piped");
    for request in requests {
        writeln!(input, "{request}").expect("it reads");
    }
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the script fails");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

/// The calls and results of a block, by their IDs.
enum Block<'b> {
    Call(&'b str),
    Result(&'b str),
    Content,
}

fn block(block: &Value) -> Result<Block<'_>, String> {
    let id = |at: &str| block.pointer(at).and_then(Value::as_str);
    match (block["type"].as_str(), block.as_object()) {
        (Some("tool_use"), _) => id("/id").map(Block::Call),
        (Some("tool_result"), _) => id("/tool_use_id").map(Block::Result),
        (None, Some(fields)) if fields.contains_key("toolUse") => id("/toolUse/toolUseId").map(Block::Call),
        (None, Some(fields)) if fields.contains_key("toolResult") => {
            id("/toolResult/toolUseId").map(Block::Result)
        }
        _ => Some(Block::Content),
    }
    .ok_or_else(|| format!("{block} has no ID"))
}

/// The rules of Converse and Anthropic that no type expresses.
fn follows_the_rules(api: &str, body: &Value) -> Result<(), String> {
    match api {
        "openai" => return results_follow_calls(body),
        "responses" => return outputs_follow_calls(body),
        _ => {}
    }
    let messages = body["messages"].as_array().ok_or("no messages")?;
    let (mut ids, mut open, mut last) = (BTreeSet::new(), BTreeSet::new(), "assistant");
    for message in messages {
        let role = message["role"].as_str().ok_or("no role")?;
        if role == last {
            return Err(format!("two turns of {role}"));
        }
        last = role;
        let blocks = message["content"].as_array().filter(|blocks| !blocks.is_empty());
        let (mut found, mut is_over) = (BTreeSet::new(), false);
        for value in blocks.ok_or("a turn without content")? {
            has_text(value)?;
            match block(value)? {
                Block::Call(id) if role != "assistant" => return Err(format!("a call {id} of {role}")),
                Block::Call(id) if !ids.insert(id) => return Err(format!("two calls {id}")),
                Block::Call(id) => is_over = !found.insert(id),
                Block::Result(id) if is_over => return Err(format!("the result {id} is not first")),
                Block::Result(id) if !open.remove(id) => return Err(format!("a result {id} without a call")),
                Block::Result(_) => {}
                Block::Content => is_over = true,
            }
        }
        if !open.is_empty() {
            return Err(format!("no results of {open:?}"));
        }
        open = found;
    }
    if open.is_empty() { Ok(()) } else { Err(format!("no results of {open:?}")) }
}

/// A block of text is not blank.
fn has_text(block: &Value) -> Result<(), String> {
    match block.get("text").and_then(Value::as_str) {
        Some(text) if text.trim().is_empty() => Err("a blank text".to_owned()),
        _ => Ok(()),
    }
}

/// In chats, each result names a call before it.
fn results_follow_calls(body: &Value) -> Result<(), String> {
    let mut calls = BTreeSet::new();
    for message in body["messages"].as_array().ok_or("no messages")? {
        calls.extend(
            message["tool_calls"].as_array().into_iter().flatten().map(|call| call["id"].to_string()),
        );
        let id = message["tool_call_id"].to_string();
        let is_known = message["role"] != "tool" || calls.contains(&id);
        if !is_known && !id.contains("_old") && !id.contains("_gone") {
            return Err(format!("a result {id} without a call"));
        }
    }
    Ok(())
}

/// In Responses, each call has one output after it, and each output a call.
fn outputs_follow_calls(body: &Value) -> Result<(), String> {
    if body["input"].is_string() {
        return Ok(());
    }
    let (mut ids, mut open) = (BTreeSet::new(), BTreeSet::new());
    for item in body["input"].as_array().ok_or("no items")? {
        let id = item["call_id"].as_str();
        match (item["type"].as_str().unwrap_or("message"), id) {
            ("function_call" | "custom_tool_call", Some(id)) if ids.insert(id) => drop(open.insert(id)),
            ("function_call_output" | "custom_tool_call_output", Some(id)) if open.remove(id) => {}
            ("message" | "reasoning", None) => {}
            _ => return Err(format!("{item} is out of place")),
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("no outputs of {open:?}")) }
}

/// A message of a chat: texts, calls and results with few IDs, so that they collide.
fn message() -> impl Strategy<Value = Value> {
    let id = || prop_oneof![Just(None), "[0-2]".prop_map(Some), Just(Some("f.g:0".to_owned()))];
    let with_id = |mut value: Value, field: &str, id: Option<String>| {
        if let Some(id) = id {
            value[field] = json!(id);
        }
        value
    };
    let call = id().prop_map(move |id| {
        let call = json!({"type": "function", "function": {"name": "f", "arguments": "{}"}});
        with_id(call, "id", id)
    });
    let text = || prop_oneof![Just(""), Just("a"), Just("b")];
    prop_oneof![
        text().prop_map(|text| json!({"role": "user", "content": text})),
        (text(), proptest::collection::vec(call, 0..3))
            .prop_map(|(text, calls)| json!({"role": "assistant", "content": text, "tool_calls": calls})),
        (id(), 0..99u32).prop_map(move |(id, text)| {
            with_id(json!({"role": "tool", "content": format!("result {text}.")}), "tool_call_id", id)
        }),
        Just(json!({"role": "system", "content": "s"})),
    ]
}

proptest! {
    /// Whatever a conversation is, what is sent follows the rules, needs no repair, and has the content of each result.
    #[test]
    fn any_conversation_is_repaired(messages in proptest::collection::vec(message(), 1..16)) {
        let mut messages = messages;
        messages.push(json!({"role": "user", "content": "go on"}));
        let body = json!({"messages": messages});
        for target in ["anthropic", "bedrock", "responses"] {
            let (written, losses) = convert("openai", target, &body).expect("it has content");
            let checked = follows_the_rules(target, &written).and_then(|()| is_stable(target, &written));
            prop_assert!(checked.is_ok(), "{target}: {checked:?}\n{body}\n{written}");
            let text = written.to_string();
            let lost = |index: usize| {
                let path = format!("/messages/{index}/content");
                losses.iter().any(|loss| loss.path == path && loss.outcome == Outcome::Dropped)
            };
            for (index, message) in body["messages"].as_array().expect("a list").iter().enumerate() {
                let content = message["content"].as_str().expect("a text");
                let is_there = text.contains(content) || lost(index);
                prop_assert!(is_there, "{target}: {content} is gone\n{body}\n{written}");
            }
        }
    }
}

/// The checks find what they are for.
#[test]
fn broken_conversations_are_found() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    let text = json!({"type": "text", "text": "x"});
    let turns = |turns: &[(&str, &[&Value])]| {
        let turns = turns.iter().map(|(role, content)| json!({"role": role, "content": content}));
        follows_the_rules("anthropic", &json!({"messages": turns.collect::<Vec<_>>()}))
    };
    let (a, b, of_a, of_b) = (&call("a"), &call("b"), &result("a"), &result("b"));
    let (user, model) = ("user", "assistant");
    turns(&[(user, &[&text]), (model, &[a, b]), (user, &[of_b, of_a, &text])]).expect("it is sound");
    for broken in [
        turns(&[(model, &[&text])]),
        turns(&[(user, &[])]),
        turns(&[(user, &[&text]), (user, &[&text])]),
        turns(&[(user, &[of_a])]),
        turns(&[(user, &[&text]), (model, &[a])]),
        turns(&[(user, &[&text]), (model, &[a]), (user, &[&text])]),
        turns(&[(user, &[&text]), (model, &[a]), (user, &[&text, of_a])]),
        turns(&[(user, &[&text]), (model, &[a]), (user, &[of_a, of_a])]),
        turns(&[(user, &[&text]), (model, &[a, a]), (user, &[of_a, of_a])]),
        turns(&[(user, &[&text]), (model, &[a]), (user, &[of_a]), (model, &[a]), (user, &[of_a])]),
        turns(&[(user, &[&json!({"type": "text", "text": " "})])]),
    ] {
        broken.expect_err("it is broken");
    }
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    let broken = json!({"name": "broken", "api": "anthropic", "body": body});
    if let Some(problems) = problems_of_clients(&[broken]) {
        assert!(problems.contains("broken as anthropic") && problems.contains("max_tokens"), "{problems}");
    }
    assert_eq!(named("bedrock"), sagewire_codec::Api::Converse);
}
