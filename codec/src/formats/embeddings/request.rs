//! Requests for embeddings.
//!
//! | target | body |
//! |---|---|
//! | OpenAI, vLLM, TEI's second route | `{"input":…,"model":…,"encoding_format":…,"dimensions":…,"user":…}` |
//! | TEI, the Hugging Face containers, LMI | `{"inputs": string \| string[] \| int[] \| int[][],"dimensions":…}` |
//! | JumpStart | `{"text_inputs": string \| string[]}`, for sentence similarity with `"mode":"embedding"` |
//! | JumpStart, `application/x-text` | `["a","b"]`, or the text itself |
//! | Cohere, v1 and v2 | `{"texts":[…],"input_type":…,"model":…,"truncate":…,"embedding_types":[…],"output_dimension":…}` |
//! | Voyage | `{"input":…,"model":…,"input_type":…,"truncation":…,"output_dimension":…,"encoding_format":"base64"}` |
//!
//! Sources for Cohere and Voyage: their API references and clients
//! (`docs.cohere.com/reference/embed`, `docs.voyageai.com/reference/embeddings-api`). Both versions of Cohere take the same
//! fields; version 2 requires `embedding_types`, with which version 1 responds as version 2 does.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::convert_error::ConvertError;
use crate::formats::embeddings::DEPTH;
use crate::formats::embeddings::vector::Encoding;
use crate::formats::request_reader::{TOO_MANY, check_len, refused};
use crate::json::{Fault, Json as Cursor, Kind, TOO_DEEP, write_integer, write_string};
use crate::limits::RequestLimits;
use crate::media_type;
use crate::model::{Json, Losses, Outcome};

const WHAT: &str = "request for embeddings";

