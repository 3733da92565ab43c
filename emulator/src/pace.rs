//! How fast a container responds, and how many responses it generates at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sagewire_codec::Decoder;
use sagewire_codec::model::{Event, Usage};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cut::Cut;

/// More tokens than that are in no response: a script can claim any number.
const TOKENS_MAX: u64 = 1_000_000;

/// How fast a container responds, and how many responses it generates at a time: what a load test needs of a server.
///
/// The times are those of events with output. Others, such as the usage, come with the event before them.
///
/// ```
/// use std::time::Duration;
/// use sagewire_emulator::{Emulator, Pace};
///
/// let pace = Pace::new().time_to_first_token(Duration::from_millis(200)).tokens_per_second(50.0).slots(8).queue(16);
/// let builder = Emulator::builder().pace(pace);
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawPace")]
pub struct Pace {
    tokens_per_second: Option<f64>,
    time_to_first_token: Duration,
    slots: Option<usize>,
    queue: usize,
    overload_status: u16,
    jitter: f64,
    seed: u64,
}

/// The status of requests that find the queue full, unless another one is set.
const OVERLOAD_STATUS: u16 = 429;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPace {
    tokens_per_second: Option<f64>,
    #[serde(default)]
    time_to_first_token_ms: u64,
    slots: Option<usize>,
    queue: Option<usize>,
    overload_status: Option<u16>,
    #[serde(default)]
    jitter: f64,
    #[serde(default)]
    seed: u64,
}

impl TryFrom<RawPace> for Pace {
    type Error = String;

    fn try_from(raw: RawPace) -> Result<Self, String> {
        if raw.slots.is_none() && (raw.queue.is_some() || raw.overload_status.is_some()) {
            return Err("pace: queue and overload_status go with slots".into());
        }
        let pace = Self {
            tokens_per_second: raw.tokens_per_second,
            time_to_first_token: Duration::from_millis(raw.time_to_first_token_ms),
            slots: raw.slots,
            queue: raw.queue.unwrap_or_default(),
            overload_status: raw.overload_status.unwrap_or(OVERLOAD_STATUS),
            jitter: raw.jitter,
            seed: raw.seed,
        };
        pace.check().map_err(|message| format!("pace: {message}"))?;
        Ok(pace)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

impl Pace {
    /// As fast as possible, without a limit.
    pub fn new() -> Self {
        Self {
            tokens_per_second: None,
            time_to_first_token: Duration::ZERO,
            slots: None,
            queue: 0,
            overload_status: OVERLOAD_STATUS,
            jitter: 0.0,
            seed: 0,
        }
    }

    /// Events with output per second, of each response. Default: no pause between them.
    pub fn tokens_per_second(mut self, rate: f64) -> Self {
        self.tokens_per_second = Some(rate);
        self
    }

    /// The time from the start of a response to its first event with output. Time in the queue comes before it. Default: zero.
    pub fn time_to_first_token(mut self, time: Duration) -> Self {
        self.time_to_first_token = time;
        self
    }

    /// The number of responses that each endpoint generates at a time. Default: no limit.
    pub fn slots(mut self, count: usize) -> Self {
        self.slots = Some(count);
        self
    }

    /// The number of requests of each endpoint that wait for a slot. Further ones are refused. Default: none.
    pub fn queue(mut self, len: usize) -> Self {
        self.queue = len;
        self
    }

    /// The status of requests that find the queue full: 429, a `ThrottlingException`, or 503, `ServiceUnavailable`. Default: 429.
    pub fn overload_status(mut self, status: u16) -> Self {
        self.overload_status = status;
        self
    }

    /// How far each time may be off, as a fraction of it: 0.2 is ±20 %. Default: not at all.
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = fraction;
        self
    }

    /// The seed of the jitter. The n-th request has the same times in each run. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// # Errors
    ///
    /// A value is out of its range.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let is_rate = |rate: f64| rate.is_finite() && rate >= 0.001;
        if !self.tokens_per_second.is_none_or(is_rate) {
            return Err("tokens_per_second must be at least 0.001");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err("jitter must be from 0 to 1");
        }
        if self.slots.is_some_and(|slots| slots == 0 || slots > Semaphore::MAX_PERMITS) {
            return Err("slots must be at least 1");
        }
        if ![429, 503].contains(&self.overload_status) {
            return Err("overload_status must be 429 or 503");
        }
        Ok(())
    }

    pub(crate) fn overload(&self) -> u16 {
        self.overload_status
    }

    fn is_paced(&self) -> bool {
        self.tokens_per_second.is_some() || !self.time_to_first_token.is_zero()
    }

