//! Names of tools and IDs of calls as Converse and Anthropic accept them: a limited length and alphabet, and always present.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::model::{Content, Message, Offset, Outcome, Part, Request, Tool, ToolNames};

/// Most characters of a name or an ID.
const LEN_MAX: usize = 64;

/// The names that had to be changed, and the IDs that were missing.
#[derive(Debug, Default)]
pub(crate) struct Names<'c> {
    names: BTreeMap<&'c str, String>,
    ids: BTreeMap<&'c str, String>,
    /// Generated IDs of calls and results without one, by the address of their part, which is only compared.
    missing: BTreeMap<*const u8, String>,
}

impl<'c> Names<'c> {
    /// Collects them from the tools and the conversation. `id_extra` are the characters that IDs may have beyond letters,
    /// digits, `_` and `-`. Names and IDs that the target's own request had stay.
    pub(crate) fn new<'a>(
        conversion: &Conversion<'_, 'a>,
        messages: &'c [Message<'a>],
        tools: &'c [Tool<'a>],
        id_extra: &[char],
    ) -> Self {
        let mut this = Self::default();
        let mut ids: Vec<(&'c str, Offset)> = Vec::new();
        let mut nameless: Vec<String> = Vec::new();
        for part in messages.iter().flat_map(|message| &message.content) {
            let (Content::ToolCall { id, .. } | Content::ToolResult { id, .. }) = &part.content else {
                continue;
            };
            match id {
                Some(id) => ids.push((id, part.offset)),
                None => {
                    let call = matches!(part.content, Content::ToolCall { .. });
                    let id = if call || nameless.is_empty() {
                        let id = format!("call_{}", this.missing.len());
                        if call {
                            nameless.push(id.clone());
                        }
                        id
                    } else {
                        nameless.remove(0)
                    };
                    conversion.report(
                        part.offset,
                        "id",
                        Outcome::Defaulted,
                        format!("the call has no ID: {id}"),
                    );
                    this.missing.insert(address(part), id);
                }
            }
        }
        let names = named(messages, tools);
        (this.names, this.ids) = (renamed(&names, &[]), renamed(&ids, id_extra));
        if let Some(original) = conversion.original.map(|original| original.request) {
            for (name, _) in named(&original.messages, &original.tools) {
                this.names.remove(name);
            }
            for id in original.messages.iter().flat_map(|message| &message.content).filter_map(call_id) {
                this.ids.remove(id);
            }
        }
        for (what, all, changed) in [("name", &names, &this.names), ("id", &ids, &this.ids)] {
            let mut known = BTreeSet::new();
            for (name, offset) in all.iter().filter(|_| !changed.is_empty()) {
                if let Some(new) = changed.get(name).filter(|_| known.insert(name)) {
                    let why = format!("the target takes 64 letters, digits, _ and -: {new:?}");
                    conversion.report_approximated(*offset, what, why);
                }
            }
        }
        this
    }

    pub(crate) fn name<'n>(&'n self, name: &'n str) -> &'n str {
        self.names.get(name).map_or(name, |name| name)
    }

    pub(crate) fn id<'n>(&'n self, part: &Part<'_>, id: &'n Option<Cow<'_, str>>) -> &'n str {
        match id {
            Some(id) => self.ids.get(&**id).map_or(id, |id| id),
            None => self.missing.get(&address(part)).map_or("call", |id| id),
        }
    }
}

/// The ID of a call or a result.
fn call_id<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match &part.content {
        Content::ToolCall { id, .. } | Content::ToolResult { id, .. } => id.as_deref(),
        _ => None,
    }
}

/// The original names of tools, by the names that Converse and Anthropic get.
pub(crate) fn originals(request: &Request<'_>) -> ToolNames {
    let changed = renamed(&named(&request.messages, &request.tools), &[]);
    ToolNames::new(changed.into_iter().map(|(name, new)| (new, name.into())).collect())
}

/// All names of tools and their offsets: of the tools themselves, and of their calls.
fn named<'c>(messages: &'c [Message<'_>], tools: &'c [Tool<'_>]) -> Vec<(&'c str, Offset)> {
    let plain = tools.iter().filter(|tool| tool.other.is_none()).map(|tool| (&*tool.name, tool.offset));
    let parts = messages.iter().flat_map(|message| &message.content);
    let calls = parts.filter_map(|part| match &part.content {
        Content::ToolCall { name, .. } => Some((&**name, part.offset)),
        _ => None,
    });
    plain.chain(calls).collect()
}

fn address(part: &Part<'_>) -> *const u8 {
    core::ptr::from_ref(part).cast()
}

/// The names that have to change, with their new names. Different names stay different.
fn renamed<'c>(all: &[(&'c str, Offset)], extra: &[char]) -> BTreeMap<&'c str, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || extra.contains(&c);
    let is_plain =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let is_valid =
        |name: &str| !name.is_empty() && name.len() <= LEN_MAX && (is_plain(name) || name.chars().all(fits));
    let mut changed = BTreeMap::new();
    if all.iter().all(|(name, _)| is_valid(name)) {
        return changed;
    }
    let mut used: BTreeSet<String> =
        all.iter().filter(|(name, _)| is_valid(name)).map(|(name, _)| (*name).into()).collect();
    for (name, _) in all.iter().filter(|(name, _)| !is_valid(name)) {
        if changed.contains_key(name) {
            continue;
        }
        let plain: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(LEN_MAX).collect();
        let plain = if plain.is_empty() { "_".into() } else { plain };
        let (mut new, mut count) = (plain.clone(), 1);
        while used.contains(&new) {
            count += 1;
            let suffix = format!("_{count}");
            new = format!("{}{suffix}", &plain[..plain.len().min(LEN_MAX - suffix.len())]);
        }
        used.insert(new.clone());
        changed.insert(*name, new);
    }
    changed
}
