//! Reads requests: the cursor that all APIs use.
//!
//! A known field with a value of the expected kind is read. Every other field is kept unchanged, so that reading has no
//! losses: a closure that is called with a field returns whether it read its value.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use crate::convert_error::{ConvertError, ConvertErrorKind};
use crate::json;
use crate::json::{Escapes, Fault, Json, Kind, Landmarks, TOO_DEEP};
use crate::limits::RequestLimits;
use crate::model;
use crate::model::{Content, Fields, Message, Offset, Param, Part, Request, Role, Text};

pub(crate) type Result<T> = core::result::Result<T, ConvertError>;

impl From<Fault> for ConvertError {
    fn from(fault: Fault) -> Self {
        Self::malformed("JSON", fault)
    }
}

/// A cursor in a request.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    json: Json<'a>,
    text: &'a str,
    limits: RequestLimits,
    /// Elements that were kept.
    elements: usize,
    depth: usize,
    /// Positions of values near the root: values as they end, elements in order.
    landmarks: Landmarks,
}

/// Nesting down to which spans are noted: fields of the request, and messages.
const SPAN_DEPTH: usize = 2;
/// Bytes of a value worth noting.
const SPAN_LEN: u32 = 128;
/// Elements of an array of which one is noted.
const STRIDE: u32 = 16;

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, limits: RequestLimits) -> Self {
        let json = Json::new(text.as_bytes(), 0, limits.depth());
        Self { json, text, limits, elements: 0, depth: 0, landmarks: Landmarks::default() }
    }

    /// Counts an element that is kept.
    #[inline]
    fn count_element(&mut self, offset: Offset) -> Result<()> {
        self.elements += 1;
        if self.elements <= self.limits.elements {
            return Ok(());
        }
        let at = offset.map_or(self.json.pos(), |offset| offset as usize);
        Err(refused("JSON", Fault { at, why: TOO_MANY }, self.limits))
    }

    /// Opens an array or an object, and returns whether it has elements.
    #[inline]
    fn open(&mut self, kind: Kind) -> Result<bool> {
        let start = self.json.pos();
        self.json.open(kind).map_err(|fault| self.nesting(start, fault))
    }

    /// The error of the value at `start`, or after white space there.
    #[cold]
    fn nesting(&self, start: usize, fault: Fault) -> ConvertError {
        let at = self.text.len() - self.text[start..].trim_start().len();
        let is_limit = fault.why == TOO_DEEP;
        refused("JSON", if is_limit { Fault { at, ..fault } } else { fault }, self.limits)
    }

    /// The kind of the value that comes next, and where it begins.
    #[inline(always)]
    pub(crate) fn kind(&mut self) -> Result<(Kind, usize)> {
        let kind = self.json.kind()?;
        Ok((kind, self.json.pos()))
    }

    /// Where the value that comes next begins.
    #[inline(always)]
    pub(crate) fn offset(&mut self) -> Result<Offset> {
        Ok(offset_of(self.json.value_at()?))
    }

    /// Checks the kind of the value that comes next; `what` names it.
    pub(crate) fn expect(&mut self, what: &'static str, kind: Kind) -> Result<Offset> {
        let (found, offset) = self.kind()?;
        if found == kind {
            Ok(offset_of(offset))
        } else {
            Err(expected(offset, what, named(kind), named(found)))
        }
    }

    /// Fails unless only white space is left.
    pub(crate) fn end(&mut self) -> Result<()> {
        let rest = &self.text[self.json.pos()..];
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        if blank == rest.len() {
            return Ok(());
        }
        Err(Fault { at: self.json.pos() + blank, why: "more follows the document" }.into())
    }

    /// Reads the name of a field, and the colon.
    #[inline]
    fn name(&mut self) -> Result<Cow<'a, str>> {
        self.json.expect_name()?;
        let name = self.string()?;
        self.json.expect_colon()?;
        Ok(name)
    }

    /// Reads a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>> {
        let (range, escapes) = self.json.text()?;
        let raw = self.text.get(range).unwrap_or_default();
        Ok(if escapes == Escapes::None { Cow::Borrowed(raw) } else { meaning(raw, escapes) })
    }

    /// Reads a string that is unescaped on first use.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<Text<'a>> {
        let (range, escapes) = self.json.text()?;
        Ok(Text::of_json(&self.text[range], escapes))
    }

    /// Skips the next value, and returns it unparsed and borrowed.
    pub(crate) fn raw(&mut self) -> Result<model::Json<'a>> {
        let start = self.json.pos();
        let range = self.json.skip().map_err(|fault| self.nesting(start, fault))?;
        Ok(model::Json(Cow::Borrowed(&self.text[range])))
    }

    /// The landmarks of the values that were read.
    pub(crate) fn into_landmarks(self) -> Landmarks {
        let mut landmarks = self.landmarks;
        // Both are nearly in order, which makes a stable sort fast. A value that was read twice is listed twice.
        landmarks.spans.sort();
        landmarks.elements.sort();
        landmarks
    }

    /// Notes the value that was just read.
    #[inline]
    pub(crate) fn note_span(&mut self, offset: Offset) {
        if let (Some(start), Some(end), ..=SPAN_DEPTH) = (offset, offset_of(self.json.pos()), self.depth) {
            if end.saturating_sub(start) > SPAN_LEN {
                self.landmarks.spans.push((start, end));
            }
        }
    }

    /// The text that was read since `offset`.
    pub(crate) fn since(&self, offset: Offset) -> Option<&'a str> {
        self.text.get(offset? as usize..self.json.pos())
    }

    /// Reads the object that comes next. Fields that `each` does not read go to `extension_fields`, under `path`.
    pub(crate) fn object(
        &mut self,
        extension_fields: &mut Fields<'a>,
        path: &str,
        mut each: impl FnMut(&mut Self, &str) -> Result<bool>,
    ) -> Result<()> {
        let mut more = self.open(Kind::Object)?;
        self.depth += 1;
        while more {
            let name = self.name()?;
            let offset = self.offset()?;
            if !each(self, &name)? {
                self.count_element(offset)?;
                extension_fields.push((field_path(path, name), Param { value: self.raw()?, offset }));
            }
            self.note_span(offset);
            more = self.json.next(Kind::Object)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads the array that comes next.
    pub(crate) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let (start, mut index) = (self.offset()?, 0);
        let mut more = self.open(Kind::Array)?;
        self.depth += 1;
        while more {
            let offset = self.offset()?;
            if let (Some(start), Some(offset), 1.., 0, ..=SPAN_DEPTH) =
                (start, offset, index, index % STRIDE, self.depth)
            {
                self.landmarks.elements.push((start, offset, index));
            }
            index += 1;
            self.count_element(offset)?;
            each(self)?;
            self.note_span(offset);
            more = self.json.next(Kind::Array)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads the array that comes next, element by element, into `list`.
    pub(crate) fn list<T>(
        &mut self,
        list: &mut Vec<T>,
        mut each: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<()> {
        self.array(|source| {
            if list.len() == list.capacity() {
                // Elements are large, and a long list is copied each time that it grows.
                list.reserve(4 + 3 * list.len());
            }
            list.push(each(source)?);
            Ok(())
        })
    }

    /// Reads a value of this kind into `slot`, or leaves it unread.
    #[inline(always)]
    pub(crate) fn value<T: Value<'a>>(&mut self, slot: &mut Option<T>) -> Result<bool> {
        let Some(value) = T::read(self)? else { return Ok(false) };
        *slot = Some(value);
        Ok(true)
    }

    /// Reads a string that is required, or leaves a value of another kind unread.
    pub(crate) fn required(&mut self, slot: &mut Cow<'a, str>) -> Result<bool> {
        let mut value = None;
        let is_read = self.value(&mut value)?;
        *slot = value.unwrap_or_default();
        Ok(is_read)
    }

    /// The same for a parameter, with its offset.
    #[inline]
    pub(crate) fn param<T: Value<'a>>(&mut self, slot: &mut Option<Param<T>>) -> Result<bool> {
        let offset = self.offset()?;
        let Some(value) = T::read(self)? else { return Ok(false) };
        *slot = Some(Param { value, offset });
        Ok(true)
    }

    /// Reads an object field by field, or leaves a value of another kind unread.
    pub(crate) fn nested(
        &mut self,
        extension_fields: &mut Fields<'a>,
        path: &str,
        each: impl FnMut(&mut Self, &str) -> Result<bool>,
    ) -> Result<bool> {
        let is_object = self.kind()?.0 == Kind::Object;
        if is_object {
            self.object(extension_fields, path, each)?;
        }
        Ok(is_object)
    }

    /// Reads a value with `read`. If `read` does not recognize it, the value is left unread.
    pub(crate) fn probe<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let before = (self.json.clone(), self.elements);
        let found = read(self)?;
        if found.is_none() {
            (self.json, self.elements) = before;
        }
        Ok(found)
    }

    /// Reads a parameter with `read`, or, if `read` does not recognize it, as it is.
    pub(crate) fn param_or<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Option<T>>,
        other: impl FnOnce(model::Json<'a>) -> T,
    ) -> Result<Param<T>> {
        let offset = self.offset()?;
        let value = match self.probe(read)? {
            Some(value) => value,
            None => other(self.raw()?),
        };
        Ok(Param { value, offset })
    }

    /// Reads a part with `read`, or, if `read` does not recognize it, as it is.
    pub(crate) fn part_or_other(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<Option<Part<'a>>>,
    ) -> Result<Part<'a>> {
        let offset = self.expect(what, Kind::Object)?;
        let known = self.probe(read)?;
        Ok(match known {
            Some(part) => Part { offset, ..part },
            None => Part { offset, ..Part::new(Content::Other(self.raw()?)) },
        })
    }

    /// Reads a list without elements, or leaves any other value unread.
    pub(crate) fn empty_list(&mut self) -> Result<bool> {
        let found = self.probe(|source| {
            let is_list = source.kind()?.0 == Kind::Array;
            let list = source.raw()?;
            let inner = list.as_str().get(1..list.as_str().len() - 1).unwrap_or_default();
            Ok((is_list && inner.trim_ascii().is_empty()).then_some(()))
        })?;
        Ok(found.is_some())
    }

    /// Reads a list of strings, or, if `single`, one string; leaves any other value unread.
    pub(crate) fn strings(&mut self, slot: &mut Vec<Param<Cow<'a, str>>>, single: bool) -> Result<bool> {
        let found = self.probe(|source| {
            let mut found = Vec::new();
            if single && source.kind()?.0 == Kind::String {
                let offset = source.offset()?;
                found.push(Param { value: source.string()?, offset });
                return Ok(Some(found));
            }
            if source.kind()?.0 != Kind::Array {
                return Ok(None);
            }
            let mut all = true;
            source.array(|source| {
                let (kind, offset) = source.kind()?;
                if kind == Kind::String {
                    found.push(Param { value: source.string()?, offset: offset_of(offset) });
                } else {
                    all = false;
                    source.raw()?;
                }
                Ok(())
            })?;
            Ok(all.then_some(found))
        })?;
        Ok(found.map(|found| *slot = found).is_some())
    }
}