    /// The parts of a streamed body, each with its time from the start of the response. `None` if nothing is paced.
    pub(crate) fn parts(
        &self,
        body: &Bytes,
        content_type: &str,
        request: u64,
    ) -> Option<Vec<(Duration, Bytes)>> {
        if !self.is_paced() {
            return None;
        }
        let mut clock = Clock::new(self, request);
        let mut decoder = Decoder::new();
        let mut parts = Vec::new();
        for range in Cut::Events.parts(body, content_type) {
            let part = body.slice(range);
            if count_output(&mut decoder, &part).0 > 0 {
                clock.advance(1);
            }
            parts.push((clock.now(), part));
        }
        Some(parts)
    }

    /// The time that a container needs for a response that it sends as a whole: that of its tokens. `None` if nothing is paced.
    pub(crate) fn whole(&self, body: &Bytes, request: u64) -> Option<Duration> {
        if !self.is_paced() {
            return None;
        }
        let mut decoder = Decoder::new();
        let (mut events, mut tokens) = count_output(&mut decoder, body);
        // The end of a document is known only here. A body that is no response of a model has no tokens.
        let _ = decoder.end(|event| count(&event, &mut events, &mut tokens));
        let mut clock = Clock::new(self, request);
        clock.advance(tokens.unwrap_or(events).min(TOKENS_MAX));
        Some(clock.now())
    }
}

/// The events with output in these bytes, and the tokens that the container has counted.
fn count_output(decoder: &mut Decoder, bytes: &Bytes) -> (u64, Option<u64>) {
    let (mut events, mut tokens) = (0, None);
    // Bytes that are no response of a model have no output.
    let _ = decoder.feed(bytes.clone(), |event| count(&event, &mut events, &mut tokens));
    (events, tokens)
}

fn count(event: &Event<'_>, events: &mut u64, tokens: &mut Option<u64>) {
    match event {
        Event::TextDelta { .. }
        | Event::ReasoningDelta { .. }
        | Event::RefusalDelta { .. }
        | Event::ToolInputDelta { .. } => *events += 1,
        Event::Usage(Usage { output_tokens, .. }) => *tokens = (*output_tokens).or(*tokens),
        _ => {}
    }
}

/// The times of a response.
struct Clock<'a> {
    pace: &'a Pace,
    random: fastrand::Rng,
    tokens: u64,
    now: Duration,
}

