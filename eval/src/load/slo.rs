//! Service level objectives as text: `ttft=500ms,itl=50ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::results::Slo;

/// Why a text has no objectives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSlo(String);

impl fmt::Display for InvalidSlo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidSlo {}

/// Reads objectives such as `ttft=500ms,itl=50ms,tpot=0.1s,e2el=30s`.
impl FromStr for Slo {
    type Err = InvalidSlo;

    fn from_str(text: &str) -> Result<Self, InvalidSlo> {
        let mut slo = Self::default();
        for objective in text.split(',') {
            let invalid = |reason: &str| InvalidSlo(format!("{objective:?}: {reason}"));
            let (name, limit) = objective
                .trim()
                .split_once('=')
                .ok_or_else(|| invalid("not METRIC=DURATION, as in ttft=500ms"))?;
            let field = match name.trim() {
                "ttft" => &mut slo.ttft,
                "tpot" => &mut slo.tpot,
                "itl" => &mut slo.itl,
                "e2el" => &mut slo.e2el,
                _ => return Err(invalid("not a metric: ttft, tpot, itl or e2el")),
            };
            let limit = parse_duration(limit.trim())
                .ok_or_else(|| invalid("not a duration above 0, as 500ms or 2s"))?;
            if field.replace(limit.as_secs_f64() * 1e3).is_some() {
                return Err(invalid("the metric has an objective already"));
            }
        }
        Ok(slo)
    }
}

/// Reads a duration above 0: `500ms`, `2s`, `1.5m`. A number alone is no duration.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, factor) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1e-3)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1.0)
    } else {
        (text.strip_suffix('m')?, 60.0)
    };
    let seconds = number.trim_end().parse::<f64>().ok()? * factor;
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_in_milliseconds() {
        let slo: Slo = "ttft=500ms, itl=0.05s,e2el=1m".parse().unwrap();
        assert_eq!(slo, Slo { ttft: Some(500.0), tpot: None, itl: Some(50.0), e2el: Some(60_000.0) });
    }

    #[test]
    fn invalid_objectives_are_named() {
        for (text, reason) in [
            ("", "not METRIC=DURATION"),
            ("ttft", "not METRIC=DURATION"),
            ("ttft=500ms,", "not METRIC=DURATION"),
            ("latency=1s", "not a metric"),
            ("ttft=500", "not a duration"),
            ("ttft=-1s", "not a duration"),
            ("ttft=0s", "not a duration"),
            ("ttft=infs", "not a duration"),
            ("ttft=1s,ttft=2s", "has an objective already"),
        ] {
            let error = text.parse::<Slo>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
