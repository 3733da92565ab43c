//! Requests of every format, written in every other.

use std::borrow::Cow;
use std::ops::Range;

use sagewire_codec::model::{
    Content, ConversionOptions, FirstMessage, Loss, Losses, Message, Offset, Outcome, Part, Rendered,
    Request, Role, Tool,
};
use sagewire_codec::{Api, read_request, write_request};
use serde_json::Value;
use serde_json::value::RawValue;

use super::seeded;

const FORMATS: [Api; 14] = [
    Api::OpenAi,
    Api::Completions,
    Api::Converse,
    Api::Anthropic,
    Api::Tgi,
    Api::Lmi,
    Api::JumpStart,
    Api::JumpStartText,
    Api::JumpStartDialogs,
    Api::Triton,
    Api::Cohere,
    Api::Nova,
    Api::Sglang,
    Api::Responses,
];

/// A minimal chat template, which renders all text.
fn plain(messages: &[Message<'_>], tools: &[Tool<'_>]) -> Result<Rendered, String> {
    let mut rendered = Rendered::default();
    for tool in tools {
        rendered.report(tool.offset, "tools", Outcome::Dropped, "the template has no tools");
    }
    for message in messages {
        rendered.text.push_str(&format!("{:?}:", message.role));
        for part in &message.content {
            match &part.content {
                Content::Text(text) => rendered.text.push_str(&format!(" {text}")),
                _ => rendered.report(part.offset, "content", Outcome::Dropped, "the template has text only"),
            }
        }
        rendered.text.push('\n');
    }
    Ok(rendered)
}

/// Options that change nothing, but prevent that the source is copied: the request is serialized again.
fn anew<'a>() -> ConversionOptions<'a> {
    ConversionOptions::new().first_message(FirstMessage::Leave).render(&plain)
}

/// The formats that a request is read and written in. Raw text is the only format that is not JSON.
fn formats(choice: usize) -> (Api, Api) {
    let (one, other) = (FORMATS[choice % 14], FORMATS[choice / 14 % 14]);
    match choice {
        240..248 => (Api::JumpStartRaw, one),
        248.. => (one, Api::JumpStartRaw),
        _ => (one, other),
    }
}

/// Requests. The first byte selects the format to read and the one to write. Never panics; a request survives a round trip in
/// its own format byte for byte; the output is JSON or text, and reads back as a request that is stable when written again;
/// user texts, roles, most tokens and tool names are kept, or are on the list of losses.
pub fn requests(data: &[u8]) {
    let (choice, body) = seeded(data);
    let (from, to) = formats(choice as usize);
    let request = match read_request(from, body) {
        Ok(request) => request,
        Err(error) => {
            assert!(error.is_invalid(), "{error:?}");
            assert!(error.offset() <= body.len() as u64, "{error}");
            return;
        }
    };
    let (copied, losses) = write_request(from, &request, &ConversionOptions::new()).expect("copied");
    assert_eq!((&copied[..], losses.is_empty()), (body, true), "{from:?}");
    let settings = if choice / 14 % 2 == 0 { anew() } else { ConversionOptions::new().render(&plain) };
    fixed_point(from, &request);
    let (written, losses) = match write_request(to, &request, &settings) {
        Ok(written) => written,
        Err(error) => {
            assert!(error.is_unsupported(), "{from:?} to {to:?}: {error:?}");
            assert!(error.offset() <= body.len() as u64, "{error}");
            return;
        }
    };
    if to != Api::JumpStartRaw {
        check_json(body, &written);
    }
    let again = read_request(to, &written)
        .unwrap_or_else(|error| panic!("{from:?} to {to:?}: {error}: {}", String::from_utf8_lossy(&written)));
    if let Some(places) = places(body, &losses).filter(|_| from != Api::JumpStartRaw) {
        let kept = Kept { source: &request, target: &again, losses: losses.as_slice(), places: &places };
        kept.check(from, to);
    }
    fixed_point(to, &again);
}

