//! Text generation: every shape by itself, bodies of real servers, and known faults of other clients. The common shapes
//! are also vectors in `testdata/streams.json`.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use common::{Random, decode, every_cut};
use sagewire_codec::{Api, DecodeError, Options};
use serde_json::{Value, json};

#[test]
fn shapes() {
    assert!(common::run_vectors("generation.json") >= 70);
    assert!(common::run_vectors("sglang.json") >= 25);
}

/// The response that the events add up to.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    texts: BTreeMap<u64, String>,
    finishes: BTreeMap<u64, String>,
    stop: Option<String>,
    /// Input and output tokens.
    usage: Option<(Option<u64>, Option<u64>)>,
    logprobs: Vec<Value>,
    others: Vec<String>,
}

impl Answer {
    fn new(events: &[Value]) -> Self {
        let mut answer = Self::default();
        for event in events {
            let choice = event["choice"].as_u64().unwrap_or(0);
            let text = |name: &str| event[name].as_str().expect("a text").to_owned();
            match event["type"].as_str().expect("a type") {
                "text_delta" => answer.texts.entry(choice).or_default().push_str(&text("text")),
                "finish" => {
                    answer.stop = event["stop"].as_str().map(str::to_owned);
                    assert_eq!(answer.finishes.insert(choice, text("reason")), None);
                }
                "usage" => {
                    answer.usage = Some((event["input_tokens"].as_u64(), event["output_tokens"].as_u64()));
                }
                "logprobs" => answer.logprobs.push(event["json"].clone()),
                "other" => answer.others.push(event["name"].as_str().unwrap_or_default().to_owned()),
                "start" | "part_start" | "part_end" => {}
                other => panic!("{other}"),
            }
        }
        answer
    }

    fn text(&self) -> &str {
        assert!(self.texts.len() <= 1, "one choice");
        self.texts.get(&0).map_or("", String::as_str)
    }

    fn finish(&self) -> Option<&str> {
        self.finishes.get(&0).map(String::as_str)
    }
}

/// Decodes the body unsplit, at every split, and in frames split at random: the response is the same each time.
fn read(name: &str, body: &[u8]) -> (Answer, Result<(), DecodeError>) {
    let (events, ending) = every_cut(name, body, |chunks| decode(Options::new(), chunks));
    for seed in 0..8 {
        let frames = Random(seed).parts(body, [1, 16, 300, 4000][seed as usize % 4]);
        let chunks = frames.chunks(1 + seed as usize * 131).map(Bytes::copy_from_slice).collect();
        assert_eq!(decode(Options::new(), chunks), (events.clone(), ending.clone()), "{name} in frames");
    }
    (Answer::new(&events), ending)
}

fn complete(name: &str, body: &[u8]) -> Answer {
    let (answer, ending) = read(name, body);
    assert_eq!(ending, Ok(()), "{name}");
    answer
}

fn shared(folder: &str) -> Option<PathBuf> {
    let found = common::shared(folder);
    if found.is_none() {
        println!("SAGEWIRE_SHARED is not set: skipped");
    }
    found
}

/// The files in a folder that have this prefix. Their names are returned without the common extension.
fn bodies(folder: &str, begin: &str) -> Vec<(String, Vec<u8>)> {
    let Some(folder) = shared(folder) else { return Vec::new() };
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        if let Some(name) = name.strip_suffix(".response.body.bin").filter(|name| name.starts_with(begin)) {
            bodies.push((name.to_owned(), std::fs::read(&path).expect("readable")));
        }
    }
    bodies.sort();
    bodies
}

/// The input text of DJL's formatters.
fn djl_text(case: &str) -> &'static str {
    match case {
        "plain" | "length" | "fulltext" => "Hello world, \"quoted\"\nnew é.",
        "emoji" | "details" => "Smile 😀 你好 👩\u{200d}👧\u{fffd}",
        "one" => "Hi",
        "empty" => "",
        other => panic!("{other}"),
    }
}

