//! Custom formats, which are described in a file.
#![cfg(feature = "custom")]

mod common;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use common::{Random, decode, every_cut};
use sagewire_codec::custom::{ConfigError, Format, Spec};
use sagewire_codec::model::{
    Content, ConversionOptions, Json, Message, Param, Part, Rendered, Request, Response, ResponseOptions,
    Role, Source, Tool,
};
use sagewire_codec::{Api, DecodeError, Options};
use serde_json::{Value, json};

fn vectors() -> Value {
    common::read_json(&common::testdata("custom.json"))
}

fn list<'a>(vectors: &'a Value, kind: &str) -> &'a [Value] {
    let vectors = vectors[kind].as_array().expect("a list");
    for vector in vectors {
        assert!(vector["why"].as_str().is_some_and(|why| why.len() > 10), "{} says why", vector["name"]);
    }
    vectors
}

fn format(spec: &Value) -> Result<Format, ConfigError> {
    Format::new(serde_json::from_str::<Spec>(&spec.to_string()).expect("a spec"))
}

#[test]
fn responses() {
    let vectors = vectors();
    for vector in list(&vectors, "responses") {
        let name = vector["name"].as_str().expect("a name");
        let spec = &vectors["specs"][vector["spec"].as_str().expect("a spec")];
        let options = Options::new().custom(format(spec).expect("a format"));
        let body = vector["text"].as_str().expect("text").as_bytes();
        let check = |how: &str, (events, ending): (Vec<Value>, Result<(), DecodeError>)| {
            assert_eq!(&json!(events), &vector["events"], "{name} {how}");
            let error = ending.as_ref().err().map(ToString::to_string);
            assert_eq!(error.as_deref(), vector["error"].as_str(), "{name} {how}");
        };
        check("as it is", every_cut(name, body, |chunks| decode(options.clone(), chunks)));
        for seed in 0..4 {
            let frames = Random(seed).parts(body, [1, 2, 16, 300][seed as usize]);
            check("in frames", decode(options.clone(), vec![Bytes::from(frames)]));
        }
    }
}

/// A malformed record loses only itself. Numbers of any size are accepted.
#[test]
fn malformed_records_are_reported() {
    let vectors = vectors();
    let options = Options::new().custom(format(&vectors["specs"]["bare"]).expect("a format"));
    let body = b"{\"t\":\"a\"}\n{\"t\":x}\n{\"t\":\"b\",\"y\":12345678901234567890123}\n{\"t\":1e999}\n{\"f\":\"stop\"}\n";
    let (events, ending) = every_cut("broken", body, |chunks| decode(options.clone(), chunks));
    assert_eq!(ending, Ok(()));
    assert_eq!(common::texts(&events), "ab");
    assert_eq!(events.iter().filter(|event| event["type"] == "malformed").count(), 1);
    let deep =
        [b"{\"t\":", &b"[".repeat(200)[..], &b"]".repeat(200), b"}\n{\"t\":\"a\",\"f\":\"stop\"}\n"].concat();
    let (events, ending) = every_cut("deep", &deep, |chunks| decode(options.clone(), chunks));
    assert_eq!((common::texts(&events).as_str(), ending), ("a", Ok(())));
}

/// The same path in `stream` and in `response`: a body is either streaming or not.
#[test]
fn a_response_that_looks_like_a_record_is_not_a_stream() {
    let spec = json!({"stream": {"text": "$.text"}, "response": {"text": "$.text"}});
    let options = Options::new().custom(format(&spec).expect("a format"));
    let read = |body: &'static str| Response::read(body.as_bytes(), options.clone());
    for body in ["{\"text\":\"hi\"}", " {\"text\":\n\"hi\"}\n"] {
        assert_eq!(read(body).expect("complete").choices[0].text(), "hi");
    }
    // Several records, or server-sent events, are a stream, and here its end is missing.
    for body in ["{\"text\":\"hi\"}\n{\"text\":\"!\"}\n", "data: {\"text\":\"hi\"}\n\n"] {
        assert!(read(body).is_err_and(|error| error.is_truncated()), "{body}");
    }
    assert!(read("{\"text\":\"h").is_err());
}

