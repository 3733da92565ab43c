//! Requests of all formats, read into and written from [`Request`].
//!
//! Each format is a file or a folder and knows no other. What they share stands beside them: `source` reads, `output`
//! writes, `conversion` keeps the list of losses and the rules that several have in common, `messages` brings the
//! conversation into the order that the target needs.
//!
//! Before changing a reader, think of what it takes: a member that was taken has to come back from the writer of the same
//! format, and to be reported by the writers of all others that do not write it. What is not taken looks after itself.

use alloc::vec::Vec;

use crate::convert_error::{ConvertError, ConvertErrorKind};
use crate::formats::conversion::Conversion;
use crate::formats::request_reader::Source;
use crate::formats::text_generation::{jumpstart, lmi, tgi, triton};
use crate::formats::{
    anthropic, converse, openai_chat, openai_completions as completions, plain_text as text,
    tool_names as names,
};
use crate::json::{Fault, Kind};
use crate::model::{Api, ConversionOptions, Losses, Request, ToolNames};

/// Reads a request. It borrows from `source`, and nothing in it is lost: what has no name in the canonical model is kept
/// as it came.
///
/// ```
/// use sagewire_codec::model::{Api, ConversionOptions};
/// use sagewire_codec::{read_request, write_request};
///
/// let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":7}"#;
/// let request = read_request(Api::OpenAi, body)?;
/// let (body, losses) = write_request(Api::Converse, &request, &ConversionOptions::new())?;
/// assert_eq!(body, br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#);
/// assert_eq!(losses.as_slice()[0].to_string(), "/seed: dropped: Converse has no such parameter");
/// # Ok::<(), sagewire_codec::ConvertError>(())
/// ```
///
/// # Errors
///
/// If `source` is no JSON, or no text, or no request of this format. The offset of the error counts in `source`.
pub fn read_request(api: Api, source: &[u8]) -> Result<Request<'_>, ConvertError> {
    if u32::try_from(source.len()).is_err() {
        let (what, limit) = ("request", u64::from(u32::MAX));
        let kind = ConvertErrorKind::Limit { what, len: Some(source.len() as u64), limit };
        return Err(ConvertError::new(0, kind));
    }
    let text = core::str::from_utf8(source).map_err(|error| {
        ConvertError::malformed("JSON", Fault { at: error.valid_up_to(), why: "not UTF-8" })
    })?;
    read_text(api, text).map_err(|error| error.in_document(source))
}

/// The same from text.
fn read_text(api: Api, text: &str) -> Result<Request<'_>, ConvertError> {
    let read = match api {
        Api::OpenAi => openai_chat::read_request,
        Api::Completions => completions::read,
        Api::Converse => converse::read_request,
        Api::Anthropic => anthropic::read_request,
        Api::Tgi => tgi::read_request,
        Api::Lmi => lmi::read,
        Api::JumpStart => jumpstart::read,
        Api::JumpStartText => jumpstart::read_text,
        Api::JumpStartDialogs => jumpstart::read_dialogs,
        Api::Triton => triton::read,
        Api::JumpStartRaw => {
            return Ok(Request { api: Some(api), source: text, ..text::read_request(text) });
        }
        _ => return Err(ConvertError::new(0, ConvertErrorKind::Api { api, what: "reading requests" })),
    };
    let mut cursor = Source::new(text);
    let start = cursor.expect("request", Kind::Object)?;
    let request = read(&mut cursor)?;
    cursor.note_span(start);
    cursor.end()?;
    Ok(Request { api: Some(api), source: text, landmarks: cursor.into_landmarks(), ..request })
}

/// Writes a request, and says what was lost. An empty list means that the target says all that the source said.
///
/// Formats of text take [`Request::prompt`], or what [`ConversionOptions::render`] makes of the messages. A request that goes back
/// into its own format unchanged is copied. Where tools get other names, [`tool_names`] says which.
///
/// # Errors
///
/// If the target needs what the request does not have and no default is safe: a prompt without a chat template, a tool's
/// input that is no JSON object. The offset of the error counts in [`Request::source`].
pub fn write_request(
    api: Api,
    request: &Request<'_>,
    options: &ConversionOptions<'_>,
) -> Result<(Vec<u8>, Losses), ConvertError> {
    let source = request.source.as_bytes();
    if request.api == Some(api) && !options.change_requests() && is_unchanged(api, request) {
        return Ok((source.into(), Losses::default()));
    }
    let conversion = Conversion::new(api, request, options);
    if let (Some(prompts), false) = (&request.prompts, api == Api::Completions) {
        let why = "several prompts are several requests, and tokens are no text: only completions take them";
        return Err(conversion.error(prompts.offset, why));
    }
    // What is not written is mostly punctuation; what is added is little.
    let mut out = Vec::with_capacity(source.len() + source.len() / 8 + 256);
    conversion.report_extension_fields();
    let write = match api {
        Api::OpenAi => openai_chat::write_request,
        Api::Completions => completions::write,
        Api::Converse => converse::write_request,
        Api::Anthropic => anthropic::write_request,
        Api::Tgi => tgi::write_request,
        Api::Lmi => lmi::write,
        Api::JumpStart => jumpstart::write,
        Api::JumpStartText => jumpstart::write_text,
        Api::JumpStartDialogs => jumpstart::write_dialogs,
        Api::Triton => triton::write,
        Api::JumpStartRaw => text::write_request,
        _ => return Err(ConvertError::new(0, ConvertErrorKind::Api { api, what: "writing requests" })),
    };
    write(&conversion, &mut out)?;
    Ok((out, conversion.losses()))
}

/// Turns a request of one format into one of another, and says what was lost: [`read_request`], then [`write_request`]. What
/// goes into its own format is checked and copied.
///
/// ```
/// use sagewire_codec::model::{Api, ConversionOptions};
/// use sagewire_codec::convert_request;
///
/// let body = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
/// let (body, losses) =
///     convert_request(Api::OpenAi, Api::Converse, body, &ConversionOptions::new())?;
/// assert_eq!(body, br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#);
/// assert!(losses.is_empty());
/// # Ok::<(), sagewire_codec::ConvertError>(())
/// ```
///
/// # Errors
///
/// Those of [`read_request`] and [`write_request`]. Offsets count in `source`.
pub fn convert_request(
    from: Api,
    to: Api,
    source: &[u8],
    options: &ConversionOptions<'_>,
) -> Result<(Vec<u8>, Losses), ConvertError> {
    let request = read_request(from, source)?;
    // Nobody has seen the request, so nobody has changed it.
    if from == to && !options.change_requests() {
        return Ok((source.into(), Losses::default()));
    }
    write_request(to, &request, options)
}

/// The names of tools that [`write_request`] changes for this target, to be put back into the answer. Only Converse and
/// Anthropic take few characters; for all others this is empty.
pub fn tool_names(api: Api, request: &Request<'_>) -> ToolNames {
    match api {
        Api::Converse | Api::Anthropic => names::originals(request),
        _ => ToolNames::default(),
    }
}

/// Whether the request is what its source says, still.
fn is_unchanged(api: Api, request: &Request<'_>) -> bool {
    read_text(api, request.source).is_ok_and(|again| again == *request)
}
