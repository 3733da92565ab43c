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
//! are not followed, proxies of the environment are not used, and nothing is decompressed; a client of one's own
//! ([`Builder::http_client`]) may go through a proxy. HTTP/2 is spoken where the server offers it in the TLS handshake.
//!
//! A signature is refused where this machine's clock is wrong. The time of the refusal puts it right, once, and the request
//! is sent again.
//!
//! # Trying again
//!
//! What may pass is tried up to three times, each with a signature of its own: [`Retry`] says what, and how long is waited.
//! That goes for a stream, too, which breaks, ends or fails before its first event: [`Client::invoke_stream`] returns with the
//! first one. Nothing is tried again once something of an answer was handed out: the error then tells the caller how it ended.
//! [`Retry::never`] turns it off. HTTP's own exception remains: a request of which no byte was sent, because a pooled
//! connection had been closed, takes another connection.
//!
//! # Hosts
//!
//! Unless an endpoint URL is given, requests go to `https://runtime.sagemaker.REGION.SUFFIX`, with the suffix of the
//! region's partition (`amazonaws.com`, `amazonaws.com.cn`, ...), or to its hosts for FIPS ([`Builder::fips`]) and dual stack
//! ([`Builder::dual_stack`]). An [`Endpoint`] may name a region of its own. [`Client::settings`] tells where each came from,
//! and [`Client::warnings`] whether something may not be meant, such as plain HTTP to another machine.
//!
//! # Credentials
//!
//! They come from the environment ([`Builder::from_env`]), from any [`ProvideCredentials`], or with the feature `aws-config`
//! from wherever AWS's tools find them: `Builder::load_aws_config` and `Builder::from_aws_config`. They are fetched anew
//! five minutes before they expire, by one request for all. Where the service says that they have expired all the same, they
//! are fetched at once, and the request is sent again with them; keys that stay the same fail at once.
//!
//! # The OpenAI route
//!
//! [`Route::OpenAi`] asks the container's `/v1/chat/completions` by a bearer [`Token`], which is made of the credentials
//! without asking anybody, and made anew before it expires. What the container answers comes as it is, without frames:
//! [`ResponseStream::events`], [`Chat`] and the rest read it all the same.
//!
//! # Features
//!
//! - `rustls` (default): `https`, through rustls with *ring* and the certificates of the platform.
//! - `aws-config`: the credentials and settings of AWS's tools. SSO, roles and web identities are asked for over `https`, by
//!   the same reqwest and the same TLS: they need `rustls`; containers, instances and processes do not.
//! - `tracing`: the spans of `sagewire-transport`, and a warning before credentials go over plain HTTP to another machine.

#[cfg(feature = "aws-config")]
mod aws_config;
mod body;
mod builder;
#[cfg(feature = "aws-config")]
mod chain;
mod client;
mod clock;
#[cfg(feature = "aws-config")]
mod connector;
mod credentials;
mod host;
#[cfg(feature = "aws-config")]
mod profiles;
mod settings;
mod sign;
#[cfg(feature = "rustls")]
mod tls;
mod token;
mod warning;

#[cfg(feature = "aws-config")]
pub use self::aws_config::AwsConfig;
pub use aws_credential_types::Credentials;
pub use aws_credential_types::provider::ProvideCredentials;
pub use builder::{Builder, http_client};
pub use client::{Client, Route};
pub use credentials::EnvCredentials;
pub use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Chat, ChatResponse, ChatStream, Embeddings, EmbeddingsResponse,
    Endpoint, Error, Input, Invoke, InvokeStream, Metadata, Operation, Request, Response, ResponseBody,
    ResponseStream, Retry, ServiceError, Timeout, Timeouts, Transcoded, TranscodedResponse, TranscodedStream,
    Transport,
};
pub use settings::{CredentialsSource, Origin, Setting, Settings};
pub use token::Token;
pub use warning::Warning;

/// The blocks of the project's README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
