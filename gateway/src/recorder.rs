//! Makes the record of a request: exactly one, whatever happens to the request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use sagewire_codec::model::{Losses, Usage};
use tokio::sync::OwnedSemaphorePermit;

use crate::config::Prices;
use crate::door::Door;
use crate::fault::Fault;
use crate::observe::{InFlight, Observers, TraceParent};
use crate::policy::{Ask, Reservation};
use crate::record::{Ending, ErrorClass, Record, Tokens};
use crate::route::attempt::Attempts;

/// Pointers of losses that a record has.
const LOSSES_MAX: usize = 64;
/// The status in logs of a client that has left, as nginx has it.
const CLIENT_CLOSED: u16 = 499;

/// The record of a request in progress, and what the request holds until its end. It is finished by [`finish`](Self::finish);
/// one that is dropped before belongs to a client that has left.
pub(crate) struct Recorder {
    pub(crate) record: Record,
    pub(crate) arrived: Instant,
    observers: Arc<Observers>,
    _in_flight: InFlight,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    pub(crate) reservation: Option<Reservation>,
    /// What the deployment that responds has reserved.
    deployment_reservation: Option<Reservation>,
    pub(crate) prices: Prices,
    /// Tokens of the request, in case that the container does not count them.
    pub(crate) input_estimate: u64,
    /// The limit of the output that the request sets.
    pub(crate) max_tokens: Option<u64>,
    is_finished: bool,
}

impl Recorder {
    pub(crate) fn new(
        observers: Arc<Observers>,
        id: Arc<str>,
        door: Door,
        route: &'static str,
        headers: &HeaderMap,
        arrived: Instant,
    ) -> Self {
        let record = Record {
            id,
            door,
            route,
            key: None,
            model: None,
            endpoint: None,
            status: CLIENT_CLOSED,
            streamed: false,
            ending: Ending::ClientClosed,
            error: None,
            message: None,
            attempts: 0,
            client_attempt: client_attempt(headers),
            tokens: Tokens::default(),
            first_event: None,
            total: Duration::ZERO,
            own: Duration::ZERO,
            losses: Vec::new(),
            upstream_id: None,
            trace: headers.get(TraceParent::HEADER).and_then(|value| TraceParent::parse(value.as_bytes())),
            cached: false,
        };
        let in_flight = observers.started();
        Self {
            record,
            arrived,
            observers,
            _in_flight: in_flight,
            permit: None,
            reservation: None,
            deployment_reservation: None,
            prices: Prices::default(),
            input_estimate: 0,
            max_tokens: None,
            is_finished: false,
        }
    }

    /// The calls that were made, and how long they took until there was a response.
    pub(crate) fn called(&mut self, attempts: Attempts) {
        self.record.attempts = attempts.count;
        if let Some(deployment) = &attempts.last {
            self.record.endpoint = Some(Arc::clone(&deployment.label));
            self.prices = deployment.model.prices;
        }
        self.deployment_reservation = attempts.reservation;
        self.record.own = self.arrived.elapsed().saturating_sub(attempts.waited);
    }

    /// The response begins now, with its first event.
    pub(crate) fn first_event(&mut self) {
        self.record.first_event = Some(self.arrived.elapsed());
    }

    pub(crate) fn losses(&mut self, losses: &Losses) {
        let room = LOSSES_MAX.saturating_sub(self.record.losses.len());
        self.record.losses.extend(losses.iter().take(room).map(|loss| loss.path.to_string()));
    }

    /// What the container has counted.
    pub(crate) fn usage(&mut self, usage: Option<Usage>) {
        let Some(usage) = usage else { return };
        if let Some(output) = usage.output_tokens {
            // TGI does not count the input.
            let input = usage.input_tokens.unwrap_or(self.input_estimate);
            self.record.tokens = Tokens { input, output, estimated: usage.input_tokens.is_none() };
        }
    }

    /// What was seen, in case that the container has counted nothing.
    pub(crate) fn estimate(&mut self, output: u64) {
        if self.record.tokens == Tokens::default() && output > 0 {
            self.record.tokens = Tokens { input: self.input_estimate, output, estimated: true };
        }
    }

    /// The request has failed before its response has begun.
    pub(crate) fn fail(&mut self, fault: &Fault, status: u16) {
        self.record.status = status;
        self.record.error = Some(fault.class);
        let message = fault.detail.as_ref().unwrap_or(&fault.error.message);
        self.record.message = Some(message.clone());
        if let Some(id) = &fault.upstream_id {
            self.record.upstream_id = Some(id.clone());
        }
    }

    /// The response is over.
    pub(crate) fn finish(mut self, ending: Ending, error: Option<(ErrorClass, String)>) {
        self.record.ending = ending;
        if let Some((class, message)) = error {
            self.record.error = Some(class);
            self.record.message = Some(message);
        }
        self.is_finished = true;
    }

    /// The response is over, and was not a stream: an error, if the request has failed.
    pub(crate) fn finish_whole(self) {
        let ending = if self.record.error.is_some() { Ending::Refused } else { Ending::Complete };
        self.finish(ending, None);
    }

    fn settle(&mut self) {
        let reservations = [self.reservation.take(), self.deployment_reservation.take()];
        let Tokens { input, output, .. } = self.record.tokens;
        let has_failed = self.record.error.is_some_and(|class| !may_have_run(class));
        let is_free = self.record.cached || (input == 0 && output == 0 && has_failed);
        if is_free || input + output > 0 {
            let Ask { tokens, dollars } = Ask::new(input, output, self.prices);
            for reservation in reservations.into_iter().flatten() {
                reservation.settle(tokens, dollars);
            }
        }
        // Otherwise nothing is known: what was reserved is kept.
    }
}

/// Whether a request that failed may have cost something.
pub(crate) fn may_have_run(class: ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::ClientClosed
            | ErrorClass::UpstreamTimeout
            | ErrorClass::UpstreamBroken
            | ErrorClass::UpstreamFailed
    )
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.is_finished {
            self.record.status = CLIENT_CLOSED;
            self.record.ending = Ending::ClientClosed;
            self.record.error = Some(ErrorClass::ClientClosed);
        }
        self.record.total = self.arrived.elapsed();
        self.settle();
        self.observers.finished(&self.record);
    }
}

/// The attempt of the client's own retries: `x-stainless-retry-count` of the SDKs of OpenAI and Anthropic,
/// `amz-sdk-request: attempt=2; max=3` of AWS's.
fn client_attempt(headers: &HeaderMap) -> Option<u32> {
    let text = |name| headers.get(name)?.to_str().ok();
    if let Some(retries) = text("x-stainless-retry-count") {
        return retries.parse::<u32>().ok()?.checked_add(1);
    }
    let fields = text("amz-sdk-request")?.split(';');
    fields.filter_map(|field| field.trim().strip_prefix("attempt=")).find_map(|number| number.parse().ok())
}
