//! Sums up the measurements of a level. Its memory does not grow with the number of requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::call::{Ending, Measurement};
use super::results::{Endings, Latency, Level, Schedule, Slo};

/// Significant digits of percentiles.
const DIGITS: u8 = 3;
/// A longer duration counts as this one.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The growth of the buckets of a histogram that is shown.
const BUCKET_GROWTH: f64 = 1.1;
/// A request that is sent later than this after its time is late.
const LATE_AFTER: Duration = Duration::from_millis(10);
/// Names of errors that are counted one by one. They come from the service.
const ERROR_NAMES_MAX: usize = 64;
/// The name of all further errors.
const OTHER_ERRORS: &str = "other";

/// Sums up measurements.
#[derive(Debug)]
pub(super) struct Recorder {
    slo: Slo,
    ttft: Distribution,
    tpot: Distribution,
    itl: Distribution,
    e2el: Distribution,
    good: u64,
    level: Level,
}

impl Recorder {
    pub(super) fn new(slo: Slo, level: Level) -> Self {
        let [ttft, tpot, itl, e2el] = std::array::from_fn(|_| Distribution::default());
        Self { slo, ttft, tpot, itl, e2el, good: 0, level }
    }

    /// Adds a request that has ended.
    pub(super) fn add(&mut self, measurement: &Measurement) {
        let level = &mut self.level;
        level.requests += 1;
        level.retried += u64::from(measurement.attempts > 1);
        level.throttles += u64::from(measurement.throttles);
        *count(&mut level.endings, measurement.ending) += 1;
        if let Some(error) = &measurement.error {
            let is_known = level.errors.len() < ERROR_NAMES_MAX || level.errors.contains_key(error);
            let name = if is_known { error } else { OTHER_ERRORS };
            *level.errors.entry(name.into()).or_default() += 1;
        }
        if measurement.ending == Ending::Complete {
            self.complete(measurement);
        }
    }

    /// The delay with which a request was sent.
    pub(super) fn delayed(&mut self, delay: Duration) {
        let schedule = self.level.schedule.get_or_insert_with(Schedule::default);
        schedule.late += u64::from(delay > LATE_AFTER);
        schedule.max_delay_ms = schedule.max_delay_ms.max(delay.as_secs_f64() * 1e3);
    }

    fn complete(&mut self, measurement: &Measurement) {
        let (Some(first), Some(last)) = (measurement.first_output, measurement.last_output) else {
            self.level.empty += 1;
            return;
        };
        let counted = measurement.usage.and_then(|usage| usage.output_tokens);
        let tokens = counted.unwrap_or(measurement.outputs);
        self.level.counted_by_events += u64::from(counted.is_none());
        self.level.output_tokens += tokens;
        self.level.input_tokens += measurement.usage.and_then(|usage| usage.input_tokens).unwrap_or(0);
        let ttft = first.saturating_duration_since(measurement.start);
        let e2el = last.saturating_duration_since(measurement.start);
        let generation = e2el.saturating_sub(ttft);
        let tpot = (tokens > 1).then(|| generation.div_f64((tokens - 1) as f64));
        let gaps = &measurement.gaps;
        let itl = (!gaps.is_empty()).then(|| gaps.iter().sum::<Duration>().div_f64(gaps.len() as f64));
        self.ttft.add(ttft);
        self.e2el.add(e2el);
        tpot.into_iter().for_each(|tpot| self.tpot.add(tpot));
        gaps.iter().for_each(|gap| self.itl.add(*gap));
        // A response of one token has no times between tokens, and meets objectives for them.
        let Slo { ttft: max_ttft, tpot: max_tpot, itl: max_itl, e2el: max_e2el } = self.slo;
        let is_good = [(Some(ttft), max_ttft), (tpot, max_tpot), (itl, max_itl), (Some(e2el), max_e2el)]
            .into_iter()
            .all(|(found, max)| match (found, max) {
                (Some(found), Some(max)) => found.as_secs_f64() * 1e3 <= max,
                _ => true,
            });
        self.good += u64::from(is_good);
    }

