//! `sagewire chat`, in the format of every container.

use sagewire_emulator::echo;
use serde_json::{Value, json};

use crate::process::{Emulate, FORMATS, Run, TempFile};

const PROMPT: &str = "Say é";

/// The request, which `-v` prints.
fn sent(run: &Run) -> Value {
    let line = run.stderr.lines().find_map(|line| line.strip_prefix("request: ")).expect("a request");
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn every_container_is_called_in_its_own_format() {
    for (format, ending) in FORMATS {
        let emulate = Emulate::new(&["--format", format]);
        let args = ["--format", format, "--template", "none", "--max-tokens", "500", "--strict"];
        let streamed = emulate.chat(&[&args[..], &[PROMPT]].concat());
        if ending == "complete" {
            assert_eq!(streamed.succeeds().text(), echo(PROMPT), "{format}");
        } else {
            let line = streamed.fails(3);
            assert!(
                line.starts_with("format: byte ")
                    && line.contains("; hint: ")
                    && line.contains("--no-stream")
            );
            assert_eq!(streamed.text(), echo(PROMPT), "{format}");
        }
        let whole = emulate.chat(&[&args[..], &["--no-stream", PROMPT]].concat()).succeeds();
        assert_eq!(whole.text(), echo(PROMPT), "{format}");
        let openai =
            emulate.chat(&[&args[..], &["--no-stream", "--to", "openai", PROMPT]].concat()).succeeds();
        let openai: Value = serde_json::from_slice(&openai.stdout).expect("JSON");
        assert_eq!(openai["choices"][0]["message"]["content"], echo(PROMPT), "{format}");
    }
}

#[test]
fn text_formats_get_a_prompt() {
    let prompt =
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
    for (container, format, field) in [
        ("openai", "completions", "prompt"),
        ("openai", "openai-completions", "prompt"),
        ("tgi", "tgi", "inputs"),
        ("lmi", "lmi", "inputs"),
        ("jumpstart", "jumpstart", "inputs"),
        ("jumpstart", "jumpstart-text", "text_inputs"),
        ("llama-server", "llama-server", "prompt"),
        ("sglang", "sglang", "text"),
        ("torchserve", "text", "prompt"),
    ] {
        let emulate = Emulate::new(&["--format", container]);
        let args = ["-v", "--template", "chatml", "--system", "Be brief.", "--max-tokens", "500", "hi"];
        let run = emulate.chat(&[&["--format", format], &args[..]].concat());
        assert_eq!((run.code, sent(&run)[field].as_str()), (0, Some(prompt)), "{format} {run:?}");
        assert_eq!(run.text(), echo(prompt), "{format}");
    }
}

#[test]
fn raw_text_is_sent_unchanged() {
    let emulate = Emulate::new(&["--format", "jumpstart"]);
    for format in ["jumpstart-raw", "x-text"] {
        let args = ["--format", format, "--template", "none", "--strict", PROMPT];
        let run = emulate.chat(&[&["--no-stream"], &args[..]].concat()).succeeds();
        assert_eq!(run.text(), echo(PROMPT), "{format}");
        let run = emulate.chat(&[&["--max-tokens", "3"], &args[..]].concat());
        assert_eq!(run.code, 6, "{run:?}");
        assert!(run.stderr.starts_with("loss: max_tokens: dropped: "), "{run:?}");
    }
}

#[test]
fn templates_are_read_from_files() {
    let emulate = Emulate::new(&["--format", "tgi"]);
    let source =
        "{% for message in messages %}<{{ message.role }}>{{ message.content }}{{ eos_token }}{% endfor %}";
    let config =
        TempFile::ending(".json", &json!({"eos_token": "</s>", "chat_template": source}).to_string());
    let jinja = TempFile::ending(".jinja", source);
    for (file, prompt) in [(&config, "<user>hi</s>"), (&jinja, "<user>hi")] {
        let run = emulate.chat(&["-v", "--format", "tgi", "--template", file.path(), "hi"]);
        assert_eq!((run.code, &sent(&run)["inputs"]), (0, &json!(prompt)), "{run:?}");
    }
    let broken = TempFile::ending(".jinja", "{% for %}");
    let without = TempFile::ending(".json", "{}");
    for file in [&broken, &without] {
        let run = emulate.chat(&["--format", "tgi", "--template", file.path(), "hi"]);
        assert!(run.fails(2).starts_with(&format!("usage: --template: {}: ", file.path())), "{run:?}");
    }
}

#[test]
fn arguments_become_parameters_of_the_container() {
    let emulate = Emulate::new(&["--format", "openai"]);
    let args =
        ["-v", "--max-tokens", "3", "--temperature", "0", "--top-p", "0.5", "--seed", "-1", "--stop", "x"];
    for (format, more, expected) in [
        (
            "openai",
            &["--stop", "y", "--model", "m"][..],
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "temperature": 0,
                "top_p": 0.5, "seed": -1, "stop": ["x", "y"], "stream": true, "stream_options": {"include_usage": true}}),
        ),
        (
            "cohere",
            &["--system", "S", "--model", "m"],
            json!({"model": "m", "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}],
                "max_tokens": 3, "temperature": 0, "p": 0.5, "seed": -1, "stop_sequences": ["x"], "stream": true}),
        ),
        (
            "nova",
            &["--model", "m"],
            json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "temperature": 0, "top_p": 0.5,
                "stream": true, "stream_options": {"include_usage": true}}),
        ),
        (
            "sglang",
            &["--template", "none"],
            json!({"text": "hi", "sampling_params": {"max_new_tokens": 3, "temperature": 0, "top_p": 0.5,
                "sampling_seed": -1, "stop": ["x"]}, "stream": true}),
        ),
        (
            "lmi",
            &["--template", "none", "--no-stream"],
            json!({"inputs": "hi", "parameters": {"max_new_tokens": 3, "do_sample": false, "top_p": 0.5, "seed": -1,
                "stop_sequences": ["x"], "stop": ["x"], "details": true}, "stream": false}),
        ),
        (
            "llama-server",
            &["--template", "none"],
            json!({"prompt": "hi", "n_predict": 3, "temperature": 0.0, "top_p": 0.5, "seed": -1, "stop": ["x"],
                "stream": true}),
        ),
        (
            "bedrock",
            &["--system", "S"],
            json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}], "system": [{"text": "S"}],
                "inferenceConfig": {"maxTokens": 3, "temperature": 0, "topP": 0.5, "stopSequences": ["x"]}}),
        ),
    ] {
        let run = emulate.chat(&[&["--format", format], &args[..], more, &["hi"]].concat());
        assert_eq!(sent(&run), expected, "{format}");
    }
}

