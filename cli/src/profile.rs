//! The selected profile, and the files that define profiles. Only the names in these files are read.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::environment;

/// The profile that is used by default. It does not have to exist.
const DEFAULT: &str = "default";

/// The profile with settings and credentials.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// The option or variable that selected it, if any.
    pub(crate) from: Option<&'static str>,
    files: [File; 2],
}

/// A file of profiles.
#[derive(Debug)]
struct File {
    path: PathBuf,
    profiles: Result<Vec<String>, std::io::Error>,
}

impl Profile {
    /// The profile of this name, or the one that the environment selects.
    pub(crate) fn new(name: Option<&str>) -> Self {
        let (name, from) = match (name, environment::text("AWS_PROFILE")) {
            (Some(name), _) => (name.to_owned(), Some("--profile")),
            (None, Some(name)) => (name, Some("AWS_PROFILE")),
            (None, None) => (DEFAULT.to_owned(), None),
        };
        let files = [
            File::new("AWS_CONFIG_FILE", ".aws/config", "profile "),
            File::new("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", ""),
        ];
        Self { name, from, files }
    }

    /// The error message if the profile is in none of the files.
    pub(crate) fn missing(&self) -> Option<String> {
        if self.name == DEFAULT || self.files.iter().any(|file| file.has(&self.name)) {
            return None;
        }
        let [config, credentials] = &self.files;
        let from = self.from.unwrap_or_default();
        Some(format!("{from}: there is no profile {:?}: {config}; {credentials}", self.name))
    }
}

/// Writes its name and the files that define it.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile {}", self.name)?;
        for (index, file) in self.files.iter().filter(|file| file.has(&self.name)).enumerate() {
            write!(f, "{} {}", if index == 0 { " in" } else { " and" }, short(&file.path))?;
        }
        Ok(())
    }
}

impl File {
    fn new(variable: &str, path: &str, prefix: &str) -> Self {
        let path = match environment::text(variable) {
            Some(path) => match (path.strip_prefix("~/"), std::env::home_dir()) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => path.into(),
            },
            None => std::env::home_dir().unwrap_or_default().join(path),
        };
        let profiles = std::fs::read(&path).map(|text| names(&String::from_utf8_lossy(&text), prefix));
        Self { path, profiles }
    }

    fn has(&self, name: &str) -> bool {
        self.profiles.as_ref().is_ok_and(|names| names.iter().any(|found| found == name))
    }
}

/// Writes the names of its profiles.
impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = short(&self.path);
        match &self.profiles {
            Ok(names) if names.is_empty() => write!(f, "{path} has none"),
            Ok(names) => write!(f, "{path} has {}", names.join(", ")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => write!(f, "{path} does not exist"),
            Err(error) => write!(f, "{path} cannot be read: {error}"),
        }
    }
}

/// The path, with `~` for the home directory.
fn short(path: &Path) -> String {
    match std::env::home_dir().and_then(|home| Some(path.strip_prefix(home).ok()?.display().to_string())) {
        Some(rest) => format!("~/{rest}"),
        None => path.display().to_string(),
    }
}

/// The names of the sections that define profiles.
/// Source: [Configuration and credential file settings](https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html).
fn names(text: &str, prefix: &str) -> Vec<String> {
    let sections = text.lines().filter_map(|line| line.trim_start().strip_prefix('[')?.split_once(']'));
    sections
        .filter_map(|(section, _)| match section.trim() {
            DEFAULT => Some(DEFAULT),
            section => section.strip_prefix(prefix),
        })
        .map(|name| name.trim().trim_matches(['"', '\'']).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_sections() {
        let config = "# a comment\n[default]\nregion = x\n[profile work]\n\n [ profile \"two words\" ] # comment\n\
                      [sso-session s]\n[services t]\nnested =\n  [no section\n[work]\n";
        assert_eq!(names(config, "profile "), ["default", "work", "two words"]);
        assert_eq!(names("[default]\n[work]\naws_access_key_id = [x]\n", ""), ["default", "work"]);
        assert!(names("", "").is_empty());
    }
}