#[test]
fn djl_lmi_bodies() {
    let bodies = bodies("recorded/djl-lmi-rolling", "");
    let is_chat = |name: &str| name.contains("_chat");
    let mut read_right = 0;
    for (name, body) in bodies.iter().filter(|(name, _)| !is_chat(name)) {
        read_right += 1;
        let (formatter, case) = name.split_once('-').expect("two parts");
        let case = case.trim_start_matches("tgi-");
        let case = case.strip_prefix("details-").unwrap_or(case);
        if case.starts_with("error") {
            djl_failure(name, body);
            continue;
        }
        let answer = complete(name, body);
        assert_eq!(answer.text(), djl_text(case), "{name}");
        // Without details the finish reason is unknown, and none is invented.
        let has_details = name.contains("tgi") || name.contains("details") || formatter.starts_with("3p");
        let finish = match case {
            "length" => Some("length"),
            "fulltext" => Some("stop"),
            _ => has_details.then_some("stop"),
        };
        assert_eq!(answer.finish(), finish, "{name}");
        let tokens = match case {
            "emoji" | "details" => 9,
            "one" | "empty" => 1,
            _ => 6,
        };
        // The tokens of the prompt come with the full text.
        let input = (formatter.starts_with("3p") || case == "fulltext").then_some(2);
        assert_eq!(answer.usage, finish.map(|_| (input, Some(tokens))), "{name}");
        assert_eq!(answer.others, if case == "fulltext" { vec!["prefill"] } else { Vec::new() }, "{name}");
        assert_eq!(answer.logprobs.len(), usize::from(name.starts_with("json-tgi")), "{name}");
    }
    println!("{read_right} of {} bodies", bodies.iter().filter(|(name, _)| !is_chat(name)).count());
    assert!(bodies.is_empty() || read_right == 48, "{read_right}");
}

fn djl_failure(name: &str, body: &[u8]) {
    let (answer, ending) = read(name, body);
    let error = ending.expect_err(name);
    let failure = error.failure().expect(name);
    // Non-streaming responses lose the text before it, except in their logprobs; streams have already sent it.
    let is_stream = name.starts_with("jsonlines") || name.starts_with("sse") || name.starts_with("3p_stream");
    let text = if is_stream && !name.ends_with("first") { "Hello world, \"quoted\"" } else { "" };
    assert_eq!(answer.text(), text, "{name}");
    assert_eq!(answer.finish(), None, "{name}");
    let message = if name.starts_with("jsonlines-tgi") {
        // The formatter has no field for it.
        "the model ended its response with this finish reason"
    } else if name == "3p-error" {
        "Internal error"
    } else if name.ends_with("first") {
        "prompt is too long"
    } else {
        "Internal error: CUDA out of memory. é"
    };
    assert_eq!(failure.message, message, "{name}");
    let code = match name {
        _ if name.starts_with("jsonlines-tgi") => Some("error"),
        _ if name.starts_with("json-") || name.starts_with("3p") => Some("400"),
        _ => None,
    };
    assert_eq!(failure.code.as_deref(), code, "{name}");
}

#[test]
fn llama_server_bodies() {
    let bodies = bodies("recorded/llama-server", "native-");
    let mut texts = BTreeMap::new();
    for (name, body) in &bodies {
        let answer = complete(name, body);
        let (case, mode) = name.split_once('.').expect("two parts");
        let finish = if case == "native-probs" { "length" } else { "stop" };
        assert_eq!(answer.finish(), Some(finish), "{name}");
        let (input, output) = answer.usage.expect(name);
        assert!(input == Some(4) && output > Some(10), "{name}");
        assert_eq!(answer.logprobs.is_empty(), case != "native-probs", "{name}");
        assert!(answer.others.iter().any(|other| other == "timings"), "{name}");
        texts
            .entry(case.to_owned())
            .or_insert_with(BTreeMap::new)
            .insert(mode.to_owned(), answer.text().to_owned());
    }
    for (case, texts) in texts {
        // A character that was cut off at the end is U+FFFD in the non-streaming response, and missing from the stream.
        let rest = if matches!(&*case, "native-bad" | "native-probs") { "\u{fffd}" } else { "" };
        assert_eq!(texts["stream"].clone() + rest, texts["json"], "{case}");
    }
    assert!(bodies.is_empty() || bodies.len() == 8);
}

