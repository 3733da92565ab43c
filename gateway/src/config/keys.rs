//! New keys of clients.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::values::Hash;

/// Makes a key for a client: the key, which is not stored anywhere, and the entry of the configuration's `keys` with its hash.
/// The key has 32 bytes of the randomness of the operating system.
///
/// # Errors
///
/// The operating system has no randomness.
pub fn new_key(name: &str) -> std::io::Result<(String, String)> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    let key = format!("sk-{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = hex::encode(Hash::of(&key).0);
    // A JSON string is a YAML string.
    let name = serde_json::Value::from(name);
    Ok((key, format!("- name: {name}\n  hash: \"sha256:{hash}\"\n")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_new_key_is_accepted_by_its_hash() {
        let (key, entry) = new_key("team \"a\": #1").unwrap();
        let (other, _) = new_key("team").unwrap();
        assert_ne!(key, other);
        let text = format!("models: [{{name: a, endpoint: a}}]\nkeys:\n{entry}");
        let (config, notes) = Config::read(&text, Path::new("x.yaml"), |_| None).unwrap();
        assert_eq!(config.keys[0].name, "team \"a\": #1");
        assert_eq!(config.keys[0].hash, Some(Hash::of(&key).0));
        assert!(notes.is_empty() && !entry.contains(&key));
    }
}
