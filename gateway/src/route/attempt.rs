//! Calls the deployments of a group until one responds.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sagewire_codec::HttpErrorKind;
use sagewire_transport::Error;
use tokio::time::{sleep, timeout_at};

use crate::config::{Model, Routing};
use crate::fault::{self, Fault};
use crate::policy::{Ask, Limit, Policy, Refusal, Reservation};
use crate::record::ErrorClass;
use crate::recorder::may_have_run;
use crate::route::group::{Deployment, Group, Groups, address};

/// The pause before another attempt at the same deployment, unless it asks for another one.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest delay that a deployment may ask for, if there is no other: a longer one is passed on to the client.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// The pause between two attempts while a deployment is not ready.
const NOT_READY_PAUSE: Duration = Duration::from_secs(2);

/// The calls of one request.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// How many calls were made.
    pub(crate) count: u32,
    /// The deployment that was called last.
    pub(crate) last: Option<Arc<Deployment>>,
    /// How long the calls and the pauses between them took.
    pub(crate) waited: Duration,
    /// The estimate of the tokens of the input, and of the output if the request has a limit of it.
    pub(crate) estimate: (u64, Option<u64>),
    /// What the deployment that has responded has reserved.
    pub(crate) reservation: Option<Reservation>,
}

impl Attempts {
    /// What a call of the deployment may take.
    fn ask(&self, model: &Model) -> Ask {
        let (input, output) = self.estimate;
        Ask::new(input, output.unwrap_or(model.reserve_tokens), model.prices)
    }
}

/// The result of a call, boxed because the closure is called in a loop.
pub(crate) type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Calls deployments of the group, and then of its fallbacks, until one has a result, the client is at fault, or there is nothing
/// left to try. Nothing of a result was passed to the client, so that it is free to try another.
pub(crate) async fn call<'a, T>(
    groups: &Groups,
    group: &Arc<Group>,
    routing: &Routing,
    policy: &Policy,
    attempts: &mut Attempts,
    attempt: impl Fn(Arc<Deployment>) -> Call<'a, T>,
) -> Result<T, Box<Fault>> {
    let start = Instant::now();
    let total = group
        .deployments
        .iter()
        .map(|deployment| deployment.model.timeouts.total + deployment.model.wait.unwrap_or_default());
    let deadline = start + total.max().unwrap_or_default();
    let calls = async {
        let mut result = call_group(group, routing, policy, attempts, &attempt).await;
        for name in &group.fallback {
            if result.as_ref().map_or_else(|fault| is_final(fault.class), |_| true) {
                break;
            }
            if let Some(group) = groups.get(name) {
                result = call_group(group, routing, policy, attempts, &attempt).await;
            }
        }
        result
    };
    let result = timeout_at(deadline.into(), calls).await;
    attempts.waited = start.elapsed();
    result.unwrap_or_else(|_| {
        let message = "The model did not respond in time.";
        let kind = HttpErrorKind::Timeout;
        Err(Fault::new(ErrorClass::UpstreamTimeout, kind, message).without_retry())
    })
}

/// Whether the result does not depend on the deployment.
fn is_final(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::ClientInvalid | ErrorClass::ClientTooLarge | ErrorClass::UpstreamRefused)
}

