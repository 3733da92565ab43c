//! llama.cpp's server, with its own `/completion`.

use serde::Deserialize;
use serde_json::Value;

use super::chat::model_or_endpoint;
use super::echo::Echo;
use super::http::{EVENTS, ErrorResponse, OkResponse, Request, push_event};
use super::json::{Json, object};
use super::stop_criteria::{Stop, StopCriteria};

/// Responds to one prompt.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let value: Value = serde_json::from_slice(request.body).map_err(|error| {
        error_response(500, "server_error", &format!("[json.exception.parse_error.101] parse error: {error}"))
    })?;
    let invalid = |why: &str| error_response(400, "invalid_request_error", why);
    if value.get("prompt").is_none() {
        return Err(invalid("[json.exception.out_of_range.403] key 'prompt' not found"));
    }
    let completion = Completion::deserialize(&value).map_err(|error| invalid(&error.to_string()))?;
    let echo = completion.echo();
    let model = model_or_endpoint(completion.model.as_deref(), request.endpoint);
    if !completion.stream {
        let body = last(&completion, &echo, echo.text(), vec![], model).to_string();
        return Ok(OkResponse { content_type: "application/json; charset=utf-8", body });
    }
    let mut body = String::new();
    for (at, token) in echo.tokens().enumerate() {
        let record = object! {
            "index": 0_usize,
            "content": token.text,
            "tokens": [Json::from(token.id())],
            "stop": false,
            "id_slot": 0_usize,
            "tokens_predicted": at + 1,
            "tokens_evaluated": echo.prompt_tokens,
        };
        push_event(None, record, &mut body);
    }
    push_event(None, last(&completion, &echo, "", vec![], model), &mut body);
    Ok(OkResponse { content_type: EVENTS, body })
}

#[derive(Deserialize)]
struct Completion {
    model: Option<String>,
    prompt: Prompt,
    /// Negative: no limit.
    n_predict: Option<i64>,
    max_tokens: Option<i64>,
    stop: Option<Stop>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

impl Completion {
    fn limit(&self) -> i64 {
        self.n_predict.or(self.max_tokens).unwrap_or(-1)
    }

    fn echo(&self) -> Echo {
        let criteria = StopCriteria::tokens(u64::try_from(self.limit()).ok()).stop(self.stop.as_ref());
        match &self.prompt {
            Prompt::Text(prompt) => Echo::new(prompt, &criteria),
            Prompt::Tokens(tokens) => Echo::with_count("", tokens.len(), &criteria),
        }
    }

    fn prompt(&self) -> &str {
        match &self.prompt {
            Prompt::Text(prompt) => prompt,
            Prompt::Tokens(_) => "",
        }
    }
}

/// The non-streaming response, or the last record of a stream.
fn last(request: &Completion, echo: &Echo, content: &str, tokens: Vec<Json>, model: &str) -> Json {
    let (count, prompt_count) = (echo.count(), echo.prompt_tokens);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let limit = request.limit() as f64;
    let stop = StopCriteria::default().stop(request.stop.as_ref()).stop;
    let stop: Vec<Json> = stop.into_iter().map(Json::from).collect();
    let settings = object! {
        "temperature": 0.8,
        "top_k": 40_usize,
        "top_p": 0.95,
        "min_p": 0.05,
        "stop": stop,
        "max_tokens": limit,
        "n_predict": limit,
        "stream": request.stream,
    };
    object! {
        "index": 0_usize,
        "content": content,
        "tokens": tokens,
        "id_slot": 0_usize,
        "stop": true,
        "model": model,
        "tokens_predicted": count,
        "tokens_evaluated": prompt_count,
        "generation_settings": settings,
        "prompt": request.prompt(),
        "has_new_line": echo.text().contains('\n'),
        "truncated": false,
        "stop_type": echo.finish_reason("eos", "limit", "word"),
        "stopping_word": echo.stopped_by().unwrap_or_default(),
        "tokens_cached": prompt_count + count,
        "timings": object! { "cache_n": 0_usize, "prompt_n": prompt_count, "predicted_n": count },
    }
}

fn error_response(code: u16, kind: &str, message: &str) -> ErrorResponse {
    let error = object! { "code": u64::from(code), "message": message, "type": kind };
    ErrorResponse::json(code, &object! { "error": error })
}
