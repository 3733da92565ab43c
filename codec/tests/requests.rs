//! Requests: read, written, converted, and the losses. The requirements of each target are tested in `request_targets.rs`.

mod common;

use std::borrow::Cow;
use std::fs;

use common::requests::{FORMATS, TEXT, anew, chat, convert, expect, lines, named, plain};
use proptest::prelude::*;
use sagewire_codec::model::{
    Content, ConversionOptions, Json, Message, Param, Part, Request, Role, Source, Tool, ToolChoice,
};
use sagewire_codec::{Api, convert_request, detect_request, read_request, write_request};
use serde_json::{Value, json};

/// Everything in a request except its offsets, in any order.
fn meaning(mut request: Request<'_>) -> Vec<String> {
    request.source = Cow::Borrowed("");
    request.extension_fields.sort_by(|a, b| a.0.cmp(&b.0));
    request.extra_parameters.sort_by(|a, b| a.0.cmp(&b.0));
    let shown = format!("{request:#?}");
    let lines = shown.split("landmarks").next().expect("a text").lines().scan(false, |in_offset, line| {
        let is_offset = *in_offset || line.trim_start().starts_with("offset: Some");
        *in_offset = is_offset && !line.trim_start().starts_with(')');
        Some((!is_offset && line.trim() != "offset: None,").then(|| line.to_owned()))
    });
    lines.flatten().collect()
}

