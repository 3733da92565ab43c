//! The endpoint of a request, and the headers that select a part of it.
//!
//! Fields, limits and patterns are those of the service model of SageMaker Runtime:
//! [InvokeEndpoint](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html),
//! [InvokeEndpointWithResponseStream](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html)
//! and [InvokeEndpointAsync](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html).

use std::borrow::Cow;
use std::fmt::{Display, Write};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::error::{Error, Kind};
use crate::runtime::{IdentityToken, Rules, Runtime};

/// The operations of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `InvokeEndpoint`: a non-streaming response.
    Invoke,
    /// `InvokeEndpointWithResponseStream`: a streaming response.
    Stream,
    /// `InvokeEndpointAsync`: the response is put into S3.
    Async,
    /// The OpenAI route: the container's own chat completions, streaming or not, without event-stream frames.
    OpenAi,
}

impl Operation {
    /// The last segments of the operation's path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Invoke => "invocations",
            Self::Stream => "invocations-response-stream",
            Self::Async => "async-invocations",
            Self::OpenAi => "openai/v1/chat/completions",
        }
    }

    /// Whether this status of a response is a success: 200, and for an asynchronous invocation any status of the class 2xx, because proxies change it.
    pub fn accepts(self, status: StatusCode) -> bool {
        match self {
            Self::Async => status.is_success(),
            _ => status == StatusCode::OK,
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Invoke => "a non-streaming response",
            Self::Stream => "a streaming response",
            Self::Async => "an asynchronous invocation",
            Self::OpenAi => "the OpenAI route",
        }
    }
}

/// An endpoint, and the part of it that is invoked.
///
/// Not every operation supports all fields; a field that the operation does not support is an error before anything is sent.
///
/// With the feature `serde` it can be read from a configuration file; all fields but `name` are optional.
///
/// ```
/// use sagewire_transport::{Endpoint, Operation};
///
/// let endpoint = Endpoint::new("my-llm")
///     .inference_component("llama")
///     .custom_attributes([("tenant", "a"), ("trace", "7")]);
/// assert_eq!(endpoint.headers(Operation::Stream)?["x-amzn-sagemaker-custom-attributes"], "tenant=a;trace=7");
///
/// let error = endpoint.target_model("m.tar.gz").headers(Operation::Stream).unwrap_err();
/// assert_eq!(error.to_string(), "invalid request: target_model is not available with a streaming response");
/// # Ok::<(), sagewire_transport::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Endpoint {
    /// The name: letters, digits and hyphens, at most 63.
    pub name: String,
    /// The service that is invoked, if it is not SageMaker Runtime.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub runtime: Option<Runtime>,
    /// The region, if it is not that of the transport.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub region: Option<String>,
    /// The inference component, if the endpoint has several. Not with [`Operation::Async`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub inference_component: Option<String>,
    /// The production variant, if the endpoint has several. Not with [`Operation::Async`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub target_variant: Option<String>,
    /// The container, if the endpoint has several that are invoked directly. Not with [`Operation::Async`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub target_container_hostname: Option<String>,
    /// The model of a multi-model endpoint. Only with [`Operation::Invoke`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub target_model: Option<String>,
    /// The ID of a stateful session, or `NEW_SESSION`. Not with [`Operation::Async`]; `NEW_SESSION` not with
    /// [`Operation::Stream`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub session_id: Option<String>,
    /// Custom attributes for the container: printable ASCII, at most 1,024 characters.
    /// A configuration can have a map in place of the text: `{"accept_eula": true}` is `accept_eula=true`.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "crate::chat_config::custom_attributes"
        )
    )]
    pub custom_attributes: Option<String>,
    /// The path within the container, such as `/v1/messages`, for AWS's images of vLLM: it is sent as the last custom
    /// attribute, `route=/v1/messages`. It begins with a slash, and has no white space, comma, semicolon, `?` and `#`. Other
    /// containers ignore it. [`route_for`](Self::route_for) sets that of an API.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub route: Option<String>,
    /// An ID for the invocation, which appears in captured data and events.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub inference_id: Option<String>,
    /// Requests with the same ID are routed to the same instance if possible, because its cache has their common prefix. Not
    /// with [`Operation::Async`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub prefix_aware_id: Option<String>,
    /// A JMESPath expression that selects the records that Clarify explains. Only with [`Operation::Invoke`].
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub enable_explanations: Option<String>,
    /// A token that identifies the customer of the application, which a [gateway](Runtime::gateway) passes on as it is. It is
    /// not serialized.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub customer_identity_token: Option<IdentityToken>,
    /// A custom attribute with a separator in its name or value.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) ambiguous_attribute: Option<String>,
}

