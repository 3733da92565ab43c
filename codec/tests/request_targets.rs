//! Requests as each target API requires them, and the effect of the conversion options.

mod common;

use bytes::Bytes;
use common::requests::{anew, chat, convert, convert_with, expect, lines, plain};
use sagewire_codec::model::{
    ConversionOptions, FirstMessage, Message, MissingResult, Outcome, PromptImages, Response,
    ResponseOptions, SystemPlacement, Tool, ZeroTemperature,
};
use sagewire_codec::{Api, Decoder, Options, Transcoder, read_request, tool_names, write_request};
use serde_json::{Value, json};

const NOTHING: [String; 0] = [];

#[test]
fn tgi_does_not_echo_the_prompt() {
    let body = chat(json!([{"role": "user", "content": "hi"}]));
    let pointer = "/parameters/return_full_text";
    assert_eq!(expect("openai", "tgi", &body, pointer, json!(false)), NOTHING);
    let echo = json!({"prompt": "hi", "echo": true});
    assert_eq!(expect("completions", "tgi", &echo, pointer, json!(true)), NOTHING);
}

#[test]
fn values_that_tgi_rejects_are_not_sent() {
    let with = |name: &str, value: Value| {
        let mut body = chat(json!([{"role": "user", "content": "hi"}]));
        body[name] = value;
        body
    };
    let parameters = "/parameters";
    let expected = json!({"return_full_text": false});
    assert_eq!(expect("openai", "tgi", &with("top_p", json!(1.0)), parameters, expected), NOTHING);
    let expected = json!({"do_sample": false, "return_full_text": false});
    assert_eq!(expect("openai", "tgi", &with("temperature", json!(0)), parameters, expected), NOTHING);
    let expected = json!({"top_p": 0.01, "return_full_text": false});
    let losses = expect("openai", "tgi", &with("top_p", json!(0)), parameters, expected);
    assert_eq!(losses, ["/top_p: clamped: has to be above 0"]);
    let losses =
        expect("openai", "tgi", &with("max_tokens", json!(0)), "/parameters/max_new_tokens", json!(1));
    assert_eq!(losses, ["/max_tokens: clamped: has to be 1 or more"]);
    // `n` is the number of responses; `best_of` selects one of several.
    let losses = expect("openai", "tgi", &with("n", json!(2)), "/parameters/best_of", Value::Null);
    assert_eq!(losses, ["/n: dropped: TGI has no such parameter"]);
}

#[test]
fn a_zero_temperature_follows_the_options() {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "temperature": 0});
    for (zero, expected, losses) in [
        (ZeroTemperature::Greedy, json!({"do_sample": false, "return_full_text": false}), 0),
        (ZeroTemperature::Clamp, json!({"temperature": 0.01, "return_full_text": false}), 1),
        (ZeroTemperature::Send, json!({"temperature": 0, "return_full_text": false}), 0),
    ] {
        let settings = ConversionOptions::new().render(&plain).zero_temperature(zero);
        let (written, lost) = convert_with("openai", "tgi", &body, &settings).expect("it can be written");
        assert_eq!(written["parameters"], expected);
        assert_eq!(lost.as_slice().len(), losses);
    }
}

#[test]
fn stop_strings_have_the_name_of_the_container() {
    let mut body = chat(json!([{"role": "user", "content": "hi"}]));
    body["stop"] = json!("a.b");
    for (to, pointer) in [
        ("bedrock", "/inferenceConfig/stopSequences"),
        ("anthropic", "/stop_sequences"),
        ("tgi", "/parameters/stop"),
        ("lmi", "/parameters/stop"),
        ("lmi", "/parameters/stop_sequences"),
        ("jumpstart", "/parameters/stop"),
        ("completions", "/stop"),
    ] {
        expect("openai", to, &body, pointer, json!(["a.b"]));
    }
    let losses = expect("openai", "triton", &body, "/parameters/stop", json!("a.b"));
    assert_eq!(losses, NOTHING);
}