/// The input to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// One text.
    Text(Cow<'a, str>),
    /// Several texts.
    Texts(Vec<Cow<'a, str>>),
    /// The token IDs of one text: a list of integers.
    Tokens(Json<'a>),
    /// The token IDs of several texts: the number of texts, and a list of lists.
    TokenLists(usize, Json<'a>),
}

impl Input<'_> {
    /// The number of vectors that the response has to have.
    pub fn count(&self) -> usize {
        match self {
            Self::Text(_) | Self::Tokens(_) => 1,
            Self::Texts(texts) => texts.len(),
            Self::TokenLists(count, _) => *count,
        }
    }
}

/// An OpenAI request for embeddings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The input to embed.
    pub input: Input<'a>,
    /// The model.
    pub model: Option<Cow<'a, str>>,
    /// The encoding of the vectors: `float` or `base64`.
    pub encoding_format: Option<Cow<'a, str>>,
    /// The number of dimensions of a vector.
    pub dimensions: Option<u64>,
    /// An opaque identifier of the end user.
    pub user: Option<Cow<'a, str>>,
    /// Other fields: parameters of one container (`normalize`, `truncate`, `input_type`).
    pub others: Vec<(Cow<'a, str>, Json<'a>)>,
}

/// The shape of a container's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestShape {
    /// That of OpenAI.
    OpenAi,
    /// `inputs`: TEI, the Hugging Face containers, LMI.
    Inputs,
    /// `text_inputs`: JumpStart.
    TextInputs {
        /// Whether to add `"mode": "embedding"`, which its sentence similarity models require.
        mode: bool,
    },
    /// A JSON list of texts as `application/x-text`: JumpStart's sentence similarity models.
    TextList,
    /// One text without JSON, as `application/x-text`: JumpStart's older models.
    Text,
    /// Cohere.
    Cohere,
    /// Voyage.
    Voyage,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body {
    /// The content type to send.
    pub media_type: &'static str,
    /// The body.
    pub bytes: Vec<u8>,
    /// What the target cannot express.
    pub losses: Losses,
}

impl<'a> Request<'a> {
    /// A request that has only an input.
    pub fn new(input: Input<'a>) -> Self {
        Self { input, model: None, encoding_format: None, dimensions: None, user: None, others: Vec::new() }
    }

    /// Reads an OpenAI request. Fields that are null count as missing.
    ///
    /// # Errors
    ///
    /// The document is no such request, or exceeds the default [`RequestLimits`].
    pub fn read(body: &'a [u8]) -> Result<Self, ConvertError> {
        Self::read_with(body, RequestLimits::DEFAULT)
    }

    /// The same as [`read`](Self::read) with other bounds than the default ones. The elements are the texts and the fields that
    /// OpenAI does not have.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read). If a bound is exceeded, [`ConvertError::is_limit`] is true.
    pub fn read_with(body: &'a [u8], limits: RequestLimits) -> Result<Self, ConvertError> {
        check_len(body, limits)?;
        Self::read_within(body, limits).map_err(|error| error.in_document(body))
    }

    fn read_within(body: &'a [u8], limits: RequestLimits) -> Result<Self, ConvertError> {
        let text = crate::formats::embeddings::text(body, WHAT)?;
        let mut request = Self::new(Input::Texts(Vec::new()));
        let mut input = None;
        let mut json = Cursor::new(body, 0, limits.depth());
        json.object(|json, name| {
            let (kind, at) = (json.kind()?, json.pos());
            let too_deep = |fault: Fault| if fault.why == TOO_DEEP { Fault { at, ..fault } } else { fault };
            let range = json.skip().map_err(too_deep)?;
            if kind == Kind::Null {
                return Ok(());
            }
            let other = || Json(Cow::Borrowed(&text[range.clone()]));
            match name {
                b"input" => input = Some(range),
                b"model" => request.model = crate::formats::embeddings::string(body, &range)?,
                b"encoding_format" => {
                    request.encoding_format = crate::formats::embeddings::string(body, &range)?
                }
                b"user" => request.user = crate::formats::embeddings::string(body, &range)?,
                b"dimensions" => {
                    let fault = Fault { at: range.start, why: "dimensions is no positive integer" };
                    request.dimensions = Some(text[range].parse().map_err(|_| fault)?);
                }
                _ => {
                    count(&request.others, at, limits)?;
                    let name = Cow::Owned(String::from_utf8_lossy(name).into_owned());
                    request.others.push((name, other()));
                }
            }
            Ok(())
        })
        .and_then(|()| crate::formats::embeddings::end(body, json.pos()))
        .and_then(|()| {
            let range = input.ok_or(Fault { at: 0, why: "there is no input" })?;
            request.input = read_input(text, range, limits)?;
            Ok(())
        })
        .map_err(|fault| refused(WHAT, fault, limits))?;
        request.others = crate::formats::embeddings::last_of_each(request.others);
        Ok(request)
    }

    /// The encoding of the vectors of the response.
    pub fn encoding(&self) -> Encoding {
        match self.encoding_format.as_deref() {
            Some("base64") => Encoding::Base64,
            _ => Encoding::Float,
        }
    }

    /// Writes the request in the shape of a container. Fields that OpenAI does not have are passed on unchanged. Two things are
    /// not losses: the model, for a container that has only one, and the encoding, which
    /// [`Response::write`](crate::embeddings::Response::write) applies to the response.
    ///
    /// # Errors
    ///
    /// The container does not accept the input: tokens instead of texts, or several texts instead of one.
    pub fn write(&self, target: RequestShape) -> Result<Body, ConvertError> {
        let losses = Losses::default();
        let mut writer = Writer { request: self, out: Vec::new(), own: Vec::new(), losses };
        let media_type = match target {
            RequestShape::TextList | RequestShape::Text => media_type::TEXT,
            _ => media_type::JSON,
        };
        match target {
            RequestShape::OpenAi => writer.openai(),
            RequestShape::Inputs => writer.inputs(),
            RequestShape::TextInputs { mode } => writer.text_inputs(mode)?,
            RequestShape::TextList => writer.text_list()?,
            RequestShape::Text => writer.text()?,
            RequestShape::Cohere => writer.cohere()?,
            RequestShape::Voyage => writer.voyage()?,
        }
        Ok(Body { media_type, bytes: writer.out, losses: writer.losses })
    }

    fn has(&self, name: &str) -> bool {
        self.others.iter().any(|(known, _)| known == name)
    }
}

/// Fails if a list has as many elements as it may have, before the one at this offset.
fn count<T>(list: &[T], at: usize, limits: RequestLimits) -> Result<(), Fault> {
    if list.len() < limits.elements { Ok(()) } else { Err(Fault { at, why: TOO_MANY }) }
}

/// Reads the input at a range of a request.
fn read_input(text: &str, range: Range<usize>, limits: RequestLimits) -> Result<Input<'_>, Fault> {
    let fault = |why| Fault { at: range.start, why };
    if let Some(text) = crate::formats::embeddings::string(text.as_bytes(), &range)? {
        return Ok(Input::Text(text));
    }
    let mut json = Cursor::new(text.as_bytes(), range.start, DEPTH);
    if json.kind()? != Kind::Array {
        return Err(fault("input is neither a text nor a list"));
    }
    let (mut texts, mut integers, mut lists) = (Vec::new(), 0, 0);
    json.array(|json| {
        let kind = json.kind()?;
        let item = json.skip()?;
        match kind {
            Kind::String => {
                count(&texts, item.start, limits)?;
                texts.extend(crate::formats::embeddings::string(text.as_bytes(), &item)?);
            }
            Kind::Number if is_integer(&text[item.clone()]) => integers += 1,
            Kind::Array => {
                lists += 1;
                Cursor::new(text.as_bytes(), item.start, DEPTH).array(|json| {
                    let token = json.skip()?;
                    let fault = Fault { at: token.start, why: "a token is no integer" };
                    if is_integer(&text[token]) { Ok(()) } else { Err(fault) }
                })?;
            }
            _ => return Err(Fault { at: item.start, why: "an input is neither a text nor tokens" }),
        }
        Ok(())
    })?;
    let json = Json(Cow::Borrowed(&text[range.clone()]));
    match (texts.len(), integers, lists) {
        (0, 0, 0) => Err(fault("the input is empty")),
        (_, 0, 0) => Ok(Input::Texts(texts)),
        (0, _, 0) => Ok(Input::Tokens(json)),
        (0, 0, count) => Ok(Input::TokenLists(count, json)),
        _ => Err(fault("the input has texts and tokens")),
    }
}

