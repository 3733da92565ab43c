//! Writes a changed request for the API that it was read from.
//!
//! The request as it was read and the changed request are both written by the API's ordinary writer, in which every message,
//! content part and tool that was not changed is a copy of its source ([`Original`]) and extension fields are put back
//! ([`put_back`]). The difference between the two results is the change; [`Merge`] applies it to the source document, of
//! which everything else stays unchanged.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Json, Kind, write_string};
use crate::model::{Content, Message, Offset, Part, Request, Tool};

/// A request as it was read, by the offsets of its messages, parts and tools.
pub(crate) struct Original<'o> {
    pub(crate) request: &'o Request<'o>,
    messages: Vec<(u32, &'o Message<'o>)>,
    parts: Vec<(u32, &'o Part<'o>)>,
    tools: Vec<(u32, &'o Tool<'o>)>,
}

impl<'o> Original<'o> {
    pub(crate) fn new(request: &'o Request<'o>) -> Self {
        let messages = by_offset(request.messages.iter().map(|message| (message.offset, message)));
        let parts = request.messages.iter().flat_map(|message| &message.content).flat_map(|part| {
            let inner = match &part.content {
                Content::ToolResult { content, .. } => &content[..],
                _ => &[],
            };
            core::iter::once(part).chain(inner).map(|part| (part.offset, part))
        });
        let tools = by_offset(request.tools.iter().map(|tool| (tool.offset, tool)));
        Self { request, messages, parts: by_offset(parts), tools }
    }

    /// The source of a message that was not changed.
    pub(crate) fn message(&self, message: &Message<'_>) -> Option<&str> {
        self.copy(&self.messages, message.offset, |original| original == message)
    }

    /// The source of a part that was not changed.
    pub(crate) fn part(&self, part: &Part<'_>) -> Option<&str> {
        self.copy(&self.parts, part.offset, |original| original == part)
    }

    /// The source of a tool that was not changed.
    pub(crate) fn tool(&self, tool: &Tool<'_>) -> Option<&str> {
        self.copy(&self.tools, tool.offset, |original| original == tool)
    }

    fn copy<T>(
        &self,
        known: &[(u32, &'o T)],
        offset: Offset,
        is_unchanged: impl FnOnce(&T) -> bool,
    ) -> Option<&str> {
        let index = known.binary_search_by_key(&offset?, |(offset, _)| *offset).ok()?;
        if !self.is_object(offset) || !is_unchanged(known[index].1) {
            return None;
        }
        self.source_of(offset)
    }

    /// The value at an offset of the source.
    pub(crate) fn source_of(&self, offset: Offset) -> Option<&str> {
        let source = &*self.request.source;
        source.get(Json::new(source.as_bytes(), offset? as usize, DEPTH).skip().ok()?)
    }

    /// Whether the value at an offset of the source is an object.
    pub(crate) fn is_object(&self, offset: Offset) -> bool {
        offset.is_some_and(|offset| self.request.source.as_bytes().get(offset as usize) == Some(&b'{'))
    }
}

/// Nesting that is read, as deep as the reader of requests reads.
const DEPTH: usize = 127;

fn by_offset<'o, T>(all: impl Iterator<Item = (Offset, &'o T)>) -> Vec<(u32, &'o T)> {
    let mut known: Vec<_> = all.filter_map(|(offset, thing)| Some((offset?, thing))).collect();
    known.sort_by_key(|(offset, _)| *offset);
    known
}

/// A field of an object: its name as it is written, quotes included, its name, and its value.
struct Field<'j> {
    written: &'j str,
    name: Cow<'j, str>,
    value: &'j str,
}

/// The fields of a JSON object. Everything that is written here is valid JSON.
fn fields(object: &str) -> Vec<Field<'_>> {
    let mut fields = Vec::new();
    let mut json = Json::new(object.as_bytes(), 0, DEPTH);
    let mut more = json.open(Kind::Object);
    while let Ok(true) = more {
        let (Ok(name), Ok(value)) = (json.name(), json.skip()) else { break };
        let decoded = match json.unescaped(name) {
            Cow::Borrowed(name) => String::from_utf8_lossy(name),
            Cow::Owned(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
        };
        fields.push(Field {
            written: &object[name.start - 1..=name.end],
            name: decoded,
            value: &object[value],
        });
        more = json.next(Kind::Object);
    }
    fields
}