#[test]
fn all_text_blocks_and_images_of_a_message_are_kept() {
    let body = chat(json!([{"role": "user", "content": [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,BBBB"}},
    ]}]));
    let expected = json!([
        {"text": "a"}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
        {"text": "b"}, {"image": {"format": "jpeg", "source": {"bytes": "BBBB"}}},
    ]);
    assert_eq!(expect("openai", "bedrock", &body, "/messages/0/content", expected), NOTHING);
    let jpeg = json!({"type": "base64", "media_type": "image/jpeg", "data": "BBBB"});
    assert_eq!(expect("openai", "anthropic", &body, "/messages/0/content/3/source", jpeg).len(), 1);
}

#[test]
fn content_is_a_string_where_it_is_only_text() {
    let body = json!({"system": [{"text": "a"}, {"text": "b"}], "messages": [{"role": "user", "content": [{"text": "c"}]}]});
    let expected = json!([{"role": "system", "content": "a\nb"}, {"role": "user", "content": "c"}]);
    let losses = expect("bedrock", "openai", &body, "/messages", expected);
    assert_eq!(
        losses,
        ["/system/1: approximated: texts are joined by lines: not every container takes a list"]
    );
}

#[test]
fn converse_turns_alternate_and_begin_with_the_user() {
    let body = chat(json!([
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": " "},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "user", "content": "d"},
    ]));
    let expected = json!([
        {"role": "user", "content": [{"text": "Please continue."}]},
        {"role": "assistant", "content": [{"text": "a"}, {"text": "b"}]},
        {"role": "user", "content": [{"text": "c"}, {"text": "d"}]},
    ]);
    let losses = expect("openai", "bedrock", &body, "/messages", expected);
    assert_eq!(
        losses,
        [
            "/messages/1: defaulted: the user has to begin the conversation: \"Please continue.\" is put before it",
            "/messages/2/content: dropped: Converse takes no blank text",
        ]
    );
    let settings = ConversionOptions::new().first_message(FirstMessage::Error);
    let error = convert_with("openai", "bedrock", &body, &settings).expect_err("the assistant begins");
    assert_eq!(
        error.to_string(),
        "cannot be written: the user has to begin the conversation (at /messages/1)"
    );
    assert!(!error.is_invalid());
    let settings = ConversionOptions::new().first_message(FirstMessage::Leave).merge_messages(false);
    let (written, _) = convert_with("openai", "bedrock", &body, &settings).expect("it can be written");
    let roles: Vec<_> =
        written["messages"].as_array().expect("a list").iter().map(|m| m["role"].clone()).collect();
    assert_eq!(roles, ["assistant", "assistant", "user", "user"]);
}

#[test]
fn tool_results_come_first_in_one_user_message() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": ""}});
    let body = json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call("1"), call("2")]},
        {"role": "tool", "tool_call_id": "1", "content": "one"},
        {"role": "user", "content": "and"},
        {"role": "tool", "tool_call_id": "2", "content": "two"},
    ]});
    let expected = json!([
        {"toolResult": {"toolUseId": "1", "content": [{"text": "one"}]}},
        {"toolResult": {"toolUseId": "2", "content": [{"text": "two"}]}},
        {"text": "and"},
    ]);
    expect("openai", "bedrock", &body, "/messages/2/content", expected);
    // Missing arguments are an empty object, and a conversation with tool calls needs tools.
    expect("openai", "bedrock", &body, "/messages/1/content/0/toolUse/input", json!({}));
    let tools =
        json!([{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}]);
    let losses = expect("openai", "bedrock", &body, "/toolConfig/tools", tools);
    let why = "defaulted: a conversation with calls of tools needs tools: one without a schema is sent";
    assert!(losses.contains(&format!("/messages/1/tool_calls/0: {why}")), "{losses:?}");
}

#[test]
fn arguments_that_are_no_object_are_text_in_one() {
    for arguments in ["{\"a\":", "[]", "7"] {
        let body = json!({"messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}]},
        ]});
        for (to, input) in [("bedrock", "toolUse/input"), ("anthropic", "input")] {
            let input = format!("/messages/1/content/0/{input}");
            let losses = expect("openai", to, &body, &input, json!({"input": arguments}));
            let why = "approximated: the input is not a JSON object";
            assert!(losses.iter().any(|loss| loss.contains(why)), "{losses:?}");
        }
    }
}

