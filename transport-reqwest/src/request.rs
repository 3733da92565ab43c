//! What is asked of an endpoint.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::error::{Error, Kind};

const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// An invocation of an endpoint.
///
/// What SageMaker does not know, such as an `authorization` of the container's own, cannot be sent: the service removes
/// every other header.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) endpoint: String,
    pub(crate) body: Bytes,
    content_type: String,
    accept: Option<String>,
    inference_component: Option<String>,
    target_variant: Option<String>,
    target_container_hostname: Option<String>,
    target_model: Option<String>,
    session_id: Option<String>,
    custom_attributes: Option<String>,
    inference_id: Option<String>,
    prefix_aware_id: Option<String>,
    enable_explanations: Option<String>,
}

impl Request {
    /// A request to an endpoint by its name, with a JSON body.
    pub fn new(endpoint: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            endpoint: endpoint.into(),
            body: body.into(),
            content_type: "application/json".into(),
            accept: None,
            inference_component: None,
            target_variant: None,
            target_container_hostname: None,
            target_model: None,
            session_id: None,
            custom_attributes: None,
            inference_id: None,
            prefix_aware_id: None,
            enable_explanations: None,
        }
    }

    /// The media type of the body. Default: `application/json`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// The media type that the container is asked for.
    pub fn accept(mut self, accept: impl Into<String>) -> Self {
        self.accept = Some(accept.into());
        self
    }

    /// The inference component, where the endpoint has several.
    pub fn inference_component(mut self, name: impl Into<String>) -> Self {
        self.inference_component = Some(name.into());
        self
    }

    /// The production variant, where the endpoint has several.
    pub fn target_variant(mut self, name: impl Into<String>) -> Self {
        self.target_variant = Some(name.into());
        self
    }

    /// The container, where the endpoint has several that are invoked directly.
    pub fn target_container_hostname(mut self, name: impl Into<String>) -> Self {
        self.target_container_hostname = Some(name.into());
        self
    }

    /// The model of a multi-model endpoint. Not with [`Client::invoke_stream`](crate::Client::invoke_stream).
    pub fn target_model(mut self, path: impl Into<String>) -> Self {
        self.target_model = Some(path.into());
        self
    }

    /// The id of a stateful session, or `NEW_SESSION`. With [`Client::invoke_stream`](crate::Client::invoke_stream) an
    /// id only.
    pub fn session_id(mut self, id: impl Into<String>) -> Self {
        self.session_id = Some(id.into());
        self
    }

    /// What is passed on to the container as it is: printable ASCII, at most 1,024 characters.
    pub fn custom_attributes(mut self, text: impl Into<String>) -> Self {
        self.custom_attributes = Some(text.into());
        self
    }

    /// An id under which the invocation appears in captured data and events.
    pub fn inference_id(mut self, id: impl Into<String>) -> Self {
        self.inference_id = Some(id.into());
        self
    }

    /// Requests with the same id prefer the same instance, whose cache holds their common prefix.
    pub fn prefix_aware_id(mut self, id: impl Into<String>) -> Self {
        self.prefix_aware_id = Some(id.into());
        self
    }

    /// A JMESPath expression that says for which records Clarify explains the answer. Not with
    /// [`Client::invoke_stream`](crate::Client::invoke_stream).
    pub fn enable_explanations(mut self, expression: impl Into<String>) -> Self {
        self.enable_explanations = Some(expression.into());
        self
    }

    /// The path of the operation, below the endpoint URL.
    pub(crate) fn path(&self, stream: bool) -> Result<String, Error> {
        check("endpoint", &self.endpoint, 63, is_name)?;
        let operation = if stream { "invocations-response-stream" } else { "invocations" };
        Ok(format!("/endpoints/{}/{operation}", self.endpoint))
    }

    /// The headers that say all of this, checked against the model of the service.
    pub(crate) fn headers(&self, stream: bool) -> Result<HeaderMap, Error> {
        if stream {
            let unary = [
                ("target_model", self.target_model.is_some()),
                ("enable_explanations", self.enable_explanations.is_some()),
                ("session_id NEW_SESSION", self.session_id.as_deref() == Some("NEW_SESSION")),
            ];
            if let Some((field, _)) = unary.into_iter().find(|(_, set)| *set) {
                return Err(invalid(format!("{field} is not available with a streamed response")));
            }
        }
        let mut headers = HeaderMap::new();
        // The HTTP client would add it unsigned.
        headers.insert(header::ACCEPT, ANYTHING);
        let mut set = |field, name, value: Option<&String>, max, fits: fn(&str) -> bool| {
            let Some(value) = value else { return Ok(()) };
            check(field, value, max, fits)?;
            let value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok());
            let value = value.ok_or_else(|| invalid(format!("{field} must be printable ASCII")))?;
            headers.insert(name, value);
            Ok(())
        };
        let any = |_: &str| true;
        let accept = if stream { name("accept") } else { header::ACCEPT };
        set("content_type", header::CONTENT_TYPE, Some(&self.content_type), 1024, any)?;
        set("accept", accept, self.accept.as_ref(), 1024, any)?;
        for (field, suffix, value, max, fits) in [
            (
                "inference_component",
                "inference-component",
                &self.inference_component,
                63,
                is_name as fn(&str) -> bool,
            ),
            ("target_variant", "target-variant", &self.target_variant, 63, is_name),
            (
                "target_container_hostname",
                "target-container-hostname",
                &self.target_container_hostname,
                63,
                is_name,
            ),
            ("target_model", "target-model", &self.target_model, 1024, is_text),
            ("session_id", "session-id", &self.session_id, 256, is_session_id),
            ("custom_attributes", "custom-attributes", &self.custom_attributes, 1024, any),
            ("inference_id", "inference-id", &self.inference_id, 64, is_text),
            ("prefix_aware_id", "prefix-aware-id", &self.prefix_aware_id, 64, is_text),
            ("enable_explanations", "enable-explanations", &self.enable_explanations, 64, is_text),
        ] {
            set(field, name(suffix), value.as_ref(), max, fits)?;
        }
        Ok(headers)
    }
}

