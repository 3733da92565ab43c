//! The layers point one way, and the core stays pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each module may use of the crate. Formats do not know each other, framings do not know what they carry.
fn allowed(module: &str) -> &'static [&'static str] {
    match module {
        "balance" | "carry" | "failure" | "input" | "json" | "limits" | "media_type" | "text" | "tree" => &[],
        "error" => &["failure", "limits"],
        "eventstream" => &["carry", "error", "input", "limits"],
        "sse" => &["carry", "error", "input", "limits", "text"],
        "json_lines" => &["error", "input", "limits", "sse", "text"],
        "sagemaker" => &["eventstream", "failure"],
        "raw" => &["balance", "carry"],
        "record" => &["balance", "carry", "error", "limits", "raw", "sse"],
        "chat" => &["balance", "carry", "error", "failure", "json", "limits", "media_type", "text"],
        // What formats share stands beside them; they do not know each other.
        "format/openai" => &["chat", "error", "failure", "format/failure", "format/template", "json"],
        "format/anthropic" => {
            &["chat", "error", "failure", "format/error", "format/failure", "format/template", "json"]
        }
        "format/generate" => &["chat", "failure", "format/failure", "format/template", "json"],
        // What was held back of a text is what may be an error.
        "format/text" => &["chat", "error", "format/failure", "json", "raw"],
        "format/tgi" => &["chat", "error", "json"],
        "format/responses" => &["chat", "error", "failure", "format/failure", "format/template", "json"],
        "format/call" => &["json"],
        "format/template" => &["chat", "format/bedrock", "format/call", "json"],
        "format/error" => &["failure", "json"],
        "format/failure" => &["failure", "json"],
        "format/request" => &["chat", "error", "json"],
        "format/reader" => &["chat", "error", "failure", "json", "limits"],
        "format/detect" => &["json"],
        "format/bedrock" => {
            &["chat", "error", "eventstream", "failure", "format/error", "format/template", "json"]
        }
        "format/custom" => &["chat", "error", "failure", "format/failure", "format/template", "json", "tree"],
        "format" => &[],
        "decoder" => &[
            "carry",
            "chat",
            "error",
            "eventstream",
            "failure",
            "format",
            "input",
            "json",
            "limits",
            "options",
            "record",
            "sagemaker",
            "text",
        ],
        "options" => &["format", "limits"],
        "transcoder" => &["chat", "decoder", "error", "failure", "format", "options"],
        "whole" => &["chat", "decoder", "error", "json", "options"],
        "format/writer" => &["chat", "error"],
        "chat_template" => &["chat", "error", "tree"],
        "embedding" => &["chat", "error", "format/failure", "json", "media_type", "text"],
        "stream" => &["chat", "error", "failure", "Decoder", "Transcoder", "Error"],
        other => panic!("say in this test what `{other}` may use"),
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_downwards() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in &files {
        let name = file.strip_prefix(&root).expect("below").with_extension("");
        let name = name.to_str().expect("UTF-8").replace('\\', "/");
        if name == "lib" {
            continue;
        }
        // Everything below a folder is one module, but for the formats, which are each their own.
        let parts: Vec<&str> = name.split('/').collect();
        let module = match parts[..] {
            ["format", "mod"] => "format".to_owned(),
            ["format", format, ..] => format!("format/{format}"),
            [module, ..] => module.to_owned(),
            [] => unreachable!("a path has a name"),
        };
        let text = std::fs::read_to_string(file).expect("UTF-8");
        for line in text.lines().map(str::trim) {
            if line.starts_with("//") {
                continue;
            }
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                // `use crate::{A, B}` names several.
                let names = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
                    Some((names, _)) => names.split(',').collect(),
                    None => vec![rest],
                };
                for name in names {
                    let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
                    let first: String = name.trim().chars().take_while(is_name).collect();
                    // A format is a module of its own.
                    let of_format = name.trim().strip_prefix("format::").filter(|_| first == "format");
                    let second: String = of_format.unwrap_or_default().chars().take_while(is_name).collect();
                    let is_module = second.starts_with(|c: char| c.is_ascii_lowercase());
                    let name = if is_module { format!("format/{second}") } else { first };
                    uses.entry(module.clone()).or_default().push(name);
                }
            }
        }
    }
    assert!(uses.len() >= 12, "the test reads the sources");
    for (module, used) in &uses {
        for name in used {
            assert!(
                allowed(module).contains(&name.as_str()) || *module == *name,
                "`{module}` uses `{name}`: an upward import, or one that this test does not know"
            );
        }
    }
}

#[test]
fn the_core_stays_pure() {
    let manifest =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("a manifest");
    let dependencies = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let dependencies: Vec<_> = dependencies
        .expect("dependencies")
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()))
        .collect();
    assert_eq!(
        dependencies,
        [
            "base64",
            "bytes",
            "crc32fast",
            // The optional ones stand behind features.
            "futures-core",
            "memchr",
            "minijinja",
            "minijinja-contrib",
            // A cell that is filled once, without `std`, and can be shared between threads.
            "once_cell",
            "serde",
            "serde_json",
            "serde_json_path",
        ]
    );
}

/// What the architecture names is there.
#[test]
fn the_architecture_names_files_that_are_there() {
    let codec = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(codec.join("../ARCHITECTURE.md")).expect("a page");
    let mut count = 0;
    for name in
        text.split('`').skip(1).step_by(2).filter(|name| !name.contains(' ') && !name.contains("NAME"))
    {
        if !(name.contains('/') || name.ends_with(".rs")) {
            continue;
        }
        let folders = [codec.join(".."), codec.clone(), codec.join("src")];
        assert!(folders.iter().any(|folder| folder.join(name).exists()), "there is no {name}");
        count += 1;
    }
    assert!(count >= 12, "{count} names");
}

/// The formats of requests lie in one folder with what they share, and do not know each other either.
#[test]
fn formats_of_requests_do_not_know_each_other() {
    const FORMATS: [&str; 9] =
        ["anthropic", "bedrock", "completions", "jumpstart", "lmi", "openai", "text", "tgi", "triton"];
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/format/request");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in &files {
        let name = file.strip_prefix(&root).expect("below").with_extension("");
        let module = name.iter().next().and_then(|part| part.to_str()).expect("a name").to_owned();
        if module == "mod" {
            continue;
        }
        let text = std::fs::read_to_string(file).expect("UTF-8");
        for other in FORMATS.iter().filter(|other| **other != module) {
            for import in [format!("request::{other}"), format!("use super::{other}::")] {
                assert!(!text.contains(&import), "{name:?} uses {import}");
            }
        }
    }
    assert!(files.len() > FORMATS.len());
}
