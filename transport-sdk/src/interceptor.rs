//! Observes the SDK while it sends one request, and takes the response from it.

use std::fmt;
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

/// The clock skew, in seconds, from which on a request is sent again. The service accepts five minutes; AWS SDKs correct from
/// four on.
const MAX_SKEW: i64 = 4 * 60;

/// The stage of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Building,
    /// The SDK resolves the endpoint and the credentials.
    Resolving,
    Signing,
    Sent,
}

/// A response. The SDK gets an empty body.
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: SdkBody,
    /// The values of the request that are secrets: its session token, and its signature.
    pub(crate) secrets: Vec<String>,
    /// The service refused the request, and its time differs from that of the signature.
    pub(crate) is_clock_off: bool,
}

/// The interceptor of one request. Clones share its state.
#[derive(Clone, Default)]
pub(crate) struct Interceptor {
    state: Arc<Mutex<State>>,
}

/// Without its state, which has secrets.
impl fmt::Debug for Interceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interceptor").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    stage: Stage,
    /// The time of the signature: `20260101T000000Z`.
    signed_at: Option<String>,
    /// The session token and the signature of the request.
    secrets: Vec<String>,
    head: Option<Head>,
    /// The connection, once it is known.
    connection: Option<CaptureSmithyConnection>,
}

impl Interceptor {
    /// Sends no other request over this connection. Over HTTP/2 all requests would use it, and it may be dead.
    pub(crate) fn close_connection(&self) {
        let connection = self.state().connection.take();
        if let Some(connection) = connection.and_then(|connection| connection.get()) {
            connection.poison();
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.state().stage
    }

    /// Takes the response, if there is one.
    pub(crate) fn take_head(&self) -> Option<Head> {
        self.state().head.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes the body, and leaves an empty one to the SDK.
    fn take(&self, response: &mut HttpResponse) -> Result<Head, BoxError> {
        let body = std::mem::replace(response.body_mut(), SdkBody::empty());
        let mut head = HttpResponse::new(response.status(), body);
        *head.headers_mut() = response.headers().clone();
        let (http::response::Parts { status, headers, .. }, body) = head.try_into_http1x()?.into_parts();
        let is_clock_off = status == StatusCode::FORBIDDEN && self.is_clock_off(&headers).unwrap_or(false);
        let secrets = std::mem::take(&mut self.state().secrets);
        Ok(Head { status, headers, body, secrets, is_clock_off })
    }

    fn is_clock_off(&self, headers: &HeaderMap) -> Option<bool> {
        let signed_at = self.state().signed_at.as_deref().and_then(signing_time)?;
        Some((date(headers)? - signed_at).abs() >= MAX_SKEW)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Interceptor {
    fn name(&self) -> &'static str {
        "sagewire"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.state().stage = Stage::Resolving;
        Ok(())
    }

    fn read_before_signing(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.state().stage = Stage::Signing;
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut state = self.state();
        state.stage = Stage::Sent;
        state.connection = config.load::<CaptureSmithyConnection>().cloned();
        let headers = context.request().headers();
        state.signed_at = headers.get("x-amz-date").map(str::to_owned);
        let signature = headers.get("authorization").and_then(|value| value.rsplit('=').next());
        let secrets = [headers.get("x-amz-security-token"), signature];
        state.secrets = secrets.into_iter().flatten().map(str::to_owned).collect();
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let head = self.take(context.response_mut())?;
        self.state().head = Some(head);
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
    fn signing_times_are_parsed() {
        assert_eq!(signing_time("20260101T000001Z"), Some(1_767_225_601));
        for text in ["", "T", "2026T00Z", "20260101T0000é", "20261301T000000Z"] {
            assert_eq!(signing_time(text), None, "{text}");
        }
    }
}
