//! Media types, data URLs and cache points, which each API writes in its own way.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::formats::conversion::Conversion;
use crate::formats::request_reader::string_field;
use crate::json::Object;
use crate::model::{Json, Offset, Source, Text};

/// The source that a URL names: the bytes themselves if it is a data URL in Base64
/// ([RFC 2397](https://www.rfc-editor.org/rfc/rfc2397)).
///
/// The scheme, the media type and `base64` may have upper-case letters, and white space in the data has no meaning. Parameters
/// of the media type are left out: no API has a place for them.
pub(crate) fn of_url(url: Text<'_>) -> Source<'_> {
    let Some((media_type, len)) = data_url(&url) else { return Source::Url(url.into_cow()) };
    let data = url.cut(url.len() - len..url.len());
    let is_white = |byte: u8| byte.is_ascii_whitespace();
    let data = match data.bytes().any(is_white) {
        true => data.split_ascii_whitespace().collect::<String>().into(),
        false => data,
    };
    let is_lower = !url[media_type.clone()].bytes().any(|byte| byte.is_ascii_uppercase());
    let media_type = match is_lower {
        true => url.cut(media_type).into_cow(),
        false => url[media_type].to_ascii_lowercase().into(),
    };
    Source::Base64 { media_type, data }
}

/// The source that the data of a file of OpenAI's is: a data URL, or Base64 alone, without its type.
pub(crate) fn of_file_data(data: Text<'_>) -> Source<'_> {
    match of_url(data) {
        Source::Url(data) if !data.contains(':') => {
            Source::Base64 { media_type: Cow::Borrowed(""), data: data.into() }
        }
        source => source,
    }
}

/// The range of the media type in a data URL in Base64, and the length of the data.
fn data_url(url: &str) -> Option<(Range<usize>, usize)> {
    const SCHEME: &str = "data:";
    url.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME))?;
    let (header, data) = url[SCHEME.len()..].split_once(',')?;
    let (parameters, encoding) = header.rsplit_once(';')?;
    encoding.trim_ascii().eq_ignore_ascii_case("base64").then_some(())?;
    let essence = parameters.split(';').next().unwrap_or_default().trim_ascii_end();
    Some((SCHEME.len()..SCHEME.len() + essence.len(), data.len()))
}

/// The URL of bytes or of text; `None` for a file that only its provider has.
pub(crate) fn to_url<'s>(source: &'s Source<'_>) -> Option<Cow<'s, str>> {
    Some(match source {
        Source::Base64 { media_type, data } => format!("data:{media_type};base64,{data}").into(),
        Source::Url(url) => Cow::Borrowed(url),
        Source::Text(text) => format!("data:text/plain;base64,{}", STANDARD.encode(&**text)).into(),
        Source::File(_) => return None,
    })
}

/// Decodes text in Base64.
pub(crate) fn decoded(data: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

/// Converse's names of media formats, with their media types.
const FORMATS: [(&str, &str); 15] = [
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
];

/// The media type of a short name of Converse or OpenAI; `family` is `image`, `audio`, `video`.
pub(crate) fn media_type<'a>(family: &str, name: &str) -> Cow<'a, str> {
    match FORMATS.iter().find(|(format, _)| *format == name) {
        Some((_, media_type)) => Cow::Borrowed(media_type),
        None => format!("{family}/{name}").into(),
    }
}

/// The short name of a media type.
pub(crate) fn short_name(media_type: &str) -> &str {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    match FORMATS.iter().find(|(_, known)| *known == essence) {
        Some((format, _)) => format,
        None if essence == "image/jpg" => "jpeg",
        None if essence == "audio/mp3" => "mp3",
        None => essence.split_once('/').map_or(essence, |(_, name)| name),
    }
}

/// A cache point of the target: the field that holds it, its constant field, and the lifetimes that it may have.
pub(crate) struct CachePoint {
    pub(crate) name: &'static str,
    pub(crate) kind: (&'static str, &'static str),
    pub(crate) lifetimes: &'static [&'static str],
}

impl Conversion<'_, '_> {
    /// Writes the cache point of a part or a tool.
    pub(crate) fn cache(
        &self,
        object: &mut Object<'_>,
        cache: &Json<'_>,
        offset: Offset,
        point: &CachePoint,
    ) {
        if self.is_native() {
            object.raw(point.name, cache.as_str());
            return;
        }
        let mut written = object.begin_object(point.name);
        written.string(point.kind.0, point.kind.1);
        if let Some(lifetime) = string_field(cache, "ttl") {
            if point.lifetimes.contains(&&*lifetime) {
                written.string("ttl", &lifetime);
            } else {
                let why = "the target has no cache with this lifetime: its default is used";
                self.report_approximated(offset, "cache", why);
            }
        }
    }
}
