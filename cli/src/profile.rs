//! The selected profile, and the files that define profiles.

use std::fmt;
use std::path::Path;

use sagewire_transport_reqwest::{AwsConfig, Error, ProfileFile};

use crate::environment;

/// The profile that is used by default. It does not have to exist.
const DEFAULT: &str = "default";

/// The profile with settings and credentials.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// The option or variable that selected it, if any.
    pub(crate) from: Option<&'static str>,
    files: [ProfileFile; 2],
}

impl Profile {
    /// The profile of this name, or the one that the environment selects.
    ///
    /// # Errors
    ///
    /// A profile file cannot be read.
    pub(crate) async fn new(name: Option<&str>) -> Result<Self, Error> {
        let (name, from) = match (name, environment::text("AWS_PROFILE")) {
            (Some(name), _) => (name.to_owned(), Some("--profile")),
            (None, Some(name)) => (name, Some("AWS_PROFILE")),
            (None, None) => (DEFAULT.to_owned(), None),
        };
        Ok(Self { name, from, files: AwsConfig::profile_files().await? })
    }

    /// The error message if the profile is in none of the files.
    pub(crate) fn missing(&self) -> Option<String> {
        if self.name == DEFAULT || self.files.iter().any(|file| self.is_in(file)) {
            return None;
        }
        let [config, credentials] = self.files.each_ref().map(profiles);
        let from = self.from.unwrap_or_default();
        Some(format!("{from}: there is no profile {:?}: {config}; {credentials}", self.name))
    }

    fn is_in(&self, file: &ProfileFile) -> bool {
        file.profiles.contains(&self.name)
    }
}

/// Writes its name and the files that define it.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "profile {}", self.name)?;
        for (index, file) in self.files.iter().filter(|file| self.is_in(file)).enumerate() {
            write!(f, "{} {}", if index == 0 { " in" } else { " and" }, short(&file.path))?;
        }
        Ok(())
    }
}

/// The names of the profiles in a file.
fn profiles(file: &ProfileFile) -> String {
    let path = short(&file.path);
    match file.profiles.as_slice() {
        _ if !file.exists => format!("{path} does not exist"),
        [] => format!("{path} has none"),
        names => format!("{path} has {}", names.join(", ")),
    }
}

/// The path, with `~` for the home directory.
fn short(path: &Path) -> String {
    match std::env::home_dir().and_then(|home| Some(path.strip_prefix(home).ok()?.display().to_string())) {
        Some(rest) => format!("~/{rest}"),
        None => path.display().to_string(),
    }
}
