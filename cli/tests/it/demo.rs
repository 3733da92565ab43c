//! `sagewire demo`.

use std::io::Read;

use crate::process::{FORMATS, command, sagewire};

#[test]
fn the_demo_shows_a_call() {
    // It is the default command.
    let run = sagewire(&[], b"").succeeds();
    for found in [
        "POST http://127.0.0.1:",
        "AWS Signature Version 4, key AKIDEXAMPLE",
        "survive the way to me?”\n\nNo model has read this",
        "Nothing was lost on the way, and nothing was added.",
        "inside a line",
        "inside a character",
        "ending         complete",
        "finish reason  stop",
        "tokens in",
        "first token    after ",
        "events/s",
        "{\"messageStart\":{\"role\":\"assistant\"}}",
        "{\"messageStop\":{\"stopReason\":\"end_turn\"}}",
        "{\"metadata\":{\"usage\":",
        "sagewire decode --help",
        "sagewire emulate",
    ] {
        assert!(run.text().contains(found), "{found} is not in\n{}", run.text());
    }
    assert!(!run.text().contains(" 0 inside a character"));
}

#[test]
fn every_container_is_decoded() {
    for (format, ending) in FORMATS {
        let run = sagewire(&["demo", "--format", format, "--pause-ms", "0"], b"").succeeds();
        let name = format!("  format  {format}\n");
        let ending = format!("  ending         {ending}");
        let text = "  text           complete: ";
        for found in [&*name, "survive the way to me?”\n\nNo model has read this", text, &ending] {
            assert!(run.text().contains(found), "{format}: {found} is not in\n{}", run.text());
        }
    }
    let unknown = sagewire(&["demo", "--format", "bedrock"], b"");
    let line = unknown.fails(2);
    assert!(FORMATS.iter().all(|(format, _)| line.contains(format)), "{line}");
}

#[test]
fn cuts_depend_on_the_seed() {
    let cuts = |seed| {
        let run = sagewire(&["demo", "--seed", seed, "--pause-ms", "0"], b"").succeeds();
        run.text().lines().find(|line| line.contains("inside a line")).unwrap().to_string()
    };
    assert_eq!(cuts("1"), cuts("1"));
    assert_ne!(cuts("1"), cuts("2"));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut child = command(&["demo"]).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
