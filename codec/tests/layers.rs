//! Imports point one way, no files import each other in a circle, and the core performs no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each module may import from the crate. Folders are one module, except that each API is a module of its own: APIs do
/// not know each other.
fn allowed(module: &str) -> &'static [&'static str] {
    // What APIs share: the files next to their folders.
    const SHARED: [&str; 18] = [
        "formats/chat_parts",
        "formats/conversion",
        "formats/edit",
        "formats/error_record",
        "formats/history",
        "formats/http_error",
        "formats/logprobs",
        "formats/media",
        "formats/messages",
        "formats/openai",
        "formats/openai_usage",
        "formats/parameters",
        "formats/request_reader",
        "formats/sampling",
        "formats/thinking",
        "formats/tool_calls",
        "formats/tool_names",
        "formats/unique_names",
    ];
    const API: [&str; 27] = [
        "assemble",
        "convert_error",
        "error",
        "eventstream",
        "formats/call_ids",
        "formats/chat_parts",
        "formats/conversion",
        "formats/error_record",
        "formats/http_error",
        "formats/logprobs",
        "formats/media",
        "formats/messages",
        "formats/openai",
        "formats/openai_usage",
        "formats/parameters",
        "formats/request_reader",
        "formats/sampling",
        "formats/thinking",
        "formats/tool_calls",
        "formats/tool_names",
        "formats/unique_names",
        "json",
        "limits",
        "media_type",
        "model",
        "records",
        "utf8",
    ];
    match module {
        "ablation" | "buffer" | "input" | "json" | "limits" | "media_type" | "setters" => &[],
        "utf8" => &["ablation"],
        "model" => &["json", "limits", "media_type", "setters"],
        "error" => &["model"],
        "convert_error" => &["json", "model"],
        "eventstream" => &["ablation", "buffer", "error", "input", "limits"],
        "sse" => &["buffer", "error", "input", "limits", "utf8"],
        "json_lines" => &["error", "input", "limits", "sse", "utf8"],
        "sagemaker" => &["error", "eventstream", "json", "model", "setters"],
        "records" => &["ablation", "buffer", "error", "limits", "sse"],
        "assemble" => &["buffer", "error", "json", "limits", "model", "records", "utf8"],
        "options" => &["formats/custom", "limits", "model", "records", "setters"],
        "formats" => &[],
        "formats/framed" => {
            &["buffer", "error", "eventstream", "formats/converse", "json", "model", "sagemaker"]
        }
        "formats/pass_through" => &["json", "model"],
        "formats/request" | "formats/writer" => {
            &["convert_error", "error", "formats", "json", "limits", "model"]
        }
        module if SHARED.contains(&module) => &[
            "convert_error",
            "formats/conversion",
            "formats/edit",
            "formats/error_record",
            "formats/media",
            "formats/parameters",
            "formats/python_repr",
            "formats/request_reader",
            "formats/tool_calls",
            "formats/unique_names",
            "json",
            "limits",
            "model",
        ],
        module if module.starts_with("formats/") => &API,
        "decode" => &[
            "ablation",
            "assemble",
            "buffer",
            "convert_error",
            "error",
            "eventstream",
            "formats",
            "input",
            "json",
            "limits",
            "model",
            "options",
            "records",
            "sagemaker",
            "utf8",
        ],
        "stream" | "io" => &["decode", "error", "model"],
        other => panic!("this test has to name what `{other}` may import"),
    }
}

/// The source files of the crate: their module paths, and their text without comments and unit tests.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, root, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below").with_extension("");
                let name = name.to_str().expect("UTF-8").replace('\\', "/");
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.insert(name, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    assert!(found.len() > 100, "the test reads the sources");
    found
}

/// The paths that a `use` tree names: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn flatten(tree: &str, prefix: &str, paths: &mut Vec<String>) {
    let mut depth = 0;
    let mut start = 0;
    let ends = tree.char_indices().chain([(tree.len(), ',')]);
    for (index, c) in ends {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = tree[start..index].trim();
                start = index + 1;
                match item.split_once('{') {
                    Some((path, rest)) => {
                        let inner = rest.strip_suffix('}').expect("a closed group");
                        flatten(inner, &format!("{prefix}{}", path.trim()), paths);
                    }
                    None if item.is_empty() => {}
                    None => paths.push(format!("{prefix}{}", item.split(" as ").next().unwrap_or_default())),
                }
            }
            _ => {}
        }
    }
}

/// The paths below `crate::` that a file names, in imports and inline.
fn named(text: &str) -> BTreeSet<String> {
    let mut paths = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let is_import = text[..at].ends_with("use ");
        if is_import {
            flatten(rest.split(';').next().unwrap_or_default(), "", &mut paths);
        } else {
            let path: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
            paths.push(path.trim_end_matches(':').to_owned());
        }
    }
    paths.into_iter().map(|path| path.split_whitespace().collect()).collect()
}

