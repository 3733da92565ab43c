//! Reads records, and whole responses.

use alloc::string::{String, ToString};
use core::ops::Range;

use crate::assemble::{Emitter, Index, Reason, Stop, TextKind, Tracked};
use crate::formats::text_generation::details::{count, other_fields};
use crate::formats::text_generation::record::{Field, Record, integer, number, only_number};
use crate::formats::text_generation::sglang::choices::Choices;
use crate::formats::text_generation::sglang::text_mode::Step;
use crate::formats::text_generation::state::StreamState;
use crate::json::{Str, unescaped};
use crate::model::{Failure, FinishReason, Usage};

/// The fields of `meta_info` that have a meaning here.
const META_INFO: [&[u8]; 7] = [
    b"id",
    b"finish_reason",
    b"prompt_tokens",
    b"completion_tokens",
    b"cached_tokens",
    b"reasoning_tokens",
    b"output_token_logprobs",
];

/// Their spans.
struct MetaInfo {
    range: Range<usize>,
    id: Option<Str>,
    finish_reason: Option<Range<usize>>,
    /// The input's, the output's, cached ones, and those of reasoning.
    counts: [Option<Range<usize>>; 4],
    logprobs: Option<Range<usize>>,
}

impl MetaInfo {
    fn find(emitter: &Emitter<'_>, range: Range<usize>) -> Result<Self, Stop> {
        let [id, finish_reason, input, output, cached, reasoning, logprobs] =
            emitter.fields(&range, META_INFO)?;
        let counts = [input, output, cached, reasoning].map(|count| number(emitter.record, count));
        let logprobs = logprobs.filter(|list| emitter.record[list.start] == b'[');
        Ok(Self { range, id: emitter.string_in(id), finish_reason, counts, logprobs })
    }
}

/// Reads a record.
pub(crate) fn read_record(
    state: &mut Tracked<StreamState>,
    record: &Record,
    emitter: &mut Emitter<'_>,
) -> Result<(), Stop> {
    let bytes = emitter.record;
    let Some(range) = record.get(Field::MetaInfo) else { return Ok(()) };
    let meta = MetaInfo::find(emitter, range)?;
    let index = emitter.choice_index(number(bytes, record.get(Field::Index)));
    let choice = &index.unwrap_or(Index::fixed(u64::from(state.sglang.ended)));
    if !emitter.is_failed() {
        emitter.start(meta.id, None, None, None);
        emitter.touch(choice)?;
    }
    let text = emitter.string_in(record.get(Field::Text));
    let ids = record.get_kind(bytes, Field::OutputIds, b"[");
    let is_last = meta.finish_reason.is_some();
    let known = state.sglang.get(emitter.value(choice));
    let is_whole = is_last && known.is_none();
    if known.is_some_and(|choice| choice.text.is_incremental()) {
        emitter.text(choice, TextKind::Text, text)?;
        emitter.ignore_number(ids.as_ref().and_then(|ids| only_number(bytes, ids)));
        emitter.ignore_number(meta.counts[1].clone());
    } else {
        deliver(state, record, &meta, (choice, text), emitter)?;
    }
    if let (Some(ids), true) = (ids, is_whole || text.is_none()) {
        emitter.other(Some(choice), Some(b"output_ids"), ids);
    }
    deliver_logprobs(state, &meta, choice, emitter)?;
    if let (Some(reason), false) = (meta.finish_reason.clone(), emitter.is_failed()) {
        finish(choice, &reason, emitter)?;
        end(&mut state.sglang, &meta, choice, emitter)?;
    }
    Ok(())
}

/// Delivers the new text of a record that may have all text so far.
fn deliver(
    state: &mut Tracked<StreamState>,
    record: &Record,
    meta: &MetaInfo,
    (choice, text): (&Index, Option<Str>),
    emitter: &mut Emitter<'_>,
) -> Result<(), Stop> {
    let bytes = emitter.record;
    let counted = integer(bytes, meta.counts[1].clone());
    let ids = match record.get_kind(bytes, Field::OutputIds, b"[") {
        Some(ids) => Some(count(emitter, &ids)?),
        None => None,
    };
    let mode = &mut state.sglang.choice(emitter.value(choice)).text;
    let Some(text) = text else { return Ok(()) };
    let step = mode.next(&bytes[text.start..text.end], counted.zip(ids), meta.finish_reason.is_some());
    match step {
        Step::From(at) => emitter.text(choice, TextKind::Text, Some(Str { start: text.start + at, ..text })),
        Step::HeldAndAll(held) => {
            deliver_held(choice, &held, emitter)?;
            emitter.text(choice, TextKind::Text, Some(text))
        }
        Step::Hold => Ok(()),
        Step::Differs => {
            emitter.other(Some(choice), Some(b"text"), text.start - 1..text.end + 1);
            Ok(())
        }
    }
}