/// The reason of a fault: there are more elements than the limit.
pub(crate) const TOO_MANY: &str = "too many elements";

/// Fails if a request is too large. Its offsets have 32 bits.
pub(crate) fn check_len(source: &[u8], limits: RequestLimits) -> Result<()> {
    let limit = u32::try_from(limits.bytes).unwrap_or(u32::MAX).into();
    let len = source.len() as u64;
    if len <= limit {
        return Ok(());
    }
    Err(ConvertError::new(0, ConvertErrorKind::Limit { what: "request", len: Some(len), limit }))
}

/// The error of a request with a fault, which may be that a limit is exceeded.
#[cold]
pub(crate) fn refused(document: &'static str, fault: Fault, limits: RequestLimits) -> ConvertError {
    let (what, limit) = match fault.why {
        TOO_DEEP => ("nesting", limits.depth()),
        TOO_MANY => ("number of elements", limits.elements),
        _ => return ConvertError::malformed(document, fault),
    };
    ConvertError::new(fault.at, ConvertErrorKind::Limit { what, len: None, limit: limit as u64 })
}

#[cold]
fn meaning(raw: &str, escapes: Escapes) -> Cow<'_, str> {
    Text::of_json(raw, escapes).into_cow()
}

/// A type that can be read into a slot.
pub(crate) trait Value<'a>: Sized {
    /// Returns `None`, and reads nothing, if the value is of another kind.
    fn read(source: &mut Source<'a>) -> Result<Option<Self>>;
}

