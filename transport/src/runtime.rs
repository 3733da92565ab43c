//! Services with other hosts and paths than SageMaker Runtime, and the rules of the Global Inference Gateway.
//!
//! Source of the gateway's rules: the model of the service `sagemaker-gateway-runtime` (2026-10-01) in the AWS SDKs, and
//! [its page](https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-model-deployment-global-inference-gateway.html).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::endpoint::{Endpoint, Operation, check, header_value, invalid, is_name};
use crate::error::Error;
use crate::request::Request;

/// The largest body of a request to the gateway, in bytes.
const GATEWAY_BODY_MAX: usize = 10 << 20;
/// What paths have in place of the name of the endpoint.
const NAME: &str = "{name}";
/// Headers that have settings of their own, or that belong to the signature or the connection.
const RESERVED: [&str; 9] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "x-amz-date",
    "x-amz-security-token",
];

/// A service that is invoked in place of SageMaker Runtime: its host, its paths, and further headers. Requests are signed for
/// SageMaker; bodies, retries and formats are the same. Whether a stream has event-stream frames is detected by its first
/// bytes.
///
/// | service | host | paths |
/// |---|---|---|
/// | Global Inference Gateway | [`Runtime::gateway`], [`Endpoint::gateway`] | |
/// | inference router | `inferencerouter-runtime.sagemaker` | `/inference-routers/{name}/invocations` |
/// | jobs | `job-runtime.sagemaker` | `/sample`, `/sample-with-response-stream` |
/// | training sessions | `training-session-runtime.sagemaker` | `/training-sessions/{name}/sample`, `/training-sessions/{name}/sample-with-response-stream` |
///
/// ```
/// use sagewire_transport::{Endpoint, Operation, Runtime};
///
/// let job = Runtime::new("job-runtime.sagemaker")
///     .path("/sample")
///     .stream_path("/sample-with-response-stream")
///     .header("x-amzn-sagemaker-job-arn", "arn:aws:sagemaker:us-east-1:123456789012:job/j");
/// let endpoint = Endpoint::new("j").runtime(job);
/// assert_eq!(endpoint.path(Operation::Stream)?, "/sample-with-response-stream");
/// # Ok::<(), sagewire_transport::Error>(())
/// ```
///
/// A client with an endpoint URL sends to that URL, with these paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Runtime {
    /// The first labels of the host, which are followed by the region and the domain of its partition:
    /// `job-runtime.sagemaker`. Or a URL, with `https` unless it is on this machine.
    pub host: String,
    /// The path for non-streaming responses, with `{name}` in place of the name of the endpoint. Without it, there are none.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub path: Option<String>,
    /// The path for streaming responses. Without it, there are none.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub stream_path: Option<String>,
    /// The path for asynchronous invocations. Without it, there are none.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub async_path: Option<String>,
    /// Further headers of each request. They are shown in `Debug`, and serialized: they are no place for secrets.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "BTreeMap::is_empty"))]
    pub headers: BTreeMap<String, String>,
    /// The rules for requests and errors.
    #[cfg_attr(feature = "serde", serde(default))]
    pub rules: Rules,
}

/// The rules of a service for requests and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Rules {
    /// Those of SageMaker Runtime.
    #[default]
    SageMaker,
    /// Those of a Global Inference Gateway. A request is a JSON object with a `model`, of 10 MiB at most, and has no other
    /// settings of SageMaker Runtime than its region and an identity token. After a status of 502 or 504 it may have run, so
    /// it is not sent again.
    Gateway,
}