    /// The level, which lasted from `start` until `end`.
    pub(super) fn finish(&self, start: Instant, end: Instant, max_in_flight: u64) -> Level {
        let seconds = end.saturating_duration_since(start).as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let level = self.level.clone();
        Level {
            duration_s: seconds,
            ttft: self.ttft.finish(),
            tpot: self.tpot.finish(),
            itl: self.itl.finish(),
            e2el: self.e2el.finish(),
            request_throughput: rate(level.endings.complete),
            output_token_throughput: rate(level.output_tokens),
            goodput: (!self.slo.is_empty()).then(|| rate(self.good)),
            max_in_flight,
            ..level
        }
    }

    /// The sums so far.
    pub(super) fn level(&self) -> &Level {
        &self.level
    }
}

fn count(endings: &mut Endings, ending: Ending) -> &mut u64 {
    match ending {
        Ending::Complete => &mut endings.complete,
        Ending::Truncated => &mut endings.truncated,
        Ending::Failed => &mut endings.failed,
        Ending::Corrupt => &mut endings.corrupt,
        Ending::Refused => &mut endings.refused,
        Ending::Unreachable => &mut endings.unreachable,
    }
}

/// A distribution of durations.
#[derive(Debug)]
pub(super) struct Distribution {
    /// Microseconds.
    histogram: Histogram<u64>,
    /// The exact sum.
    sum: Duration,
}

impl Default for Distribution {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, DIGITS);
        Self { histogram: histogram.expect("the bounds are valid"), sum: Duration::ZERO }
    }
}

impl Distribution {
    pub(super) fn add(&mut self, duration: Duration) {
        let micros = (duration.as_nanos() + 500) / 1000;
        self.histogram.saturating_record(micros.try_into().unwrap_or(u64::MAX));
        self.sum += duration;
    }

    pub(super) fn finish(&self) -> Option<Latency> {
        let histogram = &self.histogram;
        let count = histogram.len();
        if count == 0 {
            return None;
        }
        let ms = |micros: u64| micros as f64 / 1e3;
        let percentile = |quantile| ms(histogram.value_at_quantile(quantile));
        Some(Latency {
            count,
            mean: self.sum.as_secs_f64() * 1e3 / count as f64,
            p50: percentile(0.5),
            p90: percentile(0.9),
            p99: percentile(0.99),
            min: ms(histogram.min()),
            max: ms(histogram.max()),
            histogram: self.buckets(),
        })
    }

