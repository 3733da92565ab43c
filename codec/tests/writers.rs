//! The output of the writers, and the losses that they report: the list is asserted, even if it is empty.

// `json!` values are passed by value where they are built.
#![allow(clippy::needless_pass_by_value)]

mod common;

use bytes::Bytes;
use common::{transcode, transcode_as_it_is};
use sagewire_codec::model::{Response, ResponseOptions};
use sagewire_codec::{Api, Options, eventstream};
use serde_json::{Value, json};

fn data(chunks: &[Value]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

fn choice(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "x", "created": 7, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn call(index: u32, id: &str, name: &str, arguments: &str) -> Value {
    json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn usage(usage: Value) -> Value {
    json!({"choices": [], "usage": usage})
}

/// The events of ConverseStream, and the losses. Frames and lines have the same content.
fn bedrock(body: &str) -> (Vec<Value>, Vec<String>) {
    let context = || ResponseOptions::new().latency_ms(12);
    let (lines, losses, ending) = transcode(Api::Converse, context(), body);
    let lines: Vec<Value> = String::from_utf8(lines)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    let (frames, same, _) = transcode_as_it_is(Options::new(), Api::Converse, context(), body);
    assert_eq!(same, losses);
    let mut decoder = eventstream::Decoder::new();
    let mut chunk = Bytes::from(frames);
    let mut events = Vec::new();
    while let Some(frame) = decoder.decode(&mut chunk).expect("our own frames") {
        let header = |name| frame.headers().get(name).and_then(|value| value.as_str());
        assert_eq!(header(":content-type"), Some("application/json"));
        let name = match header(":message-type") {
            Some("event") => header(":event-type"),
            Some("exception") => header(":exception-type"),
            other => panic!("{other:?}"),
        };
        let payload: Value = serde_json::from_slice(frame.payload()).expect("JSON");
        events.push(json!({name.expect("a name"): payload}));
    }
    decoder.finish().expect("whole frames");
    assert_eq!(events, lines);
    assert_eq!(
        ending.is_ok(),
        lines.last().is_some_and(|last| last.get("messageStop").or(last.get("metadata")).is_some())
    );
    (lines, losses)
}

/// The vectors of `written.json`: what streams and responses become in other APIs, the losses, and the ending. Reviewed by eye;
/// renewed with `SAGEWIRE_GOLDEN=write`.
#[test]
fn vectors() {
    let path = common::testdata("written.json");
    let mut vectors = common::read_json(&path);
    let renew = std::env::var_os("SAGEWIRE_GOLDEN").is_some_and(|value| value == "write");
    for vector in vectors.as_array_mut().expect("a list") {
        let name = common::name_of(vector).to_owned();
        let body = vector["text"].as_str().expect("text").to_owned();
        let is_whole = vector["whole"] == true;
        let id = vector["id"].as_str().map(str::to_owned);
        let options = || match &id {
            Some(id) => ResponseOptions::new().id(id),
            None => ResponseOptions::new(),
        };
        for (to, expected) in vector["to"].as_object_mut().expect("an object") {
            let target = common::target(to);
            let found = if is_whole {
                let response = Response::read(body.clone(), Options::new()).expect(&name);
                let (written, losses) = common::write_whole(target, &response, &options());
                let written: Value = serde_json::from_slice(&written).expect("JSON");
                json!({"body": written, "losses": losses})
            } else {
                let (out, losses, ending) = transcode(target, options(), &body);
                let ending = common::ending(&ending);
                json!({"records": common::records(target, &out), "losses": losses, "ending": ending})
            };
            if renew {
                *expected = found;
            } else {
                assert_eq!(found, *expected, "{name} to {to}: {found}");
            }
        }
    }
    if renew {
        let lines: Vec<String> = vectors.as_array().into_iter().flatten().map(Value::to_string).collect();
        std::fs::write(path, format!("[\n {}\n]\n", lines.join(",\n "))).expect("a file");
    }
}

#[test]
fn text_and_usage_are_lossless() {
    let counts = json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1}});
    let body = data(&[
        choice(json!({"role": "assistant", "content": ""}), None),
        choice(json!({"content": "a\"b\n"}), None),
        choice(json!({"content": "😀"}), Some("stop")),
        usage(counts),
    ]) + "data: [DONE]\n\n";
    let (events, losses) = bedrock(&body);
    assert_eq!(
        events,
        [
            json!({"messageStart": {"role": "assistant"}}),
            json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a\"b\n"}}}),
            json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "😀"}}}),
            json!({"contentBlockStop": {"contentBlockIndex": 0}}),
            json!({"messageStop": {"stopReason": "end_turn"}}),
            // Bedrock counts cached tokens separately.
            json!({"metadata": {
                "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 12,
                    "cacheReadInputTokens": 4, "cacheWriteInputTokens": 1},
                "metrics": {"latencyMs": 12},
            }}),
        ]
    );
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn blocks_do_not_overlap() {
    let body = data(&[
        choice(json!({"reasoning_content": "hm"}), None),
        choice(json!({"content": "ok"}), None),
        choice(json!({"tool_calls": [call(0, "a", "f", "{\"x\":"), call(1, "b", "g", "{}")]}), None),
        choice(json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}), Some("tool_calls")),
        usage(json!({"prompt_tokens": 1, "completion_tokens": 1})),
    ]);
    let (events, losses) = bedrock(&body);
    let delta =
        |index: u32, delta: Value| json!({"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}});
    let stop = |index: u32| json!({"contentBlockStop": {"contentBlockIndex": index}});
    let start = |index: u32, id: &str, name: &str| json!({"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id, "name": name}}}});
    assert_eq!(
        events[1..13],
        [
            delta(0, json!({"reasoningContent": {"text": "hm"}})),
            stop(0),
            delta(1, json!({"text": "ok"})),
            stop(1),
            start(2, "a", "f"),
            delta(2, json!({"toolUse": {"input": "{\"x\":"}})),
            delta(2, json!({"toolUse": {"input": "1}"}})),
            stop(2),
            start(3, "b", "g"),
            delta(3, json!({"toolUse": {"input": "{}"}})),
            stop(3),
            json!({"messageStop": {"stopReason": "tool_use"}}),
        ]
    );
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn stop_reasons() {
    let of = |delta: Value, finish: Option<&str>, more: Value| {
        let mut chunk = choice(delta, finish);
        if let Some(more) = more.as_object() {
            chunk["choices"][0].as_object_mut().expect("an object").extend(more.clone());
        }
        let (events, losses) = bedrock(
            &(data(&[chunk, usage(json!({"prompt_tokens": 1, "completion_tokens": 1}))])
                + "data: [DONE]\n\n"),
        );
        let stop = events.iter().find_map(|event| event.get("messageStop")).expect("a stop").clone();
        (stop, losses)
    };
    let text = || json!({"content": "x"});
    let tool = || json!({"tool_calls": [call(0, "a", "f", "{}")]});
    for (delta, finish, expected) in [
        (text(), "stop", "end_turn"),
        (text(), "length", "max_tokens"),
        (tool(), "tool_calls", "tool_use"),
        (text(), "content_filter", "content_filtered"),
    ] {
        assert_eq!(of(delta, Some(finish), Value::Null), (json!({"stopReason": expected}), vec![]));
    }
    let (stop, losses) = of(text(), Some("stop"), json!({"stop_reason": "END"}));
    assert_eq!(
        stop,
        json!({"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "END"}})
    );
    assert!(losses.is_empty());
    // vLLM uses `stop` for a forced tool.
    let (stop, losses) = of(tool(), Some("stop"), Value::Null);
    assert_eq!(stop, json!({"stopReason": "tool_use"}));
    assert_eq!(losses, ["/choices/0/finish_reason: approximated: `stop` after tool calls is `tool_use`"]);
    let (stop, losses) = of(text(), Some("repetition"), Value::Null);
    assert_eq!(stop, json!({"stopReason": "end_turn"}));
    assert_eq!(losses, ["/choices/0/finish_reason: approximated: Converse does not know it: `end_turn`"]);
    // TGI's tool streams have no finish reason, only `[DONE]`.
    let (stop, losses) = of(tool(), None, Value::Null);
    assert_eq!(stop, json!({"stopReason": "tool_use"}));
    assert_eq!(losses, ["finish reason: defaulted: the source gives none"]);
}

#[test]
fn losses_of_converse_are_reported() {
    let mut second = choice(json!({"content": "no"}), Some("stop"));
    second["choices"][0]["index"] = json!(1);
    let mut first = choice(json!({"refusal": "never"}), Some("stop"));
    first["choices"][0]["logprobs"] = json!({"content": []});
    first["timings"] = json!({"n": 1});
    let bad_names = choice(json!({"tool_calls": [call(0, "a b", "é", "{}")]}), None);
    let (events, losses) = bedrock(&(data(&[second, bad_names, first]) + "data: {oops\n\n"));
    assert!(!events.iter().any(|event| event.to_string().contains("no\"")));
    assert!(events.iter().any(|event| event["contentBlockDelta"]["delta"]["text"] == "never"));
    assert!(events.iter().any(|event| {
        event["contentBlockStart"]["start"]["toolUse"] == json!({"toolUseId": "a_b", "name": "_"})
    }));
    let whats: Vec<_> =
        losses.iter().map(|loss| loss.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ")).collect();
    assert_eq!(
        whats,
        [
            "/choices/0: dropped",
            "/choices/0/delta/tool_calls/0: approximated",
            "/choices/0/delta/tool_calls/0: approximated",
            "/choices/0/delta/refusal: approximated",
            "/choices/0/logprobs: dropped",
            "/choices/0/finish_reason: approximated",
            "/timings: dropped",
            "malformed record: dropped",
            "usage: dropped"
        ]
    );
}

#[test]
fn failures_become_exceptions() {
    let text = choice(json!({"content": "x"}), None);
    let of = |error: Value| {
        let (events, _) = bedrock(&data(&[text.clone(), json!({"error": error})]));
        assert!(events.iter().all(|event| event.get("messageStop").is_none()), "no success");
        events.last().expect("an exception").clone()
    };
    assert_eq!(
        of(json!({"message": "boom", "type": "InternalServerError", "code": 500})),
        json!({"modelStreamErrorException": {"message": "boom", "originalStatusCode": 500, "originalMessage": "boom"}})
    );
    assert_eq!(of(json!({"message": "m", "code": 429})), json!({"throttlingException": {"message": "m"}}));
    assert_eq!(
        of(json!({"message": "m", "code": 503})),
        json!({"serviceUnavailableException": {"message": "m"}})
    );
    assert_eq!(of(json!({"message": "m", "code": 400})), json!({"validationException": {"message": "m"}}));
    let (events, _) = bedrock(&data(&[text]));
    let last = events.last().expect("an exception");
    assert!(
        last["modelStreamErrorException"]["message"].as_str().is_some_and(|why| why.contains("truncated")),
        "{last}"
    );
}

/// The chunks that an OpenAI client reads, whether `[DONE]` ends them, and the losses.
fn openai(context: ResponseOptions, body: &str) -> (Vec<Value>, bool, Vec<String>) {
    let (out, losses, ending) = transcode(Api::OpenAi, context, body);
    let out = String::from_utf8(out).expect("UTF-8");
    let mut records: Vec<_> =
        out.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("data")).collect();
    let done = records.last() == Some(&"[DONE]");
    if done {
        records.pop();
    }
    assert_eq!(done, ending.is_ok());
    (records.iter().map(|record| serde_json::from_str(record).expect("JSON")).collect(), done, losses)
}

#[test]
fn openai_chunks() {
    let mut finish = choice(json!({}), Some("stop"));
    finish["choices"][0]["stop_reason"] = json!("END");
    finish["timings"] = json!({"n": 1});
    let body = data(&[
        choice(json!({"reasoning": "hm"}), None),
        choice(json!({"tool_calls": [call(0, "a", "f", "")]}), None),
        choice(
            json!({"tool_calls": [{"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
            None,
        ),
        finish,
        usage(
            json!({"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 1}}),
        ),
    ]);
    let (chunks, done, losses) = openai(ResponseOptions::new(), &body);
    assert!(done);
    assert!(losses.is_empty(), "{losses:?}");
    for chunk in &chunks {
        assert_eq!((&chunk["id"], &chunk["created"], &chunk["model"]), (&json!("x"), &json!(7), &json!("m")));
        assert_eq!(chunk["object"], "chat.completion.chunk");
    }
    let deltas: Vec<_> = chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "hm"}),
            json!({"tool_calls": [call(0, "a", "f", "")]}),
            // Clients parse the arguments, so missing ones are an empty object.
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            json!({"tool_calls": [call(1, "b", "g", "")]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
            json!({}),
            Value::Null,
            Value::Null,
        ]
    );
    assert_eq!(chunks[6]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[6]["choices"][0]["stop_reason"], "END");
    assert_eq!(chunks[7]["timings"], json!({"n": 1}));
    assert_eq!(chunks[8]["choices"], json!([]));
    assert_eq!(
        chunks[8]["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
            "completion_tokens_details": {"reasoning_tokens": 1}})
    );
}

/// A caller that requests token counts for its own use hides them from a client that did not request them.
#[test]
fn counts_are_hidden_on_request() {
    let body = data(&[
        json!({"id": "x", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}),
        json!({"id": "x", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
    ]);
    for target in [Api::OpenAi, Api::Completions] {
        let (shown, _, _) = transcode(target, ResponseOptions::new(), &body);
        assert!(String::from_utf8_lossy(&shown).contains("\"choices\":[],\"usage\":{"), "{target}");
        let (hidden, losses, ending) = transcode(target, ResponseOptions::new().hide_usage(true), &body);
        let hidden = String::from_utf8_lossy(&hidden);
        assert!(!hidden.contains("usage") && hidden.ends_with("data: [DONE]\n\n"), "{hidden}");
        assert_eq!((losses, ending), (vec![], Ok(())));
    }
}

#[test]
fn response_defaults_fill_missing_openai_fields() {
    let body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}]}\n\ndata: [DONE]\n\n";
    let (chunks, _, losses) = openai(ResponseOptions::new().id("i").model("n").created(9), body);
    assert_eq!(
        (&chunks[0]["id"], &chunks[0]["created"], &chunks[0]["model"]),
        (&json!("i"), &json!(9), &json!("n"))
    );
    // The call starts when the stream ends, since more of its name may come: its record is gone by then.
    assert_eq!(
        losses,
        ["tool call id: defaulted: the call has no ID", "finish reason: defaulted: the source gives none",]
    );
    let (chunks, ..) = openai(ResponseOptions::new(), body);
    assert_eq!(
        (&chunks[0]["id"], &chunks[0]["created"], &chunks[0]["model"]),
        (&json!("chatcmpl-0"), &json!(0), &json!(""))
    );
}

#[test]
fn openai_errors() {
    let text = choice(json!({"content": "x"}), None);
    let last = |body: &str| {
        let (chunks, done, _) = openai(ResponseOptions::new(), body);
        assert!(!done);
        chunks.last().expect("an error")["error"].clone()
    };
    assert_eq!(
        last(&data(&[text.clone(), json!({"error": {"message": "boom", "type": "t", "code": 500}})])),
        json!({"message": "boom", "type": "t", "param": null, "code": 500})
    );
    assert_eq!(last(&data(std::slice::from_ref(&text)))["type"], "stream_truncated");
    assert_eq!(last("")["type"], "stream_truncated");
}

/// The records of a TGI stream, and the losses. Only a complete stream has a last record.
fn tgi(body: &str) -> (Vec<Value>, Vec<String>) {
    let (out, losses, ending) = transcode(Api::Tgi, ResponseOptions::new(), body);
    let out = String::from_utf8(out).expect("UTF-8");
    let records = out.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").expect("data"));
    let records: Vec<Value> = records.map(|record| serde_json::from_str(record).expect("JSON")).collect();
    let is_last = |record: &Value| record["generated_text"].is_string();
    assert_eq!(records.iter().filter(|record| is_last(record)).count(), usize::from(ending.is_ok()));
    assert_eq!(records.last().is_some_and(is_last), ending.is_ok());
    (records, losses)
}

/// The losses of every text: it has no token data.
fn no_tokens(at: &str) -> [String; 2] {
    ["ID", "probability"].map(|what| format!("{at}: defaulted: a text is no token, and has no {what}"))
}

fn tgi_token(index: u32, text: &str) -> Value {
    json!({"index": index, "token": {"id": 0, "text": text, "logprob": 0.0, "special": false},
        "generated_text": null, "details": null})
}

#[test]
fn tgi_records() {
    let body = data(&[
        choice(json!({"role": "assistant", "content": "a\"b\n"}), None),
        choice(json!({"content": "😀"}), Some("length")),
        usage(json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12})),
    ]) + "data: [DONE]\n\n";
    let (records, losses) = tgi(&body);
    let details = json!({"finish_reason": "length", "generated_tokens": 2, "input_length": 10, "seed": null});
    assert_eq!(
        records,
        [
            tgi_token(1, "a\"b\n"),
            tgi_token(2, "😀"),
            json!({"index": 3, "token": {"id": 0, "text": "", "logprob": 0.0, "special": true},
                "generated_text": "a\"b\n😀", "details": details}),
        ]
    );
    assert_eq!(losses, no_tokens("/choices/0/delta/content"));
}

#[test]
fn tgi_finish_reasons() {
    let finish = |reason: &str, stop: Option<&str>| {
        let mut last = choice(json!({}), Some(reason));
        last["choices"][0]["stop_reason"] = json!(stop);
        let counts = usage(json!({"prompt_tokens": 1, "completion_tokens": 1}));
        let (records, losses) = tgi(&data(&[last, counts]));
        (records[0]["details"]["finish_reason"].as_str().expect("a reason").to_owned(), losses)
    };
    let none = Vec::<String>::new;
    assert_eq!(finish("stop", None), ("eos_token".to_owned(), none()));
    assert_eq!(finish("length", None), ("length".to_owned(), none()));
    assert_eq!(finish("own", None), ("own".to_owned(), none()));
    let lost =
        vec!["/choices/0/finish_reason: dropped: TGI does not report which stop string was met".to_owned()];
    assert_eq!(finish("stop", Some("END")), ("stop_sequence".to_owned(), lost));
    let lost = vec!["/choices/0/finish_reason: approximated: TGI has no name for it".to_owned()];
    assert_eq!(finish("tool_calls", None), ("eos_token".to_owned(), lost.clone()));
    assert_eq!(finish("content_filter", None), ("eos_token".to_owned(), lost));
}

#[test]
fn tgi_counts_are_not_invented() {
    let (records, losses) = tgi(&data(&[choice(json!({}), Some("stop"))]));
    assert_eq!(records[0]["details"]["generated_tokens"], 0);
    assert_eq!(losses, ["usage: defaulted: the source reports no counts"]);
    // Without a finish reason there is no field for any of it.
    let counts = usage(json!({"prompt_tokens": 1, "completion_tokens": 1}));
    let (records, losses) = tgi(&(data(&[counts]) + "data: [DONE]\n\n"));
    assert_eq!(records[0]["details"], Value::Null);
    assert_eq!(losses, ["usage: dropped: it belongs to a finish reason, and there is none"]);
}

#[test]
fn tgi_losses() {
    let mut probable = choice(json!({"reasoning": "hm"}), None);
    probable["choices"][0]["logprobs"] = json!({"content": []});
    let mut other = choice(json!({"content": "second"}), Some("stop"));
    other["choices"][0]["index"] = json!(1);
    let body = data(&[
        probable,
        other,
        choice(json!({"refusal": "no", "mood": 1}), None),
        choice(json!({"tool_calls": [call(0, "a", "f", "{}")]}), Some("tool_calls")),
        usage(
            json!({"prompt_tokens": 1, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 1}}),
        ),
    ]);
    let (records, losses) = tgi(&body);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0], tgi_token(1, "no"));
    assert_eq!(records[1]["generated_text"], "no");
    let [id, probability] = &no_tokens("/choices/0/delta/refusal");
    assert_eq!(
        losses,
        [
            "/choices/0/delta/reasoning: dropped: TGI has one kind of text",
            "/choices/0/logprobs: dropped: formats disagree on what they are",
            "/choices/0: dropped: TGI streams only one choice",
            "/choices/0/delta/refusal: approximated: TGI has no refusals: written as text",
            id,
            probability,
            "/choices/0/delta/mood: dropped: there is no place for a field of unknown meaning in TGI's records",
            "/choices/0/delta/tool_calls/0: dropped: TGI generates text, its tools belong to its chat",
            "/choices/0/finish_reason: approximated: TGI has no name for it",
            "usage details: dropped: TGI counts neither caches nor reasoning",
        ]
    );
}

#[test]
fn tgi_errors() {
    let text = choice(json!({"content": "x"}), None);
    let last = |body: &str| {
        let (records, losses) = tgi(body);
        (records.last().expect("an error").clone(), losses)
    };
    let (error, losses) =
        last(&data(&[text.clone(), json!({"error": {"message": "boom", "type": "t", "code": 500}})]));
    assert_eq!(error, json!({"error": "boom", "error_type": "t"}));
    assert_eq!(losses[2..], ["error code: dropped: TGI's errors have a type only"]);
    assert_eq!(last(&data(std::slice::from_ref(&text))).0["error_type"], "incomplete_generation_stream");
    assert_eq!(last("").0["error_type"], "incomplete_generation_stream");
}

/// A TGI stream survives a round trip.
#[test]
fn tgi_reads_back() {
    let details =
        json!({"finish_reason": "eos_token", "generated_tokens": 2, "input_length": 5, "seed": null});
    let mut last = tgi_token(2, "lo");
    (last["generated_text"], last["details"]) = (json!("Hello"), details);
    let body = data(&[tgi_token(1, "Hel"), last]);
    let (out, losses, ending) = transcode(Api::Tgi, ResponseOptions::new(), &body);
    assert_eq!((losses, ending), (no_tokens("/token/text").to_vec(), Ok(())));
    let read = |bytes: &[u8]| common::decode(Options::new(), vec![Bytes::copy_from_slice(bytes)]);
    assert_eq!(read(&out), read(body.as_bytes()));
    let failed = data(&[tgi_token(1, "Hel"), json!({"error": "boom", "error_type": "generation"})]);
    let (out, ..) = transcode(Api::Tgi, ResponseOptions::new(), &failed);
    assert_eq!(read(&out).0, read(failed.as_bytes()).0);
    assert!(read(&out).1.is_err_and(|error| error.is_model_failure()));
}

#[test]
fn the_text_that_tgi_repeats_is_limited() {
    let long = choice(json!({"content": "x".repeat(3 << 20)}), None);
    let short = choice(json!({"content": "y"}), None);
    let body = data(&[long.clone(), long.clone(), long, short, choice(json!({}), Some("stop"))]);
    let (records, losses) = tgi(&body);
    assert_eq!(records.len(), 5);
    let repeated = records[4]["generated_text"].as_str().expect("a text");
    assert!(repeated.len() == 6 << 20 && repeated.bytes().all(|byte| byte == b'x'), "a beginning");
    assert_eq!(losses[2], "generated_text: approximated: it repeats the first 8 MiB, and no more");
}

/// A container cannot make a large stream of a small one by fields that each chunk repeats.
#[test]
fn repeated_fields_are_short() {
    for (name, long) in [("id", "x".repeat(100_000)), ("model", "\u{1}é".repeat(50_000))] {
        let mut first = choice(json!({"content": "a"}), None);
        first[name] = json!(long);
        first["service_tier"] = json!("t".repeat(10_000));
        let count = 500;
        let more = vec![choice(json!({"content": "b"}), None); count];
        let body = data(&[&[first][..], &more, &[choice(json!({}), Some("stop"))]].concat());
        let (out, losses, _) = transcode(Api::OpenAi, ResponseOptions::new(), &body);
        let bound = 8 * body.len() + 1024 * (count + 2);
        assert!(out.len() < bound / 4, "{name}: {} bytes of {}", out.len(), body.len());
        assert_eq!(losses, [format!("{name}: approximated: it is in each chunk, and cut to 256 bytes")]);
    }
}
