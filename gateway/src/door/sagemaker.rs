//! SageMaker Runtime: InvokeEndpoint and InvokeEndpointWithResponseStream.
//!
//! A model with `speaks` converts; others are called with the client's body as it is.

use http::HeaderMap;

use super::{Call, decoded};

/// The operation of a path behind `/endpoints/`.
pub(super) fn operation(path: &str) -> Option<(&'static str, Call)> {
    let (endpoint, operation) = path.split_once('/')?;
    let endpoint = decoded(endpoint)?;
    Some(match operation {
        "invocations" => ("/endpoints/{endpoint}/invocations", Call::Invocation { endpoint, stream: false }),
        "invocations-response-stream" => {
            ("/endpoints/{endpoint}/invocations-response-stream", Call::Invocation { endpoint, stream: true })
        }
        _ => return None,
    })
}

/// The headers of a client's request that go into the request for the endpoint: those that the operation passes to the
/// container, and the session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forwarded {
    pub(crate) content_type: Option<String>,
    pub(crate) accept: Option<String>,
    pub(crate) custom_attributes: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) inference_id: Option<String>,
    pub(crate) prefix_aware_id: Option<String>,
}

impl Forwarded {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name)?.to_str().ok().map(str::to_owned);
        Self {
            content_type: text("content-type"),
            accept: text("accept").or_else(|| text("x-amzn-sagemaker-accept")),
            custom_attributes: text("x-amzn-sagemaker-custom-attributes"),
            session_id: text("x-amzn-sagemaker-session-id"),
            inference_id: text("x-amzn-sagemaker-inference-id"),
            prefix_aware_id: text("x-amzn-sagemaker-prefix-aware-id"),
        }
    }
}
