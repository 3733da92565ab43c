//! `InvokeEndpointAsync`: its request headers, and a local directory used in place of S3.
//!
//! `s3://BUCKET/KEY` is `FOLDER/BUCKET/KEY`.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use serde::Serialize;

use crate::error::{ACCOUNT, ServiceError};
use crate::json_text::to_json;
use crate::limits::Limits;
use crate::private_file;

const INPUT: &str = "x-amzn-sagemaker-inputlocation";
const INFERENCE_ID: &str = "x-amzn-sagemaker-inference-id";
const OUTPUT: HeaderName = HeaderName::from_static("x-amzn-sagemaker-outputlocation");
const FAILURE: HeaderName = HeaderName::from_static("x-amzn-sagemaker-failurelocation");

/// The input of an asynchronous request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Inline(Bytes),
    At(Location),
}

/// An accepted request.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) input: Input,
    pub(crate) output: Location,
    pub(crate) failure: Location,
    /// The timeout of the container.
    pub(crate) timeout: Duration,
    inference_id: String,
}

impl Job {
    /// Parses and validates a request. `id` is its request ID.
    ///
    /// # Errors
    ///
    /// The service's error for an invalid request.
    pub(crate) fn parse(
        headers: &HeaderMap,
        body: &Bytes,
        endpoint: &str,
        region: &str,
        id: &str,
        limits: &Limits,
    ) -> Result<Self, Box<ServiceError>> {
        let fields = Fields(headers);
        // Requests do not wait in a queue here, so the time to live is only validated.
        fields.number("x-amzn-sagemaker-requestttlseconds", 60..=21_600)?;
        let timeout = fields.number("x-amzn-sagemaker-invocationtimeoutseconds", 1..=3600)?.unwrap_or(900);
        let extension = fields.text("x-amzn-sagemaker-s3outputpathextension", 512)?;
        let file = fields.text("x-amzn-sagemaker-filename", 32)?;
        let inference_id = fields.text(INFERENCE_ID, 64)?;
        let input = input(fields.text(INPUT, 1024)?, body, limits)?;
        let bucket = format!("sagemaker-{region}-{ACCOUNT}");
        let folder = extension.map_or(String::new(), |extension| format!("{}/", extension.trim_matches('/')));
        let location = |kind: &str, name: &str| {
            let key = format!("async-endpoint-{kind}/{endpoint}/{folder}{name}");
            Location { bucket: bucket.clone(), key }
        };
        Ok(Self {
            input,
            output: location("outputs", file.map_or(&format!("{id}.out"), |file| file)),
            failure: location("failures", &format!("{id}-error.out")),
            timeout: Duration::from_secs(timeout),
            inference_id: inference_id.unwrap_or(id).into(),
        })
    }

    /// The immediate response to the client.
    pub(crate) fn accepted(&self) -> Response<Body> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Accepted<'a> {
            inference_id: &'a str,
        }
        let mut response = Response::new(Body::from(to_json(&Accepted { inference_id: &self.inference_id })));
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(OUTPUT, self.output.header());
        headers.insert(FAILURE, self.failure.header());
        response
    }
}

fn input(location: Option<&str>, body: &Bytes, limits: &Limits) -> Result<Input, Box<ServiceError>> {
    let refused = |message: &str| Err(Box::new(ServiceError::validation(message)));
    match location {
        Some(_) if !body.is_empty() => refused("Only one of InputLocation and Body may be given"),
        None if body.is_empty() => refused("One of InputLocation and Body must be given"),
        None if body.len() > limits.inline_len => {
            let (found, max) = (body.len(), limits.inline_len);
            refused(&format!("Body must be at most {max} bytes, found {found}; use InputLocation instead"))
        }
        None => Ok(Input::Inline(body.clone())),
        Some(text) => match Location::parse(text) {
            Some(location) => Ok(Input::At(location)),
            None => refused(&format!(
                "1 validation error detected: Value '{text}' at 'inputLocation' failed to satisfy constraint: Member \
                 must satisfy regular expression pattern: ^(https|s3)://([^/]+)/?(.*)$"
            )),
        },
    }
}

/// Reads headers and checks their bounds.
struct Fields<'a>(&'a HeaderMap);