fn is_integer(number: &str) -> bool {
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

struct Writer<'a, 'b> {
    request: &'a Request<'b>,
    out: Vec<u8>,
    /// The names of the fields that were written.
    own: Vec<&'static str>,
    losses: Losses,
}

impl Writer<'_, '_> {
    fn openai(&mut self) {
        let request = self.request;
        self.input("input");
        self.string("model", request.model.as_deref());
        self.string("encoding_format", request.encoding_format.as_deref());
        self.integer("dimensions", request.dimensions);
        self.string("user", request.user.as_deref());
        self.others();
        self.out.push(b'}');
    }

    fn inputs(&mut self) {
        self.input("inputs");
        self.integer("dimensions", self.request.dimensions);
        self.drop_user();
        self.others();
        self.out.push(b'}');
    }

    fn text_inputs(&mut self, mode: bool) -> Result<(), ConvertError> {
        self.need_texts()?;
        self.input("text_inputs");
        if mode && !self.request.has("mode") {
            self.string("mode", Some("embedding"));
        }
        self.drop_dimensions();
        self.drop_user();
        self.others();
        self.out.push(b'}');
        Ok(())
    }

    fn text_list(&mut self) -> Result<(), ConvertError> {
        self.need_texts()?;
        self.texts();
        self.drop_all();
        Ok(())
    }

    fn text(&mut self) -> Result<(), ConvertError> {
        self.need_texts()?;
        match &self.request.input {
            Input::Text(text) => self.out.extend_from_slice(text.as_bytes()),
            Input::Texts(texts) if texts.len() == 1 => self.out.extend_from_slice(texts[0].as_bytes()),
            _ => return Err(unsupported("more than one text")),
        }
        self.drop_all();
        Ok(())
    }

    fn cohere(&mut self) -> Result<(), ConvertError> {
        self.need_texts()?;
        self.name("texts");
        self.texts();
        self.string("model", self.request.model.as_deref());
        if !self.request.has("input_type") {
            self.string("input_type", Some("search_document"));
            let why = "Cohere requires it, and texts are taken for documents";
            self.losses.add_at("/input_type", Outcome::Defaulted, why);
        }
        if !self.request.has("embedding_types") {
            self.name("embedding_types");
            self.out.extend_from_slice(b"[\"float\"]");
        }
        self.integer("output_dimension", self.request.dimensions);
        self.drop_user();
        self.others();
        self.out.push(b'}');
        Ok(())
    }

    fn voyage(&mut self) -> Result<(), ConvertError> {
        self.need_texts()?;
        let request = self.request;
        self.input("input");
        self.string("model", request.model.as_deref());
        self.integer("output_dimension", request.dimensions);
        // Floats are the default, and have no name in this API.
        self.string("encoding_format", (request.encoding() == Encoding::Base64).then_some("base64"));
        self.drop_user();
        self.others();
        self.out.push(b'}');
        Ok(())
    }

    fn need_texts(&self) -> Result<(), ConvertError> {
        match self.request.input {
            Input::Tokens(_) | Input::TokenLists(..) => Err(unsupported("tokens in place of texts")),
            _ => Ok(()),
        }
    }

    fn name(&mut self, name: &'static str) {
        self.own.push(name);
        self.begin(name);
    }

    /// Begins a field.
    fn begin(&mut self, name: &str) {
        self.out.push(if self.out.is_empty() { b'{' } else { b',' });
        write_string(name, &mut self.out);
        self.out.push(b':');
    }

    fn string(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.name(name);
            write_string(value, &mut self.out);
        }
    }

    fn integer(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.name(name);
            write_integer(value, &mut self.out);
        }
    }

    /// Writes the input: one text, several texts, or tokens.
    fn input(&mut self, name: &'static str) {
        self.name(name);
        match &self.request.input {
            Input::Text(text) => write_string(text, &mut self.out),
            Input::Texts(_) => self.texts(),
            Input::Tokens(json) | Input::TokenLists(_, json) => {
                self.out.extend_from_slice(json.as_str().as_bytes());
            }
        }
    }

    /// Writes the texts as a list.
    fn texts(&mut self) {
        let one;
        let texts = match &self.request.input {
            Input::Text(text) => {
                one = [text.clone()];
                &one[..]
            }
            Input::Texts(texts) => texts,
            _ => &[],
        };
        self.out.push(b'[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write_string(text, &mut self.out);
        }
        self.out.push(b']');
    }

    /// Writes fields that OpenAI does not have.
    fn others(&mut self) {
        for (name, json) in &self.request.others {
            if self.own.contains(&&**name) {
                self.lose(name, "in the target this name has a meaning of its own");
                continue;
            }
            self.begin(name);
            self.out.extend_from_slice(json.as_str().as_bytes());
        }
    }

    fn drop_user(&mut self) {
        if self.request.user.is_some() {
            self.losses.add_at("/user", Outcome::Dropped, "the target has no place for it");
        }
    }

    fn drop_dimensions(&mut self) {
        if self.request.dimensions.is_some() {
            self.losses.add_at("/dimensions", Outcome::Dropped, "the target has no place for it");
        }
    }

    /// Reports all other fields as lost, for a target that is plain text.
    fn drop_all(&mut self) {
        self.drop_dimensions();
        self.drop_user();
        for (name, _) in &self.request.others {
            self.lose(name, "the target has no place for it");
        }
    }

    /// Reports a field that is not written.
    fn lose(&mut self, name: &str, why: &'static str) {
        self.losses.push(crate::formats::embeddings::dropped(name, why));
    }
}

fn unsupported(what: &str) -> ConvertError {
    ConvertError::unsupported(what, "/input")
}
