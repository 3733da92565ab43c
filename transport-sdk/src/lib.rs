#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
//! Invokes Amazon SageMaker endpoints over the AWS SDK for Rust.
//!
//! Use it if you already have an `aws_sdk_sagemakerruntime::Client`: its region, credentials, HTTP client and interceptors stay
//! in use. A [`Client`] around it has the interface of `sagewire-transport-reqwest`, and the same responses, errors, retries
//! and timeouts.
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
//! A stream that breaks, ends or fails before its first event is retried: [`Client::invoke_stream`] waits for the first event.
//! [`Retry::never`] turns retries off.
//!
//! A [`Chat`] on top of a [`Client`] takes canonical requests and returns canonical events. If you call the SDK yourself, pass
//! its output to [`response_stream`]: the SDK decodes the frames then. The front page of `sagewire-transport` lists all
//! functions.
//!
//! # What differs from `sagewire-transport-reqwest`
//!
//! - Bodies are read by this crate and not by the SDK, so that the limits apply, and frames are decoded once, by a decoder that
//!   reports what is wrong with a frame. The SDK does not report it, takes a stream that ends after the twelve bytes of a
//!   prelude for complete, and buffers frames of any length. Interceptors of the SDK's client see the headers of a response,
//!   and an empty body.
//! - The retries, timeouts and stalled stream protection of the SDK are disabled, and replaced by those of this crate. The
//!   first-byte timeout includes the time that the SDK takes to load credentials. The HTTP client of the SDK enforces the
//!   connect timeout.
//!
//! - An [`Endpoint`] with a [`Runtime`], such as a Global Inference Gateway, is not supported: the SDK has no client for it.
//!
//! # Features
//!
//! - `serde`: see `sagewire-transport`.
//! - `tracing`: the spans of `sagewire-transport`.

mod client;
mod error;
mod interceptor;
mod request;
mod response_stream;

pub use aws_sdk_sagemakerruntime;
pub use client::{Builder, Client};
pub use response_stream::response_stream;
pub use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Chat, ChatResponse, ChatStream, Embeddings, EmbeddingsResponse,
    Endpoint, Error, IdentityToken, Input, Invoke, InvokeStream, Metadata, Operation, Request, Response,
    ResponseBody, ResponseStream, Retry, Rules, Runtime, ServiceError, Session, Timeout, Timeouts,
    Transcoded, TranscodedResponse, TranscodedStream, Transport,
};
