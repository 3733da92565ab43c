//! Blocks of Converse that the model has no name for: tools that the service runs itself, their results, and images.
//!
//! They are written as they were read, with one exception: fields of the block in a whole response are deltas in a stream.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json::{Object, elements, member, members, string, with_member};
use crate::model::input_object;
use crate::model::{Api, FOREIGN_DELTA, Losses, Outcome, SHAPELESS};

/// Blocks that are streamed, and the fields of each that come in deltas: its input as text, the elements of its list, or its
/// bytes and their error.
const STREAMED: [(&str, &[&str]); 3] =
    [("toolUse", &["input"]), ("toolResult", &["content"]), ("image", &["source", "error"])];

/// Why a part is lost that the model has no name for; `None` if it is a block of Converse's.
pub(crate) fn why_lost(api: Option<Api>, json: &str) -> Option<&'static str> {
    match api {
        Some(Api::Converse) => (!is_block(json)).then_some(SHAPELESS),
        _ => Some("only its own API has such a block: Converse has none for what others run or make"),
    }
}

/// Whether JSON is a block that the model has no name for. Its only field names its kind.
fn is_block(json: &str) -> bool {
    let members = members(json);
    let [(name, value)] = &members[..] else { return false };
    match &**name {
        "text" | "reasoningContent" | "citationsContent" => false,
        // A tool without a type is run by the client.
        "toolUse" => !value.starts_with('{') || member(value, "type").is_some_and(|kind| kind != "null"),
        _ => true,
    }
}

/// The only field of a block that is streamed: its name, its value, and which of its fields come in deltas.
fn streamed(block: &str) -> Option<(&'static str, &str, &'static [&'static str])> {
    let (kind, value) = members(block).pop()?;
    let (name, inner) = STREAMED.into_iter().find(|(name, _)| *name == kind && value.starts_with('{'))?;
    Some((name, value, inner))
}

/// A block for a stream: its start, and its delta.
pub(crate) fn split(block: &str) -> (Cow<'_, str>, Option<String>) {
    let Some((name, value, inner)) = streamed(block) else { return (Cow::Borrowed(block), None) };
    let pieces: Vec<_> = inner.iter().filter_map(|inner| Some((*inner, member(value, inner)?))).collect();
    let [(_, first), ..] = pieces[..] else { return (Cow::Borrowed(block), None) };
    let delta = write(|delta| match name {
        "toolUse" => delta.object(name, |tool| tool.string("input", first)),
        "toolResult" => delta.raw(name, first),
        _ => delta.object(name, |object| pieces.iter().for_each(|(inner, json)| object.raw(inner, json))),
    });
    let start =
        inner.iter().fold(Cow::Borrowed(value), |value, inner| with_member(&value, inner, None).into());
    (write(|block| block.raw(name, &start)).into(), Some(delta))
}

/// A block for a whole response: its start, with the content of its deltas.
pub(crate) fn join<'a, 'd>(
    start: &'a str,
    deltas: impl Iterator<Item = &'d str>,
    losses: &mut Losses,
) -> Cow<'a, str> {
    let Some((name, value, _)) = streamed(start) else {
        deltas.for_each(|_| lose_delta(losses));
        return Cow::Borrowed(start);
    };
    let mut pieces = Pieces::default();
    for delta in deltas {
        if !pieces.add(name, member(delta, name).unwrap_or_default()) {
            lose_delta(losses);
        }
    }
    // The input of a tool without arguments, and the content of an empty result, are empty and not missing.
    let added = match name {
        "toolUse" => [("input", pieces.input(value, losses)), ("", None)],
        "toolResult" => [("content", pieces.content(value)), ("", None)],
        _ => [("source", pieces.source(losses)), ("error", pieces.error.map(String::from))],
    };
    let mut block = Cow::Borrowed(value);
    for (inner, json) in added {
        if let Some(json) = json {
            block = Cow::Owned(with_member(&block, inner, Some(&json)));
        }
    }
    match block {
        Cow::Borrowed(_) => Cow::Borrowed(start),
        Cow::Owned(block) => Cow::Owned(write(|written| written.raw(name, &block))),
    }
}

fn lose_delta(losses: &mut Losses) {
    losses.add("other part", Outcome::Approximated, FOREIGN_DELTA);
}

/// The content of the deltas of a block.
#[derive(Default)]
struct Pieces<'d> {
    input: Option<String>,
    items: Option<Vec<&'d str>>,
    sources: Vec<&'d str>,
    error: Option<&'d str>,
}

impl<'d> Pieces<'d> {
    /// Adds what a delta has in the field of its block, and returns whether it is known.
    fn add(&mut self, name: &str, more: &'d str) -> bool {
        let input = || member(more, "input").and_then(string);
        let (source, error) = (member(more, "source"), member(more, "error"));
        match name {
            "toolUse" => {
                let Some(input) = input() else { return false };
                self.input.get_or_insert_default().push_str(&input);
            }
            "toolResult" if more.starts_with('[') => {
                self.items.get_or_insert_default().append(&mut elements(more));
            }
            "image" if source.or(error).is_some() => {
                self.sources.extend(source);
                self.error = error.or(self.error);
            }
            _ => return false,
        }
        true
    }

    fn input(&self, value: &str, losses: &mut Losses) -> Option<String> {
        let input = self.input.as_ref().map(|input| input_object(input, losses).into_owned());
        input.or_else(|| member(value, "input").is_none().then(|| String::from("{}")))
    }

    fn content(&self, value: &str) -> Option<String> {
        let items = self.items.as_ref().map(|items| alloc::format!("[{}]", items.join(",")));
        items.or_else(|| member(value, "content").is_none().then(|| String::from("[]")))
    }

    /// The bytes of an image, which may come in pieces.
    fn source(&self, losses: &mut Losses) -> Option<String> {
        let [.., last] = self.sources[..] else { return None };
        if self.sources.len() == 1 {
            return Some(String::from(last));
        }
        let bytes = |source: &&str| STANDARD.decode(member(source, "bytes").and_then(string)?).ok();
        match self.sources.iter().map(bytes).collect::<Option<Vec<_>>>() {
            Some(bytes) => Some(write(|source| source.string("bytes", &STANDARD.encode(bytes.concat())))),
            None => {
                lose_delta(losses);
                Some(String::from(last))
            }
        }
    }
}

fn write(members: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = Vec::new();
    Object::write(&mut out, members);
    String::from_utf8_lossy(&out).into_owned()
}
