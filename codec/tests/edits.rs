//! Requests that are changed and written back to the API that they were read from: unchanged parts stay byte for byte.

mod common;

use std::borrow::Cow;

use common::requests::{FORMATS, plain};
use sagewire_codec::model::{
    Content, ConversionOptions, Json, Message, Param, Part, Request, ResponseFormat, Role, Tool, ToolChoice,
};
use sagewire_codec::{Api, read_request, write_request};
use serde_json::Value;

/// A change to a request.
type Change = fn(&mut Request<'_>);

/// The output for a request after a change, and the losses.
fn edit(api: Api, source: &str, change: Change) -> (String, Vec<String>) {
    let mut request = read_request(api, source.as_bytes()).expect("a request").into_owned();
    change(&mut request);
    let (written, losses) = write_request(api, &request, &ConversionOptions::new()).expect("written");
    (String::from_utf8(written).expect("UTF-8"), common::requests::lines(&losses))
}

/// Applies a change to a source, and expects this output without losses.
fn expect(api: Api, source: &str, change: Change, expected: &str) {
    assert_eq!(edit(api, source, change), (expected.to_owned(), vec![]), "{source}");
}

#[test]
fn other_fields_stay_as_they_are() {
    let source = r#"{ "later" : { "a" : 1.50 }, "model":"m", "stop": "a","messages": [ {"role":"user", "content" : "\u00e9"} ],"temperature": 1.0e0}"#;
    expect(
        Api::OpenAi,
        source,
        |request| request.model = Some("other".into()),
        r#"{"later":{ "a" : 1.50 },"model":"other","stop":"a","messages":[ {"role":"user", "content" : "\u00e9"} ],"temperature":1.0e0}"#,
    );
    expect(
        Api::OpenAi,
        source,
        |request| (request.model, request.temperature, request.seed) = (None, None, Some(7.into())),
        r#"{"later":{ "a" : 1.50 },"stop":"a","messages":[ {"role":"user", "content" : "\u00e9"} ],"seed":7}"#,
    );
}

/// Claude refuses a changed conversation whose thinking has lost its signature.
#[test]
fn signatures_of_thinking_stay() {
    let rename = |request: &mut Request<'_>| {
        let text = request.messages[0].content.last_mut().expect("a text");
        text.content = Content::Text("y".into());
    };
    let source = r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"s"},{"type":"text","text":"x"}]}]}"#;
    let expected = r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"s"},{"type":"text","text":"y"}]}]}"#;
    expect(Api::OpenAi, source, rename, expected);
    let source = r#"{"messages":[{"role":"assistant","content":"x","reasoning_content":"a","thinking_blocks":[{"type":"thinking","thinking":"a","signature":"s"},{"type":"redacted_thinking","data":"AAAA"}]}]}"#;
    let expected = r#"{"messages":[{"role":"assistant","reasoning_content":"a","thinking_blocks":[{"type":"thinking","thinking":"a","signature":"s"},{"type":"redacted_thinking","data":"AAAA"}],"content":"y"}]}"#;
    expect(Api::OpenAi, source, rename, expected);
}

/// What is added to a request gets IDs that its API accepts; what was there keeps its IDs, and nothing is moved.
#[test]
fn added_calls_get_ids() {
    let source = r#"{"max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","tool_use_id":"a","content":"r"}]}]}"#;
    let add = |request: &mut Request<'_>| {
        let call = |id| Content::ToolCall { id, name: "f".into(), input: "{}".into(), custom: false };
        let calls = [Some("a".into()), Some("f.g:0".into()), None].map(|id| Part::new(call(id)));
        request.messages.push(Message::new(Role::Assistant, Vec::from(calls)));
        let result = |id| Content::ToolResult { id, content: vec![Part::text("r")], is_error: None };
        let results = [Some("f.g:0".into()), None].map(|id| Part::new(result(id)));
        request.messages.push(Message::new(Role::User, Vec::from(results)));
    };
    let (written, losses) = edit(Api::Anthropic, source, add);
    let written: Value = serde_json::from_str(&written).expect("JSON");
    let before: Value = serde_json::from_str(source).expect("JSON");
    assert_eq!(
        written["messages"].as_array().expect("a list")[..3],
        before["messages"].as_array().expect("a list")[..]
    );
    let ids = |message: usize, field: &str| -> Vec<Value> {
        let blocks = written["messages"][message]["content"].as_array().expect("blocks");
        blocks.iter().map(|block| block[field].clone()).collect()
    };
    assert_eq!(ids(3, "id"), ["a", "f_g_0", "call_0"]);
    assert_eq!(ids(4, "tool_use_id"), ["f_g_0", "call_0"]);
    assert_eq!(losses.len(), 3, "{losses:?}");
}

