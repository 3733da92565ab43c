//! Looks over the SDK's shoulder while it sends one request: how far it comes, and what is answered.

use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_sagemakerruntime::config::http::HttpResponse;
use aws_sdk_sagemakerruntime::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_sagemakerruntime::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sagemakerruntime::error::BoxError;
use aws_sdk_sagemakerruntime::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_types::body::SdkBody;
use http::{HeaderMap, StatusCode, header};

/// Seconds that the service cannot mean: it accepts five minutes. AWS's SDKs correct from four on.
const TOLERATED: i64 = 4 * 60;

/// How far the SDK has come with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Building,
    /// It looks for the endpoint and the credentials.
    Resolving,
    Signing,
    Sent,
}

/// What a response says before its body, and its body, of which the SDK gets nothing.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: SdkBody,
    /// It is refused, and the request was signed for a time that is not the service's.
    pub(crate) is_clock_off: bool,
}

/// One request, and what it was answered. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    stage: Stage,
    /// The time that the request is signed for: `20260101T000000Z`.
    signed_at: Option<String>,
    head: Option<Head>,
    /// What the request goes over, once that is known.
    connection: Option<CaptureSmithyConnection>,
}

impl Exchange {
    /// No other request goes over the same connection: over HTTP/2 all would, and nobody may be there.
    pub(crate) fn leave_connection(&self) {
        let connection = self.seen().connection.take();
        if let Some(connection) = connection.and_then(|connection| connection.get()) {
            connection.poison();
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.seen().stage
    }

    /// What was answered, if anything was. Once.
    pub(crate) fn take_head(&self) -> Option<Head> {
        self.seen().head.take()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes the body, and leaves the SDK an empty one.
    fn take(&self, response: &mut HttpResponse) -> Result<Head, BoxError> {
        let body = std::mem::replace(response.body_mut(), SdkBody::empty());
        let mut head = HttpResponse::new(response.status(), body);
        *head.headers_mut() = response.headers().clone();
        let (http::response::Parts { status, headers, .. }, body) = head.try_into_http1x()?.into_parts();
        let is_clock_off = status == StatusCode::FORBIDDEN && self.is_clock_off(&headers).unwrap_or(false);
        Ok(Head { status, headers, body, is_clock_off })
    }

    fn is_clock_off(&self, headers: &HeaderMap) -> Option<bool> {
        let signed_at = self.seen().signed_at.as_deref().and_then(signing_time)?;
        Some((date(headers)? - signed_at).abs() >= TOLERATED)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Exchange {
    fn name(&self) -> &'static str {
        "sagewire"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.seen().stage = Stage::Resolving;
        Ok(())
    }

    fn read_before_signing(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.seen().stage = Stage::Signing;
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut seen = self.seen();
        seen.stage = Stage::Sent;
        seen.connection = config.load::<CaptureSmithyConnection>().cloned();
        seen.signed_at = context.request().headers().get("x-amz-date").map(str::to_owned);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let head = self.take(context.response_mut())?;
        self.seen().head = Some(head);
        Ok(())
    }
}

/// The `Date` of a response, in seconds since 1970.
fn date(headers: &HeaderMap) -> Option<i64> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    Some(DateTime::from_str(text, DateTimeFormat::HttpDate).ok()?.secs())
}

/// `20260101T000000Z`, in seconds since 1970.
fn signing_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}");
    Some(DateTime::from_str(&text, DateTimeFormat::DateTime).ok()?.secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_signature_is_read() {
        assert_eq!(signing_time("20260101T000001Z"), Some(1_767_225_601));
        for text in ["", "T", "2026T00Z", "20260101T0000é", "20261301T000000Z"] {
            assert_eq!(signing_time(text), None, "{text}");
        }
    }
}
