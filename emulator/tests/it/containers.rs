//! The requests, responses and errors of each emulated container.

use sagewire_emulator::{ContainerFormat, Emulator, echo};
use serde_json::{Value, json};

use crate::client::{Reply, Request};

/// An endpoint with one container.
pub(crate) struct Endpoint(Emulator);

impl Endpoint {
    pub(crate) async fn new(format: ContainerFormat) -> Self {
        Self(Emulator::builder().format(format).start().await.unwrap())
    }

    async fn send(&self, request: &Request) -> Reply {
        request.send(&self.0).await
    }

    /// The container's content type and bytes, over the streaming operation.
    pub(crate) async fn stream(&self, body: Value) -> (String, String) {
        let reply = self.send(&Request::stream("e", &body.to_string())).await;
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        let content_type = reply.header("x-amzn-sagemaker-content-type").unwrap().into();
        (content_type, String::from_utf8(reply.parts()).unwrap())
    }

    pub(crate) async fn whole(&self, body: Value) -> Value {
        let reply = self.send(&Request::unary("e", &body.to_string())).await;
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        assert!(reply.header("content-type").unwrap().starts_with("application/json"));
        serde_json::from_str(&reply.text()).unwrap()
    }

    /// The container's status and error.
    pub(crate) async fn refused(&self, request: &Request) -> (u64, String) {
        let reply = self.send(request).await;
        assert_eq!(
            (reply.status, reply.header("x-amzn-errortype")),
            (424, Some("ModelError")),
            "{}",
            request.body
        );
        let body: Value = serde_json::from_str(&reply.text()).unwrap();
        (body["OriginalStatusCode"].as_u64().unwrap(), body["OriginalMessage"].as_str().unwrap().into())
    }
}