#[test]
fn names_and_ids_are_sanitized_and_stay_unique() {
    let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
    let body = json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call("a b", "x.y"), call("a_b", "x_y"), call("é", "x y")]},
        {"role": "tool", "tool_call_id": "a b", "content": "r"},
    ], "tools": [{"type": "function", "function": {"name": "x.y"}}], "tool_choice": {"type": "function", "function": {"name": "x.y"}}});
    let (written, losses) = convert("openai", "bedrock", &body).expect("it can be written");
    let names: Vec<_> =
        (0..3).map(|i| written["messages"][1]["content"][i]["toolUse"]["name"].clone()).collect();
    assert_eq!(names, ["x_y_2", "x_y", "x_y_3"]);
    assert_eq!(written["toolConfig"]["tools"][0]["toolSpec"]["name"], "x_y_2");
    assert_eq!(written["toolConfig"]["toolChoice"]["tool"]["name"], "x_y_2");
    let ids: Vec<_> =
        (0..3).map(|i| written["messages"][1]["content"][i]["toolUse"]["toolUseId"].clone()).collect();
    assert_eq!(ids, ["a_b_2", "a_b", "_"]);
    assert_eq!(written["messages"][2]["content"][0]["toolResult"]["toolUseId"], "a_b_2");
    // Two names, two IDs, and two calls without a result.
    assert_eq!(losses.as_slice().len(), 6, "{losses:?}");
    let source = body.to_string();
    let ids = tool_names(Api::Converse, &read_request(Api::OpenAi, source.as_bytes()).expect("a request"));
    let originals = ["a_b_2", "_", "a_b"].map(|id| ids.original_id(id).map(str::to_owned));
    assert_eq!(originals, [Some("a b".to_owned()), Some("é".to_owned()), None]);
}

/// Converse has no parameter for it, but passes Claude's own parameter on. A conflict between both fields is an error.
#[test]
fn parallel_tool_calls_of_claude_on_converse() {
    let body = |model: &str, choice: Value| {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "q"}],
            "tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": false});
        if !choice.is_null() {
            body["tool_choice"] = choice;
        }
        body
    };
    let claude = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let auto = json!({"type": "auto", "disable_parallel_tool_use": true});
    let alone = json!({"disable_parallel_tool_use": true});
    for (choice, to, converse) in [
        (Value::Null, &auto, Value::Null),
        (json!("auto"), &auto, Value::Null),
        (json!("required"), &alone, json!({"any": {}})),
        (json!({"type": "function", "function": {"name": "f"}}), &alone, json!({"tool": {"name": "f"}})),
    ] {
        let (written, losses) =
            convert("openai", "bedrock", &body(claude, choice)).expect("it can be written");
        assert_eq!(written["additionalModelRequestFields"], json!({"tool_choice": to}));
        assert_eq!(written["toolConfig"].get("toolChoice").cloned().unwrap_or_default(), converse);
        assert!(losses.is_empty(), "{losses:?}");
    }
    // Without tools nothing is written, and other models have no such parameter.
    expect("openai", "bedrock", &body(claude, json!("none")), "/additionalModelRequestFields", Value::Null);
    let losses =
        expect("openai", "bedrock", &body("m", Value::Null), "/additionalModelRequestFields", Value::Null);
    assert!(losses[0].starts_with("/parallel_tool_calls: dropped"), "{losses:?}");
}

/// The model calls tools by their sanitized names; the client receives the original names.
#[test]
fn converse_is_asked_for_reasoning_tokens_on_request() {
    const FIELD: &str = "additionalModelResponseFieldPaths";
    const PATH: &str = "/usage/output_tokens_details";
    let options = ConversionOptions::new().reasoning_tokens(true);
    let body = chat(json!([{"role": "user", "content": "hi"}]));
    let (written, losses) = convert_with("openai", "bedrock", &body, &options).expect("it can be written");
    assert_eq!((&written[FIELD], losses.len()), (&json!([PATH]), 0));
    assert_eq!(
        expect("openai", "bedrock", &body, "/additionalModelResponseFieldPaths", Value::Null),
        NOTHING
    );
    let (written, losses) = convert_with("openai", "anthropic", &body, &options).expect("it can be written");
    assert_eq!((&written[FIELD], losses.len()), (&Value::Null, 1));
    // A request of Converse keeps what it asks for, and everything else.
    let ten: Vec<_> = (0..10).map(|index| format!("/field~1{index}")).collect();
    for (own, expected, losses) in [
        (json!(["/stop_sequence"]), json!(["/stop_sequence", PATH]), 0),
        (json!([]), json!([PATH]), 0),
        (json!(null), json!([PATH]), 0),
        (json!([PATH, "/x"]), json!([PATH, "/x"]), 0),
        (json!(["/usage"]), json!(["/usage"]), 0),
        (json!(ten), json!(ten), 1),
    ] {
        let mut body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}], "requestMetadata": {"a": "b"}});
        body[FIELD] = own;
        let (written, lost) = convert_with("bedrock", "bedrock", &body, &options).expect("it can be written");
        assert_eq!((&written[FIELD], lost.len()), (&expected, losses), "{body}");
        assert!(lost.iter().all(|loss| loss.path == format!("/{FIELD}")), "{lost:?}");
        body[FIELD] = expected;
        assert_eq!(written, body);
    }
}