impl<'a> Clock<'a> {
    fn new(pace: &'a Pace, request: u64) -> Self {
        // Consecutive seeds have similar first numbers.
        let mut random = fastrand::Rng::with_seed(pace.seed);
        let random = fastrand::Rng::with_seed(random.u64(..) ^ request.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut clock = Self { pace, random, tokens: 0, now: Duration::ZERO };
        clock.now = clock.about(pace.time_to_first_token);
        clock
    }

    /// The first token comes at the time to first token, so that it adds nothing.
    fn advance(&mut self, tokens: u64) {
        for _ in 0..tokens {
            if self.tokens > 0
                && let Some(rate) = self.pace.tokens_per_second
            {
                let pause = self.about(Duration::from_secs_f64(1.0 / rate));
                self.now += pause;
            }
            self.tokens += 1;
        }
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn about(&mut self, time: Duration) -> Duration {
        time.mul_f64(1.0 + self.pace.jitter * (2.0 * self.random.f64() - 1.0))
    }
}

/// There is neither a slot nor a place in the queue.
#[derive(Debug)]
pub(crate) struct QueueFull;

/// The slots of all endpoints that generate a response.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    endpoints: Mutex<HashMap<String, Endpoint>>,
}

#[derive(Debug)]
struct Endpoint {
    slots: Arc<Semaphore>,
    /// Requests that have a slot or wait for one.
    requests: usize,
}

/// A place of a request. The slot, or the place in the queue, is free when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    service: Arc<Slots>,
    endpoint: String,
    /// `None` while the request waits.
    permit: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// Waits for a slot of an endpoint; `None` without a limit.
    ///
    /// # Errors
    ///
    /// The queue is full.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        endpoint: &str,
        pace: &Pace,
    ) -> Result<Option<Slot>, QueueFull> {
        let Some(count) = pace.slots else { return Ok(None) };
        let (mut slot, slots) = self.enter(endpoint, count, pace.queue).ok_or(QueueFull)?;
        slot.permit = slots.acquire_owned().await.ok();
        Ok(Some(slot))
    }

    fn enter(self: &Arc<Self>, name: &str, count: usize, queue: usize) -> Option<(Slot, Arc<Semaphore>)> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = endpoints
            .entry(name.to_owned())
            .or_insert_with(|| Endpoint { slots: Arc::new(Semaphore::new(count)), requests: 0 });
        if endpoint.requests >= count.saturating_add(queue) {
            return None;
        }
        endpoint.requests += 1;
        let slot = Slot { service: Arc::clone(self), endpoint: name.to_owned(), permit: None };
        Some((slot, Arc::clone(&endpoint.slots)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut endpoints = self.service.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = endpoints.get_mut(&self.endpoint) {
            endpoint.requests -= 1;
            // Clients choose the names, so those that are not in use are not kept.
            if endpoint.requests == 0 {
                endpoints.remove(&self.endpoint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const SSE: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
                       data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\"}}]}\n\n\
                       data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" two\"}}]}\n\n\
                       data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" three\"}}]}\n\n\
                       data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                       data: [DONE]\n\n";

    fn milliseconds(pace: &Pace, request: u64) -> Vec<u128> {
        let parts = pace.parts(&Bytes::from_static(SSE.as_bytes()), "text/event-stream", request).unwrap();
        let whole: Vec<u8> = parts.iter().flat_map(|(_, part)| part.to_vec()).collect();
        assert_eq!(whole, SSE.as_bytes());
        parts.iter().map(|(time, _)| time.as_millis()).collect()
    }

    #[test]
    fn only_tokens_take_time() {
        let pace = Pace::new().time_to_first_token(Duration::from_millis(200)).tokens_per_second(50.0);
        assert_eq!(milliseconds(&pace, 0), [200, 200, 220, 240, 240, 240]);
        let pace = Pace::new().tokens_per_second(10.0);
        assert_eq!(milliseconds(&pace, 0), [0, 0, 100, 200, 200, 200]);
        let pace = Pace::new().time_to_first_token(Duration::from_millis(7));
        assert_eq!(milliseconds(&pace, 0), [7; 6]);
        assert!(Pace::new().slots(1).parts(&Bytes::new(), "", 0).is_none());
    }

    #[test]
    fn jitter_is_bounded_and_repeats_with_its_seed() {
        let pace =
            Pace::new().time_to_first_token(Duration::from_millis(1000)).tokens_per_second(1.0).jitter(0.2);
        for request in 0..50 {
            let times = milliseconds(&pace.clone().seed(1), request);
            assert_eq!(times, milliseconds(&pace.clone().seed(1), request));
            assert_ne!(times, milliseconds(&pace.clone().seed(2), request));
            assert!((800..=1200).contains(&times[1]), "{times:?}");
            assert!(times.windows(2).skip(1).take(2).all(|pair| (800..=1200).contains(&(pair[1] - pair[0]))));
        }
        assert_ne!(milliseconds(&pace, 1), milliseconds(&pace, 2));
    }

    #[test]
    fn a_whole_response_takes_as_long_as_its_tokens() {
        let pace = Pace::new().time_to_first_token(Duration::from_millis(100)).tokens_per_second(100.0);
        let body = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":11,"total_tokens":12}}"#;
        assert_eq!(pace.whole(&Bytes::from_static(body.as_bytes()), 0), Some(Duration::from_millis(200)));
        let embeddings = Bytes::from_static(b"[[0.1, 0.2]]");
        assert_eq!(pace.whole(&embeddings, 0), Some(Duration::from_millis(100)));
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (text, found) in [
            (r#"{"tokens_per_second": 0}"#, "tokens_per_second must be at least 0.001"),
            (r#"{"jitter": 1.5}"#, "jitter must be from 0 to 1"),
            (r#"{"slots": 0}"#, "slots must be at least 1"),
            (r#"{"slots": 1, "overload_status": 500}"#, "overload_status must be 429 or 503"),
            (r#"{"queue": 1}"#, "queue and overload_status go with slots"),
        ] {
            let error = serde_json::from_str::<Pace>(text).unwrap_err().to_string();
            assert!(error.contains(&format!("pace: {found}")), "{error}");
        }
    }

    #[tokio::test]
    async fn requests_beyond_slots_and_queue_are_refused() {
        let slots = Arc::new(Slots::default());
        let pace = Pace::new().slots(2).queue(1);
        let first = slots.acquire("a", &pace).await.unwrap();
        let second = slots.acquire("a", &pace).await.unwrap();
        let mut third = Box::pin(slots.acquire("a", &pace));
        assert!((&mut third).now_or_never().is_none(), "it waits");
        assert!(slots.acquire("a", &pace).await.is_err(), "the queue is full");
        assert!(slots.acquire("b", &pace).await.is_ok(), "another endpoint has slots of its own");
        drop(first);
        let third = third.await.unwrap();
        // A client that leaves the queue leaves its place to another.
        let mut fourth = Box::pin(slots.acquire("a", &pace));
        assert!((&mut fourth).now_or_never().is_none());
        drop(fourth);
        let mut fifth = Box::pin(slots.acquire("a", &pace));
        assert!((&mut fifth).now_or_never().is_none());
        drop((third, second));
        drop(fifth.await);
        assert!(slots.endpoints.lock().unwrap().is_empty(), "nothing is kept");
        assert!(slots.acquire("a", &Pace::new()).await.unwrap().is_none());
    }
}
