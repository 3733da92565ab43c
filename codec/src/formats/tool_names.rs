//! Names of tools as Converse and Anthropic accept them: a limited length and alphabet.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::tool_calls::{IdRules, ToolCalls};
use crate::formats::unique_names::UniqueNames;
use crate::model::{Content, Message, Offset, Request, Tool, ToolNames};

/// Most characters of a name.
const LEN_MAX: usize = 64;

/// The names that had to be changed.
#[derive(Debug, Default)]
pub(crate) struct Names<'c>(BTreeMap<&'c str, String>);

impl<'c> Names<'c> {
    /// Collects them from the tools and the conversation. Names that the target's own request had stay.
    pub(crate) fn new<'a>(
        conversion: &Conversion<'_, 'a>,
        messages: &'c [Message<'a>],
        tools: &'c [Tool<'a>],
    ) -> Self {
        let names = named(messages, tools);
        let mut changed = renamed(&names);
        if let Some(original) = conversion.original.map(|original| original.request) {
            for (name, _) in named(&original.messages, &original.tools) {
                changed.remove(name);
            }
        }
        let mut known = BTreeSet::new();
        for (name, offset) in names.iter().filter(|_| !changed.is_empty()) {
            if let Some(new) = changed.get(name).filter(|_| known.insert(name)) {
                let why = format!("the target takes 64 letters, digits, _ and -: {new:?}");
                conversion.report_approximated(*offset, "name", why);
            }
        }
        Self(changed)
    }

    pub(crate) fn name<'n>(&'n self, name: &'n str) -> &'n str {
        self.0.get(name).map_or(name, |name| name)
    }
}

/// The original names of tools and IDs of calls, by those that Converse and Anthropic get.
pub(crate) fn originals(request: &Request<'_>, ids: IdRules) -> ToolNames {
    let changed = renamed(&named(&request.messages, &request.tools));
    let names = changed.into_iter().map(|(name, new)| (new, name.into())).collect();
    let mut found = ToolCalls::new(&request.messages);
    found.make_ids_unique(ids, |_| false);
    let changed = found.calls.into_iter().filter_map(|call| Some((call.new_id?.0, call.id?.into())));
    ToolNames::new(names, changed.collect())
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

/// The names that have to change, with their new names. Different names stay different.
fn renamed<'c>(all: &[(&'c str, Offset)]) -> BTreeMap<&'c str, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_valid = |name: &str| !name.is_empty() && name.len() <= LEN_MAX && name.chars().all(fits);
    let mut changed = BTreeMap::new();
    if all.iter().all(|(name, _)| is_valid(name)) {
        return changed;
    }
    let mut used = UniqueNames::default();
    all.iter().filter(|(name, _)| is_valid(name)).for_each(|(name, _)| used.insert(name));
    for (name, _) in all.iter().filter(|(name, _)| !is_valid(name)) {
        if changed.contains_key(name) {
            continue;
        }
        let plain: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(LEN_MAX).collect();
        let plain = if plain.is_empty() { "_".into() } else { plain };
        changed.insert(*name, used.take(plain, '_', LEN_MAX));
    }
    changed
}