#[test]
fn names_and_extension_fields_of_the_source_stay() {
    let source = r#"{"messages":[],"max_completion_tokens":5,"stream":true,"stream_options":{"x":1,"include_usage":true}}"#;
    expect(
        Api::OpenAi,
        source,
        |request| (request.max_tokens, request.include_usage) = (Some(6.into()), Some(false.into())),
        r#"{"messages":[],"max_completion_tokens":6,"stream":true,"stream_options":{"x":1,"include_usage":false}}"#,
    );
    // Deprecated fields stay until they are changed, and are then written as their successors.
    let source = r#"{"messages":[],"functions":[{"name":"f"}],"function_call":{"name":"f"}}"#;
    expect(
        Api::OpenAi,
        source,
        |request| request.tool_choice = Some(ToolChoice::Required.into()),
        r#"{"messages":[],"functions":[{"name":"f"}],"tool_choice":"required"}"#,
    );
    let source = r#"{"inferenceConfig":{"maxTokens":5,"later":1},"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
    expect(
        Api::Converse,
        source,
        |request| (request.max_tokens, request.top_p) = (None, Some(0.5.into())),
        r#"{"inferenceConfig":{"later":1,"topP":0.5},"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#,
    );
    let source = r#"{"inputs":"x","parameters":{"top_n_tokens":2,"watermark":true,"temperature":0.5}}"#;
    expect(
        Api::Lmi,
        source,
        |request| {
            request.top_logprobs = Some(3.into());
            request.extra_parameters.push(("a/b".into(), Param::new(Json(Cow::Borrowed("[1]")))));
            request.extra_parameters.remove(0);
        },
        r#"{"inputs":"x","parameters":{"top_n_tokens":3,"temperature":0.5,"a/b":[1]}}"#,
    );
}

#[test]
fn messages_parts_and_tools_that_were_not_changed_are_copied() {
    let source = r#"{"messages":[{"role":"user","content":[ {"type":"text", "text":"a", "x":1}, {"type":"hologram"}, {"type":"text","text":"b","y":2} ],"later":3},{ "role":"assistant" , "content":"c"},{"role":"user","content":"d"}]}"#;
    expect(
        Api::OpenAi,
        source,
        |request| {
            request.messages[0].content[2].content = Content::Text("changed".into());
            request.messages.remove(2);
            request.messages.push(Message::user("new"));
        },
        r#"{"messages":[{"role":"user","content":[{"type":"text", "text":"a", "x":1},{"type":"hologram"},{"type":"text","text":"changed","y":2}],"later":3},{ "role":"assistant" , "content":"c"},{"role":"user","content":"new"}]}"#,
    );
    let source = r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"f"},"context":"c"}, {"type":"text","text":"b"}]}],"tools":[{"type":"bash_20250124","name":"bash"},{"name":"f","input_schema":{ },"later":1}]}"#;
    expect(
        Api::Anthropic,
        source,
        |request| {
            request.messages[2].content[1].content = Content::Text("changed".into());
            request.tools[1].description = Some("d".into());
        },
        r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"f"},"context":"c"},{"type":"text","text":"changed"}]}],"tools":[{"type":"bash_20250124","name":"bash"},{"name":"f","description":"d","input_schema":{ },"later":1}]}"#,
    );
    let source = r#"{"messages":[{"role":"assistant","content":[{"toolUse":{"toolUseId":"1","name":"f.g","input":{ "a":1 }}},{"cachePoint":{"type":"default"}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"1","content":[{"text":"a"},{"json":{}}]}}]}]}"#;
    expect(
        Api::Converse,
        source,
        |request| {
            let Content::ToolResult { content, .. } = &mut request.messages[1].content[0].content else {
                panic!()
            };
            content[0].content = Content::Text("changed".into());
        },
        r#"{"messages":[{"role":"assistant","content":[{"toolUse":{"toolUseId":"1","name":"f.g","input":{ "a":1 }}},{"cachePoint":{"type":"default"}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"1","content":[{"text":"changed"},{"json":{}}]}}]}]}"#,
    );
}

