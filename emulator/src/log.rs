//! The log of received requests.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use bytes::Bytes;

/// Most requests in the log. Older ones are removed, so that an emulator can run for days.
const COUNT_MAX: usize = 1024;
/// Most bytes of requests in the log.
const LEN_MAX: usize = 64 << 20;

/// A request as it was received.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query. Signatures and session tokens are replaced by `REDACTED`.
    pub path: String,
    /// Names in lower case, and values. Signatures, session tokens and identity tokens are replaced by
    /// `REDACTED`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// The value of a header, the first if there are several. `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A request without its body.
    pub(crate) fn new(parts: &Parts) -> Self {
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), redact(name, value)));
        Self {
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map(|path| redact_query(path.as_str())).unwrap_or_default(),
            headers: headers.collect(),
            body: Bytes::new(),
        }
    }

    /// About the bytes that the request holds.
    fn len(&self) -> usize {
        const PER_HEADER: usize = size_of::<(String, String)>();
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + PER_HEADER);
        self.path.len() + headers.sum::<usize>() + self.body.len()
    }
}

fn redact(name: &header::HeaderName, value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    match name.as_str() {
        "x-amz-security-token" | "x-amzn-sagemaker-customer-identity-token" => "REDACTED".into(),
        "authorization" => match text.split_once("Signature=") {
            Some((before, _)) => format!("{before}Signature=REDACTED"),
            None => "REDACTED".into(),
        },
        _ => text.into_owned(),
    }
}

/// Replaces the secrets of a presigned URL.
fn redact_query(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.into() };
    let field = |field: &str| match field.split_once('=') {
        Some((name, _))
            if ["X-Amz-Signature", "X-Amz-Security-Token"]
                .iter()
                .any(|secret| secret.eq_ignore_ascii_case(name)) =>
        {
            format!("{name}=REDACTED")
        }
        _ => field.into(),
    };
    format!("{path}?{}", query.split('&').map(field).collect::<Vec<_>>().join("&"))
}

/// Called with every request and the status of its response.
#[derive(Clone)]
pub(crate) struct Observer(pub(crate) Arc<Observe>);

type Observe = dyn Fn(&Request, u16) + Send + Sync;

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

/// Called with a message about each file that could not be written.
#[derive(Clone, Default)]
pub(crate) struct Reporter(pub(crate) Option<Arc<Report>>);

type Report = dyn Fn(&str) + Send + Sync;

impl Reporter {
    pub(crate) fn tell(&self, failure: &str) {
        if let Some(report) = &self.0 {
            report(failure);
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

/// The most recent requests.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<VecDeque<Request>>);

impl Log {
    pub(crate) fn push(&self, request: Request) {
        let mut requests = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        requests.push_back(request);
        let mut len: usize = requests.iter().map(Request::len).sum();
        while requests.len() > COUNT_MAX || len > LEN_MAX {
            len -= requests.pop_front().map_or(0, |request| request.len());
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).iter().cloned().collect()
    }
}
