//! `sagewire decode`.

use std::io::{Read, Write};

use sagewire_codec::eventstream::{Header, Value, encode};
use serde_json::json;

use crate::process::{TempFile, command, decode, sagewire};

const BODY: &str = concat!(
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,",
    "\"delta\":{\"role\":\"assistant\",\"content\":\"caf\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,",
    "\"delta\":{\"content\":\"é 😀\\n\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,",
    "\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}\n\n",
    "data: [DONE]\n\n",
);

/// The text of [`BODY`].
const TEXT: &str = "café 😀\n";

fn part(payload: &[u8], out: &mut Vec<u8>) {
    let headers = [
        Header::new(":message-type", Value::String("event")),
        Header::new(":event-type", Value::String("PayloadPart")),
    ];
    encode(headers, payload, out).unwrap();
}

/// Frames that are cut independently of the events of the body.
fn framed(body: &str) -> Vec<u8> {
    let mut out = Vec::new();
    body.as_bytes().chunks(5).for_each(|payload| part(payload, &mut out));
    out
}

fn exception() -> Vec<u8> {
    let headers = [
        Header::new(":message-type", Value::String("exception")),
        Header::new(":exception-type", Value::String("ModelStreamError")),
    ];
    let mut out = Vec::new();
    encode(headers, br#"{"Message":"too\nslow","ErrorCode":"ModelInvocationTimeExceeded"}"#, &mut out)
        .unwrap();
    out
}

#[test]
fn no_output_depends_on_the_size_of_chunks() {
    let openai = concat!(
        r#"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":"#,
        r#"{"role":"assistant","content":""},"finish_reason":null}]}"#,
    );
    let bedrock = [
        r#"{"messageStart":{"role":"assistant"}}"#,
        r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"caf"}}}"#,
        r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"é 😀\n"}}}"#,
        r#"{"contentBlockStop":{"contentBlockIndex":0}}"#,
        r#"{"messageStop":{"stopReason":"end_turn"}}"#,
        r#"{"metadata":{"usage":{"inputTokens":2,"outputTokens":3,"totalTokens":5},"metrics":{"latencyMs":0}}}"#,
    ];
    let events = [
        r#"{"type":"start","id":"c1","model":"m","created":7,"role":"assistant"}"#,
        r#"{"type":"part_start","choice":0,"part":0,"kind":"text"}"#,
        r#"{"type":"text_delta","choice":0,"part":0,"text":"caf"}"#,
        r#"{"type":"text_delta","choice":0,"part":0,"text":"é 😀\n"}"#,
        r#"{"type":"part_end","choice":0,"part":0}"#,
        r#"{"type":"finish","choice":0,"reason":"stop"}"#,
        r#"{"type":"usage","input_tokens":2,"output_tokens":3}"#,
    ];
    let lines: String = BODY.replace("data: ", "").replace("[DONE]\n", "").replace("\n\n", "\n");
    for input in [framed(BODY), BODY.into(), lines.into_bytes()] {
        let to = |to| decode(&["--to", to], &input).succeeds();
        assert_eq!(decode(&[], &input).succeeds().text(), TEXT);
        assert_eq!(to("text").text(), TEXT);
        assert_eq!(to("events").text().lines().collect::<Vec<_>>(), events);
        assert_eq!(to("bedrock").text().lines().collect::<Vec<_>>(), bedrock);
        let written = to("openai");
        assert!(written.text().starts_with(openai) && written.text().ends_with("\n\ndata: [DONE]\n\n"));
        // The output can be decoded again, also frame by frame.
        assert_eq!(decode(&[], &written.stdout).succeeds().text(), TEXT);
        let frames = decode(&["--to", "frames"], &to("bedrock-wire").stdout).succeeds();
        let names = frames.lines().into_iter().map(|frame| frame["headers"][0]["value"].clone());
        let expected = bedrock.iter().map(|line| json!(line.split('"').nth(1)));
        assert!(names.eq(expected));
    }
}

#[test]
fn options_that_match_the_detection_change_nothing() {
    assert_eq!(
        decode(&["--framing", "eventstream", "--from", "openai"], &framed(BODY)).succeeds().text(),
        TEXT
    );
    assert_eq!(decode(&["--framing", "sse"], BODY.as_bytes()).succeeds().text(), TEXT);
    // Options that do not match override the detection.
    let line = sagewire(&["decode", "--framing", "eventstream"], BODY.as_bytes());
    assert!(line.fails(5).starts_with("eventstream: byte 0: prelude checksum mismatch: computed 0x"));
}

