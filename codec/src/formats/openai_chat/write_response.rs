//! Writes whole responses.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::call_ids::CallIds;
use crate::formats::logprobs;
use crate::formats::openai::chat_annotation;
use crate::formats::openai_chat::chunk::Delta;
use crate::formats::openai_chat::chunk_writer::{is_taken, why_taken};
use crate::formats::openai_chat::finish_reason::{finish_reason, note_finish_reason};
use crate::formats::openai_chat::write_stream::{FOREIGN, is_taken_in_choice, write_call};
use crate::formats::openai_usage::{CHAT_USAGE, is_chat_usage, whole_usage, write_usage};
use crate::json::Object;
use crate::model::Content;
use crate::model::position::ResponseItem;
use crate::model::{Choice, FinishReason, Json, Losses, Outcome, Response, ResponseOptions};

/// Writes a response as a chat completion.
///
/// The [`ResponseOptions`] have defaults for what the source does not have. Several texts of one choice become one.
pub(crate) fn write_response(response: &Response, context: &ResponseOptions) -> (Vec<u8>, Losses) {
    let id = response.id.as_deref().or(context.id.as_deref());
    let mut ids = CallIds::new(id, response.created.or(context.created));
    write_object(response, context, ["chatcmpl-0", "chat.completion"], |choice, out, losses| {
        write_choice(response, choice, &mut ids, out, losses);
    })
}

/// Writes a response with a default ID and a kind of object.
pub(super) fn write_object(
    response: &Response,
    context: &ResponseOptions,
    [id, kind]: [&str; 2],
    mut write_choice: impl FnMut(&Choice, &mut Vec<u8>, &mut Losses),
) -> (Vec<u8>, Losses) {
    let (mut out, mut losses) = (Vec::new(), Losses::default());
    Object::write(&mut out, |object| {
        object.string("id", response.id.as_deref().or(context.id.as_deref()).unwrap_or(id));
        object.string("object", kind);
        object.integer("created", response.created.or(context.created).unwrap_or(0));
        object.string("model", response.model.as_deref().or(context.model.as_deref()).unwrap_or(""));
        object.array("choices", &response.choices, |choice, out| write_choice(choice, out, &mut losses));
        if let Some(usage) = &response.usage {
            losses.set_here(response.positions.of(ResponseItem::Usage));
            let more = response.more_usage(is_chat_usage).map_or("", |json| json.as_str());
            write_usage(&CHAT_USAGE, &whole_usage(usage, &mut losses), more, object.name("usage"));
        }
        write_others(response, None, |_| true, object, &mut losses);
    });
    response.note_malformed(&mut losses);
    losses.find(response.positions.document());
    (out, losses)
}

fn write_choice(
    response: &Response,
    choice: &Choice,
    ids: &mut CallIds,
    out: &mut Vec<u8>,
    losses: &mut Losses,
) {
    let is_own = |json: &Json<'_>| chat_annotation(json.as_str()).is_some();
    let citations = response.citations(choice, is_own, losses);
    Object::write(out, |object| {
        object.integer("index", choice.index.into());
        object.object("message", |message| {
            write_message(response, choice, ids, message, losses);
            if !citations.is_empty() {
                let all = citations.into_values().flatten();
                let all = all.filter_map(chat_annotation);
                message.array("annotations", all, |json, out| out.extend_from_slice(json.as_bytes()));
            }
        });
        if let Some(logprobs) = joined_logprobs(response, choice, &logprobs::CHAT, losses, logprobs::of_chat)
        {
            object.json("logprobs", &logprobs);
        }
        let (reason, _) = choice.reason(&response.positions, losses);
        write_reason(&reason, choice, object, losses);
        write_others(response, Some(choice), |name| !Delta::has(name), object, losses);
    });
}

/// Writes why the choice ended. Clients treat a response without a reason as truncated.
pub(super) fn write_reason(
    reason: &FinishReason<'_>,
    choice: &Choice,
    object: &mut Object<'_>,
    losses: &mut Losses,
) {
    note_finish_reason(reason, choice.stop.as_deref(), losses);
    object.string("finish_reason", finish_reason(reason));
    if let Some(stop) = &choice.stop {
        // vLLM's name for it.
        object.string("stop_reason", stop);
    }
}

/// The log probabilities of a choice in the shape of an API, whose lists are `lists`; `convert` converts those of one record.
pub(super) fn joined_logprobs<'r>(
    response: &Response,
    choice: &'r Choice,
    lists: &[&'static str],
    losses: &mut Losses,
    mut convert: impl FnMut(&'r str, &mut Losses) -> Option<Cow<'r, str>>,
) -> Option<Cow<'r, str>> {
    let mut pieces = Vec::new();
    for (index, piece) in choice.logprobs.iter().enumerate() {
        losses.set_here(response.positions.of(ResponseItem::Logprobs { choice: choice.index, index }));
        pieces.extend(convert(piece.as_str(), losses));
    }
    logprobs::join(&pieces, lists)
}