/// A custom format converts to other formats like any built-in one.
#[test]
fn custom_streams_are_transcoded() {
    let vectors = vectors();
    let format = Arc::new(format(&vectors["specs"]["flat"]).expect("a format"));
    let body = b"{\"piece\":\"hi\"}\n{\"end\":{\"why\":\"EOS\"}}\n";
    let options = Options::new().custom(format);
    let (out, _, ending) = common::transcode_with(options, Api::OpenAi, ResponseOptions::new(), body);
    assert_eq!(ending, Ok(()));
    let out = String::from_utf8(out).expect("UTF-8");
    assert!(out.contains("\"content\":\"hi\"") && out.contains("\"finish_reason\":\"stop\""), "{out}");
    assert!(out.ends_with("data: [DONE]\n\n"), "{out}");
}

/// Values that are read at the end of the body have no record any more, so their losses have no position.
#[test]
fn the_end_of_a_non_streaming_response_is_transcoded() {
    let vectors = vectors();
    for (target, said) in [(Api::OpenAi, "length"), (Api::Anthropic, "max_tokens"), (Api::Tgi, "length")] {
        let format = format(&vectors["specs"]["same_end"]).expect("a format");
        let body = b"{\"text\":\"hi\",\"reason\":\"length\",\"in\":3,\"out\":1}";
        let options = Options::new().custom(format);
        let (out, losses, ending) = common::transcode_with(options, target, ResponseOptions::new(), body);
        assert_eq!(ending, Ok(()));
        let out = String::from_utf8_lossy(&out);
        assert!(out.contains(said), "{out}");
        assert!(losses.iter().all(|loss| !loss.starts_with("/: ")), "{losses:?}");
    }
}

#[test]
fn invalid_formats_are_rejected() {
    let vectors = vectors();
    for vector in list(&vectors, "refused") {
        let spec = serde_json::from_str::<Spec>(&vector["spec"].to_string());
        let error = match spec {
            Ok(spec) => {
                let error = Format::new(spec).expect_err("is refused");
                assert!(error.pointer().starts_with('/'), "{error:?}");
                error.to_string()
            }
            Err(error) => error.to_string(),
        };
        let expected = vector["error"].as_str().expect("an error");
        assert!(error.contains(expected), "{}: {error}", vector["name"]);
    }
}

#[test]
fn requests() {
    let vectors = vectors();
    for vector in list(&vectors, "requests") {
        let name = &vector["name"];
        // Parsed from text, so that the template keeps the order of its fields.
        let text = std::fs::read_to_string(common::testdata("custom.json")).expect("UTF-8");
        let line = text.lines().find(|line| line.contains(&format!("\"name\": {name},"))).expect("a line");
        let at = line.find("\"template\": ").expect("a template") + "\"template\": ".len();
        let end = line.find(", \"request\": ").expect("a request");
        let spec = format!("{{\"request\": {}}}", &line[at..end]);
        let format = Format::new(serde_json::from_str(&spec).expect("a spec")).expect("a format");
        // A spec survives a serialization round trip.
        let again = serde_json::to_string(format.spec()).expect("JSON");
        assert_eq!(&serde_json::from_str::<Spec>(&again).expect("its own"), format.spec());
        let prompt = vector["prompt"].as_str();
        let render = |_: &[Message<'_>], _: &[Tool<'_>]| Ok(Rendered::new(prompt.unwrap_or_default()));
        let options = match prompt {
            Some(_) => ConversionOptions::new().render(&render),
            None => ConversionOptions::new(),
        };
        match format.write(&request(&vector["request"]), &options) {
            Ok(body) => {
                assert_eq!(Some(&*String::from_utf8_lossy(&body.bytes)), vector["body"].as_str(), "{name}");
                let losses: Vec<_> =
                    body.losses.as_slice().iter().map(|loss| Value::from(loss.to_string())).collect();
                assert_eq!(Value::from(losses), vector["losses"], "{name}");
            }
            Err(error) => {
                assert!(
                    vector["error"].as_str().is_some_and(|why| error.to_string().contains(why)),
                    "{name}: {error}"
                );
            }
        }
    }
}

