//! The requests that containers receive and the responses that they return.

use std::fmt::{self, Write};

use super::json::Json;

/// 2026-01-01T00:00:00Z: responses do not depend on the clock.
pub(super) const CREATED: u64 = 1_767_225_600;

pub(super) const JSON: &str = "application/json";
pub(super) const JSON_LINES: &str = "application/jsonlines";
pub(super) const EVENTS: &str = "text/event-stream";

/// The request that the service passes to the container.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) custom_attributes: &'a str,
    pub(crate) body: &'a [u8],
}

impl Request<'_> {
    pub(super) fn is_of_type(&self, content_type: &str) -> bool {
        let essence = self.content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(content_type)
    }
}

/// A response with status 200.
#[derive(Debug)]
pub(crate) struct OkResponse {
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl OkResponse {
    pub(super) fn json(body: &Json) -> Self {
        Self { content_type: JSON, body: body.to_string() }
    }
}

/// The container's own error.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl ErrorResponse {
    pub(super) fn json(status: u16, body: &Json) -> Self {
        Self { status, body: body.to_string() }
    }
}

/// Appends a server-sent event.
pub(super) fn push_event(name: Option<&str>, data: impl fmt::Display, out: &mut String) {
    // Writing to a string does not fail.
    if let Some(name) = name {
        let _ = writeln!(out, "event: {name}");
    }
    let _ = write!(out, "data: {data}\n\n");
}
