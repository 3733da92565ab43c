//! The shapes that all of TGI's APIs share.

use super::super::http::{EVENTS, OkResponse};
use super::super::json::{Json, object};

/// The body of an error that validation reports.
pub(super) fn invalid(message: &str) -> Json {
    object! { "error": format!("Input validation error: {message}"), "error_type": "validation" }
}

pub(super) fn events(body: String) -> OkResponse {
    OkResponse { content_type: EVENTS, body }
}
