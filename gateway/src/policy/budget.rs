//! Periods of the calendar, and money in whole billionths of a dollar.

use crate::config::Period;

/// Microseconds since the Unix epoch.
pub(super) type Micros = u64;

const DAY: Micros = 86_400_000_000;

/// The period that a time is in, and its neighbours: each is named by the day since the epoch on which it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CalendarPeriod {
    pub(super) previous: i64,
    pub(super) start: i64,
    pub(super) end: i64,
}

impl CalendarPeriod {
    /// The period that `now` is in, in UTC.
    pub(super) fn of(period: Period, now: Micros) -> Self {
        let day = (now / DAY) as i64;
        let (start, length): (i64, fn(i64) -> i64) = match period {
            Period::Day => (day, |_| 1),
            // Day 0 was a Thursday.
            Period::Week => (day - (day + 3).rem_euclid(7), |_| 7),
            Period::Month => (day - day_of_month(day), days_of_month),
            Period::Year => (first_day(civil(day).0, 1), days_of_year),
        };
        let previous = start - length(start - 1);
        Self { previous, start, end: start + length(start) }
    }

    /// The microseconds from `now` until it ends.
    pub(super) fn remaining(self, now: Micros) -> Micros {
        (self.end.max(0) as Micros * DAY).saturating_sub(now)
    }
}

/// Days since the first of the month.
fn day_of_month(day: i64) -> i64 {
    let (year, month) = civil(day);
    day - first_day(year, month)
}

fn days_of_month(day: i64) -> i64 {
    match civil(day) {
        (year, 12) => first_day(year + 1, 1) - first_day(year, 12),
        (year, month) => first_day(year, month + 1) - first_day(year, month),
    }
}

fn days_of_year(day: i64) -> i64 {
    let year = civil(day).0;
    first_day(year + 1, 1) - first_day(year, 1)
}

/// The year and the month (1 to 12) of a day since the epoch. Years are counted from March here, so that the leap day is
/// their last.
fn civil(day: i64) -> (i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day = day.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let month = (5 * (day - (365 * year + year / 4 - year / 100)) + 2) / 153;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month)
}

/// The day since the epoch of the first of a month.
fn first_day(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A time in seconds since the epoch, such as `2026-12-01T15:42:00Z`.
pub(super) fn rfc3339(seconds: u64) -> String {
    let day = (seconds / 86_400) as i64;
    let (year, month) = civil(day);
    let (of_month, of_day) = (day_of_month(day) + 1, seconds % 86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Dollars as whole billionths, so that sums are exact. What is no amount of money is nothing.
pub(super) fn nanodollars(dollars: f64) -> i64 {
    (dollars * 1e9).round().max(0.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Micros {
        day as Micros * DAY + DAY / 2
    }

    fn of(period: Period, day: i64) -> (i64, i64, i64) {
        let CalendarPeriod { previous, start, end } = CalendarPeriod::of(period, at(day));
        (previous, start, end)
    }

    #[test]
    fn periods_start_on_their_first_day() {
        // 2024-02-29 is day 19,782, a Thursday.
        assert_eq!(of(Period::Day, 19_782), (19_781, 19_782, 19_783));
        assert_eq!(of(Period::Week, 19_782), (19_772, 19_779, 19_786));
        assert_eq!(of(Period::Month, 19_782), (19_723, 19_754, 19_783));
        assert_eq!(of(Period::Year, 19_782), (19_358, 19_723, 20_089));
        // 2026-12-01, a Tuesday, and 2027-01-01, a Friday.
        assert_eq!(of(Period::Week, 20_788), (20_780, 20_787, 20_794));
        assert_eq!(of(Period::Month, 20_788), (20_758, 20_788, 20_819));
        assert_eq!(of(Period::Month, 20_819), (20_788, 20_819, 20_850));
        assert_eq!(of(Period::Year, 20_819), (20_454, 20_819, 21_184));
    }

    #[test]
    fn periods_have_no_gaps() {
        for period in [Period::Day, Period::Week, Period::Month, Period::Year] {
            let mut last = CalendarPeriod::of(period, at(400));
            for day in 401..60_000 {
                let next = CalendarPeriod::of(period, at(day));
                if day < last.end {
                    assert_eq!(next, last, "{period:?}, day {day}");
                } else {
                    assert_eq!((next.previous, next.start), (last.start, last.end), "{period:?}, day {day}");
                }
                last = next;
            }
        }
    }

    #[test]
    fn a_period_ends_at_midnight() {
        let month = CalendarPeriod::of(Period::Month, at(20_818));
        assert_eq!(month.remaining(at(20_818)), DAY / 2);
        assert_eq!(month.remaining(at(20_820)), 0);
    }

    #[test]
    fn times_have_the_form_of_rfc_3339() {
        assert_eq!(rfc3339(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(rfc3339(1_709_251_200), "2024-03-01T00:00:00Z");
        assert_eq!(rfc3339(1_798_761_599), "2026-12-31T23:59:59Z");
    }

    #[test]
    fn money_is_exact() {
        assert_eq!(nanodollars(0.2 / 1e6) * 1_000_000, nanodollars(0.2));
        assert_eq!(nanodollars(50.0), 50_000_000_000);
        for nothing in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(nanodollars(nothing), 0);
        }
        assert_eq!(nanodollars(f64::INFINITY), i64::MAX);
    }
}
