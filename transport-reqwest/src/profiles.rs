//! Reads the profile files as the AWS CLI does, and hands them to the AWS SDK in the form that it accepts.
//!
//! The SDK rejects a whole file, or drops a section without an error, where the CLI reads on: names in quotes and with spaces,
//! indented keys, `key: value`. And it ignores a file that it cannot read. Requests would then go to another host, or be signed
//! with other credentials, than the file defines. Source for the syntax: `configparser` of Python, which the CLI uses, and
//! [Configuration and credential file settings](https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html).

use std::borrow::Cow;
use std::error::Error as _;
use std::path::PathBuf;

use aws_config::profile::{self, ProfileSet};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};
use sagewire_transport::Error;

/// The kinds of files, the variables with their paths, and the default paths.
const FILES: [(EnvConfigFileKind, &str, &str); 2] = [
    (EnvConfigFileKind::Config, "AWS_CONFIG_FILE", "~/.aws/config"),
    (EnvConfigFileKind::Credentials, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
];
pub(crate) const DEFAULT: &str = "default";
const SERVICES: &str = "services ";
/// The keys whose value is the name of a section.
const REFERENCES: [&str; 3] = ["source_profile", "sso_session", "services"];

/// The profile files.
#[derive(Debug)]
pub(crate) struct Profiles {
    /// The files as the SDK accepts them. Names of sections are [encoded](encoded).
    pub(crate) files: EnvConfigFiles,
    set: ProfileSet,
    /// The sections of both files, as `kind name`.
    sections: Vec<String>,
    /// The configuration, and the credentials.
    pub(crate) paths: [ProfileFile; 2],
}

/// A file of profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProfileFile {
    /// The variable that selects another file.
    pub variable: &'static str,
    /// The variable is set.
    pub is_selected: bool,
    /// The path.
    pub path: PathBuf,
    /// Whether it exists.
    pub exists: bool,
    /// The names of its profiles, in order.
    pub profiles: Vec<String>,
}

