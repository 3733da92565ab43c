//! Reads, writes and converts requests of all APIs, through the canonical [`Request`].
//!
//! Before changing a reader, consider what it reads: a field that is read has to be written by the writer of the same API,
//! and to be reported by the writers of all others that do not write it. Fields that are not read are kept unchanged.

use alloc::vec::Vec;

use crate::convert_error::{ConvertError, ConvertErrorKind};
use crate::formats::conversion::Conversion;
#[cfg(feature = "custom")]
use crate::formats::custom;
use crate::formats::edit::{Merge, Original, put_back};
use crate::formats::parameters::{Table, changed_parameters};
use crate::formats::request_reader::{Result, Source, check_len, field_path};
use crate::formats::text_generation::{jumpstart, lmi, sglang, tgi, triton};
use crate::formats::{
    anthropic, cohere, converse, openai_chat, openai_completions as completions,
    openai_responses as responses, plain_text, tool_names as names,
};
use crate::json::{Fault, Kind};
use crate::limits::RequestLimits;
use crate::model::{Api, ConversionOptions, Losses, Request, ToolNames};

/// The functions and the table of an API.
struct Format {
    read: for<'a> fn(&mut Source<'a>) -> Result<Request<'a>>,
    write: fn(&Conversion<'_, '_>, &mut Vec<u8>) -> Result<()>,
    table: &'static Table,
}

/// The format of an API's requests; `None` for APIs without JSON requests.
fn format(api: Api) -> Option<Format> {
    macro_rules! format {
        ($read:path, $write:path, $table:path) => {
            Some(Format { read: $read, write: $write, table: &$table })
        };
    }
    match api {
        Api::OpenAi => format!(openai_chat::read_request, openai_chat::write_request, openai_chat::TABLE),
        Api::Completions => format!(completions::read, completions::write, completions::TABLE),
        Api::Responses => format!(responses::read_request, responses::write_request, responses::TABLE),
        Api::Converse => format!(converse::read_request, converse::write_request, converse::TABLE),
        Api::Anthropic => format!(anthropic::read_request, anthropic::write_request, anthropic::TABLE),
        Api::Cohere => format!(cohere::read_request, cohere::write_request, cohere::TABLE),
        Api::Nova => format!(openai_chat::read_request, openai_chat::write_nova, openai_chat::NOVA),
        Api::Tgi => format!(tgi::read_request, tgi::write_request, tgi::TABLE),
        Api::Lmi => format!(lmi::read, lmi::write, lmi::TABLE),
        Api::JumpStart => format!(jumpstart::read, jumpstart::write, jumpstart::PIPELINE),
        Api::JumpStartText => format!(jumpstart::read_text, jumpstart::write_text, jumpstart::TEXT),
        Api::JumpStartDialogs => {
            format!(jumpstart::read_dialogs, jumpstart::write_dialogs, jumpstart::DIALOGS)
        }
        Api::Triton => format!(triton::read, triton::write, triton::TABLE),
        Api::Sglang => format!(sglang::read, sglang::write, sglang::TABLE),
        _ => None,
    }
}

/// Reads a request. It borrows from `source`, and nothing is lost: what has no name in the canonical model is kept as it is.
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
/// If `source` is not JSON, not UTF-8, not a request of this API, or exceeds the default [`RequestLimits`]. The offset of the
/// error counts in `source`.
pub fn read_request(api: Api, source: &[u8]) -> Result<Request<'_>> {
    read_request_with(api, source, RequestLimits::DEFAULT)
}

/// The same as [`read_request`] with other bounds than the default ones.
///
/// # Errors
///
/// Those of [`read_request`]. If a bound is exceeded, [`ConvertError::is_limit`] is true, and
/// [`ConvertErrorKind::Limit`] names the bound: "request", "number of elements" or "nesting".
pub fn read_request_with(api: Api, source: &[u8], limits: RequestLimits) -> Result<Request<'_>> {
    check_len(source, limits)?;
    let text = core::str::from_utf8(source).map_err(|error| {
        ConvertError::malformed("JSON", Fault { at: error.valid_up_to(), why: "not UTF-8" })
    })?;
    read_text(api, text, limits).map_err(|error| error.in_document(source))
}

