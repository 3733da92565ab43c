#![forbid(unsafe_code)]
//! What Amazon SageMaker endpoints are asked and answer, whoever carries it.
//!
//! `sagewire-transport-reqwest` and `sagewire-transport-sdk` carry it. Both are a [`Transport`]; both take a [`Request`] to an
//! [`Endpoint`], and bring a [`Response`] or a [`ResponseStream`]; both fail with an [`Error`] that says whether trying
//! again may help. A [`Chat`] on top of either speaks in canonical requests and events.
//!
//! Each is also a [`tower_service::Service`] of [`Invoke`], [`InvokeStream`] and [`AsyncRequest`], so rate limits, timeouts,
//! delays and caches are layers of `tower`, and a [`Chat`] goes on top of those, too.
//!
//! Who writes a transport gives a client the three methods of [`Transport`], sends within [`Retry::run`] and
//! [`Retry::run_stream`], bounded by a [`Deadline`], and hands over its bytes as [`Chunks`]; [`impl_transport!`] and
//! [`bounds_setters!`] do the rest.
//!
//! # Features
//!
//! - `tracing`: a span for each streamed chat, with the names of
//!   [OpenTelemetry's conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/).

mod body;
mod bounds;
mod chat;
mod endpoint;
mod error;
mod request;
mod response;
mod retry;
mod service;
#[cfg(feature = "tracing")]
mod trace;

pub use body::{Chunks, Deadline, Timeouts, http_chunks};
pub use bounds::Bounds;
pub use chat::{Chat, ChatStream};
pub use endpoint::{Endpoint, Operation};
pub use error::{Error, ServiceError, Timeout};
pub use request::{AsyncRequest, Input, Request};
pub use response::{
    AsyncResponse, ChunkStream, Metadata, Response, ResponseStream, read_body, read_error_body,
};
pub use retry::Retry;
pub use service::{BoxFuture, Invoke, InvokeStream, Transport};
#[doc(hidden)]
pub use tower_service;
