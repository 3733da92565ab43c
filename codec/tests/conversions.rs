//! Generates the tables in `README.md`, `docs/formats.md` and `docs/conversions.md` from the behaviour of the codec, and checks
//! that the pages contain them. `SAGEWIRE_TABLES=write cargo test -p sagewire-codec --all-features --test conversions` updates
//! the pages.

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

/// The APIs with requests: the name in the tables, the name of the sample request in `testdata/golden`, and the API.
const REQUESTS: [(&str, &str, Api); 15] = [
    ("OpenAI chat", "openai", Api::OpenAi),
    ("OpenAI completions", "completions", Api::Completions),
    ("OpenAI Responses", "responses", Api::Responses),
    ("Converse", "bedrock", Api::Converse),
    ("Anthropic", "anthropic", Api::Anthropic),
    ("Cohere", "cohere", Api::Cohere),
    ("Nova", "nova", Api::Nova),
    ("TGI", "tgi", Api::Tgi),
    ("LMI", "lmi", Api::Lmi),
    ("JumpStart text", "jumpstart", Api::JumpStart),
    ("JumpStart text2text", "jumpstart_text", Api::JumpStartText),
    ("Llama 2 dialogs", "jumpstart_dialogs", Api::JumpStartDialogs),
    ("Triton", "triton", Api::Triton),
    ("SGLang", "sglang", Api::Sglang),
    ("JumpStart raw text", "text", Api::JumpStartRaw),
];

/// The APIs that responses can be written in.
const TARGETS: [(&str, Api); 6] = [
    ("OpenAI chat", Api::OpenAi),
    ("OpenAI completions", Api::Completions),
    ("OpenAI Responses", Api::Responses),
    ("Converse", Api::Converse),
    ("Anthropic", Api::Anthropic),
    ("TGI", Api::Tgi),
];

/// The APIs with responses: the name in the tables, the file with their vectors, and the vectors that together use everything
/// that the API can express.
const RESPONSES: [(&str, &str, &[&str]); 11] = [
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
        "Cohere",
        "cohere.json",
        &["thinking", "tools", "citations", "logprobs", "unknown", "finish_stop", "v1", "v1_search"],
    ),
    (
        "TGI",
        "streams.json",
        &["tgi", "tgi_stop_sequence", "tgi_top_tokens", "tgi_unknown_members", "tgi_best_of"],
    ),
    ("LMI", "streams.json", &["lmi_lines", "lmi_sse", "lmi_vllm", "lmi_vllm_choices", "lmi_3p"]),
    ("Triton", "streams.json", &["triton", "triton_whole"]),
    ("llama-server", "streams.json", &["llama_native", "llama_native_probs"]),
    (
        "SGLang",
        "sglang.json",
        &["sglang", "sglang_choices", "sglang_stop_string", "sglang_logprobs", "sglang_whole"],
    ),
];

/// A row of the first table.
struct Row {
    /// The name in the table.
    name: &'static str,
    /// The APIs of its requests.
    requests: &'static [Api],
    /// A non-streaming response with the text "hi".
    response: Option<&'static str>,
    /// A stream with the text "hi".
    stream: Option<&'static str>,
    /// The API that has to be selected for reading; `None` if it is detected.
    selected: Option<Api>,
    /// The API that responses are written in.
    target: Option<Api>,
}

const NONE: Row = Row { name: "", requests: &[], response: None, stream: None, selected: None, target: None };

