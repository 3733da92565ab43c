//! The clock for signatures.
//!
//! The service refuses signatures with a time that is more than five minutes off. If the clock of this machine is wrong, the
//! error is computed from the `Date` of the response.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use sagewire_transport::ServiceError;

/// The clock skew, in seconds, from which on the clock is corrected. The service accepts five minutes; AWS SDKs correct from four
/// on.
const MAX_SKEW: i64 = 4 * 60;
/// The largest correction, in seconds. Anyone who can respond once could otherwise obtain signatures of any date.
const MAX_CORRECTION: i64 = 24 * 60 * 60;
/// The error types of the service for a signature with a wrong time.
const ERROR_TYPES: [&str; 6] = [
    "RequestTimeTooSkewed",
    "RequestExpired",
    "RequestInTheFuture",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "AuthFailure",
];

/// The clock of this machine, with the number of seconds by which that of the service is ahead.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicI64);

impl Clock {
    pub(crate) fn offset(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn now(&self) -> SystemTime {
        shift(SystemTime::now(), self.offset())
    }

    /// Corrects the clock by a response to a request that was signed with the offset `used`. Returns whether that changed it.
    pub(crate) fn correct(&self, used: i64, headers: &HeaderMap) -> bool {
        self.correct_at(SystemTime::now(), used, headers)
    }

    fn correct_at(&self, now: SystemTime, used: i64, headers: &HeaderMap) -> bool {
        let date =
            headers.get(header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(date) = date else { return false };
        let ahead = match date.duration_since(now) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        };
        if (ahead - used).abs() < MAX_SKEW || ahead.abs() > MAX_CORRECTION {
            return false;
        }
        self.0.store(ahead, Ordering::Relaxed);
        true
    }
}

/// Whether the time of the signature may be the cause of this error.
pub(crate) fn may_be_skew(error: &ServiceError) -> bool {
    error.status == 403 && error.error_type.as_deref().is_some_and(|name| ERROR_TYPES.contains(&name))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}

fn shift(time: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    shifted.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;

    #[test]
    fn the_clock_is_corrected_once() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (date, error, used, corrected) in [
            ("Sun, 06 Nov 1994 09:49:37 GMT", "InvalidSignatureException", 0, Some(3600)),
            ("Sun, 06 Nov 1994 07:49:37 GMT", "RequestExpired", 0, Some(-3600)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", "InvalidSignatureException", 0, Some(86_400)),
            ("Mon, 07 Nov 1994 08:49:38 GMT", "InvalidSignatureException", 0, None),
            ("Sat, 05 Nov 1994 08:49:36 GMT", "RequestExpired", 0, None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", "InvalidSignatureException", 0, None),
            ("Sun, 06 Nov 1994 09:49:37 GMT", "InvalidSignatureException", 3600, None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "InvalidSignatureException", 3600, Some(0)),
            ("Sun, 06 Nov 1994 09:49:37 GMT", "AccessDeniedException", 0, None),
            ("soon", "RequestExpired", 0, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::DATE, HeaderValue::from_static(date));
            headers.insert("x-amzn-errortype", HeaderValue::from_static(error));
            let error = ServiceError::new(StatusCode::FORBIDDEN, &headers, Default::default());
            let clock = Clock(AtomicI64::new(used));
            let is_corrected = may_be_skew(&error) && clock.correct_at(now, used, &headers);
            assert_eq!(is_corrected, corrected.is_some(), "{date} {used}");
            assert_eq!(clock.offset(), corrected.unwrap_or(used), "{date} {used}");
        }
    }
}