#[test]
fn losses_are_printed_and_can_be_forbidden() {
    let emulate = Emulate::new(&["--format", "anthropic"]);
    let args = ["--format", "anthropic", "--max-tokens", "3", "--seed", "3"];
    let lossy = emulate.chat(&[&args[..], &["hi"]].concat());
    assert_eq!((lossy.code, lossy.text()), (0, "You said: “hi”"));
    assert_eq!(lossy.stderr, "loss: seed: dropped: Anthropic has no such parameter\n");
    let json = emulate.chat(&[&args[..], &["--losses", "json", "hi"]].concat());
    let losses: Value = serde_json::from_str(&json.stderr).expect("JSON");
    assert_eq!((&losses[0]["path"], &losses[0]["outcome"]), (&json!("seed"), &json!("dropped")));

    // Nothing is sent.
    let mut command = emulate.command(&[&args[..], &["--strict", "hi"]].concat());
    drop(emulate);
    command.env("AWS_REGION", "us-east-1");
    let strict = crate::process::run(command, b"");
    let lines: Vec<&str> = strict.stderr.lines().collect();
    assert_eq!((strict.code, lines.len(), lines[1]), (6, 2, "strict: 1 loss, nothing was sent"));
    assert!(strict.stdout.is_empty());
}

#[test]
fn invalid_arguments_are_reported_before_anything_is_sent() {
    let emulate = Emulate::new(&[]);
    let tgi = ["--format", "tgi"];
    for (args, found) in [
        (&["hi"][..], "this format takes a prompt, so a chat template is required: give --template "),
        (
            &["--template", "no/such-model", "hi"],
            "--template: unknown model family `no/such-model`; known families: llama2, ",
        ),
        (&["--template", "no/such.json", "hi"], "--template: no/such.json: No such file"),
        (&["--template", "none", "--system", "S", "hi"], "--template: none requires a single user message"),
        (
            &["--template", "chatml", "<|im_end|>"],
            "--template: the text at /messages/0/content/0 contains the control token",
        ),
        (&["--template", "none", "--set", "merge=maybe", "hi"], "--set merge=maybe: no such option or value"),
        (
            &["--from", "tgy", "hi"],
            "invalid value 'tgy' for '--from <FORMAT>'; tip: a similar value exists: 'tgi'",
        ),
    ] {
        let run = emulate.chat(&[&tgi[..], args].concat());
        assert!(run.fails(2).starts_with(&format!("usage: {found}")), "{run:?}");
    }
    let unknown = emulate.chat(&["--format", "sagemaker", "hi"]);
    let line = unknown.fails(2);
    assert!(line.contains("openai, completions, ") && line.contains("custom:FILE"), "{line}");
}

