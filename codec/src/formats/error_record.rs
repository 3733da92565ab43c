//! Reads an error that a server sent in place of a record.
//!
//! | written by | record |
//! |---|---|
//! | OpenAI, vLLM, SGLang, TGI's Messages API | `{"error":{"message":…,"type":…,"code":…}}`; TGI has `http_status_code` |
//! | SGLang, vLLM before 0.10 | `{"object":"error","message":…,"type":…,"code":…}` |
//! | TGI | `{"error":"…","error_type":"…"}` |
//! | DJL | `{"code":424,"error":"…"}`, optionally with a `message` that names what failed; `{"error":{"error_code":400,"error_msg":"…"}}`, the same nested in another `error` |
//! | transformers | `{"error":"…"}` |
//! | Anthropic | `{"type":"error","error":{"type":…,"message":…}}` |
//! | OpenAI's Responses | `{"type":"error","code":…,"message":…}` |
//! | DJL's and TorchServe's front ends | `{"code":507,"type":"…","message":"…"}` |
//! | FastAPI | `{"detail":…}` and nothing else: a text, a list of errors, or an object with an error |
//! | LMI on a current vLLM | the second row of DJL, whose `error` is the `repr` of vLLM's own error: [`python_repr`] |
//!
//! Message, type, code and `param` are those of the innermost error.

use alloc::string::{String, ToString};
use core::ops::Range;

use crate::formats::python_repr;
use crate::json::{Fault, Json, Kind, unescaped};
use crate::model::Failure;

/// The failure that the object at `range` reports, if it is one.
pub(crate) fn read(record: &[u8], range: &Range<usize>, depth: usize) -> Result<Option<Failure>, Fault> {
    Ok(read_nested(record, range, depth)?.map(|(failure, _)| failure))
}

/// The same, and whether it is an error that another one contains as text, so that the HTTP status of the outer one does not
/// count.
pub(crate) fn read_nested(
    record: &[u8],
    range: &Range<usize>,
    depth: usize,
) -> Result<Option<(Failure, bool)>, Fault> {
    let (mut error, mut detail, mut is_error, mut is_typed) = (None, None, false, false);
    let (mut has_code, mut has_message, mut has_type, mut members) = (false, false, false, 0);
    Json::new(record, range.start, depth).object(|json, name| {
        members += 1;
        match name {
            b"error" => error = json.skip_some()?,
            b"detail" => detail = json.skip_some()?,
            // TGI: whatever the message is.
            b"error_type" => {
                is_typed = json.string_or_skip()?.is_some_and(|what| what.start < what.end);
                has_type |= is_typed;
            }
            b"object" | b"type" => {
                has_type |= name == b"type";
                let what = json.string_or_skip()?;
                is_error |= what.is_some_and(|what| &*json.unescaped(what) == b"error");
            }
            _ => {
                has_code |= name == b"code";
                has_message |= name == b"message";
                json.skip()?;
            }
        }
        Ok(())
    })?;
    let object = match &error {
        Some(error) if record[error.start] == b'{' => error,
        Some(error) if !is_typed && matches!(&record[error.clone()], b"false" | b"\"\"" | b"0") => {
            return Ok(None);
        }
        Some(_) => range,
        None if is_error || (has_code && has_message && members <= 2 + usize::from(has_type)) => range,
        None => match detail.filter(|_| members == 1) {
            Some(detail) => return read_detail(record, range, &detail, depth).map(Some),
            None => return Ok(None),
        },
    };
    read_object(record, range, object, depth).map(Some)
}

/// The failure that FastAPI's `detail` reports.
fn read_detail(
    record: &[u8],
    range: &Range<usize>,
    detail: &Range<usize>,
    depth: usize,
) -> Result<(Failure, bool), Fault> {
    let mut json = Json::new(record, detail.start, depth);
    let message = match json.kind()? {
        Kind::Object => {
            let found = read_object(record, range, detail, depth)?;
            if !found.0.message.is_empty() {
                return Ok(found);
            }
            String::from_utf8_lossy(&record[detail.clone()]).into_owned()
        }
        Kind::String => {
            let message = json.string()?;
            String::from_utf8_lossy(&unescaped(record, message)).into_owned()
        }
        _ => String::from_utf8_lossy(&record[detail.clone()]).into_owned(),
    };
    Ok((Failure::of("error", None, message, &record[range.clone()]), false))
}

/// The failure that `object` describes, which is the record at `range` or a value in it.
fn read_object(
    record: &[u8],
    range: &Range<usize>,
    object: &Range<usize>,
    depth: usize,
) -> Result<(Failure, bool), Fault> {
    let (mut name, mut code, mut message, mut param, mut nested) = (None, None, None, None, None);
    // `error` is the cause, `message` names what failed.
    let mut details = None;
    let mut read = |object: &Range<usize>, is_inner: bool| -> Result<Option<Range<usize>>, Fault> {
        Json::new(record, object.start, depth).object(|json, member| {
            let non_empty =
                |string| Option::filter(string, |string: &crate::json::Str| string.start < string.end);
            match member {
                b"type" | b"error_type" if is_inner => name = non_empty(json.string_or_skip()?).or(name),
                b"message" | b"error_msg" if is_inner => message = json.string_or_skip()?.or(message),
                b"param" if is_inner => param = json.string_or_skip()?.or(param),
                b"error" if is_inner && json.kind()? == Kind::Object => nested = Some(json.skip()?),
                b"error" if is_inner => details = json.string_or_skip()?.or(details),
                b"code" | b"http_status_code" | b"error_code" if json.kind()? == Kind::Number => {
                    code = Some(Err(json.skip()?));
                }
                b"code" => code = non_empty(json.string_or_skip()?).map(Ok).or(code.take()),
                _ => json.skip().map(drop)?,
            }
            Ok(())
        })?;
        Ok(nested.take())
    };
    // The code may be next to the error instead of inside it.
    read(range, object == range)?;
    if object != range {
        if let Some(nested) = read(object, true)? {
            read(&nested, true)?;
        }
    }
    let text = |string| String::from_utf8_lossy(&unescaped(record, string)).into_owned();
    let code = code.map(|code| match code {
        Ok(string) => text(string),
        Err(number) => String::from_utf8_lossy(&record[number]).into_owned(),
    });
    let name = name.map_or_else(|| "error".to_string(), text);
    let message = details.or(message);
    let mut failure = Failure::of(name, code, message.map(text).unwrap_or_default(), &record[range.clone()]);
    failure.param = param.map(text);
    let inner = python_repr::read(&failure.message);
    let is_nested = inner.is_some();
    if let Some(inner) = inner {
        failure.name = inner.name.unwrap_or(failure.name);
        failure.code = inner.code.or(failure.code);
        failure.param = inner.param.or(failure.param);
        failure.message = inner.message;
    }
    Ok((failure, is_nested))
}
