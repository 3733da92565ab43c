#![forbid(unsafe_code)]
//! Invokes Amazon SageMaker endpoints over AWS's own SDK for Rust.
//!
//! For those who have an `aws_sdk_sagemakerruntime::Client` already: its region, its credentials, its HTTP client and its
//! interceptors stay in use. A [`Client`] around it has the interface of `sagewire-transport-reqwest`, and the same
//! answers, errors, retries and timeouts.
//!
//! ```no_run
//! use sagewire_transport_sdk::{Client, Request, Retry};
//!
//! # async fn run(sdk: aws_sdk_sagemakerruntime::Client) -> Result<(), sagewire_transport_sdk::Error> {
//! // let sdk = aws_sdk_sagemakerruntime::Client::new(&aws_config::load_from_env().await);
//! let client = Client::builder(sdk).retry(Retry::default().attempts(5)).build();
//! let request = Request::new("my-llm", r#"{"messages": [{"role": "user", "content": "hi"}], "stream": true}"#);
//! let mut stream = client.invoke_stream(request).await?;
//! while let Some(bytes) = stream.chunk().await? {
//!     println!("{} bytes of the response", bytes.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A stream that breaks, ends or fails before its first event is tried again: [`Client::invoke_stream`] returns with the first
//! one. [`Retry::never`] turns all tries but the first off.
//!
//! A [`Chat`] on top of a [`Client`] speaks in canonical requests and events. Who calls the SDK directly hands its output to
//! [`response_stream`]: the SDK takes the frames apart then, and its events go in below them.
//!
//! # What differs from `sagewire-transport-reqwest`
//!
//! - Bodies are read here and not by the SDK, so that the limits hold and frames are decoded once, by a decoder that says
//!   what is wrong with one: the SDK does not, takes a stream that is cut behind the twelve bytes of a prelude for whole,
//!   and buffers a frame of any length. Interceptors of the SDK's client see the head of a response, and an empty body.
//! - The SDK's own retries, time limits and protection against stalled streams are off; ours take their place. The time to
//!   the first byte includes the time that the SDK takes to load credentials. The time to connect is for the SDK's HTTP
//!   client to keep.

mod client;
mod error;
mod events;
mod exchange;
mod fields;

pub use aws_sdk_sagemakerruntime;
pub use client::{Builder, Client};
pub use events::response_stream;
pub use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Chat, ChatStream, Endpoint, Error, Input, Invoke, InvokeStream,
    Metadata, Operation, Request, Response, ResponseStream, Retry, ServiceError, Timeout, Timeouts,
    Transport,
};
