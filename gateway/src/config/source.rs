//! Where a configuration comes from: a file and the environment.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::read::{ConfigError, FromYaml, Note, Position, Problem, Reader};
use super::{Config, Prices, litellm, yaml};

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 4 << 20;

impl Config {
    /// Reads a file, with the environment of the process.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a valid configuration.
    pub fn load(path: impl AsRef<Path>) -> Result<(Self, Vec<Note>), ConfigError> {
        let path = path.as_ref();
        let text = read_text(path).map_err(|error| {
            let problem =
                Problem { at: Position::START, message: format!("the file cannot be read: {error}") };
            ConfigError::new(path, vec![problem])
        })?;
        Self::read(&text, path, |name| std::env::var(name).ok())
    }

    /// Reads the text of a file: the gateway's own format, or LiteLLM's, which is recognized by its `model_list`.
    ///
    /// Relative paths start at the folder of `path`, which is not read itself. `environment` returns the values of environment
    /// variables. The notes are what is allowed in the file and may not be what was meant; for LiteLLM's files, also everything
    /// that is not taken over.
    ///
    /// # Errors
    ///
    /// All that is wrong with the file, with lines and columns. Messages have no secrets.
    pub fn read(
        text: &str,
        path: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Note>), ConfigError> {
        let root = yaml::parse(text).map_err(|problem| ConfigError::new(path, vec![problem]))?;
        let mut reader = Reader::new(path, &environment);
        let is_litellm = root.get("model_list").is_some();
        let read = match is_litellm {
            true => litellm::read(&root, &mut reader),
            false => <Self as FromYaml>::read(&root, &mut reader).map(|config| (config, Default::default())),
        };
        let Some((config, positions)) = read.filter(|_| reader.problems.is_empty()) else {
            return Err(ConfigError::new(path, reader.problems));
        };
        let position = |pointer: &str| match is_litellm {
            true => litellm::position(&positions, pointer),
            false => root.position(pointer),
        };
        for (pointer, message) in config.problems() {
            reader.problem::<()>(position(&pointer), message);
        }
        if !reader.problems.is_empty() {
            return Err(ConfigError::new(path, reader.problems));
        }
        let has_prices = config.models.iter().any(|model| model.prices != Prices::default());
        for (index, key) in config.keys.iter().enumerate() {
            if key.limits.budget.is_some() && !has_prices {
                let at = position(&format!("/keys/{index}/limits/budget"));
                reader.note(at, "no model has `prices`, so nothing is counted against the budget");
            }
        }
        reader.notes.sort_by_key(|note| note.at);
        Ok((config, reader.notes))
    }

    /// The JSON Schema of the gateway's own file.
    pub fn schema() -> serde_json::Value {
        let mut schema = <Self as FromYaml>::schema();
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["title"] = "Configuration of sagewire serve".into();
        schema
    }
}

pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_MAX {
        true => Err(io::Error::other(format!("it is larger than {FILE_MAX} bytes"))),
        false => Ok(text),
    }
}