#[test]
fn requests_survive_a_round_trip() {
    let vectors = common::read_json(&common::testdata("requests.json"));
    let vectors = vectors["identity"].as_array().expect("a list");
    let mut count = 0;
    for vector in vectors {
        let name = common::name_of(vector);
        let format = named(vector["format"].as_str().expect("a format"));
        for source in
            [vector["body"].to_string(), serde_json::to_string_pretty(&vector["body"]).expect("JSON")]
        {
            let request =
                read_request(format, source.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (copied, losses) =
                write_request(format, &request, &ConversionOptions::new()).expect("it can be written");
            assert_eq!(String::from_utf8_lossy(&copied), source, "{name}");
            assert!(losses.is_empty(), "{name}: {losses:?}");
            let (converted, losses) =
                convert_request(format, format, source.as_bytes(), &ConversionOptions::new())
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((converted, losses.as_slice()), (copied, &[][..]), "{name}, in one go");
            // Serializing again without a change gives the same document.
            let (edited, losses) = write_request(format, &request, &anew()).expect("it can be written");
            assert_eq!(
                (String::from_utf8_lossy(&edited), losses.len()),
                (source.as_str().into(), 0),
                "{name}"
            );
            // The same through the canonical model, without the source to copy from.
            let mut request = request;
            request.source = Cow::Borrowed("");
            let (written, losses) = write_request(format, &request, &anew()).expect("it can be written");
            let written: Value = serde_json::from_slice(&written).expect("JSON");
            if let Some(rewritten) = vector.get("rewritten") {
                let mut expected = rewritten.clone();
                if let Some(dropped) = vector["rewritten_drops"].as_str() {
                    let (object, field) = dropped.rsplit_once('/').expect("a pointer");
                    let object = expected.pointer_mut(object).and_then(Value::as_object_mut);
                    object.expect("it is there").remove(field);
                }
                // An object that becomes a string keeps its spaces.
                if !source.contains('\n') {
                    assert_eq!(written, expected, "{name}");
                }
            } else if losses.is_empty() && vector["rewrites"].is_null() && !source.contains('\n') {
                let text = written.to_string();
                let again = read_request(format, text.as_bytes()).expect("a request");
                let (again, request) = (meaning(again), meaning(request.clone()));
                let more: Vec<_> = again.iter().filter(|line| !request.contains(line)).collect();
                let less: Vec<_> = request.iter().filter(|line| !again.contains(line)).collect();
                assert_eq!((more, less), (vec![], vec![]), "{name}: {text}");
                count += 1;
            }
            // The output has the same meaning when it is read, and so is stable under another conversion.
            let text = written.to_string();
            let again =
                read_request(format, text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (second, _) = write_request(format, &again, &anew()).expect("it can be written");
            let second: Value = serde_json::from_slice(&second).expect("JSON");
            assert_eq!(second, written, "{name} a second time");
        }
    }
    assert!(vectors.len() >= 40 && count >= 20, "{count} of {}", vectors.len());
}

/// Differences in how formats express something: the values that the output must contain, null for those that it must not
/// contain, and the losses with their kinds.
#[test]
fn fields_are_converted_between_formats() {
    let vectors = common::read_json(&common::testdata("requests.json"));
    let vectors = vectors["conversions"].as_array().expect("a list");
    for vector in vectors {
        let name = common::name_of(vector);
        let format = |end: &str| vector[end].as_str().expect("a format");
        let (written, losses) = convert(format("from"), format("to"), &vector["body"]).expect(name);
        for (pointer, expected) in vector["at"].as_object().expect("pointers") {
            let found = written.pointer(pointer).unwrap_or(&Value::Null);
            assert_eq!(found, expected, "{name}: {pointer} of {written}");
        }
        let what = |line: &String| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ");
        let whats: Vec<_> = lines(&losses).iter().map(what).collect();
        assert_eq!(json!(whats), vector["losses"], "{name}");
    }
    assert!(vectors.len() >= 80, "{}", vectors.len());
}

#[test]
fn invalid_requests_are_rejected_with_a_position() {
    let vectors = common::read_json(&common::testdata("requests.json"));
    for vector in vectors["errors"].as_array().expect("a list") {
        let text = vector["text"].as_str().expect("a text");
        let error = read_request(named(vector["format"].as_str().expect("a format")), text.as_bytes());
        let error = error.expect_err(text);
        assert_eq!(error.to_string(), vector["error"], "{text}");
        assert!(error.is_invalid() != error.is_limit(), "{error}");
    }
    let error = read_request(Api::OpenAi, b"{\"a\":\"\xff\"}").expect_err("not UTF-8");
    assert_eq!(error.to_string(), "byte 6: malformed JSON: not UTF-8");
}

/// One conversation that uses every feature, from each format to every other, with the losses. Reviewed by eye; rewrite the
/// golden files with `SAGEWIRE_GOLDEN=write`.
#[test]
fn golden_conversions() {
    let folder = common::testdata("golden");
    let mut count = 0;
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("request-")));
    for path in files {
        let mut golden: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        let from = golden["format"].as_str().expect("a format").to_owned();
        let mut targets = serde_json::Map::new();
        for (to, _) in FORMATS.into_iter().chain([TEXT]) {
            let result = match convert(&from, to, &golden["body"]) {
                Ok((body, losses)) => json!({"body": body, "losses": lines(&losses)}),
                Err(error) => json!({"error": error.to_string()}),
            };
            targets.insert(to.to_owned(), result);
            count += 1;
        }
        if std::env::var_os("SAGEWIRE_GOLDEN").is_some_and(|value| value == "write") {
            golden["targets"] = Value::Object(targets);
            let text = serde_json::to_string_pretty(&golden).expect("JSON");
            fs::write(&path, text + "\n").expect("it can be written");
            continue;
        }
        for (to, result) in targets {
            assert_eq!(result, golden["targets"][&to], "{from} to {to}");
        }
    }
    assert!(count >= 50, "{count}");
}

#[test]
fn conversions() {
    let vectors = common::read_json(&common::testdata("conversions.json"));
    let vectors = vectors.as_array().expect("a list");
    for vector in vectors {
        let name = common::name_of(vector);
        let format = |member: &str| vector[member].as_str().expect("a format");
        match convert(format("from"), format("to"), &vector["body"]) {
            Ok((written, losses)) => {
                assert_eq!(written, vector["written"], "{name}");
                let mut losses = lines(&losses);
                losses.sort();
                assert_eq!(json!(losses), vector["losses"], "{name}");
            }
            Err(error) => {
                let expected = vector["error"].as_str().unwrap_or_else(|| panic!("{name}: {error}"));
                assert!(error.to_string().ends_with(expected), "{name}: {error}");
            }
        }
    }
    assert!(vectors.len() >= 35);
}