#[test]
fn frames_have_headers_of_ten_types() {
    let uuid = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();
    let headers = [
        Header::new("true", Value::Bool(true)),
        Header::new("false", Value::Bool(false)),
        Header::new("byte", Value::Byte(-1)),
        Header::new("short", Value::Short(-300)),
        Header::new("integer", Value::Integer(i32::MIN)),
        Header::new("long", Value::Long(i64::MIN)),
        Header::new("bytes", Value::ByteArray(&[0, 255, 62])),
        Header::new("string", Value::String("é\n\"")),
        Header::new("timestamp", Value::Timestamp(1_767_225_600_123)),
        Header::new("uuid", Value::Uuid(uuid)),
    ];
    let mut input = Vec::new();
    encode(headers, b"\0\xff payload", &mut input).unwrap();
    encode([], b"", &mut input).unwrap();
    assert_eq!(
        decode(&["--to", "frames"], &input).succeeds().text(),
        concat!(
            r#"{"headers":[{"name":"true","type":"bool_true","value":true},"#,
            r#"{"name":"false","type":"bool_false","value":false},"#,
            r#"{"name":"byte","type":"byte","value":-1},"#,
            r#"{"name":"short","type":"short","value":-300},"#,
            r#"{"name":"integer","type":"integer","value":-2147483648},"#,
            r#"{"name":"long","type":"long","value":-9223372036854775808},"#,
            r#"{"name":"bytes","type":"byte_array","value":"AP8+"},"#,
            r#"{"name":"string","type":"string","value":"é\n\""},"#,
            r#"{"name":"timestamp","type":"timestamp","value":1767225600123},"#,
            r#"{"name":"uuid","type":"uuid","value":"01234567-89ab-cdef-0123-456789abcdef"}],"#,
            r#""payload":"AP8gcGF5bG9hZA=="}"#,
            "\n",
            r#"{"headers":[],"payload":""}"#,
            "\n",
        )
    );
}

#[test]
fn frames_are_printed_up_to_the_fault() {
    let mut input = framed("0123456789");
    let second = input.len() / 2;
    let cut = decode(&["--to", "frames"], &input[..input.len() - 1]);
    let found = format!("eventstream: byte {second}: truncated: ");
    assert!(cut.fails(3).starts_with(&found), "{cut:?}");
    assert_eq!(cut.lines()[0]["payload"], "MDEyMzQ=");
    assert_eq!(cut.lines().len(), 1);

    let last = input.len() - 1;
    input[last] ^= 1;
    let corrupt = decode(&["--to", "frames"], &input);
    assert!(
        corrupt
            .fails(5)
            .starts_with(&format!("eventstream: byte {second}: message checksum mismatch: computed 0x"))
    );
    assert_eq!(corrupt.stdout, cut.stdout);

    let limited = decode(&["--to", "frames", "--max-frame", "4"], &framed("0123456789"));
    assert_eq!(limited.fails(5), "eventstream: byte 0: frame payload length of 5 exceeds the limit of 4");
    decode(&["--to", "frames", "--max-frame", "5"], &framed("0123456789")).succeeds();
}

/// All frames are printed, and the first failure in them is reported.
#[test]
fn frames_of_a_failure_are_printed_and_reported() {
    let before = framed("0123456789");
    let failed = decode(&["--to", "frames"], &[before.clone(), exception(), framed("x")].concat());
    assert_eq!(
        failed.fails(4),
        format!(
            "sagemaker: byte {}: ModelStreamError (ModelInvocationTimeExceeded): too\\nslow",
            before.len()
        )
    );
    assert_eq!(failed.lines().len(), 4);
    let headers = [
        Header::new(":message-type", Value::String("error")),
        Header::new(":error-code", Value::String("500")),
        Header::new(":error-message", Value::String("oom")),
    ];
    let mut error = Vec::new();
    encode(headers, b"", &mut error).unwrap();
    let failed = decode(&["--to", "frames"], &error);
    assert_eq!((failed.fails(4), failed.lines().len()), ("sagemaker: byte 0: error (500): oom", 1));
}

