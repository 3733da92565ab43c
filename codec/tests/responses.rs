//! Whole responses: read in one format, written in another.

use std::path::PathBuf;

use bytes::Bytes;
use sagewire_codec::chat::{Context, Losses, Response};
use sagewire_codec::format::{bedrock, openai, write_response};
use sagewire_codec::{Decoder, Error, Options, Target, Transcoder};
use serde_json::{Value, json};

fn read(body: &str) -> Result<Response, Error> {
    let mut response = Response::default();
    let mut decoder = Decoder::new();
    let mut chunk = Bytes::copy_from_slice(body.as_bytes());
    while let Some(event) = decoder.decode(&mut chunk)? {
        response.add(&event);
    }
    while let Some(event) = decoder.finish()? {
        response.add(&event);
    }
    Ok(response)
}

fn value((bytes, losses): (Vec<u8>, Losses)) -> (Value, Vec<String>) {
    let value = serde_json::from_slice(&bytes).expect("JSON");
    (value, losses.as_slice().iter().map(ToString::to_string).collect())
}

fn openai_body() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": "Let me see.", "reasoning_content": "Weather, then.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}},
                    {"id": "b", "type": "function", "function": {"name": "time", "arguments": "{}"}}
                ]
            },
            "finish_reason": "tool_calls"
        }],
        "usage": {
            "prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25,
            "prompt_tokens_details": {"cached_tokens": 12}
        }
    })
}

#[test]
fn openai_keeps_everything() {
    let body = openai_body();
    let response = read(&body.to_string()).expect("complete");
    let (written, losses) = value(openai::write_response(&response, &Context::new()));
    assert_eq!(written, body);
    assert_eq!(losses, [""; 0]);
}

#[test]
fn openai_to_converse_and_back() {
    let response = read(&openai_body().to_string()).expect("complete");
    let (converse, losses) = value(bedrock::write_response(&response, &Context::new().latency_ms(9)));
    assert_eq!(losses, [""; 0]);
    assert_eq!(
        converse,
        json!({
            "output": {"message": {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "Weather, then."}}},
                {"text": "Let me see."},
                {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": "Oslo"}}},
                {"toolUse": {"toolUseId": "b", "name": "time", "input": {}}}
            ]}},
            "stopReason": "tool_use",
            "usage": {"inputTokens": 8, "outputTokens": 5, "totalTokens": 25, "cacheReadInputTokens": 12},
            "metrics": {"latencyMs": 9}
        })
    );
    let back = read(&converse.to_string()).expect("complete");
    let context = Context::new().id("chatcmpl-1").model("m").created(7);
    let (mut openai, losses) = value(openai::write_response(&back, &context));
    let metrics = openai.as_object_mut().expect("an object").remove("metrics");
    assert_eq!(metrics, Some(json!({"latencyMs": 9})), "what has no name here is kept");
    assert_eq!(openai, openai_body());
    assert_eq!(losses, [""; 0]);
}

