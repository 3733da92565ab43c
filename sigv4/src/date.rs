//! Dates of signatures, and the clocks that they are compared with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::SignatureError;

/// The largest clock skew that AWS accepts.
pub(crate) const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// Parses `YYYYMMDDTHHMMSSZ`, the only form that SDKs send. A text that is parsed has 16 ASCII characters.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = &bytes[from..to];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    // Days since the epoch, with years that start in March, so that leap days are last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    UNIX_EPOCH.checked_add(Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// Compares the date of a signature with the server's clock.
pub(crate) fn check_clock(date: &str, time: SystemTime, now: SystemTime) -> Result<(), SignatureError> {
    let message = if now.duration_since(time).is_ok_and(|late| late > SKEW_MAX) {
        format!("Signature expired: {date} is more than 5 min. earlier than the time of the service.")
    } else if is_early(time, now) {
        format!("Signature not yet current: {date} is more than 5 min. later than the time of the service.")
    } else {
        return Ok(());
    };
    Err(SignatureError::invalid(message))
}

pub(crate) fn is_early(time: SystemTime, now: SystemTime) -> bool {
    time.duration_since(now).is_ok_and(|early| early > SKEW_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let seconds = |text| parse(text).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("19700101T000000Z"), Some(0));
        assert_eq!(seconds("20000229T235959Z"), Some(951_868_799));
        assert_eq!(seconds("20000301T000000Z"), Some(951_868_800));
        assert_eq!(seconds("20150830T123600Z"), Some(1_440_938_160));
        for bad in [
            "",
            "2015-08-30T12:36Z",
            "20151330T123600Z",
            "20150830T12360Z",
            "20150830X123600Z",
            "é0150830T123600Z",
            "20150830T1236é0Z",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