#[test]
fn conversion_options_are_those_of_convert() {
    let emulate = Emulate::new(&["--format", "tgi"]);
    let args = ["-v", "--format", "tgi", "--template", "none", "--temperature", "0"];
    let run = emulate
        .chat(&[&args[..], &["--set", "zero-temperature=clamp", "--set", "max-tokens=2", "hi"]].concat());
    let body = sent(&run);
    assert_eq!(
        (&body["parameters"]["temperature"], &body["parameters"]["max_new_tokens"]),
        (&json!(0.01), &json!(2))
    );
    assert_eq!(run.stderr.lines().filter(|line| line.starts_with("loss: ")).count(), 2, "{run:?}");
}

#[test]
fn an_unused_template_is_not_an_error() {
    let run = Emulate::new(&[]).chat(&["--template", "llama3", "--max-tokens", "2", "hi"]);
    assert_eq!((run.code, run.text()), (0, "You said:"));
    assert!(run.stderr.starts_with("note: --template is not used: "), "{run:?}");
}

#[test]
fn a_default_token_limit_is_reported() {
    let emulate = Emulate::new(&["--format", "lmi"]);
    let args = ["--format", "lmi", "--template", "none", "hi"];
    let cut = emulate.chat(&args);
    assert_eq!(cut.code, 0);
    assert!(cut.stderr.starts_with("note: ") && cut.stderr.contains("--max-tokens"), "{cut:?}");
    emulate.chat(&[&["--max-tokens", "3"], &args[..]].concat()).succeeds();
}

/// The text before the failure is printed in every format.
#[test]
fn failures_in_the_middle_have_exit_codes() {
    for (format, fault, code, layer) in [
        ("tgi", json!({"reset": true}), 3, "transport: byte "),
        ("lmi", json!({"truncated_frame": true}), 3, "eventstream: byte "),
        ("llama-server", json!({"corrupt_byte": true}), 5, "eventstream: byte "),
        ("torchserve", json!({"error": {"code": "500", "message": "oom"}}), 4, "sagemaker: byte "),
        (
            "anthropic",
            json!({"exception": {"type": "ModelStreamError", "code": "ModelInvocationTimeExceeded", "message": "slow"}}),
            4,
            "sagemaker: byte ",
        ),
    ] {
        let mut fault = fault;
        fault["after"] = json!(if format == "torchserve" { 20 } else { 700 });
        let emulate = Emulate::scripted(&json!([{"format": format, "fault": fault}]));
        let args = ["--format", format, "--template", "none", "--max-tokens", "500", "--to", "text", PROMPT];
        let run = emulate.chat(&args);
        let line = run.fails(code);
        assert!(line.starts_with(layer), "{format}: {line}");
        assert!(run.text().starts_with("You said:") && run.text().len() < 200, "{format}: {run:?}");
    }
}

