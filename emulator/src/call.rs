//! Parses the operation and the endpoint from the path of a request.

use axum::http::Method;

/// An operation of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `InvokeEndpoint`
    Unary,
    /// `InvokeEndpointWithResponseStream`
    Stream,
    /// `InvokeEndpointAsync`
    Asynchronous,
    /// The OpenAI-compatible route of the endpoint or of one of its inference components.
    OpenAi,
}

/// An operation on an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) endpoint: String,
    pub(crate) operation: Operation,
    /// The endpoint is a Global Inference Gateway, with its own rules and errors.
    pub(crate) gateway: bool,
}

impl Call {
    /// `None` if there is no such operation.
    pub(crate) fn parse(method: &Method, path: &str) -> Option<Self> {
        let (gateway, path) = match path.strip_prefix("/global-inference-gateway/") {
            Some(path) => (true, path),
            None => (false, path.strip_prefix("/endpoints/")?),
        };
        let (endpoint, operation) = path.split_once('/')?;
        let operation = match operation {
            "invocations" => Operation::Unary,
            "invocations-response-stream" => Operation::Stream,
            "async-invocations" if !gateway => Operation::Asynchronous,
            _ if !gateway && is_openai(operation) => Operation::OpenAi,
            _ => return None,
        };
        (method == Method::POST).then(|| Self { endpoint: endpoint.into(), operation, gateway })
    }

    /// `^[a-zA-Z0-9](-*[a-zA-Z0-9])*`, at most 63 characters; for a gateway `[a-z0-9]{1,64}`.
    pub(crate) fn has_endpoint_name(&self) -> bool {
        let is_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match self.gateway {
            true => (1..=64).contains(&self.endpoint.len()) && self.endpoint.bytes().all(is_id),
            false => is_name(&self.endpoint),
        }
    }
}

fn is_openai(operation: &str) -> bool {
    const CHAT: &str = "openai/v1/chat/completions";
    let component = operation.strip_prefix("inference-components/").and_then(|rest| rest.split_once('/'));
    match component {
        Some((component, rest)) => is_name(component) && rest == CHAT,
        None => operation == CHAT,
    }
}

fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let operation = |path| Call::parse(&Method::POST, path).map(|call| call.operation);
        for (path, expected) in [
            ("/endpoints/e/invocations", Some(Operation::Unary)),
            ("/endpoints/e/invocations-response-stream", Some(Operation::Stream)),
            ("/endpoints/e/async-invocations", Some(Operation::Asynchronous)),
            ("/endpoints/e/openai/v1/chat/completions", Some(Operation::OpenAi)),
            ("/endpoints/e/inference-components/ic-1/openai/v1/chat/completions", Some(Operation::OpenAi)),
            ("/endpoints/e/inference-components//openai/v1/chat/completions", None),
            ("/endpoints/e/inference-components/ic-1/invocations", None),
            ("/endpoints/e/openai/v1/completions", None),
            ("/global-inference-gateway/abc1/invocations", Some(Operation::Unary)),
            ("/global-inference-gateway/abc1/invocations-response-stream", Some(Operation::Stream)),
            ("/global-inference-gateway/abc1/async-invocations", None),
            ("/global-inference-gateway/abc1/openai/v1/chat/completions", None),
            ("/endpoints/e", None),
            ("/invocations", None),
        ] {
            assert_eq!(operation(path), expected, "{path}");
        }
        assert_eq!(Call::parse(&Method::GET, "/endpoints/e/invocations"), None);
    }
}