#[test]
fn responses_have_the_original_tool_names() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let body = json!({"messages": [{"role": "user", "content": "q"}], "tools": [tool("x.y"), tool("x_y"), tool("é"), tool("plain")]});
    let source = body.to_string();
    let request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
    assert!(tool_names(Api::OpenAi, &request).is_empty());
    for (format, tools, path) in
        [(Api::Converse, "/toolConfig/tools", "/toolSpec/name"), (Api::Anthropic, "/tools", "/name")]
    {
        let (written, _) =
            write_request(format, &request, &ConversionOptions::new()).expect("it can be written");
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        let names = tool_names(format, &request);
        let tools = written.pointer(tools).and_then(Value::as_array).expect("tools");
        let restored = tools.iter().map(|tool| {
            let sent = tool.pointer(path).and_then(Value::as_str).expect("a name");
            names.original(sent).unwrap_or(sent)
        });
        assert_eq!(restored.collect::<Vec<_>>(), ["x.y", "x_y", "é", "plain"]);
    }
    let names = tool_names(Api::Converse, &request);
    let stream = br#"{"messageStart":{"role":"assistant"}}
{"contentBlockStart":{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"1","name":"x_y_2"}}}}
{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}}
{"contentBlockStop":{"contentBlockIndex":0}}
{"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"2","name":"plain"}}}}
{"contentBlockStop":{"contentBlockIndex":1}}
{"messageStop":{"stopReason":"tool_use"}}
"#;
    let mut transcoder =
        Transcoder::new(Options::new(), Api::OpenAi, ResponseOptions::new()).expect("it is written");
    transcoder.set_tool_names(names.clone());
    let (mut chunk, mut out) = (Bytes::from_static(stream), Vec::new());
    while let Some(bytes) = transcoder.decode(&mut chunk).expect("a stream") {
        out.extend_from_slice(bytes);
    }
    while let Some(bytes) = transcoder.finish().expect("a whole stream") {
        out.extend_from_slice(bytes);
    }
    let out = String::from_utf8(out).expect("UTF-8");
    assert!(out.contains(r#""name":"x.y""#) && out.contains(r#""name":"plain""#), "{out}");
    let (mut decoder, mut response) = (Decoder::new(), Response::default());
    let mut chunk = Bytes::from_static(stream);
    while let Some(event) = decoder.decode(&mut chunk).expect("a stream") {
        response.add(&event);
    }
    names.restore_response(&mut response);
    let called: Vec<_> = response.choices[0].tool_calls().map(|(_, name, _)| name.to_owned()).collect();
    assert_eq!(called, ["x.y", "plain"]);
}

#[test]
fn missing_call_ids_are_generated() {
    let body = json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
    ], "functions": [{"name": "f"}]});
    expect("openai", "bedrock", &body, "/messages/1/content/0/toolUse/toolUseId", json!("call_0"));
    expect("openai", "bedrock", &body, "/messages/2/content/0/toolResult/toolUseId", json!("call_0"));
}

