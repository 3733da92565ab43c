//! The tables of the README that say what converts to what, and with what loss: made of what really happens.
//! `SAGEWIRE_TABLES=write cargo test -p sagewire-codec --test conversions` writes them anew.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use common::{body, read_json, testdata};
use sagewire_codec::model::{
    Content, ConverseEncoding, ConversionOptions, Loss, Losses, Message, Outcome, Rendered, Response,
    ResponseOptions, Tool,
};
use sagewire_codec::{
    Api, DecodeError, Decoder, Options, Transcoder, read_request, write_request, write_response,
};

/// Formats of requests: their names in the tables, and of their rich requests in `testdata/golden`.
const REQUESTS: [(&str, &str, Api); 11] = [
    ("OpenAI chat", "openai", Api::OpenAi),
    ("OpenAI completions", "completions", Api::Completions),
    ("Converse", "bedrock", Api::Converse),
    ("Anthropic", "anthropic", Api::Anthropic),
    ("TGI", "tgi", Api::Tgi),
    ("LMI", "lmi", Api::Lmi),
    ("JumpStart text", "jumpstart", Api::JumpStart),
    ("JumpStart text to text", "jumpstart_text", Api::JumpStartText),
    ("Llama 2 dialogs", "jumpstart_dialogs", Api::JumpStartDialogs),
    ("Triton", "triton", Api::Triton),
    ("raw text", "text", Api::JumpStartRaw),
];

/// What is written of answers.
const TARGETS: [(&str, Api); 4] = [
    ("OpenAI chat", Api::OpenAi),
    ("Converse", Api::Converse),
    ("Anthropic", Api::Anthropic),
    ("TGI", Api::Tgi),
];

/// What answers each format has: its name, the file of its vectors, and those of them that together say all that it can.
const ANSWERS: [(&str, &str, &[&str]); 9] = [
    (
        "OpenAI chat",
        "streams.json",
        &[
            "two_choices",
            "logprobs",
            "refusal",
            "tool_two",
            "tool_custom",
            "tool_nothing_but_name",
            "reasoning_content",
            "usage_last_chunk",
            "unknown_members",
            "finish_unknown",
            "finish_stop_string",
        ],
    ),
    ("OpenAI completions", "streams.json", &["completion"]),
    (
        "OpenAI Responses",
        "responses.json",
        &["text", "reasoning", "interleaved_calls", "refusal", "annotations_and_logprobs", "server_tools"],
    ),
    (
        "Converse",
        "bedrock.json",
        &[
            "text",
            "two_tools",
            "reasoning",
            "citation",
            "service_tool",
            "response_fields_with_more",
            "cached",
        ],
    ),
    (
        "Anthropic",
        "anthropic.json",
        &["text", "thinking", "tools", "server_tools", "citations", "stop_stop_sequence", "details"],
    ),
    (
        "TGI",
        "streams.json",
        &["tgi", "tgi_stop_sequence", "tgi_top_tokens", "tgi_unknown_members", "tgi_best_of"],
    ),
    ("LMI", "streams.json", &["lmi_lines", "lmi_sse", "lmi_vllm", "lmi_vllm_choices", "lmi_3p"]),
    ("Triton", "streams.json", &["triton", "triton_whole"]),
    ("llama-server", "streams.json", &["llama_native", "llama_native_probs"]),
];

/// A row of the first table: its name, its formats of requests, a whole answer, a stream, how they are read, and as what
/// they are written.
struct Row {
    name: &'static str,
    requests: &'static [Api],
    whole: Option<&'static str>,
    stream: Option<&'static str>,
    format: Option<Api>,
    target: Option<Api>,
}

const NONE: Row = Row { name: "", requests: &[], whole: None, stream: None, format: None, target: None };

