//! Responses with embeddings.
//!
//! | written by | response |
//! |---|---|
//! | OpenAI, vLLM, Voyage, TEI's second route | `{"data":[{"index":0,"embedding":[…] \| "Base64"}],"model":…,"usage":{…}}` |
//! | TEI, LMI | `[[…],…]` |
//! | JumpStart | `{"embedding":[[…],…]}`, and `{"embedding":[…]}` for one text |
//! | Cohere v1 | `{"embeddings":[[…],…],"meta":{"billed_units":{"input_tokens":5}}}` |
//! | Cohere v2, and v1 with `embedding_types` | `{"embeddings":{"float":[[…],…]},"meta":…}` |
//! | Hugging Face `feature-extraction` | `[[[…],…]]`: for each text, a vector for each token |
//!
//! Sources: see `request.rs`. In the last shape a list of texts has one more level, `[[[[…],…]],…]`, since each text is a batch of
//! its own.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::convert_error::{ConvertError, ConvertErrorKind};
use crate::formats::embeddings::request::Request;
use crate::formats::embeddings::vector::{Encoding, Pooling, Vector, pool, read_numbers};
use crate::formats::embeddings::{DEPTH, malformed};
use crate::formats::error_record as failure;
use crate::json::{Fault, Json as Cursor, Kind, write_integer, write_string};
use crate::model::{Json, Losses, Outcome, ResponseOptions, Usage};

const WHAT: &str = "response with embeddings";

/// How a response is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// The number of vectors that are expected; `None` for any number.
    pub count: Option<usize>,
    /// How to pool the vectors of tokens to one vector per text. If it is `None`, such a response is an error.
    pub pooling: Option<Pooling>,
}

impl Reading {
    /// Expects any number of vectors, one per text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects as many vectors as the request has inputs.
    pub fn of(request: &Request<'_>) -> Self {
        Self { count: Some(request.input.count()), ..Self::default() }
    }

    /// Sets [`pooling`](Self::pooling).
    #[must_use]
    pub fn pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = Some(pooling);
        self
    }
}

/// The name of a field, and the span of its value.
type Member = (Cow<'static, str>, Range<usize>);

/// A response with embeddings: vectors in the order of the inputs.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Response<'a> {
    /// The vectors.
    pub vectors: Vec<Vector<'a>>,
    /// The model, as the container names it.
    pub model: Option<Cow<'a, str>>,
    /// The container's token counts.
    pub usage: Usage,
    /// Other fields of OpenAI's shape (`id`, `created`).
    pub others: Vec<(Cow<'a, str>, Json<'a>)>,
    /// What OpenAI's shape cannot express.
    pub losses: Losses,
}

impl<'a> Response<'a> {
    /// Reads a response of any shape.
    ///
    /// # Errors
    ///
    /// The container reported a failure; the document is no such response; the number of vectors is not the expected one; or
    /// there is a vector per token and no pooling was selected.
    pub fn read(body: &'a [u8], reading: Reading) -> Result<Self, ConvertError> {
        let text = crate::formats::embeddings::text(body, WHAT)?;
        let mut reader = Reader { text, reading, response: Response::default() };
        match reader.document() {
            Ok(()) => {}
            Err(Stop::Fault(fault)) => return Err(malformed(WHAT, fault)),
            Err(Stop::Error(error)) => return Err(error),
        }
        let found = reader.response.vectors.len();
        if let Some(expected) = reading.count.filter(|&count| count != found) {
            let reason = format!("{found} vectors came for {expected} inputs").into();
            return Err(ConvertError::new(0, ConvertErrorKind::Invalid { what: WHAT, reason }));
        }
        Ok(reader.response)
    }