/// A gateway changes one field; nothing else may change with it.
#[test]
fn changed_fields_are_written() {
    let body = json!({"model": "m", "temperature": 1.50, "messages": [{"role": "user", "content": "hi", "later": 1}], "stop": "a", "max_completion_tokens": 5});
    let source = body.to_string();
    let mut request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
    request.model = Some(Param::new("other".into()));
    request.messages[0].content[0].content = Content::Text("ho".into());
    let (written, losses) = write_request(Api::OpenAi, &request, &ConversionOptions::new()).expect("written");
    let mut expected = body;
    expected["model"] = json!("other");
    expected["messages"][0]["content"] = json!("ho");
    assert_eq!(serde_json::from_slice::<Value>(&written).expect("JSON"), expected);
    assert!(losses.is_empty());
}

#[test]
fn a_request_can_be_built() {
    let mut request = Request::default();
    let text = Part::new(Content::Text("hi".into()));
    let image =
        Part::new(Content::Image { source: Source::Url("https://example.com/a.png".into()), detail: None });
    request.messages.push(Message::new(Role::User, vec![text, image]));
    request.tools.push(Tool::new("f"));
    request.tool_choice = Some(Param::new(ToolChoice::Required));
    request.seed = Some(Param::new(-3));
    request.temperature = Some(Param::new(0.7));
    request.extra_parameters.push(("min_tokens".into(), Param::new(Json(Cow::Borrowed("2")))));
    for (name, format) in FORMATS {
        let (written, losses) = write_request(format, &request, &ConversionOptions::new().render(&plain))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        serde_json::from_slice::<Value>(&written).expect("JSON");
        for loss in losses.as_slice() {
            assert!(!loss.path.starts_with('/'), "{loss}: there is no source");
        }
    }
    let (written, _) = write_request(Api::OpenAi, &request, &ConversionOptions::new()).expect("written");
    let expected = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}],
        "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required", "seed": -3, "temperature": 0.7, "min_tokens": 2});
    assert_eq!(serde_json::from_slice::<Value>(&written).expect("JSON"), expected);
}

/// No content is invented: a request without content is rejected by every other API, and survives a round trip in its own.
#[test]
fn a_request_without_content_is_rejected() {
    let blank = json!({"role": "user", "content": " "});
    let empty = json!({"role": "assistant", "content": []});
    for body in [chat(json!([])), chat(json!([blank])), chat(json!([empty, blank]))] {
        for (to, _) in FORMATS.into_iter().filter(|(to, _)| !matches!(*to, "openai")) {
            let error = convert("openai", to, &body).expect_err("no content");
            assert!(error.is_unsupported(), "{to}: {error:?}");
            assert!(error.to_string().contains(": the conversation has no content"), "{to}: {error}");
        }
        let mut request = body.clone();
        request["model"] = json!("m");
        let source = request.to_string();
        let mut request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
        request.model = Some("other".into());
        let (written, losses) =
            write_request(Api::OpenAi, &request, &ConversionOptions::new()).expect("its own API takes it");
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        assert_eq!((&written["messages"], &written["model"]), (&body["messages"], &json!("other")));
        assert!(losses.is_empty());
    }
    let error = convert("completions", "bedrock", &json!({"prompt": ""})).expect_err("no content");
    assert!(error.is_unsupported(), "{error:?}");
    let error = write_request(Api::Converse, &Request::default(), &ConversionOptions::new());
    assert!(error.expect_err("nothing to write").is_unsupported());
}

