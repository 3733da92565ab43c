//! The fuzzers' oracles over seeds that are built from the vectors, and over several thousand random mutations, the same
//! on every run. `SAGEWIRE_SEEDS=write` writes the seeds to the fuzzing corpora.

mod common;
mod oracles;

use common::mutation::run;
use common::{body, read_json, testdata};
use serde_json::Value;
#[cfg(feature = "custom")]
use serde_json::json;

/// A seed: one byte that selects a variant, then the data.
fn seed(choice: usize, rest: &[u8]) -> Vec<u8> {
    [&[choice as u8], rest].concat()
}

fn list(file: &str) -> Vec<Value> {
    read_json(&testdata(file)).as_array().cloned().expect("a list")
}

/// The bodies of all streams and responses, with the number of the format that reads them.
fn bodies() -> Vec<(usize, Vec<u8>)> {
    let mut bodies = Vec::new();
    for (format, file) in
        [(2, "responses.json"), (3, "bedrock.json"), (4, "anthropic.json"), (5, "sglang.json")]
    {
        bodies.extend(list(file).iter().map(|vector| (format, body(vector))));
    }
    for vector in list("streams.json").iter().chain(&list("generation.json")) {
        let body = body(vector);
        let is_chat = String::from_utf8_lossy(&body).contains("choices");
        bodies.push((if is_chat { 1 } else { 5 }, body));
    }
    for vector in list("answers.json").iter().filter(|vector| !vector["body"].is_null()) {
        let format = ["", "openai", "responses", "bedrock", "anthropic", "tgi"];
        // Completions are read as the chat.
        let name = vector["format"].as_str().map(|name| name.replace("completions", "openai"));
        let format = format.iter().position(|format| name.as_deref() == Some(format)).expect("a format");
        bodies.push((format, vector["body"].to_string().into_bytes()));
    }
    bodies
}

#[test]
fn readers() {
    let mut seeds = Vec::new();
    for (number, (format, body)) in bodies().iter().enumerate() {
        for choice in [*format, format + 7 * (number % 32), (number % 7) + 7 * (number % 11)] {
            seeds.push([&[choice as u8, number as u8], &body[..]].concat());
        }
    }
    for (number, vector) in list("cohere.json").iter().enumerate() {
        let body = body(vector);
        for choice in [usize::from(oracles::COHERE) + number % 32, 7 * (number % 32)] {
            seeds.push([&[choice as u8, number as u8], &body[..]].concat());
        }
    }
    run("readers", &seeds, 4_000, oracles::readers);
}

#[test]
fn responses() {
    let mut seeds = Vec::new();
    for (format, body) in bodies() {
        // The first variant of each format, in the order of the readers, with automatic detection.
        let auto = (128..).find(|choice| choice % 7 == format).expect("a number");
        seeds.push(seed(auto, &body));
        seeds.push(seed(format, &body));
    }
    // Read by name, and detected.
    for body in list("cohere.json").iter().map(body) {
        seeds.push(seed(oracles::COHERE.into(), &body));
        seeds.push(seed(133, &body));
    }
    run("responses", &seeds, 6_000, oracles::responses);
}

#[test]
fn requests() {
    const NAMES: [&str; 14] = [
        "openai",
        "completions",
        "bedrock",
        "anthropic",
        "tgi",
        "lmi",
        "jumpstart",
        "jumpstart_text",
        "jumpstart_dialogs",
        "triton",
        "cohere",
        "nova",
        "sglang",
        "responses",
    ];
    let mut seeds = Vec::new();
    let vectors = read_json(&testdata("requests.json"));
    let mut vectors: Vec<Value> = vectors["identity"].as_array().cloned().expect("a list");
    let rich = [
        "openai",
        "responses",
        "bedrock",
        "anthropic",
        "tgi",
        "lmi",
        "completions",
        "jumpstart_dialogs",
        "cohere",
        "nova",
        "sglang",
    ];
    for name in rich {
        vectors.push(read_json(&testdata(&format!("golden/request-{name}.json"))));
    }
    for vector in vectors {
        let from = NAMES.iter().position(|name| vector["format"] == **name).expect("a format");
        let body = vector["body"].to_string();
        seeds.extend((0..14).map(|to| seed(from + 14 * to, body.as_bytes())));
    }
    run("requests", &seeds, 20_000, oracles::requests);
}