    /// Writes an OpenAI response. OpenAI requires `usage` and `model`: missing counts are written as zero, and a missing model as
    /// that of `context` or else as an empty name; both are reported as losses.
    ///
    /// # Errors
    ///
    /// The encoding has to be changed, and the numbers are malformed.
    pub fn write(
        &self,
        encoding: Encoding,
        context: &ResponseOptions,
    ) -> Result<(Vec<u8>, Losses), ConvertError> {
        let mut losses = self.losses.clone();
        let mut out = Vec::from(&b"{\"object\":\"list\",\"data\":["[..]);
        for (index, vector) in self.vectors.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"" } else { b"," });
            out.extend_from_slice(b"{\"object\":\"embedding\",\"index\":");
            write_integer(index as u64, &mut out);
            out.extend_from_slice(b",\"embedding\":");
            vector.write(encoding, &mut out)?;
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"model\":");
        let model = self.model.as_deref().or(context.model.as_deref()).unwrap_or_else(|| {
            losses.add_at("/model", Outcome::Defaulted, "neither the source nor the options name the model");
            ""
        });
        write_string(model, &mut out);
        // There is no output, so either count is the other one.
        let Usage { input_tokens, total_tokens, .. } = self.usage;
        let (prompt, total) = (input_tokens.or(total_tokens), total_tokens.or(input_tokens));
        if prompt.is_none() {
            let reason = "the source does not report token counts: both are zero";
            losses.add_at("/usage", Outcome::Defaulted, reason);
        }
        out.extend_from_slice(b",\"usage\":{\"prompt_tokens\":");
        write_integer(prompt.unwrap_or(0), &mut out);
        out.extend_from_slice(b",\"total_tokens\":");
        write_integer(total.unwrap_or(0), &mut out);
        out.push(b'}');
        for (name, json) in &self.others {
            out.push(b',');
            write_string(name, &mut out);
            out.push(b':');
            out.extend_from_slice(json.as_str().as_bytes());
        }
        out.push(b'}');
        Ok((out, losses))
    }
}

