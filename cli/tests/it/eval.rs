//! `sagewire eval`.

use std::fs;

use serde_json::{Value, json};

use crate::process::{Emulate, TempFile, command, run};

/// The emulated endpoints of the configurations in `data/promptfoo`, which are those of the page of promptfoo's SageMaker provider,
/// as printed there. Llama's container is that of LMI.
fn emulate() -> Emulate {
    Emulate::scripted(&json!([
        {"endpoint": "my-gpt-endpoint", "format": "openai"},
        {"endpoint": "my-claude-endpoint", "format": "anthropic"},
        {"endpoint": "llama-3-2-1b-instruct", "format": "lmi"},
        {"endpoint": "mistral-7b-v3", "format": "tgi"},
    ]))
}

const STANDARD: &str = include_str!("../data/promptfoo/standard.yaml");
const JUMPSTART: &str = include_str!("../data/promptfoo/jumpstart.yaml");
const HUGGING_FACE: &str = include_str!("../data/promptfoo/huggingface.yaml");
const SIDE_BY_SIDE: &str = include_str!("../data/promptfoo/side-by-side.yaml");

/// The command without a cache of this machine.
fn eval(emulate: &Emulate, args: &[&str]) -> std::process::Command {
    let mut command = command(&[&["eval"], args].concat());
    command.env("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", &emulate.url);
    command.env("AWS_ACCESS_KEY_ID", sagewire_emulator::ACCESS_KEY_ID);
    command.env("AWS_SECRET_ACCESS_KEY", sagewire_emulator::SECRET_ACCESS_KEY);
    command
}

#[test]
fn the_configurations_of_promptfoo_s_page_run() {
    let emulate = emulate();
    for (config, count) in [(STANDARD, 6), (JUMPSTART, 3), (HUGGING_FACE, 3), (SIDE_BY_SIDE, 12)] {
        let file = TempFile::ending(".yaml", config);
        let output = TempFile::ending(".json", "");
        let run = run(eval(&emulate, &[file.path(), "--no-cache", "--output", output.path()]), b"");
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.text());
        let results: Value = serde_json::from_str(&fs::read_to_string(output.path()).unwrap()).unwrap();
        let outcomes = results["results"].as_array().unwrap();
        assert_eq!((outcomes.len(), &results["stats"]["successes"]), (count, &Value::from(count)));
        for outcome in outcomes {
            let (prompt, text) = (outcome["prompt"].as_str().unwrap(), outcome["output"].as_str().unwrap());
            assert!(text.contains(prompt) && outcome["error"].is_null(), "{outcome}");
        }
    }
}

#[test]
fn failures_have_an_exit_code_and_the_second_run_is_cached() {
    let emulate = emulate();
    let tests = "\ntests:\n  - vars: {topic: tea}\n    assert: [{type: contains, value: tea}, {type: equals, value: no}]\n";
    let config = STANDARD.split("\ntests:").next().unwrap().to_owned() + tests;
    let (file, folder) = (TempFile::ending(".yaml", &config), TempFile::ending(".cache", ""));
    fs::remove_file(folder.path()).unwrap();
    for cached in [false, true] {
        let output = TempFile::ending(".json", "");
        let args = [file.path(), "--cache-dir", folder.path(), "-o", output.path(), "--no-table"];
        let run = run(eval(&emulate, &args), b"");
        assert_eq!(run.fails(100), "0 passed, 2 failed, 0 with an error");
        let results: Value = serde_json::from_str(&fs::read_to_string(output.path()).unwrap()).unwrap();
        assert!(
            results["results"].as_array().unwrap().iter().all(|outcome| outcome["cached"] == cached),
            "{results}"
        );
    }
    fs::remove_dir_all(folder.path()).unwrap();
}

#[test]
fn mistakes_are_one_line_each_and_nothing_is_sent() {
    let file = TempFile::ending(".yaml", "prompts: [hi]\nproviders: [{id: 'sagemaker:a', lable: b}]\n");
    let run = run(command(&["eval", file.path()]), b"");
    let expected = format!("{}:2:33: unknown key `lable`; did you mean `label`?", file.path());
    assert_eq!(run.fails(2), expected);
}

#[cfg(unix)]
#[test]
fn an_interrupted_evaluation_is_written_and_resumed() {
    use std::thread::sleep;
    use std::time::Duration;

    let emulate = emulate();
    // The delay of the page is half a second: the first of three calls is made at once.
    let (file, output) = (TempFile::ending(".yaml", HUGGING_FACE), TempFile::ending(".json", ""));
    let args = [file.path(), "--no-cache", "-v", "--no-table", "-o", output.path()];
    let child = eval(&emulate, &args).spawn().unwrap();
    sleep(Duration::from_millis(800));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{stderr}");
    let stored = || -> Value { serde_json::from_str(&fs::read_to_string(output.path()).unwrap()).unwrap() };
    let first = stored();
    let done = first["results"].as_array().unwrap().len();
    assert!((1..3).contains(&done) && first["stats"]["skipped"] == 3 - done, "{first}");
    let args = [file.path(), "--no-cache", "--no-table", "--resume", output.path(), "-o", output.path()];
    run(eval(&emulate, &args), b"").succeeds();
    let second = stored();
    assert_eq!(second["results"].as_array().unwrap().len(), 3);
    assert_eq!(second["results"][0], first["results"][0]);
}