#[test]
fn errors() {
    let mut seeds: Vec<_> = bodies()
        .into_iter()
        .filter(|(_, body)| body.len() < 1000 && String::from_utf8_lossy(body).contains("error"))
        .flat_map(|(_, body)| {
            let lines: Vec<_> = body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            lines.into_iter().map(|line| line.strip_prefix(b"data: ").map_or(line.clone(), <[u8]>::to_vec))
        })
        .filter(|line| line.starts_with(b"{"))
        .enumerate()
        .map(|(number, line)| seed(number * 7 % 256, &line))
        .collect();
    for (choice, body) in [
        (
            25,
            r#"{"Message":"failed","OriginalStatusCode":422,"OriginalMessage":"{\"error\":\"`top_p` must be < 1.0\"}"}"#,
        ),
        (
            25,
            r#"{"ErrorCode":"ModelNotReadyException","OriginalStatusCode":0,"OriginalMessage":"","LogStreamArn":"a"}"#,
        ),
        (8, r#"{"detail":[{"loc":["body","inputs"],"msg":"field required"}]}"#),
        (8, r#"{"detail":"Not Found"}"#),
        (34, r#"{"message":null}"#),
        (13, "upstream connect error"),
        (11, "<html><body>502 Bad Gateway</body></html>"),
        (2, ""),
        (2, r#"{"error":{"message":"é \" \n","type":"x","param":null,"code":400}}"#),
        (2, r#"{"error":"e","error_type":"validation"}"#),
        (2, r#"{"__type":"ValidationException","message":"m"}"#),
    ] {
        seeds.push(seed(choice, body.as_bytes()));
    }
    for (number, vector) in list("errors.json").iter().enumerate() {
        // Errors that are made have none.
        if let Some(body) = vector["body"].as_str().or(vector["text"].as_str()) {
            seeds.push(seed(number * 7 % 256, body.as_bytes()));
        }
    }
    run("errors", &seeds, 20_000, oracles::errors);
}

#[test]
fn embeddings() {
    let vectors = read_json(&testdata("embeddings.json"));
    let texts = |kind: &str, name: &str| -> Vec<Vec<u8>> {
        let vectors = vectors[kind].as_array().expect("a list");
        vectors.iter().map(|vector| vector[name].as_str().expect("a text").as_bytes().to_vec()).collect()
    };
    let requests = texts("requests", "request").into_iter().map(|body| seed(0, &body));
    let responses = texts("responses", "response").into_iter().enumerate();
    let responses =
        responses.flat_map(|(number, body)| [seed(1, &body), seed(3 + 2 * (number % 120), &body)]);
    run("embeddings", &requests.chain(responses).collect::<Vec<_>>(), 20_000, oracles::embeddings);
}

#[cfg(feature = "custom")]
#[test]
fn custom() {
    let vectors = read_json(&testdata("custom.json"));
    let of = |kind: &str| vectors[kind].as_array().cloned().expect("a list");
    let request = json!({"model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "{{model}}\""}],
        "tools": [{"type": "function", "function": {"name": "f"}}], "stop": ["a"], "max_tokens": 5, "guided": [1]});
    let request = request.to_string();
    let mut seeds = Vec::new();
    let mut add = |spec: &Value, records: &str| {
        let parts =
            [spec.to_string().into_bytes(), records.as_bytes().to_vec(), request.clone().into_bytes()];
        seeds.push(seed(records.len() % 256, &parts.join(&0xff)));
    };
    for vector in of("responses") {
        add(
            &vectors["specs"][vector["spec"].as_str().expect("a spec")],
            vector["text"].as_str().expect("text"),
        );
    }
    for vector in of("requests") {
        add(&json!({"request": vector["template"]}), "");
    }
    for vector in of("refused") {
        add(&vector["spec"], "{}");
    }
    run("custom", &seeds, 10_000, oracles::custom);
}