fn read_text(api: Api, text: &str, limits: RequestLimits) -> Result<Request<'_>> {
    if api == Api::JumpStartRaw {
        return Ok(Request { api: Some(api), source: text.into(), ..plain_text::read_request(text) });
    }
    let Some(format) = format(api) else {
        return Err(ConvertError::new(0, ConvertErrorKind::Api { api, what: "reading requests" }));
    };
    let mut cursor = Source::new(text, limits);
    let start = cursor.expect("request", Kind::Object)?;
    let request = (format.read)(&mut cursor)?;
    cursor.note_span(start);
    cursor.end()?;
    Ok(Request { api: Some(api), source: text.into(), landmarks: cursor.into_landmarks(), ..request })
}

/// Writes a request, and returns its losses. An empty list means that the target expresses everything.
///
/// APIs that take a prompt get [`Request::prompt`], or what [`ConversionOptions::render`] makes of the messages. If a request
/// is written for the API that it was read from, everything in it that was not changed is copied. [`tool_names`] returns the
/// names of tools that are changed.
///
/// # Errors
///
/// If the target needs what the request does not have and no default is safe: a conversation without content, a prompt
/// without a chat template, a tool's input that is not a JSON object. The offset of the error counts in
/// [`Request::source`].
pub fn write_request(
    api: Api,
    request: &Request<'_>,
    options: &ConversionOptions<'_>,
) -> Result<(Vec<u8>, Losses)> {
    write(api, request, options).map_err(|error| error.in_document(request.source.as_bytes()))
}

fn write(api: Api, request: &Request<'_>, options: &ConversionOptions<'_>) -> Result<(Vec<u8>, Losses)> {
    if request.api == Some(api) {
        // A request without a source, or with one of another API, is all new.
        let original = read_text(api, &request.source, RequestLimits::NONE).unwrap_or_default();
        if original == *request && !options.change_requests() {
            return Ok((request.source.as_bytes().into(), Losses::default()));
        }
        if let Some(format) = format(api) {
            return edit(&format, request, &original, options);
        }
    }
    let conversion = Conversion::new(request, options, None).to(api);
    start(&conversion, matches!(api, Api::Completions | Api::Sglang))?;
    let mut out = output(request);
    match format(api) {
        Some(format) => {
            (format.write)(&conversion, &mut out)?;
            conversion.put_shared(&mut out, format.table.objects);
        }
        None if api == Api::JumpStartRaw => plain_text::write_request(&conversion, &mut out)?,
        None => return Err(ConvertError::new(0, ConvertErrorKind::Api { api, what: "writing requests" })),
    }
    Ok((out, conversion.into_losses(&[])))
}

/// Refuses what only the API that the request was read from can express, and reports its extension fields.
fn start(conversion: &Conversion<'_, '_>, takes_prompts: bool) -> Result<()> {
    let request = conversion.request;
    if let (Some(prompts), false) = (&request.prompts, takes_prompts) {
        let reason = "several prompts are several requests, and tokens are no text: only completions and SGLang take them";
        return Err(conversion.error(prompts.offset, reason));
    }
    if let (Some(Api::Responses), Some(offset)) = (request.api, responses::stored_history(request)) {
        let reason = "a part of the conversation is stored by the service: only its own API can refer to it";
        return Err(conversion.error(offset, reason));
    }
    conversion.report_extension_fields();
    Ok(())
}

