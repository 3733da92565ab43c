//! Embeddings: converts an OpenAI request to the request of a container, and the container's response to an OpenAI response.
//!
//! ```
//! use sagewire_codec::model::ResponseOptions;
//! use sagewire_codec::embeddings::{Reading, Request, RequestShape, Response};
//!
//! let request = Request::read(br#"{"model": "m", "input": ["a", "b"]}"#)?;
//! let body = request.write(RequestShape::Inputs)?;
//! assert_eq!(body.media_type, "application/json");
//! assert_eq!(body.bytes, br#"{"inputs":["a","b"]}"#);
//!
//! let response = Response::read(b"[[0.5, -1.0], [0.25, 2.0]]", Reading::of(&request))?;
//! let (openai, losses) = response.write(request.encoding(), &ResponseOptions::new().model("m"))?;
//! assert_eq!(
//!     String::from_utf8_lossy(&openai),
//!     r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5, -1.0]},{"object":"embedding","index":1,"embedding":[0.25, 2.0]}],"model":"m","usage":{"prompt_tokens":0,"total_tokens":0}}"#
//! );
//! assert_eq!(losses.as_slice()[0].path, "/usage"); // OpenAI requires counts, and the container gives none
//! # Ok::<(), sagewire_codec::ConvertError>(())
//! ```

mod request;
mod response;
mod vector;

pub use request::{Body, Input, Request, RequestShape};
pub use response::{Reading, Response};
pub use vector::{Encoding, Pooling, Vector};

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::convert_error::ConvertError;
use crate::json::{Fault, Json, unescaped};
use crate::model::{Loss, Outcome};

/// How deep a document may be nested: what serde_json takes.
const DEPTH: usize = 127;

fn malformed(what: &'static str, fault: Fault) -> ConvertError {
    ConvertError::malformed(what, fault)
}

/// A body as text.
fn text<'a>(body: &'a [u8], what: &'static str) -> Result<&'a str, ConvertError> {
    core::str::from_utf8(body)
        .map_err(|error| malformed(what, Fault { at: error.valid_up_to(), why: "it is not UTF-8" }))
}

/// The string at a range of a body that was checked; `None` for any other value.
fn string<'a>(body: &'a [u8], range: &Range<usize>) -> Result<Option<Cow<'a, str>>, Fault> {
    let mut json = Json::new(body, range.start, DEPTH);
    let Some(string) = json.string_or_skip()? else { return Ok(None) };
    Ok(Some(match unescaped(body, string) {
        Cow::Borrowed(bytes) => crate::utf8::lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }))
}

/// Removes all but the last field of each name.
fn last_of_each<'a, T>(members: Vec<(Cow<'a, str>, T)>) -> Vec<(Cow<'a, str>, T)> {
    let mut seen = BTreeSet::new();
    let members = members.into_iter().rev();
    let mut last: Vec<_> = members.filter(|(name, _)| seen.insert(name.clone())).collect();
    last.reverse();
    last
}

/// The loss of a field that the target does not have.
fn dropped(name: &str, why: &'static str) -> Loss {
    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    Loss { path: Cow::Owned(pointer), name: None, outcome: Outcome::Dropped, reason: Cow::Borrowed(why) }
}

/// Fails if anything but white space follows `end`.
fn end(body: &[u8], end: usize) -> Result<(), Fault> {
    let rest = &body[end..];
    if rest.trim_ascii().is_empty() {
        Ok(())
    } else {
        Err(Fault { at: end, why: "something behind its end" })
    }
}
