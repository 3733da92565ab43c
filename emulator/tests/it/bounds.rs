//! Limits that a request sets for the response: maximum tokens, stop strings, number of choices, and required tools. The
//! tests also decode the container's response as a client would.

use bytes::Bytes;
use sagewire_codec::model::Response;
use sagewire_codec::{Decoder, Framing, Options};
use sagewire_emulator::ContainerFormat::{self, *};
use serde_json::{Value, json};

use crate::client::Request;
use crate::containers::Endpoint;

/// A body for the container: a prompt under its name, with these fields.
fn body(prompt: &str, members: &Value) -> Value {
    let mut body = match prompt {
        "messages" => json!({"messages": [{"role": "user", "content": "hi"}]}),
        prompt => json!({prompt: "hi"}),
    };
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Decodes a stream.
fn read(body: &str) -> Response {
    let mut decoder = Decoder::with_options(Options::new().framing(Framing::Unframed));
    let mut response = Response::default();
    let mut chunk = Bytes::copy_from_slice(body.as_bytes());
    while let Some(event) = decoder.decode(&mut chunk).unwrap() {
        response.add(&event);
    }
    while let Some(event) = decoder.finish().unwrap_or_else(|error| panic!("{error}: {body}")) {
        response.add(&event);
    }
    response
}

/// A format, the body of a request, and the JSON pointers of text, finish reason and stop string in the response.
type Case = (ContainerFormat, Value, &'static str, &'static str, &'static str, &'static str, Value);

/// Checks the non-streaming response and the records of a stream.
async fn check((format, request, text, wanted, reason, name, stop): Case) {
    let endpoint = Endpoint::new(format).await;
    let whole = endpoint.whole(request.clone()).await;
    let found = |place: &str| whole.pointer(place).cloned().unwrap_or_default();
    assert_eq!(found(text), wanted, "{format}: {request}: {whole}");
    assert_eq!(found(reason), name, "{format}: {request}: {whole}");
    let stop_place = match format {
        Anthropic => "/stop_sequence",
        LlamaServer => "/stopping_word",
        _ => "/choices/0/stop_reason",
    };
    if !stop.is_null() {
        assert_eq!(found(stop_place), stop, "{format}");
    }
    let mut request = request;
    request["stream"] = json!(true);
    let (_, streamed) = endpoint.stream(request).await;
    assert!(streamed.contains(name), "{format}: {name} in {streamed}");
    let response = read(&streamed);
    assert_eq!(response.choices[0].text(), wanted.trim_start(), "{format}: {streamed}");
}

const TEXT: &str = "/choices/0/message/content";
const REASON: &str = "/choices/0/finish_reason";
const DETAILS: &str = "/details/finish_reason";

#[tokio::test]
async fn texts_end_answers() {
    let (none, hi) = (Value::Null, json!("“hi"));
    let chat = body("messages", &json!({"stop": ["“hi"]}));
    let parameters =
        |stop: &str| json!({"parameters": {stop: ["“hi"], "details": true, "max_new_tokens": 50}});
    let anthropic = body("messages", &json!({"stop_sequences": ["x", "“hi"], "max_tokens": 50}));
    let tgi =
        body("inputs", &json!({"parameters": {"stop": ["“hi"], "details": true, "return_full_text": false}}));
    for case in [
        (OpenAi, chat.clone(), TEXT, "You said: ", REASON, "stop", hi.clone()),
        (
            OpenAi,
            body("prompt", &json!({"stop": "“hi"})),
            "/choices/0/text",
            "You said: ",
            REASON,
            "stop",
            hi.clone(),
        ),
        (Anthropic, anthropic, "/content/0/text", "You said: ", "/stop_reason", "stop_sequence", hi.clone()),
        (Tgi, chat.clone(), TEXT, "You said: “hi", REASON, "stop_sequence", none.clone()),
        (
            Tgi,
            tgi,
            "/0/generated_text",
            "You said: “hi",
            "/0/details/finish_reason",
            "stop_sequence",
            none.clone(),
        ),
        (Lmi, chat.clone(), TEXT, "You said: ", REASON, "stop_sequence", none.clone()),
        (
            Lmi,
            body("inputs", &parameters("stop_sequences")),
            "/generated_text",
            "You said: ",
            DETAILS,
            "stop_sequence",
            none.clone(),
        ),
        (LmiVllm, chat, TEXT, "You said: ", REASON, "stop", hi.clone()),
        (
            LlamaServer,
            body("prompt", &json!({"stop": ["“hi"]})),
            "/content",
            "You said: ",
            "/stop_type",
            "word",
            hi.clone(),
        ),
    ] {
        check(case).await;
    }
    let endpoint = Endpoint::new(Triton).await;
    let whole = endpoint.whole(body("text_input", &json!({"stop_words": ["“hi"]}))).await;
    assert_eq!(whole["text_output"], "You said: ");
    let endpoint = Endpoint::new(LmiVllm).await;
    let whole = endpoint.whole(body("inputs", &parameters("stop"))).await;
    assert_eq!(whole["generated_text"], "You said: ");
}

#[tokio::test]
async fn an_answer_that_ends_at_once_ends_all_the_same() {
    for (format, request) in [
        (OpenAi, body("messages", &json!({"stop": ["You"]}))),
        (Anthropic, body("messages", &json!({"stop_sequences": ["You"], "max_tokens": 5}))),
        (Lmi, body("messages", &json!({"stop": ["You"]}))),
        (Lmi, body("inputs", &json!({"parameters": {"stop_sequences": ["You"]}}))),
        (LmiVllm, body("inputs", &json!({"parameters": {"stop": ["You"]}}))),
        (LlamaServer, body("prompt", &json!({"stop": ["You"]}))),
    ] {
        let mut request = request;
        request["stream"] = json!(true);
        let (_, streamed) = Endpoint::new(format).await.stream(request).await;
        let response = read(&streamed);
        assert!(response.choices.iter().all(|choice| choice.text().is_empty()), "{format}: {streamed}");
    }
}

#[tokio::test]
async fn tokens_bound_answers() {
    let chat = body("messages", &json!({"max_tokens": 2}));
    let none = Value::Null;
    let parameters = json!({"parameters": {"max_new_tokens": 2, "details": true, "return_full_text": false}});
    for case in [
        (OpenAi, chat.clone(), TEXT, "You said:", REASON, "length", none.clone()),
        (Anthropic, chat.clone(), "/content/0/text", "You said:", "/stop_reason", "max_tokens", none.clone()),
        (
            Responses,
            body("input", &json!({"max_output_tokens": 2})),
            "/output/0/content/0/text",
            "You said:",
            "/incomplete_details/reason",
            "max_output_tokens",
            none.clone(),
        ),
        (Tgi, chat.clone(), TEXT, "You said:", REASON, "length", none.clone()),
        (
            Tgi,
            body("inputs", &parameters.clone()),
            "/0/generated_text",
            "You said:",
            "/0/details/finish_reason",
            "length",
            none.clone(),
        ),
        (Lmi, chat.clone(), TEXT, "You said:", REASON, "length", none.clone()),
        (
            Lmi,
            body("inputs", &parameters.clone()),
            "/generated_text",
            "You said:",
            DETAILS,
            "length",
            none.clone(),
        ),
        (LmiVllm, chat, TEXT, "You said:", REASON, "length", none.clone()),
        (
            LlamaServer,
            body("prompt", &json!({"n_predict": 2})),
            "/content",
            "You said:",
            "/stop_type",
            "limit",
            none.clone(),
        ),
    ] {
        check(case).await;
    }
}

#[tokio::test]
async fn several_answers_are_given() {
    for format in [OpenAi, LmiVllm] {
        let endpoint = Endpoint::new(format).await;
        for stream in [false, true] {
            let request = body("messages", &json!({"n": 3, "max_tokens": 2, "stream": stream}));
            let response = match stream {
                true => read(&endpoint.stream(request).await.1),
                false => {
                    let whole = endpoint.whole(request).await;
                    assert_eq!(whole["usage"]["completion_tokens"], 6);
                    continue;
                }
            };
            let texts: Vec<String> = response.choices.iter().map(|choice| choice.text()).collect();
            assert_eq!(texts, ["You said:"; 3], "{format}");
        }
    }
}

#[tokio::test]
async fn demanded_tools_are_called() {
    let schema =
        json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}});
    let nested = json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}]);
    let flat = json!([{"type": "function", "name": "weather", "parameters": schema}]);
    let anthropic = json!([{"name": "weather", "input_schema": schema}]);
    let named = json!({"type": "function", "function": {"name": "weather"}});
    let flat_named = json!({"type": "function", "name": "weather"});
    for (format, prompt, tools, choice) in [
        (OpenAi, "messages", &nested, json!("required")),
        (OpenAi, "messages", &nested, named.clone()),
        (LmiVllm, "messages", &nested, named.clone()),
        (Lmi, "messages", &nested, named.clone()),
        (Tgi, "messages", &nested, named.clone()),
        (Tgi, "messages", &nested, json!("required")),
        (Responses, "input", &flat, json!("required")),
        (Responses, "input", &flat, flat_named),
        (Anthropic, "messages", &anthropic, json!({"type": "any"})),
        (Anthropic, "messages", &anthropic, json!({"type": "tool", "name": "weather"})),
    ] {
        let endpoint = Endpoint::new(format).await;
        let mut request = body(prompt, &json!({"tools": tools, "tool_choice": choice, "max_tokens": 50}));
        let whole = endpoint.whole(request.clone()).await;
        let call = ["/choices/0/message/tool_calls/0/function", "/output/0", "/content/0"];
        let call = call.into_iter().find_map(|place| whole.pointer(place)).unwrap();
        assert_eq!(call["name"], "weather", "{format}: {whole}");
        let input = match &call["arguments"] {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            _ => call["input"].clone(),
        };
        assert_eq!(input, json!({"city": "hi", "days": 0}), "{format}: {whole}");
        if format == Anthropic {
            assert_eq!(whole["stop_reason"], "tool_use");
        }

        request["stream"] = json!(true);
        let (_, streamed) = endpoint.stream(request).await;
        let response = read(&streamed);
        let calls: Vec<_> = response.choices[0].tool_calls().map(|(_, name, input)| (name, input)).collect();
        assert_eq!(calls, [("weather", r#"{"city": "hi", "days": 0}"#)], "{format}: {streamed}");
    }
}

#[tokio::test]
async fn tools_that_are_not_there_are_refused() {
    for (format, prompt, choice, status) in [
        (OpenAi, "messages", json!({"function": {"name": "f"}}), 400),
        // The server wraps the error of its engine, code 400, in one of its own.
        (LmiVllm, "messages", json!({"function": {"name": "f"}}), 500),
        (Lmi, "messages", json!({"function": {"name": "f"}}), 424),
        (Tgi, "messages", json!({"function": {"name": "f"}}), 422),
        (Responses, "input", json!({"type": "function", "name": "f"}), 400),
        (Anthropic, "messages", json!({"type": "tool", "name": "f"}), 400),
    ] {
        let request = body(prompt, &json!({"tools": [], "tool_choice": choice, "max_tokens": 5}));
        let endpoint = Endpoint::new(format).await;
        let (found, why) = endpoint.refused(&Request::unary("e", &request.to_string())).await;
        assert!(found == status && why.contains('f'), "{format}: {found} {why}");
    }
}