/// By default, a result is inserted that says that there is none: `conversions.json` has these cases.
#[test]
fn a_call_without_a_result_is_an_error_on_request() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let mut body = json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
    ]});
    let options = ConversionOptions::new().missing_result(MissingResult::Error);
    for to in ["bedrock", "anthropic"] {
        let error = convert_with("openai", to, &body, &options).expect_err("a call without a result");
        assert!(error.is_unsupported(), "{error:?}");
        assert!(error.to_string().contains("the call has no result"), "{error}");
        assert_eq!(error.pointer(), Some("/messages/1/tool_calls/1"));
    }
    // Containers accept it.
    convert_with("openai", "tgi", &body, &options.render(&plain)).expect("it can be written");
    let results = body["messages"].as_array_mut().expect("a list");
    results.push(json!({"role": "tool", "tool_call_id": "b", "content": "r"}));
    convert_with("openai", "bedrock", &body, &options).expect("it can be written");
}

#[test]
fn a_choice_of_no_tool_is_never_sent_as_auto() {
    let mut body = json!({"messages": [{"role": "user", "content": "q"}],
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}], "tool_choice": "none"});
    expect("openai", "bedrock", &body, "/toolConfig", Value::Null);
    expect("openai", "anthropic", &body, "/tool_choice", json!({"type": "none"}));
    body["tool_choice"] = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}});
    for (to, tools, choice) in
        [("bedrock", "/toolConfig/tools", "/toolConfig/toolChoice"), ("anthropic", "/tools", "/tool_choice")]
    {
        let (written, losses) = convert("openai", to, &body).expect("it can be written");
        assert_eq!(written.pointer(tools).and_then(Value::as_array).map(Vec::len), Some(1));
        assert!(written.pointer(choice).expect("a choice").to_string().contains("any"));
        assert_eq!(losses.as_slice()[0].path, "/tools/0");
    }
}

#[test]
fn anthropic_requires_max_tokens() {
    let mut body = chat(json!([{"role": "user", "content": "hi"}]));
    let losses = expect("openai", "anthropic", &body, "/max_tokens", json!(4096));
    assert_eq!(losses, ["max_tokens: defaulted: Anthropic requires a number: 4096"]);
    body["max_completion_tokens"] = json!(7);
    assert_eq!(expect("openai", "anthropic", &body, "/max_tokens", json!(7)), NOTHING);
    let settings = ConversionOptions::new().max_tokens(99);
    let (written, losses) =
        convert_with("openai", "bedrock", &chat(json!([{"role": "user", "content": "hi"}])), &settings)
            .expect("written");
    assert_eq!(written["inferenceConfig"]["maxTokens"], 99);
    assert_eq!(losses.as_slice()[0].outcome, Outcome::Defaulted);
}

#[test]
fn image_urls_that_the_target_does_not_fetch_are_reported() {
    let image = |url: &str| {
        chat(
            json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": url}}]}]),
        )
    };
    let losses = expect(
        "openai",
        "bedrock",
        &image("https://example.com/a.png"),
        "/messages/0/content/1",
        Value::Null,
    );
    assert_eq!(
        losses,
        ["/messages/0/content/1: dropped: Converse takes bytes or S3: the caller has to fetch it"]
    );
    let source = json!({"type": "url", "url": "https://example.com/a.png"});
    assert_eq!(
        expect(
            "openai",
            "anthropic",
            &image("https://example.com/a.png"),
            "/messages/0/content/1/source",
            source
        )
        .len(),
        1
    );
    let place = json!({"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/k.jpg"}}}});
    assert_eq!(expect("openai", "bedrock", &image("s3://b/k.jpg"), "/messages/0/content/1", place), NOTHING);
    let bmp = image("data:image/bmp;base64,AAAA");
    for to in ["bedrock", "anthropic"] {
        let losses = expect("openai", to, &bmp, "/messages/0/content/1", Value::Null);
        assert!(losses.iter().any(|loss| loss.contains("no image of type \"image/bmp\"")), "{losses:?}");
    }
}

#[test]
fn documents_have_names_and_a_text_beside_them() {
    let body = chat(json!([{"role": "user", "content": [
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.b.pdf"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a-b-pdf"}},
    ]}]));
    let (written, losses) = convert("openai", "bedrock", &body).expect("it can be written");
    let names: Vec<_> = written["messages"][0]["content"]
        .as_array()
        .expect("blocks")
        .iter()
        .filter_map(|block| block.pointer("/document/name"))
        .collect();
    assert_eq!(names, ["a-b-pdf", "a-b-pdf-2"]);
    assert!(written.to_string().contains("See the document."));
    assert!(losses.as_slice().iter().any(|loss| loss.outcome == Outcome::Defaulted));
    let text = json!({"type": "text", "media_type": "text/plain", "data": "hi"});
    expect("openai", "anthropic", &body, "/messages/0/content/1/source", text);
}