#[cfg(feature = "custom")]
impl custom::Format {
    /// Writes a request. `{{prompt}}` is [`Request::prompt`], or what [`ConversionOptions::render`] makes of the messages.
    ///
    /// # Errors
    ///
    /// The format has no template; its template needs a prompt and there is none; or the messages contain something that
    /// OpenAI's messages cannot express, and their meaning would change without it.
    pub fn write(&self, request: &Request<'_>, options: &ConversionOptions<'_>) -> Result<custom::Body> {
        let conversion = Conversion::new(request, options, None);
        let written = start(&conversion, false).and_then(|()| self.write_body(&conversion));
        let bytes = written.map_err(|error| error.in_document(request.source.as_bytes()))?;
        Ok(custom::Body { bytes, losses: conversion.into_losses(&[]) })
    }
}

/// A buffer for a request. Beyond the size of the source, it has room for punctuation and small additions.
fn output(request: &Request<'_>) -> Vec<u8> {
    Vec::with_capacity(request.source.len() + request.source.len() / 8 + 256)
}

/// Writes a changed request for the API that it was read from. Losses are those of the changes.
fn edit(
    format: &Format,
    request: &Request<'_>,
    original: &Request<'_>,
    options: &ConversionOptions<'_>,
) -> Result<(Vec<u8>, Losses)> {
    let index = Original::new(original);
    let table = format.table;
    let after = Conversion::new(request, options, Some(&index));
    let written_after = write_whole(format, &after)?;
    if original.source.is_empty() {
        return Ok((written_after, after.into_losses(&[])));
    }
    let default_options = ConversionOptions::new();
    let before = Conversion::new(original, &default_options, Some(&index));
    // A request that was read can be written. If that fails, all fields count as new.
    let written_before = write_whole(format, &before).unwrap_or_else(|_| b"{}".into());
    let mut out = output(request);
    let [before_text, after_text] = [&written_before, &written_after].map(|text| text_of(text));
    let changed = changed_parameters(original, request);
    let merge = Merge { source: &original.source, changed, rename: &|name| table.rename(name) };
    merge.write(before_text, after_text, &mut out);
    Ok((out, after.into_losses(&before.into_pending())))
}

/// Writes a request with its extension fields and its extra parameters.
fn write_whole(format: &Format, conversion: &Conversion<'_, '_>) -> Result<Vec<u8>> {
    let request = conversion.request;
    let mut out = output(request);
    conversion.report_extension_fields();
    (format.write)(conversion, &mut out)?;
    let mut fields: Vec<_> =
        request.extension_fields.iter().map(|(path, param)| (path.clone(), param.value.as_str())).collect();
    if let (Some(object), false) = (format.table.extra, conversion.options.drop_extra_parameters) {
        fields.extend(
            request
                .extra_parameters
                .iter()
                .map(|(name, param)| (field_path(object, name.clone()), param.value.as_str())),
        );
    }
    put_back(&mut out, 0, &fields, format.table.objects);
    Ok(out)
}

/// Written JSON as text.
fn text_of(json: &[u8]) -> &str {
    core::str::from_utf8(json).unwrap_or_default()
}

/// Converts a request of one API into one of another, and returns what was lost: [`read_request`], then [`write_request`]. A
/// request that stays in its API is checked and copied.
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
/// Those of [`read_request_with`], with [`ConversionOptions::limits`], and [`write_request`]. Offsets count in `source`.
pub fn convert_request(
    from: Api,
    to: Api,
    source: &[u8],
    options: &ConversionOptions<'_>,
) -> Result<(Vec<u8>, Losses)> {
    let request = read_request_with(from, source, options.limits)?;
    if from == to && !options.change_requests() {
        return Ok((source.into(), Losses::default()));
    }
    write_request(to, &request, options)
}

/// The original names of tools by the names that [`write_request`] gives them for this API, to be restored in the response, and
/// the original IDs of the calls of the conversation by those that are sent. Only Converse and Anthropic restrict names and IDs;
/// for all others this is empty.
pub fn tool_names(api: Api, request: &Request<'_>) -> ToolNames {
    match api {
        Api::Converse => names::originals(request, converse::CALL_IDS),
        Api::Anthropic => names::originals(request, anthropic::CALL_IDS),
        _ => ToolNames::default(),
    }
}
