//! Blocks of Converse's own that have no name in the model: tools that the service runs itself, what they returned, images.
//!
//! They go back as they came. What is streamed and what is not differ: a stream says in a delta what a whole answer has as
//! a member of the block.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::chat::{FOREIGN_DELTA, Losses, Outcome, input_object};
use crate::json::{Object, elements, member, members, string, with_member};

/// Blocks that are streamed, and the member of each that comes in deltas: its input as text, the elements of its list, all
/// of it.
const STREAMED: [(&str, &str); 3] = [("toolUse", "input"), ("toolResult", "content"), ("image", "source")];

/// Whether JSON is a block that has no name in the model: its one member tells its kind.
pub(super) fn is_block(json: &str) -> bool {
    let members = members(json);
    let [(name, value)] = &members[..] else { return false };
    match &**name {
        "text" | "reasoningContent" | "citationsContent" => false,
        // The client runs a tool that has no type.
        "toolUse" => !value.starts_with('{') || member(value, "type").is_some_and(|kind| kind != "null"),
        _ => true,
    }
}

/// The one member of a block that is streamed: its name, its value, and which of its members comes in deltas.
fn streamed(block: &str) -> Option<(&'static str, &str, &'static str)> {
    let (kind, value) = members(block).pop()?;
    let (name, inner) = STREAMED.into_iter().find(|(name, _)| *name == kind && value.starts_with('{'))?;
    Some((name, value, inner))
}

/// A block as a stream has it: how it begins, and what follows in a delta.
pub(super) fn split(block: &str) -> (Cow<'_, str>, Option<String>) {
    let Some((name, value, inner)) = streamed(block) else { return (Cow::Borrowed(block), None) };
    let Some(content) = member(value, inner) else { return (Cow::Borrowed(block), None) };
    let delta = write(|delta| match name {
        "toolUse" => delta.object(name, |tool| tool.string(inner, content)),
        "toolResult" => delta.raw(name, content),
        _ => delta.object(name, |object| object.raw(inner, content)),
    });
    (Cow::Owned(with(name, (value, inner), None)), Some(delta))
}

/// A block as a whole answer has it: how it began, and what its deltas added.
pub(super) fn join<'a, 'd>(
    start: &'a str,
    deltas: impl Iterator<Item = &'d str>,
    losses: &mut Losses,
) -> Cow<'a, str> {
    let mut lose = || losses.add("other part", Outcome::Approximated, FOREIGN_DELTA);
    let Some((name, value, inner)) = streamed(start) else {
        deltas.for_each(|_| lose());
        return Cow::Borrowed(start);
    };
    let (mut input, mut items, mut last) = (None::<String>, None::<Vec<&str>>, None);
    for delta in deltas {
        let more = member(delta, name).unwrap_or_default();
        let content = member(more, inner);
        match (name, content.and_then(string), content) {
            ("toolUse", Some(text), _) => input.get_or_insert_default().push_str(&text),
            ("toolResult", ..) if more.starts_with('[') => {
                items.get_or_insert_default().append(&mut elements(more));
            }
            ("image", _, Some(source)) => last = Some(String::from(source)),
            _ => lose(),
        }
    }
    let input = input.map(|input| input_object(&input, losses).into_owned());
    let items = items.map(|items| alloc::format!("[{}]", items.join(",")));
    // A tool without arguments, and a result without content, are empty and not missing.
    let empty = match (name, member(value, inner)) {
        ("toolUse", None) => Some(String::from("{}")),
        ("toolResult", None) => Some(String::from("[]")),
        _ => None,
    };
    match input.or(items).or(last).or(empty) {
        Some(content) => Cow::Owned(with(name, (value, inner), Some(&content))),
        None => Cow::Borrowed(start),
    }
}

/// The block of this name with another value of its inner member, or without it.
fn with(name: &'static str, (value, inner): (&str, &str), content: Option<&str>) -> String {
    write(|block| block.raw(name, &with_member(value, inner, content)))
}

fn write(members: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = Vec::new();
    Object::write(&mut out, members);
    String::from_utf8_lossy(&out).into_owned()
}
