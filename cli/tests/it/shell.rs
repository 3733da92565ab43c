//! `sagewire completions` and `sagewire man`.

use std::fs;

use crate::process::sagewire;

const COMMANDS: [&str; 9] =
    ["demo", "decode", "convert", "formats", "chat", "invoke", "emulate", "serve", "completions"];

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = sagewire(&["completions", shell], b"").succeeds();
        for command in COMMANDS {
            assert!(run.text().contains(command), "{shell}: {command}");
        }
        assert!(run.text().contains("inference-component"), "{shell}");
    }
    let run = sagewire(&["completions", "cmd"], b"");
    assert!(run.fails(2).starts_with("usage: invalid value 'cmd' for '<SHELL>'"));
}

#[test]
fn there_are_manual_pages() {
    let main = sagewire(&["man"], b"").succeeds();
    assert!(main.text().contains(".TH sagewire 1") && main.text().contains("Exit codes"));
    let folder = std::env::temp_dir().join(format!("sagewire-man-{}", std::process::id()));
    let path = folder.to_str().unwrap();
    assert!(sagewire(&["man", path], b"").fails(2).starts_with(&format!("usage: {path}: ")));
    fs::create_dir(&folder).unwrap();
    assert!(sagewire(&["man", path], b"").succeeds().stdout.is_empty());
    for command in COMMANDS {
        let page = fs::read_to_string(folder.join(format!("sagewire-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(folder.join("sagewire-convert-request.1").is_file());
    fs::remove_dir_all(folder).unwrap();
}
