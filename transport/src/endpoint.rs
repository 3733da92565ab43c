//! Which endpoint is asked, and what about it the service has to know.
//!
//! Members, bounds and patterns are those of the service model of SageMaker Runtime:
//! [InvokeEndpoint](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html),
//! [InvokeEndpointWithResponseStream](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html)
//! and [InvokeEndpointAsync](https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html).

use std::fmt::{Display, Write};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Kind};

/// The operations of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `InvokeEndpoint`: the answer in one piece.
    Invoke,
    /// `InvokeEndpointWithResponseStream`: the answer as it is written.
    Stream,
    /// `InvokeEndpointAsync`: the answer is put into S3.
    Async,
    /// The OpenAI route: chat completions as the container answers them, whole or streamed, without frames around them.
    OpenAi,
}

impl Operation {
    /// The last part of the operation's path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Invoke => "invocations",
            Self::Stream => "invocations-response-stream",
            Self::Async => "async-invocations",
            Self::OpenAi => "openai/v1/chat/completions",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Invoke => "a whole response",
            Self::Stream => "a streamed response",
            Self::Async => "an asynchronous invocation",
            Self::OpenAi => "the OpenAI route",
        }
    }
}

/// An endpoint, and what of it is asked.
///
/// Not every operation knows all of this; what it does not know is refused before anything is sent.
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
/// assert_eq!(error.to_string(), "invalid request: target_model is not available with a streamed response");
/// # Ok::<(), sagewire_transport::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// The name: letters, digits and hyphens, at most 63.
    pub name: String,
    /// The region, where it is not the transport's.
    pub region: Option<String>,
    /// The inference component, where the endpoint has several. Not with [`Operation::Async`].
    pub inference_component: Option<String>,
    /// The production variant, where the endpoint has several. Not with [`Operation::Async`].
    pub target_variant: Option<String>,
    /// The container, where the endpoint has several that are invoked directly. Not with [`Operation::Async`].
    pub target_container_hostname: Option<String>,
    /// The model of a multi-model endpoint. With [`Operation::Invoke`] only.
    pub target_model: Option<String>,
    /// The id of a stateful session, or `NEW_SESSION`. Not with [`Operation::Async`]; with [`Operation::Stream`] an id
    /// only.
    pub session_id: Option<String>,
    /// What is passed on to the container as it is: printable ASCII, at most 1,024 characters.
    pub custom_attributes: Option<String>,
    /// An id under which the invocation appears in captured data and events.
    pub inference_id: Option<String>,
    /// Requests with the same id prefer the same instance, whose cache holds their common prefix. Not with
    /// [`Operation::Async`].
    pub prefix_aware_id: Option<String>,
    /// A JMESPath expression that says for which records Clarify explains the answer. With [`Operation::Invoke`] only.
    pub enable_explanations: Option<String>,
    /// A name or a value that cannot be in the list of custom attributes.
    unfit: Option<String>,
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
    /// An endpoint by its name.
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
        inference_id,
        prefix_aware_id,
        enable_explanations
    );

    /// Sets [`custom_attributes`](Self::custom_attributes) to `name=value;name=value`, as AWS's examples have it. Where the
    /// container wants another form, set the field.
    #[must_use]
    pub fn custom_attributes<N: Display, V: Display>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut text = String::new();
        for (name, value) in pairs {
            let (name, value) = (name.to_string(), value.to_string());
            if name.contains(['=', ';']) || value.contains(';') {
                self.unfit = Some(format!("{name}={value}"));
            }
            let separator = if text.is_empty() { "" } else { ";" };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}{name}={value}");
        }
        self.custom_attributes = Some(text);
        self
    }

    /// The path of the operation, below the endpoint URL.
    ///
    /// # Errors
    ///
    /// The name is none, or, on the OpenAI route, that of the inference component, which the path has there.
    pub fn path(&self, operation: Operation) -> Result<String, Error> {
        check("endpoint", &self.name, 63, is_name)?;
        let component = self.inference_component.as_deref().filter(|_| operation == Operation::OpenAi);
        let Some(component) = component else {
            return Ok(format!("/endpoints/{}/{}", self.name, operation.path()));
        };
        check("inference_component", component, 63, is_name)?;
        Ok(format!("/endpoints/{}/inference-components/{component}/{}", self.name, operation.path()))
    }

    /// The headers that say all of this but the name and the region.
    ///
    /// # Errors
    ///
    /// The operation does not know something of it, or a value has not the form that the service asks for.
    pub fn headers(&self, operation: Operation) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        self.each(operation, |field, value| {
            headers.insert(amzn(&field.replace('_', "-"))?, value);
            Ok(())
        })?;
        Ok(headers)
    }

    /// Gives each member that becomes a header to `take`, checked.
    pub(crate) fn each(
        &self,
        operation: Operation,
        mut take: impl FnMut(&'static str, HeaderValue) -> Result<(), Error>,
    ) -> Result<(), Error> {
        check("endpoint", &self.name, 63, is_name)?;
        if let Some(pair) = &self.unfit {
            return Err(invalid(format!("custom_attributes: {pair:?} cannot be told from its neighbours")));
        }
        if operation == Operation::Stream && self.session_id.as_deref() == Some("NEW_SESSION") {
            return Err(invalid(format!(
                "session_id NEW_SESSION is not available with {}",
                operation.what()
            )));
        }
        for member in MEMBERS {
            let Some(value) = (member.value)(self) else { continue };
            if operation == Operation::OpenAi && member.field == "inference_component" {
                // It is in the path.
                continue;
            }
            if !member.operations.contains(&operation) {
                let what = operation.what();
                return Err(invalid(format!("{} is not available with {what}", member.field)));
            }
            check(member.field, value, member.max, member.fits)?;
            take(member.field, header_value(member.field, value)?)?;
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

/// A member that becomes a header of its own.
struct Member {
    field: &'static str,
    value: fn(&Endpoint) -> Option<&String>,
    operations: &'static [Operation],
    max: usize,
    fits: fn(&str) -> bool,
}

const ALL: &[Operation] = &[Operation::Invoke, Operation::Stream, Operation::Async];
const BOTH: &[Operation] = &[Operation::Invoke, Operation::Stream];
const WHOLE: &[Operation] = &[Operation::Invoke];

const MEMBERS: [Member; 9] = {
    const fn member(
        field: &'static str,
        value: fn(&Endpoint) -> Option<&String>,
        operations: &'static [Operation],
        max: usize,
        fits: fn(&str) -> bool,
    ) -> Member {
        Member { field, value, operations, max, fits }
    }
    [
        member("inference_component", |of| of.inference_component.as_ref(), BOTH, 63, is_name),
        member("target_variant", |of| of.target_variant.as_ref(), BOTH, 63, is_name),
        member("target_container_hostname", |of| of.target_container_hostname.as_ref(), BOTH, 63, is_name),
        member("target_model", |of| of.target_model.as_ref(), WHOLE, 1024, is_text),
        member("session_id", |of| of.session_id.as_ref(), BOTH, 256, is_session_id),
        member("custom_attributes", |of| of.custom_attributes.as_ref(), ALL, 1024, |_| true),
        member("inference_id", |of| of.inference_id.as_ref(), ALL, 64, is_text),
        member("prefix_aware_id", |of| of.prefix_aware_id.as_ref(), BOTH, 64, is_text),
        member("enable_explanations", |of| of.enable_explanations.as_ref(), WHOLE, 64, is_text),
    ]
};

/// The service's header of this name.
pub(crate) fn amzn(name: &str) -> Result<HeaderName, Error> {
    format!("x-amzn-sagemaker-{name}").parse().map_err(|_| invalid(format!("{name} is no header")))
}

pub(crate) fn header_value(field: &str, value: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok());
    value.ok_or_else(|| invalid(format!("{field} must be printable ASCII")))
}

pub(crate) fn check(field: &str, value: &str, max: usize, fits: fn(&str) -> bool) -> Result<(), Error> {
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
    fn what_cannot_be_sent_is_named() {
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
            (endpoint().custom_attributes([("a", "b;c=d")]), "custom_attributes: \"a=b;c=d\""),
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
    fn operations_lack_some() {
        let endpoint = || Endpoint::new("e");
        for (endpoint, field, operations) in [
            (endpoint().target_model("m.tar.gz"), "target_model", WHOLE),
            (endpoint().enable_explanations("`true`"), "enable_explanations", WHOLE),
            (endpoint().session_id("NEW_SESSION"), "session_id", WHOLE),
            (endpoint().session_id("s"), "session_id", BOTH),
            (endpoint().inference_component("c"), "inference_component", BOTH),
            (endpoint().target_variant("v"), "target_variant", BOTH),
            (endpoint().target_container_hostname("h"), "target_container_hostname", BOTH),
            (endpoint().prefix_aware_id("p"), "prefix_aware_id", BOTH),
            (endpoint().custom_attributes([("a", 1)]), "custom_attributes", ALL),
            (endpoint().inference_id("i"), "inference_id", ALL),
        ] {
            for operation in ALL {
                match endpoint.headers(*operation) {
                    Ok(headers) => assert!(operations.contains(operation) && headers.len() == 1, "{field}"),
                    Err(error) => {
                        let text = error.to_string();
                        assert!(!operations.contains(operation) && text.contains(field), "{field}: {text}");
                    }
                }
            }
        }
    }
}