const ROWS: [Row; 11] = [
    Row {
        name: "OpenAI chat (vLLM, SGLang, llama.cpp, TGI, LMI)",
        requests: &[Api::OpenAi],
        whole: Some(r#"{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}"#),
        stream: Some(
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n",
        ),
        target: Some(Api::OpenAi),
        ..NONE
    },
    Row {
        name: "OpenAI completions",
        requests: &[Api::Completions],
        whole: Some(r#"{"choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}"#),
        stream: Some(
            "data: {\"choices\":[{\"index\":0,\"text\":\"hi\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ),
        ..NONE
    },
    Row {
        name: "OpenAI Responses",
        whole: Some(
            r#"{"object":"response","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]}"#,
        ),
        stream: Some(
            "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"hi\"}\n\n\
             data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n",
        ),
        ..NONE
    },
    Row {
        name: "Bedrock Converse",
        requests: &[Api::Converse],
        whole: Some(
            r#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn"}"#,
        ),
        stream: Some(
            "{\"contentBlockDelta\":{\"contentBlockIndex\":0,\"delta\":{\"text\":\"hi\"}}}\n{\"messageStop\":{\"stopReason\":\"end_turn\"}}\n",
        ),
        target: Some(Api::Converse),
        ..NONE
    },
    Row {
        name: "Anthropic Messages",
        requests: &[Api::Anthropic],
        whole: Some(
            r#"{"type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}"#,
        ),
        stream: Some(
            "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n\
             data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
        target: Some(Api::Anthropic),
        ..NONE
    },
    Row {
        name: "TGI",
        requests: &[Api::Tgi],
        whole: Some(r#"{"generated_text":"hi"}"#),
        stream: Some(
            "data:{\"index\":1,\"token\":{\"id\":1,\"text\":\"hi\",\"logprob\":-1.0,\"special\":false},\"generated_text\":\"hi\",\"details\":null}\n\n",
        ),
        target: Some(Api::Tgi),
        ..NONE
    },
    Row {
        name: "LMI, three generations",
        requests: &[Api::Lmi],
        whole: Some(r#"{"generated_text": "hi"}"#),
        stream: Some(
            "{\"token\": {\"id\": 1, \"text\": \"hi\", \"log_prob\": -1.0}, \"generated_text\": \"hi\"}\n",
        ),
        ..NONE
    },
    Row {
        name: "JumpStart: text, text to text (JSON, raw text), Llama 2 dialogs",
        requests: &[Api::JumpStart, Api::JumpStartText, Api::JumpStartRaw, Api::JumpStartDialogs],
        whole: Some(r#"[{"generation":{"role":"assistant","content":"hi"}}]"#),
        ..NONE
    },
    Row {
        name: "Triton's generate extension",
        requests: &[Api::Triton],
        whole: Some(r#"{"model_name":"m","model_version":"1","text_output":"hi"}"#),
        stream: Some(
            "data: {\"model_name\":\"m\",\"text_output\":\"hi\"}\n\ndata: {\"model_name\":\"m\",\"sequence_end\":true,\"text_output\":\"\"}\n\n",
        ),
        ..NONE
    },
    Row {
        name: "llama-server's `/completion`",
        whole: Some(r#"{"index":0,"content":"hi","stop":true,"stop_type":"eos","tokens_predicted":1}"#),
        stream: Some(
            "data: {\"index\":0,\"content\":\"hi\",\"stop\":true,\"stop_type\":\"eos\",\"tokens_predicted\":1}\n\n",
        ),
        ..NONE
    },
    Row {
        name: "raw text of TorchServe",
        whole: Some("hi"),
        stream: Some("hi"),
        format: Some(Api::PlainText),
        ..NONE
    },
];

/// The answer that a body is, if it is complete.
fn read(body: &[u8], format: Option<Api>) -> Result<Response, DecodeError> {
    let mut response = Response::default();
    let mut decoder = Decoder::with_options(Options::new().api(format));
    let mut chunk = Bytes::copy_from_slice(body);
    while let Some(event) = decoder.decode(&mut chunk)? {
        response.add(&event);
    }
    while let Some(event) = decoder.finish()? {
        response.add(&event);
    }
    Ok(response)
}

/// A stream as another, and what is lost.
fn transcode(body: &[u8], target: Api) -> (Vec<u8>, Losses) {
    let context = ResponseOptions::new()
        .id("a")
        .model("m")
        .created(1)
        .latency_ms(1)
        .encoding(ConverseEncoding::JsonLines);
    let mut transcoder = Transcoder::new(Options::new(), target, context).expect("it is written");
    let (mut chunk, mut out) = (Bytes::copy_from_slice(body), Vec::new());
    while let Some(bytes) = transcoder.decode(&mut chunk).expect("good") {
        out.extend_from_slice(bytes);
    }
    while let Some(bytes) = transcoder.finish().expect("complete") {
        out.extend_from_slice(bytes);
    }
    (out, transcoder.losses().clone())
}

/// A template that says texts, and nothing else.
fn texts_only(messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<Rendered, String> {
    let mut rendered = Rendered::default();
    for tool in tools {
        rendered.report(tool.offset, "tools", Outcome::Dropped, "text only");
    }
    for part in messages.iter().flat_map(|message| &message.content) {
        match &part.content {
            Content::Text(text) => rendered.text.push_str(text),
            _ => rendered.report(part.offset, "content", Outcome::Dropped, "text only"),
        }
    }
    Ok(rendered)
}

/// What is read and what is written, by trying.
fn directions() -> String {
    let mut table = String::from("| format | request | response | stream |\n|---|---|---|---|\n");
    for row in ROWS {
        let says = |body: &[u8]| {
            let answer = read(body, row.format).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            assert_eq!(answer.choices[0].text(), "hi", "{}", row.name);
            answer
        };
        for format in row.requests {
            let (_, name, _) = REQUESTS.iter().find(|(.., known)| known == format).expect("a format");
            let source = rich(name);
            let request = read_request(*format, source.as_bytes()).expect("a request");
            assert_eq!(
                write_request(*format, &request, &ConversionOptions::new()).expect("itself").0,
                source.as_bytes()
            );
        }
        let words = |is_read: bool, is_written: bool| match (is_read, is_written) {
            (true, true) => "read, write",
            (true, false) => "read",
            (false, true) => "write",
            (false, false) => "–",
        };
        if let (Some(whole), Some(target)) = (row.whole, row.target) {
            says(
                &write_response(target, &says(whole.as_bytes()), &ResponseOptions::new())
                    .expect("it is written")
                    .0,
            );
        }
        if let (Some(stream), Some(target)) = (row.stream, row.target) {
            says(&transcode(stream.as_bytes(), target).0);
        }
        row.whole.into_iter().chain(row.stream).for_each(|body| drop(says(body.as_bytes())));
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} |",
            row.name,
            words(!row.requests.is_empty(), !row.requests.is_empty()),
            words(row.whole.is_some(), row.target.is_some()),
            words(row.stream.is_some(), row.target.is_some()),
        );
    }
    embeddings();
    #[cfg(feature = "custom")]
    custom();
    table
        + "| custom: a JSON template and JSONPath, from a file (feature `custom`) | write | read | read |\n\
             | embeddings: OpenAI ⇄ TEI, JumpStart, Cohere, Voyage | read, write | read, write | – |\n"
}

/// Embeddings are read and written, both ways.
fn embeddings() {
    use sagewire_codec::embeddings::{Encoding, Reading, Request, RequestShape, Response};
    let request = Request::read(br#"{"input":["a","b"]}"#).expect("a request");
    for target in [
        RequestShape::Inputs,
        RequestShape::TextInputs { mode: true },
        RequestShape::Cohere,
        RequestShape::Voyage,
    ] {
        request.write(target).expect("it can be written");
    }
    for body in
        [r"[[1],[2]]", r#"{"embeddings":[[1],[2]]}"#, r#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#]
    {
        let response = Response::read(body.as_bytes(), Reading::of(&request)).expect("a response");
        response.write(Encoding::Base64, &ResponseOptions::new()).expect("it can be written");
    }
}

/// A custom format writes requests, and reads answers of both kinds.
#[cfg(feature = "custom")]
fn custom() {
    use sagewire_codec::custom::Format;
    let spec = r#"{"request":{"q":"{{messages}}"},"response":{"text":"$.all"},"stream":{"text":"$.part","done":"$.end"}}"#;
    let format = Format::new(serde_json::from_str(spec).expect("a file")).expect("a format");
    let source = rich("openai");
    let request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
    format.write(&request, None).expect("it can be written");
    let mut decoder = Decoder::with_options(Options::new().custom(format));
    let mut chunk = Bytes::from_static(b"{\"part\":\"hi\"}\n{\"end\":true}\n");
    while decoder.decode(&mut chunk).expect("good").is_some() {}
    while decoder.finish().expect("complete").is_some() {}
}

/// The rich request of a format.
fn rich(name: &str) -> String {
    common::requests::source(&read_json(&testdata(&format!("golden/request-{name}.json")))["body"])
}

/// The losses of every pair of formats of requests: how many things are dropped, and how many are changed.
fn requests() -> String {
    let mut table = header("from ╲ to", REQUESTS.iter().map(|(name, ..)| *name));
    for (name, file, from) in REQUESTS {
        let source = rich(file);
        let request = read_request(from, source.as_bytes()).expect("a request");
        let _ = write!(table, "| {name} |");
        for (.., to) in REQUESTS {
            let settings = ConversionOptions::new().render(&texts_only);
            let (_, losses) = write_request(to, &request, &settings).expect("it can be written");
            let dropped = losses.as_slice().iter().filter(|loss| loss.outcome == Outcome::Dropped).count();
            let cell = match (dropped, losses.as_slice().len() - dropped) {
                (0, 0) if from == to => "=".to_owned(),
                (dropped, 0) => dropped.to_string(),
                (dropped, changed) => format!("{dropped} + {changed}"),
            };
            let _ = write!(table, " {cell} |");
        }
        table.push('\n');
    }
    table
}

/// What the rich conversation of OpenAI's chat loses in each format, by name.
fn members() -> String {
    let mut table = String::from("| from OpenAI chat to | is dropped | is changed |\n|---|---|---|\n");
    let source = rich("openai");
    let request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
    for (name, _, to) in REQUESTS.into_iter().skip(1) {
        let settings = ConversionOptions::new().render(&texts_only);
        let (_, losses) = write_request(to, &request, &settings).expect("it can be written");
        let names = |is_dropped: bool| {
            let losses = losses.as_slice().iter();
            let losses = losses.filter(|loss| (loss.outcome == Outcome::Dropped) == is_dropped);
            let names: BTreeSet<String> = losses.map(|loss| member(&source, loss)).collect();
            list(names)
        };
        let _ = writeln!(table, "| {name} | {} | {} |", names(true), names(false));
    }
    table
}

/// The name of what stands at a pointer: the member, or what kind of thing it is.
fn member(source: &str, loss: &Loss) -> String {
    let pointer = &*loss.path;
    let document: serde_json::Value = serde_json::from_str(source).expect("JSON");
    let value = document.pointer(pointer).expect("a place");
    if loss.reason.contains("looks at images") {
        return "detail of an image".to_owned();
    }
    if let (true, Some(kind)) = (pointer.starts_with("/messages"), value["type"].as_str()) {
        return kind.replace("_url", "").replace("function", "tool_calls");
    }
    let is_message = value.get("role").is_some();
    let is_result = pointer.ends_with("/content");
    let mut steps = pointer.rsplit('/').filter(|step| step.parse::<usize>().is_err());
    match steps.next().expect("a step") {
        _ if is_message => "name of a speaker".to_owned(),
        _ if is_result => "results of tools".to_owned(),
        step => step.to_owned(),
    }
}

/// What every pair of formats of answers loses, streamed and whole.
fn answers() -> String {
    let mut table = header("from ╲ to", TARGETS.iter().map(|(name, _)| *name));
    for (name, file, vectors) in ANSWERS {
        let all = read_json(&testdata(file));
        let all = all.as_array().expect("a list");
        let _ = write!(table, "| {name} |");
        for (_, target) in TARGETS {
            // Whether it is dropped, and whether this happens in streams and in whole answers.
            let mut lost: BTreeMap<String, (bool, bool, bool)> = BTreeMap::new();
            for vector in vectors {
                let vector = all.iter().find(|known| known["name"] == **vector).expect("a vector");
                let body = body(vector);
                let response = read(&body, None).expect("complete");
                let context = ResponseOptions::new().id("a").model("m").created(1).latency_ms(1);
                let (_, streamed) = transcode(&body, target);
                let (_, whole) = write_response(target, &response, &context).expect("it is written");
                for (losses, is_stream) in [(streamed, true), (whole, false)] {
                    for loss in losses.as_slice() {
                        let lost = lost.entry(loss.name.expect("a name").to_owned()).or_default();
                        lost.0 |= loss.outcome == Outcome::Dropped;
                        lost.1 |= is_stream;
                        lost.2 |= !is_stream;
                    }
                }
            }
            let names = lost.into_iter().map(|(what, (is_dropped, in_streams, in_whole))| {
                let mark = if is_dropped { "" } else { "~" };
                let only = match (in_streams, in_whole) {
                    (true, false) => " ˢ",
                    (false, true) => " ʷ",
                    _ => "",
                };
                format!("{mark}{what}{only}")
            });
            let _ = write!(table, " {} |", list(names));
        }
        table.push('\n');
    }
    table
}

fn header<'a>(corner: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    format!("| {corner} | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
}

fn list(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    if names.is_empty() { "–".to_owned() } else { names.join(", ") }
}

/// Each table stands in the README between two comments with its name.
#[test]
fn the_readme_says_what_happens() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let mut readme = std::fs::read_to_string(&path).expect("a README");
    let mut differences = String::new();
    for (name, table) in
        [("formats", directions()), ("requests", requests()), ("members", members()), ("answers", answers())]
    {
        let (begin, end) = (format!("<!-- table: {name} -->\n"), "<!-- end -->".to_owned());
        let from = readme.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
        let to = from + readme[from..].find(&end).expect("an end");
        let said: BTreeSet<&str> = readme[from..to].lines().collect();
        let found: BTreeSet<&str> = table.lines().collect();
        if readme[from..to] != table {
            said.difference(&found).for_each(|line| differences.push_str(&format!("- {line}\n")));
            found.difference(&said).for_each(|line| differences.push_str(&format!("+ {line}\n")));
            readme.replace_range(from..to, &table);
        }
    }
    if std::env::var_os("SAGEWIRE_TABLES").is_some_and(|value| value == "write") {
        return std::fs::write(&path, readme).expect("it can be written");
    }
    assert!(
        differences.is_empty(),
        "the README's tables say something else (-) than what happens (+):\n{differences}\
         `SAGEWIRE_TABLES=write cargo test -p sagewire-codec --test conversions` writes them anew"
    );
}
