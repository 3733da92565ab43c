//! LMI with vLLM's asynchronous engine: vLLM's records as JSON lines, and TGI's shape for `inputs`.

use serde::Deserialize;
use serde_json::Value;

use super::chat::{ChatRequest, CompletionRequest};
use super::echo::{Echo, Token};
use super::http::{ErrorResponse, JSON, JSON_LINES, OkResponse, Request};
use super::json::{Json, object};
use super::lmi::{Generate, Parameters};
use super::openai::VllmResponse;

/// Responds to a completion, a prompt or a chat, tried in this order.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let value: Value =
        serde_json::from_slice(request.body).map_err(|error| error_response(&error.to_string()))?;
    let of_vllm = |error: serde_json::Error| error_response(&format!("1 validation error: {error}"));
    if value.get("prompt").is_some() {
        let request_body = CompletionRequest::deserialize(&value).map_err(of_vllm)?;
        return VllmResponse::to_completion(request.endpoint, &request_body)
            .map(frame)
            .map_err(|error| in_lmi(&error));
    }
    if value.get("inputs").is_some() {
        let request = Generate::deserialize(&value).map_err(of_vllm)?;
        return Ok(respond_inputs(&request));
    }
    if value.get("messages").is_some() {
        let chat = ChatRequest::deserialize(&value).map_err(of_vllm)?;
        if chat.messages.is_empty() {
            return Err(error(400, "messages must not be empty"));
        }
        return VllmResponse::to_chat(request.endpoint, &chat).map(frame).map_err(|error| in_lmi(&error));
    }
    Err(error_response("invalid payload. must contain prompt, inputs, or messages"))
}

/// One record per line. `[DONE]` becomes an empty line.
fn frame(said: VllmResponse) -> OkResponse {
    match said {
        VllmResponse::Whole(body) => OkResponse { content_type: JSON, body: format!("{body}\n") },
        VllmResponse::Stream(chunks) => {
            let lines = chunks.iter().map(|chunk| format!("{chunk}\n"));
            OkResponse { content_type: JSON_LINES, body: lines.chain(["\n".into()]).collect() }
        }
    }
}

fn respond_inputs(request: &Generate) -> OkResponse {
    let default = Parameters::default();
    let parameters = request.parameters.as_ref().unwrap_or(&default);
    let echo = Echo::new(&request.inputs, &parameters.stop_criteria(parameters.stop.as_ref()));
    if request.stream {
        OkResponse { content_type: JSON_LINES, body: lines(&request.inputs, parameters, &echo) }
    } else {
        let body = whole(&request.inputs, parameters, &echo);
        OkResponse { content_type: JSON, body: format!("{body:#}\n") }
    }
}

fn token(token: Token<'_>) -> Json {
    object! { "id": token.id(), "text": token.text, "logprob": token.logprob() }
}

/// The end is a token without text, which is counted as generated. The index is that of the choice. The chunks of
/// usage and of `[DONE]` become empty lines.
fn lines(inputs: &str, parameters: &Parameters, echo: &Echo) -> String {
    let line = |token: Json, generated_text: Option<String>, details: Option<Json>| {
        let record = object! {
            "index": 0_usize,
            "token": token,
            "generated_text": generated_text,
            "details": details,
        };
        format!("{record:#}\n")
    };
    let mut body: String = echo.tokens().map(|text| line(token(text), None, None)).collect();
    let details = parameters.details.then(|| {
        object! {
            "finish_reason": echo.finish_reason("stop", "length", "stop"),
            "seed": parameters.seed,
            "generated_tokens": echo.count() + 1,
            "input_length": echo.prompt_tokens,
        }
    });
    let end = object! { "id": 2_usize, "text": "", "logprob": 0.0 };
    body += &line(end, Some(parameters.generated_text(inputs, echo)), details);
    body + "\n\n"
}

/// The field for the finish reason has the stop token, which is null.
fn whole(inputs: &str, parameters: &Parameters, echo: &Echo) -> Json {
    let details = parameters.details.then(|| {
        object! {
            "finish_reason": (),
            "generated_tokens": echo.count(),
            "seed": parameters.seed,
            "prefill": vec![],
            "tokens": echo.tokens().map(token).collect::<Vec<_>>(),
        }
    });
    object! { "generated_text": parameters.generated_text(inputs, echo) }.with("details", details)
}

/// vLLM's error as a current LMI shows it: the `repr` of the object, with a code of its own.
fn in_lmi(error: &ErrorResponse) -> ErrorResponse {
    let value: Value = serde_json::from_str(&error.body).unwrap_or_default();
    let text = |name: &str| value["error"][name].as_str().map_or("None".into(), repr);
    let (message, kind, param) = (text("message"), text("type"), text("param"));
    let code = &value["error"]["code"];
    let shown = format!("error=ErrorInfo(message={message}, type={kind}, param={param}, code={code})");
    self::error(500, &shown)
}

/// A string as Python shows it.
fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            c if c == quote => shown.extend(['\\', c]),
            c => shown.push(c),
        }
    }
    shown.push(quote);
    shown
}

fn error_response(why: &str) -> ErrorResponse {
    error(424, &format!("Input parsing failed: {why}"))
}

fn error(code: u16, message: &str) -> ErrorResponse {
    ErrorResponse {
        status: code,
        body: format!("{:#}", object! { "code": u64::from(code), "error": message }),
    }
}