/// Members of other formats do not take the place of OpenAI's own, in a whole answer and in a stream; and of several with
/// one name there is one place.
#[test]
fn members_of_others_take_no_places() {
    let delta =
        |index: u32, delta: Value| json!({"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}});
    let lines = [
        json!({"messageStart": {"role": "assistant", "choices": [], "mood": 1}}),
        delta(0, json!({"text": "right"})),
        json!({"contentBlockStart": {"contentBlockIndex": 1, "start": {"picture": 1}}}),
        delta(1, json!({"content": "wrong"})),
        json!({"contentBlockStart": {"contentBlockIndex": 2, "start": {"picture": 2}}}),
        json!({"messageStop": {"stopReason": "end_turn"}}),
    ];
    let body = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (written, losses) =
        value(openai::write_response(&read(&body).expect("complete"), &Context::new().created(1)));
    assert_eq!(
        written["choices"],
        json!([{"index": 0, "message": {"role": "assistant", "content": "right"}, "finish_reason": "stop", "start": {"picture": 2}}])
    );
    assert_eq!(written["mood"], 1);
    assert_eq!(
        losses,
        [
            "other: dropped: those of earlier records: the format has one place",
            "other: dropped: in OpenAI's this name has a meaning of its own",
        ]
    );
    let mut transcoder = Transcoder::new(Options::new(), Target::OpenAi, Context::new());
    let (mut chunk, mut stream) = (Bytes::from(body), Vec::new());
    while let Some(bytes) = transcoder.decode(&mut chunk).expect("good") {
        stream.extend_from_slice(bytes);
    }
    while let Some(bytes) = transcoder.finish().expect("complete") {
        stream.extend_from_slice(bytes);
    }
    let again = read(&String::from_utf8(stream).expect("UTF-8")).expect("complete");
    assert_eq!(again.choices[0].text(), "right");
    assert!(!transcoder.losses().is_empty());
}

#[test]
fn what_cannot_be_said_is_reported() {
    let body = json!({"choices": [
        {"index": 0, "message": {"content": "a", "refusal": "no"}, "finish_reason": "stop",
         "logprobs": {"content": []}, "stop_reason": "END"},
        {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"}
    ]});
    let response = read(&body.to_string()).expect("complete");
    let (converse, losses) = value(bedrock::write_response(&response, &Context::new()));
    assert_eq!(converse["stopReason"], "stop_sequence");
    assert_eq!(converse["additionalModelResponseFields"]["stop_sequence"], "END");
    assert_eq!(converse["output"]["message"]["content"], json!([{"text": "a"}, {"text": "no"}]));
    let whats: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
    assert_eq!(whats, ["choice", "logprobs", "refusal", "usage", "latency"]);
}

#[test]
fn samples_of_real_services() {
    let Some(shared) = std::env::var_os("SAGEWIRE_SHARED").map(PathBuf::from) else {
        println!("skipped: SAGEWIRE_SHARED is not set");
        return;
    };
    for (name, text, tools) in [
        ("openai-chat-response.json", true, 0),
        ("bedrock-converse-response-text.json", true, 0),
        ("bedrock-converse-response-reasoning.json", true, 0),
        ("tgi-chat-response-toolcall.json", false, 1),
    ] {
        let body = std::fs::read_to_string(shared.join("wire/samples").join(name)).expect(name);
        let response = read(&body).expect(name);
        let choice = &response.choices[0];
        assert_eq!(!choice.text().is_empty(), text, "{name}");
        assert_eq!(choice.tool_calls().count(), tools, "{name}");
        assert!(choice.finish.is_some(), "{name}");
    }
}

/// A whole answer of TGI reports what a stream of it does.
#[test]
fn what_tgi_cannot_say_is_reported() {
    let body = json!({"type": "message", "role": "assistant", "content": [
        {"type": "text", "text": "a", "citations": [{"type": "char_location"}]}
    ], "stop_reason": "stop_sequence", "stop_sequence": "END",
        "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 3}});
    let response = read(&body.to_string()).expect("complete");
    let (tgi, losses) = value(write_response(Target::Tgi, &response, &Context::new()));
    assert_eq!(
        (&tgi["generated_text"], &tgi["details"]["finish_reason"]),
        (&json!("a"), &json!("stop_sequence"))
    );
    let mut whats: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
    whats.sort_unstable();
    assert_eq!(whats, ["citation", "input tokens", "stop string", "usage details"]);
}

mod errors {
    use sagewire_codec::Format;
    use sagewire_codec::format::{ErrorKind, ServiceError};

    #[test]
    fn statuses_and_names() {
        type Case = (u16, Option<&'static str>, &'static str, u16, ErrorKind, &'static str);
        let cases: [Case; 12] = [
            (
                424,
                None,
                r#"{"OriginalStatusCode":400,"OriginalMessage":"{\"error\":{\"message\":\"too long\",\"type\":\"BadRequestError\",\"code\":400}}","Message":"Received"}"#,
                400,
                ErrorKind::InvalidRequest,
                "too long",
            ),
            (
                424,
                None,
                r#"{"OriginalStatusCode":0,"OriginalMessage":"","Message":"no answer"}"#,
                502,
                ErrorKind::Server,
                "no answer",
            ),
            (
                424,
                None,
                r#"{"OriginalStatusCode":429,"OriginalMessage":"{\"error\":\"Model is overloaded\",\"error_type\":\"overloaded\"}"}"#,
                429,
                ErrorKind::RateLimit,
                "Model is overloaded",
            ),
            (
                424,
                None,
                r#"{"OriginalStatusCode":500,"OriginalMessage":"Internal Server Error"}"#,
                500,
                ErrorKind::Server,
                "Internal Server Error",
            ),
            (400, Some("ThrottlingException"), r#"{"message":null}"#, 429, ErrorKind::RateLimit, ""),
            (
                400,
                Some("ValidationError:http://x/"),
                r#"{"Message":"Endpoint x not found."}"#,
                400,
                ErrorKind::InvalidRequest,
                "Endpoint x not found.",
            ),
            (
                403,
                None,
                r#"{"__type":"com.amazon#AccessDeniedException","message":"no"}"#,
                403,
                ErrorKind::Permission,
                "no",
            ),
            (
                400,
                Some("ModelStreamError"),
                r#"{"ErrorCode":"ModelInvocationTimeExceeded","Message":"slow"}"#,
                400,
                ErrorKind::Timeout,
                "slow",
            ),
            (
                422,
                None,
                r#"{"error":"`top_p` must be < 1.0","error_type":"validation"}"#,
                422,
                ErrorKind::InvalidRequest,
                "`top_p` must be < 1.0",
            ),
            (422, None, r#"{"detail":"Field required"}"#, 422, ErrorKind::InvalidRequest, "Field required"),
            (
                529,
                None,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                529,
                ErrorKind::RateLimit,
                "Overloaded",
            ),
            (503, None, "upstream connect error", 503, ErrorKind::Unavailable, "upstream connect error"),
        ];
        for (status, name, body, expected, kind, message) in cases {
            let error = ServiceError::read(status, name, body.as_bytes());
            assert_eq!((error.status, error.kind, &*error.message), (expected, kind, message), "{body}");
        }
    }

    /// An error without a message is one all the same, also in a stream.
    #[test]
    fn an_empty_message_is_an_error() {
        let body = br#"{"error":"","error_type":"overloaded"}"#;
        let error = super::read(std::str::from_utf8(body).expect("text")).expect_err("an error");
        assert!(error.is_model_failure(), "{error}");
        let error = ServiceError::read(429, None, body);
        assert_eq!((&*error.name, &*error.message, error.kind), ("overloaded", "", ErrorKind::RateLimit));
        assert_eq!(error.write(Format::Generate), body);
    }

    #[test]
    fn bodies() {
        let error = ServiceError::read(424, None, br#"{"OriginalStatusCode":503,"OriginalMessage":"busy"}"#);
        assert!(error.is_retryable());
        let body = |format| String::from_utf8(error.write(format)).expect("UTF-8");
        assert_eq!(
            body(Format::OpenAi),
            r#"{"error":{"message":"busy","type":"server_error","param":null,"code":null}}"#
        );
        assert_eq!(
            body(Format::Anthropic),
            r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#
        );
        assert_eq!(body(Format::Bedrock), r#"{"message":"busy"}"#);
        assert_eq!(error.bedrock_name(), "ServiceUnavailableException");
        assert_eq!(body(Format::Generate), r#"{"error":"busy","error_type":"overloaded"}"#);
    }
}