#[test]
fn sse_is_decoded_as_specified() {
    let body = "\u{feff}: comment\ndata: a\ndata:b\n\nid: 7\nretry: 10\nevent: add\ndata\r\n\r\ndata: c\r\rdata:é😀\n\n";
    let expected = concat!(
        r#"{"event":"message","data":"a\nb","id":"","retry":null}"#,
        "\n",
        r#"{"event":"add","data":"","id":"7","retry":10}"#,
        "\n",
        r#"{"event":"message","data":"c","id":"7","retry":10}"#,
        "\n",
        r#"{"event":"message","data":"é😀","id":"7","retry":10}"#,
        "\n",
    );
    for input in [body.as_bytes(), &framed(body)] {
        assert_eq!(decode(&["--to", "sse"], input).succeeds().text(), expected);
    }
    assert_eq!(decode(&["--to", "sse", "--framing", "sse"], body.as_bytes()).succeeds().text(), expected);
    decode(&["--to", "sse"], b"").succeeds();
    decode(&["--to", "sse"], b"data\n\n").succeeds();

    for input in [&b"data: a\n\ndata: b\n"[..], &framed("data: a\n\ndata: b\n")] {
        let cut = decode(&["--to", "sse"], input);
        assert!(cut.fails(3).starts_with("sse: byte "), "{cut:?}");
        assert_eq!(cut.lines().len(), 1);
    }
    let mut input = framed("data: a\n\n");
    let offset = input.len();
    input.extend(exception());
    let failed = decode(&["--to", "sse"], &input);
    assert_eq!(
        failed.fails(4),
        format!("sagemaker: byte {offset}: ModelStreamError (ModelInvocationTimeExceeded): too\\nslow")
    );
    assert_eq!(failed.lines().len(), 1);
}