macro_rules! setters {
    ($($name:ident),*) => {$(
        #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
        #[must_use]
        pub fn $name(mut self, value: impl Into<String>) -> Self {
            self.$name = Some(value.into());
            self
        }
    )*};
}

impl Endpoint {
    /// The endpoint of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    setters!(
        region,
        inference_component,
        target_variant,
        target_container_hostname,
        target_model,
        session_id,
        route,
        inference_id,
        prefix_aware_id,
        enable_explanations
    );

    /// Sets [`custom_attributes`](Self::custom_attributes) to `name=value;name=value`, as in the examples of AWS. If the
    /// container requires another syntax, set the field.
    #[must_use]
    pub fn custom_attributes<N: Display, V: Display>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut text = String::new();
        for (name, value) in pairs {
            let (name, value) = (name.to_string(), value.to_string());
            if name.contains(['=', ';']) || value.contains(';') {
                self.ambiguous_attribute = Some(format!("{name}={value}"));
            }
            let separator = if text.is_empty() { "" } else { ";" };
            // Writing to a string never fails.
            let _ = write!(text, "{separator}{name}={value}");
        }
        self.custom_attributes = Some(text);
        self
    }

    /// The path of the operation, below the endpoint URL.
    ///
    /// # Errors
    ///
    /// The name is invalid, or, on the OpenAI route, that of the inference component, which is part of the path there. The
    /// [`runtime`](Self::runtime) does not support the operation.
    pub fn path(&self, operation: Operation) -> Result<String, Error> {
        if let Some(runtime) = &self.runtime {
            return runtime.path_of(operation, &self.name);
        }
        check("endpoint", &self.name, 63, is_name)?;
        let component = self.inference_component.as_deref().filter(|_| operation == Operation::OpenAi);
        let Some(component) = component else {
            return Ok(format!("/endpoints/{}/{}", self.name, operation.path()));
        };
        check("inference_component", component, 63, is_name)?;
        Ok(format!("/endpoints/{}/inference-components/{component}/{}", self.name, operation.path()))
    }

    /// The headers for all fields except the name and the region.
    ///
    /// # Errors
    ///
    /// The operation does not support a field, or a value does not match the pattern of the service.
    pub fn headers(&self, operation: Operation) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        self.each(operation, |field, value| {
            headers.insert(amzn(&field.replace('_', "-"))?, value);
            Ok(())
        })?;
        if let Some(runtime) = &self.runtime {
            runtime.add_headers(&mut headers)?;
        }
        Ok(headers)
    }

    /// Checks each field that becomes a header, and passes it to `take`.
    pub(crate) fn each(
        &self,
        operation: Operation,
        mut take: impl FnMut(&'static str, HeaderValue) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.check_name()?;
        if let Some(pair) = &self.ambiguous_attribute {
            return Err(invalid(format!("custom_attributes: {pair:?} contains a separator, `=` or `;`")));
        }
        if operation == Operation::Stream && self.session_id.as_deref() == Some("NEW_SESSION") {
            return Err(invalid(format!(
                "session_id NEW_SESSION is not available with {}",
                operation.description()
            )));
        }
        self.check_route()?;
        for field in FIELDS {
            let Some(value) = (field.value)(self) else { continue };
            if operation == Operation::OpenAi && field.name == "inference_component" {
                // It is part of the path.
                continue;
            }
            let is_token = field.name == IDENTITY_TOKEN;
            let unavailable = match &self.runtime {
                None if is_token => Some("only available with another runtime".into()),
                Some(runtime) if runtime.rules == Rules::Gateway && !is_token => {
                    Some("not available with a gateway".into())
                }
                _ if field.operations.contains(&operation) => None,
                _ => Some(format!("not available with {}", operation.description())),
            };
            if let Some(reason) = unavailable {
                return Err(invalid(format!("{} is {reason}", field.set_by(self))));
            }
            check(field.name, &value, field.max, field.is_valid)?;
            let mut value = header_value(field.name, &value)?;
            value.set_sensitive(is_token);
            take(field.name, value)?;
        }
        Ok(())
    }
}