impl<'a> Value<'a> for Cow<'a, str> {
    #[inline]
    fn read(source: &mut Source<'a>) -> Result<Option<Self>> {
        if source.json.is_string() { source.string().map(Some) } else { Ok(None) }
    }
}

impl<'a> Value<'a> for Text<'a> {
    #[inline]
    fn read(source: &mut Source<'a>) -> Result<Option<Self>> {
        if source.json.is_string() { source.text().map(Some) } else { Ok(None) }
    }
}

impl<'a> Value<'a> for bool {
    fn read(source: &mut Source<'a>) -> Result<Option<Self>> {
        if source.kind()?.0 != Kind::Bool {
            return Ok(None);
        }
        Ok(Some(source.raw()?.as_str() == "true"))
    }
}

/// Any value but null, as it is.
impl<'a> Value<'a> for model::Json<'a> {
    fn read(source: &mut Source<'a>) -> Result<Option<Self>> {
        if source.kind()?.0 == Kind::Null { Ok(None) } else { source.raw().map(Some) }
    }
}

fn number<T: FromStr>(source: &mut Source<'_>) -> Result<Option<T>> {
    source.probe(|source| {
        let is_number = source.kind()?.0 == Kind::Number;
        let raw = source.raw()?;
        Ok(raw.as_str().parse().ok().filter(|_| is_number))
    })
}