#[test]
fn events_before_a_fault_are_printed() {
    let events: Vec<&str> = BODY.split_inclusive("\n\n").collect();
    let beginning = events[..2].concat();
    let truncated = framed(&beginning);
    let failed = [framed(&beginning), exception()].concat();
    let mut corrupt = framed(BODY);
    let offset = truncated.len();
    corrupt[offset + 2] ^= 1;
    for (input, code, found) in [
        (beginning.clone().into_bytes(), 3, format!("format: byte {}: truncated: ", beginning.len())),
        (truncated, 3, format!("format: byte {}: truncated: ", beginning.len())),
        (
            failed,
            4,
            format!("sagemaker: byte {offset}: ModelStreamError (ModelInvocationTimeExceeded): too\\nslow"),
        ),
        (corrupt, 5, "eventstream: byte ".into()),
        (
            format!("{beginning}data: {{\"error\":{{\"message\":\"oom\",\"code\":500}}}}\n\n").into_bytes(),
            4,
            format!("format: byte {}: error (500): oom", beginning.len() + 6),
        ),
    ] {
        for to in ["text", "events", "openai", "bedrock", "bedrock-wire"] {
            let run = decode(&["--to", to], &input);
            assert!(run.fails(code).starts_with(&found), "{run:?}, not {found}");
            match to {
                "text" => assert_eq!(run.text(), TEXT),
                "openai" => {
                    let last = run.text().trim_end().lines().last().unwrap();
                    assert!(last.starts_with(r#"data: {"error":{"message":"#), "{last}");
                    assert!(!run.text().contains("[DONE]"));
                }
                "bedrock" => {
                    assert!(run.lines().last().unwrap()["modelStreamErrorException"]["message"].is_string());
                    assert!(!run.text().contains("messageStop"));
                }
                _ => assert!(!run.stdout.is_empty()),
            }
        }
    }
    assert!(decode(&[], b"").fails(3).starts_with("format: byte 0: truncated: "));
}

#[test]
fn malformed_records_are_skipped_and_reported() {
    let events: Vec<&str> = BODY.split_inclusive("\n\n").collect();
    let body =
        [events[0], "data: {\"choices\": nonsense}\n\n", events[1], "data: {]}\n\n", events[2], events[3]];
    let body = body.concat();
    let offset = events[0].len() + 6;
    for to in ["text", "events", "openai", "bedrock", "bedrock-wire"] {
        let run = decode(&["--to", to], body.as_bytes());
        let line = run.fails(5);
        assert!(line.starts_with(&format!("format: byte {offset}: malformed record: ")), "{line}");
        assert!(line.ends_with(" (and 1 more)"), "{line}");
        match to {
            "text" => assert_eq!(run.text(), TEXT),
            "events" => {
                let malformed: Vec<_> =
                    run.lines().into_iter().filter(|event| event["type"] == "malformed").collect();
                assert_eq!(malformed.len(), 2);
                assert_eq!(malformed[0]["bytes"], "{\"choices\": nonsense}");
                assert_eq!(malformed[0]["offset"], offset);
            }
            "openai" => assert!(run.text().ends_with("data: [DONE]\n\n")),
            _ => assert!(String::from_utf8_lossy(&run.stdout).contains("messageStop")),
        }
    }
}

#[test]
fn text_is_taken_from_the_first_choice() {
    let body = concat!(
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}},{\"index\":0,\"delta\":{\"content\":\"yes\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"why\"}}]}\n\ndata: [DONE]\n\n",
    );
    assert_eq!(decode(&[], body.as_bytes()).succeeds().text(), "yes");
}

#[test]
fn an_event_is_one_line_even_if_the_source_has_line_breaks() {
    let body = "data: {\"extra\": {\ndata:   \"a\": 1\ndata: },\ndata: \"choices\": [{\"index\": 0, \"delta\": {\"content\": \
                \"x\"},\ndata: \"finish_reason\": \"stop\"}]}\n\n";
    let run = decode(&["--to", "events"], body.as_bytes()).succeeds();
    let extra = run.lines().into_iter().find(|event| event["type"] == "other").unwrap();
    assert_eq!((&extra["name"], &extra["json"]), (&json!("extra"), &json!({"a": 1})));
}

#[test]
fn losses_are_printed_on_demand() {
    let quiet = sagewire(&["decode", "--to", "bedrock"], BODY.as_bytes()).succeeds();
    let verbose = sagewire(&["decode", "-v", "--to", "bedrock"], BODY.as_bytes());
    assert_eq!((verbose.code, &verbose.stdout), (0, &quiet.stdout));
    assert_eq!(verbose.stderr, "loss: latency: defaulted: the source does not give the latency\n");
}

#[test]
fn invalid_arguments_are_named_in_one_line() {
    for (args, found) in [
        (&["decode", "--chunk", "0"][..], "usage: invalid value '0' for '--chunk <N>'"),
        (&["decode", "--chunk", "-1"], "usage: "),
        (&["decode", "--to", "text", "a", "b"], "usage: unexpected argument 'b' found"),
        (
            &["decode", "--to", "xyz"],
            "usage: invalid value 'xyz' for '--to <FORMAT>' [possible values: text,",
        ),
        (&["decode", "--to", "frames", "--framing", "sse"], "usage: "),
        (&["decode", "--to", "sse", "--framing", "jsonl"], "usage: "),
        (&["reticulate"], "usage: unrecognized subcommand 'reticulate'"),
    ] {
        let run = sagewire(args, b"");
        assert!(run.fails(2).starts_with(found), "{run:?}");
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn help_and_version_succeed() {
    for (args, found) in [
        (&["--help"][..], "Exit codes:"),
        (&["decode", "--help"], "bedrock-wire"),
        (&["chat", "--help"], "AWS_SECRET_ACCESS_KEY"),
        (&["emulate", "--help"], "truncated_frame"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
    ] {
        assert!(sagewire(args, b"").succeeds().text().contains(found));
    }
}

/// Text is printed while the next event is not available yet.
#[test]
fn text_is_printed_without_delay() {
    let mut child = command(&["decode", "-"]).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for (event, text) in BODY.split_inclusive("\n\n").zip(["caf", "é 😀\n"]) {
        stdin.write_all(event.as_bytes()).unwrap();
        let mut found = vec![0; text.len()];
        stdout.read_exact(&mut found).unwrap();
        assert_eq!(found, text.as_bytes());
    }
    // The stream is not complete.
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let chunk = BODY.split_inclusive("\n\n").next().unwrap();
    for to in ["text", "events", "openai", "bedrock", "bedrock-wire", "sse"] {
        let mut child = command(&["decode", "--to", to]).spawn().unwrap();
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        while stdin.write_all(chunk.as_bytes()).is_ok() {}
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{to}");
    }
}

/// Input of no known API has an exit code and a message of its own.
#[test]
fn input_that_is_not_recognized_is_described() {
    let html = "<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n";
    for (input, found) in [
        (html.as_bytes(), "HTML"),
        (b"<html>", "HTML"),
        (b"<?xml version=\"1.0\"?><Error/>", "XML"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9W(\xcf/\xcaI\x01\0", "gzip"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary data"),
        (b"hello", "plain text; hint: --from names its format"),
        (b"{\"a\":1}", "JSON, but of no API known here; hint: --from names its format"),
        (
            b"{\"id\":\"x\",\"model\":\"y\"}\n",
            "JSON, but of no API known here; hint: --from names its format",
        ),
        (
            b"data: {\"a\":1}\n\ndata: hello\n\n",
            "server-sent events, but of no API known here; byte 21: malformed record: no JSON value; \
             hint: --from names its format",
        ),
        (&framed(html), "HTML"),
        (&framed("{\"a\":1}"), "JSON, but of no API known here; hint: --from names its format"),
    ] {
        for to in ["text", "openai"] {
            let run = decode(&["--to", to], input);
            assert_eq!(run.fails(5), format!("format: not recognized: the input looks like {found}"));
        }
    }
    for input in [html.as_bytes(), &framed(html)] {
        let run = decode(&["--to", "sse"], input);
        assert_eq!(run.fails(5), "format: not recognized: the input looks like HTML");
    }
    // A stream that was cut off is not one of them.
    for input in ["", "{\"choices\":[", "data: {\"cho", ": ping\n\n", "data: {\"choices\":[]}\n\n"] {
        assert!(decode(&[], input.as_bytes()).fails(3).contains("truncated: "), "{input}");
    }
    decode(&[], &framed(html)[..20]).fails(3);
}

#[test]
fn frames_that_are_not_understood_are_explained() {
    let frame = |name, payload: &str| {
        let headers = [
            Header::new(":message-type", Value::String("event")),
            Header::new(":event-type", Value::String(name)),
        ];
        let mut out = Vec::new();
        encode(headers, payload.as_bytes(), &mut out).unwrap();
        out
    };
    let start =
        "format: not recognized: the input looks like event-stream frames, but of no API known here; ";
    let chunks = [frame("chunk", r#"{"bytes":"%%%"}"#), frame("chunk", "{}")].concat();
    let line = "byte 0: malformed record: no Base64 in a chunk (and 1 more); hint: --from names its format";
    assert_eq!(decode(&[], &chunks).fails(5), format!("{start}{line}"));
    let unknown = [frame("first", "{}"), frame("second", "{}"), frame("first", "{}")].concat();
    let line = "unknown events: first, second; hint: --from names its format";
    assert_eq!(decode(&[], &unknown).fails(5), format!("{start}{line}"));
}

#[test]
fn input_that_cannot_be_read_is_named() {
    for (path, found) in [
        ("no such\nfile", "input: no such\\nfile: No such file"),
        (env!("CARGO_MANIFEST_DIR"), concat!("input: ", env!("CARGO_MANIFEST_DIR"), ": is a directory")),
    ] {
        for command in [&["decode"][..], &["convert", "request", "--to", "openai"]] {
            let run = sagewire(&[command, &[path]].concat(), b"");
            assert!(run.fails(1).starts_with(found), "{run:?}");
            assert!(run.stdout.is_empty());
        }
    }
}

#[test]
fn errors_about_a_file_name_it() {
    let file = TempFile::new("{\"a\":1}");
    let line = format!("{}: format: not recognized: ", file.path());
    assert!(sagewire(&["decode", file.path()], b"").fails(5).starts_with(&line));
    let cut = TempFile::new(BODY.split_inclusive("\n\n").next().unwrap());
    let line = format!("{}: format: byte ", cut.path());
    assert!(sagewire(&["decode", cut.path()], b"").fails(3).starts_with(&line));
}

/// Names of formats have aliases, and typos get a suggestion instead of the list of all names.
#[test]
fn formats_have_aliases_and_typos_a_suggestion() {
    for name in ["openai", "openai-chat", "OpenAI", "chat_completions"] {
        assert_eq!(sagewire(&["decode", "--from", name], BODY.as_bytes()).succeeds().text(), TEXT, "{name}");
    }
    for (option, typo, suggestion) in [
        ("--from", "opnai", "openai"),
        ("--from", "convers", "converse"),
        ("--to", "antropic", "anthropic"),
        ("--to", "frame", "frames"),
        ("--to", "evnts", "events"),
    ] {
        let run = sagewire(&["decode", option, typo], b"");
        let line = format!(
            "usage: invalid value '{typo}' for '{option} <FORMAT>'; tip: a similar value exists: '{suggestion}' (see --help)"
        );
        assert_eq!(run.fails(2), line);
    }
    let run = sagewire(&["decode", "--frmo", "tgi"], b"");
    assert!(run.fails(2).contains("; tip: a similar argument exists: '--from'"), "{run:?}");
    // The placeholder of the list of names is not a name.
    sagewire(&["decode", "--from", "custom:FILE"], b"").fails(2);
}