impl From<&str> for Endpoint {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Endpoint {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// A field that becomes a header.
struct Field {
    name: &'static str,
    value: fn(&Endpoint) -> Option<Cow<'_, str>>,
    operations: &'static [Operation],
    max: usize,
    is_valid: fn(&str) -> bool,
}

impl Field {
    /// The name of the field of the endpoint that it has its value from.
    fn set_by(&self, endpoint: &Endpoint) -> &'static str {
        match self.name {
            "custom_attributes" if endpoint.custom_attributes.is_none() => "route",
            name => name,
        }
    }
}

const ALL: &[Operation] = &[Operation::Invoke, Operation::Stream, Operation::Async];
const SYNC: &[Operation] = &[Operation::Invoke, Operation::Stream];
const INVOKE: &[Operation] = &[Operation::Invoke];

fn text(value: &Option<String>) -> Option<Cow<'_, str>> {
    value.as_deref().map(Cow::Borrowed)
}

/// The field of a secret.
const IDENTITY_TOKEN: &str = "customer_identity_token";

const FIELDS: [Field; 10] = {
    const fn field(
        name: &'static str,
        value: fn(&Endpoint) -> Option<Cow<'_, str>>,
        operations: &'static [Operation],
        max: usize,
        is_valid: fn(&str) -> bool,
    ) -> Field {
        Field { name, value, operations, max, is_valid }
    }
    [
        field("inference_component", |of| text(&of.inference_component), SYNC, 63, is_name),
        field("target_variant", |of| text(&of.target_variant), SYNC, 63, is_name),
        field("target_container_hostname", |of| text(&of.target_container_hostname), SYNC, 63, is_name),
        field("target_model", |of| text(&of.target_model), INVOKE, 1024, is_text),
        field("session_id", |of| text(&of.session_id), SYNC, 256, is_session_id),
        field("custom_attributes", Endpoint::container_attributes, ALL, 1024, |_| true),
        field("inference_id", |of| text(&of.inference_id), ALL, 64, is_text),
        field("prefix_aware_id", |of| text(&of.prefix_aware_id), SYNC, 64, is_text),
        field("enable_explanations", |of| text(&of.enable_explanations), INVOKE, 64, is_text),
        // The model of the service has no maximum; servers rarely accept longer headers.
        field(
            IDENTITY_TOKEN,
            |of| of.customer_identity_token.as_ref().map(|token| token.expose().into()),
            SYNC,
            16_384,
            |_| true,
        ),
    ]
};

/// The header of the service for a field.
pub(crate) fn amzn(name: &str) -> Result<HeaderName, Error> {
    format!("x-amzn-sagemaker-{name}").parse().map_err(|_| invalid(format!("{name} is not a header name")))
}

pub(crate) fn header_value(field: &str, value: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok());
    value.ok_or_else(|| invalid(format!("{field} must be printable ASCII")))
}

pub(crate) fn check(field: &str, value: &str, max: usize, is_valid: fn(&str) -> bool) -> Result<(), Error> {
    let len = value.len();
    if len > max {
        return Err(invalid(format!("{field} has {len} characters, more than the {max} allowed")));
    }
    if !is_valid(value) {
        return Err(invalid(format!("{field} {value:?} does not match the pattern of the service")));
    }
    Ok(())
}

/// `^[a-zA-Z0-9](-*[a-zA-Z0-9])*`
pub(crate) fn is_name(text: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && end(text.bytes().next())
        && end(text.bytes().last())
}

/// `\A\S[\p{Print}]*\z`
pub(crate) fn is_text(text: &str) -> bool {
    text.starts_with(|c: char| !c.is_whitespace())
}