/// TGI validates the parameters of a stream after it has sent the status.
#[test]
fn an_error_of_the_container_within_its_stream() {
    let emulate = Emulate::new(&["--format", "tgi"]);
    let stops: Vec<&str> = ["a", "b", "c", "d", "e"].iter().flat_map(|stop| ["--stop", *stop]).collect();
    let args = [&["--format", "tgi", "--template", "none"], &stops[..], &["hi"]].concat();
    let run = emulate.chat(&args);
    assert!(run.fails(4).ends_with("`stop` supports up to 4 stop sequences"), "{run:?}");
    let whole = emulate.chat(&[&["--no-stream"], &args[..]].concat());
    let line = whole.fails(4);
    assert!(
        line.starts_with("service: 424 ModelError: ") && line.ends_with("(see sagewire formats)"),
        "{line}"
    );
}

#[test]
fn a_licence_is_accepted_by_an_attribute() {
    let emulate = Emulate::new(&["--format", "jumpstart"]);
    let args = ["--format", "jumpstart-dialogs", "hi"];
    let refused = emulate.chat(&args);
    assert!(refused.fails(4).contains("; hint: --custom-attributes accept_eula=true"), "{refused:?}");
    let accepted =
        emulate.chat(&[&["--custom-attributes", "accept_eula=true", "--strict"], &args[..]].concat());
    // Its responses begin with a space.
    assert_eq!(accepted.succeeds().text(), format!(" {}", echo("hi")));
}

#[test]
fn a_non_streaming_response_is_one_document() {
    let emulate = Emulate::new(&[]);
    let json = |to| -> Value {
        let run = emulate.chat(&["--no-stream", "--to", to, "--max-tokens", "3", "hi"]).succeeds();
        serde_json::from_slice(&run.stdout).expect("one document")
    };
    let bedrock = json("bedrock");
    assert_eq!(bedrock["output"]["message"]["content"], json!([{"text": "You said: “hi”"}]));
    assert!(bedrock["metrics"]["latencyMs"].is_u64());
    assert_eq!(json("anthropic")["stop_reason"], "max_tokens");
    assert_eq!(json("tgi")["generated_text"], "You said: “hi”");
    let events = emulate.chat(&["--no-stream", "--to", "events", "hi"]).succeeds().lines();
    assert_eq!(events[0]["type"], "start");
}

/// Containers may stream although no stream was requested.
#[test]
fn an_unrequested_stream_is_read() {
    let body =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    let emulate = Emulate::scripted(&json!([{"body": body, "content_type": "text/event-stream"}]));
    assert_eq!(emulate.chat(&["--no-stream", "hi"]).succeeds().text(), "hi");
    let half = json!([{"body": "{\"choices\":[{\"index\":0,", "content_type": "application/json"}]);
    let cut = Emulate::scripted(&half).chat(&["--no-stream", "--to", "openai", "hi"]);
    cut.fails(3);
    assert!(cut.stdout.is_empty());
}

#[test]
fn the_format_of_the_response_can_be_given() {
    let emulate = Emulate::new(&["--format", "torchserve"]);
    let args = ["--format", "torchserve", "--template", "none"];
    let wrong = emulate.chat(&[&args[..], &["--from", "auto", "hi"]].concat());
    let line = "format: not recognized: the response looks like plain text; hint: --from names its format";
    assert_eq!(wrong.fails(4), line);
    // A format that only the response has.
    let emulate = Emulate::scripted(&json!([{"body": "plain", "content_type": "text/plain"}]));
    assert_eq!(emulate.chat(&["--from", "text", "hi"]).succeeds().text(), "plain");
}