/// Requests can outlive their bodies, be compared and hashed, and be built from a few fields.
#[test]
fn requests_can_be_owned() {
    fn good<T: Send + Sync + Clone + std::fmt::Debug + std::hash::Hash + Eq + 'static>() {}
    good::<Request<'static>>();
    let vectors = common::read_json(&common::testdata("requests.json"));
    for vector in vectors["identity"].as_array().expect("a list") {
        let format = named(vector["format"].as_str().expect("a format"));
        let source = vector["body"].to_string();
        let request = read_request(format, source.as_bytes()).expect("a request");
        let owned: Request<'static> = request.clone().into_owned();
        let hash = |request: &Request<'_>| {
            use std::hash::{BuildHasher, RandomState};
            static STATE: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
            STATE.hash_one(request)
        };
        assert_eq!((&owned, hash(&owned)), (&request, hash(&request)));
        let (copied, losses) = write_request(format, &owned, &ConversionOptions::new()).expect("written");
        assert_eq!((String::from_utf8_lossy(&copied), losses.len()), (source.as_str().into(), 0));
    }
    let call = Part::tool_call("1", "f", "{}");
    let request = Request::new()
        .model("m")
        .message(Message::system("s"))
        .message(Message::user(vec![Part::text("a"), Part::image_base64("image/png", "AA==")]))
        .message(Message::assistant(vec![Part::reasoning("hm"), call]))
        .message(Message::tool("1", "r"))
        .tool(Tool::new("f").description("d").schema("{}"))
        .max_tokens(5)
        .temperature(0.5)
        .stream(true);
    let (written, losses) = write_request(Api::OpenAi, &request, &ConversionOptions::new()).expect("written");
    let expected = json!({"model": "m", "messages": [{"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        {"role": "assistant", "reasoning_content": "hm", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "r"}],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}], "max_tokens": 5, "temperature": 0.5, "stream": true});
    assert_eq!(serde_json::from_slice::<Value>(&written).expect("JSON"), expected);
    assert!(losses.is_empty());
    let mut other = request.clone();
    other.temperature = Some(0.25.into());
    assert_ne!(other, request);
}

/// Several prompts are several requests, and tokens are not text. Only SGLang takes the same.
#[test]
fn prompts_in_lists_stay_with_completions() {
    for prompt in [json!(["a", "b"]), json!([1, 2]), json!([[1, 2]])] {
        let body = json!({"prompt": prompt, "seed": 1});
        for (to, _) in FORMATS {
            match convert("completions", to, &body) {
                Ok((written, losses)) if to == "sglang" => {
                    let name = if prompt[0].is_string() { "text" } else { "input_ids" };
                    let expected = json!({name: prompt, "sampling_params": {"sampling_seed": 1}});
                    assert_eq!((written.clone(), losses.len()), (expected, 0));
                    let (back, losses) = convert("sglang", "completions", &written).expect("a request");
                    assert_eq!((back, losses.len()), (body.clone(), 0));
                }
                Ok((written, losses)) => assert!(to == "completions" && losses.is_empty() && written == body),
                Err(error) => {
                    let why = "only completions and SGLang take them (at /prompt)";
                    assert!(to != "completions" && error.is_unsupported(), "{to}: {error}");
                    assert!(error.to_string().ends_with(why), "{error}");
                    assert_eq!(error.offset(), 10);
                }
            }
        }
    }
    expect("completions", "tgi", &json!({"prompt": ["a"]}), "/inputs", json!("a"));
}

/// Escapes in a document are copied unchanged, unless not every reader has to accept them.
#[test]
fn escapes_are_copied() {
    let body = |text: &str| format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    for (text, bedrock) in [
        (r"a\u00e9\/\n\ud83d\ude00 ", r"a\u00e9\/\n\ud83d\ude00 "),
        (r"\ud83d", "\u{fffd}"),
        (r"\ude00\ud83d\n", "\u{fffd}\u{fffd}\\n"),
    ] {
        let source = body(text);
        let request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
        let write = || write_request(Api::Converse, &request, &ConversionOptions::new()).expect("written").0;
        let expected = format!(r#"{{"messages":[{{"role":"user","content":[{{"text":"{bedrock}"}}]}}]}}"#);
        assert_eq!(String::from_utf8(write()).expect("UTF-8"), expected);
        let Content::Text(text) = &request.messages[0].content[0].content else { panic!("{request:?}") };
        let meaning: String = serde_json::from_str(&format!("\"{bedrock}\"")).expect("a string");
        assert_eq!(**text, *meaning);
        assert_eq!(String::from_utf8(write()).expect("UTF-8"), expected, "looking changes nothing");
    }
    for blank in [r"", r" \n", r"\u2003\t"] {
        let blank = serde_json::from_str(&body(blank)).expect("JSON");
        let error = convert("openai", "anthropic", &blank).expect_err("no content");
        assert!(
            error.is_unsupported() && error.to_string().ends_with("no content (at /messages/0)"),
            "{error}"
        );
        let two = chat(json!([blank["messages"][0], {"role": "user", "content": "hi"}]));
        let (_, losses) = convert("openai", "anthropic", &two).expect("it can be written");
        assert!(lines(&losses).iter().any(|line| line.contains("no blank text")), "{blank}: {losses:?}");
    }
    for broken in [r"\", r"\x", r"\u12", r"\u12g4", "\u{1}", r"\ud83d\u", r"a\"] {
        read_request(Api::OpenAi, body(broken).as_bytes()).expect_err(broken);
    }
}

/// The position of a loss is also found in long lists.
#[test]
fn positions_in_long_lists_are_found() {
    let message = |index: u32| {
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        json!({"role": role, "content": "hi", "name": "n"})
    };
    let body = chat((0..100).map(message).collect());
    let (_, losses) = convert("openai", "bedrock", &body).expect("it can be written");
    let found: Vec<_> = losses.as_slice().iter().map(|loss| loss.path.clone()).collect();
    let expected: Vec<_> = (0..100).map(|index| format!("/messages/{index}/name")).collect();
    assert_eq!(found, expected);
}

#[test]
fn strings_are_borrowed() {
    let source = r#"{"messages":[{"role":"user","content":"hi"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"later":{"a":"b"}}"#;
    let request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
    let Content::Text(text) = &request.messages[0].content[0].content else { panic!("{request:?}") };
    assert_eq!(text.borrowed(), Some("hi"));
    let Content::Image { source: Source::Base64 { data, .. }, .. } = &request.messages[1].content[0].content
    else {
        panic!("{request:?}");
    };
    assert_eq!(data.borrowed(), Some("AAAA"));
    assert!(matches!(
        &request.extra_parameters[0],
        (Cow::Borrowed("later"), Param { value: Json(Cow::Borrowed(_)), .. })
    ));
}

/// JSON made of words that occur in requests.
fn document() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &[
        "messages",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "tool_call_id",
        "tools",
        "tool_choice",
        "stop",
        "n",
        "temperature",
        "input",
        "toolUse",
        "toolResult",
        "toolUseId",
        "cachePoint",
        "document",
        "source",
        "bytes",
        "format",
        "system",
        "toolConfig",
        "toolSpec",
        "inputSchema",
        "json",
        "inferenceConfig",
        "max_tokens",
        "thinking",
        "inputs",
        "parameters",
        "prompt",
        "text_inputs",
        "text_input",
        "a/b~",
        "response_format",
        "json_schema",
        "schema",
        "metadata",
        "user_id",
        "cache_control",
        "id",
        "reasoningContent",
        "reasoningText",
        "additionalModelRequestFields",
        "outputConfig",
        "textFormat",
        "output_config",
        "reasoning",
        "refusal",
    ];
    const WORDS: &[&str] = &[
        "user",
        "assistant",
        "tool",
        "system",
        "text",
        "function",
        "auto",
        "none",
        "image_url",
        "tool_use",
        "tool_result",
        "é\n",
        " ",
        "",
        "{}",
        "data:image/png;base64,AA",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-2.0..2.0).prop_map(Value::from),
        proptest::sample::select(WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(NAMES), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// A request with such values in all fields where they could cause a fault.
fn request() -> impl Strategy<Value = Value> {
    let blocks = || proptest::collection::vec(document(), 0..4);
    let message = (
        proptest::sample::select(&["user", "assistant", "tool", "system", "x"][..]),
        prop_oneof![blocks().prop_map(Value::from), document()],
        document(),
    );
    let message = message
        .prop_map(|(role, content, calls)| json!({"role": role, "content": content, "tool_calls": [calls]}));
    let known = (proptest::collection::vec(message, 0..4), document(), document(), document());
    let known = known.prop_map(|(messages, a, b, tools)| {
        json!({"messages": messages, "tools": [tools], "toolConfig": a, "tool_choice": b, "system": b, "inputs": "x", "prompt": "x", "text_input": "x", "text_inputs": "x", "parameters": a})
    });
    prop_oneof![document(), known]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A request that can be read can be read again after writing it in its own format and in all others.
    #[test]
    fn any_document_is_a_request_or_an_error(body in request()) {
        let source = body.to_string();
        for (name, format) in FORMATS {
            let Ok(request) = read_request(format, source.as_bytes()) else { continue };
            let (copied, losses) = write_request(format, &request, &ConversionOptions::new().render(&plain)).expect("copied");
            prop_assert_eq!(&copied, source.as_bytes());
            prop_assert!(losses.is_empty());
            for (to, target) in FORMATS {
                let Ok((written, losses)) = write_request(target, &request, &anew().render(&plain)) else { continue };
                let written: Value = serde_json::from_slice(&written).unwrap_or_else(|error| panic!("{name} to {to}: {error}"));
                for loss in losses.as_slice().iter().filter(|loss| loss.path.starts_with('/')) {
                    prop_assert!(body.pointer(&loss.path).is_some(), "{}", loss);
                }
                let text = written.to_string();
                let again = read_request(target, text.as_bytes()).unwrap_or_else(|error| panic!("{name} to {to}: {error}: {text}"));
                let (second, _) = write_request(target, &again, &anew().render(&plain)).expect("written again");
                let second: Value = serde_json::from_slice(&second).expect("JSON");
                prop_assert_eq!(second, written, "{} to {}", name, to);
            }
        }
    }

    /// Broken documents are errors, and never panics.
    #[test]
    fn broken_documents_are_errors(body in request(), cut in 0.0..1.0f64, byte in any::<u8>()) {
        let mut source = body.to_string().into_bytes();
        let at = (source.len() as f64 * cut) as usize;
        for (_, format) in FORMATS {
            let whole = read_request(format, &source[..at]);
            prop_assert!(whole.is_err());
        }
        source[at] = byte;
        for (_, format) in FORMATS {
            if let Ok(request) = read_request(format, &source) {
                for (_, target) in FORMATS {
                    let _ = write_request(target, &request, &ConversionOptions::new().render(&plain));
                }
            }
        }
    }
}

/// `lmi` and `jumpstart` share their fields with `tgi`.
#[test]
fn the_api_of_a_request_is_detected() {
    let vectors = common::read_json(&common::testdata("detect_request.json"));
    for vector in vectors.as_array().expect("a list") {
        let name = common::name_of(vector);
        for body in [vector["body"].to_string(), serde_json::to_string_pretty(&vector["body"]).expect("JSON")]
        {
            let found = detect_request(body.as_bytes()).map(Api::name);
            assert_eq!(found, vector["api"].as_str(), "{name}");
            for broken in [&body[..body.len() - 1], &format!("{body}x")] {
                assert_eq!(detect_request(broken.as_bytes()), None, "{name}: {broken}");
            }
        }
    }
    assert_eq!(detect_request(b"{\"messages\":[\"\xff\"]}"), None, "not UTF-8");
    let vectors = common::read_json(&common::testdata("requests.json"));
    for vector in vectors["identity"].as_array().expect("a list") {
        let name = common::name_of(vector);
        let api = named(vector["format"].as_str().expect("a format"));
        let found = detect_request(vector["body"].to_string().as_bytes());
        let is_shared = matches!(api, Api::Lmi | Api::JumpStart | Api::Anthropic | Api::Nova);
        let shared = if matches!(api, Api::Anthropic | Api::Nova) { Api::OpenAi } else { Api::Tgi };
        assert!(found == Some(api) || (is_shared && found == Some(shared)), "{name}: {found:?}");
    }
}
