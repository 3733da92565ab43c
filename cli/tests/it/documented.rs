//! The commands in `README.md` and `docs/`, run as they are printed, and the links between the pages.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::{Emulate, command};
use crate::serve::Serve;

/// Commands that are not run, and why.
const SKIPPED: [(&str, &str); 4] = [
    ("sagewire chat --endpoint my-llm", "needs a terminal"),
    (
        "sagewire chat --profile work --role-arn arn:aws:iam::123456789012:role/llm --endpoint my-llm \"Hello\"",
        "needs an AWS account",
    ),
    ("sagewire emulate --upstream http://localhost:8000 --record calls", "needs a container"),
    ("sagewire emulate --script calls/000001-my-llm.json", "needs a recording of the command before it"),
];

/// The environment variables that the pages export before calls of an emulator.
const EXPORTS: [&str; 2] = [
    "export AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=http://127.0.0.1:8787 AWS_REGION=us-east-1",
    "export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `README.md` and the pages under `docs/`, by their paths from the root.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    pages
}

/// The lines of a page's shell blocks.
fn shell_lines(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut lines = Vec::new();
    let mut is_shell = false;
    for line in text.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => is_shell = !is_shell && language == "sh",
            None if is_shell => lines.push(line.trim().to_owned()),
            None => {}
        }
    }
    lines
}

/// A command, and the exit code that its comment announces.
fn parsed(line: &str) -> (&str, i32) {
    let (command, comment) = line.split_once(" # ").unwrap_or((line, ""));
    let code = comment.split_once("exits with ").map_or(0, |(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        digits.parse().unwrap()
    });
    (command.trim(), code)
}

/// Whether a command is a gateway that runs until it is stopped.
fn is_server(line: &str) -> bool {
    line.starts_with("sagewire serve ")
        && ["--check ", "--schema", "--new-key "].iter().all(|option| !line.contains(option))
}

/// A directory with a copy of the sample files, and `sagewire` on the path. It is removed with the value.
struct Checkout(PathBuf);

impl Checkout {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("sagewire-documented-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let data = path.join("examples/data");
        fs::create_dir_all(&data).unwrap();
        for entry in fs::read_dir(root().join("examples/data")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), data.join(entry.file_name())).unwrap();
        }
        fs::create_dir(path.join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sagewire"), path.join("bin/sagewire")).unwrap();
        Self(path)
    }

    /// A shell that runs `line` here, with the environment of the pages.
    fn shell(&self, line: &str, emulator: &str) -> Command {
        let mut shell = Command::new("sh");
        for (name, value) in command(&[]).get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let path = std::env::var("PATH").unwrap();
        // What a test appends is `$@` in the line.
        shell.args(["-c", line, "sh"]).current_dir(&self.0).stdin(Stdio::null());
        shell.env("PATH", format!("{}:{path}", self.0.join("bin").display()));
        shell.env("XDG_CACHE_HOME", self.0.join("cache"));
        shell.env("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", emulator).env("AWS_REGION", "us-east-1");
        shell.env("AWS_ACCESS_KEY_ID", sagewire_emulator::ACCESS_KEY_ID);
        shell.env("AWS_SECRET_ACCESS_KEY", sagewire_emulator::SECRET_ACCESS_KEY);
        shell
    }

    /// Starts an emulator as documented, on a free port, and stops it once it listens.
    fn emulate(&self, page: &str, line: &str) {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        if let Some(port) = arguments.iter().position(|argument| *argument == "--port") {
            arguments.drain(port..port + 2);
        }
        let line = format!("exec {} --port 0", arguments.join(" "));
        let mut child = self.shell(&line, "").stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(first.starts_with("listening on http://127.0.0.1:"), "{page}: {line}: {first:?}");
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn documented_commands_run_as_printed() {
    let script = root().join("examples/data/endpoints.json");
    let emulator = Emulate::new(&["--script", script.to_str().unwrap()]);
    let mut skipped = BTreeSet::new();
    let mut count = 0;
    for page in pages() {
        let checkout = Checkout::new();
        // The gateway that the page has started last.
        let mut gateway = None;
        for line in shell_lines(&page) {
            let (line, code) = parsed(&line);
            if line.starts_with("export ") {
                assert!(EXPORTS.contains(&line), "{page}: {line}");
            } else if let Some((line, _)) = SKIPPED.iter().find(|(skipped, _)| *skipped == line) {
                skipped.insert(*line);
            } else if line.starts_with("sagewire emulate") {
                checkout.emulate(&page, line);
                count += 1;
            } else if is_server(line) {
                gateway = Some(Serve::new(checkout.shell(&format!("exec {line} \"$@\""), &emulator.url)));
                count += 1;
            } else if line.starts_with("curl ") {
                let gateway: &Serve = gateway.as_ref().expect("a gateway");
                let line = line.replace("127.0.0.1:4000", &gateway.url);
                let output = checkout.shell(&line, &emulator.url).output().unwrap();
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && !output.stdout.is_empty(), "{page}: {line}: {stderr}");
                count += 1;
            } else if line.split(['|', '&', ';']).any(|part| part.trim().starts_with("sagewire ")) {
                let output = checkout.shell(line, &emulator.url).output().unwrap();
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(code), "{page}: {line}: {stderr}");
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count} commands were found");
    for (line, why) in SKIPPED {
        assert!(skipped.contains(line), "no page has a command that is skipped as it {why}: {line}");
    }
    assert!(EXPORTS[1].contains(sagewire_emulator::ACCESS_KEY_ID));
    assert!(EXPORTS[1].contains(sagewire_emulator::SECRET_ACCESS_KEY));
}

/// The pages that are checked for links: those of the root, of `docs/` and of each package.
fn linked_pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).chain([root()]) {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let files = entries.map(|entry| entry.unwrap().path());
        pages.extend(files.filter(|path| path.is_file() && path.extension().is_some_and(|end| end == "md")));
    }
    pages
}

/// The part of a URL after `#` that leads to a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut count = 0;
    for page in linked_pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let target = fs::read_to_string(&target).unwrap();
                let found = target.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
                assert!(found, "{}: {link}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 40, "{count} links were found");
}

#[test]
fn package_readmes_repeat_tested_code() {
    // The blocks of the README are doctests.
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let visible =
        |text: &str| text.lines().filter(|line| !line.starts_with("# ")).collect::<Vec<_>>().join("\n");
    let readme = visible(&readme);
    for page in
        linked_pages().iter().filter(|page| page.ends_with("README.md") && page.parent() != Some(&root()))
    {
        // Some pages are documentation of their crate, whose blocks are doctests.
        let source = fs::read_to_string(page.with_file_name("src").join("lib.rs")).unwrap_or_default();
        if source.contains("include_str!(\"../README.md\")") {
            continue;
        }
        let text = fs::read_to_string(page).unwrap();
        for block in text.split("```rust").skip(1) {
            let (_, code) = block.split_once('\n').unwrap();
            let (code, _) = code.split_once("```").unwrap();
            assert!(readme.contains(visible(code).trim()), "{}: not in README.md:\n{code}", page.display());
        }
    }
}
