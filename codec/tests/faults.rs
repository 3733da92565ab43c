//! Known faults of other SageMaker clients: each has lost a response, or accepted a broken one as complete. The vectors
//! under `testdata/` cover most of them in more shapes; here each fault has a test of its own. Memory limits are tested in
//! `memory.rs`, faults of signing and of connections in the transports.

mod common;

use bytes::Bytes;
use common::frames::frame;
use common::{decode, ending, every_cut, payload_part, texts};
use sagewire_codec::model::{ConversionOptions, Message, Rendered, Tool};
use sagewire_codec::{Api, DecodeError, HttpError, HttpErrorKind, Options, read_request, write_request};
use serde_json::{Value, json};

type Read = (Vec<Value>, Result<(), DecodeError>);

fn read(body: impl AsRef<[u8]>) -> Read {
    decode(Options::new(), vec![Bytes::copy_from_slice(body.as_ref())])
}

fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn sse(records: &[Value]) -> String {
    records.iter().map(|record| format!("data: {record}\n\n")).collect()
}

/// A complete response with a character of four bytes.
fn hello() -> String {
    sse(&[chunk(&json!({"content": "Hel"}), None), chunk(&json!({"content": "lo 🌦"}), Some("stop"))])
        + "data: [DONE]\n\n"
}

/// The code, the message and the events of a stream that failed.
fn failed(body: impl AsRef<[u8]>) -> (Option<String>, String, Vec<Value>) {
    let (events, ending) = read(body);
    let error = ending.expect_err("a failure");
    assert!(error.is_model_failure(), "{error}");
    let failure = error.failure().expect("a failure");
    (failure.code.clone(), failure.message.clone(), events)
}

fn convert(to: Api, body: &Value) -> (Value, Vec<String>) {
    let source = body.to_string();
    let request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
    let render =
        |messages: &[Message<'_>], _: &[Tool<'_>]| Ok(Rendered::new(format!("{} messages", messages.len())));
    let (written, losses) =
        write_request(to, &request, &ConversionOptions::new().render(&render)).expect("it can be written");
    let written = serde_json::from_slice(&written).expect("JSON");
    (written, losses.as_slice().iter().map(ToString::to_string).collect())
}

#[test]
fn parts_split_anywhere_and_have_any_number_of_events() {
    let body = hello();
    let whole = read(&body);
    assert_eq!(texts(&whole.0), "Hello 🌦");
    // One part with all events, or one part for each byte.
    let bytes: Vec<u8> = body.bytes().flat_map(|byte| payload_part(&[byte])).collect();
    for framed in [payload_part(body.as_bytes()), bytes] {
        assert_eq!(read(&framed), whole);
    }
    let framed = payload_part(body.as_bytes());
    assert_eq!(every_cut("frames", &framed, |chunks| decode(Options::new(), chunks)), whole);
}

#[test]
fn a_character_that_is_cut_between_parts_is_joined() {
    let body = hello();
    let at = body.find('🌦').expect("a character") + 2;
    let (first, second) = body.as_bytes().split_at(at);
    let (events, ending) = read([payload_part(first), payload_part(second)].concat());
    assert_eq!((texts(&events).as_str(), ending), ("Hello 🌦", Ok(())));
}

#[test]
fn the_last_line_needs_no_newline_and_must_be_whole() {
    let record = chunk(&json!({"content": "hi"}), Some("stop")).to_string();
    for body in [record.clone(), format!("data: {record}")] {
        let (events, ending) = read(&body);
        assert_eq!((texts(&events).as_str(), ending), ("hi", Ok(())), "{body}");
        let (_, cut) = read(&body[..body.len() - 1]);
        assert_eq!(common::ending(&cut), "truncated", "{body}");
    }
}

#[test]
fn a_truncated_frame_is_an_error() {
    // Also after the complete output of the container.
    for body in [hello(), sse(&[chunk(&json!({"content": "hi"}), None)])] {
        let framed = payload_part(body.as_bytes());
        let again = [&framed[..], &framed[..framed.len() - 1]].concat();
        assert_eq!(ending(&read(&again[..framed.len() - 1]).1), "truncated");
        assert_eq!(ending(&read(again).1), "truncated");
    }
}

#[test]
fn a_response_without_a_terminal_record_is_truncated() {
    let tgi = json!({"index": 1, "token": {"id": 1, "text": "hi", "logprob": -1.0, "special": false},
        "generated_text": null, "details": null});
    for record in [chunk(&json!({"content": "hi"}), None), tgi] {
        let (events, ending) = read(sse(&[record]));
        assert_eq!((texts(&events).as_str(), common::ending(&ending)), ("hi", "truncated"));
    }
    let finished = sse(&[chunk(&json!({"content": "hi"}), Some("stop"))]);
    assert_eq!(read(finished).1, Ok(()), "a finish reason says that it is whole");
}

