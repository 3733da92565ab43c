//! Writes token counts.

use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::openai_chat::chunk::is_count;
use crate::json;
use crate::json::Object;
use crate::model::{Json, Losses, Usage};

/// All three counts, because clients that validate require them.
pub(crate) fn whole_usage(usage: &Usage, losses: &mut Losses) -> Usage {
    losses.add_missing_counts(usage);
    let (input, output) = (usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
    let total = usage.total_tokens.unwrap_or(input.saturating_add(output));
    Usage { input_tokens: Some(input), output_tokens: Some(output), total_tokens: Some(total), ..*usage }
}

/// Whether the counts of a field have the shape of OpenAI's.
pub(crate) fn is_own_usage(name: &str, json: &Json<'_>) -> bool {
    let is_own = |(name, _): &(String, &str)| matches!(&**name, "prompt_tokens" | "completion_tokens");
    name == "usage" && json::members(json.as_str()).iter().any(is_own)
}

/// Writes counts, and the counts of `more`, the source's own object, that have no name here.
pub(crate) fn write_usage(usage: &Usage, more: &str, out: &mut Vec<u8>) {
    let counts = [
        ("prompt_tokens", usage.input_tokens),
        ("completion_tokens", usage.output_tokens),
        ("total_tokens", usage.total_tokens),
    ];
    let prompt_details =
        [("cached_tokens", usage.cache_read_tokens), ("cache_write_tokens", usage.cache_write_tokens)];
    let completion_details = [("reasoning_tokens", usage.reasoning_tokens)];
    let details = [
        ("prompt_tokens_details", &prompt_details[..]),
        ("completion_tokens_details", &completion_details[..]),
    ];
    let more = json::members(more);
    Object::write(out, |object| {
        write_counts(&counts, object);
        for (name, counts) in details {
            let more = more.iter().find(|(known, _)| known == name).map(|(_, json)| json::members(json));
            let more = more.unwrap_or_default();
            if !more.is_empty() || counts.iter().any(|(_, count)| count.is_some()) {
                object.object(name, |object| {
                    write_counts(counts, object);
                    write_more(&more, &[], object);
                });
            }
        }
        write_more(&more, &details.map(|(name, _)| name), object);
    });
}

fn write_counts(counts: &[(&'static str, Option<u64>)], object: &mut Object<'_>) {
    for (name, count) in counts {
        if let Some(count) = count {
            object.integer(name, *count);
        }
    }
}

/// Writes fields that have no name here.
fn write_more(more: &[(String, &str)], written: &[&str], object: &mut Object<'_>) {
    for (name, json) in more {
        if !is_count(name.as_bytes()) && !written.contains(&&**name) && *json != "null" {
            object.raw(name, json);
        }
    }
}
