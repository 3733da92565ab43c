//! Stateful sessions of a container.

use std::fmt;
use std::time::{Duration, SystemTime};

use tower_service::Service;

use crate::BoxError;
use crate::chat::call;
use crate::endpoint::{Endpoint, is_name};
use crate::error::Error;
use crate::request::Request;
use crate::response::Response;
use crate::service::Invoke;

/// A stateful session: all requests of it go to the instance that opened it.
///
/// ```
/// use sagewire_transport::{Chat, Error, Invoke, Metadata, Response, Session};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// # let transport = tower::service_fn(|Invoke(request): Invoke| async move {
/// #     let mut metadata = Metadata::default();
/// #     match request.body.as_ref() {
/// #         br#"{"requestType":"NEW_SESSION"}"# => metadata.new_session_id = Some("s1; Expires=2026-01-01T00:00:00Z".into()),
/// #         _ => metadata.closed_session_id = request.endpoint.session_id,
/// #     }
/// #     Ok::<_, Error>(Response::new(metadata, ""))
/// # });
/// let session = Session::open(transport.clone(), "my-llm").await?;
/// let chat = Chat::new(transport, session.endpoint().clone());
/// // chat.stream(…), chat.complete(…)
/// session.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// Dropping it does not close it: the container does, when it expires. The containers with sessions are LMI, and those of vLLM
/// if `SAGEMAKER_ENABLE_STATEFUL_SESSIONS` is true.
/// Source: [Stateful sessions](https://docs.aws.amazon.com/sagemaker/latest/dg/stateful-sessions.html), and the page of that
/// name among the user guides of LMI in [djl-serving](https://github.com/deepjavalibrary/djl-serving).
#[derive(Clone)]
pub struct Session<S> {
    service: S,
    endpoint: Endpoint,
    expires: Option<String>,
}