/// Writes the fields that have no meaning here and belong into this object. If several have one name, the last is written,
/// which is the one that readers use.
pub(super) fn write_others(
    response: &Response,
    choice: Option<&Choice>,
    is_here: impl Fn(&str) -> bool,
    object: &mut Object<'_>,
    losses: &mut Losses,
) {
    let others = choice.map_or(&response.others, |choice| &choice.others);
    let is_taken = if choice.is_some() { is_taken_in_choice } else { is_taken };
    let choice = choice.map(|choice| choice.index);
    let named = others.iter().enumerate().filter_map(|(at, (name, _))| Some((name.as_deref()?, at)));
    let last: BTreeMap<&str, usize> = named.collect();
    for (at, (name, json)) in others.iter().enumerate() {
        match name.as_deref() {
            Some(name) if choice.is_none() && is_chat_usage(name, json) => {}
            name if !is_here(name.unwrap_or_default()) => {}
            None => {
                losses.set_here(response.positions.of(ResponseItem::Other { choice, index: at }));
                losses.add("record", Outcome::Dropped, "a record of unknown meaning has no place");
            }
            Some(name) if is_taken(name) => response.lose_other(choice, at, why_taken(name), losses),
            Some(name) if last.get(name) == Some(&at) => object.json(name, json.as_str()),
            Some(_) => {
                let why = "those of earlier records: the format has one place";
                response.lose_other(choice, at, why, losses);
            }
        }
    }
}

fn write_message(
    response: &Response,
    choice: &Choice,
    ids: &mut CallIds,
    message: &mut Object<'_>,
    losses: &mut Losses,
) {
    let joined = |texts: &mut dyn Iterator<Item = &str>| {
        let mut texts = texts.peekable();
        texts.peek().is_some().then(|| texts.collect::<String>())
    };
    let texts = &mut choice.content.iter().filter_map(|part| match &part.content {
        Content::Text(text) => Some(&**text),
        _ => None,
    });
    let reasonings = &mut choice.content.iter().filter_map(|part| match &part.content {
        Content::Reasoning { text, .. } => Some(&**text),
        _ => None,
    });
    let refusals = &mut choice.content.iter().filter_map(|part| match &part.content {
        Content::Refusal(text) => Some(&**text),
        _ => None,
    });
    message.string("role", "assistant");
    match joined(texts) {
        Some(text) => message.string("content", &text),
        None => message.json("content", "null"),
    }
    if let Some(text) = joined(reasonings) {
        message.string("reasoning_content", &text);
    }
    if let Some(text) = joined(refusals) {
        message.string("refusal", &text);
    }
    // A message of the chat has one phase: the last one.
    if let Some((_, phase)) = choice.phases.last() {
        message.json("phase", phase.as_str());
    }
    write_others(response, Some(choice), Delta::has, message, losses);
    for (at, part) in choice.content.iter().enumerate() {
        let of = |item| response.positions.of(item);
        losses.set_here(of(ResponseItem::Part { choice: choice.index, part: at }));
        match &part.content {
            Content::Reasoning { signature: None, .. } => {}
            Content::Reasoning { .. } | Content::Redacted(_) => {
                if let here @ Some(_) = of(ResponseItem::Signature { choice: choice.index, part: at }) {
                    losses.set_here(here);
                }
                losses.add("reasoning signature", Outcome::Dropped, "a message has no place for it");
            }
            Content::Other(_) => losses.add("other part", Outcome::Dropped, FOREIGN),
            _ => {}
        }
    }
    write_calls(response, choice, ids, message, losses);
}

fn write_calls(
    response: &Response,
    choice: &Choice,
    ids: &mut CallIds,
    message: &mut Object<'_>,
    losses: &mut Losses,
) {
    let calls: Vec<_> = choice
        .content
        .iter()
        .enumerate()
        .filter_map(|(part, content)| match &content.content {
            Content::ToolCall { id, name, input, custom } => {
                Some((part, id.as_deref(), name, input, *custom))
            }
            _ => None,
        })
        .collect();
    if calls.is_empty() {
        return;
    }
    message.array("tool_calls", calls.iter().enumerate(), |(at, (part, id, name, input, custom)), out| {
        losses.set_here(response.positions.of(ResponseItem::Part { choice: choice.index, part: *part }));
        let number = format_args!("{}_{at}", choice.index);
        let id = ids.next(id.map(Cow::Borrowed), "call", number, losses);
        Object::write(out, |call| {
            // Clients that parse arguments need an empty object if there are none.
            let input = if input.is_empty() && !custom { "{}" } else { input };
            write_call(call, (&id, name, *custom), input);
        });
    });
}
