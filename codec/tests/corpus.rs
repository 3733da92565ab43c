//! Runs the fuzzing corpora and every input that once failed, on stable Rust.

mod oracles;

use std::path::PathBuf;

fn run(target: &str, body: fn(&[u8])) -> usize {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut count = 0;
    for folder in ["corpus", "regressions"] {
        let Ok(entries) = std::fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            let data = std::fs::read(&path).expect("readable");
            if std::panic::catch_unwind(|| body(&data)).is_err() {
                panic!("{} fails", path.display());
            }
            count += 1;
        }
    }
    println!("{target}: {count} inputs");
    count
}

#[test]
fn frames() {
    assert!(run("frames", oracles::frames) >= 25);
}

#[test]
fn frames_repaired() {
    assert!(run("frames_repaired", oracles::frames_repaired) >= 25);
}

#[test]
fn sse() {
    assert!(run("sse", oracles::sse) >= 25);
}

#[test]
fn nested() {
    assert!(run("nested", oracles::nested) >= 90);
}

#[test]
fn transcode() {
    assert!(run("transcode", oracles::transcode) >= 90);
}

#[test]
fn alike() {
    assert!(run("alike", oracles::alike) >= 90);
}

#[test]
fn readers() {
    assert!(run("readers", oracles::readers) >= 20);
}

#[test]
fn requests() {
    assert!(run("requests", oracles::requests) >= 20);
}

#[test]
fn responses() {
    assert!(run("responses", oracles::responses) >= 20);
}

#[test]
fn errors() {
    assert!(run("errors", oracles::errors) >= 20);
}

#[test]
fn embeddings() {
    assert!(run("embeddings", oracles::embeddings) >= 20);
}

#[cfg(feature = "custom")]
#[test]
fn custom() {
    assert!(run("custom", oracles::custom) >= 20);
}