impl Runtime {
    /// A service with this host, without paths.
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), ..Self::default() }
    }

    /// A Global Inference Gateway of SageMaker HyperPod, which routes by the `model` of requests. The name of the endpoint is
    /// the ID of the gateway: lower-case letters and digits, at most 64.
    pub fn gateway() -> Self {
        let runtime = Self::new("gateway-runtime.sagemaker")
            .path("/global-inference-gateway/{name}/invocations")
            .stream_path("/global-inference-gateway/{name}/invocations-response-stream");
        Self { rules: Rules::Gateway, ..runtime }
    }

    /// Sets [`path`](Self::path).
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets [`stream_path`](Self::stream_path).
    #[must_use]
    pub fn stream_path(mut self, path: impl Into<String>) -> Self {
        self.stream_path = Some(path.into());
        self
    }

    /// Sets [`async_path`](Self::async_path).
    #[must_use]
    pub fn async_path(mut self, path: impl Into<String>) -> Self {
        self.async_path = Some(path.into());
        self
    }

    /// Adds a header to [`headers`](Self::headers).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The path of an operation on the endpoint of this name.
    pub(crate) fn path_of(&self, operation: Operation, name: &str) -> Result<String, Error> {
        let path = match operation {
            Operation::Invoke => &self.path,
            Operation::Stream => &self.stream_path,
            Operation::Async => &self.async_path,
            Operation::OpenAi => &None,
        };
        let Some(path) = path else {
            return Err(invalid(format!(
                "{} is not available with the runtime {:?}",
                operation.description(),
                self.host
            )));
        };
        if path.contains(NAME) {
            self.check_name(name)?;
        }
        let path = path.replace(NAME, name);
        // https://www.rfc-editor.org/rfc/rfc3986#section-3.3
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:@".contains(c);
        if !path.starts_with('/') || !path.chars().all(is_allowed) {
            return Err(invalid(format!("path {path:?} is not the path of a URL")));
        }
        Ok(path)
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        let is_id = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        match self.rules {
            Rules::SageMaker => check("endpoint", name, 63, is_name),
            Rules::Gateway => check("endpoint", name, 64, is_id),
        }
    }

    /// Adds the further headers to those of a request.
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        for (text, value) in &self.headers {
            let name: HeaderName = text
                .parse()
                .map_err(|_| invalid(format!("headers: {text:?} is not the name of a header")))?;
            if RESERVED.contains(&name.as_str()) {
                return Err(invalid(format!("headers: {text} cannot be set here")));
            }
            if headers.insert(name, header_value("headers", value)?).is_some() {
                return Err(invalid(format!("headers: {text} is set already")));
            }
        }
        Ok(())
    }
}

impl Rules {
    /// Checks what the service would refuse in a request, apart from its headers.
    pub(crate) fn check(self, request: &Request) -> Result<(), Error> {
        if self == Self::SageMaker {
            return Ok(());
        }
        let essence = request.content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(invalid(format!(
                "content_type {essence:?}: the gateway takes application/json only"
            )));
        }
        let len = request.body.len();
        if len > GATEWAY_BODY_MAX {
            return Err(invalid(format!("body has {len} bytes, more than the {GATEWAY_BODY_MAX} allowed")));
        }
        /// A model that is given twice is an error.
        #[derive(Deserialize)]
        struct Body {
            model: Option<Model>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Model {
            Name(String),
            Other(IgnoredAny),
        }
        let body: Body = serde_json::from_slice(&request.body)
            .map_err(|error| invalid(format!("body is not one JSON object with a model: {error}")))?;
        match body.model {
            Some(Model::Name(name)) if !name.is_empty() => Ok(()),
            Some(Model::Name(_) | Model::Other(_)) | None => {
                Err(invalid("body has no model, by which the gateway routes requests".into()))
            }
        }
    }
}

impl Endpoint {
    /// The Global Inference Gateway with this ID: see [`Runtime::gateway`].
    ///
    /// ```
    /// use sagewire_transport::{Endpoint, Operation};
    ///
    /// let path = Endpoint::gateway("abc123").path(Operation::Invoke)?;
    /// assert_eq!(path, "/global-inference-gateway/abc123/invocations");
    /// # Ok::<(), sagewire_transport::Error>(())
    /// ```
    pub fn gateway(id: impl Into<String>) -> Self {
        Self::new(id).runtime(Runtime::gateway())
    }

    /// Sets [`runtime`](Self::runtime).
    #[must_use]
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Sets [`customer_identity_token`](Self::customer_identity_token).
    #[must_use]
    pub fn customer_identity_token(mut self, token: impl Into<String>) -> Self {
        self.customer_identity_token = Some(IdentityToken(token.into()));
        self
    }

    /// The rules of the service.
    pub fn rules(&self) -> Rules {
        self.runtime.as_ref().map_or(Rules::SageMaker, |runtime| runtime.rules)
    }

    /// Checks the name, which need not be that of an endpoint if it is not in the path.
    pub(crate) fn check_name(&self) -> Result<(), Error> {
        match &self.runtime {
            None => check("endpoint", &self.name, 63, is_name),
            Some(runtime) if runtime.rules == Rules::Gateway => runtime.check_name(&self.name),
            Some(_) => Ok(()),
        }
    }
}

/// A token that identifies the customer of an application, such as a JWT. Only [`expose`](Self::expose) shows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdentityToken(String);

