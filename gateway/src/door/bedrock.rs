//! Bedrock Runtime: Converse, ConverseStream, InvokeModel and InvokeModelWithResponseStream.
//!
//! Sources: the service model `bedrock-runtime` 2023-09-30. SDKs percent-encode `:` and `/` of a model ID; proxies may decode it
//! again, so the operation is what follows the last slash.

use super::{Call, decoded};

/// The operation of a path behind `/model/`.
pub(super) fn operation(path: &str) -> Option<(&'static str, Call)> {
    let (model, operation) = path.rsplit_once('/')?;
    let model = decoded(model)?;
    Some(match operation {
        "converse" => ("/model/{model}/converse", Call::Converse { model, stream: false }),
        "converse-stream" => ("/model/{model}/converse-stream", Call::Converse { model, stream: true }),
        "invoke" => ("/model/{model}/invoke", Call::InvokeModel { model, stream: false }),
        "invoke-with-response-stream" => {
            ("/model/{model}/invoke-with-response-stream", Call::InvokeModel { model, stream: true })
        }
        "count-tokens" => ("/model/{model}/count-tokens", Call::CountTokens),
        _ => return None,
    })
}

/// The model that an ID names: the name itself, or that of an endpoint whose ARN it is, which is the form of Bedrock's
/// marketplace.
pub(crate) fn model_name(id: &str) -> &str {
    let mut parts = id.splitn(6, ':');
    match (parts.next(), parts.nth(1), parts.nth(2)) {
        (Some("arn"), Some("sagemaker"), Some(resource)) => resource.strip_prefix("endpoint/").unwrap_or(id),
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_of_an_endpoint_names_it() {
        assert_eq!(model_name("arn:aws:sagemaker:us-east-1:123456789012:endpoint/my-llm"), "my-llm");
        assert_eq!(model_name("anthropic.claude-v1:0"), "anthropic.claude-v1:0");
        assert_eq!(
            model_name("arn:aws:bedrock:us-east-1::foundation-model/x"),
            "arn:aws:bedrock:us-east-1::foundation-model/x"
        );
    }
}