#[test]
fn a_response_format_and_a_system_message_can_be_changed_and_removed() {
    let source = r#"{"messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{ },"x":1},"y":2}}"#;
    expect(
        Api::OpenAi,
        source,
        |request| request.response_format = Some(ResponseFormat::JsonObject.into()),
        r#"{"messages":[],"response_format":{"type":"json_object","y":2}}"#,
    );
    expect(Api::OpenAi, source, |request| request.response_format = None, r#"{"messages":[]}"#);
    let source = r#"{"model":"m","max_tokens":5,"system":"s","messages":[{"role":"system","content":"t"},{"role":"user","content":"a"}]}"#;
    expect(
        Api::Anthropic,
        source,
        |request| request.messages[0].content = vec![Part::text("changed")],
        r#"{"model":"m","max_tokens":5,"system":"changed","messages":[{"role":"system","content":"t"},{"role":"user","content":"a"}]}"#,
    );
    expect(
        Api::Anthropic,
        source,
        |request| drop(request.messages.remove(0)),
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"system","content":"t"},{"role":"user","content":"a"}]}"#,
    );
}

/// Only changed values can be lost.
#[test]
fn losses_are_those_of_the_change() {
    let source =
        r#"{"messages":[{"role":"user","content":[{"text":" "}]},{"role":"user","content":[{"text":"a"}]}]}"#;
    let (written, losses) = edit(Api::Converse, source, |request| request.seed = Some(1.into()));
    assert_eq!(written, source);
    assert_eq!(losses, ["seed: dropped: Converse has no such parameter"]);
    let (_, losses) = edit(Api::Converse, source, |request| {
        request.messages[1].name = Some("n".into());
        request.messages.insert(0, Message::new(Role::Other("x".into()), "b"));
    });
    assert_eq!(
        losses,
        [
            "/messages/1: dropped: the target has no names of participants",
            "role: approximated: the role is unknown: sent as the user's"
        ]
    );
    // With thinking enabled, a model accepts fewer parameters.
    let source = r#"{"model":"m","max_tokens":5000,"temperature":0.5,"messages":[{"role":"user","content":"a"}],"thinking":{"type":"enabled","budget_tokens":1024}}"#;
    expect(
        Api::Anthropic,
        source,
        |request| request.max_tokens = Some(6000.into()),
        &source.replace("5000", "6000"),
    );
}

/// Each parameter of each API can be set, changed and removed, and reads back with the value that was set.
#[test]
fn every_parameter_can_be_edited() {
    const CHANGES: [(&str, Change); 8] = [
        ("max_tokens", |request| request.max_tokens = Some(9.into())),
        ("temperature", |request| request.temperature = Some(0.25.into())),
        ("top_p", |request| request.top_p = Some(0.75.into())),
        ("stop", |request| request.stop = vec![Param::new("x".into())]),
        ("stream", |request| request.stream = Some(true.into())),
        ("user", |request| request.user = Some("u".into())),
        ("tools", |request| request.tools.push(Tool::new("g").schema("{}"))),
        ("none", |request| request.temperature = None),
    ];
    let vectors = common::read_json(&common::testdata("requests.json"));
    let mut count = 0;
    for vector in vectors["identity"].as_array().expect("a list") {
        let api = common::requests::named(vector["format"].as_str().expect("a format"));
        let source = vector["body"].to_string();
        for (name, change) in CHANGES {
            let mut request = read_request(api, source.as_bytes()).expect("a request");
            change(&mut request);
            let (written, losses) =
                write_request(api, &request, &ConversionOptions::new().render(&plain)).expect("written");
            let written: Value = serde_json::from_slice(&written).expect("JSON");
            let text = written.to_string();
            let again = read_request(api, text.as_bytes()).expect("a request");
            assert_eq!(again.messages.len(), request.messages.len(), "{name}: {source}");
            // The output has all other fields.
            let source: Value = serde_json::from_str(&source).expect("JSON");
            let other = |value: &Value| value.as_object().expect("an object").len();
            assert!(other(&written) + 1 >= other(&source), "{name}: {source} {written}");
            if losses.is_empty() {
                let values = |request: &Request<'_>| {
                    (
                        request.max_tokens.map(|param| param.value),
                        request.temperature.map(|param| param.value.to_bits()),
                        request.stop.iter().map(|stop| stop.value.to_string()).collect::<Vec<_>>(),
                        // Converse has a separate operation for streaming instead.
                        request.stream.map(|param| param.value).filter(|_| api != Api::Converse),
                        request.tools.len(),
                    )
                };
                assert_eq!(values(&again), values(&request), "{name}: {source} {written}");
                count += 1;
            }
        }
    }
    assert!(count >= 200 && FORMATS.len() >= 10, "{count}");
}