/// The module that a path leads to, for the table of layers.
fn module_of(path: &str) -> String {
    let mut parts = path.split("::");
    match (parts.next(), parts.next()) {
        (Some("formats"), Some(part)) if part.starts_with(|c: char| c.is_ascii_lowercase()) => {
            format!("formats/{part}")
        }
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}

#[test]
fn imports_point_downwards() {
    for (name, text) in &sources() {
        if name == "lib" || name == "formats/mod" {
            continue;
        }
        let module = module_of(&name.replace('/', "::"));
        for path in named(text) {
            let used = module_of(&path);
            let is_allowed = allowed(&module)
                .iter()
                .any(|allowed| *allowed == used || (*allowed == "formats" && used.starts_with("formats/")));
            assert!(
                used == module || is_allowed,
                "{name}.rs imports {path}: upwards, or this test does not know it yet"
            );
        }
    }
}

/// The file that defines the item at a path, found through the re-exports of `mod.rs`.
fn defined_in(path: &str, files: &BTreeMap<String, String>, depth: usize) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    for len in (1..=parts.len()).rev() {
        let prefix = parts[..len].join("/");
        if files.contains_key(&prefix) {
            return Some(prefix);
        }
        let facade = format!("{prefix}/mod");
        let Some(text) = files.get(&facade) else { continue };
        let Some(item) = parts.get(len) else { return Some(facade) };
        for (at, _) in text.match_indices(" use ") {
            let tree = text[at + " use ".len()..].split(';').next().unwrap_or_default();
            let mut exported = Vec::new();
            flatten(&tree.replace('\n', " "), "", &mut exported);
            // `use x::read as read_request` exports the second name.
            let renamed = tree.split(',').any(|part| {
                part.split(" as ")
                    .nth(1)
                    .is_some_and(|name| name.trim_end_matches(['}', ' ']).trim() == *item)
            });
            let found = exported
                .iter()
                .find(|path| path.rsplit("::").next() == Some(item) || (renamed && exported.len() == 1));
            if let (Some(found), 0..8) = (found, depth) {
                let full = match found.strip_prefix("crate::") {
                    Some(full) => full.to_owned(),
                    None => format!("{}::{found}", prefix.replace('/', "::")),
                };
                return defined_in(&full, files, depth + 1);
            }
        }
        return Some(facade);
    }
    None
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = sources();
    let mut imports: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in &files {
        // A `mod.rs` that only has re-exports is skipped.
        let is_facade = name == "lib" || (name.ends_with("/mod") && !text.contains("fn "));
        if is_facade {
            continue;
        }
        let used = named(text).into_iter().filter_map(|path| defined_in(&path, &files, 0));
        imports.insert(name, used.filter(|used| used != name).collect());
    }
    // Remove files that import none of the rest, or that none of the rest imports: they are in no circle.
    loop {
        let names: BTreeSet<String> = imports.keys().map(|name| (*name).to_owned()).collect();
        let imported: BTreeSet<String> = imports.values().flatten().cloned().collect();
        let before = imports.len();
        imports.retain(|name, used| imported.contains(*name) && !used.is_disjoint(&names));
        if imports.len() == before {
            break;
        }
    }
    let left: BTreeSet<String> = imports.keys().map(|name| (*name).to_owned()).collect();
    let circles: Vec<String> = imports
        .iter()
        .map(|(name, used)| format!("{name} -> {:?}", used.intersection(&left).collect::<Vec<_>>()))
        .collect();
    assert!(circles.is_empty(), "files that import each other:\n{}", circles.join("\n"));
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
            // Optional dependencies, each enabled by a feature.
            "futures-core",
            "hmac",
            "memchr",
            // A cell that is set once, works without `std`, and can be shared between threads.
            "once_cell",
            "serde",
            "serde_json",
            "serde_json_path",
            "sha2",
        ]
    );
}

/// The files that the architecture page names exist.
#[test]
fn the_architecture_page_names_existing_files() {
    let codec = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(codec.join("../ARCHITECTURE.md")).expect("a page");
    let mut count = 0;
    for name in
        text.split('`').skip(1).step_by(2).filter(|name| !name.contains([' ', '*']) && !name.contains("NAME"))
    {
        if !(name.contains('/') || name.ends_with(".rs")) {
            continue;
        }
        let folders = ["..", ".", "src", "../gateway/src", "../eval/src"].map(|folder| codec.join(folder));
        assert!(folders.iter().any(|folder| folder.join(name).exists()), "there is no {name}");
        count += 1;
    }
    assert!(count >= 12, "{count} names");
}
