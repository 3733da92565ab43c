//! Configurations: the gateway's own file, LiteLLM's, and what is wrong with either.

#![allow(missing_docs)]

mod litellm;
mod mutated;
mod own;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sagewire_gateway::config::{Config, ConfigError, Note};

/// A directory of a test. It is removed with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sagewire-config-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The environment of the tests. Its values are not in any message.
fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" | "CUSTOM_AWS_SECRET_ACCESS_KEY" | "AWS_SECRET_ACCESS_KEY" => Some(CANARY.to_owned()),
        "CUSTOM_AWS_ACCESS_KEY_ID" | "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
        "CUSTOM_AWS_REGION_NAME" | "AWS_REGION_NAME" => Some("eu-west-1".to_owned()),
        "VALKEY_URL" => Some(format!("redis://:{CANARY}@localhost:6379")),
        "COUNT" => Some("3".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// A secret that no message has.
const CANARY: &str = "canary-4711";

fn read_in(folder: &Path, text: &str) -> Result<(Config, Vec<Note>), ConfigError> {
    let result = Config::read(text, &folder.join("gateway.yaml"), environment);
    let messages = match &result {
        Ok((config, notes)) => format!("{config:?} {notes:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!messages.contains(CANARY), "a message has a secret: {messages}");
    result
}

fn read(text: &str) -> Result<(Config, Vec<Note>), ConfigError> {
    read_in(Path::new(""), text)
}

/// The messages of notes, with their lines.
fn lines(notes: &[Note]) -> Vec<String> {
    notes.iter().map(|note| format!("{}: {}", note.at.line, note.message)).collect()
}