#[test]
fn placeholders_are_listed() {
    let format =
        format(&json!({"request": {"a": ["x {{prompt}}"], "b": "{{ other.k }}"}})).expect("a format");
    assert!(format.asks_for("prompt") && format.asks_for("other.k"));
    assert!(!format.asks_for("stream") && !format.asks_for("k"));
    assert!(!Format::new(Spec::default()).expect("a format").asks_for("prompt"));
}

#[test]
fn a_format_without_a_template_is_only_read() {
    let error =
        Format::new(Spec::default()).expect("a format").write(&Request::default(), &ConversionOptions::new());
    assert!(error.expect_err("no template").to_string().contains("a format without a template"));
}

fn request(value: &Value) -> Request<'_> {
    let text = |value: &Value| Param::new(Cow::Owned(value.as_str().expect("text").to_owned()));
    let mut request = Request::default();
    for (name, value) in value.as_object().expect("members") {
        match name.as_str() {
            "messages" => {
                request.messages = value.as_array().expect("messages").iter().map(message).collect()
            }
            "tools" => request.tools = value.as_array().expect("tools").iter().map(tool).collect(),
            "stop" => request.stop = value.as_array().expect("stop").iter().map(text).collect(),
            "model" => request.model = Some(text(value)),
            "prompt" => request.prompt = Some(Param::new(value.as_str().expect("a text").into())),
            "user" => request.user = Some(text(value)),
            "max_tokens" => request.max_tokens = value.as_u64().map(Param::new),
            "n" => request.n = value.as_u64().map(Param::new),
            "temperature" => request.temperature = value.as_f64().map(Param::new),
            "top_p" => request.top_p = value.as_f64().map(Param::new),
            "min_p" => request.min_p = value.as_f64().map(Param::new),
            "frequency_penalty" => request.frequency_penalty = value.as_f64().map(Param::new),
            "presence_penalty" => request.presence_penalty = value.as_f64().map(Param::new),
            "repetition_penalty" => request.repetition_penalty = value.as_f64().map(Param::new),
            "top_k" => request.top_k = value.as_i64().map(Param::new),
            "seed" => request.seed = value.as_i64().map(Param::new),
            "stream" => request.stream = value.as_bool().map(Param::new),
            "others" => {
                for (name, value) in value.as_object().expect("members") {
                    // `serde_json` would not keep this order of the fields.
                    let json =
                        if name == "guided" { r#"{"b":[1],"a":2}"#.to_owned() } else { value.to_string() };
                    request.extra_parameters.push((Cow::Borrowed(name), Param::new(Json(Cow::Owned(json)))));
                }
            }
            other => panic!("{other}"),
        }
    }
    request
}

fn message(value: &Value) -> Message<'_> {
    let role = match value["role"].as_str().expect("a role") {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => panic!("{other}"),
    };
    Message::new(
        role,
        match &value["content"] {
            Value::String(text) => vec![Part::new(Content::Text(text.into()))],
            parts => parts.as_array().expect("parts").iter().map(|value| Part::new(part(value))).collect(),
        },
    )
}

fn part(value: &Value) -> Content<'_> {
    let text = |name: &str| value[name].as_str().map(Cow::Borrowed);
    if let Some(text) = text("text") {
        Content::Text(text.into())
    } else if let Some(url) = text("image") {
        Content::Image { source: Source::Url(url), detail: None }
    } else if let Some(text) = text("document") {
        Content::Document { source: Source::Text(text.into()), name: None }
    } else if let Some(name) = text("call") {
        Content::ToolCall {
            id: text("id"),
            name,
            input: text("input").expect("input").into(),
            custom: value["custom"] == true,
        }
    } else {
        let content = vec![Part::new(Content::Text(text("result").expect("a result").into()))];
        Content::ToolResult { id: text("id"), content, is_error: None }
    }
}

