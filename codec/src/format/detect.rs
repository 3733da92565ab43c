//! Tells the format of a response by the members of its records.

use super::Format;
use crate::json::{Fault, Json};

/// The format of the object that comes next, if its members tell.
pub(super) fn format(mut json: Json<'_>) -> Result<Option<Format>, Fault> {
    let mut found = None;
    json.object(|json, name| {
        let format = match name {
            b"choices" => Some(Format::OpenAi),
            _ => None,
        };
        found = found.or(format);
        json.skip().map(drop)
    })?;
    Ok(found)
}