#[test]
fn reasoning_goes_back_with_its_signature_only() {
    let body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "AA=="}, {"type": "text", "text": "a"}]}]});
    let (there, losses) = convert("anthropic", "bedrock", &body).expect("it can be written");
    assert!(losses.is_empty(), "{losses:?}");
    let (mut back, losses) = convert("bedrock", "anthropic", &there).expect("it can be written");
    assert!(losses.is_empty(), "{losses:?}");
    back["messages"][0]["content"] = json!("q");
    assert_eq!(back, body);
}

#[test]
fn thinking_restricts_the_parameters_of_claude() {
    let body = json!({"model": "m", "max_tokens": 9000, "temperature": 0.5, "top_k": 4, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}, "messages": [{"role": "user", "content": "q"}]});
    let losses = expect("anthropic", "bedrock", &body, "/toolConfig/toolChoice", json!({"auto": {}}));
    let what: Vec<_> = losses.iter().map(|loss| loss.split(':').next().expect("a place")).collect();
    assert_eq!(what, ["/temperature", "/tool_choice", "/top_k"], "{losses:?}");
}

#[test]
fn a_prompt_needs_a_template() {
    let body = chat(json!([{"role": "user", "content": "hi"}]));
    for to in ["tgi", "lmi", "jumpstart", "jumpstart_text", "triton", "completions", "text"] {
        let error = convert_with("openai", to, &body, &ConversionOptions::new()).expect_err(to);
        assert!(error.to_string().contains("a chat template is needed"), "{error}");
        let refuses = |_: &[Message<'_>], _: &[Tool<'_>]| Err("roles must alternate".to_owned());
        let error =
            convert_with("openai", to, &body, &ConversionOptions::new().render(&refuses)).expect_err(to);
        assert!(error.to_string().ends_with("the chat template fails: roles must alternate"), "{error}");
    }
    // An existing prompt is used.
    let (written, losses) =
        convert_with("completions", "tgi", &json!({"prompt": "hi"}), &ConversionOptions::new())
            .expect("it can be written");
    assert_eq!(written["inputs"], "hi");
    assert!(losses.is_empty());
}

/// TGI takes images in the prompt, for some models. With the option they are written between the texts, as in TGI's own chat.
#[test]
fn prompt_images_of_tgi_are_optional() {
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url, "detail": "auto"}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let body = chat(json!([
        {"role": "user", "content": [
            text("a"), image("https://example.com/a(1).png"), text("b"), image("data:image/png;x=1;base64,AAAA"),
            image("s3://bucket/c.png"), text("c"),
        ]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://d", "detail": "high"}}]},
        {"role": "user", "content": "e"},
    ]));
    let settings = ConversionOptions::new().prompt_images(PromptImages::Markdown).render(&plain);
    let (written, losses) = convert_with("openai", "tgi", &body, &settings).expect("it can be written");
    let prompt = "User: a![](https://example.com/a(1%29.png)b![](data:image/png;base64,AAAA)c\nUser: ![](http://d)\nUser: e\n";
    assert_eq!(written["inputs"], prompt);
    assert_eq!(
        lines(&losses),
        [
            "/messages/0/content/4: dropped: TGI takes data and http URLs only: the caller has to fetch it",
            "/messages/1/content/0/image_url/detail: dropped: TGI looks at images in one way",
        ]
    );
    // Without the option, and for other targets, the chat template decides.
    let lost = "dropped: the template has text only";
    for (to, settings) in [("tgi", ConversionOptions::new().render(&plain)), ("lmi", settings)] {
        let (written, losses) = convert_with("openai", to, &body, &settings).expect("it can be written");
        assert!(!written["inputs"].as_str().expect("a prompt").contains("![]("), "{to}");
        assert_eq!(lines(&losses)[0], format!("/messages/0/content/1: {lost}"), "{to}");
        assert_eq!(losses.as_slice().len(), 4, "{to}");
    }
}