fn tool(value: &Value) -> Tool<'_> {
    let mut tool = Tool::new(value["name"].as_str().expect("a name"));
    tool.description = value["description"].as_str().map(Into::into);
    tool.schema = value["schema"].as_str().map(|schema| Json(Cow::Borrowed(schema)));
    tool
}

/// The container chooses the record, so paths whose work has no bound in it are refused, and so are records with too many values.
#[test]
fn the_work_of_paths_is_bounded() {
    let with = |path: &str| format(&json!({"stream": {"text": path}}));
    for (path, why) in [
        ("$..*..*..text", "`..` 2 times"),
        ("$[?match(@.t, @.p)].text", "the pattern has to be a string"),
        ("$[?search(@.t , $.p)].text", "the pattern has to be a string"),
        ("$[?match(@.t, '(a{20}){20}')].text", "too many repetitions"),
    ] {
        let error = with(path).expect_err(path);
        assert!(error.to_string().contains(why), "{path}: {error}");
    }
    for path in ["$..a..text", "$[?match(@.t, 'a{3,9}')].text", "$['a..b..c..d', \"match(@.t, @.p)\"]"] {
        with(path).expect(path);
    }
    let wide = format!("[{}]", vec!["{\"text\":\"a\"}"; 30_000].join(","));
    let deep = format!("{}{}{}", "[".repeat(100), wide, "]".repeat(100));
    let run = |path: &str, record: &str| {
        let options = Options::new().custom(with(path).expect("a format"));
        let body = format!("data: {{\"list\":{record}}}\n\n");
        let (events, ending) = decode(options, vec![Bytes::from(body)]);
        (events.len(), ending.is_err_and(|error| error.is_limit()))
    };
    assert!(run("$..text", &wide).0 > 30_000);
    assert!(run("$.list[*].text", &wide).0 > 30_000);
    assert!(run("$..text", &deep).1);
    assert!(run("$..list..text", &deep).1);
    assert!(run("$.list[?match(@.text, 'a')].text", &wide).1);
    assert!(run("$.list[?count($..*) > 1].text", &wide).1);
}

/// Losses and errors are at the field of the source, whatever its API.
#[test]
fn positions_are_those_of_the_source() {
    let format = format(&json!({"request": {"m": "{{messages}}"}})).expect("a format");
    let write = |api, body: &Value| {
        let body = body.to_string();
        let request = sagewire_codec::read_request(api, body.as_bytes()).expect("a request");
        format
            .write(&request, &ConversionOptions::new())
            .map(|body| body.losses.as_slice().iter().map(|loss| loss.path.to_string()).collect::<Vec<_>>())
    };
    let signed =
        json!([{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}, {"text": "so"}]);
    let body = json!({
        "messages": [{"role": "user", "content": [{"text": "hi"}]}, {"role": "assistant", "content": signed}],
        "inferenceConfig": {"maxTokens": 3, "stopSequences": ["x"]},
        "additionalModelRequestFields": {"top_k": 4},
        "guardrailConfig": {"guardrailIdentifier": "g"},
    });
    let losses = write(Api::Converse, &body).expect("it can be written");
    for path in [
        "/messages/1/content/0/reasoningContent/reasoningText/signature",
        "/inferenceConfig/maxTokens",
        "/inferenceConfig/stopSequences/0",
        "/additionalModelRequestFields/top_k",
        "/guardrailConfig",
    ] {
        assert!(losses.iter().any(|found| found == path), "{path}: {losses:?}");
    }
    assert_eq!(losses.len(), 5, "{losses:?}");
    let document =
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}});
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [document]}]});
    let error = write(Api::Anthropic, &body).expect_err("a document");
    assert_eq!(error.pointer(), Some("/messages/0/content/0"), "{error}");
    let body = json!({"model": "m", "input": "hi", "previous_response_id": "resp_1"});
    let error = write(Api::Responses, &body).expect_err("a stored conversation");
    assert_eq!(error.pointer(), Some("/previous_response_id"), "{error}");
}
