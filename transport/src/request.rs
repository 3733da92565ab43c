//! Requests to endpoints.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::endpoint::{Endpoint, Operation, amzn, check, header_value, invalid, is_text};
use crate::error::Error;

const JSON: &str = "application/json";
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");
/// The largest body that an asynchronous invocation may contain, in bytes.
const INLINE_MAX: usize = 128_000;

/// An invocation of an endpoint.
///
/// Headers for the container, such as an `authorization` of its own, cannot be sent: SageMaker removes all headers that it
/// does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Request {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The body, in the format of the container.
    pub body: Bytes,
    /// The media type of the body. Default: `application/json`.
    pub content_type: String,
    /// The requested media type of the response.
    pub accept: Option<String>,
}

impl Request {
    /// A request to an endpoint, or to the endpoint of this name, with a JSON body.
    pub fn new(endpoint: impl Into<Endpoint>, body: impl Into<Bytes>) -> Self {
        Self { endpoint: endpoint.into(), body: body.into(), content_type: JSON.into(), accept: None }
    }

    /// Sets [`content_type`](Self::content_type).
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// Sets [`accept`](Self::accept).
    #[must_use]
    pub fn accept(mut self, accept: impl Into<String>) -> Self {
        self.accept = Some(accept.into());
        self
    }

    /// All headers of the request for this operation. `accept` is always one of them.
    ///
    /// # Errors
    ///
    /// Those of [`Endpoint::headers`], and a body that a [gateway](crate::Rules::Gateway) would refuse.
    pub fn headers(&self, operation: Operation) -> Result<HeaderMap, Error> {
        let mut headers = self.endpoint.headers(operation)?;
        self.endpoint.rules().check(self)?;
        let accept = match operation {
            Operation::Stream if self.endpoint.runtime.is_none() => amzn("accept")?,
            _ => header::ACCEPT,
        };
        let media_types = (self.content_type.as_str(), self.accept.as_deref());
        set_media_types(&mut headers, [header::CONTENT_TYPE, accept], media_types)?;
        Ok(headers)
    }

    /// Checks whether [`headers`](Self::headers) would succeed, without allocating them.
    ///
    /// # Errors
    ///
    /// Those of [`headers`](Self::headers).
    pub fn check(&self, operation: Operation) -> Result<(), Error> {
        self.endpoint.each(operation, |_, _| Ok(()))?;
        if self.endpoint.runtime.is_some() {
            self.endpoint.headers(operation)?;
        }
        self.endpoint.rules().check(self)?;
        media_types(&self.content_type, self.accept.as_deref()).map(drop)
    }
}

/// An asynchronous invocation of an endpoint.
///
/// The service responds at once with the location of the future response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct AsyncRequest {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The body.
    pub input: Input,
    /// The media type of the body. Default: `application/json`.
    pub content_type: String,
    /// The requested media type of the response.
    pub accept: Option<String>,
    /// A suffix for the path of the response in S3: at most 512 characters.
    pub output_path_extension: Option<String>,
    /// The file name of the response: 1 to 32 characters.
    pub filename: Option<String>,
    /// How long the request may wait for an instance, in whole seconds: 1 minute to 6 hours. Default: 6 hours.
    pub request_ttl: Option<Duration>,
    /// How long the container may take, in whole seconds: 1 second to 1 hour. Default: 15 minutes.
    pub invocation_timeout: Option<Duration>,
}

/// The body of an asynchronous invocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// In S3: `s3://bucket/key`.
    Location(String),
    /// In the request: at most 128,000 bytes.
    Inline(Bytes),
}

impl AsyncRequest {
    /// A request with a JSON body.
    pub fn new(endpoint: impl Into<Endpoint>, input: Input) -> Self {
        Self {
            endpoint: endpoint.into(),
            input,
            content_type: JSON.into(),
            accept: None,
            output_path_extension: None,
            filename: None,
            request_ttl: None,
            invocation_timeout: None,
        }
    }

    /// The body of the HTTP request: empty if the input is in S3.
    pub fn body(&self) -> Bytes {
        match &self.input {
            Input::Location(_) => Bytes::new(),
            Input::Inline(body) => body.clone(),
        }
    }

    /// All headers of the request, checked against the service model.
    ///
    /// # Errors
    ///
    /// Those of [`Endpoint::headers`], for [`Operation::Async`].
    pub fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = self.endpoint.headers(Operation::Async)?;
        let media_types = (self.content_type.as_str(), self.accept.as_deref());
        set_media_types(&mut headers, [amzn("content-type")?, amzn("accept")?], media_types)?;
        let is_location = |text: &str| text.starts_with("s3://") || text.starts_with("https://");
        let location = match &self.input {
            Input::Location(location) => Some(location.as_str()),
            Input::Inline(body) if body.len() > INLINE_MAX => {
                let len = body.len();
                return Err(invalid(format!(
                    "body has {len} bytes, more than the {INLINE_MAX} allowed inline"
                )));
            }
            Input::Inline(_) => None,
        };
        let texts = [
            ("input_location", "inputlocation", location, 1024, is_location as fn(&str) -> bool),
            (
                "output_path_extension",
                "s3outputpathextension",
                self.output_path_extension.as_deref(),
                512,
                |_| true,
            ),
            ("filename", "filename", self.filename.as_deref(), 32, is_text),
        ];
        for (field, name, value, max, fits) in texts {
            let Some(value) = value else { continue };
            check(field, value, max, fits)?;
            headers.insert(amzn(name)?, header_value(field, value)?);
        }
        let durations = [
            ("request_ttl", "requestttlseconds", self.request_ttl, 60..=21_600),
            ("invocation_timeout", "invocationtimeoutseconds", self.invocation_timeout, 1..=3_600),
        ];
        for (field, name, duration, range) in durations {
            let Some(seconds) = duration.map(|duration| duration.as_secs()) else { continue };
            if !range.contains(&seconds) {
                let (least, most) = (range.start(), range.end());
                return Err(invalid(format!("{field} is {seconds} seconds, allowed are {least} to {most}")));
            }
            headers.insert(amzn(name)?, HeaderValue::from(seconds));
        }
        Ok(headers)
    }
}

