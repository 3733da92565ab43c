//! What is said of an answer's headers, and when no answer begins.

use std::error::Error as _;

use sagewire_transport_reqwest::{Error, Metadata, ServiceError};

use crate::fault::{Exit, Fault};
use crate::profile::Profile;

/// Characters of a service's message that are shown.
const MESSAGE_MAX: usize = 1000;

/// What to look at where the container has read a request, and cannot take it.
pub(crate) const CONTAINER: &str = "is it what this container takes? (see --content-type)";

/// What the headers said, under the names that they have on a call that is not streamed.
pub(crate) fn headers(metadata: &Metadata) -> impl Iterator<Item = String> {
    let headers = [
        ("x-amzn-requestid", &metadata.request_id),
        ("content-type", &metadata.content_type),
        ("x-amzn-invoked-production-variant", &metadata.variant),
        ("x-amzn-sagemaker-custom-attributes", &metadata.custom_attributes),
        ("x-amzn-sagemaker-new-session-id", &metadata.new_session_id),
        ("x-amzn-sagemaker-closed-session-id", &metadata.closed_session_id),
    ];
    headers.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}: {value}")))
}

/// No answer has begun.
pub(crate) fn refused(error: &Error) -> Fault {
    refused_by(error, CONTAINER)
}

/// The same; `container` is what to look at where the container could not take the request.
pub(crate) fn refused_by(error: &Error, container: &'static str) -> Fault {
    if let Some(error) = error.service() {
        return Fault::Line(Exit::Failed, service_line(error, container));
    }
    let mut what = error.to_string();
    if let Some(cause) = root_cause(error) {
        what = format!("{what}: {cause}");
    }
    if error.is_credentials() {
        return unsigned(&what, "");
    }
    if error.is_config() || error.is_invalid_request() {
        return Fault::usage(format!("{what} (see --help)"));
    }
    // What no name server knows is not there.
    let hint =
        if error.is_connect() && what.contains("lookup") { "; hint: is the region right?" } else { "" };
    Fault::Line(Exit::Failed, format!("transport: {what}{hint}"))
}

/// There are no credentials to sign with, because of the profile if one is asked for.
pub(crate) fn without_credentials(error: &Error, profile: &Profile) -> Fault {
    match (root_cause(error), profile.from) {
        (Some(cause), Some(_)) => unsigned(&format!("{error}: {cause}"), &format!("; see {profile}")),
        _ => refused(error),
    }
}

fn unsigned(what: &str, place: &str) -> Fault {
    Fault::usage(format!("{what}{place}; hint: {}", credentials_hint(what)))
}

/// What to do about credentials that were not found.
fn credentials_hint(what: &str) -> &'static str {
    // AWS's SDK has no name for these, only sentences.
    if what.contains("SSO") {
        return "aws sso login signs in anew";
    }
    if what.contains("sso-session") {
        return "aws configure sso-session makes one";
    }
    if what.contains("AWS_ACCESS_KEY_ID is not set;") {
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give --profile";
    }
    "sagewire doctor tells what was found, and where"
}

/// A body of one piece that did not come whole ended early, and nothing of it can be used.
pub(crate) fn broken_off(error: &Error, container: &'static str) -> Fault {
    match refused_by(error, container) {
        Fault::Line(_, line) if error.is_broken_off() => Fault::Line(Exit::Truncated, line),
        fault => fault,
    }
}

/// A stream ended early, because its connection did.
pub(crate) fn cut_off(error: &Error, received: u64) -> Fault {
    Fault::Line(Exit::Truncated, format!("transport: byte {received}: truncated: {error}"))
}

/// The error at the end of the chain: those before say only that there was one.
pub(crate) fn root_cause(error: &Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Some(cause.to_string())
}

fn service_line(error: &ServiceError, container: &'static str) -> String {
    let mut line = format!("service: {}", error.status);
    if let Some(name) = &error.error_type {
        line = format!("{line} {name}");
    }
    let body = String::from_utf8_lossy(&error.body);
    let message = error.message.as_deref().unwrap_or(&body).trim();
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_MAX) {
        line = format!("{line}: {}…", &message[..end]);
    } else if !message.is_empty() {
        line = format!("{line}: {message}");
    }
    if let Some(id) = &error.request_id {
        line = format!("{line} (request {id})");
    }
    match hint(error, container) {
        Some(hint) => format!("{line}; hint: {hint}"),
        None => line,
    }
}

/// What to look at first.
fn hint(error: &ServiceError, container: &'static str) -> Option<&'static str> {
    if error.original_message.as_deref().is_some_and(|message| message.contains("accept_eula")) {
        return Some("--custom-attributes accept_eula=true, once the licence is read and accepted");
    }
    // The container has read the request, and cannot take it.
    if let Some(400 | 415 | 422 | 424) = error.original_status_code {
        return Some(container);
    }
    if error.status != 403 {
        return None;
    }
    Some(match error.error_type.as_deref() {
        Some("InvalidSignatureException" | "SignatureDoesNotMatch") => {
            "the secret access key does not belong to the access key's id, or the clock is wrong (see sagewire doctor)"
        }
        Some("UnrecognizedClientException" | "InvalidClientTokenId") => {
            "the access key's id or the session token is unknown there (see sagewire doctor)"
        }
        Some("ExpiredTokenException" | "ExpiredToken") => {
            "the credentials have expired (see sagewire doctor)"
        }
        _ => {
            "the credentials need the permissions sagemaker:InvokeEndpoint and sagemaker:InvokeEndpointWithResponseStream"
        }
    })
}
