//! What signed requests and bearer tokens have in common: credentials with their scope, and comparison in constant time.

use http::HeaderMap;
use subtle::ConstantTimeEq;

use crate::error::SignatureError;
use crate::signing::{Scope, TERMINATOR};

/// A credential: `KEY/DAY/REGION/SERVICE/aws4_request`.
#[derive(Clone)]
pub(crate) struct Credential<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
}

impl<'a> Credential<'a> {
    /// Parses a credential that is to be valid for one of `services` on the day of `date`, which has been parsed before.
    pub(crate) fn parse(text: &'a str, date: &str, services: &[&str]) -> Result<Self, SignatureError> {
        let fields: Vec<&str> = text.split('/').collect();
        let [access_key_id, day, region, service, terminator] = fields[..] else {
            return Err(SignatureError::incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term.",
            ));
        };
        let message = if !services.contains(&service) {
            format!("Credential should be scoped to correct service: '{}'.", services.join("' or '"))
        } else if !is_region(region) {
            "Credential should be scoped to a valid region.".into()
        } else if terminator != TERMINATOR {
            format!("Credential should be scoped with a valid terminator: '{TERMINATOR}'.")
        } else if !date.starts_with(day) || day.len() != 8 {
            format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: {date}"
            )
        } else {
            return Ok(Self { access_key_id, region, service });
        };
        Err(SignatureError::invalid(message))
    }

    pub(crate) fn scope(&self, date: &'a str) -> Scope<'a> {
        Scope { date, region: self.region, service: self.service }
    }
}

/// Letters, digits and hyphens, so that regions can be shown and be parts of host names.
fn is_region(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A header that may occur once.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(SignatureError::incomplete(format!("'{name}' occurs more than once.")));
    }
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| SignatureError::incomplete(format!("'{name}' is not UTF-8.")))
}

/// Compares session tokens in constant time. Their presence is no secret.
pub(crate) fn check_session_token(expected: Option<&str>, found: Option<&str>) -> Result<(), SignatureError> {
    let is_equal = match (expected, found) {
        (None, None) => true,
        (Some(expected), Some(found)) => expected.as_bytes().ct_eq(found.as_bytes()).into(),
        _ => false,
    };
    if is_equal { Ok(()) } else { Err(SignatureError::unknown_credentials()) }
}

/// Compares signatures in constant time.
pub(crate) fn check_signature(expected: &str, found: &str) -> Result<(), SignatureError> {
    if expected.as_bytes().ct_eq(found.as_bytes()).into() { Ok(()) } else { Err(SignatureError::mismatch()) }
}