#[test]
fn a_malformed_record_does_not_affect_others() {
    let body = hello().replacen("data: ", "data: {\"choices\":[{\"delta\":{\"content\":]\n\ndata: ", 1);
    let (events, ending) = read(body);
    assert_eq!((texts(&events).as_str(), ending), ("Hello 🌦", Ok(())));
    let malformed = events.iter().find(|event| event["type"] == "malformed").expect("it is shown");
    assert_eq!(malformed["bytes"], "{\"choices\":[{\"delta\":{\"content\":]");
}

#[test]
fn an_error_within_the_stream_is_a_failure_with_its_code() {
    let begin = sse(&[chunk(&json!({"content": "hi"}), None)]);
    let openai = json!({"error": {"message": "boom", "type": "t", "param": null, "code": 400}});
    let old = json!({"object": "error", "message": "boom", "type": "t", "code": 400});
    for error in [openai, old] {
        let (code, message, events) = failed(begin.clone() + &sse(&[error]));
        assert_eq!((code.as_deref(), &*message), (Some("400"), "boom"));
        assert_eq!(texts(&events), "hi", "what came before is delivered");
    }
    let token = json!({"index": 1, "token": {"id": 1, "text": "hi", "logprob": -1.0, "special": false},
        "generated_text": null, "details": null});
    let (_, message, _) = failed(sse(&[token, json!({"error": "boom", "error_type": "generation"})]));
    assert_eq!(message, "boom");
    // LMI appends the error to its output, without a line end.
    let lmi = json!({"token": {"id": 1, "text": "hi", "log_prob": -1.0}});
    let (code, message, events) = failed(format!("{lmi}{}", json!({"code": 424, "error": "boom"})));
    assert_eq!((code.as_deref(), &*message, &*texts(&events)), (Some("424"), "boom", "hi"));
    let (_, message, _) =
        failed(json!({"token": {"id": -1, "text": "", "log_prob": -1, "error_msg": "boom"}}).to_string());
    assert_eq!(message, "boom");
    let (code, ..) = failed(begin + &sse(&[chunk(&json!({}), Some("error"))]));
    assert_eq!(code.as_deref(), Some("error"));
}

#[test]
fn exceptions_and_errors_in_frames_are_failures() {
    let part = payload_part(sse(&[chunk(&json!({"content": "hi"}), None)]).as_bytes());
    let exception = frame(
        &[(":exception-type", "ModelStreamError"), (":message-type", "exception")],
        br#"{"Message":"boom","ErrorCode":"ModelInvocationTimeExceeded"}"#,
    );
    let error = frame(
        &[(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "boom")],
        b"",
    );
    for (failure, code) in [(exception, "ModelInvocationTimeExceeded"), (error, "InternalFailure")] {
        let (events, ending) = read([&part[..], &failure].concat());
        let error = ending.expect_err("a failure");
        let failure = error.failure().expect("a failure");
        assert_eq!((failure.code.as_deref(), &*failure.message), (Some(code), "boom"));
        assert_eq!(texts(&events), "hi", "what came before is delivered");
    }
}

#[test]
fn records_need_no_server_sent_events() {
    let records = [chunk(&json!({"content": "Hel"}), None), chunk(&json!({"content": "lo"}), Some("stop"))];
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    let pretty: Vec<String> =
        records.iter().map(|record| serde_json::to_string_pretty(record).expect("JSON")).collect();
    let whole = json!({"id": "x", "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}]});
    for body in [lines, pretty.join("\n"), json!(records).to_string(), whole.to_string()] {
        for body in [body.clone().into_bytes(), payload_part(body.as_bytes())] {
            let (events, ending) = read(&body);
            assert_eq!((texts(&events).as_str(), ending), ("Hello", Ok(())));
        }
    }
}

#[test]
fn the_first_delta_comes_with_the_first_record() {
    let mut decoder = sagewire_codec::Decoder::new();
    let mut first = Bytes::from(sse(&[chunk(&json!({"content": "H"}), None)]));
    let mut text = String::new();
    while let Some(event) = decoder.decode(&mut first).expect("good") {
        if let sagewire_codec::model::Event::TextDelta { text: piece, .. } = event {
            text.push_str(&piece);
        }
    }
    assert_eq!(text, "H");
}

#[test]
fn tool_calls_of_any_shape_are_read() {
    let text = json!({"function": {"name": "f", "arguments": "{\"a\":1}"}});
    let object = json!({"function": {"name": "f", "arguments": {"a": 1}}});
    let indexed = json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    let shapes = [json!([text]), text.clone(), json!([object]), json!([indexed])];
    for calls in shapes {
        let body = sse(&[chunk(&json!({"tool_calls": calls}), Some("tool_calls"))]);
        let (events, ending) = read(body);
        let input: String = events
            .iter()
            .filter(|event| event["type"] == "tool_input_delta")
            .filter_map(|event| event["text"].as_str())
            .collect();
        let input: Value = serde_json::from_str(&input).expect("JSON");
        assert_eq!((input, ending), (json!({"a": 1}), Ok(())), "{calls}");
        assert!(events.iter().any(|event| event["kind"] == "tool_call" && event["name"] == "f"));
    }
}

#[test]
fn a_repeated_name_does_not_start_another_call() {
    let call = |input: &str| json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": input}}]});
    let body = sse(&[chunk(&call("{\"a\""), None), chunk(&call(":1}"), Some("tool_calls"))]);
    let (events, ending) = read(body);
    assert_eq!(ending, Ok(()));
    assert_eq!(events.iter().filter(|event| event["kind"] == "tool_call").count(), 1);
}

#[test]
fn fields_may_be_missing_and_counts_unknown() {
    let body = sse(&[
        json!({"choices": [{"delta": {"content": "hi"}}]}),
        json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "mood_tokens": {"x": 3}}}),
    ]);
    let (events, ending) = read(body);
    assert_eq!((texts(&events).as_str(), ending), ("hi", Ok(())));
    let usage = events.iter().find(|event| event["type"] == "usage").expect("counts");
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(1), &json!(2)));
}

