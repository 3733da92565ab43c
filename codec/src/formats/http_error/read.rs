//! Reads errors: AWS's, with the container's own error in a `ModelError`, and those of containers.

use alloc::string::{String, ToString};

use crate::formats::error_record as failure;
use crate::formats::http_error::{HttpError, HttpErrorKind};
use crate::json::{DEPTH_MAX, Json, Kind};
use crate::model::Failure;

impl HttpError {
    /// Reads the body of an error response. `error_type` is the header `x-amzn-errortype`, if there is one. This never fails:
    /// a body of unknown shape becomes the message.
    ///
    /// SageMaker's `ModelError` is unwrapped to the container's own error.
    pub fn read(status: u16, error_type: Option<&str>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let wrapper = Wrapper::read(text.as_bytes());
        let name = error_type.or(wrapper.name.as_deref()).map(local_name).unwrap_or_default();
        if let Some(original) = wrapper.original_status {
            let inner = wrapper.original_message.as_deref().unwrap_or_default();
            // 0: the container did not respond.
            let status = if (400..600).contains(&original) { original } else { 502 };
            let mut error = Self::of_container(status, inner);
            error.original_status = Some(original);
            if error.message.is_empty() {
                error.message = wrapper.message.unwrap_or_default();
            }
            return error;
        }
        if name.is_empty() {
            return Self::of_container(status, &text);
        }
        Self::of_service(status, name.to_string(), wrapper)
    }

    /// Reads an error of the service itself.
    fn of_service(status: u16, name: String, wrapper: Wrapper) -> Self {
        let message = wrapper.message.filter(|message| !message.is_empty()).or(wrapper.model_message);
        let message = message.unwrap_or_default();
        let by_code = wrapper.code.as_deref().and_then(HttpErrorKind::of_name);
        let kind = match by_code.or(HttpErrorKind::of_name(&name)) {
            Some(kind) => kind,
            None if is_missing_endpoint(&name, &message) => HttpErrorKind::NotFound,
            None if is_without_capacity(&name, &message) => HttpErrorKind::NotReady,
            None => HttpErrorKind::of(&name, status),
        };
        let status = match kind {
            HttpErrorKind::RateLimit
            | HttpErrorKind::Billing
            | HttpErrorKind::NotReady
            | HttpErrorKind::Authentication
            | HttpErrorKind::Signature
            | HttpErrorKind::NotFound => kind.status(),
            HttpErrorKind::Timeout if status != 504 => 408,
            HttpErrorKind::Server if status == 400 => 502,
            _ => status,
        };
        let (code, param, original_status) = (wrapper.code, None, None);
        Self { status, kind, name, code, param, message, original_status, resource_name: None }
    }

    /// Reads an error that a container wrote.
    fn of_container(status: u16, body: &str) -> Self {
        let trimmed = body.trim();
        let range = 0..trimmed.len();
        let is_object = crate::json::as_object(trimmed).is_some();
        let found = if is_object {
            failure::read_nested(trimmed.as_bytes(), &range, DEPTH_MAX).ok().flatten()
        } else {
            None
        };
        let (failure, is_nested) = found.unwrap_or_else(|| {
            let message = detail(trimmed).unwrap_or_else(|| trimmed.to_string());
            (Failure::new("error", None, message), false)
        });
        let kind = match is_nested {
            true => HttpErrorKind::of_failure(&failure),
            false => HttpErrorKind::of(&failure.name, status),
        };
        let Failure { name, code, message, param, .. } = failure;
        let original_status = Some(status);
        Self { status, kind, name, code, param, message, original_status, resource_name: None }
    }
}

/// SageMaker reports a missing endpoint as an invalid request: "Endpoint x of account 1 not found."
fn is_missing_endpoint(name: &str, message: &str) -> bool {
    name == "ValidationError"
        && message.starts_with("Endpoint ")
        && message.trim_end_matches('.').ends_with(" not found")
}

/// SageMaker reports an inference component that was scaled to zero as an invalid request: "Inference Component has no capacity
/// to process this request. …"
fn is_without_capacity(name: &str, message: &str) -> bool {
    name == "ValidationError" && message.contains("no capacity")
}

/// The wrapper that AWS puts around a container's error.
#[derive(Default)]
struct Wrapper {
    name: Option<String>,
    code: Option<String>,
    message: Option<String>,
    /// The error of the model server behind Bedrock.
    model_message: Option<String>,
    original_status: Option<u16>,
    original_message: Option<String>,
}

impl Wrapper {
    fn read(body: &[u8]) -> Self {
        let mut wrapper = Self::default();
        let mut json = Json::new(body, 0, DEPTH_MAX);
        if json.kind() != Ok(Kind::Object) {
            return wrapper;
        }
        let (mut named, mut is_containers) = (None, false);
        let read = json.object(|json, name| {
            let text = |json: &mut Json<'_>| {
                let string = json.string_or_skip()?;
                Ok(string.map(|string| String::from_utf8_lossy(&json.unescaped(string)).into_owned()))
            };
            match name {
                b"__type" => wrapper.name = text(json)?,
                b"code" => named = text(json)?,
                b"message" | b"Message" | b"errorMessage" => {
                    wrapper.message = text(json)?.or(wrapper.message.take())
                }
                b"ErrorCode" => wrapper.code = text(json)?,
                b"OriginalMessage" => wrapper.original_message = text(json)?,
                b"originalMessage" => wrapper.model_message = text(json)?,
                b"OriginalStatusCode" => {
                    wrapper.original_status =
                        json.integer_or_skip()?.and_then(|status| status.try_into().ok());
                }
                name => {
                    is_containers |=
                        matches!(name, b"error" | b"object" | b"type" | b"error_type" | b"detail");
                    json.skip()?;
                }
            }
            Ok(())
        });
        // Errors of containers have codes too.
        wrapper.name = named.filter(|_| !is_containers).or(wrapper.name);
        if read.is_err() { Self::default() } else { wrapper }
    }
}

/// `com.amazonaws.sagemaker#ModelError:http://internal.amazon.com/` → `ModelError`
fn local_name(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default()
}

/// `{"detail":…}`, as Python servers write it: a text, or a list of errors.
fn detail(body: &str) -> Option<String> {
    let mut json = Json::new(body.as_bytes(), 0, DEPTH_MAX);
    let (mut string, mut range) = (None, None);
    json.object(|json, name| {
        match name {
            b"detail" if json.kind()? == Kind::String => string = Some(json.string()?),
            b"detail" => range = Some(json.skip()?),
            _ => json.skip().map(drop)?,
        }
        Ok(())
    })
    .ok()?;
    match (string, range) {
        (Some(string), _) => Some(String::from_utf8_lossy(&json.unescaped(string)).into_owned()),
        (None, Some(range)) => Some(body[range].to_string()),
        _ => None,
    }
}
