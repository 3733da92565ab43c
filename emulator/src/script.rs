//! Scripts: the file format, validated while it is parsed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::container::ContainerFormat;
use crate::cut::{Chunks, Cut, Random};
use crate::fault::Fault;
use crate::pace::Pace;

/// The format of a script, for `--help` texts: see [`Script`].
pub const SCRIPT_HELP: &str = include_str!("../script.txt");

/// The responses of the emulator.
///
/// ```text
#[doc = include_str!("../script.txt")]
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub(crate) rules: Vec<Rule>,
}

impl Script {
    /// Reads a script from a file. Paths in it are relative to its directory.
    ///
    /// # Errors
    ///
    /// The file or a `body_file` cannot be read, the JSON is invalid, a field is unknown, or a value is out of range.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ScriptError> {
        let path = path.as_ref();
        let text = read(path)?;
        let text =
            String::from_utf8(text.into()).map_err(|error| ScriptError::new(path, error.utf8_error()))?;
        let mut script: Self = serde_json::from_str(&text).map_err(|error| ScriptError::new(path, error))?;
        script.read_files(path.parent().unwrap_or(Path::new("")))?;
        Ok(script)
    }

    /// The default script: every endpoint echoes.
    pub(crate) fn echo(pause: Duration, seed: u64, pace: Option<Pace>) -> Self {
        let cut = match pace {
            // A load test needs tokens as a container sends them.
            Some(_) => Cut::Events,
            None => Cut::Random(Random::with_seed(seed)),
        };
        Self { rules: vec![Rule { pause, cut, pace, ..Rule::default() }] }
    }

    fn read_files(&mut self, folder: &Path) -> Result<(), ScriptError> {
        for rule in &mut self.rules {
            if let Source::File(path) = &rule.body {
                rule.body = Source::Bytes(read(&folder.join(path))?);
            }
        }
        Ok(())
    }
}

/// Parses a script. Paths in it are relative to the current directory.
impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script: Self = serde_json::from_str(text)
            .map_err(|error| ScriptError { path: None, message: error.to_string() })?;
        script.read_files(Path::new(""))?;
        Ok(script)
    }
}

/// Why a script is invalid: with the file, and with line and column if they are known.
#[derive(Clone, Debug)]
pub struct ScriptError {
    path: Option<PathBuf>,
    message: String,
}

impl ScriptError {
    fn new(path: &Path, error: impl fmt::Display) -> Self {
        Self { path: Some(path.into()), message: error.to_string() }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: {}", path.display(), self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ScriptError {}

fn read(path: &Path) -> Result<Bytes, ScriptError> {
    std::fs::read(path).map(Bytes::from).map_err(|error| ScriptError::new(path, error))
}

/// A validated rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "RawRule")]
pub(crate) struct Rule {
    /// `None` matches every endpoint.
    pub(crate) endpoint: Option<String>,
    pub(crate) times: Option<u64>,
    pub(crate) headers: HeaderMap,
    pub(crate) first_byte: Duration,
    pub(crate) pause: Duration,
    pub(crate) body: Source,
    pub(crate) pace: Option<Pace>,
    /// The API of the emulated container. `None` is the default of the emulator.
    pub(crate) format: Option<ContainerFormat>,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) cut: Cut,
    pub(crate) chunks: Chunks,
    pub(crate) fault: Option<Fault>,
    /// `None`: status 200.
    pub(crate) failure: Option<Failure>,
}

impl Rule {
    pub(crate) fn fits(&self, endpoint: &str) -> bool {
        self.endpoint.as_deref().is_none_or(|name| name == endpoint)
    }
}

/// The source of a response body.
#[derive(Clone, Debug, Default)]
pub(crate) enum Source {
    /// The container.
    #[default]
    Echo,
    Bytes(Bytes),
    /// Chunks, each after a pause.
    Chunks(Vec<(Duration, Bytes)>),
    /// A file that has not been read yet.
    File(PathBuf),
}

/// A response with a status other than 200.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) error_type: Option<HeaderValue>,
    pub(crate) message: Option<String>,
    /// The status of the container, in an error that the service wraps.
    pub(crate) original_status: Option<u16>,
}