    /// The buckets that are not empty. Their upper bounds are powers of [`BUCKET_GROWTH`], in milliseconds.
    fn buckets(&self) -> Vec<(f64, u64)> {
        let mut buckets = BTreeMap::new();
        for value in self.histogram.iter_recorded() {
            let ms = value.value_iterated_to().max(1) as f64 / 1e3;
            let exponent = ms.log(BUCKET_GROWTH).ceil() as i32;
            *buckets.entry(exponent).or_insert(0) += value.count_at_value();
        }
        buckets.into_iter().map(|(exponent, count)| (BUCKET_GROWTH.powi(exponent), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(ending: Ending, outputs: u64, tokens: Option<u64>) -> Measurement {
        let start = Instant::now();
        let mut measurement = Measurement::new(start);
        measurement.ending = ending;
        measurement.error = (ending != Ending::Complete).then(|| "ModelError".into());
        if outputs > 0 {
            measurement.first_output = Some(start + Duration::from_millis(100));
            measurement.last_output = Some(start + Duration::from_millis(100 + 20 * (outputs - 1)));
        }
        measurement.gaps = vec![Duration::from_millis(20); outputs.saturating_sub(1) as usize];
        measurement.outputs = outputs;
        measurement.usage = tokens.map(|tokens| {
            let mut usage = sagewire_codec::model::Usage::default();
            (usage.input_tokens, usage.output_tokens) = (Some(7), Some(tokens));
            usage
        });
        measurement
    }

    fn level(slo: &str, measurements: &[Measurement]) -> Level {
        let slo = if slo.is_empty() { Slo::default() } else { slo.parse().unwrap() };
        let mut recorder = Recorder::new(slo, Level::default());
        measurements.iter().for_each(|measurement| recorder.add(measurement));
        let start = Instant::now();
        recorder.finish(start, start + Duration::from_secs(2), 1)
    }

    #[test]
    fn only_complete_responses_have_latencies() {
        let endings = [
            Ending::Complete,
            Ending::Truncated,
            Ending::Failed,
            Ending::Corrupt,
            Ending::Refused,
            Ending::Unreachable,
        ];
        let all = level("ttft=500ms", &endings.map(|ending| measurement(ending, 11, Some(11))));
        assert_eq!(all.endings.iter().map(|(_, count)| count).collect::<Vec<_>>(), [1; 6]);
        assert_eq!((all.requests, all.errors["ModelError"]), (6, 5));
        assert_eq!((all.output_tokens, all.input_tokens, all.counted_by_events), (11, 7, 0));
        assert_eq!((all.request_throughput, all.output_token_throughput, all.goodput), (0.5, 5.5, Some(0.5)));
        let ttft = all.ttft.unwrap();
        assert_eq!((ttft.count, ttft.mean), (1, 100.0));
        assert_eq!((all.itl.unwrap().count, all.tpot.unwrap().mean), (10, 20.0));
    }

    #[test]
    fn tokens_are_those_of_the_container_and_events_otherwise() {
        // Two tokens in each event.
        let counted = level("", &[measurement(Ending::Complete, 11, Some(21))]);
        assert_eq!((counted.tpot.unwrap().mean, counted.output_tokens, counted.goodput), (10.0, 21, None));
        let by_events = level("", &[measurement(Ending::Complete, 11, None)]);
        assert_eq!((by_events.output_tokens, by_events.counted_by_events), (11, 1));
        // One token has no time between tokens, and none no time at all.
        let short = level("itl=1ms", &[0, 1].map(|outputs| measurement(Ending::Complete, outputs, None)));
        assert_eq!((short.empty, short.endings.complete, short.goodput), (1, 2, Some(0.5)));
        assert_eq!((short.ttft.unwrap().count, short.tpot, short.itl), (1, None, None));
    }

    #[test]
    fn a_response_is_good_if_it_meets_all_objectives() {
        let complete = || measurement(Ending::Complete, 11, None);
        for (slo, is_good) in [
            ("ttft=100ms,tpot=20ms,itl=20ms,e2el=300ms", true),
            ("ttft=99ms", false),
            ("tpot=19ms", false),
            ("itl=19ms", false),
            ("e2el=0.299s", false),
        ] {
            assert_eq!(level(slo, &[complete()]).goodput, Some(if is_good { 0.5 } else { 0.0 }), "{slo}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut distribution = Distribution::default();
        (1..=1000).for_each(|ms| distribution.add(Duration::from_millis(ms)));
        let latency = distribution.finish().unwrap();
        for (found, expected) in [
            (latency.min, 1.0),
            (latency.p50, 500.0),
            (latency.p90, 900.0),
            (latency.p99, 990.0),
            (latency.max, 1000.0),
            (latency.mean, 500.5),
        ] {
            assert!((found - expected).abs() <= expected * 1e-3, "{found} {expected}");
        }
        assert_eq!(latency.histogram.iter().map(|(_, count)| count).sum::<u64>(), 1000);
        assert!(latency.histogram.len() < 80 && latency.histogram.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn names_of_errors_are_bounded() {
        let failed = |at: u32| Measurement {
            error: Some(format!("Error{at}")),
            ..measurement(Ending::Refused, 0, None)
        };
        let level = level("", &(0..1000).map(failed).collect::<Vec<_>>());
        assert_eq!(level.errors.values().sum::<u64>(), 1000);
        assert_eq!(level.errors.len(), ERROR_NAMES_MAX + 1);
    }
}
