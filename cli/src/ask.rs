//! A prompt in the words of each container.

use sagewire_codec::Format;
use sagewire_emulator::ContainerFormat;
use serde_json::{Value, json};

/// Tokens that are asked for: more than the answer has, and than most containers give unless they are told to.
const TOKENS: u32 = 500;

/// The body of a request for a streamed answer, which does not repeat the prompt.
pub(crate) fn body(format: ContainerFormat, prompt: &str) -> String {
    let messages = || json!([{"role": "user", "content": prompt}]);
    let body: Value = match format {
        ContainerFormat::Anthropic => json!({"max_tokens": TOKENS, "messages": messages(), "stream": true}),
        ContainerFormat::Responses => json!({"input": prompt, "stream": true}),
        ContainerFormat::Tgi | ContainerFormat::Lmi | ContainerFormat::LmiVllm => {
            let parameters = json!({"max_new_tokens": TOKENS, "return_full_text": false, "details": true});
            json!({"inputs": prompt, "parameters": parameters, "stream": true})
        }
        ContainerFormat::JumpStart => {
            json!({"inputs": prompt, "parameters": {"max_new_tokens": TOKENS, "return_full_text": false}})
        }
        ContainerFormat::LmiOutputs => {
            json!({"inputs": prompt, "parameters": {"max_new_tokens": TOKENS}, "stream": true})
        }
        ContainerFormat::Triton => {
            json!({"text_input": prompt, "parameters": {"max_tokens": TOKENS, "stream": true}})
        }
        ContainerFormat::LlamaServer => json!({"prompt": prompt, "n_predict": TOKENS, "stream": true}),
        ContainerFormat::TorchServe => json!({ "prompt": prompt }),
        _ => json!({"messages": messages(), "stream": true, "stream_options": {"include_usage": true}}),
    };
    body.to_string()
}

/// What the answer has to be read as: only plain text cannot be told by its shape.
pub(crate) fn reading(format: ContainerFormat) -> Format {
    match format {
        ContainerFormat::TorchServe => Format::Text,
        _ => Format::Auto,
    }
}

/// Whether a stream says that it is complete. Some only stop.
pub(crate) fn tells_end(format: ContainerFormat) -> bool {
    !matches!(format, ContainerFormat::LmiOutputs | ContainerFormat::Triton)
}