enum Stop {
    Fault(Fault),
    Error(ConvertError),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

struct Reader<'a> {
    text: &'a str,
    reading: Reading,
    response: Response<'a>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<(), Stop> {
        let bytes = self.text.as_bytes();
        // The first pass checks the whole document.
        let mut json = Cursor::new(bytes, 0, DEPTH);
        let range = json.skip()?;
        crate::formats::embeddings::end(bytes, range.end)?;
        match bytes[range.start] {
            b'{' => self.object(&range),
            b'[' => match self.objects(&range)? {
                // Some containers put their only response into a list.
                objects if objects.len() == 1 => self.object(&objects[0]),
                objects if objects.is_empty() => self.vectors(&range, ""),
                objects => objects.iter().try_for_each(|object| self.object(object)),
            },
            _ => Err(Fault { at: range.start, why: "neither an object nor a list" }.into()),
        }
    }

    fn cursor(&self, range: &Range<usize>) -> Cursor<'a> {
        Cursor::new(self.text.as_bytes(), range.start, DEPTH)
    }

    /// The objects of a list; none if it has anything else.
    fn objects(&self, range: &Range<usize>) -> Result<Vec<Range<usize>>, Fault> {
        let (mut objects, mut others) = (Vec::new(), 0);
        self.cursor(range).array(|json| {
            match json.kind()? {
                Kind::Object => objects.push(json.skip()?),
                _ => {
                    json.skip()?;
                    others += 1;
                }
            }
            Ok::<_, Fault>(())
        })?;
        if others > 0 {
            objects.clear();
        }
        Ok(objects)
    }

    /// The fields of an object that are not null. Of several with one name, the last is used.
    fn members(&self, range: &Range<usize>) -> Result<Vec<Member>, Fault> {
        let mut members = Vec::new();
        self.cursor(range).object(|json, name| {
            let value = json.skip_some()?;
            members.push((Cow::Owned(String::from_utf8_lossy(name).into_owned()), value));
            Ok(())
        })?;
        let members = crate::formats::embeddings::last_of_each(members).into_iter();
        Ok(members.filter_map(|(name, value)| Some((name, value?))).collect())
    }

    fn object(&mut self, range: &Range<usize>) -> Result<(), Stop> {
        if let Some(failure) = failure::read(self.text.as_bytes(), range, DEPTH)? {
            let kind = ConvertErrorKind::Failure(Box::new(failure));
            return Err(Stop::Error(ConvertError::new(range.start, kind)));
        }
        let members = self.members(range)?;
        let has = |name: &str| members.iter().any(|(known, _)| known == name);
        let is_openai = has("data");
        if !is_openai && !has("embedding") && !has("embeddings") {
            return Err(Fault { at: range.start, why: "there are no vectors in it" }.into());
        }
        for (name, value) in &members {
            match &**name {
                "data" => self.data(value)?,
                "embedding" | "embeddings" if !is_openai => self.embeddings(value, &format!("/{name}"))?,
                "model" => {
                    self.response.model = crate::formats::embeddings::string(self.text.as_bytes(), value)?
                }
                "usage" => self.usage(value)?,
                "meta" if !is_openai => self.meta(value)?,
                "object" => {}
                // The order of the vectors is all that this field of Cohere describes.
                "response_type" if !is_openai => {}
                name if is_openai => {
                    let json = Json(Cow::Borrowed(&self.text[value.clone()]));
                    self.response.others.push((Cow::Owned(name.into()), json));
                }
                name => {
                    let why = "the target has no place for it";
                    self.response.losses.push(crate::formats::embeddings::dropped(name, why));
                }
            }
        }
        Ok(())
    }

    /// OpenAI's list of objects, in any order.
    fn data(&mut self, range: &Range<usize>) -> Result<(), Stop> {
        let mut found = Vec::new();
        for object in self.objects(range)? {
            let (mut vector, mut index) = (None, found.len() as u64);
            for (name, value) in self.members(&object)? {
                match &*name {
                    "embedding" => vector = Some(value),
                    "index" => index = self.text[value].parse().unwrap_or(index),
                    _ => {}
                }
            }
            let vector = vector.ok_or(Fault { at: object.start, why: "there is no vector in it" })?;
            found.push((index, self.vector(&vector, &format!("/data/{}", found.len()))?));
        }
        found.sort_by_key(|(index, _)| *index);
        self.response.vectors.extend(found.into_iter().map(|(_, vector)| vector));
        Ok(())
    }

    /// A list of vectors, one vector, or lists of vectors by the type of their numbers.
    fn embeddings(&mut self, range: &Range<usize>, at: &str) -> Result<(), Stop> {
        if self.text.as_bytes()[range.start] != b'{' {
            return self.vectors(range, at);
        }
        let types = self.members(range)?;
        let rank = |name: &str| ["float", "base64", "int8", "uint8"].iter().position(|known| *known == name);
        let best = types.iter().filter_map(|(name, _)| rank(name)).min();
        for (name, value) in &types {
            if best.is_some() && rank(name) == best {
                self.vectors(value, at)?;
            } else {
                let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                self.response.losses.add_at(
                    pointer,
                    Outcome::Dropped,
                    "one type of numbers is all that the target takes",
                );
            }
        }
        match best {
            Some(_) => Ok(()),
            None => Err(Fault { at: range.start, why: "its vectors have no type that can be read" }.into()),
        }
    }

    /// The number of nested lists at the start of `range`.
    fn depth(&self, range: &Range<usize>) -> usize {
        let open = self.text[range.clone()].bytes().filter(|byte| !byte.is_ascii_whitespace());
        open.take_while(|&byte| byte == b'[').count()
    }

    /// A list of vectors, or one vector.
    fn vectors(&mut self, range: &Range<usize>, at: &str) -> Result<(), Stop> {
        let is_one = match self.depth(range) {
            0 => return Err(Fault { at: range.start, why: "neither a vector nor a list of vectors" }.into()),
            // A list of Base64, or the numbers of one vector.
            1 => {
                let first = self.text[range.start + 1..].trim_ascii_start().as_bytes().first().copied();
                !matches!(first, Some(b'"' | b']'))
            }
            _ => false,
        };
        if is_one {
            let vector = self.vector(range, at)?;
            self.response.vectors.push(vector);
            return Ok(());
        }
        let mut items = Vec::new();
        self.cursor(range).array(|json| {
            items.push(json.skip()?);
            Ok::<_, Fault>(())
        })?;
        for (index, item) in items.iter().enumerate() {
            let vector = self.vector(item, &format!("{at}/{index}"))?;
            self.response.vectors.push(vector);
        }
        Ok(())
    }

    /// One vector: numbers, Base64, or a vector for each token.
    fn vector(&self, range: &Range<usize>, at: &str) -> Result<Vector<'a>, Stop> {
        let offset = |fault: Fault| Fault { at: range.start + fault.at, ..fault };
        if let Some(text) = crate::formats::embeddings::string(self.text.as_bytes(), range)? {
            let fault = Fault { at: range.start, why: "a vector is empty" };
            return if text.is_empty() { Err(fault.into()) } else { Ok(Vector::Base64(text)) };
        }
        let json = &self.text[range.clone()];
        match self.depth(range) {
            1 => {
                if read_numbers(json, |_| {}).map_err(offset)? == 0 {
                    return Err(Fault { at: range.start, why: "a vector is empty" }.into());
                }
                Ok(Vector::Numbers(Json(Cow::Borrowed(json))))
            }
            depth @ (2 | 3) => {
                let Some(pooling) = self.reading.pooling else {
                    let what = "a vector for each token, without the pooling option,";
                    return Err(Stop::Error(ConvertError::unsupported(what, at)));
                };
                // A batch of one text has a list around its tokens.
                let tokens = if depth == 3 { self.only(range)? } else { range.clone() };
                Ok(Vector::Floats(pool(&self.text[tokens], pooling).map_err(offset)?))
            }
            _ => Err(Fault { at: range.start, why: "neither a vector nor a vector for each token" }.into()),
        }
    }

    /// The only item of a list.
    fn only(&self, range: &Range<usize>) -> Result<Range<usize>, Fault> {
        let mut items = Vec::new();
        self.cursor(range).array(|json| {
            items.push(json.skip()?);
            Ok::<_, Fault>(())
        })?;
        let fault = Fault { at: range.start, why: "a batch has more than one text" };
        if items.len() == 1 { items.pop().ok_or(fault) } else { Err(fault) }
    }

    fn usage(&mut self, range: &Range<usize>) -> Result<(), Fault> {
        let usage = &mut self.response.usage;
        if self.text.as_bytes()[range.start] != b'{' {
            return Ok(());
        }
        Cursor::new(self.text.as_bytes(), range.start, DEPTH).object(|json, name| {
            let count = json.integer_or_skip()?;
            match name {
                b"prompt_tokens" => usage.input_tokens = count,
                b"total_tokens" => usage.total_tokens = count,
                _ => {}
            }
            Ok(())
        })
    }

    /// Cohere's token counts: `{"billed_units":{"input_tokens":5}}`.
    fn meta(&mut self, range: &Range<usize>) -> Result<(), Fault> {
        if self.text.as_bytes()[range.start] != b'{' {
            return Ok(());
        }
        for (name, value) in self.members(range)? {
            if name == "billed_units" && self.text.as_bytes()[value.start] == b'{' {
                for (name, value) in self.members(&value)? {
                    if name == "input_tokens" {
                        // Cohere's clients type it as a number that may have a fraction.
                        self.response.usage.input_tokens =
                            self.text[value].split('.').next().and_then(|digits| digits.parse().ok());
                    }
                }
            }
        }
        Ok(())
    }
}