#[test]
fn vllm_rejects_unsupported_requests() {
    let bodies = bodies("recorded/vllm", "inv-tgi-shape");
    for (name, body) in &bodies {
        let (answer, ending) = read(name, body);
        assert_eq!(answer, Answer::default());
        let error = ending.expect_err(name);
        let failure = error.failure().expect(name);
        assert_eq!((failure.name.as_str(), failure.code.as_deref()), ("BadRequestError", Some("400")));
    }
    assert!(bodies.is_empty() || bodies.len() == 2);
}

#[test]
fn wire_samples() {
    let Some(folder) = shared("wire/samples") else { return };
    let read = |name: &str| read(name, &std::fs::read(folder.join(name)).expect(name));
    let complete = |name: &str| {
        let (answer, ending) = read(name);
        assert_eq!(ending, Ok(()), "{name}");
        answer
    };
    // The samples omit some tokens, so the token count of the server differs.
    let answer = complete("tgi-generate-stream-doc.sse.txt");
    assert_eq!((answer.text(), answer.finish(), answer.usage), ("This.", None, None));
    let answer = complete("tgi-generate-response.json");
    assert_eq!(answer.text(), "Test request failed: Error in test");
    assert_eq!((answer.finish(), answer.usage), (Some("stop_sequence"), Some((None, Some(5)))));
    assert_eq!(answer.logprobs[0].as_array().map(Vec::len), Some(5));
    for (name, text) in [("lmi-jsonlines.txt", "Deep  Learning is field."), ("lmi-sse.txt", "Deep  field.")] {
        let answer = complete(name);
        assert_eq!((answer.text(), answer.finish()), (text, Some("length")), "{name}");
        assert_eq!(answer.usage, Some((None, Some(100))), "{name}");
    }
    assert_eq!(complete("jumpstart-llama2-chat.json").text(), " Eiffel Tower high");
    let (answer, ending) = read("lmi-midstream-error.txt");
    assert_eq!(answer.text(), "Deep ");
    let error = ending.expect_err("it says so");
    assert_eq!(error.failure().expect("its own").code.as_deref(), Some("424"));
    // A dynamic batch has no end marker.
    let (answer, ending) = read("lmi-dynamic-batch.txt");
    assert_eq!(answer.text(), "Thisopportunityis");
    assert!(ending.is_err_and(|error| error.is_truncated()));
}

fn token(index: u32, text: &str, special: bool) -> Value {
    json!({"index": index, "token": {"id": 7, "text": text, "logprob": -0.5, "special": special},
        "generated_text": null, "details": null})
}

fn last(mut token: Value, generated_text: &str, details: Value) -> Value {
    token["generated_text"] = generated_text.into();
    token["details"] = details;
    token
}

fn sse(records: &[Value]) -> Vec<u8> {
    records.iter().map(|record| format!("data:{record}\n\n")).collect::<String>().into_bytes()
}

fn details(reason: &str) -> Value {
    json!({"finish_reason": reason, "generated_tokens": 3, "seed": null, "input_length": 5})
}

#[test]
fn the_finish_reason_comes_from_the_container() {
    for (reason, expected) in
        [("length", "length"), ("eos_token", "stop"), ("stop_sequence", "stop_sequence"), ("own", "own")]
    {
        let answer = complete(reason, &sse(&[last(token(1, "a", false), "a", details(reason))]));
        assert_eq!(answer.finish(), Some(expected));
        assert_eq!(answer.usage, Some((Some(5), Some(3))));
    }
}

#[test]
fn no_finish_reason_is_invented() {
    let answer =
        complete("no details", &sse(&[token(1, "a", false), last(token(2, "b", false), "ab", Value::Null)]));
    assert_eq!((answer.text(), answer.finish(), answer.usage), ("ab", None, None));
}