impl Failure {
    /// An error of the service, with the type and the message of its status.
    pub(crate) fn of_service(status: u16) -> Self {
        Self { status, error_type: None, message: None, original_status: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default = "every")]
    endpoint: String,
    times: Option<u64>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    first_byte_ms: u64,
    #[serde(default)]
    pause_ms: u64,
    pace: Option<Pace>,
    body: Option<String>,
    body_base64: Option<String>,
    body_file: Option<PathBuf>,
    body_chunks: Option<Vec<RawChunk>>,
    /// The request of a recording, for readers of the file.
    #[serde(rename = "request")]
    _request: Option<IgnoredAny>,
    format: Option<ContainerFormat>,
    content_type: Option<String>,
    cut: Option<Cut>,
    chunks: Option<Chunks>,
    fault: Option<Fault>,
    error_type: Option<String>,
    message: Option<String>,
    retry_after: Option<u32>,
    original_status: Option<u16>,
}

fn every() -> String {
    "*".into()
}

fn ok() -> u16 {
    200
}

impl TryFrom<RawRule> for Rule {
    type Error = String;

    fn try_from(raw: RawRule) -> Result<Self, String> {
        if !(200..600).contains(&raw.status) {
            return Err(format!("status: must be 200 to 599, found {}", raw.status));
        }
        let failed = raw.status != 200;
        let misplaced = [
            ("format", failed && raw.format.is_some(), "200"),
            ("content_type", failed && raw.content_type.is_some(), "200"),
            ("cut", failed && raw.cut.is_some(), "200"),
            ("chunks", failed && raw.chunks.is_some(), "200"),
            ("fault", failed && raw.fault.is_some(), "200"),
            ("pace", failed && raw.pace.is_some(), "200"),
            ("body_chunks", failed && raw.body_chunks.is_some(), "200"),
            ("error_type", !failed && raw.error_type.is_some(), "other than 200"),
            ("message", !failed && raw.message.is_some(), "other than 200"),
            ("retry_after", !failed && raw.retry_after.is_some(), "other than 200"),
            ("original_status", raw.status != 424 && raw.original_status.is_some(), "424"),
        ];
        if let Some((field, _, status)) = misplaced.into_iter().find(|(_, misplaced, _)| *misplaced) {
            return Err(format!("{field}: goes with a status of {status}, found {}", raw.status));
        }
        let body = source(raw.body, raw.body_base64, raw.body_file, raw.body_chunks)?;
        if raw.format.is_some() && !matches!(body, Source::Echo) {
            return Err("format: goes without body, body_base64, body_file and body_chunks".into());
        }
        if raw.pace.is_some() && matches!(body, Source::Chunks(_)) {
            return Err("pace: goes without body_chunks, which have pauses of their own".into());
        }
        let mut headers = raw
            .headers
            .iter()
            .map(|(name, text)| {
                let name =
                    name.parse::<HeaderName>().map_err(|error| format!("headers: {name:?}: {error}"))?;
                Ok((name, value("headers", text)?))
            })
            .collect::<Result<HeaderMap, String>>()?;
        if let Some(seconds) = raw.retry_after {
            headers.insert(axum::http::header::RETRY_AFTER, seconds.into());
        }
        let error_type = raw.error_type.map(|text| value("error_type", &text)).transpose()?;
        let failure = failed.then_some(Failure {
            status: raw.status,
            error_type,
            message: raw.message,
            original_status: raw.original_status,
        });
        Ok(Self {
            endpoint: (raw.endpoint != "*").then_some(raw.endpoint),
            times: raw.times,
            headers,
            first_byte: Duration::from_millis(raw.first_byte_ms),
            pause: Duration::from_millis(raw.pause_ms),
            body,
            pace: raw.pace,
            format: raw.format,
            content_type: raw.content_type.map(|text| value("content_type", &text)).transpose()?,
            cut: raw.cut.unwrap_or_default(),
            chunks: raw.chunks.unwrap_or_default(),
            fault: raw.fault,
            failure,
        })
    }
}

fn source(
    text: Option<String>,
    base64: Option<String>,
    file: Option<PathBuf>,
    chunks: Option<Vec<RawChunk>>,
) -> Result<Source, String> {
    let mut sources = [
        text.map(|text| Ok(Source::Bytes(text.into()))),
        base64.map(|text| Ok(Source::Bytes(decoded("body_base64", &text)?))),
        file.map(|path| Ok(Source::File(path))),
        chunks.map(|chunks| {
            Ok(Source::Chunks(chunks.into_iter().map(RawChunk::read).collect::<Result<_, String>>()?))
        }),
    ]
    .into_iter()
    .flatten();
    match (sources.next(), sources.next()) {
        (None, _) => Ok(Source::Echo),
        (Some(source), None) => source,
        _ => Err("only one of body, body_base64, body_file and body_chunks may be given".into()),
    }
}