/// The data of server-sent events.
fn events(body: &str) -> Vec<Value> {
    let events = body.strip_suffix("\n\n").unwrap().split("\n\n");
    let data = events.map(|event| event.split('\n').find_map(|line| line.strip_prefix("data: ")).unwrap());
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn lines(body: &str) -> Vec<Value> {
    body.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The texts at this JSON pointer in the records, joined.
fn text(records: &[Value], place: &str) -> String {
    records.iter().filter_map(|record| record.pointer(place)?.as_str()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn tgi_generates_and_repeats_the_prompt() {
    let endpoint = Endpoint::new(ContainerFormat::Tgi).await;
    let (content_type, body) = endpoint.stream(json!({"inputs": "hi", "stream": true})).await;
    assert_eq!(content_type, "text/event-stream");
    let records = events(&body);
    let (last, rest) = records.split_last().unwrap();
    assert_eq!(text(rest, "/token/text"), echo("hi"));
    assert_eq!((&last["token"]["special"], &last["token"]["text"]), (&json!(true), &json!("</s>")));
    assert_eq!((&records[0]["index"], &last["index"]), (&json!(1), &json!(records.len())));
    assert_eq!(last["generated_text"], format!("hi{}", echo("hi")));
    assert!(last["details"].is_null() && rest.iter().all(|record| record["generated_text"].is_null()));

    let parameters = json!({"return_full_text": false, "details": true, "max_new_tokens": 3, "seed": 7});
    let (_, body) = endpoint.stream(json!({"inputs": "a b", "stream": true, "parameters": parameters})).await;
    let last = events(&body).pop().unwrap();
    assert_eq!(last["generated_text"], "You said: “a");
    let details = json!({"finish_reason": "length", "generated_tokens": 3, "seed": 7, "input_length": 2});
    assert_eq!(last["details"], details);
    let whole = endpoint.whole(json!({"inputs": "a b", "parameters": parameters})).await;
    assert_eq!((&whole[0]["generated_text"], whole.as_array().unwrap().len()), (&json!("You said: “a"), 1));
    assert_eq!(whole[0]["details"]["tokens"].as_array().unwrap().len(), 3);
    assert_eq!(whole[0]["details"]["prefill"], json!([]));
}

#[tokio::test]
async fn tgi_chats_and_completes() {
    let endpoint = Endpoint::new(ContainerFormat::Tgi).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let usage = json!({"include_usage": true});
    let (_, body) =
        endpoint.stream(json!({"messages": messages, "stream": true, "stream_options": usage})).await;
    assert!(body.ends_with("data: [DONE]\n\n"));
    let chunks = events(&body);
    assert_eq!(text(&chunks, "/choices/0/delta/content"), echo("hi"));
    assert!(chunks.iter().all(|chunk| chunk["id"] == "" && chunk["object"] == "chat.completion.chunk"));
    assert!(chunks[0]["usage"].is_null());
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
    let whole = endpoint.whole(json!({"messages": messages})).await;
    assert_eq!(whole["usage"], chunks[chunks.len() - 1]["usage"]);
    assert_eq!(whole["choices"][0]["message"]["content"], echo("hi"));

    let (_, body) = endpoint.stream(json!({"prompt": "hi", "stream": true})).await;
    let chunks = events(&body);
    assert_eq!(
        (text(&chunks, "/choices/0/text"), &chunks[0]["choices"][0]["finish_reason"]),
        (echo("hi"), &json!(""))
    );
    assert_eq!(endpoint.whole(json!({"prompt": "hi"})).await["choices"][0]["text"], echo("hi"));
    // A body with both `inputs` and `messages` is a text generation request.
    assert!(endpoint.whole(json!({"inputs": "hi", "messages": messages})).await.is_array());
}

#[tokio::test]
async fn tgi_refuses_what_it_does_not_take() {
    let endpoint = Endpoint::new(ContainerFormat::Tgi).await;
    for (parameters, found) in [
        (json!({"top_p": 1.0}), "`top_p` must be > 0.0 and < 1.0"),
        (json!({"temperature": 0}), "`temperature` must be strictly positive"),
        (json!({"max_new_tokens": 0}), "`max_new_tokens` must be strictly positive"),
    ] {
        let body = json!({"inputs": "hi", "parameters": parameters}).to_string();
        let (status, error) = endpoint.refused(&Request::unary("e", &body)).await;
        let error: Value = serde_json::from_str(&error).unwrap();
        let message = format!("Input validation error: {found}");
        assert_eq!((status, &error), (422, &json!({"error": message, "error_type": "validation"})));
        // A stream starts before the request is validated.
        let streamed = json!({"inputs": "hi", "parameters": parameters, "stream": true});
        assert_eq!(events(&endpoint.stream(streamed).await.1), [error]);
    }
    let chat = json!({"messages": [{"role": "user", "content": "hi"}], "top_p": 1.0, "stream": true});
    let error = json!({"message": "Input validation error: `top_p` must be > 0.0 and < 1.0", "http_status_code": 422});
    assert_eq!(events(&endpoint.stream(chat).await.1), [json!({"error": error})]);

    for body in [r#"{"inputs": ["hi"]}"#, "{}", r#"{"text_input": "hi"}"#] {
        let (status, error) = endpoint.refused(&Request::unary("e", body)).await;
        assert!(status == 422 && error.ends_with("any variant of untagged enum SagemakerRequest"), "{error}");
    }
    let (status, error) = endpoint.refused(&Request::unary("e", "{")).await;
    assert!(status == 400 && error.starts_with("Failed to parse the request body as JSON: "), "{error}");
    let mut request = Request::unary("e", r#"{"inputs": "hi"}"#);
    request.headers = vec![("content-type", "text/plain")];
    assert_eq!(endpoint.refused(&request).await.0, 415);
}

#[tokio::test]
async fn lmi_sends_lines() {
    let endpoint = Endpoint::new(ContainerFormat::Lmi).await;
    let parameters = json!({"max_new_tokens": 500, "details": true});
    let (content_type, body) =
        endpoint.stream(json!({"inputs": "hi", "stream": true, "parameters": parameters})).await;
    assert_eq!(content_type, "application/jsonlines");
    assert!(body.starts_with(r#"{"token": {"id": "#) && body.contains("“hi”"));
    let records = lines(&body);
    let last = records.last().unwrap();
    assert_eq!((text(&records, "/token/text"), &last["generated_text"]), (echo("hi"), &json!(echo("hi"))));
    assert!(records.iter().all(|record| record["token"]["log_prob"].is_number()));
    assert_eq!(
        (&last["details"]["finish_reason"], &last["details"]["inputs"]),
        (&json!("eos_token"), &json!("hi"))
    );
    let whole = endpoint.whole(json!({"inputs": "hi", "parameters": {"details": true}})).await;
    assert_eq!(
        (&whole["details"]["finish_reason"], &whole["details"]["generated_tokens"]),
        (&json!("length"), &json!(30))
    );
    assert_eq!(endpoint.whole(json!({"inputs": "hi"})).await.as_object().unwrap().len(), 1);

    let chat = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    let (content_type, body) = endpoint.stream(chat).await;
    let chunks = lines(&body);
    assert_eq!(
        (content_type.as_str(), text(&chunks, "/choices/0/delta/content")),
        ("application/jsonlines", echo("hi"))
    );
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "eos_token");
    assert!(chunks.iter().all(|chunk| chunk.get("model").is_none()));

    let (status, error) = endpoint.refused(&Request::stream("e", r#"{"prompt": "hi"}"#)).await;
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!((status, &error["code"]), (424, &json!(424)));
    assert!(error["error"].as_str().unwrap().starts_with("Input Parsing failed. "), "{error}");
}

#[tokio::test]
async fn lmi_with_vllm_sends_its_records_as_lines() {
    let endpoint = Endpoint::new(ContainerFormat::LmiVllm).await;
    let chat = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    let (content_type, body) = endpoint.stream(chat.clone()).await;
    assert_eq!(content_type, "application/jsonlines");
    assert!(body.ends_with("}\n\n") && !body.contains("data:"));
    assert_eq!(text(&lines(&body), "/choices/0/delta/content"), echo("hi"));
    let (_, body) = endpoint.stream(json!({"prompt": "hi", "stream": true})).await;
    assert_eq!(lines(&body)[0]["object"], "text_completion");

    let mut inputs = chat;
    inputs["inputs"] = json!("hi there");
    inputs["parameters"] = json!({"max_new_tokens": 2, "details": true, "return_full_text": true});
    let (_, body) = endpoint.stream(inputs).await;
    let records = lines(&body);
    assert!(body.ends_with("}\n\n\n") && records.iter().all(|record| record["index"] == 0));
    let last = records.last().unwrap();
    assert_eq!((&last["generated_text"], &last["token"]["text"]), (&json!("hi thereYou said:"), &json!("")));
    let details = json!({"finish_reason": "length", "seed": null, "generated_tokens": 3, "input_length": 2});
    assert_eq!(last["details"], details);
    let whole = endpoint.whole(json!({"inputs": "hi", "parameters": {"details": true}})).await;
    assert!(whole["generated_text"].is_string() && whole["details"]["finish_reason"].is_null());

    let (status, error) = endpoint.refused(&Request::stream("e", r#"{"text_inputs": "hi"}"#)).await;
    assert_eq!(status, 424);
    assert!(error.contains("invalid payload. must contain prompt, inputs, or messages"), "{error}");
}

#[tokio::test]
async fn lmi_shows_errors_of_vllm_as_python_does() {
    let endpoint = Endpoint::new(ContainerFormat::LmiVllm).await;
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "n": 0}).to_string();
    let (status, error) = endpoint.refused(&Request::stream("e", &body)).await;
    let error: Value = serde_json::from_str(&error).unwrap();
    let shown = "error=ErrorInfo(message='n must be at least 1, got 0.', type='BadRequestError', param='n', code=400)";
    assert_eq!((status, &error), (500, &json!({"code": 500, "error": shown})));
}

#[tokio::test]
async fn cohere_streams_events_by_type() {
    let endpoint = Endpoint::new(ContainerFormat::Cohere).await;
    let chat = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]});
    let streamed = |more: Value| {
        let mut body = chat.clone();
        let (Value::Object(body), Value::Object(more)) = (&mut body, more) else { unreachable!() };
        body.extend(more);
        json!(body)
    };
    let (_, body) = endpoint.stream(streamed(json!({"stream": true}))).await;
    assert!(body.ends_with("data: [DONE]\n\n") && !body.contains("event:"));
    let all = events(&body);
    let expected = ["message-start", "content-start", "content-delta", "content-end", "message-end"];
    assert_eq!(names(&all), expected);
    assert_eq!(text(&all, "/delta/message/content/text"), echo("hi"));
    let whole = endpoint.whole(chat.clone()).await;
    assert_eq!(whole["message"]["content"], json!([{"type": "text", "text": echo("hi")}]));
    assert_eq!(
        (&whole["finish_reason"], &whole["usage"]),
        (&json!("COMPLETE"), &all.last().unwrap()["delta"]["usage"])
    );

    let function =
        json!({"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}});
    let tools = json!([{"type": "function", "function": function}]);
    let required = json!({"tools": tools, "tool_choice": "REQUIRED", "stream": true});
    let all = events(&endpoint.stream(streamed(required)).await.1);
    assert_eq!(text(&all, "/delta/message/tool_calls/function/arguments"), r#"{"a": "hi"}"#);
    assert_eq!(all.last().unwrap()["delta"]["finish_reason"], "TOOL_CALL");
    let limited = endpoint.whole(streamed(json!({"max_tokens": 2, "tools": tools}))).await;
    assert_eq!(limited["finish_reason"], "MAX_TOKENS");
    for refused in [json!({"messages": []}), json!({"message": "hi"}), streamed(json!({"tool_choice": "f"}))]
    {
        let (status, error) = endpoint.refused(&Request::unary("e", &refused.to_string())).await;
        assert!(status == 400 && error.starts_with(r#"{"message":"#), "{error}");
    }
}

#[tokio::test]
async fn nova_counts_beside_the_finish_reason() {
    let endpoint = Endpoint::new(ContainerFormat::Nova).await;
    let chat =
        json!({"messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "low", "stream": true});
    let chunks = events(&endpoint.stream(chat).await.1);
    assert_eq!(text(&chunks, "/choices/0/delta/content"), echo("hi"));
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"][0]["finish_reason"], &last["model"]), (&json!("stop"), &json!("default")));
    assert!(last["usage"]["completion_tokens"].is_u64() && chunks[0].get("usage").is_none());
    let whole = endpoint.whole(json!({"messages": [{"role": "user", "content": "hi"}]})).await;
    assert_eq!(
        (&whole["usage"], &whole["choices"][0]["message"]["content"]),
        (&last["usage"], &json!(echo("hi")))
    );
    for more in [json!({"reasoning_effort": "medium"}), json!({"top_p": 0}), json!({"temperature": 3})] {
        let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, error) = endpoint.refused(&Request::unary("e", &body.to_string())).await;
        let name = more.as_object().unwrap().keys().next().unwrap();
        assert!(status == 400 && error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn sglang_repeats_all_text_so_far() {
    let endpoint = Endpoint::new(ContainerFormat::Sglang).await;
    let (_, body) = endpoint.stream(json!({"text": "hi", "stream": true})).await;
    let records = events(&body);
    let texts: Vec<&str> = records.iter().map(|record| record["text"].as_str().unwrap()).collect();
    assert!(texts.windows(2).all(|pair| pair[1].starts_with(pair[0])));
    let last = records.last().unwrap();
    assert_eq!(
        (texts.last(), &last["meta_info"]["finish_reason"]),
        (Some(&&*echo("hi")), &json!({"type": "stop", "matched": 2}))
    );
    assert_eq!(last["output_ids"].as_array().unwrap().len(), records.len());
    assert_eq!(endpoint.whole(json!({"text": "hi"})).await, *last);

    let parameters = json!({"n": 2, "max_new_tokens": 2});
    let batch = json!({"text": ["hi", "ho"], "sampling_params": parameters});
    let whole = endpoint.whole(batch.clone()).await;
    assert_eq!(whole.as_array().unwrap().len(), 4);
    assert_eq!(whole[3]["meta_info"]["finish_reason"], json!({"type": "length", "length": 2}));
    let mut streamed = batch;
    streamed["stream"] = json!(true);
    let records = events(&endpoint.stream(streamed).await.1);
    assert_eq!(
        (records.len(), &records[7]["index"], &records[7]["text"]),
        (8, &json!(3), &json!("You said:"))
    );
    let stopped = endpoint.whole(json!({"text": "hi", "sampling_params": {"stop": "said"}})).await;
    assert_eq!(stopped["meta_info"]["finish_reason"], json!({"type": "stop", "matched": "said"}));
    let tokens = endpoint.whole(json!({"input_ids": [1, 2]})).await;
    assert_eq!(tokens["meta_info"]["prompt_tokens"], 2);
    for refused in [
        json!({}),
        json!({"text": "hi", "sampling_params": {"top_k": 0}}),
        json!({"text": []}),
        json!({"text": "a", "sampling_params": {"n": 0}}),
    ] {
        let (status, error) = endpoint.refused(&Request::unary("e", &refused.to_string())).await;
        assert!(status == 400 && error.starts_with(r#"{"error":{"message":"#), "{error}");
    }
}

#[tokio::test]
async fn lmi_with_dynamic_batches_sends_outputs() {
    let endpoint = Endpoint::new(ContainerFormat::LmiOutputs).await;
    let parameters = json!({"max_new_tokens": 500});
    let (content_type, body) = endpoint
        .stream(json!({"inputs": ["hi", "hi there"], "stream": true, "parameters": parameters}))
        .await;
    assert_eq!(content_type, "application/jsonlines");
    let records = lines(&body);
    assert_eq!((text(&records, "/outputs/0"), text(&records, "/outputs/1")), (echo("hi"), echo("hi there")));
    let whole = endpoint.whole(json!({"inputs": "hi", "parameters": parameters})).await;
    assert_eq!(whole, json!([{"generated_text": echo("hi")}]));
    let (status, error) = endpoint.refused(&Request::stream("e", r#"{"messages": []}"#)).await;
    assert!(status == 424 && error.contains("\"message\": \"invoke handler failure\""), "{error}");
}

#[tokio::test]
async fn jumpstart_answers_three_kinds_of_bodies_whole() {
    let endpoint = Endpoint::new(ContainerFormat::JumpStart).await;
    let whole = async |body| endpoint.whole(body).await;
    assert_eq!(
        whole(json!({"inputs": "hi"})).await,
        json!([{"generated_text": format!("hi{}", echo("hi"))}])
    );
    let parameters = json!({"return_full_text": false, "max_new_tokens": 2});
    let answers = whole(json!({"inputs": ["hi", "ho"], "parameters": parameters})).await;
    assert_eq!(answers, json!([[{"generated_text": "You said:"}], [{"generated_text": "You said:"}]]));
    let texts = whole(json!({"text_inputs": "hi", "max_length": 2, "num_return_sequences": 3})).await;
    assert_eq!(texts, json!({"generated_texts": ["You said:", "You said:", "You said:"]}));

    let mut request = Request::unary("e", "hi");
    request.headers = vec![("content-type", "application/x-text")];
    let answer: Value = serde_json::from_str(&endpoint.send(&request).await.text()).unwrap();
    assert_eq!(answer, json!({"generated_text": echo("hi")}));

    // The streaming operation passes a non-streaming body on.
    let (content_type, body) = endpoint.stream(json!({"inputs": "hi", "stream": true})).await;
    assert_eq!((content_type.as_str(), &body[..20]), ("application/json", "[{\"generated_text\":\""));
}

#[tokio::test]
async fn jumpstart_wants_the_licence_and_proper_dialogs() {
    let endpoint = Endpoint::new(ContainerFormat::JumpStart).await;
    let dialog = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]);
    let request = |inputs: Value, attributes: Option<&'static str>| {
        let mut request = Request::unary("e", &json!({ "inputs": inputs }).to_string());
        request.headers.extend(attributes.map(|value| ("x-amzn-sagemaker-custom-attributes", value)));
        request
    };
    let accepted = Some("accept_eula=false;accept_eula=true");
    let answer = endpoint.send(&request(json!([dialog]), accepted)).await.text();
    let message = json!({"role": "assistant", "content": format!(" {}", echo("hi"))});
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), json!([{"generation": message}]));

    for (inputs, attributes, found) in [
        (json!([dialog]), None, "Need to pass custom_attributes='accept_eula=true' as part of header."),
        (json!([dialog]), Some("accept_eula=true;accept_eula=false"), "Need to pass"),
        (json!([dialog, dialog]), accepted, "Batch size must be 1."),
        (json!([[{"role": "assistant", "content": "hi"}]]), accepted, "alternating (u/a/u/a/u...)"),
        (json!([[]]), accepted, "alternating (u/a/u/a/u...)"),
    ] {
        let (status, error) = endpoint.refused(&request(inputs, attributes)).await;
        assert!(
            status == 424 && error.starts_with("{\n  \"code\":424,\n  \"message\":\"prediction failure\",")
        );
        assert!(error.contains(found), "{error}");
    }
    let chat = r#"{"messages": [{"role": "user", "content": "hi"}]}"#;
    let (status, error) = endpoint.refused(&Request::unary("e", chat)).await;
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!((status, &error["type"]), (400, &json!("InternalServerException")));
}

#[tokio::test]
async fn anthropic_sends_named_events() {
    let endpoint = Endpoint::new(ContainerFormat::Anthropic).await;
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]);
    let (content_type, body) =
        endpoint.stream(json!({"max_tokens": 500, "messages": messages, "stream": true})).await;
    assert_eq!(content_type, "text/event-stream");
    assert!(body.starts_with("event: message_start\ndata: {\"type\":\"message_start\","));
    let records = events(&body);
    let order = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!((names(&records), text(&records, "/delta/text")), (order.to_vec(), echo("hi")));
    assert_eq!(records[records.len() - 2]["delta"]["stop_reason"], "end_turn");
    let whole = endpoint.whole(json!({"max_tokens": 2, "messages": messages, "model": "m"})).await;
    assert_eq!((&whole["stop_reason"], &whole["model"]), (&json!("max_tokens"), &json!("m")));
    assert_eq!(whole["content"], json!([{"type": "text", "text": "You said:"}]));

    for (body, found) in [
        (json!({"messages": messages}), "max_tokens: Field required"),
        (json!({"max_tokens": 1}), "messages: Field required"),
        (json!({"max_tokens": 1, "messages": []}), "at least one message is required"),
        (
            json!({"max_tokens": 1, "messages": [{"role": "assistant", "content": "x"}]}),
            "must use the \"user\" role",
        ),
    ] {
        let (status, error) = endpoint.refused(&Request::stream("e", &body.to_string())).await;
        let error: Value = serde_json::from_str(&error).unwrap();
        let kind = (&error["type"], &error["error"]["type"]);
        assert_eq!((status, kind), (400, (&json!("error"), &json!("invalid_request_error"))));
        assert!(error["error"]["message"].as_str().unwrap().contains(found), "{error}");
    }
}

#[tokio::test]
async fn responses_are_said_in_pieces_and_then_whole() {
    let endpoint = Endpoint::new(ContainerFormat::Responses).await;
    let (_, body) = endpoint.stream(json!({"input": "hi", "stream": true})).await;
    let records = events(&body);
    assert_eq!(text(&records, "/delta"), echo("hi"));
    assert!(records.iter().enumerate().all(|(at, event)| event["sequence_number"] == at));
    let order = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(names(&records), order);
    let items = json!([{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]);
    let whole = endpoint.whole(json!({"input": items})).await;
    assert_eq!(whole["output"], records[records.len() - 1]["response"]["output"]);
    let cut = endpoint.whole(json!({"input": "hi", "max_output_tokens": 2})).await;
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    let (status, error) = endpoint.refused(&Request::stream("e", r#"{"messages": []}"#)).await;
    assert!(status == 400 && error.contains("body.input"), "{error}");
}

#[tokio::test]
async fn triton_llama_server_and_torchserve() {
    let triton = Endpoint::new(ContainerFormat::Triton).await;
    let (_, body) = triton.stream(json!({"text_input": "hi", "parameters": {"stream": true}})).await;
    let records = events(&body);
    assert_eq!((text(&records, "/text_output"), &records[0]["model_name"]), (echo("hi"), &json!("ensemble")));
    assert_eq!(triton.whole(json!({"text_input": "hi", "max_tokens": 2})).await["text_output"], "You said:");
    let (status, error) = triton.refused(&Request::stream("e", r#"{"inputs": "hi"}"#)).await;
    assert!(status == 400 && error.contains("missing required input(s) ['text_input']"), "{error}");

    let llama = Endpoint::new(ContainerFormat::LlamaServer).await;
    let (_, body) = llama.stream(json!({"prompt": "hi", "stream": true})).await;
    let records = events(&body);
    let last = records.last().unwrap();
    assert_eq!((text(&records, "/content"), &last["stop"]), (echo("hi"), &json!(true)));
    assert_eq!((&last["stop_type"], &records[0]["stop"]), (&json!("eos"), &json!(false)));
    let whole = llama.whole(json!({"prompt": "hi", "n_predict": 2})).await;
    assert_eq!((&whole["content"], &whole["stop_type"]), (&json!("You said:"), &json!("limit")));
    let (status, error) = llama.refused(&Request::stream("e", r#"{"messages": []}"#)).await;
    assert!(status == 400 && error.contains("key 'prompt' not found"), "{error}");
    assert_eq!(llama.refused(&Request::stream("e", "{")).await.0, 500);

    let torchserve = Endpoint::new(ContainerFormat::TorchServe).await;
    let (content_type, body) = torchserve.stream(json!({"prompt": "hi"})).await;
    assert_eq!((content_type.as_str(), body), ("text/plain", echo("hi")));
    let mut request = Request::unary("e", "hi");
    request.headers = vec![("content-type", "text/plain")];
    assert_eq!(torchserve.send(&request).await.text(), echo("hi"));
    let (status, error) = torchserve.refused(&Request::stream("e", r#"{"messages": []}"#)).await;
    assert!(status == 503 && error.contains("\"message\": \"Prediction failed\""), "{error}");
}

#[tokio::test]
async fn a_rule_may_have_its_own_container() {
    let script = r#"{"rules": [{"endpoint": "a", "format": "triton", "content_type": "x/y"}, {}]}"#;
    let builder = Emulator::builder().script(script.parse().unwrap()).format(ContainerFormat::LlamaServer);
    let emulator = builder.start().await.unwrap();
    let reply = Request::unary("a", r#"{"text_input": "hi"}"#).send(&emulator).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("x/y")));
    assert_eq!(Request::unary("b", r#"{"prompt": "hi"}"#).send(&emulator).await.status, 200);
    assert_eq!(Request::unary("b", r#"{"text_input": "hi"}"#).send(&emulator).await.status, 424);
}

/// vLLM's images serve all of its APIs on one endpoint, by `route=`.
#[tokio::test]
async fn a_route_selects_the_api_of_the_container() {
    let endpoint = Endpoint::new(ContainerFormat::OpenAi).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let ask = |attributes: &'static str, body: Value| {
        let mut request = Request::unary("e", &body.to_string());
        request.headers.push(("x-amzn-sagemaker-custom-attributes", attributes));
        request
    };
    for (attributes, body, place) in [
        (
            "accept_eula=true;route=/v1/messages",
            json!({"max_tokens": 99, "messages": messages}),
            "/content/0/text",
        ),
        ("a=1,route=/v1/responses,b=2", json!({"input": "hi"}), "/output/0/content/0/text"),
        ("route=/v1/completions", json!({"prompt": "hi", "max_tokens": 99}), "/choices/0/text"),
        ("route=/v1/chat/completions", json!({"messages": messages}), "/choices/0/message/content"),
        ("route=/cohere/v2/chat", json!({"messages": messages}), "/message/content/0/text"),
        ("tenant=a", json!({"messages": messages}), "/choices/0/message/content"),
    ] {
        let reply = endpoint.send(&ask(attributes, body)).await;
        let body: Value = serde_json::from_str(&reply.text()).unwrap();
        assert_eq!(body.pointer(place), Some(&json!(echo("hi"))), "{attributes}: {body}");
    }
    for (attributes, body, status) in [
        ("route=/v1/messages;accept_eula=true", json!({"max_tokens": 9, "messages": messages}), 404),
        ("route=/v1/responses?x=1", json!({"input": "hi"}), 404),
        ("route=/v1/chat/completions", json!({"prompt": "hi"}), 400),
        ("route=/v1/completions", json!({"messages": messages}), 400),
    ] {
        assert_eq!(endpoint.refused(&ask(attributes, body)).await.0, status, "{attributes}");
    }
    // Other containers have no routes.
    let endpoint = Endpoint::new(ContainerFormat::Tgi).await;
    let reply = endpoint.send(&ask("route=/v1/messages", json!({"inputs": "hi"}))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}
