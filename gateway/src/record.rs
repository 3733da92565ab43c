//! What is known of a request at its end: the access log, the metrics and the limits are made of it.

use std::sync::Arc;
use std::time::Duration;

use crate::door::Door;
use crate::observe::TraceParent;

/// One request, at its end.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The ID that the client got.
    pub(crate) id: Arc<str>,
    /// The API that the client uses.
    pub(crate) door: Door,
    /// The route as a template, such as `/v1/chat/completions`: never the path of the request.
    pub(crate) route: &'static str,
    /// The name of the client's key.
    pub(crate) key: Option<Arc<str>>,
    /// The name of the model, if it is one of the configuration.
    pub(crate) model: Option<Arc<str>>,
    /// The endpoint that responded, or was called last.
    pub(crate) endpoint: Option<Arc<str>>,
    /// The HTTP status that the client got; 499 if it left before.
    pub(crate) status: u16,
    /// Whether the client requested a stream.
    pub(crate) streamed: bool,
    /// How the response ended.
    pub(crate) ending: Ending,
    /// Whose fault an error is.
    pub(crate) error: Option<ErrorClass>,
    /// What went wrong, without secrets.
    pub(crate) message: Option<String>,
    /// Calls of endpoints.
    pub(crate) attempts: u32,
    /// The attempt of the client's own retries, if its SDK reports it.
    pub(crate) client_attempt: Option<u32>,
    /// Tokens, as the container reports them.
    pub(crate) tokens: Tokens,
    /// From the arrival of the request to the first event of the response.
    pub(crate) first_event: Option<Duration>,
    /// From the arrival of the request to the end of the response.
    pub(crate) total: Duration,
    /// The time in which the gateway did not wait for the endpoint, until the first event.
    pub(crate) own: Duration,
    /// JSON pointers of what was lost.
    pub(crate) losses: Vec<String>,
    /// The ID that the service gave the call.
    pub(crate) upstream_id: Option<String>,
    /// The trace of the client, if it has one.
    pub(crate) trace: Option<TraceParent>,
    /// The response came from the cache.
    pub(crate) cached: bool,
}

/// Token counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// The container did not report them: they are estimated by what was seen.
    pub(crate) estimated: bool,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    /// It is complete.
    Complete,
    /// It was refused, or failed, before its first event.
    Refused,
    /// It ended before it was complete.
    Truncated,
    /// The model or the service reported a failure within it.
    Failed,
    /// It could not be decoded.
    Corrupt,
    /// The client left.
    ClientClosed,
}

impl Ending {
    /// Its name in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::Truncated => "truncated",
            Self::Failed => "failed",
            Self::Corrupt => "corrupt",
            Self::ClientClosed => "client_closed",
        }
    }
}

/// Errors by whose fault they are: a closed set, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ErrorClass {
    /// The request is malformed, or cannot be expressed.
    ClientInvalid,
    /// The key is missing or unknown, or the signature is wrong.
    ClientAuthentication,
    /// The path, the method or the model does not exist for this client.
    ClientNotFound,
    /// The request is too large.
    ClientTooLarge,
    /// The client left before the end.
    ClientClosed,
    /// A limit of requests, tokens or parallel requests.
    PolicyLimit,
    /// The budget is spent.
    PolicyBudget,
    /// The endpoint is cold, scaled to zero or overloaded.
    UpstreamNotReady,
    /// The container refused the request.
    UpstreamRefused,
    /// The container or the service failed.
    UpstreamFailed,
    /// A timeout.
    UpstreamTimeout,
    /// The response broke off or could not be decoded.
    UpstreamBroken,
    /// The service refused the gateway's credentials, or does not know the endpoint.
    GatewayCredentials,
    /// The gateway is full or stops.
    GatewayBusy,
    /// Anything else.
    GatewayInternal,
}

impl ErrorClass {
    /// Its name in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ClientInvalid => "client_invalid",
            Self::ClientAuthentication => "client_authentication",
            Self::ClientNotFound => "client_not_found",
            Self::ClientTooLarge => "client_too_large",
            Self::ClientClosed => "client_closed",
            Self::PolicyLimit => "policy_limit",
            Self::PolicyBudget => "policy_budget",
            Self::UpstreamNotReady => "upstream_not_ready",
            Self::UpstreamRefused => "upstream_refused",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBroken => "upstream_broken",
            Self::GatewayCredentials => "gateway_credentials",
            Self::GatewayBusy => "gateway_busy",
            Self::GatewayInternal => "gateway_internal",
        }
    }
}
