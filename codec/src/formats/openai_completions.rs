//! OpenAI completions: `{"prompt":"…"}`.
//!
//! A list of one text is that text. Several prompts, and tokens, are kept for completions alone: they are several
//! conversations, or no text, so no other format is written from them.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::{Put, has_below};
use crate::formats::request_reader::{Result, Source, expected, place, split_off};
use crate::json::{Kind, Object};
use crate::model::Param;
use crate::model::Request;

/// Members of a request that have names in the model, where their values are not theirs.
const OWN: &[&str] = &[
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "n",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logprobs",
    "logit_bias",
    "user",
    "echo",
    "stream",
    "stream_options",
];

const TAKES: &[&str] = &[
    "include_usage",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "n",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "user",
    "return_full_text",
];

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    let (_, start) = source.kind()?;
    let mut request = Request::default();
    let mut extension_fields = Vec::new();
    source.object(&mut extension_fields, "", |source, name| match name {
        "prompt" => prompt(source, &mut request),
        "model" => source.param(&mut request.model),
        "max_tokens" => source.param(&mut request.max_tokens),
        "temperature" => source.param(&mut request.temperature),
        "top_p" => source.param(&mut request.top_p),
        "top_k" => source.param(&mut request.top_k),
        "min_p" => source.param(&mut request.min_p),
        "seed" => source.param(&mut request.seed),
        "n" => source.param(&mut request.n),
        "stop" => source.strings(&mut request.stop, true),
        "frequency_penalty" => source.param(&mut request.frequency_penalty),
        "presence_penalty" => source.param(&mut request.presence_penalty),
        "repetition_penalty" => source.param(&mut request.repetition_penalty),
        "logprobs" => {
            let taken = source.param(&mut request.top_logprobs)?;
            request.logprobs = request.top_logprobs.map(|top| Param { value: true, offset: top.offset });
            Ok(taken)
        }
        "logit_bias" => source.param(&mut request.logit_bias),
        "user" => source.param(&mut request.user),
        "echo" => source.param(&mut request.return_full_text),
        "stream" => source.param(&mut request.stream),
        "stream_options" => {
            let Request { include_usage, extension_fields, .. } = &mut request;
            source.nested(extension_fields, "stream_options", |source, name| {
                if name == "include_usage" { source.param(include_usage) } else { Ok(false) }
            })
        }
        _ => Ok(false),
    })?;
    if request.prompt.is_none() && request.prompts.is_none() {
        return Err(expected(start, "prompt", "a string", "nothing"));
    }
    request.extra_parameters = split_off(&mut extension_fields, OWN);
    request.extension_fields.append(&mut extension_fields);
    Ok(request)
}

/// Reads a prompt, also as the only one of a list.
fn prompt<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let (kind, offset) = source.kind()?;
    (request.prompt, request.prompts) = (None, None);
    if kind != Kind::Array {
        source.expect("prompt", Kind::String)?;
        return source.param(&mut request.prompt);
    }
    let mut count = 0;
    request.prompt = source.probe(|source| {
        let mut only = None;
        source.array(|source| {
            count += 1;
            if !source.value(&mut only)? {
                count += 1;
                source.raw()?;
            }
            Ok(())
        })?;
        Ok(only.filter(|_| count == 1).map(|value| Param { value, offset: place(offset) }))
    })?;
    if count == 0 {
        return Err(expected(offset, "prompt", "a string", "an empty list"));
    }
    if request.prompt.is_none() {
        source.param(&mut request.prompts)?;
    }
    Ok(true)
}

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(TAKES, "OpenAI's completions have no such parameter");
    let request = c.request;
    let mut object = Object::new(out);
    if let Some(model) = &request.model {
        object.string("model", &model.value);
    }
    match &request.prompts {
        Some(prompts) => object.raw("prompt", prompts.value.as_str()),
        None => object.text("prompt", &*c.prompt()?),
    }
    if let Some(tokens) = c.max_tokens() {
        object.integer("max_tokens", tokens);
    }
    c.number_member(&mut object, "temperature", c.temperature());
    c.number_member(&mut object, "top_p", request.top_p);
    c.signed(&mut object, "top_k", request.top_k);
    c.number_member(&mut object, "min_p", request.min_p);
    c.signed(&mut object, "seed", request.seed);
    if let Some(n) = request.n {
        object.integer("n", n.value);
    }
    match &request.stop[..] {
        [stop] if c.is_spelled(stop.offset, "stop") => object.string("stop", &stop.value),
        _ => c.stop(&mut object, "stop"),
    }
    c.number_member(&mut object, "frequency_penalty", request.frequency_penalty);
    c.number_member(&mut object, "presence_penalty", request.presence_penalty);
    c.number_member(&mut object, "repetition_penalty", request.repetition_penalty);
    let wants = |param: Option<Param<bool>>| param.is_some_and(|param| param.value);
    match request.top_logprobs {
        Some(top) => object.integer("logprobs", top.value),
        None if wants(request.logprobs) => object.integer("logprobs", 0),
        None => {}
    }
    if let Some(bias) = &request.logit_bias {
        object.raw("logit_bias", bias.value.as_str());
    }
    if let Some(user) = &request.user {
        object.string("user", &user.value);
    }
    if let Some(echo) = request.return_full_text.filter(|echo| echo.value || c.same) {
        object.bool("echo", echo.value);
    }
    if let Some(stream) = request.stream {
        object.bool("stream", stream.value);
    }
    let has_own = c.same && has_below(&request.extension_fields, "stream_options");
    if (request.include_usage.is_some() && (wants(request.stream) || c.same)) || has_own {
        let mut options = object.begin_object("stream_options");
        if let Some(usage) = request.include_usage {
            options.bool("include_usage", usage.value);
        }
        if c.same {
            options.extension_fields(&request.extension_fields, "stream_options");
        }
    }
    c.extra_parameters(&mut object, |name| name == "prompt" || OWN.contains(&name));
    if c.same {
        object.extension_fields(&request.extension_fields, "");
    }
    Ok(())
}