/// Delivers text that was held back, which is spelled as in JSON.
fn deliver_held(choice: &Index, held: &[u8], emitter: &mut Emitter<'_>) -> Result<(), Stop> {
    let all = Str { start: 0, end: held.len(), escaped: true, ascii: false };
    emitter.copied_text(choice, TextKind::Text, &unescaped(held, all))
}

/// The end of the input: delivers the text that was held back.
pub(crate) fn finish_input(state: &mut StreamState, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
    for choice in &mut state.sglang.choices {
        let held = choice.text.take_held();
        deliver_held(&Index::fixed(choice.index), &held, emitter)?;
    }
    Ok(())
}

/// Delivers the log probabilities that are new: a list is as long as the output if it has all so far.
fn deliver_logprobs(
    state: &mut Tracked<StreamState>,
    meta: &MetaInfo,
    choice: &Index,
    emitter: &mut Emitter<'_>,
) -> Result<(), Stop> {
    let Some(list) = &meta.logprobs else { return Ok(()) };
    let len = count(emitter, list)?;
    let has_all = integer(emitter.record, meta.counts[1].clone()) == Some(len);
    let delivered = &mut state.sglang.choice(emitter.value(choice)).logprobs;
    let skipped = if has_all { *delivered } else { 0 };
    *delivered = delivered.saturating_add(len.saturating_sub(skipped));
    let mut index = 0;
    emitter.json(list.start).array(|json| {
        let token = json.skip()?;
        if index >= skipped && !emitter.is_failed() {
            emitter.logprobs(choice, token);
        }
        index += 1;
        Ok::<_, Stop>(())
    })
}

/// Ends a choice, or reports that it was aborted.
fn finish(choice: &Index, reason: &Range<usize>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
    let [kind, matched, message, code, name] =
        emitter.fields(reason, [b"type", b"matched", b"message", b"status_code", b"err_type"])?;
    emitter.set_position(reason.start);
    let kind = emitter.string_in(kind).or(emitter.string_at(reason));
    let stop = emitter.string_in(matched.clone());
    let known = match kind.map(|kind| unescaped(emitter.record, kind)).as_deref() {
        Some(b"stop") if stop.is_some() => Some(&FinishReason::StopSequence),
        Some(b"stop") => Some(&FinishReason::Stop),
        Some(b"length") => Some(&FinishReason::Length),
        Some(b"abort" | b"error") => {
            let text = |span| emitter.string_in(span).map(|string| emitter.to_string(string));
            let message = text(message);
            let code = code.map(|code| String::from_utf8_lossy(&emitter.record[code]).replace('"', ""));
            let name = text(name).or_else(|| code.is_some().then(|| "abort".to_string()));
            let failure = Failure::of(
                name.unwrap_or_else(|| "finish_reason".to_string()),
                code.or_else(|| Some("abort".to_string())),
                message.unwrap_or_else(|| "the server aborted the request".to_string()),
                emitter.record,
            );
            emitter.fail(failure);
            return Ok(());
        }
        _ => None,
    };
    let stop = emitter.non_empty(stop);
    let reason = match (known, kind) {
        (Some(known), _) => Reason::Known(known),
        (None, Some(kind)) => Reason::Other(emitter.string(kind)),
        (None, None) => return emitter.end_choice(choice),
    };
    emitter.finish(choice, reason, stop)?;
    if let Some(token) = number(emitter.record, matched) {
        emitter.other(Some(choice), Some(b"matched"), token);
    }
    Ok(())
}

/// Delivers what is only reported once, at the end of a choice.
fn end(all: &mut Choices, meta: &MetaInfo, choice: &Index, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
    let [input, output, cached, reasoning] = meta.counts.clone().map(|count| integer(emitter.record, count));
    all.ended = all.ended.saturating_add(1);
    let add = |sum: &mut Option<u64>, more: Option<u64>| {
        if let Some(more) = more {
            *sum = Some(sum.unwrap_or(0).saturating_add(more));
        }
    };
    add(&mut all.output_tokens, output);
    add(&mut all.reasoning_tokens, reasoning);
    let usage = Usage {
        input_tokens: input,
        output_tokens: all.output_tokens,
        cache_read_tokens: cached,
        reasoning_tokens: all.reasoning_tokens,
        ..Usage::default()
    };
    if emitter.is_failed() {
        return Ok(());
    }
    emitter.set_position(meta.range.start);
    emitter.usage(usage);
    other_fields(emitter, &meta.range, Some(choice), |name| META_INFO.contains(&name))
}
