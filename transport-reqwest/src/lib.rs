#![forbid(unsafe_code)]
//! Invokes Amazon SageMaker endpoints over [`reqwest`].
//!
//! A [`Client`] signs a [`Request`], sends it, and returns what came: the whole body of [`Client::invoke`], or the bytes
//! of [`Client::invoke_stream`] chunk by chunk. Those are event-stream frames, cut anywhere: [`ResponseStream::events`] and
//! [`ResponseStream::transcoded`] read them with `sagewire-codec`.
//!
//! ```no_run
//! use sagewire_transport_reqwest::{Client, Request};
//!
//! # async fn run() -> Result<(), sagewire_transport_reqwest::Error> {
//! let client = Client::from_env()?;
//! let request = Request::new("my-llm", r#"{"messages": [{"role": "user", "content": "hi"}], "stream": true}"#);
//! let mut stream = client.invoke_stream(request).await?;
//! while let Some(chunk) = stream.chunk().await? {
//!     println!("{} bytes of frames", chunk.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is sent is what is signed
//!
//! Every header that is sent is part of the signature, but for `content-length` and, of course, `authorization`. Redirects
//! are not followed, proxies of the environment are not used, nothing is decompressed and nothing is tried again: errors
//! say whether trying again may help, see [`Error::is_retryable`]. The one exception is HTTP's own: a request of which no
//! byte was sent, because a pooled connection had been closed, takes another connection.
//!
//! # Hosts
//!
//! Unless an endpoint URL is given, requests go to `https://runtime.sagemaker.REGION.SUFFIX`, with the suffix of the
//! region's partition (`amazonaws.com`, `amazonaws.com.cn`, ...). FIPS and dual-stack hosts have to be given as URLs.
//!
//! # Features
//!
//! - `rustls` (default): `https`, through rustls with *ring* and the certificates of the platform.

mod body;
mod client;
mod clock;
mod credentials;
mod host;
mod sign;
#[cfg(feature = "rustls")]
mod tls;

pub use aws_credential_types::Credentials;
pub use aws_credential_types::provider::ProvideCredentials;
pub use client::{Builder, Client, http_client};
pub use credentials::EnvCredentials;
pub use sagewire_transport::{
    AsyncRequest, AsyncResponse, Chat, ChatStream, Endpoint, Error, Input, Invoke, InvokeStream, Metadata,
    Operation, Request, Response, ResponseStream, Retry, ServiceError, Timeout, Timeouts, Transport,
};

/// The blocks of the project's README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