/// Sets the media types under the names that the operation has for them.
fn set_media_types(
    headers: &mut HeaderMap,
    [content_type_name, accept_name]: [HeaderName; 2],
    (content_type, accept): (&str, Option<&str>),
) -> Result<(), Error> {
    let (content_type, accept) = media_types(content_type, accept)?;
    headers.insert(content_type_name, content_type);
    // Without this, an HTTP client would add the header after signing.
    headers.insert(header::ACCEPT, ANYTHING);
    if let Some(accept) = accept {
        headers.insert(accept_name, accept);
    }
    Ok(())
}

fn media_types(
    content_type: &str,
    accept: Option<&str>,
) -> Result<(HeaderValue, Option<HeaderValue>), Error> {
    let checked = |field, value| {
        check(field, value, 1024, |_| true)?;
        header_value(field, value)
    };
    Ok((checked("content_type", content_type)?, accept.map(|value| checked("accept", value)).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_sent_in_the_header_of_the_operation() {
        let request = Request::new("e", "").accept("text/event-stream");
        let unary = request.headers(Operation::Invoke).unwrap();
        assert_eq!(unary["accept"], "text/event-stream");
        assert!(!unary.contains_key("x-amzn-sagemaker-accept"));
        let stream = request.headers(Operation::Stream).unwrap();
        assert_eq!(stream["accept"], ANYTHING);
        assert_eq!(stream["x-amzn-sagemaker-accept"], "text/event-stream");
    }

    #[test]
    fn check_finds_the_same_errors_as_headers() {
        let endpoint = || Endpoint::new("e");
        let request = |endpoint| Request::new(endpoint, "");
        for request in [
            request(endpoint()),
            request(Endpoint::new("-e")),
            request(endpoint().target_model("m")),
            request(endpoint().session_id("NEW_SESSION")),
            request(endpoint().target_variant("a_b")),
            request(endpoint().custom_attributes([("a", "b;c=d")])),
            request(endpoint()).content_type("é"),
            request(endpoint()).accept("a\r\nb: c"),
            request(endpoint()).accept("x".repeat(1025)),
        ] {
            for operation in [Operation::Invoke, Operation::Stream, Operation::OpenAi] {
                let [checked, built] = [request.check(operation).err(), request.headers(operation).err()]
                    .map(|error| error.map(|error| error.to_string()));
                assert_eq!(checked, built, "{request:?}");
            }
        }
    }

    #[test]
    fn asynchronous_invocations_have_headers_of_their_own() {
        let inline = AsyncRequest::new("e", Input::Inline("{}".into()));
        let headers = inline.headers().unwrap();
        assert_eq!(headers["x-amzn-sagemaker-content-type"], "application/json");
        assert!(!headers.contains_key("content-type") && inline.body() == "{}");

        let mut stored = AsyncRequest::new("e", Input::Location("s3://bucket/key".into()));
        stored.request_ttl = Some(Duration::from_secs(60));
        stored.invocation_timeout = Some(Duration::from_secs(3600));
        stored.filename = Some("response.json".into());
        stored.output_path_extension = Some("a/b".into());
        let headers = stored.headers().unwrap();
        assert_eq!(headers["x-amzn-sagemaker-inputlocation"], "s3://bucket/key");
        assert_eq!(headers["x-amzn-sagemaker-requestttlseconds"], "60");
        assert_eq!(headers["x-amzn-sagemaker-invocationtimeoutseconds"], "3600");
        assert_eq!(headers["x-amzn-sagemaker-filename"], "response.json");
        assert_eq!(headers["x-amzn-sagemaker-s3outputpathextension"], "a/b");
        assert!(stored.body().is_empty());
    }

    #[test]
    fn errors_name_the_invalid_field_of_an_asynchronous_invocation() {
        let location = |location: &str| AsyncRequest::new("e", Input::Location(location.into()));
        let with = |set: fn(&mut AsyncRequest)| {
            let mut request = location("s3://b/k");
            set(&mut request);
            request
        };
        for (request, found) in [
            (location("bucket/key"), "input_location"),
            (AsyncRequest::new("e", Input::Inline(vec![0; 128_001].into())), "body has 128001 bytes"),
            (
                with(|request| request.request_ttl = Some(Duration::from_secs(59))),
                "request_ttl is 59 seconds",
            ),
            (
                with(|request| request.invocation_timeout = Some(Duration::from_millis(900))),
                "invocation_timeout is 0 seconds, allowed are 1 to 3600",
            ),
            (with(|request| request.filename = Some(String::new())), "filename"),
            (
                with(|request| request.endpoint.target_model = Some("m".into())),
                "target_model is not available",
            ),
        ] {
            let error = request.headers().unwrap_err();
            assert!(error.is_invalid_request() && error.to_string().contains(found), "{error}");
        }
    }
}
