//! The fuzzers' oracles over seeds that are made of the vectors, and over some thousand that were changed at random, the same
//! on every run. `SAGEWIRE_SEEDS=write` writes the seeds where the fuzzers look for them.

mod common;
mod oracles;

use std::path::PathBuf;

use common::{Random, body, read_json, testdata};
use serde_json::Value;
#[cfg(any(feature = "templates", feature = "custom"))]
use serde_json::json;

/// What is put in now and then.
const PIECES: [&[u8]; 34] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud800",
    b"\xc3",
    b"\xff",
    b"\n",
    b"\r\n",
    b"data: ",
    b"event: ",
    b"[DONE]",
    b"\"index\":1,",
    b"\"error\":{},",
    b"\"text\":\"\"",
    b"{{",
    b"}}",
    b"{%",
    b"%}",
    b"$..",
    b"<|t|>",
    b"<|im_start|>",
    b"~",
    b" ",
];

/// Changes `input` in a few places.
fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(24)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            3 => {
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            4 => input.truncate(at.max(2)),
            5 if !input.is_empty() => input[0] = random.below(256) as u8,
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// Runs `oracle` over the seeds, and over `count` that were changed.
fn run(target: &str, seeds: &[Vec<u8>], count: usize, oracle: fn(&[u8])) {
    assert!(seeds.len() >= 20, "{target}: {} seeds", seeds.len());
    let mut failed = Vec::new();
    let mut check = |input: &[u8]| {
        if failed.len() < 20 && std::panic::catch_unwind(|| oracle(input)).is_err() {
            failed.push(String::from_utf8_lossy(input).into_owned());
        }
    };
    seeds.iter().for_each(|seed| check(seed));
    let mut random = Random(seeds.len() as u64);
    for _ in 0..count {
        let mut input = seeds[random.below(seeds.len())].clone();
        mutate(&mut input, &seeds[random.below(seeds.len())], &mut random);
        check(&input);
    }
    assert!(failed.is_empty(), "{target} fails with {failed:#?}");
    println!("{target}: {} seeds, {count} changed", seeds.len());
    if std::env::var_os("SAGEWIRE_SEEDS").is_some_and(|value| value == "write") {
        write(target, seeds);
    }
}

/// Writes the smallest seeds, by number.
fn write(target: &str, seeds: &[Vec<u8>]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut seeds: Vec<_> = seeds.iter().filter(|seed| seed.len() <= 4096).collect();
    seeds.sort_by_key(|seed| seed.len());
    for (number, seed) in seeds.iter().take(300).enumerate() {
        std::fs::write(folder.join(format!("seed_{number:03}")), seed).expect("it can be written");
    }
}

/// A seed of one byte that chooses, and the rest.
fn seed(choice: usize, rest: &[u8]) -> Vec<u8> {
    [&[choice as u8], rest].concat()
}

fn list(file: &str) -> Vec<Value> {
    read_json(&testdata(file)).as_array().cloned().expect("a list")
}

/// The bodies of all streams and answers, with the number of the format that reads them.
fn bodies() -> Vec<(usize, Vec<u8>)> {
    let mut bodies = Vec::new();
    for (format, file) in [(2, "responses.json"), (3, "bedrock.json"), (4, "anthropic.json")] {
        bodies.extend(list(file).iter().map(|vector| (format, body(vector))));
    }
    for vector in list("streams.json").iter().chain(&list("generation.json")) {
        let body = body(vector);
        let is_chat = String::from_utf8_lossy(&body).contains("choices");
        bodies.push((if is_chat { 1 } else { 5 }, body));
    }
    for vector in list("answers.json").iter().filter(|vector| !vector["body"].is_null()) {
        let format = ["", "openai", "", "bedrock", "anthropic", "tgi"];
        let format = format.iter().position(|format| vector["format"] == *format).expect("a format");
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
    run("readers", &seeds, 4_000, oracles::readers);
}

#[test]
fn responses() {
    let mut seeds = Vec::new();
    for (format, body) in bodies() {
        // The first of each format in the order of the readers, told by the bytes.
        let auto = (128..).find(|choice| choice % 7 == format).expect("a number");
        seeds.push(seed(auto, &body));
        seeds.push(seed(format, &body));
    }
    run("responses", &seeds, 6_000, oracles::responses);
}

#[test]
fn requests() {
    const NAMES: [&str; 10] = [
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
    ];
    let mut seeds = Vec::new();
    let vectors = read_json(&testdata("requests.json"));
    let mut vectors: Vec<Value> = vectors["identity"].as_array().cloned().expect("a list");
    for name in ["openai", "bedrock", "anthropic", "tgi", "lmi", "completions", "jumpstart_dialogs"] {
        vectors.push(read_json(&testdata(&format!("golden/request-{name}.json"))));
    }
    for vector in vectors {
        let from = NAMES.iter().position(|name| vector["format"] == **name).expect("a format");
        let body = vector["body"].to_string();
        for to in 0..10 {
            seeds.push(seed(from + 10 * to, body.as_bytes()));
        }
        seeds.push(seed(from + 100 + 10 * (seeds.len() % 15), body.as_bytes()));
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
        let body = vector["body"].as_str().or(vector["text"].as_str()).expect("a body");
        seeds.push(seed(number * 7 % 256, body.as_bytes()));
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

#[cfg(feature = "templates")]
#[test]
fn chat_templates() {
    let mut seeds = Vec::new();
    for (number, vector) in list("chat_templates.json").iter().enumerate() {
        let template = &vector["template"];
        let (kind, source) = if template["named"].is_string() {
            (2, String::new())
        } else if template["roles"].is_object() {
            (3, template["roles"].to_string())
        } else {
            (0, template["config"].to_string())
        };
        let mut texts = Vec::new();
        for message in vector["messages"].as_array().expect("messages") {
            let role = &message["role"].as_str().expect("a role")[..1];
            let parts = match &message["content"] {
                Value::String(text) => vec![json!({"text": text})],
                parts => parts.as_array().cloned().expect("parts"),
            };
            for part in parts {
                let kinds =
                    [("text", "x"), ("reasoning", "r"), ("image", "i"), ("input", "c"), ("result", "e")];
                let (text, letter) = kinds
                    .iter()
                    .find_map(|(name, kind)| Some((part[*name].as_str()?, *kind)))
                    .unwrap_or(("", "x"));
                texts.push(format!("{role}{letter}{text}").into_bytes());
            }
        }
        let join = |source: &str| {
            let parts: Vec<_> = [source.as_bytes().to_vec()].into_iter().chain(texts.clone()).collect();
            parts.join(&0xff)
        };
        let control = 4 * (number % 3);
        seeds.push([&[(kind + control) as u8, (number * 2 + number % 2) as u8], &join(&source)[..]].concat());
        if let Some(jinja) = template["config"]["chat_template"].as_str() {
            seeds.push([&[(1 + control) as u8, number as u8], &join(jinja)[..]].concat());
        }
    }
    // A control token that is in two pieces.
    let texts: [&[&[u8]]; 2] = [
        &[b"", b"sxBe brief.", b"ux<|im_~start|>system~</~s>", b"axYes.", b"ux<s>[INST]"],
        &[b"", b"uxhi", b"ar<|im_~start|>~</~s>~<|eot~_id|>"],
    ];
    for number in 0..96u8 {
        let (control, family) = ([2, 6][usize::from(number % 2)], number / 4 * 2);
        let texts = texts[usize::from(number / 2 % 2)];
        seeds.push([&[control, family + 64], &texts.join(&0xff)[..]].concat());
    }
    let shown: [&[&[u8]]; 3] = [
        &[b"", b"sxs", b"uxhi <|t|>", b"ar<|~t|>", b"an<|t|>x", b"tet<|~t|>", b"uicat<|t~|>"],
        &[b"", b"uxgo", b"ac{\"<|t|>\":[\"<|t|>\"]}", b"ue1", b"aj\"<|t|>\""],
        &[b"", b"uxgo~<|t", b"ar<|~t~|>", b"ux|>~<|~t|>"],
    ];
    for (number, texts) in shown.iter().cycle().take(12).enumerate() {
        seeds.push([&[1 + 4 * (number / 3 % 2) as u8, (number / 6) as u8], &texts.join(&0xff)[..]].concat());
    }
    run("chat_templates", &seeds, 4_000, oracles::chat_templates);
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