impl IdentityToken {
    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityToken(REDACTED)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_has_its_own_paths_and_headers() {
        let endpoint = Endpoint::gateway("abc123").customer_identity_token("secret.token");
        let request = Request::new(endpoint.clone(), r#"{"model":"m"}"#).accept("text/event-stream");
        for (operation, path) in [
            (Operation::Invoke, "/global-inference-gateway/abc123/invocations"),
            (Operation::Stream, "/global-inference-gateway/abc123/invocations-response-stream"),
        ] {
            assert_eq!(endpoint.path(operation).unwrap(), path);
            let headers = request.headers(operation).unwrap();
            assert_eq!(headers["x-amzn-sagemaker-customer-identity-token"], "secret.token");
            assert_eq!((&headers["accept"], headers.len()), (&"text/event-stream".parse().unwrap(), 3));
            let shown = format!("{request:?} {headers:?}");
            assert!(!shown.contains("secret"), "{shown}");
        }
        for operation in [Operation::Async, Operation::OpenAi] {
            assert!(endpoint.path(operation).unwrap_err().is_invalid_request());
        }
        let runtime = Endpoint::new("e").customer_identity_token("secret");
        let error = runtime.headers(Operation::Invoke).unwrap_err().to_string();
        assert_eq!(error, "invalid request: customer_identity_token is only available with another runtime");
    }

    #[test]
    fn what_a_gateway_refuses_is_not_sent() {
        let ok = r#"{"model":"m"}"#;
        let gateway = || Endpoint::gateway("abc");
        let request = |body: &str| Request::new(gateway(), body.to_owned());
        for (request, found) in [
            (request(ok), ""),
            (request(ok).content_type("application/json; charset=utf-8"), ""),
            (request("{}"), "body has no model"),
            (request(r#"{"model":""}"#), "body has no model"),
            (request(r#"{"model":null}"#), "body has no model"),
            (request(r#"{"model":5}"#), "body has no model"),
            (request(r#"{"model":"a","model":"b"}"#), "duplicate field"),
            (request("[]"), "body is not one JSON object"),
            (request(ok).content_type("text/csv"), "content_type \"text/csv\""),
            (request(&format!("{ok}{}", " ".repeat(10 << 20))), "body has 10485773 bytes"),
            (Request::new(Endpoint::gateway("A-b"), ok), "endpoint \"A-b\""),
            (Request::new(gateway().session_id("s"), ok), "session_id is not available with a gateway"),
            (Request::new(gateway().route("/v1/messages"), ok), "route is not available with a gateway"),
        ] {
            let [checked, built] =
                [request.check(Operation::Stream), request.headers(Operation::Stream).map(drop)]
                    .map(|result| result.map_or_else(|error| error.to_string(), |()| String::new()));
            assert_eq!(checked, built);
            assert!(if found.is_empty() { built.is_empty() } else { built.contains(found) }, "{built}");
        }
    }

    #[test]
    fn other_services_have_free_paths_and_headers() {
        let job =
            Runtime::new("job-runtime.sagemaker").path("/sample").header("X-Amzn-SageMaker-Job-Arn", "arn");
        let endpoint = Endpoint::new("any name").runtime(job.clone()).custom_attributes([("a", 1)]);
        assert_eq!(endpoint.path(Operation::Invoke).unwrap(), "/sample");
        let headers = endpoint.headers(Operation::Invoke).unwrap();
        assert_eq!((&headers["x-amzn-sagemaker-job-arn"], headers.len()), (&"arn".parse().unwrap(), 2));
        let refused = |runtime: Runtime| {
            let request = Request::new(Endpoint::new("a/b").runtime(runtime), "");
            let errors = [
                request.endpoint.path(Operation::Invoke).err(),
                request.headers(Operation::Invoke).err(),
                request.endpoint.path(Operation::Stream).err(),
            ];
            errors.into_iter().flatten().next().expect("an error").to_string()
        };
        for (runtime, found) in [
            (job.clone(), "a streaming response is not available with the runtime \"job-runtime.sagemaker\""),
            (job.clone().path("sample"), "path \"sample\" is not the path of a URL"),
            (job.clone().path("/sample?x=1"), "is not the path of a URL"),
            (job.clone().path("/{name}/x"), "endpoint \"a/b\" does not match"),
            (job.clone().path("/{id}"), "is not the path of a URL"),
            (job.clone().header("a b", ""), "\"a b\" is not the name of a header"),
            (job.clone().header("Host", "x"), "Host cannot be set here"),
            (job.clone().header("x", "a\nb"), "headers must be printable ASCII"),
            (job.header("x-amzn-sagemaker-job-arn", "b"), "is set already"),
        ] {
            let error = refused(runtime);
            assert!(error.contains(found), "{found}: {error}");
        }
    }
}
