//! Reads the responses and the events of Cohere Chat v1, which older marketplace packages send.

use core::ops::Range;

use crate::assemble::{Element, Emitter, Index, Stop, TextKind, ToolDelta};
use crate::formats::cohere::read_parts::{CHOICE, finish, read_usage, whole_or_piece};
use crate::json::{Kind, unescaped};

/// Reads an event, or a whole response.
pub(super) fn read_record(emitter: &mut Emitter<'_>, record: &Range<usize>) -> Result<(), Stop> {
    let [kind, text] = emitter.string_fields(record, [b"event_type", b"text"])?;
    let Some(kind) = kind else { return response(emitter, record, None) };
    let name = unescaped(emitter.record, kind);
    if !matches!(&*name, b"stream-start" | b"stream-end") {
        emitter.start(None, None, None, None);
        emitter.touch(&CHOICE)?;
    }
    emitter.remember_text();
    let known: &[&[u8]] = match &*name {
        b"text-generation" => {
            emitter.text(&CHOICE, TextKind::Text, text)?;
            &[b"text"]
        }
        b"stream-start" => {
            let [id] = emitter.string_fields(record, [b"generation_id"])?;
            emitter.start(id, None, None, None);
            emitter.touch(&CHOICE)?;
            &[b"generation_id"]
        }
        b"tool-calls-chunk" => {
            emitter.text(&CHOICE, TextKind::Reasoning, text)?;
            chunk(emitter, record)?;
            &[b"text", b"tool_call_delta"]
        }
        // The calls that came in chunks are repeated whole.
        b"tool-calls-generation" => {
            if emitter.call_count(&CHOICE) == 0 {
                emitter.text(&CHOICE, TextKind::Reasoning, text)?;
                calls(emitter, record)?;
            }
            &[b"text", b"tool_calls"]
        }
        b"citation-generation" => {
            if let [Some(citations)] = emitter.fields(record, [b"citations"])? {
                emitter.citations(&CHOICE, &citations)?;
            }
            &[b"citations"]
        }
        b"stream-end" => return stream_end(emitter, record),
        // The searches of the service, for example.
        name => {
            emitter.other(Some(&CHOICE), Some(name), record.clone());
            return Ok(());
        }
    };
    emitter.other_fields(record, Some(&CHOICE), |name| is_of_event(name) || known.contains(&name))
}

fn is_of_event(name: &[u8]) -> bool {
    matches!(name, b"event_type" | b"is_finished")
}

/// Reads the end of a stream, which repeats all of it.
fn stream_end(emitter: &mut Emitter<'_>, record: &Range<usize>) -> Result<(), Stop> {
    let [whole] = emitter.fields(record, [b"response"])?;
    // Without a response the end is read as one that has nothing but the reason.
    let whole = whole.filter(|whole| emitter.record[whole.start] == b'{');
    response(emitter, whole.as_ref().unwrap_or(record), Some(record))?;
    emitter.other_fields(record, None, |name| {
        is_of_event(name) || matches!(name, b"finish_reason" | b"error" | b"response")
    })?;
    emitter.done();
    Ok(())
}

/// Reads a whole response. At the end of a stream, which has the reason, only what was not streamed is delivered.
fn response(
    emitter: &mut Emitter<'_>,
    response: &Range<usize>,
    end: Option<&Range<usize>>,
) -> Result<(), Stop> {
    let was_streamed = end.is_some();
    let [id, text] = emitter.string_fields(response, [b"generation_id", b"text"])?;
    let [mut reason, error] = emitter.string_fields(end.unwrap_or(response), [b"finish_reason", b"error"])?;
    if reason.is_none() {
        [reason] = emitter.string_fields(response, [b"finish_reason"])?;
    }
    let [citations, meta] = emitter.fields(response, [b"citations", b"meta"])?;
    emitter.start(id, None, None, None);
    emitter.touch(&CHOICE)?;
    let had_calls = emitter.call_count(&CHOICE) > 0;
    match text {
        Some(text) if emitter.has_sent_text() => emitter.repeated_text(&CHOICE, text, None)?,
        // Beside calls that were streamed, the text is their plan, which was streamed with them.
        text if !had_calls => emitter.text(&CHOICE, TextKind::Text, text)?,
        _ => {}
    }
    if let Some(citations) = citations.filter(|_| !was_streamed) {
        emitter.citations(&CHOICE, &citations)?;
    }
    if !had_calls {
        calls(emitter, response)?;
    }
    finish(emitter, end.unwrap_or(response), reason, error)?;
    read_usage(emitter, meta)?;
    if end == Some(response) {
        return Ok(());
    }
    emitter.other_fields(response, None, |name| {
        let is_repeated =
            was_streamed && matches!(name, b"documents" | b"search_queries" | b"search_results");
        is_repeated
            || matches!(
                name,
                b"generation_id"
                    | b"text"
                    | b"finish_reason"
                    | b"error"
                    | b"citations"
                    | b"tool_calls"
                    | b"meta"
                    | b"chat_history"
            )
    })
}

/// Reads the calls of a response or of an event: names and objects of parameters, without IDs.
fn calls(emitter: &mut Emitter<'_>, object: &Range<usize>) -> Result<(), Stop> {
    let [Some(list)] = emitter.fields(object, [b"tool_calls"])? else { return Ok(()) };
    let element = Element::Whole(emitter.call_count(&CHOICE));
    emitter.objects(&list, |emitter, _, call| {
        let [id, name] = emitter.string_fields(&call, [b"id", b"name"])?;
        let [parameters] = emitter.fields(&call, [b"parameters"])?;
        emitter.set_position(call.start);
        whole_or_piece(emitter, parameters, &ToolDelta { id, name, element, ..ToolDelta::default() })?;
        emitter.other_fields(&call, Some(&CHOICE), |name| matches!(name, b"id" | b"name" | b"parameters"))
    })
}

/// Reads a piece of a call, or of the plan before it.
fn chunk(emitter: &mut Emitter<'_>, record: &Range<usize>) -> Result<(), Stop> {
    let [Some(delta)] = emitter.fields(record, [b"tool_call_delta"])? else { return Ok(()) };
    let [name, text] = emitter.string_fields(&delta, [b"name", b"text"])?;
    let [index, parameters] = emitter.fields(&delta, [b"index", b"parameters"])?;
    let index = match index {
        Some(index) => emitter.json(index.start).integer_or_skip()?.map(Index::fixed),
        None => None,
    };
    emitter.text(&CHOICE, TextKind::Reasoning, text)?;
    if name.is_some() || parameters.is_some() {
        emitter.set_position(delta.start);
        whole_or_piece(emitter, parameters, &ToolDelta { index, name, ..ToolDelta::default() })?;
    }
    if emitter.json(delta.start).kind()? == Kind::Object {
        let is_known = |name: &[u8]| matches!(name, b"index" | b"name" | b"parameters" | b"text");
        emitter.other_fields(&delta, Some(&CHOICE), is_known)?;
    }
    Ok(())
}