/// `NEW_SESSION` or `^[a-zA-Z0-9](-*[a-zA-Z0-9])*`
fn is_session_id(text: &str) -> bool {
    text == "NEW_SESSION" || is_name(text)
}

pub(crate) fn invalid(what: String) -> Error {
    Error::new(Kind::InvalidRequest(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_invalid_field() {
        let endpoint = || Endpoint::new("my-llm");
        let attributes = |text: &str| Endpoint { custom_attributes: Some(text.into()), ..endpoint() };
        for (endpoint, found) in [
            (Endpoint::new("-a"), "endpoint \"-a\""),
            (Endpoint::new(""), "endpoint \"\""),
            (Endpoint::new("a/../b"), "endpoint"),
            (Endpoint::new("x".repeat(64)), "endpoint has 64 characters, more than the 63 allowed"),
            (endpoint().inference_component("a_b"), "inference_component"),
            (endpoint().target_variant("a-"), "target_variant"),
            (endpoint().target_container_hostname("a.b"), "target_container_hostname"),
            (endpoint().target_model(" a"), "target_model"),
            (endpoint().session_id("NEW"), ""),
            (endpoint().session_id("NEW_"), "session_id"),
            (attributes("é"), "custom_attributes must be printable ASCII"),
            (attributes("a\r\nb: c"), "custom_attributes must be printable ASCII"),
            (
                endpoint().custom_attributes([("a", "b;c=d")]),
                "custom_attributes: \"a=b;c=d\" contains a separator",
            ),
            (endpoint().custom_attributes([("a=", "b")]), "custom_attributes: \"a==b\""),
            (endpoint().custom_attributes([("a", true)]), ""),
            (endpoint().inference_id(""), "inference_id"),
            (endpoint().prefix_aware_id("x".repeat(65)), "prefix_aware_id has 65"),
        ] {
            match (found, endpoint.headers(Operation::Invoke)) {
                ("", result) => assert!(result.is_ok()),
                (found, Ok(_)) => panic!("{found}"),
                (found, Err(error)) => {
                    assert!(error.is_invalid_request() && error.to_string().contains(found), "{error}");
                }
            }
        }
    }

    #[test]
    fn the_openai_route_has_the_component_in_its_path() {
        let endpoint = Endpoint::new("e").inference_component("llama");
        assert_eq!(endpoint.path(Operation::Invoke).unwrap(), "/endpoints/e/invocations");
        let path = "/endpoints/e/inference-components/llama/openai/v1/chat/completions";
        assert_eq!(endpoint.path(Operation::OpenAi).unwrap(), path);
        assert!(endpoint.headers(Operation::OpenAi).unwrap().is_empty());
        assert!(Endpoint::new("e").inference_component("a/b").path(Operation::OpenAi).is_err());
        let error = endpoint.target_variant("blue").headers(Operation::OpenAi).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid request: target_variant is not available with the OpenAI route"
        );
    }

    #[test]
    fn operations_do_not_support_all_fields() {
        let endpoint = || Endpoint::new("e");
        for (endpoint, name, operations) in [
            (endpoint().target_model("m.tar.gz"), "target_model", INVOKE),
            (endpoint().enable_explanations("`true`"), "enable_explanations", INVOKE),
            (endpoint().session_id("NEW_SESSION"), "session_id", INVOKE),
            (endpoint().session_id("s"), "session_id", SYNC),
            (endpoint().inference_component("c"), "inference_component", SYNC),
            (endpoint().target_variant("v"), "target_variant", SYNC),
            (endpoint().target_container_hostname("h"), "target_container_hostname", SYNC),
            (endpoint().prefix_aware_id("p"), "prefix_aware_id", SYNC),
            (endpoint().custom_attributes([("a", 1)]), "custom_attributes", ALL),
            (endpoint().inference_id("i"), "inference_id", ALL),
        ] {
            for operation in ALL {
                match endpoint.headers(*operation) {
                    Ok(headers) => assert!(operations.contains(operation) && headers.len() == 1, "{name}"),
                    Err(error) => {
                        let text = error.to_string();
                        assert!(!operations.contains(operation) && text.contains(name), "{name}: {text}");
                    }
                }
            }
        }
    }
}
