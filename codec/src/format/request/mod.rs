//! Requests of all formats, read into and written from [`Request`].
//!
//! Each format is a file or a folder and knows no other. What they share stands beside them: `source` reads, `output`
//! writes, `conversion` keeps the list of losses and the rules that several have in common, `messages` brings the
//! conversation into the order that the target needs.
//!
//! Before changing a reader, think of what it takes: a member that was taken has to come back from the writer of the same
//! format, and to be reported by the writers of all others that do not write it. What is not taken looks after itself.

mod anthropic;
mod bedrock;
mod completions;
mod conversion;
mod generate;
mod jumpstart;
mod lmi;
mod media;
mod messages;
mod names;
mod openai;
mod output;
mod source;
mod text;
mod tgi;
mod thinking;
mod triton;

use alloc::vec::Vec;

use conversion::Conversion;
use source::Source;

use crate::chat::{Losses, Request, RequestFormat, Settings, ToolNames};
use crate::error::{Error, ErrorKind, Layer};
use crate::json::Kind;

/// Reads a request. It borrows from `source`, and nothing in it is lost: what has no name in the canonical model is kept
/// as it came.
///
/// ```
/// use sagewire_codec::chat::{RequestFormat, Settings};
/// use sagewire_codec::format::{read_request, write_request};
///
/// let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":7}"#;
/// let request = read_request(RequestFormat::OpenAi, body)?;
/// let (body, losses) = write_request(RequestFormat::Bedrock, &request, &Settings::new())?;
/// assert_eq!(body, br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#);
/// assert_eq!(losses.as_slice()[0].to_string(), "/seed: dropped: Converse has no such parameter");
/// # Ok::<(), sagewire_codec::Error>(())
/// ```
///
/// # Errors
///
/// If `source` is no JSON, or no text, or no request of this format. The offset of the error counts in `source`.
pub fn read_request(format: RequestFormat, source: &[u8]) -> Result<Request<'_>, Error> {
    if u32::try_from(source.len()).is_err() {
        let (what, limit) = ("request", u64::from(u32::MAX));
        let kind = ErrorKind::Limit { what, len: Some(source.len() as u64), limit };
        return Err(Error::new(Layer::Format, 0, kind));
    }
    let text = core::str::from_utf8(source).map_err(|error| {
        let kind = ErrorKind::Malformed { what: "JSON", why: "not UTF-8" };
        Error::new(Layer::Format, error.valid_up_to() as u64, kind)
    })?;
    read_text(format, text)
}

/// The same from text.
fn read_text(format: RequestFormat, text: &str) -> Result<Request<'_>, Error> {
    let read = match format {
        RequestFormat::OpenAi => openai::read,
        RequestFormat::Completions => completions::read,
        RequestFormat::Bedrock => bedrock::read,
        RequestFormat::Anthropic => anthropic::read,
        RequestFormat::Tgi => tgi::read,
        RequestFormat::Lmi => lmi::read,
        RequestFormat::JumpStart => jumpstart::read,
        RequestFormat::JumpStartText => jumpstart::read_text,
        RequestFormat::JumpStartDialogs => jumpstart::read_dialogs,
        RequestFormat::Triton => triton::read,
        RequestFormat::Text => {
            return Ok(Request { format: Some(format), source: text, ..text::read(text) });
        }
    };
    let mut cursor = Source::new(text);
    let start = cursor.expect("request", Kind::Object)?;
    let request = read(&mut cursor)?;
    cursor.note_span(start);
    cursor.end()?;
    Ok(Request { format: Some(format), source: text, landmarks: cursor.into_landmarks(), ..request })
}

/// Writes a request, and says what was lost. An empty list means that the target says all that the source said.
///
/// Formats of text take [`Request::prompt`], or what [`Settings::render`] makes of the messages. A request that goes back
/// into its own format unchanged is copied. Where tools get other names, [`tool_names`] says which.
///
/// # Errors
///
/// If the target needs what the request does not have and no default is safe: a prompt without a chat template, a tool's
/// input that is no JSON object. The offset of the error counts in [`Request::source`].
pub fn write_request(
    format: RequestFormat,
    request: &Request<'_>,
    settings: &Settings<'_>,
) -> Result<(Vec<u8>, Losses), Error> {
    let source = request.source.as_bytes();
    if request.format == Some(format) && !settings.change() && is_unchanged(format, request) {
        return Ok((source.into(), Losses::default()));
    }
    let conversion = Conversion::new(format, request, settings);
    if let (Some(prompts), false) = (&request.prompts, format == RequestFormat::Completions) {
        let why = "several prompts are several requests, and tokens are no text: only completions take them";
        return Err(conversion.unwritable(prompts.at, why));
    }
    // What is not written is mostly punctuation; what is added is little.
    let mut out = Vec::with_capacity(source.len() + source.len() / 8 + 256);
    conversion.note_own();
    let write = match format {
        RequestFormat::OpenAi => openai::write,
        RequestFormat::Completions => completions::write,
        RequestFormat::Bedrock => bedrock::write,
        RequestFormat::Anthropic => anthropic::write,
        RequestFormat::Tgi => tgi::write,
        RequestFormat::Lmi => lmi::write,
        RequestFormat::JumpStart => jumpstart::write,
        RequestFormat::JumpStartText => jumpstart::write_text,
        RequestFormat::JumpStartDialogs => jumpstart::write_dialogs,
        RequestFormat::Triton => triton::write,
        RequestFormat::Text => text::write,
    };
    write(&conversion, &mut out)?;
    Ok((out, conversion.losses()))
}

/// Turns a request of one format into one of another, and says what was lost: [`read_request`], then [`write_request`]. What
/// goes into its own format is checked and copied.
///
/// ```
/// use sagewire_codec::chat::{RequestFormat, Settings};
/// use sagewire_codec::format::convert_request;
///
/// let body = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
/// let (body, losses) =
///     convert_request(RequestFormat::OpenAi, RequestFormat::Bedrock, body, &Settings::new())?;
/// assert_eq!(body, br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#);
/// assert!(losses.is_empty());
/// # Ok::<(), sagewire_codec::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`read_request`] and [`write_request`]. Offsets count in `source`.
pub fn convert_request(
    from: RequestFormat,
    to: RequestFormat,
    source: &[u8],
    settings: &Settings<'_>,
) -> Result<(Vec<u8>, Losses), Error> {
    let request = read_request(from, source)?;
    // Nobody has seen the request, so nobody has changed it.
    if from == to && !settings.change() {
        return Ok((source.into(), Losses::default()));
    }
    write_request(to, &request, settings)
}

/// The names of tools that [`write_request`] changes for this target, to be put back into the answer. Only Converse and
/// Anthropic take few characters; for all others this is empty.
pub fn tool_names(format: RequestFormat, request: &Request<'_>) -> ToolNames {
    match format {
        RequestFormat::Bedrock | RequestFormat::Anthropic => names::originals(request),
        _ => ToolNames::default(),
    }
}

/// Whether the request is what its source says, still.
fn is_unchanged(format: RequestFormat, request: &Request<'_>) -> bool {
    read_text(format, request.source).is_ok_and(|again| again == *request)
}
