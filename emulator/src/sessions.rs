//! Stateful sessions, as vLLM's containers and LMI have them.
//!
//! Sources: `sagemaker/sessions` of
//! AWS's package model-hosting-container-standards, which vLLM uses, and
//! LMI's user guide on stateful sessions in [djl-serving](https://github.com/deepjavalibrary/djl-serving).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use serde_json::Value;

/// Most sessions that are open at the same time.
const OPEN_MAX: usize = 4096;
const DISABLED: &str = "Invalid payload. stateful sessions not enabled";

/// The sessions of all endpoints.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// `None`: the containers have no sessions.
    lifetime: Option<Duration>,
    /// By endpoint and ID: when they expire.
    open: Mutex<BTreeMap<(String, String), SystemTime>>,
    count: AtomicU64,
}

/// What a container does with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is no request for a session: the model responds.
    Model,
    /// A session was opened: its ID, `; Expires=` and a time.
    Opened {
        id: String,
        header: String,
    },
    Closed {
        id: String,
    },
    /// The status and the message of an error.
    Refused(u16, String),
}

impl Sessions {
    pub(crate) fn new(lifetime: Option<Duration>) -> Self {
        Self { lifetime, open: Mutex::default(), count: AtomicU64::new(0) }
    }

    /// Handles a request with the ID of a session, if it has one.
    pub(crate) fn handle(&self, endpoint: &str, id: Option<&str>, body: &[u8], now: SystemTime) -> Outcome {
        let id = id.filter(|id| *id != "NEW_SESSION");
        let kind = match request_type(body) {
            Ok(kind) => kind,
            Err(message) => return Outcome::Refused(400, message),
        };
        let Some(lifetime) = self.lifetime else {
            return match (kind, id) {
                (None, None) => Outcome::Model,
                (Some(_), None) => Outcome::Refused(400, DISABLED.into()),
                (_, Some(_)) => Outcome::Refused(400, format!("Bad request: {DISABLED}")),
            };
        };
        let mut open = self.open();
        open.retain(|_, expiry| now < *expiry);
        let key = |id: &str| (endpoint.to_owned(), id.to_owned());
        match (kind, id) {
            (_, Some(id)) if !open.contains_key(&key(id)) => {
                Outcome::Refused(400, format!("Bad request: session not found: {id}"))
            }
            (None, _) => Outcome::Model,
            (Some(Kind::Open), _) if open.len() >= OPEN_MAX => {
                Outcome::Refused(424, "Failed to create session: too many sessions".into())
            }
            (Some(Kind::Open), _) => {
                let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
                let (id, expiry) = (format!("00000000-0000-4000-9000-{count:012x}"), now + lifetime);
                let header = format!("{id}; Expires={}", iso_8601(expiry));
                open.insert(key(&id), expiry);
                Outcome::Opened { id, header }
            }
            (Some(Kind::Close), Some(id)) => {
                open.remove(&key(id));
                Outcome::Closed { id: id.into() }
            }
            (Some(Kind::Close), None) => {
                Outcome::Refused(424, "Failed to close session: invalid session_id: None".into())
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<(String, String), SystemTime>> {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
}

/// What the body requests, which then has no other field.
fn request_type(body: &[u8]) -> Result<Option<Kind>, String> {
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return Ok(None) };
    let Some(kind) = body.get("requestType") else { return Ok(None) };
    match kind.as_str() {
        _ if body.len() > 1 => Err("Extra inputs are not permitted".into()),
        Some("NEW_SESSION") => Ok(Some(Kind::Open)),
        Some("CLOSE") => Ok(Some(Kind::Close)),
        _ => Err("requestType: Input should be 'NEW_SESSION' or 'CLOSE'".into()),
    }
}

/// `2026-01-01T00:00:00Z`
fn iso_8601(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, seconds) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that the leap day is the last one: https://howardhinnant.github.io/date_algorithms.html
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &[u8] = br#"{"requestType":"NEW_SESSION"}"#;
    const CLOSE: &[u8] = br#"{"requestType":"CLOSE"}"#;
    const CHAT: &[u8] = br#"{"messages":[]}"#;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_written() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(iso_8601(at(seconds)), text);
        }
    }

    #[test]
    fn a_session_is_open_until_it_is_closed_or_expires() {
        let sessions = Sessions::new(Some(Duration::from_secs(60)));
        let open = || match sessions.handle("e", Some("NEW_SESSION"), OPEN, at(0)) {
            Outcome::Opened { id, header } => {
                assert_eq!(header, format!("{id}; Expires=1970-01-01T00:01:00Z"));
                id
            }
            outcome => panic!("{outcome:?}"),
        };
        let (one, other) = (open(), open());
        assert_eq!(sessions.handle("e", Some(&one), CHAT, at(59)), Outcome::Model);
        let unknown = |id: &str| Outcome::Refused(400, format!("Bad request: session not found: {id}"));
        assert_eq!(sessions.handle("another", Some(&one), CHAT, at(59)), unknown(&one));
        assert_eq!(sessions.handle("e", Some(&one), CLOSE, at(59)), Outcome::Closed { id: one.clone() });
        assert_eq!(sessions.handle("e", Some(&one), CHAT, at(59)), unknown(&one));
        assert_eq!(sessions.handle("e", Some(&other), CHAT, at(60)), unknown(&other));
        assert!(matches!(sessions.handle("e", None, CLOSE, at(60)), Outcome::Refused(424, _)));
        let extra = br#"{"requestType":"CLOSE","x":1}"#;
        assert!(matches!(sessions.handle("e", None, extra, at(60)), Outcome::Refused(400, _)));
        let other = br#"{"requestType":"OPEN"}"#;
        assert!(matches!(sessions.handle("e", None, other, at(60)), Outcome::Refused(400, _)));
        for body in [CHAT, b"", b"[]"] {
            assert_eq!(sessions.handle("e", None, body, at(60)), Outcome::Model);
        }
    }

    #[test]
    fn there_is_a_limit_and_a_switch() {
        let sessions = Sessions::new(Some(Duration::from_secs(60)));
        let open = || sessions.handle("e", None, OPEN, at(0));
        assert!((0..OPEN_MAX).all(|_| matches!(open(), Outcome::Opened { .. })));
        assert!(matches!(open(), Outcome::Refused(424, _)));
        let off = Sessions::new(None);
        assert_eq!(off.handle("e", None, CHAT, at(0)), Outcome::Model);
        for (id, body) in [(None, OPEN), (Some("s"), CHAT)] {
            let Outcome::Refused(400, message) = off.handle("e", id, body, at(0)) else { panic!("{id:?}") };
            assert!(message.ends_with("stateful sessions not enabled"), "{message}");
        }
    }
}
