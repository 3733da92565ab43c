//! The fuzz oracles over seeds, over mutations of them that are the same on every run, and over the corpus and all inputs that once
//! failed. `SAGEWIRE_SEEDS=write` writes the seeds to the corpus.

mod oracles;

use std::fs;
use std::path::{Path, PathBuf};

/// The configurations of the examples and of the tests, and small ones with what the first do not have.
fn configurations() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let examples = ["../examples/data/gateway.yaml", "../examples/data/litellm.yaml"];
    let examples = examples.map(|path| fs::read(root.join(path)).expect("an example"));
    let small = [
        "models: [{name: a, endpoint: a, format: 'custom:own.json', aws: {role_arn: r, web_identity_token_file: t}}]",
        "models:\n- &x {name: a, url: 'http://localhost:1', limits: {requests: 5/min, budget: 1 USD/day}}\n- {<<: *x, name: b}\n",
        "models: [{name: a, endpoint: a}]\nkeys: [{name: k, key: '${SECRET}', limits: {tokens: 200k/min}}]\nlisten: [127.0.0.1:0]",
        "model_list: [{model_name: a, litellm_params: {model: sagemaker/a, rpm: 3, aws_web_identity_token: oidc/env/T, aws_role_name: r}}]",
        "model_list: [{model_name: a, litellm_params: {model: openai/a, api_base: 'http://b', tpm: '5'}}]\nrouter_settings: {fallbacks: [{a: [b]}]}",
        "models: []\nrouting: {fallback: {a: [b]}}\nbounds: {body: 6MiB, ping: off}\nstate: {url: 'redis://localhost'}",
    ];
    examples.into_iter().chain(small.map(|text| text.as_bytes().to_vec())).collect()
}

/// A request for each route, and what several of them may have.
fn requests() -> Vec<Vec<u8>> {
    let bodies = [
        r#"{"model":"e","stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]}"#,
        r#"{"model":"e","prompt":["a","b"],"max_tokens":9,"stream":false}"#,
        r#"{"model":"e","input":[{"role":"user","content":"hi"},{"type":"item_reference","id":"x"}],"previous_response_id":"r"}"#,
        r#"{"model":"v","input":["a",[1,2]],"encoding_format":"base64","dimensions":3}"#,
        r#"{"model":"e","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","data":"x"}}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"text":"hi"},{"toolResult":{"toolUseId":"t","content":[]}}]}],"inferenceConfig":{"maxTokens":5}}"#,
        r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
        r#"{"inputs":"hi","parameters":{"max_new_tokens":4,"details":true},"stream":true}"#,
        "",
        "[]",
        "{\"model\":\"\\ud800\",\"messages\":[",
    ];
    let routes = 0..oracles::ROUTES.len() as u8;
    routes.flat_map(|route| bodies.map(|body| [&[route][..], body.as_bytes()].concat())).collect()
}

#[test]
fn mutated_configurations() {
    run("gateway_config", &configurations(), 300, oracles::configuration);
}

#[test]
fn mutated_requests() {
    run("gateway_doors", &requests(), 15, oracles::door);
}

fn run(target: &str, seeds: &[Vec<u8>], mutations: usize, oracle: fn(&[u8])) {
    let folder = |kind: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(kind).join(target);
    if std::env::var_os("SAGEWIRE_SEEDS").is_some_and(|value| value == "write") {
        fs::create_dir_all(folder("corpus")).expect("a folder");
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder("corpus").join(format!("seed-{number:03}")), seed).expect("a file");
        }
    }
    let kept = [folder("corpus"), folder("regressions")].into_iter().flat_map(|folder| files(&folder));
    let kept: Vec<_> = kept.map(|path| fs::read(path).expect("a file")).collect();
    assert!(kept.len() >= seeds.len(), "write the seeds with SAGEWIRE_SEEDS=write");
    kept.iter().for_each(|input| oracle(input));
    let mut random = fastrand::Rng::with_seed(4711);
    for (number, seed) in seeds.iter().enumerate() {
        oracle(seed);
        for _ in 0..mutations {
            let other = &seeds[(number + random.usize(1..seeds.len())) % seeds.len()];
            oracle(&mutated(seed, other, &mut random));
        }
    }
}

/// A few changes: bytes that are others, missing, doubled, or those of another seed.
fn mutated(seed: &[u8], other: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    const BYTES: &[u8] = b"{}[]\"':,-&*!|>#%@\\\n\t \0\xff09aTn~";
    let mut input = seed.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=input.len());
        let end = (at + random.usize(0..12)).min(input.len());
        match random.u8(0..4) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, BYTES[random.usize(0..BYTES.len())]),
            2 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            _ => {
                let from = random.usize(0..=other.len());
                let part = &other[from..(from + random.usize(0..40)).min(other.len())];
                input.splice(at..end, part.iter().copied());
            }
        }
    }
    input
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}
