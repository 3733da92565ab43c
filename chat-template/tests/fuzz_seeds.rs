//! The fuzz oracle over seeds made from the vectors and random mutations of them, and over the corpus and all inputs that once
//! failed. `SAGEWIRE_SEEDS=write` writes the seeds to the corpus.

mod common;
mod oracles;

use std::path::PathBuf;

use serde_json::{Value, json};

#[test]
fn mutated_seeds() {
    let mut seeds = Vec::new();
    for (number, vector) in common::vectors().iter().enumerate() {
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
    // Control tokens that are split between two parts.
    let texts: [&[&[u8]]; 2] = [
        &[b"", b"sxBe brief.", b"ux<|im_~start|>system~</~s>", b"axYes.", b"ux<s>[INST]"],
        &[b"", b"uxhi", b"ar<|im_~start|>~</~s>~<|eot~_id|>"],
    ];
    for number in 0..96u8 {
        let (control, family) = ([2, 6][usize::from(number % 2)], number / 4 * 2);
        let texts = texts[usize::from(number / 2 % 2)];
        seeds.push([&[control, family + 64], &texts.join(&0xff)[..]].concat());
    }
    // Templates of the grammar: each makes deep, shared or long values in a loop, and then visits them.
    for makes in 5..29u8 {
        for visits in [3, 29, 30, 31, 32, 33, 34, 35, 36, 37] {
            let mut choices = Vec::from([1, 40, 41, makes, makes % 8 + 5, 42, visits]);
            if visits == 3 {
                choices.push(44);
            }
            let text: String = choices.into_iter().map(char::from).collect();
            seeds.push([&[1, 0], text.as_bytes(), &b"\xffuxhi"[..]].concat());
        }
    }
    let shown: [&[&[u8]]; 3] = [
        &[b"", b"sxs", b"uxhi <|t|>", b"ar<|~t|>", b"an<|t|>x", b"tet<|~t|>", b"uicat<|t~|>"],
        &[b"", b"uxgo", b"ac{\"<|t|>\":[\"<|t|>\"]}", b"ue1", b"aj\"<|t|>\""],
        &[b"", b"uxgo~<|t", b"ar<|~t~|>", b"ux|>~<|~t|>"],
    ];
    for (number, texts) in shown.iter().cycle().take(12).enumerate() {
        seeds.push([&[1 + 4 * (number / 3 % 2) as u8, (number / 6) as u8], &texts.join(&0xff)[..]].concat());
    }
    common::mutation::run("chat_templates", &seeds, 4_000, oracles::chat_templates);
}

#[test]
fn corpus_and_regressions() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut count = 0;
    for folder in ["corpus", "regressions"] {
        for entry in std::fs::read_dir(fuzz.join(folder).join("chat_templates")).expect("a folder") {
            let path = entry.expect("an entry").path();
            let data = std::fs::read(&path).expect("readable");
            let result = std::panic::catch_unwind(|| oracles::chat_templates(&data));
            assert!(result.is_ok(), "{} fails", path.display());
            count += 1;
        }
    }
    assert!(count >= 20, "{count} inputs");
}