impl Profiles {
    /// Reads the files. Missing ones are empty.
    ///
    /// # Errors
    ///
    /// A file cannot be read. The error does not quote the line, because it may contain a secret.
    pub(crate) async fn load() -> Result<Self, Error> {
        let (mut all, mut paths) = (Vec::new(), Vec::new());
        let mut files = EnvConfigFiles::builder();
        for (kind, variable, default) in FILES {
            let named = std::env::var(variable).ok().filter(|path| !path.trim().is_empty());
            let path = expanded(named.as_deref().unwrap_or(default));
            let unusable = |what| Error::config(format!("{} {what}", path.display()));
            let (text, exists) = match Fs::real().read_to_end(&path).await {
                Ok(bytes) => (text(bytes).map_err(unusable)?, true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => (String::new(), false),
                // The default path may be unreadable if there is no home directory.
                Err(_) if named.is_none() && std::fs::metadata(&path).is_err() => (String::new(), false),
                Err(error) => return Err(unusable(format!("cannot be read: {error}"))),
            };
            let mut sections = Vec::new();
            let text = normalized(&text, &mut sections);
            let single = EnvConfigFiles::builder().with_contents(kind, &text).build();
            let invalid = |reason| Error::config(format!("error parsing {} {reason}", path.display()));
            parsed(&single).await.map_err(invalid)?;
            files = files.with_contents(kind, text);
            let profiles = sections.iter().filter_map(|section| profile_name(kind, section)).collect();
            paths.push(ProfileFile { variable, is_selected: named.is_some(), path, exists, profiles });
            all.append(&mut sections);
        }
        let files = files.build();
        let set = parsed(&files).await.map_err(Error::config)?;
        let paths = paths.try_into().expect("there are two files");
        Ok(Self { files, set, sections: all, paths })
    }

    /// A value of a profile, by its [encoded](encoded) name, that is not blank.
    pub(crate) fn get(&self, profile: Option<&str>, key: &str) -> Option<&str> {
        let value = self.set.get_profile(profile.unwrap_or(DEFAULT))?.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The paths of the files, for errors.
    fn shown_paths(&self) -> String {
        let [config, credentials] = self.paths.each_ref().map(|file| file.path.display());
        format!("{config} and {credentials}")
    }

    /// Whether there is a profile with this encoded name.
    pub(crate) fn has(&self, profile: &str) -> bool {
        self.set.get_profile(profile).is_some()
    }

    /// Whether there is a session of SSO with this encoded name.
    pub(crate) fn has_session(&self, name: &str) -> bool {
        self.set.sso_session(name).is_some()
    }

    /// A value of a session of SSO, by its encoded name, that is not blank.
    pub(crate) fn of_session(&self, name: &str, key: &str) -> Option<&str> {
        let value = self.set.sso_session(name)?.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The name of the selected profile, as the SDK knows it: `name`, or that of `AWS_PROFILE`. `None` if none is selected.
    ///
    /// # Errors
    ///
    /// A profile is selected that does not exist, or that refers to a section `services` that does not exist. With another
    /// profile, requests would be signed with other credentials; without the section, they would go to another host.
    pub(crate) fn selected(&self, name: Option<&str>) -> Result<Option<String>, Error> {
        let variable = std::env::var("AWS_PROFILE").ok();
        let is_blank = |name: &str| name.trim().is_empty();
        // The SDK would look for a profile with a blank name.
        let variable = variable.as_deref().map(|name| if is_blank(name) { DEFAULT } else { name });
        let selected = name.or(variable);
        let encoded = selected.map(|name| encoded(name).into_owned());
        let found = self.set.get_profile(encoded.as_deref().unwrap_or(DEFAULT));
        match (found, selected) {
            (None, Some(name)) if name != DEFAULT => {
                return Err(Error::config(format!("there is no profile {name:?} in {}", self.shown_paths())));
            }
            (None, _) => return Ok(None),
            _ => {}
        }
        let profile = encoded.as_deref();
        match self.get(profile, "services") {
            Some(name) if !self.sections.contains(&format!("{SERVICES}{name}")) => {
                Err(Error::config(format!(
                    "the profile {:?} has services = {name}, but there is no section [services {name}] in {}",
                    selected.unwrap_or(DEFAULT),
                    self.shown_paths(),
                    name = decoded(name),
                )))
            }
            _ => Ok(encoded),
        }
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        format!("is not UTF-8 on line {}", before.iter().filter(|byte| **byte == b'\n').count() + 1)
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

async fn parsed(files: &EnvConfigFiles) -> Result<ProfileSet, String> {
    profile::load(&Fs::real(), &Env::real(), files, None).await.map_err(|error| {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        // `error parsing PATH on line N:` and the reason on a line of its own. The path is not known to the SDK.
        match cause.split_once(" on line ") {
            Some((_, rest)) => format!("on line {}", rest.replace("\n  ", " ")),
            None => cause.replace("\n  ", " "),
        }
    })
}

/// The file as the SDK accepts it, line by line. Adds its sections to `sections`.
fn normalized(text: &str, sections: &mut Vec<String>) -> String {
    let mut out = String::with_capacity(text.len());
    // The indentation of the key whose value may continue on the next line.
    let mut key_indent = None;
    for line in text.lines() {
        let trimmed = line.trim();
        let indent = line.len() - line.trim_start().len();
        let is_comment = trimmed.starts_with(['#', ';']);
        if trimmed.is_empty() || is_comment {
            // The line is kept, so that line numbers in errors are those of the file.
        } else if key_indent.is_some_and(|key_indent| indent > key_indent) {
            out.push_str("  ");
            out.push_str(trimmed);
        } else if let Some((name, _)) = trimmed.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            let name = section(name);
            out.push_str(&format!("[{name}]"));
            sections.push(name);
            key_indent = None;
        } else {
            key_indent = Some(indent);
            out.push_str(&key(trimmed));
        }
        out.push('\n');
    }
    out
}

/// The name of a section: `default`, `KIND NAME` in the configuration, or `NAME` in the credentials.
fn section(text: &str) -> String {
    let text = text.trim();
    let kind = ["profile", "sso-session", "services"].into_iter().find_map(|kind| {
        let name = text.strip_prefix(kind)?;
        name.starts_with([' ', '\t', '"', '\'']).then_some((kind, name))
    });
    match kind {
        Some((kind, name)) => format!("{kind} {}", encoded(unquoted(name.trim()))),
        None => encoded(unquoted(text)).into_owned(),
    }
}

/// The name of the profile that a section defines in a file of this kind.
fn profile_name(kind: EnvConfigFileKind, section: &str) -> Option<String> {
    let kinds = ["profile ", "sso-session ", "services "];
    let name = match kind {
        EnvConfigFileKind::Config if section != DEFAULT => section.strip_prefix("profile ")?,
        _ if kinds.iter().any(|kind| section.starts_with(kind)) => return None,
        _ => section,
    };
    Some(decoded(name).into_owned())
}

/// A line `key = value` or `key: value`.
fn key(line: &str) -> Cow<'_, str> {
    let Some((key, value)) = line.split_once(['=', ':']) else { return line.into() };
    let (key, value) = (key.trim(), value.trim());
    let value = if REFERENCES.contains(&key) { encoded(value) } else { value.into() };
    format!("{key} = {value}").into()
}

fn unquoted(name: &str) -> &str {
    let inner = |quote| name.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(name)
}

/// The name of a section with percent encoding of what the SDK does not accept in names.
fn encoded(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-/.@:+".contains(byte);
    if name.bytes().all(|byte| is_plain(&byte)) {
        return name.into();
    }
    let mut out = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        match is_plain(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out.into()
}

/// The name that was [encoded](encoded).
pub(crate) fn decoded(name: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(name).decode_utf8_lossy()
}

/// The path with the home directory in place of `~`, and the values of `$NAME` and `${NAME}`. Unknown variables are kept.
fn expanded(path: &str) -> PathBuf {
    let mut parts = path.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
            Some(braced) => braced,
            None => part
                .split_at(part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len())),
        };
        match std::env::var(name) {
            Ok(value) if !name.is_empty() => out.extend([&value, rest]),
            _ => out.extend(["$", part]),
        }
    }
    match (out.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => out.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        normalized(text, &mut Vec::new()).lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_are_read_as_by_the_aws_cli() {
        for (line, expected) in [
            ("[profile 'a b']", "[profile a%20b]"),
            ("[profile \"a b\"]", "[profile a%20b]"),
            ("[profile a(b)] text", "[profile a%28b%29]"),
            (" [ default ]", "[default]"),
            ("[sso-session 'my sso']", "[sso-session my%20sso]"),
            ("[services büro]", "[services b%C3%BCro]"),
            ("[100%]", "[100%25]"),
            ("[profiles]", "[profiles]"),
            ("region: eu-west-1", "region = eu-west-1"),
            ("role_arn=arn:aws:iam::1:role/r", "role_arn = arn:aws:iam::1:role/r"),
            ("source_profile = a b", "source_profile = a%20b"),
            ("sso_session=my sso", "sso_session = my%20sso"),
            ("credential_process = tool 'a b'", "credential_process = tool 'a b'"),
            ("  # comment", ""),
            ("no key", "no key"),
        ] {
            assert_eq!(lines(line), [expected], "{line}");
        }
    }

    #[test]
    fn indented_keys_and_nested_keys_are_distinguished() {
        let text = "[default]\n  region = a\n  output = json\n[services s]\nsagemaker_runtime =\n  endpoint_url = http://a\n\
                    \n  # comment\n  other = b\nnext = c\n";
        let expected = "[default]\nregion = a\noutput = json\n[services s]\nsagemaker_runtime = \n  endpoint_url = http://a\n\
                        \n\n  other = b\nnext = c\n";
        let mut sections = Vec::new();
        assert_eq!(normalized(text, &mut sections), expected);
        assert_eq!(sections, ["default", "services s"]);
    }

    #[test]
    fn encoded_names_are_distinct() {
        for (name, expected) in
            [("a b", "a%20b"), ("a%20b", "a%2520b"), ("work", "work"), ("a/b.c@d:e+f", "a/b.c@d:e+f")]
        {
            assert_eq!(encoded(name), expected);
            assert_eq!(decoded(expected), name);
        }
    }
}