fn name(suffix: &str) -> HeaderName {
    format!("x-amzn-sagemaker-{suffix}").parse().expect("letters and hyphens are a name")
}

fn check(field: &str, value: &str, max: usize, fits: fn(&str) -> bool) -> Result<(), Error> {
    let len = value.len();
    if len > max {
        return Err(invalid(format!("{field} has {len} characters, more than the {max} allowed")));
    }
    if !fits(value) {
        return Err(invalid(format!("{field} {value:?} does not have the form that the service asks for")));
    }
    Ok(())
}

/// `^[a-zA-Z0-9](-*[a-zA-Z0-9])*`
fn is_name(text: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && end(text.bytes().next())
        && end(text.bytes().last())
}

/// `\A\S[\p{Print}]*\z`
fn is_text(text: &str) -> bool {
    text.starts_with(|c: char| !c.is_whitespace())
}

/// `NEW_SESSION` or `^[a-zA-Z0-9](-*[a-zA-Z0-9])*`
fn is_session_id(text: &str) -> bool {
    text == "NEW_SESSION" || is_name(text)
}

fn invalid(what: String) -> Error {
    Error::new(Kind::InvalidRequest(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_goes_where_the_operation_wants_it() {
        let request = Request::new("e", "").accept("text/event-stream");
        let unary = request.headers(false).unwrap();
        assert_eq!(unary["accept"], "text/event-stream");
        assert!(!unary.contains_key("x-amzn-sagemaker-accept"));
        let stream = request.headers(true).unwrap();
        assert_eq!(stream["accept"], ANYTHING);
        assert_eq!(stream["x-amzn-sagemaker-accept"], "text/event-stream");
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let request = || Request::new("my-llm", "");
        for (request, found) in [
            (Request::new("-a", ""), "endpoint \"-a\""),
            (Request::new("", ""), "endpoint \"\""),
            (Request::new("a/../b", ""), "endpoint"),
            (Request::new("x".repeat(64), ""), "endpoint has 64 characters, more than the 63 allowed"),
            (request().inference_component("a_b"), "inference_component"),
            (request().target_variant("a-"), "target_variant"),
            (request().target_container_hostname("a.b"), "target_container_hostname"),
            (request().target_model(" a"), "target_model"),
            (request().session_id("NEW"), ""),
            (request().session_id("NEW_"), "session_id"),
            (request().custom_attributes("é"), "custom_attributes must be printable ASCII"),
            (request().custom_attributes("a\r\nb: c"), "custom_attributes must be printable ASCII"),
            (request().inference_id(""), "inference_id"),
            (request().prefix_aware_id("x".repeat(65)), "prefix_aware_id has 65"),
        ] {
            let result = request.path(false).and_then(|_| request.headers(false));
            match (found, result) {
                ("", result) => assert!(result.is_ok()),
                (found, Ok(_)) => panic!("{found}"),
                (found, Err(error)) => {
                    assert!(error.is_invalid_request() && error.to_string().contains(found), "{error}");
                }
            }
        }
    }

    #[test]
    fn the_streaming_operation_lacks_three() {
        for (request, field) in [
            (Request::new("e", "").target_model("m.tar.gz"), "target_model"),
            (Request::new("e", "").enable_explanations("`true`"), "enable_explanations"),
            (Request::new("e", "").session_id("NEW_SESSION"), "session_id NEW_SESSION"),
        ] {
            assert!(request.headers(false).is_ok());
            let error = request.headers(true).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("invalid request: {field} is not available with a streamed response")
            );
        }
    }
}