#[test]
fn without_the_last_record_it_is_truncated() {
    let (answer, ending) = read("cut off", &sse(&[token(1, "a", false), token(2, "b", false)]));
    assert_eq!(answer.text(), "ab");
    assert!(ending.is_err_and(|error| error.is_truncated()));
    // Also in the middle of the last one.
    let body = sse(&[token(1, "a", false), last(token(2, "b", false), "ab", Value::Null)]);
    let (answer, ending) = read("cut in it", &body[..body.len() - 10]);
    assert_eq!(answer.text(), "a");
    assert!(ending.is_err_and(|error| error.is_truncated()));
}

#[test]
fn special_tokens_are_not_delivered() {
    let records = [
        token(1, "<s>", true),
        token(2, "hi", false),
        last(token(3, "</s>", true), "hi", details("eos_token")),
    ];
    assert_eq!(complete("special", &sse(&records)).text(), "hi");
}

#[test]
fn the_echo_of_the_prompt_is_not_delivered() {
    let stream = |texts: &[&str], generated_text: &str| {
        let mut records: Vec<_> = texts.iter().map(|text| token(1, text, false)).collect();
        records.push(last(token(9, "</s>", true), generated_text, details("eos_token")));
        complete(generated_text, &sse(&records)).text().to_owned()
    };
    assert_eq!(stream(&["Hel", "lo"], "Say hello.Hello"), "Hello");
    assert_eq!(stream(&["no"], "nono"), "no");
    assert_eq!(stream(&[], "only the prompt"), "");
    // Text that was not streamed is delivered: here the first half of a character that is never completed.
    assert_eq!(stream(&["Hel", "lo ", ""], "Hello \u{fffd}"), "Hello \u{fffd}");
    // A stop string that the server removed from the final text is kept.
    assert_eq!(stream(&["a", "###"], "a"), "a###");
}

#[test]
fn an_error_after_tokens_is_a_failure() {
    let body = [
        sse(&[token(1, "a", false)]),
        br#"data: {"error":"Request failed during generation: x","error_type":"generation"}

"#
        .to_vec(),
    ]
    .concat();
    let (answer, ending) = read("generation", &body);
    assert_eq!(answer.text(), "a");
    let error = ending.expect_err("it failed");
    let failure = error.failure().expect("its own");
    assert_eq!(
        (failure.name.as_str(), failure.message.as_str()),
        ("generation", "Request failed during generation: x")
    );
    // Also after the record that would have ended the stream.
    let body =
        [sse(&[last(token(1, "a", false), "a", Value::Null)]), b"{\"code\":424,\"error\":\"late\"}".to_vec()]
            .concat();
    assert!(read("late", &body).1.is_err_and(|error| error.is_model_failure()));
}

#[test]
fn the_last_line_needs_no_newline() {
    let lines = "{\"token\": {\"id\": 1, \"text\": \"a\", \"log_prob\": -1}}\n\
                 {\"token\": {\"id\": 2, \"text\": \"b\", \"log_prob\": -1}, \"generated_text\": \"ab\"}";
    assert_eq!(complete("no line end", lines.as_bytes()).text(), "ab");
    let (answer, ending) = read("cut", &lines.as_bytes()[..lines.len() - 1]);
    assert_eq!(answer.text(), "a");
    assert!(ending.is_err_and(|error| error.is_truncated()));
}