impl<'a> Fields<'a> {
    fn text(&self, name: &str, len_max: usize) -> Result<Option<&'a str>, Box<ServiceError>> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        match value.to_str() {
            Ok(text) if (1..=len_max).contains(&text.len()) => Ok(Some(text)),
            _ => Err(Box::new(ServiceError::validation(&format!(
                "1 validation error detected: {name} must have 1 to {len_max} characters of ASCII"
            )))),
        }
    }

    fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Box<ServiceError>> {
        let Some(text) = self.text(name, 20)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            Box::new(ServiceError::validation(&format!(
                "1 validation error detected: {name} must be {} to {}, found {text}",
                range.start(),
                range.end()
            )))
        })
    }
}

/// A location in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    bucket: String,
    key: String,
}

impl Location {
    /// Parses `s3://BUCKET/KEY`, or the `https` URL of an object.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("s3://").or_else(|| text.strip_prefix("https://"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        (!bucket.is_empty()).then(|| Self { bucket: bucket.into(), key: key.into() })
    }

    fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.to_string())
            .expect("a region and headers of the request are the values of a header")
    }

    /// The file in the local directory used in place of S3. `None` if it would be outside of the directory.
    fn file(&self, folder: &Path) -> Option<PathBuf> {
        let mut path = folder.to_path_buf();
        for name in std::iter::once(self.bucket.as_str()).chain(self.key.split('/')) {
            let mut components = Path::new(name).components();
            let (Some(Component::Normal(component)), None) = (components.next(), components.next()) else {
                return None;
            };
            path.push(component);
        }
        Some(path)
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// The file does not exist or cannot be read.
    pub(crate) fn read(&self, folder: &Path) -> io::Result<Bytes> {
        let file = self.file(folder).ok_or_else(outside)?;
        check_inside(&file, folder)?;
        fs::read(file).map(Bytes::from)
    }

    /// Writes a file atomically.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn write(&self, folder: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(folder).ok_or_else(outside)?;
        let parent = file.parent().unwrap_or(folder);
        fs::create_dir_all(folder)?;
        let existing = parent.ancestors().find(|ancestor| ancestor.exists());
        check_inside(existing.unwrap_or(folder), folder)?;
        fs::create_dir_all(parent)?;
        // The name is no key's, and cannot be guessed.
        let part = parent.join(format!(".{:016x}.part", fastrand::u64(..)));
        let written = private_file::create(&part).and_then(|mut part| part.write_all(bytes));
        let written = written.and_then(|()| fs::rename(&part, file));
        if written.is_err() {
            // If this fails, the temporary file is left.
            let _ = fs::remove_file(part);
        }
        written
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Checks that links do not lead out of the directory used in place of S3.
fn check_inside(path: &Path, folder: &Path) -> io::Result<()> {
    if path.canonicalize()?.starts_with(folder.canonicalize()?) { Ok(()) } else { Err(outside()) }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the key is not the name of a file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out_of_the_folder() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let root = std::env::temp_dir().join(format!("sagewire-links-{}", std::process::id()));
        let (folder, outside) = (root.join("s3"), root.join("outside"));
        fs::create_dir_all(folder.join("bucket")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        symlink(&outside, folder.join("bucket/link")).unwrap();
        symlink(outside.join("secret"), folder.join("bucket/file")).unwrap();
        symlink(outside.join("secret"), folder.join("bucket/new.part")).unwrap();
        let location = |text| Location::parse(text).unwrap();
        assert!(location("s3://bucket/link/secret").read(&folder).is_err());
        assert!(location("s3://bucket/file").read(&folder).is_err());
        assert!(location("s3://bucket/link/new").write(&folder, b"text").is_err());
        assert!(location("s3://bucket/link/deep/new").write(&folder, b"text").is_err());
        // A link is replaced, and not written through.
        location("s3://bucket/file").write(&folder, b"text").unwrap();
        location("s3://bucket/new").write(&folder, b"text").unwrap();
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(&location("s3://bucket/new").read(&folder).unwrap()[..], b"text");
        let mode = fs::metadata(folder.join("bucket/new")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn locations_stay_in_their_folder() {
        let file = |text| Location::parse(text).unwrap().file(Path::new("s3"));
        assert_eq!(file("s3://bucket/a/b.json"), Some(Path::new("s3/bucket/a/b.json").into()));
        assert_eq!(file("https://host/key"), Some(Path::new("s3/host/key").into()));
        for outside in ["s3://../key", "s3://b/../../key", "s3://b/./key", "s3://b//key", "s3://b/", "s3://b"]
        {
            assert_eq!(file(outside), None, "{outside}");
        }
        for none in ["", "s3://", "s3:///key", "file:///etc/passwd", "bucket/key"] {
            assert_eq!(Location::parse(none), None, "{none}");
        }
    }
}
