//! Writes the error of a response that failed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::formats::http_error::HttpErrorKind;
use crate::json::Object;
use crate::model::Failure;

/// The codes that OpenAI documents. Clients that validate accept no other.
const CODES: [&str; 21] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "data_residency_mismatch",
    "bio_policy",
    "misalignment_policy_violation",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

/// The error that a stream ended with, as JSON.
pub(super) fn error_object(error: &DecodeError) -> String {
    let text = format!("{error}");
    let failure = error.failure();
    let message = failure.map(|failure| &*failure.message).filter(|message| !message.is_empty());
    let mut out = Vec::new();
    Object::write(&mut out, |object| {
        object.string("code", failure.map_or("server_error", code));
        object.string("message", message.unwrap_or(&text));
        if let Some(failure) = failure {
            if let Some(param) = &failure.param {
                object.string("param", param);
            }
            object.string("type", &failure.name);
        }
    });
    String::from_utf8_lossy(&out).into_owned()
}

/// The code of a failure: its own if OpenAI has it, or the nearest one.
fn code(failure: &Failure) -> &'static str {
    let own = failure.code.as_deref().and_then(|code| CODES.into_iter().find(|known| *known == code));
    own.unwrap_or_else(|| match HttpErrorKind::of_failure(failure) {
        HttpErrorKind::RateLimit | HttpErrorKind::NotReady | HttpErrorKind::Billing => "rate_limit_exceeded",
        HttpErrorKind::InvalidRequest | HttpErrorKind::TooLarge => "invalid_prompt",
        _ => "server_error",
    })
}