impl<'a> Value<'a> for u64 {
    fn read(source: &mut Source<'a>) -> Result<Option<Self>> {
        number(source)
    }
}

impl<'a> Value<'a> for i64 {
    fn read(source: &mut Source<'a>) -> Result<Option<Self>> {
        number(source)
    }
}

impl<'a> Value<'a> for f64 {
    fn read(source: &mut Source<'a>) -> Result<Option<Self>> {
        // A number that is too large for its type would not come back.
        source.probe(|source| Ok(number(source)?.filter(|value: &f64| value.is_finite())))
    }
}

/// The path of a field of the object at `path`, as in a JSON pointer.
pub(crate) fn field_path<'a>(path: &str, name: Cow<'a, str>) -> Cow<'a, str> {
    let name =
        if name.contains(['~', '/']) { Cow::Owned(name.replace('~', "~0").replace('/', "~1")) } else { name };
    if path.is_empty() { name } else { Cow::Owned(format!("{path}/{name}")) }
}

/// An offset as requests have them.
pub(crate) fn offset_of(offset: usize) -> Offset {
    u32::try_from(offset).ok()
}

pub(crate) fn expected(
    offset: usize,
    what: &'static str,
    expected: &'static str,
    found: &'static str,
) -> ConvertError {
    ConvertError::new(offset, ConvertErrorKind::Expected { what, expected, found })
}

/// The error of a value of the wrong kind.
pub(crate) fn wrong_kind(
    offset: usize,
    what: &'static str,
    expected: &'static str,
    found: Kind,
) -> ConvertError {
    self::expected(offset, what, expected, named(found))
}

fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "a Boolean",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "an array",
        Kind::Object => "an object",
    }
}

/// The role of a name that all APIs share.
pub(crate) fn role(name: Cow<'_, str>) -> Role<'_> {
    match &*name {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => Role::Other(name),
    }
}

/// Reads a message of a role and content, which `read_content` reads.
pub(crate) fn message<'a>(
    source: &mut Source<'a>,
    read_content: impl Fn(&mut Source<'a>, &mut Vec<Part<'a>>) -> Result<bool>,
) -> Result<Message<'a>> {
    let offset = source.expect("message", Kind::Object)?;
    let (_, start) = source.kind()?;
    let (mut name, mut content, mut extension_fields) = (None, Vec::new(), Vec::new());
    source.object(&mut extension_fields, "", |source, field| match field {
        "role" => source.value(&mut name),
        "content" => read_content(source, &mut content),
        _ => Ok(false),
    })?;
    let Some(name) = name else { return Err(expected(start, "role of a message", "a string", "nothing")) };
    Ok(Message { role: role(name), content, name: None, extension_fields, offset })
}

/// Reads a prompt, also as the only one of a list; or several prompts, or tokens.
pub(crate) fn prompts<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let (kind, offset) = source.kind()?;
    (request.prompt, request.prompts) = (None, None);
    if kind != Kind::Array {
        source.expect("prompt", Kind::String)?;
        return source.param(&mut request.prompt);
    }
    request.prompt = source.probe(|source| {
        if !source.open(Kind::Array)? {
            return Err(expected(offset, "prompt", "a string", "an empty list"));
        }
        let mut only = None;
        let is_single = source.value(&mut only)? && !source.json.next(Kind::Array)?;
        Ok(only.filter(|_| is_single).map(|value| Param { value, offset: offset_of(offset) }))
    })?;
    if request.prompt.is_none() {
        source.param(&mut request.prompts)?;
    }
    Ok(true)
}

/// The string that a field of an object holds.
pub(crate) fn string_field(object: &model::Json<'_>, name: &str) -> Option<String> {
    let named = json::members(object.as_str()).into_iter().filter(|(known, _)| known == name);
    named.rev().find_map(|(_, value)| json::string(value))
}

/// The name that a path ends with.
pub(crate) fn unescaped_name(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.contains('~') { name.replace("~1", "/").replace("~0", "~").into() } else { name }
}
