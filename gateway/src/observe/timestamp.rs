//! Times in logs.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_TO_EPOCH: u64 = 719_468;
/// Days of the 400 years after which the calendar repeats.
const DAYS_OF_ERA: u64 = 146_097;

/// A time as RFC 3339 in UTC, with milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timestamp(pub(super) SystemTime);

/// Year, month and day, and hour, minute and second, in UTC.
pub(crate) fn utc(time: SystemTime) -> ([u64; 3], [u64; 3]) {
    let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (time.as_secs() / DAY, time.as_secs() % DAY);
    (date(days).into(), [seconds / 3600, seconds / 60 % 60, seconds % 60])
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([year, month, day], [hour, minute, second]) = utc(self.0);
        let milliseconds = self.0.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
    }
}

/// Year, month and day, of the days since 1970. Years are counted from March, so that the day of a leap year is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_EPOCH;
    let (era, day_of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
