//! Parses converted requests, slowly and without sagewire, to check that they have the content of the document.

use sagewire_codec::Api;
use serde_json::Value;

use super::documents::{Document, Said};

/// Whether `out` is the same JSON.
pub(super) fn same(document: &Document, out: &[u8]) -> Result<(), String> {
    if parse(out)? == parse(&document.json)? { Ok(()) } else { Err("not the same JSON".to_owned()) }
}

/// Checks that `out` has the content of the document in `format`.
pub(super) fn converted(format: Api, document: &Document, out: &[u8]) -> Result<(), String> {
    let request = parse(out)?;
    let member = match format {
        Api::OpenAi => return same(document, out),
        Api::Converse => return messages(document, &request, &converse),
        Api::Anthropic => return messages(document, &request, &anthropic),
        Api::JumpStartDialogs => return dialogs(document, &request),
        Api::Completions => "prompt",
        Api::JumpStartText => "text_inputs",
        Api::Triton => "text_input",
        _ => "inputs",
    };
    equal(request[member].as_str().ok_or("no prompt")?, &*prompt(document))
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn equal<T: PartialEq + std::fmt::Debug + ?Sized>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err("it says something else".to_owned()) }
}

/// The prompt that the chat template renders.
fn prompt(document: &Document) -> String {
    let mut prompt: String =
        document.tools.iter().map(|(name, schema)| format!("{name}{schema}\n")).collect();
    for (role, said) in &document.said {
        prompt += &match said {
            Said::Text(text) | Said::Result(text) => format!("<|{role}|>\n{text}\n"),
            Said::Call { name, input } => format!("<|{role}|>\n{name}{input}\n"),
        };
    }
    prompt
}

/// A part of a message in a format with messages. JSON is compared as a value, whatever its encoding in the request.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Call(String, Value),
    Result(Value),
}

/// Compares the parts of a request with messages, and the schemas of its tools. `block` parses one content block.
fn messages(
    document: &Document,
    request: &Value,
    block: &dyn Fn(&Value, &mut Vec<Piece>),
) -> Result<(), String> {
    let mut found = Vec::new();
    let system = request.get("system").into_iter();
    let contents =
        request["messages"].as_array().ok_or("no messages")?.iter().map(|message| &message["content"]);
    for content in system.chain(contents) {
        blocks(content, block, &mut found);
    }
    let json = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let said = document.said.iter().map(|(_, said)| match said {
        Said::Text(text) => Piece::Text(text.clone()),
        Said::Call { name, input } => Piece::Call(name.clone(), json(input)),
        Said::Result(text) => Piece::Result(json(text)),
    });
    equal(&found, &said.collect())?;
    let tools = request["tools"].as_array().or(request["toolConfig"]["tools"].as_array());
    let found = tools.into_iter().flatten().map(|tool| {
        let spec = &tool["toolSpec"];
        if spec.is_null() { &tool["input_schema"] } else { &spec["inputSchema"]["json"] }
    });
    equal(
        &found.cloned().collect::<Vec<_>>(),
        &document.tools.iter().map(|(_, schema)| json(schema)).collect(),
    )
}

/// Parses content, which is text or a list of blocks.
fn blocks(content: &Value, block: &dyn Fn(&Value, &mut Vec<Piece>), found: &mut Vec<Piece>) {
    match content {
        Value::String(text) => found.push(Piece::Text(text.clone())),
        content => content.as_array().into_iter().flatten().for_each(|one| block(one, found)),
    }
}

fn converse(block: &Value, found: &mut Vec<Piece>) {
    if let Some(text) = block["text"].as_str() {
        found.push(Piece::Text(text.to_owned()));
    } else if let Some(call) = block.get("toolUse") {
        found.push(Piece::Call(call["name"].as_str().unwrap_or_default().to_owned(), call["input"].clone()));
    } else if let Some(result) = block.get("toolResult") {
        found.push(Piece::Result(result_of(&result["content"])));
    }
}

fn anthropic(block: &Value, found: &mut Vec<Piece>) {
    match block["type"].as_str() {
        Some("text") => found.push(Piece::Text(block["text"].as_str().unwrap_or_default().to_owned())),
        Some("tool_use") => {
            let name = block["name"].as_str().unwrap_or_default().to_owned();
            found.push(Piece::Call(name, block["input"].clone()));
        }
        Some("tool_result") => found.push(Piece::Result(result_of(&block["content"]))),
        _ => {}
    }
}

/// A tool result, which is text or JSON, in a list or not.
fn result_of(content: &Value) -> Value {
    match content {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        Value::Array(blocks) => blocks.first().map_or(Value::Null, |block| match block.get("json") {
            Some(json) => json.clone(),
            None => result_of(&block["text"]),
        }),
        _ => Value::Null,
    }
}

/// Dialogs have only the texts of system, user and assistant, and no tools.
fn dialogs(document: &Document, request: &Value) -> Result<(), String> {
    let turns = request["inputs"][0].as_array().ok_or("no dialog")?;
    let found: Vec<(&str, &str)> =
        turns.iter().filter_map(|turn| Some((turn["role"].as_str()?, turn["content"].as_str()?))).collect();
    let said = document.said.iter().filter_map(|(role, said)| match said {
        Said::Text(text) => Some((*role, text.as_str())),
        _ => None,
    });
    equal(&found, &said.collect())
}
