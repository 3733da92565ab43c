//! SGLang's own `/generate`.

use serde::Deserialize;
use serde_json::Value;

use super::echo::Echo;
use super::http::{EVENTS, ErrorResponse, OkResponse, Request, push_event};
use super::json::{Json, object};
use super::stop_criteria::{Stop, StopCriteria};

/// Default number of tokens.
const DEFAULT_TOKENS: u64 = 128;
/// Most responses of a request.
const RESPONSES_MAX: usize = 128;

/// Responds to one prompt, or to several.
pub(super) fn respond(request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    let value: Value =
        serde_json::from_slice(request.body).map_err(|error| error_response(&error.to_string()))?;
    let body = Generate::deserialize(&value).map_err(|error| error_response(&error.to_string()))?;
    let (echoes, is_list) = body.echoes()?;
    if body.stream {
        return Ok(OkResponse { content_type: EVENTS, body: stream(&echoes, is_list) });
    }
    let all: Vec<Json> = echoes.iter().map(|echo| record(echo, echo.text(), echo.count(), true)).collect();
    Ok(OkResponse::json(&match <[Json; 1]>::try_from(all) {
        Ok([only]) if !is_list => only,
        Ok(only) => Json::from(only),
        Err(all) => Json::from(all),
    }))
}

#[derive(Deserialize)]
struct Generate {
    text: Option<Prompts>,
    input_ids: Option<Vec<Value>>,
    #[serde(default)]
    sampling_params: SamplingParams,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompts {
    One(String),
    Several(Vec<String>),
}

#[derive(Default, Deserialize)]
struct SamplingParams {
    max_new_tokens: Option<u64>,
    top_p: Option<f64>,
    top_k: Option<i64>,
    n: Option<usize>,
    stop: Option<Stop>,
}

impl Generate {
    /// The output for each prompt, `n` times, and whether it is a list even if it is one.
    fn echoes(&self) -> Result<(Vec<Echo>, bool), ErrorResponse> {
        let parameters = &self.sampling_params;
        if let Some(top_p) = parameters.top_p.filter(|top_p| !(*top_p > 0.0 && *top_p <= 1.0)) {
            return Err(error_response(&format!("top_p must be in (0, 1], got {top_p}.")));
        }
        if let Some(top_k) = parameters.top_k.filter(|top_k| *top_k == 0 || *top_k < -1) {
            return Err(error_response(&format!("top_k must be -1 (disable) or at least 1, got {top_k}.")));
        }
        let count = parameters.n.unwrap_or(1);
        let criteria = StopCriteria::tokens(parameters.max_new_tokens.or(Some(DEFAULT_TOKENS)))
            .stop(parameters.stop.as_ref());
        let (prompts, is_list) = match (&self.text, &self.input_ids) {
            (Some(Prompts::One(prompt)), None) => (vec![Echo::new(prompt, &criteria)], false),
            (Some(Prompts::Several(prompts)), None) => {
                (prompts.iter().map(|prompt| Echo::new(prompt, &criteria)).collect(), true)
            }
            (None, Some(tokens)) => (vec![Echo::with_count("", tokens.len(), &criteria)], false),
            _ => {
                let why = "Either text, input_ids or input_embeds should be provided.";
                return Err(error_response(why));
            }
        };
        if count == 0 || prompts.is_empty() || prompts.len().saturating_mul(count) > RESPONSES_MAX {
            return Err(error_response("n must be from 1 to 128"));
        }
        let all = prompts.iter().flat_map(|echo| std::iter::repeat_n(echo.clone(), count));
        Ok((all.collect(), is_list || count > 1))
    }
}

/// A record with all text so far, of this number of tokens; or the last one.
fn record(echo: &Echo, text: &str, count: usize, is_last: bool) -> Json {
    let ids: Vec<Json> = echo.tokens().take(count).map(|token| Json::from(token.id())).collect();
    let reason = is_last.then(|| match echo.stopped_by() {
        Some(stop) => object! { "type": "stop", "matched": stop },
        None if echo.is_truncated() => object! { "type": "length", "length": count },
        None => object! { "type": "stop", "matched": 2_usize },
    });
    let meta = object! {
        "id": format!("{:032x}", echo.number),
        "finish_reason": reason,
        "prompt_tokens": echo.prompt_tokens,
        "weight_version": "default",
        "total_retractions": 0_usize,
        "completion_tokens": count,
        "cached_tokens": 0_usize,
    };
    object! { "text": text, "output_ids": ids, "meta_info": meta.with("e2e_latency", is_last.then_some(0.25)) }
}

/// One record for each token. Several responses are interleaved and numbered.
fn stream(echoes: &[Echo], is_list: bool) -> String {
    let mut body = String::new();
    let longest = echoes.iter().map(Echo::count).max().unwrap_or(0);
    for count in 1..=longest.max(1) {
        for (index, echo) in echoes.iter().enumerate().filter(|(_, echo)| count <= echo.count().max(1)) {
            let text: String = echo.tokens().take(count).map(|token| token.text).collect();
            let is_last = count >= echo.count();
            let record = record(echo, &text, count.min(echo.count()), is_last);
            push_event(None, record.with("index", is_list.then_some(index)), &mut body);
        }
    }
    push_event(None, "[DONE]", &mut body);
    body
}

fn error_response(message: &str) -> ErrorResponse {
    let error = object! { "message": message, "type": "BadRequestError", "code": 400_usize };
    ErrorResponse::json(400, &object! { "error": error })
}
