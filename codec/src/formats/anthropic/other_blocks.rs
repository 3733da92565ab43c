//! Blocks of Messages that the model has no name for: tools that the server runs itself and their results, compactions, and others.
//!
//! They are written as they were read, with two exceptions: the input of a tool, and the summary of a compaction, are in the block
//! of a whole message and in deltas of a stream. The source for compactions is the type `BetaCompactionBlock` of the `anthropic`
//! Python package 2.15.0, whose client takes the last delta of a block for all of it.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Object, as_object, member, members, string, with_member};
use crate::model::{Api, FOREIGN_DELTA, Json, Losses, Outcome, SHAPELESS, input_object};

/// The fields of a compaction that are streamed.
const COMPACTION: [&str; 2] = ["content", "encrypted_content"];

/// Why a part is lost that the model has no name for; `None` if it is a block of Anthropic's.
pub(crate) fn why_lost(api: Option<Api>, block: &Json<'_>) -> Option<&'static str> {
    match api {
        Some(Api::Anthropic) => as_object(block.as_str()).is_none().then_some(SHAPELESS),
        _ => Some("only its own API has such a block: Anthropic has none for what others run or make"),
    }
}

/// Whether an object has this type.
fn is_a(object: &str, kind: &str) -> bool {
    member(object, "type").and_then(string).is_some_and(|found| found == kind)
}

/// A block for a stream: its start, and its delta, if it has one.
pub(crate) fn split(block: &str) -> (Cow<'_, str>, Option<String>) {
    let is_summary = |name: &str| member(block, name).is_some_and(|value| value != "null");
    if !is_a(block, "compaction") || !COMPACTION.into_iter().any(is_summary) {
        return (Cow::Borrowed(block), None);
    }
    let mut delta = Vec::new();
    let mut start = Cow::Borrowed(block);
    Object::write(&mut delta, |delta| {
        delta.string("type", "compaction_delta");
        for name in COMPACTION {
            if let Some(value) = member(block, name) {
                delta.raw(name, value);
                start = Cow::Owned(with_member(&start, name, Some("null")));
            }
        }
    });
    (start, Some(String::from_utf8_lossy(&delta).into_owned()))
}

/// A compaction with the fields of its delta.
fn with_summary(start: &str, delta: &str) -> String {
    let added: BTreeMap<_, _> = members(delta).into_iter().filter(|(name, _)| name != "type").collect();
    let mut out = Vec::new();
    Object::write(&mut out, |block| {
        for (name, value) in members(start).iter().filter(|(name, _)| !added.contains_key(name)) {
            block.raw(name, value);
        }
        added.iter().for_each(|(name, value)| block.raw(name, value));
    });
    String::from_utf8_lossy(&out).into_owned()
}

/// A block for a whole message: its start, with the content of its deltas.
pub(crate) fn join<'a, 'd>(
    start: &'a str,
    deltas: impl Iterator<Item = &'d str>,
    losses: &mut Losses,
) -> Cow<'a, str> {
    let is_compaction = is_a(start, "compaction");
    let (mut input, mut summary) = (None::<String>, None);
    for delta in deltas {
        if let Some(more) = member(delta, "partial_json").and_then(string) {
            input.get_or_insert_default().push_str(&more);
        } else if is_compaction && is_a(delta, "compaction_delta") {
            if summary.replace(delta).is_some() {
                losses.add("other part", Outcome::Dropped, "a later summary replaces it");
            }
        } else {
            losses.add("other part", Outcome::Approximated, FOREIGN_DELTA);
        }
    }
    let block = summary.map_or(Cow::Borrowed(start), |delta| Cow::Owned(with_summary(start, delta)));
    match input {
        Some(input) => Cow::Owned(with_member(&block, "input", Some(&input_object(&input, losses)))),
        None => block,
    }
}
