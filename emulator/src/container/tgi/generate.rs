//! `inputs`: TGI's own format.

use serde::Deserialize;

use super::super::echo::{Echo, Token};
use super::super::http::{ErrorResponse, OkResponse, push_event};
use super::super::json::{Json, object};
use super::super::stop_criteria::StopCriteria;
use super::shape::{events, invalid};

/// Llama's end-of-sequence token.
const EOS: &str = "</s>";
const EOS_ID: u64 = 2;
/// Default of `--max-stop-sequences`.
const STOP_MAX: usize = 4;

#[derive(Deserialize)]
pub(super) struct Generate {
    inputs: String,
    parameters: Option<Parameters>,
    #[serde(default)]
    stream: bool,
}

/// All parameters that TGI validates.
#[derive(Default, Deserialize)]
struct Parameters {
    best_of: Option<u32>,
    temperature: Option<f64>,
    repetition_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    top_k: Option<i32>,
    top_p: Option<f64>,
    typical_p: Option<f64>,
    max_new_tokens: Option<u32>,
    return_full_text: Option<bool>,
    #[serde(default)]
    do_sample: bool,
    #[serde(default)]
    stop: Vec<String>,
    #[serde(default)]
    details: bool,
    #[serde(default)]
    decoder_input_details: bool,
    seed: Option<u64>,
}

impl Generate {
    pub(super) fn respond(self) -> Result<OkResponse, ErrorResponse> {
        let parameters = self.parameters.unwrap_or_default();
        let fault = parameters.fault(&self.inputs, self.stream);
        if self.stream {
            // TGI sends the status before it validates the request.
            let mut body = String::new();
            match fault {
                Some(message) => push_event(None, invalid(message), &mut body),
                None => stream(&self.inputs, &parameters, &mut body),
            }
            return Ok(events(body));
        }
        match fault {
            Some(message) => Err(ErrorResponse::json(422, &invalid(message))),
            // A list of one element, as on the root path.
            None => Ok(OkResponse::json(&Json::from([whole(&self.inputs, &parameters)]))),
        }
    }
}

impl Parameters {
    /// The first validation error, in TGI's order.
    fn fault(&self, inputs: &str, is_streamed: bool) -> Option<&'static str> {
        let has_best_of = self.best_of.is_some_and(|count| count > 1);
        let samples = self.do_sample
            || self.temperature.is_some()
            || self.top_k.is_some()
            || self.top_p.is_some()
            || self.typical_p.is_some();
        let is_outside = |value: Option<f64>| value.is_some_and(|value| value <= 0.0 || value >= 1.0);
        let faults = [
            (is_streamed && has_best_of, "`best_of` != 1 is not supported when streaming tokens"),
            (
                is_streamed && self.decoder_input_details,
                "`decoder_input_details` == true is not supported when streaming tokens",
            ),
            (self.best_of == Some(0), "`best_of` must be strictly positive"),
            (has_best_of && !samples, "you must use sampling when `best_of` is > 1"),
            (self.temperature.is_some_and(|value| value <= 0.0), "`temperature` must be strictly positive"),
            (
                self.repetition_penalty.is_some_and(|value| value <= 0.0),
                "`repetition_penalty` must be strictly positive",
            ),
            (
                self.frequency_penalty.is_some_and(|value| !(-2.0..=2.0).contains(&value)),
                "`frequency_penalty` must be >= -2.0 and <= 2.0",
            ),
            (is_outside(self.top_p), "`top_p` must be > 0.0 and < 1.0"),
            (is_outside(self.typical_p), "`typical_p` must be > 0.0 and < 1.0"),
            (self.top_k.is_some_and(|value| value <= 0), "`top_k` must be strictly positive"),
            (self.max_new_tokens == Some(0), "`max_new_tokens` must be strictly positive"),
            (self.stop.len() > STOP_MAX, "`stop` supports up to 4 stop sequences"),
            (inputs.is_empty(), "`inputs` cannot be empty"),
        ];
        faults.into_iter().find(|(is_fault, _)| *is_fault).map(|(_, message)| message)
    }

    /// On `/invocations`, the prompt is repeated by default.
    fn generated_text(&self, inputs: &str, echo: &Echo) -> String {
        let prompt = if self.return_full_text.unwrap_or(true) { inputs } else { "" };
        format!("{prompt}{}", echo.text())
    }

    /// The stop sequence is part of the output.
    fn stop_criteria(&self) -> StopCriteria {
        let max_tokens = self.max_new_tokens.map(u64::from);
        StopCriteria { max_tokens, stop: self.stop.clone(), keeps_stop: true }
    }
}

/// The tokens of the output. If it is complete, the last one is special.
fn tokens(echo: &Echo) -> Vec<Json> {
    let token = |token: Token<'_>| {
        object! { "id": token.id(), "text": token.text, "logprob": token.logprob(), "special": false }
    };
    let end = || object! { "id": EOS_ID, "text": EOS, "logprob": 0.0, "special": true };
    echo.tokens().map(token).chain(echo.is_done().then(end)).collect()
}

fn finish_reason(echo: &Echo) -> &'static str {
    echo.finish_reason("eos_token", "length", "stop_sequence")
}

fn stream(inputs: &str, parameters: &Parameters, body: &mut String) {
    let echo = Echo::new(inputs, &parameters.stop_criteria());
    let tokens = tokens(&echo);
    let count = tokens.len();
    for (at, token) in tokens.into_iter().enumerate() {
        let is_last = at + 1 == count;
        let details = object! {
            "finish_reason": finish_reason(&echo),
            "generated_tokens": count,
            "seed": parameters.seed,
            "input_length": echo.prompt_tokens,
        };
        let record = object! {
            "index": at + 1,
            "token": token,
            "generated_text": is_last.then(|| parameters.generated_text(inputs, &echo)),
            "details": (is_last && parameters.details).then_some(details),
        };
        push_event(None, record, body);
    }
}

fn whole(inputs: &str, parameters: &Parameters) -> Json {
    let echo = Echo::new(inputs, &parameters.stop_criteria());
    let answer = object! { "generated_text": parameters.generated_text(inputs, &echo) };
    if !parameters.details && !parameters.decoder_input_details {
        return answer;
    }
    let tokens = tokens(&echo);
    let prefill: Vec<Json> = if parameters.decoder_input_details { prefill(inputs) } else { vec![] };
    answer.with(
        "details",
        Some(object! {
            "finish_reason": finish_reason(&echo),
            "generated_tokens": tokens.len(),
            "seed": parameters.seed,
            "prefill": prefill,
            "tokens": tokens,
        }),
    )
}

/// The tokens of the prompt. The first one has no log probability.
fn prefill(inputs: &str) -> Vec<Json> {
    let token = |(at, token): (usize, Token<'_>)| {
        let logprob = (at > 0).then(|| token.logprob());
        object! { "id": token.id(), "text": token.text, "logprob": logprob }
    };
    Token::all(inputs).enumerate().map(token).collect()
}