#[test]
fn lookalikes_are_not_responses() {
    for record in
        [r#"{"body":{"generation":{"x":1}}}"#, r#"{"generation":{"content":[1]}}"#, r#"{"body":{"x":1}}"#]
    {
        let (answer, ending) = read(record, format!("{record}\n").as_bytes());
        assert_eq!((answer.text(), answer.others.len()), ("", 1), "{record}");
        assert!(ending.is_err_and(|error| error.is_truncated()), "{record}");
    }
}

#[test]
fn a_malformed_record_does_not_affect_others() {
    let body = [
        sse(&[token(1, "a", false)]),
        b"data: {\"index\":2,\"token\":{\"id\":7,\"te\n\n".to_vec(),
        sse(&[token(3, "c", false), last(token(4, "d", false), "abcd", details("length"))]),
    ]
    .concat();
    let (events, ending) = every_cut("malformed", &body, |chunks| decode(Options::new(), chunks));
    assert_eq!(ending, Ok(()));
    assert_eq!(common::texts(&events), "acd");
    assert_eq!(events.iter().filter(|event| event["type"] == "malformed").count(), 1);
}

#[test]
fn token_logprobs_are_optional() {
    let body = sse(&[
        token(1, "<s>", true),
        token(2, "hi", false),
        last(token(3, "!", false), "hi!", details("length")),
    ]);
    let run = |options: Options| every_cut("logprobs", &body, |chunks| decode(options.clone(), chunks));
    let (events, ending) = run(Options::new().token_logprobs(true));
    let answer = Answer::new(&events);
    assert_eq!((answer.text(), ending), ("hi!", Ok(())));
    assert_eq!(answer.logprobs[1], token(2, "hi", false)["token"]);
    assert_eq!(answer.logprobs.len(), 3);
    assert!(Answer::new(&run(Options::new()).0).logprobs.is_empty());
}

/// Plain text: the deltas depend on the splits, so they are joined.
fn read_text(body: &[u8]) -> (String, Result<(), DecodeError>) {
    let run = |chunks| {
        let (events, ending) = decode(Options::new().api(Api::PlainText), chunks);
        (Answer::new(&events).text().to_owned(), ending)
    };
    let whole = every_cut("text", body, run);
    for seed in 0..8 {
        let frames = Random(seed).parts(body, 1 + seed as usize * 5);
        let chunks = frames.chunks(1 + seed as usize * 13).map(Bytes::copy_from_slice).collect();
        assert_eq!(run(chunks), whole);
    }
    whole
}

#[test]
fn plain_text_is_streamed() {
    for text in [
        "hello",
        " \n ",
        "café 😀\r\n",
        "data: {\"a\":1}\n\n[DONE]",
        "{\"answer\": 42}",
        // An error field that is not the first one does not hold back the text, so in no split is it an error.
        "{\"body\": 1, \"error\": \"x\"}",
        "[DONE]",
        "{",
        "\"x\"",
    ] {
        assert_eq!(read_text(text.as_bytes()), (text.to_owned(), Ok(())));
    }
    assert_eq!(read_text(b"a\xffb\xe2\x82"), ("a\u{fffd}b\u{fffd}".to_owned(), Ok(())));
    let (text, ending) = read_text(b"");
    assert!(text.is_empty() && ending.is_err_and(|error| error.is_truncated()));
    let error = br#"{
  "code": 507,
  "type": "InternalServerException",
  "message": "Worker died."
}
"#;
    let (text, ending) = read_text(error);
    let ending = ending.expect_err("it died");
    let failure = ending.failure().expect("its own");
    assert_eq!(
        (text.as_str(), failure.name.as_str(), failure.code.as_deref()),
        ("", "InternalServerException", Some("507"))
    );
    assert_eq!(failure.message, "Worker died.");
    // With text before or after it, it is the model's output.
    let both = [b"so: ", &error[..]].concat();
    assert_eq!(read_text(&both), (String::from_utf8(both).expect("UTF-8"), Ok(())));
    let both = [&error[..], b"so"].concat();
    assert_eq!(read_text(&both), (String::from_utf8(both).expect("UTF-8"), Ok(())));
    // A truncated frame is not a complete stream.
    let frame = common::payload_part(b"hello");
    let cut = vec![Bytes::copy_from_slice(&frame), Bytes::copy_from_slice(&frame[..30])];
    let (events, ending) = decode(Options::new().api(Api::PlainText), cut);
    assert_eq!(common::texts(&events), "hello");
    assert!(ending.is_err_and(|error| error.is_truncated()));
}