/// The output is JSON. `serde_json` is stricter than the grammar, so the check applies only if it accepts the source.
fn check_json(source: &[u8], written: &[u8]) {
    let show = || String::from_utf8_lossy(written).into_owned();
    serde_json::from_slice::<&RawValue>(written).unwrap_or_else(|error| panic!("{error}: {}", show()));
    let is_flat = source.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() < 100;
    if is_flat && serde_json::from_slice::<Value>(source).is_ok() {
        serde_json::from_slice::<Value>(written).unwrap_or_else(|error| panic!("{error}: {}", show()));
    }
}

/// A request that was written in its own format has the same meaning, and the same bytes except for the order of its fields.
fn fixed_point(format: Api, request: &Request<'_>) {
    let Ok((first, _)) = write_request(format, request, &anew()) else { return };
    let again = read_request(format, &first)
        .unwrap_or_else(|error| panic!("{format:?}: {error}: {}", String::from_utf8_lossy(&first)));
    let (second, _) = write_request(format, &again, &anew()).expect("written before");
    if first != second {
        let value = |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|_| text.to_vec());
        assert_eq!(
            value(&second),
            value(&first),
            "{format:?}: {}",
            String::from_utf8_lossy(request.source.as_bytes())
        );
    }
}

/// The range of the value at a JSON pointer in the document.
fn find(document: &str, pointer: &str) -> Option<Range<usize>> {
    let mut value: &RawValue = serde_json::from_str(document).ok()?;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        value = if value.get().starts_with('[') {
            serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.into_iter().nth(step.parse().ok()?)?
        } else {
            let members: std::collections::BTreeMap<Cow<'_, str>, &RawValue> =
                serde_json::from_str(value.get()).ok()?;
            members.get(&*step)?
        };
    }
    let start = value.get().as_ptr() as usize - document.as_ptr() as usize;
    Some(start..start + value.get().len())
}

/// The ranges of the losses. Duplicate fields and names that are not valid text cannot be addressed by a pointer.
fn places(body: &[u8], losses: &Losses) -> Option<Vec<Range<usize>>> {
    let document = std::str::from_utf8(body).expect("it was read");
    let mut pointers = losses.as_slice().iter().map(|loss| &*loss.path).filter(|what| what.starts_with('/'));
    let places = pointers.try_fold(Vec::new(), |mut places, pointer| {
        places.push(find(document, pointer)?);
        Some(places)
    });
    // For a duplicate field, `find` may have found the wrong one.
    places.filter(|_| serde_json::from_slice::<Value>(body).is_ok() && !has_twice(document))
}

/// Whether a document has a duplicate field: parsing drops one, so fewer names are left. Escapes can make this inexact.
fn has_twice(document: &str) -> bool {
    let members = |text: &str| text.matches("\":").count() + text.matches("\" :").count();
    let value: Value = serde_json::from_str(document).expect("JSON");
    members(&value.to_string()) < members(document)
}

struct Kept<'k, 'a> {
    source: &'k Request<'a>,
    target: &'k Request<'a>,
    losses: &'k [Loss],
    places: &'k [Range<usize>],
}

impl Kept<'_, '_> {
    /// Whether the losses include the value at `at`, or a value that contains it.
    fn names(&self, at: Offset) -> bool {
        let at = at.map(|at| at as usize);
        at.is_none_or(|at| self.places.iter().any(|place| place.contains(&at)))
    }

    /// Whether the losses include anything in this range.
    fn names_within(&self, range: Range<usize>) -> bool {
        self.places.iter().any(|place| place.start < range.end && range.start < place.end)
    }

    fn check(&self, from: Api, to: Api) {
        let how = format!("{from:?} to {to:?}, losses {:?}", self.losses);
        self.texts(&how);
        self.roles(&how);
        self.tokens(&how);
        self.tools(&how);
    }