#[test]
fn the_finish_reason_comes_from_the_container() {
    for (said, meant) in [("length", "length"), ("eos_token", "stop"), ("stop_sequence", "stop_sequence")] {
        let body =
            json!([{"generated_text": "hi", "details": {"finish_reason": said, "generated_tokens": 1}}]);
        let (events, _) = read(body.to_string());
        let finish = events.iter().find(|event| event["type"] == "finish").expect("a finish");
        assert_eq!(finish["reason"], meant);
    }
}

#[test]
fn errors_of_the_container_keep_their_status() {
    for (status, kind) in [
        (400, HttpErrorKind::InvalidRequest),
        (424, HttpErrorKind::Server),
        (429, HttpErrorKind::RateLimit),
        (503, HttpErrorKind::Unavailable),
    ] {
        let original = json!({"error": {"message": "boom", "type": "t", "code": status}}).to_string();
        let body =
            json!({"OriginalStatusCode": status, "OriginalMessage": original, "Message": "Received …"});
        let error = HttpError::read(424, Some("ModelError"), body.to_string().as_bytes());
        assert_eq!((error.status, error.kind, &*error.message), (status, kind, "boom"));
    }
}

#[test]
fn later_blocks_of_a_message_are_kept_or_reported() {
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "first"},
        {"type": "image_url", "image_url": {"url": image}},
        {"type": "text", "text": "second"}
    ]}]});
    let (converse, losses) = convert(Api::Converse, &body);
    assert_eq!(converse["messages"][0]["content"][2]["text"], "second");
    assert_eq!(converse["messages"][0]["content"][1]["image"]["format"], "png");
    assert_eq!(losses, [""; 0]);
    let far = json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "text", "text": "second"}
    ]}]});
    let (converse, losses) = convert(Api::Converse, &far);
    assert_eq!(converse["messages"][0]["content"], json!([{"text": "second"}]));
    assert!(losses.iter().any(|loss| loss.starts_with("/messages/0/content/0: dropped")), "{losses:?}");
}

#[test]
fn tgi_requests_disable_the_echo_of_the_prompt() {
    let (tgi, _) = convert(Api::Tgi, &json!({"messages": [{"role": "user", "content": "hi"}]}));
    assert_eq!(tgi["parameters"]["return_full_text"], false);
}

#[test]
fn parameters_are_written_as_the_container_takes_them() {
    let content = json!([{"type": "text", "text": "hi"}]);
    let body = json!({"messages": [{"role": "user", "content": content}], "top_p": 1.0, "temperature": 0, "stop": "END"});
    let (tgi, _) = convert(Api::Tgi, &body);
    let parameters = &tgi["parameters"];
    assert_eq!(tgi["inputs"], "1 messages", "a text, and no list");
    assert_eq!((&parameters["top_p"], &parameters["temperature"]), (&Value::Null, &Value::Null));
    assert_eq!((&parameters["do_sample"], &parameters["stop"]), (&json!(false), &json!(["END"])));
    let (anthropic, _) = convert(Api::Anthropic, &body);
    assert_eq!(anthropic["stop_sequences"], json!(["END"]));
    let (lmi, _) = convert(Api::Lmi, &body);
    assert_eq!(lmi["parameters"]["stop_sequences"], json!(["END"]));
}

#[test]
fn stop_strings_are_not_patterns() {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stop": ["a.c", "(", "\\d+"]});
    for (format, pointer) in
        [(Api::Tgi, "/parameters/stop"), (Api::Converse, "/inferenceConfig/stopSequences")]
    {
        let (written, _) = convert(format, &body);
        assert_eq!(written.pointer(pointer), Some(&body["stop"]));
    }
    // The client does not cut the model's output at stop strings.
    let answer =
        sse(&[chunk(&json!({"content": "abc a"}), None), chunk(&json!({"content": ".c"}), Some("stop"))]);
    assert_eq!(texts(&read(answer).0), "abc a.c");
}

#[test]
fn usage_after_the_end_of_the_message_is_delivered() {
    let lines = [
        json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "hi"}}}),
        json!({"messageStop": {"stopReason": "end_turn"}}),
        json!({"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}}),
    ];
    let (events, ending) = read(lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    assert_eq!(ending, Ok(()));
    assert_eq!(events.last().map(|event| &event["output_tokens"]), Some(&json!(2)));
}