fn decoded(field: &str, text: &str) -> Result<Bytes, String> {
    Ok(STANDARD.decode(text).map_err(|error| format!("{field}: {error}"))?.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChunk {
    #[serde(default)]
    pause_ms: u64,
    text: Option<String>,
    base64: Option<String>,
}

impl RawChunk {
    fn read(self) -> Result<(Duration, Bytes), String> {
        let bytes = match (self.text, self.base64) {
            (Some(text), None) => text.into(),
            (None, Some(text)) => decoded("body_chunks: base64", &text)?,
            _ => return Err("body_chunks: exactly one of text and base64 must be given".into()),
        };
        Ok((Duration::from_millis(self.pause_ms), bytes))
    }
}

fn value(field: &str, text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| format!("{field}: {text:?} cannot be the value of a header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str) -> String {
        text.parse::<Script>().expect_err(text).to_string()
    }

    #[test]
    fn the_example_of_the_help_is_a_script() {
        let example = SCRIPT_HELP.split_once("EXAMPLE").unwrap().1;
        let script: Script = serde_json::from_str(example).unwrap();
        assert_eq!(script.rules.len(), 5);
        assert!(SCRIPT_HELP.lines().count() <= 70);
        assert!(SCRIPT_HELP.lines().all(|line| line.chars().count() <= 120));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, found) in [
            (r#"{"rules": [{"stauts": 1}]}"#, "unknown field `stauts`"),
            (r#"{"rules": [{"status": 99}]}"#, "status: must be 200 to 599, found 99"),
            (r#"{"rules": [{"body": "", "body_base64": ""}]}"#, "only one of"),
            (r#"{"rules": [{"body_base64": "?"}]}"#, "body_base64: "),
            (r#"{"rules": [{"format": "tgi", "body": ""}]}"#, "format: goes without body"),
            (
                r#"{"rules": [{"format": "tgi", "status": 500}]}"#,
                "format: goes with a status of 200, found 500",
            ),
            (r#"{"rules": [{"format": "lmi15"}]}"#, "unknown variant `lmi15`, expected one of `openai`"),
            (r#"{"rules": [{"cut": "everywhere"}]}"#, "unknown variant `everywhere`"),
            (r#"{"rules": [{"chunks": {"random": {"min": 0}}}]}"#, "min must be at least 1"),
            (r#"{"rules": [{"cut": {"random": {"min": 9, "max": 8}}}]}"#, "found min 9, max 8"),
            (r#"{"rules": [{"fault": {"after": 3}}]}"#, "fault: exactly one of"),
            (r#"{"rules": [{"fault": {"reset": true, "stall": true}}]}"#, "fault: exactly one of"),
            (r#"{"rules": [{"status": 503, "cut": "whole"}]}"#, "cut: goes with a status of 200, found 503"),
            (r#"{"rules": [{"pace": {"jitter": 2}}]}"#, "pace: jitter must be from 0 to 1"),
            (r#"{"rules": [{"pace": {}, "body_chunks": []}]}"#, "pace: goes without body_chunks"),
            (r#"{"rules": [{"message": "x"}]}"#, "message: goes with a status of other than 200"),
            (r#"{"rules": [{"headers": {"a b": "x"}}]}"#, "headers: \"a b\""),
            (r#"{"rules": [{"content_type": "a\nb"}]}"#, "cannot be the value of a header"),
        ] {
            let error = refused(text);
            assert!(error.contains(found) && error.contains("at line 1 column "), "{text}: {error}");
        }
        assert!(refused("{\n\"rules\": [{\"stauts\": 1}]}").contains("at line 2 column 19"));
    }

    #[test]
    fn files_are_relative_to_the_script() {
        let folder = std::env::temp_dir().join(format!("sagewire-script-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("answer.json"), "{}").unwrap();
        let path = folder.join("script.json");
        std::fs::write(&path, r#"{"rules": [{"body_file": "answer.json"}]}"#).unwrap();
        let script = Script::load(&path).unwrap();
        assert!(matches!(&script.rules[0].body, Source::Bytes(body) if body == "{}"));

        std::fs::write(&path, r#"{"rules": [{"body_file": "absent"}]}"#).unwrap();
        assert!(Script::load(&path).unwrap_err().to_string().contains("absent: "));
        std::fs::write(&path, "[").unwrap();
        assert!(Script::load(&path).unwrap_err().to_string().contains("script.json: "));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