/// Raw text is not a document: it is the prompt, and everything else is a loss. It survives a round trip byte for byte.
#[test]
fn raw_text_is_the_prompt_and_nothing_else() {
    assert_eq!(Api::JumpStartRaw.content_type(), "application/x-text");
    assert_eq!(Api::JumpStartText.content_type(), "application/json");
    let text = "Summarize:\n\"{\" — \u{1f600}";
    let request = read_request(Api::JumpStartRaw, text.as_bytes()).expect("any text is");
    for settings in [ConversionOptions::new(), anew()] {
        let (written, losses) = write_request(Api::JumpStartRaw, &request, &settings).expect("itself");
        assert_eq!((written.as_slice(), losses.is_empty()), (text.as_bytes(), true));
    }
    let (written, losses) = convert("text", "jumpstart_text", &json!(text)).expect("a prompt");
    assert_eq!((written, lines(&losses)), (json!({"text_inputs": text}), vec![]));
    // A default that the target has no field for is a loss, too.
    let settings = ConversionOptions::new().max_tokens(5);
    let (written, losses) = convert_with("tgi", "text", &json!({"inputs": text}), &settings).expect("text");
    assert_eq!(written, text);
    assert_eq!(lines(&losses), ["max_tokens: dropped: raw text is the prompt and nothing else"]);
    assert!(read_request(Api::JumpStartRaw, b"\xff").expect_err("no text").is_invalid());
}

#[test]
fn the_system_message_is_placed_by_the_options() {
    let body = chat(json!([
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]));
    for (place, index) in [(SystemPlacement::FirstUser, 0), (SystemPlacement::LastUser, 2)] {
        for to in ["openai", "bedrock", "anthropic"] {
            let (written, losses) =
                convert_with("openai", to, &body, &ConversionOptions::new().system(place)).expect("written");
            let text = written["messages"][index]["content"].to_string();
            assert!(text.contains("s\\n\\n"), "{to}: {written}");
            assert_eq!(losses.as_slice()[0].path, "/messages/0");
        }
    }
}

#[test]
fn roles_are_merged_on_request() {
    let body = chat(json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]));
    let (written, _) =
        convert_with("openai", "openai", &body, &ConversionOptions::new().merge_messages(true))
            .expect("written");
    assert_eq!(written, chat(json!([{"role": "user", "content": "a\n\nb"}])));
}

#[test]
fn parameters_of_a_container_are_passed_on_or_not() {
    let mut body = chat(json!([{"role": "user", "content": "hi"}]));
    body["min_tokens"] = json!(2);
    let fields = json!({"min_tokens": 2});
    assert_eq!(expect("openai", "bedrock", &body, "/additionalModelRequestFields", fields), NOTHING);
    let settings = ConversionOptions::new().drop_extra_parameters(true);
    let (written, losses) = convert_with("openai", "bedrock", &body, &settings).expect("it can be written");
    assert_eq!(written.get("additionalModelRequestFields"), None);
    assert_eq!(losses.as_slice()[0].path, "/min_tokens");
}

#[test]
fn converse_takes_a_schema_as_a_string() {
    let mut body = chat(json!([{"role": "user", "content": "hi"}]));
    body["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
    let format = json!({"type": "json_schema", "structure": {"jsonSchema": {"schema": "{\"type\":\"object\"}", "name": "n"}}});
    assert_eq!(expect("openai", "bedrock", &body, "/outputConfig/textFormat", format), NOTHING);
    body["response_format"] = json!({"type": "json_object"});
    let losses = expect("openai", "bedrock", &body, "/outputConfig", Value::Null);
    assert_eq!(losses, ["/response_format: dropped: Converse has JSON schemas only"]);
}

#[test]
fn cache_points_are_converted() {
    let body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]});
    let (there, losses) = convert("anthropic", "bedrock", &body).expect("it can be written");
    assert!(losses.is_empty(), "{losses:?}");
    assert_eq!(there["messages"][0]["content"][1], json!({"cachePoint": {"type": "default"}}));
    let (back, losses) = convert("bedrock", "anthropic", &there).expect("it can be written");
    assert!(losses.is_empty(), "{losses:?}");
    assert_eq!(back, body);
}