const ROWS: [Row; 14] = [
    Row {
        name: "OpenAI chat (vLLM, SGLang, llama.cpp, TGI, LMI)",
        requests: &[Api::OpenAi],
        response: Some(r#"{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}"#),
        stream: Some(
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n",
        ),
        target: Some(Api::OpenAi),
        ..NONE
    },
    Row {
        name: "OpenAI completions",
        requests: &[Api::Completions],
        response: Some(r#"{"choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}"#),
        stream: Some(
            "data: {\"choices\":[{\"index\":0,\"text\":\"hi\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ),
        target: Some(Api::Completions),
        ..NONE
    },
    Row {
        name: "OpenAI Responses",
        requests: &[Api::Responses],
        response: Some(
            r#"{"object":"response","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]}"#,
        ),
        stream: Some(
            "data: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"hi\"}\n\n\
             data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[]}}\n\n",
        ),
        target: Some(Api::Responses),
        ..NONE
    },
    Row {
        name: "Bedrock Converse",
        requests: &[Api::Converse],
        response: Some(
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
        response: Some(
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
        name: "Cohere Chat v2, and responses of v1",
        requests: &[Api::Cohere],
        response: Some(
            r#"{"id":"a","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"hi"}]}}"#,
        ),
        stream: Some(
            "data: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"hi\"}}}}\n\n\
             data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\"}}\n\n",
        ),
        ..NONE
    },
    Row {
        name: "Amazon Nova on SageMaker",
        requests: &[Api::Nova],
        response: Some(
            r#"{"model":"default","choices":[{"index":0,"message":{"content":"hi","reasoning_content":null},"finish_reason":"stop"}]}"#,
        ),
        stream: Some(
            "data: {\"model\":\"default\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\",\"reasoning_content\":null},\"finish_reason\":\"stop\"}]}\n\n",
        ),
        ..NONE
    },
    Row {
        name: "TGI",
        requests: &[Api::Tgi],
        response: Some(r#"{"generated_text":"hi"}"#),
        stream: Some(
            "data:{\"index\":1,\"token\":{\"id\":1,\"text\":\"hi\",\"logprob\":-1.0,\"special\":false},\"generated_text\":\"hi\",\"details\":null}\n\n",
        ),
        target: Some(Api::Tgi),
        ..NONE
    },
    Row {
        name: "LMI (three generations)",
        requests: &[Api::Lmi],
        response: Some(r#"{"generated_text": "hi"}"#),
        stream: Some(
            "{\"token\": {\"id\": 1, \"text\": \"hi\", \"log_prob\": -1.0}, \"generated_text\": \"hi\"}\n",
        ),
        ..NONE
    },
    Row {
        name: "JumpStart (text, text2text, raw text, Llama 2 dialogs)",
        requests: &[Api::JumpStart, Api::JumpStartText, Api::JumpStartRaw, Api::JumpStartDialogs],
        response: Some(r#"[{"generation":{"role":"assistant","content":"hi"}}]"#),
        ..NONE
    },
    Row {
        name: "Triton generate extension",
        requests: &[Api::Triton],
        response: Some(r#"{"model_name":"m","model_version":"1","text_output":"hi"}"#),
        stream: Some(
            "data: {\"model_name\":\"m\",\"text_output\":\"hi\"}\n\ndata: {\"model_name\":\"m\",\"sequence_end\":true,\"text_output\":\"\"}\n\n",
        ),
        ..NONE
    },
    Row {
        name: "SGLang `/generate`",
        requests: &[Api::Sglang],
        response: Some(r#"{"text":"hi","meta_info":{"finish_reason":{"type":"stop"}}}"#),
        stream: Some("data: {\"text\":\"hi\",\"meta_info\":{\"finish_reason\":{\"type\":\"stop\"}}}\n\n"),
        ..NONE
    },
    Row {
        name: "llama-server `/completion`",
        response: Some(r#"{"index":0,"content":"hi","stop":true,"stop_type":"eos","tokens_predicted":1}"#),
        stream: Some(
            "data: {\"index\":0,\"content\":\"hi\",\"stop\":true,\"stop_type\":\"eos\",\"tokens_predicted\":1}\n\n",
        ),
        ..NONE
    },
    Row {
        name: "plain text (TorchServe)",
        response: Some("hi"),
        stream: Some("hi"),
        selected: Some(Api::PlainText),
        ..NONE
    },
];

/// Reads a complete response, streamed or not.
fn read(body: &[u8], api: Option<Api>) -> Result<Response, DecodeError> {
    let mut response = Response::default();
    let mut decoder = Decoder::with_options(Options::new().api(api));
    let mut chunk = Bytes::copy_from_slice(body);
    while let Some(event) = decoder.decode(&mut chunk)? {
        response.add(&event);
    }
    while let Some(event) = decoder.finish()? {
        response.add(&event);
    }
    Ok(response)
}

/// Converts a stream, and returns the result and the losses.
fn transcode(body: &[u8], target: Api) -> (Vec<u8>, Losses) {
    let options = ResponseOptions::new()
        .id("a")
        .model("m")
        .created(1)
        .latency_ms(1)
        .encoding(ConverseEncoding::JsonLines);
    let mut transcoder = Transcoder::new(Options::new(), target, options).expect("a writable API");
    let (mut chunk, mut out) = (Bytes::copy_from_slice(body), Vec::new());
    while let Some(bytes) = transcoder.decode(&mut chunk).expect("good") {
        out.extend_from_slice(bytes);
    }
    while let Some(bytes) = transcoder.finish().expect("complete") {
        out.extend_from_slice(bytes);
    }
    (out, transcoder.losses().clone())
}

/// A chat template that renders text and nothing else.
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

/// The table of readable and writable formats, found by trying each.
fn directions() -> String {
    let mut table = String::from("| API | request | response | stream |\n|---|---|---|---|\n");
    for row in ROWS {
        let checked = |body: &[u8]| {
            let response = read(body, row.selected).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            assert_eq!(response.choices[0].text(), "hi", "{}", row.name);
            response
        };
        for api in row.requests {
            let (_, name, _) =
                REQUESTS.iter().find(|(.., known)| known == api).expect("an API with requests");
            let source = sample(name);
            let request = read_request(*api, source.as_bytes()).expect("a request");
            assert_eq!(
                write_request(*api, &request, &ConversionOptions::new()).expect("the same request").0,
                source.as_bytes()
            );
        }
        let cell = |is_read: bool, is_written: bool| match (is_read, is_written) {
            (true, true) => "read, write",
            (true, false) => "read",
            (false, true) => "write",
            (false, false) => "–",
        };
        if let (Some(response), Some(target)) = (row.response, row.target) {
            checked(
                &write_response(target, &checked(response.as_bytes()), &ResponseOptions::new())
                    .expect("a writable API")
                    .0,
            );
        }
        if let (Some(stream), Some(target)) = (row.stream, row.target) {
            checked(&transcode(stream.as_bytes(), target).0);
        }
        row.response.into_iter().chain(row.stream).for_each(|body| drop(checked(body.as_bytes())));
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} |",
            row.name,
            cell(!row.requests.is_empty(), !row.requests.is_empty()),
            cell(row.response.is_some(), row.target.is_some()),
            cell(row.stream.is_some(), row.target.is_some()),
        );
    }
    embeddings();
    #[cfg(feature = "custom")]
    custom();
    table
        + "| custom: described by a JSON file (feature `custom`) | write | read | read |\n\
             | embeddings: OpenAI ⇄ TEI, JumpStart, Cohere, Voyage | read, write | read, write | – |\n"
}

/// The table of names, from the methods of [`Api`].
fn names() -> String {
    let mut table = String::from(
        "| name | other names | request | response | stream | what it is |\n|---|---|---|---|---|---|\n",
    );
    let cell = |is_read: bool, is_written: bool| match (is_read, is_written) {
        (true, true) => "read, write",
        (true, false) => "read",
        (false, _) => "–",
    };
    for api in Api::ALL {
        let _ = writeln!(
            table,
            "| `{api}` | {} | {} | {} | {} | {} |",
            list(api.aliases().iter().map(|alias| format!("`{alias}`"))),
            cell(api.reads_requests(), api.writes_requests()),
            cell(api.reads_responses(), api.writes_responses()),
            cell(api.reads_streams(), api.writes_streams()),
            api.title(),
        );
    }
    table
}

/// Checks that embeddings are read and written, in both directions.
fn embeddings() {
    use sagewire_codec::embeddings::{Encoding, Reading, Request, RequestShape, Response};
    let request = Request::read(br#"{"input":["a","b"]}"#).expect("a request");
    for target in [
        RequestShape::Inputs,
        RequestShape::TextInputs { mode: true },
        RequestShape::Cohere,
        RequestShape::Voyage,
    ] {
        request.write(target).expect("a writable request");
    }
    for body in
        [r"[[1],[2]]", r#"{"embeddings":[[1],[2]]}"#, r#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#]
    {
        let response = Response::read(body.as_bytes(), Reading::of(&request)).expect("a response");
        response.write(Encoding::Base64, &ResponseOptions::new()).expect("a writable request");
    }
}

/// Checks that a custom format writes requests and reads streams.
#[cfg(feature = "custom")]
fn custom() {
    use sagewire_codec::custom::Format;
    let spec = r#"{"request":{"q":"{{messages}}"},"response":{"text":"$.all"},"stream":{"text":"$.part","done":"$.end"}}"#;
    let format = Format::new(serde_json::from_str(spec).expect("a file")).expect("a format");
    let source = sample("openai");
    let request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
    format.write(&request, &ConversionOptions::new()).expect("a writable request");
    let mut decoder = Decoder::with_options(Options::new().custom(format));
    let mut chunk = Bytes::from_static(b"{\"part\":\"hi\"}\n{\"end\":true}\n");
    while decoder.decode(&mut chunk).expect("good").is_some() {}
    while decoder.finish().expect("complete").is_some() {}
}

/// The sample request of an API, which uses everything that the API can express.
fn sample(name: &str) -> String {
    common::requests::source(&read_json(&testdata(&format!("golden/request-{name}.json")))["body"])
}

/// The number of losses of every pair of APIs: dropped, and changed.
fn requests() -> String {
    let mut table = header("from ╲ to", REQUESTS.iter().map(|(name, ..)| *name));
    for (name, file, from) in REQUESTS {
        let source = sample(file);
        let request = read_request(from, source.as_bytes()).expect("a request");
        let _ = write!(table, "| {name} |");
        for (.., to) in REQUESTS {
            let settings = ConversionOptions::new().render(&texts_only);
            let (_, losses) = write_request(to, &request, &settings).expect("a writable request");
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

/// The names of what the sample request of OpenAI chat loses in each API.
fn fields() -> String {
    let mut table = String::from("| from OpenAI chat to | dropped | changed |\n|---|---|---|\n");
    let source = sample("openai");
    let request = read_request(Api::OpenAi, source.as_bytes()).expect("a request");
    for (name, _, to) in REQUESTS.into_iter().skip(1) {
        let settings = ConversionOptions::new().render(&texts_only);
        let (_, losses) = write_request(to, &request, &settings).expect("a writable request");
        let names = |is_dropped: bool| {
            let losses = losses.as_slice().iter();
            let losses = losses.filter(|loss| (loss.outcome == Outcome::Dropped) == is_dropped);
            let names: BTreeSet<String> = losses.map(|loss| field(&source, loss)).collect();
            list(names)
        };
        let _ = writeln!(table, "| {name} | {} | {} |", names(true), names(false));
    }
    table
}

/// The name of the value at a pointer: that of its field, or of its kind.
fn field(source: &str, loss: &Loss) -> String {
    let pointer = &*loss.path;
    let document: serde_json::Value = serde_json::from_str(source).expect("JSON");
    let value = document.pointer(pointer).expect("a value at the pointer");
    if loss.reason.contains("looks at images") {
        return "image detail".to_owned();
    }
    if let (true, Some(kind)) = (pointer.starts_with("/messages"), value["type"].as_str()) {
        return kind.replace("_url", "").replace("function", "tool_calls");
    }
    let is_message = loss.name == Some("name") && value.is_string();
    let is_result = pointer.ends_with("/content");
    let mut steps = pointer.rsplit('/').filter(|step| step.parse::<usize>().is_err());
    match steps.next().expect("a step") {
        _ if is_message => "name of a message".to_owned(),
        _ if is_result => "tool results".to_owned(),
        step => step.to_owned(),
    }
}

/// The losses of a response for every pair of APIs, streaming and non-streaming.
fn responses() -> String {
    let mut table = header("from ╲ to", TARGETS.iter().map(|(name, _)| *name));
    for (name, file, vectors) in RESPONSES {
        let all = read_json(&testdata(file));
        let all = all.as_array().expect("a list");
        let _ = write!(table, "| {name} |");
        for (_, target) in TARGETS {
            // Whether the value is dropped, and whether that happens in streams and in non-streaming responses.
            let mut lost: BTreeMap<String, (bool, bool, bool)> = BTreeMap::new();
            for vector in vectors {
                let vector = all.iter().find(|known| known["name"] == **vector).expect("a vector");
                let body = body(vector);
                let response = read(&body, None).expect("complete");
                let options = ResponseOptions::new().id("a").model("m").created(1).latency_ms(1);
                let (_, streamed) = transcode(&body, target);
                let (_, written) = write_response(target, &response, &options).expect("a writable API");
                for (losses, is_stream) in [(streamed, true), (written, false)] {
                    for loss in losses.as_slice() {
                        let lost = lost.entry(loss.name.expect("a name").to_owned()).or_default();
                        lost.0 |= loss.outcome == Outcome::Dropped;
                        lost.1 |= is_stream;
                        lost.2 |= !is_stream;
                    }
                }
            }
            let names = lost.into_iter().map(|(what, (is_dropped, in_streams, in_responses))| {
                let mark = if is_dropped { "" } else { "~" };
                let only = match (in_streams, in_responses) {
                    (true, false) => " ˢ",
                    (false, true) => " ʳ",
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

/// Each table is between two comments, the first of which has its name.
#[test]
fn tables_are_up_to_date() {
    let is_updated = std::env::var_os("SAGEWIRE_TABLES").is_some_and(|value| value == "write");
    let mut differences = String::new();
    for (page, name, table) in [
        ("README.md", "formats", directions()),
        ("docs/formats.md", "names", names()),
        ("docs/conversions.md", "requests", requests()),
        ("docs/conversions.md", "fields", fields()),
        ("docs/conversions.md", "responses", responses()),
    ] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
        let mut text = std::fs::read_to_string(&path).expect("a page");
        let (begin, end) = (format!("<!-- table: {name} -->\n"), "<!-- end -->");
        let from = text.find(&begin).unwrap_or_else(|| panic!("{page}: no {begin}")) + begin.len();
        let to = from + text[from..].find(end).expect("an end");
        if text[from..to] == table {
            continue;
        }
        let old: BTreeSet<&str> = text[from..to].lines().collect();
        let new: BTreeSet<&str> = table.lines().collect();
        old.difference(&new).for_each(|line| differences.push_str(&format!("{page}: - {line}\n")));
        new.difference(&old).for_each(|line| differences.push_str(&format!("{page}: + {line}\n")));
        if is_updated {
            text.replace_range(from..to, &table);
            std::fs::write(&path, text).expect("the page can be written");
        }
    }
    assert!(
        is_updated || differences.is_empty(),
        "tables differ from what happens:\n{differences}\
         `SAGEWIRE_TABLES=write cargo test -p sagewire-codec --all-features --test conversions` updates them"
    );
}
