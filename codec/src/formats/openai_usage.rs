//! Token counts in the shapes of OpenAI's APIs, which differ in their names only.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::json;
use crate::json::{Fault, Object};
use crate::model::{Json, Losses, Outcome, Usage};

/// The names of the counts, and of the objects with their details.
pub(crate) struct UsageNames {
    input: &'static str,
    output: &'static str,
    input_details: &'static str,
    output_details: &'static str,
}

/// The names of chat completions.
pub(crate) const CHAT_USAGE: UsageNames = UsageNames {
    input: "prompt_tokens",
    output: "completion_tokens",
    input_details: "prompt_tokens_details",
    output_details: "completion_tokens_details",
};

/// The names of Responses.
pub(crate) const RESPONSES_USAGE: UsageNames = UsageNames {
    input: "input_tokens",
    output: "output_tokens",
    input_details: "input_tokens_details",
    output_details: "output_tokens_details",
};

/// Whether a count is one that [`read_usage`] knows, or follows from such counts: DeepSeek's `prompt_cache_miss_tokens` is the
/// rest of the input.
pub(crate) fn is_count(name: &[u8]) -> bool {
    matches!(
        name,
        b"prompt_tokens"
            | b"input_tokens"
            | b"completion_tokens"
            | b"output_tokens"
            | b"total_tokens"
            | b"cached_tokens"
            | b"cache_write_tokens"
            | b"reasoning_tokens"
            | b"prompt_cache_hit_tokens"
            | b"prompt_cache_miss_tokens"
    )
}

/// Reads the counts of either API.
pub(crate) fn read_usage(record: &[u8], range: &Range<usize>, depth: usize) -> Result<Usage, Fault> {
    let mut usage = Usage::default();
    let nested = [&CHAT_USAGE, &RESPONSES_USAGE]
        .map(|names| [names.input_details.as_bytes(), names.output_details.as_bytes()]);
    json::Json::new(record, range.start, depth).integers(
        &mut usage,
        nested.as_flattened(),
        |usage, name| {
            Some(match name {
                b"prompt_tokens" | b"input_tokens" => &mut usage.input_tokens,
                b"completion_tokens" | b"output_tokens" => &mut usage.output_tokens,
                b"total_tokens" => &mut usage.total_tokens,
                b"cached_tokens" | b"prompt_cache_hit_tokens" => &mut usage.cache_read_tokens,
                b"cache_write_tokens" => &mut usage.cache_write_tokens,
                b"reasoning_tokens" => &mut usage.reasoning_tokens,
                _ => return None,
            })
        },
    )?;
    Ok(usage)
}

/// All three counts, because clients that validate require them.
pub(crate) fn whole_usage(usage: &Usage, losses: &mut Losses) -> Usage {
    losses.add_missing_counts(usage);
    let (input, output) = (usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
    let total = usage.total_tokens.unwrap_or(input.saturating_add(output));
    Usage { input_tokens: Some(input), output_tokens: Some(output), total_tokens: Some(total), ..*usage }
}

/// The same with all details, which clients of Responses require, too.
pub(crate) fn detailed_usage(usage: &Usage, losses: &mut Losses) -> Usage {
    let details = [usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens];
    if details.contains(&None) {
        let why = "details of the counts that the source does not give are zero";
        losses.add("usage", Outcome::Defaulted, why);
    }
    let [cache_read_tokens, cache_write_tokens, reasoning_tokens] = details.map(|count| count.or(Some(0)));
    Usage { cache_read_tokens, cache_write_tokens, reasoning_tokens, ..whole_usage(usage, losses) }
}

/// Whether the counts of a field have the shape of the chat's.
pub(crate) fn is_chat_usage(name: &str, json: &Json<'_>) -> bool {
    let is_own = |(name, _): &(String, &str)| [CHAT_USAGE.input, CHAT_USAGE.output].contains(&&**name);
    name == "usage" && json::members(json.as_str()).iter().any(is_own)
}

/// Whether the counts of a field have the shape of those of Responses. Anthropic's have no total.
pub(crate) fn is_responses_usage(name: &str, json: &Json<'_>) -> bool {
    let members = json::members(json.as_str());
    let has = |known: &str| members.iter().any(|(name, _)| name == known);
    name == "usage" && has(RESPONSES_USAGE.input) && has("total_tokens")
}

/// Writes counts, and the counts of `more`, the source's own object, that have no name here.
pub(crate) fn write_usage(names: &UsageNames, usage: &Usage, more: &str, out: &mut Vec<u8>) {
    let counts = [
        (names.input, usage.input_tokens),
        (names.output, usage.output_tokens),
        ("total_tokens", usage.total_tokens),
    ];
    let input_details =
        [("cached_tokens", usage.cache_read_tokens), ("cache_write_tokens", usage.cache_write_tokens)];
    let output_details = [("reasoning_tokens", usage.reasoning_tokens)];
    let details = [(names.input_details, &input_details[..]), (names.output_details, &output_details[..])];
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