    /// The texts of the user, or the prompt, in their order.
    fn texts(&self, how: &str) {
        let all: String = match &self.target.prompt {
            Some(prompt) => prompt.value.to_string(),
            None => user_texts(self.target).map(|(_, text)| text).collect::<Vec<_>>().join("\n"),
        };
        let mut rest = &all[..];
        let prompt = self.source.prompt.as_ref().map(|prompt| (None, &*prompt.value));
        for (part, text) in user_texts(self.source).chain(prompt) {
            let is_named = part.is_some_and(|(message, part)| self.names(message) || self.names(part));
            if is_named || text.trim().is_empty() {
                continue;
            }
            match rest.find(text) {
                Some(at) => rest = &rest[at + text.len()..],
                None => panic!("{how}: the text {text:?} is not in {all:?}"),
            }
        }
    }

    /// The role of each turn, if nothing in the conversation was lost.
    fn roles(&self, how: &str) {
        let has_all = !self.source.messages.is_empty() && !self.target.messages.is_empty();
        let is_touched = self.losses.iter().any(|loss| !loss.path.starts_with('/'))
            || self.source.messages.iter().any(|message| {
                let begin = message.offset.unwrap_or(0) as usize;
                let len = RawValueLen(&self.source.source).at(begin);
                message.offset.is_none() || self.names_within(begin..begin + len)
            });
        if has_all && !is_touched {
            assert_eq!(turns(self.target), turns(self.source), "{how}");
        }
    }

    fn tokens(&self, how: &str) {
        let (source, target) = (self.source.max_tokens, self.target.max_tokens);
        match source {
            Some(tokens) if !self.names(tokens.offset) => {
                assert_eq!(target.map(|param| param.value), Some(tokens.value), "{how}");
            }
            None if target.is_some() => {
                let is_named = self.losses.iter().any(|loss| loss.path == "max_tokens");
                assert!(is_named, "{how}: {target:?} is made up");
            }
            _ => {}
        }
    }

    fn tools(&self, how: &str) {
        // A tool choice of `none` may be expressed by omitting the tools.
        if self.source.tool_choice.as_ref().is_some_and(|choice| self.names(choice.offset)) {
            return;
        }
        for tool in self.source.tools.iter().filter(|tool| tool.other.is_none() && !self.names(tool.offset)) {
            let is_there = self.target.tools.iter().any(|other| other.name == tool.name);
            assert!(is_there, "{how}: the tool {:?} is gone", tool.name);
        }
    }
}

/// The length of the value that begins at an offset.
struct RawValueLen<'a>(&'a str);

impl RawValueLen<'_> {
    fn at(&self, begin: usize) -> usize {
        let mut values = serde_json::Deserializer::from_str(&self.0[begin..]).into_iter::<&RawValue>();
        values.next().and_then(Result::ok).map_or(0, |value| value.get().len())
    }
}

/// The texts of the user, with the offsets of their messages and of the texts.
fn user_texts<'r>(request: &'r Request<'_>) -> impl Iterator<Item = (Option<(Offset, Offset)>, &'r str)> {
    let messages = request.messages.iter().filter(|message| matches!(message.role, Role::User));
    messages.flat_map(|message| {
        message.content.iter().filter_map(|part: &Part<'_>| match &part.content {
            Content::Text(text) => Some((Some((message.offset, part.offset)), &**text)),
            _ => None,
        })
    })
}

/// The role of each turn, without the system messages. Tool results count as the user's.
fn turns(request: &Request<'_>) -> Vec<String> {
    let roles = request.messages.iter().filter_map(|message| match &message.role {
        Role::System | Role::Developer => None,
        Role::User | Role::Tool => Some("user"),
        Role::Assistant => Some("assistant"),
        other => Some(other.as_str()),
    });
    let mut turns: Vec<_> = roles.map(str::to_owned).collect();
    turns.dedup();
    turns
}
