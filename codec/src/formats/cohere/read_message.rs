//! Reads whole messages.

use alloc::vec::Vec;
use core::ops::Range;

use crate::assemble::{Element, Emitter, Stop, TextKind, ToolDelta};
use crate::formats::cohere::read_parts::{CHOICE, calls, finish, item, read_usage};

/// Reads a non-streaming response.
pub(super) fn read_message(
    emitter: &mut Emitter<'_>,
    response: &Range<usize>,
    message: &Range<usize>,
) -> Result<(), Stop> {
    let [id, reason, error] = emitter.string_fields(response, [b"id", b"finish_reason", b"error"])?;
    let [usage, logprobs] = emitter.fields(response, [b"usage", b"logprobs"])?;
    let [role, plan] = emitter.string_fields(message, [b"role", b"tool_plan"])?;
    let [content, tool_calls, citations] =
        emitter.fields(message, [b"content", b"tool_calls", b"citations"])?;
    emitter.start(id, None, None, role);
    emitter.touch(&CHOICE)?;
    emitter.text(&CHOICE, TextKind::Reasoning, plan)?;
    read_content(emitter, content, citations)?;
    if let Some(logprobs) = logprobs.filter(|list| list.len() > 2) {
        emitter.logprobs(&CHOICE, logprobs);
    }
    if let Some(list) = tool_calls {
        let element = Element::Whole(emitter.call_count(&CHOICE));
        calls(emitter, &list, &ToolDelta { element, ..ToolDelta::default() })?;
    }
    emitter.other_fields(message, Some(&CHOICE), |name| {
        matches!(name, b"role" | b"tool_plan" | b"content" | b"tool_calls" | b"citations")
    })?;
    finish(emitter, response, reason, error)?;
    read_usage(emitter, usage)?;
    emitter.other_fields(response, None, |name| {
        matches!(name, b"id" | b"finish_reason" | b"error" | b"usage" | b"logprobs" | b"message")
    })
}

/// Reads content: items, each with its citations, or one text. A citation without the index of an item belongs to the last.
fn read_content(
    emitter: &mut Emitter<'_>,
    content: Option<Range<usize>>,
    citations: Option<Range<usize>>,
) -> Result<(), Stop> {
    let mut cited = Vec::new();
    if let Some(list) = citations {
        emitter.objects(&list, |emitter, _, citation| {
            let [index] = emitter.fields(&citation, [b"content_index"])?;
            let index = index.and_then(|index| emitter.json(index.start).integer_or_skip().ok()?);
            cited.push((index.unwrap_or(u64::MAX), citation));
            Ok(())
        })?;
        cited.sort_by_key(|(index, _)| *index);
    }
    let mut cited = cited.into_iter().peekable();
    if let Some(content) = content {
        emitter.text(&CHOICE, TextKind::Text, emitter.string_at(&content))?;
        emitter.objects(&content, |emitter, index, part| {
            item(emitter, index, &part)?;
            while let Some((_, citation)) = cited.next_if(|(of, _)| *of <= index) {
                cite(emitter, citation);
            }
            Ok(())
        })?;
    }
    cited.for_each(|(_, citation)| cite(emitter, citation));
    Ok(())
}

fn cite(emitter: &mut Emitter<'_>, citation: Range<usize>) {
    emitter.set_position(citation.start);
    emitter.citation(&CHOICE, citation);
}