impl<S> Session<S>
where
    S: Service<Invoke, Response = Response> + Clone,
    S::Error: Into<BoxError>,
{
    /// Opens a session on an endpoint, or on the endpoint of this name.
    ///
    /// # Errors
    ///
    /// [`Error::is_unsupported`]: the container has no sessions, or they are disabled; if it has refused the request, that is
    /// the source. Otherwise those of the transport.
    pub async fn open(service: S, endpoint: impl Into<Endpoint>) -> Result<Self, Error> {
        let endpoint = endpoint.into().session_id("NEW_SESSION");
        let request = Request::new(endpoint.clone(), r#"{"requestType":"NEW_SESSION"}"#);
        let opened = call(&service, Invoke(request)).await.map_err(refused)?;
        let Some(header) = opened.metadata.new_session_id else {
            return Err(Error::unsupported("stateful sessions: the container opened none"));
        };
        let (id, rest) = header.split_once(';').unwrap_or((&header, ""));
        if !is_name(id.trim()) {
            return Err(Error::other(format!("the container opened a session with the invalid id {id:?}")));
        }
        let expires = rest.trim().strip_prefix("Expires=").map(Into::into);
        Ok(Self { service, endpoint: endpoint.session_id(id.trim()), expires })
    }

    /// Closes the session.
    ///
    /// # Errors
    ///
    /// Those of the transport, for example because the session has expired; and [`Error::is_other`] if the container does not
    /// confirm that it is closed.
    pub async fn close(&self) -> Result<(), Error> {
        let request = Request::new(self.endpoint.clone(), r#"{"requestType":"CLOSE"}"#);
        let closed = call(&self.service, Invoke(request)).await?;
        match closed.metadata.closed_session_id {
            Some(_) => Ok(()),
            None => Err(Error::other("the container did not confirm that the session is closed")),
        }
    }
}

impl<S> Session<S> {
    /// The endpoint, with the ID of the session.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The ID of the session.
    pub fn id(&self) -> &str {
        self.endpoint.session_id.as_deref().unwrap_or_default()
    }

    /// When the session expires, as the container sent it: `2026-01-01T00:00:00Z`.
    pub fn expires(&self) -> Option<&str> {
        self.expires.as_deref()
    }

    /// When the session expires; `None` if the container did not send it, or not in this format.
    pub fn expiry(&self) -> Option<SystemTime> {
        parse_time(self.expires.as_deref()?)
    }
}

impl<S> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Session");
        debug.field("endpoint", &self.endpoint).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// The error of opening a session: a container without sessions refuses the request.
fn refused(error: Error) -> Error {
    let status = error.service().and_then(|service| service.original_status_code);
    match status {
        Some(status @ 400..=499) => {
            let message = error.to_http_error().message;
            let what = format!("stateful sessions: the container responded with {status}: {message}");
            Error::unsupported(what).because(error)
        }
        _ => error,
    }
}

/// Parses `2026-01-01T00:00:00Z`, with or without a fraction of the second.
fn parse_time(text: &str) -> Option<SystemTime> {
    let (date, time) = text.trim().strip_suffix('Z')?.split_once('T')?;
    let time = time.split('.').next()?;
    let numbers = |text: &str, separator| -> Option<[u64; 3]> {
        let is_digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Option<Vec<u64>> =
            text.split(separator).map(|part| Some(part).filter(is_digits)?.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    let is_valid = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_valid {
        return None;
    }
    // Years begin in March, so that the leap day is the last one: https://howardhinnant.github.io/date_algorithms.html
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tower::service_fn;

    use super::*;
    use crate::{Metadata, ServiceError};

    #[test]
    fn times_are_parsed() {
        let seconds = |text| {
            let time = parse_time(text)?;
            Some(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
        };
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:34:56Z", Some(951_827_696)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600)),
            ("2026-12-31T23:59:59.123456Z", Some(1_798_761_599)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("2026-01-01T00:00:00", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01Z", None),
            ("+026-01-01T00:00:00Z", None),
            ("99999999999999999999-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn what_a_container_returns_is_checked() {
        let metadata = |new: Option<&str>, closed: Option<&str>| {
            let (new_session_id, closed_session_id) = (new.map(Into::into), closed.map(Into::into));
            Metadata { new_session_id, closed_session_id, ..Metadata::default() }
        };
        let open = async |new: Option<&'static str>, closed: Option<&'static str>| {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&seen);
            let service = service_fn(move |Invoke(request): Invoke| {
                kept.lock().unwrap().push((request.endpoint.session_id, request.body));
                let metadata = metadata(new, closed);
                async move { Ok::<_, Error>(Response::new(metadata, "")) }
            });
            let session = Session::open(service, "e").await?;
            session.close().await?;
            let seen = seen.lock().unwrap().clone();
            Ok::<_, Error>((
                session.id().to_owned(),
                session.expires().map(String::from),
                session.expiry(),
                seen,
            ))
        };
        let (id, expires, expiry, seen) =
            open(Some("s-1; Expires=1970-01-01T00:00:09Z"), Some("s-1")).await.unwrap();
        assert_eq!((&*id, expires.as_deref()), ("s-1", Some("1970-01-01T00:00:09Z")));
        assert_eq!(expiry, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(9)));
        assert_eq!(seen[0], (Some("NEW_SESSION".into()), r#"{"requestType":"NEW_SESSION"}"#.into()));
        assert_eq!(seen[1], (Some("s-1".into()), r#"{"requestType":"CLOSE"}"#.into()));
        let (id, expires, expiry, _) = open(Some("s-1"), Some("s-1")).await.unwrap();
        assert_eq!((&*id, expires, expiry), ("s-1", None, None));

        let error = open(None, None).await.unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("the container opened none"), "{error}");
        let error = open(Some("a b; Expires=x"), None).await.unwrap_err();
        assert!(error.is_other() && error.to_string().contains("invalid id \"a b\""), "{error}");
        let error = open(Some("s"), None).await.unwrap_err();
        assert!(error.is_other() && error.to_string().contains("did not confirm"), "{error}");
    }

    #[tokio::test]
    async fn a_container_without_sessions_is_a_clear_error() {
        for (status, body, found) in [
            (
                424,
                r#"{"OriginalStatusCode":400,"OriginalMessage":"{\"detail\":\"stateful sessions not enabled\"}"}"#,
                "not supported: stateful sessions: the container responded with 400: stateful sessions not enabled",
            ),
            (
                424,
                r#"{"OriginalStatusCode":503,"OriginalMessage":"loading"}"#,
                "the service responded with 424",
            ),
            (
                400,
                r#"{"Message":"Endpoint e not found."}"#,
                "the service responded with 400: Endpoint e not found.",
            ),
        ] {
            let status = http::StatusCode::from_u16(status).unwrap();
            let service = service_fn(move |Invoke(_): Invoke| async move {
                Err::<Response, Error>(ServiceError::new(status, &Default::default(), body.into()).into())
            });
            let error = Session::open(service, "e").await.unwrap_err();
            assert!(error.to_string().starts_with(found), "{error}");
            assert!(!error.is_unsupported() || std::error::Error::source(&error).is_some());
        }
    }
}