/// Puts extension fields back into the object that `out` has from `start` on. Fields that are already written stay. A missing
/// object that a field belongs into is only created if it is one of `objects`.
pub(crate) fn put_back(
    out: &mut Vec<u8>,
    start: usize,
    extension: &[(Cow<'_, str>, &str)],
    objects: &[&str],
) {
    if extension.is_empty() {
        return;
    }
    let paths: Vec<_> = extension.iter().map(|(path, value)| (&**path, *value)).collect();
    let written = out.split_off(start);
    add(core::str::from_utf8(&written).unwrap_or_default(), &paths, objects, out);
}

/// Appends an object with further fields, which are given by their paths.
fn add<'p>(object: &str, paths: &[(&'p str, &'p str)], objects: &[&str], out: &mut Vec<u8>) {
    let mut below: BTreeMap<&str, Vec<(&'p str, &'p str)>> = BTreeMap::new();
    for (path, value) in paths {
        if let Some((name, rest)) = path.split_once('/') {
            below.entry(name).or_default().push((rest, value));
        }
    }
    let written = fields(object);
    let names: BTreeSet<&str> = written.iter().map(|field| &*field.name).collect();
    let mut writer = Writer::new(out);
    for field in &written {
        let inner = below.get(&*field.name).filter(|_| field.value.starts_with('{'));
        let value = writer.field(field.written);
        match inner {
            None => value.extend_from_slice(field.value.as_bytes()),
            Some(inner) => add(field.value, inner, &[], value),
        }
    }
    for (path, value) in paths.iter().filter(|(path, _)| !path.contains('/')) {
        let name = path.replace("~1", "/").replace("~0", "~");
        if !names.contains(&*name) {
            writer.named(&name).extend_from_slice(value.as_bytes());
        }
    }
    for name in objects.iter().filter(|name| !names.contains(**name)) {
        if let Some(inner) = below.get(name) {
            add("{}", inner, &[], writer.named(name));
        }
    }
    writer.end();
}

/// How the name under which a field is written relates to the name that the source has.
#[derive(Clone, Copy)]
pub(crate) enum Rename {
    /// A second name of the same value: a changed value keeps the source's name.
    Synonym,
    /// The source's name is deprecated, and its values are of another form.
    Successor,
}

/// Looks up under which other name a field of the source is written.
pub(crate) type Renames<'r> = dyn Fn(&str) -> Option<(&'static str, Rename)> + 'r;

/// Applies the changes that lead from one written request to another to the source.
pub(crate) struct Merge<'m> {
    pub(crate) source: &'m str,
    /// Offsets of values that were changed or removed, also if neither request could be written with them.
    pub(crate) changed: Vec<u32>,
    pub(crate) rename: &'m Renames<'m>,
}

impl Merge<'_> {
    /// Appends the source with the changes that lead from `before` to `after`. Fields that are the same in both stay as the
    /// source has them; a changed field replaces the source's, a removed one is removed, and an added one comes last.
    pub(crate) fn write(&self, before: &str, after: &str, out: &mut Vec<u8>) {
        self.object(self.source, before, after, out);
    }

    fn object(&self, source: &str, before: &str, after: &str, out: &mut Vec<u8>) {
        if before == after && !self.is_changed(source) {
            return out.extend_from_slice(source.as_bytes());
        }
        let (all_before, all_after) = (fields(before), fields(after));
        // The last of several fields of one name counts.
        let by_name = |fields: &'_ [Field<'_>]| -> BTreeMap<String, usize> {
            fields.iter().enumerate().map(|(index, field)| (String::from(&*field.name), index)).collect()
        };
        let (names_before, names_after) = (by_name(&all_before), by_name(&all_after));
        let mut is_written: Vec<bool> = all_after.iter().map(|_| false).collect();
        let mut writer = Writer::new(out);
        for field in fields(source) {
            let renamed = (self.rename)(&field.name);
            let name = renamed.map_or(&*field.name, |(name, _)| name);
            let old = names_before.get(name).map(|&index| all_before[index].value);
            let index = names_after.get(name).copied();
            let new = index.map(|index| all_after[index].value);
            let is_first = index.is_none_or(|index| !core::mem::replace(&mut is_written[index], true));
            let is_object = |value: &str| value.starts_with('{');
            let is_within = self.is_changed(field.value) && !self.is_changed(&field.value[..1]);
            match new {
                _ if old == new && !self.is_changed(field.value) => {
                    writer.field(field.written).extend_from_slice(field.value.as_bytes());
                }
                Some(new) if is_first => match renamed {
                    Some((name, Rename::Successor)) => {
                        writer.named(name).extend_from_slice(new.as_bytes());
                    }
                    _ if is_object(new) && is_object(field.value) => {
                        self.object(field.value, old.unwrap_or("{}"), new, writer.field(field.written));
                    }
                    _ => writer.field(field.written).extend_from_slice(new.as_bytes()),
                },
                None if old.is_none() && is_within && is_object(field.value) => {
                    self.object(field.value, "{}", "{}", writer.field(field.written));
                }
                _ => {}
            }
        }
        for (field, is_written) in all_after.iter().zip(is_written) {
            let old = names_before.get(&*field.name).map(|&index| all_before[index].value);
            if !is_written && old != Some(field.value) {
                writer.field(field.written).extend_from_slice(field.value.as_bytes());
            }
        }
        writer.end();
    }

    /// Whether a value that was changed begins in this piece of the source.
    fn is_changed(&self, piece: &str) -> bool {
        let start = piece.as_ptr() as usize - self.source.as_ptr() as usize;
        self.changed.iter().any(|offset| (start..start + piece.len()).contains(&(*offset as usize)))
    }
}

/// Writes an object out of fields that are written already.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Writer<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Appends a name as it is written; the value has to be appended to what this returns.
    fn field(&mut self, written: &str) -> &mut Vec<u8> {
        self.comma();
        self.out.extend_from_slice(written.as_bytes());
        self.out.push(b':');
        self.out
    }

    /// The same for a name that has to be escaped.
    fn named(&mut self, name: &str) -> &mut Vec<u8> {
        self.comma();
        write_string(name, self.out);
        self.out.push(b':');
        self.out
    }

    fn comma(&mut self) {
        if !core::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
    }

    fn end(self) {
        self.out.push(b'}');
    }
}