async fn call_group<'a, T>(
    group: &Group,
    routing: &Routing,
    policy: &Policy,
    attempts: &mut Attempts,
    attempt: &impl Fn(Arc<Deployment>) -> Call<'a, T>,
) -> Result<T, Box<Fault>> {
    let start = Instant::now();
    let mut tried: Vec<usize> = Vec::new();
    // Those of them whose limits are used up.
    let mut full: Vec<usize> = Vec::new();
    let mut refusal: Option<Refusal> = None;
    let mut last: Option<Box<Fault>> = None;
    let mut left = routing.attempts.max(1);
    group.retries.earn();
    if let Some(cooldowns) = policy.cooldowns() {
        for deployment in &group.deployments {
            if let Some(until) = cooldowns.until(&deployment.label) {
                deployment.health.extend(start, until.saturating_duration_since(start));
            }
        }
    }
    loop {
        let now = Instant::now();
        let Some(deployment) = group.choose(&tried, now) else {
            // All were tried: those that may respond now are tried again.
            if tried.len() > full.len() && group.choose(&full, now).is_some() {
                tried.clone_from(&full);
                continue;
            }
            return Err(last.unwrap_or_else(|| match &refusal {
                Some(refusal) => used_up(group, refusal),
                None => cooling(group, now),
            }));
        };
        let model = &deployment.model;
        let ask = attempts.ask(model);
        let reservation = match policy.reserve_of(&deployment.account, &model.limits, ask).await {
            Ok(reservation) => reservation,
            Err(found) => {
                tried.push(address(deployment));
                full.push(address(deployment));
                refusal = Some(match refusal {
                    Some(before) if wait(&before) <= wait(&found) => before,
                    _ => found,
                });
                continue;
            }
        };
        attempts.count += 1;
        attempts.last = Some(Arc::clone(deployment));
        let error = match attempt(Arc::clone(deployment)).await {
            Ok(value) => {
                deployment.health.succeeded();
                attempts.reservation = Some(reservation);
                return Ok(value);
            }
            Err(error) => error,
        };
        let fault = Fault::of_call(&error);
        if !may_have_run(fault.class) {
            reservation.settle(0, 0.0);
        }
        if is_final(fault.class) {
            return Err(fault);
        }
        let is_cold = error.service().is_some_and(fault::is_not_ready);
        if is_cold && deployment.model.wait.is_some_and(|wait| start.elapsed() < wait) {
            sleep(error.retry_after().unwrap_or(NOT_READY_PAUSE)).await;
            continue;
        }
        let now = Instant::now();
        if deployment.health.failed(now, &routing.cooldown, error.retry_after())
            && let Some(left) = deployment.health.cools_for(now)
        {
            policy.cooldown(&deployment.label, now + left);
        }
        tried.push(address(deployment));
        left -= 1;
        let is_alone = group.choose(&tried, Instant::now()).is_none();
        // Credentials and missing endpoints concern one deployment.
        let is_worth_it = error.is_retryable() || is_cold || !is_alone;
        let asked = error.retry_after();
        let is_too_long = is_alone && asked.is_some_and(|delay| delay > RETRY_AFTER_MAX);
        last = Some(fault);
        if left == 0 || is_too_long || !is_worth_it || !group.retries.spend() {
            return Err(exhausted(last.expect("it was set"), attempts.count));
        }
        if is_alone {
            sleep(asked.unwrap_or(PAUSE.mul_f32(0.5 + fastrand::f32()))).await;
        }
    }
}

/// The gateway has tried several times: the client need not do the same at once.
fn exhausted(mut fault: Box<Fault>, attempts: u32) -> Box<Fault> {
    if attempts > 1 && fault.class == ErrorClass::UpstreamFailed {
        fault.should_retry.get_or_insert(false);
    }
    fault
}

/// When it is worth trying again: never, if the request alone is larger than a limit.
fn wait(refusal: &Refusal) -> Duration {
    refusal.retry_after.unwrap_or(Duration::MAX)
}

/// No deployment is left: the limits of these are used up.
fn used_up(group: &Group, refusal: &Refusal) -> Box<Fault> {
    let (class, kind, message) = match refusal.limit {
        Limit::Unavailable => (
            ErrorClass::GatewayBusy,
            HttpErrorKind::Unavailable,
            format!("The limits of the model `{}` cannot be checked.", group.name),
        ),
        _ => (
            ErrorClass::PolicyLimit,
            HttpErrorKind::RateLimit,
            format!("The limits of the model `{}` are used up.", group.name),
        ),
    };
    let fault = Fault::new(class, kind, message).retry_after(refusal.retry_after);
    if refusal.retry_after.is_none() { fault.without_retry() } else { fault }
}

fn cooling(group: &Group, now: Instant) -> Box<Fault> {
    let delay = group.cools_for(now).unwrap_or(Duration::from_secs(1));
    let message =
        format!("All endpoints of the model `{}` have failed and are left out for now.", group.name);
    Fault::new(ErrorClass::UpstreamNotReady, HttpErrorKind::NotReady, message).retry_after(Some(delay))
}
