#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
//! Invokes Amazon SageMaker endpoints over [`reqwest`].
//!
//! A [`Client`] signs a [`Request`], sends it, and returns the body of the response: in one piece with [`Client::invoke`], or
//! chunk by chunk with [`Client::invoke_stream`]. A streaming body consists of event-stream frames;
//! [`ResponseStream::events`] and [`ResponseStream::transcoded`] decode them with `sagewire-codec`. A [`Chat`] on top of the
//! client takes canonical requests. The front page of `sagewire-transport` lists all functions.
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
//! # Signatures
//!
//! All headers are signed, except `content-length` and `authorization` itself. Redirects are not followed, and nothing is
//! decompressed. HTTP/2 is used if the server offers it in the TLS handshake.
//!
//! # Proxies and certificates
//!
//! The proxies of the environment are used, as by curl: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, also in lower
//! case, for the service and for STS and SSO. Requests to this machine and to metadata services go directly. `AWS_CA_BUNDLE`,
//! `ca_bundle` of a profile or [`Builder::ca_bundle`] replaces the trusted certificates of the platform, as `SSL_CERT_FILE` does.
//!
//! The service refuses a signature if the clock of this machine is wrong. The client then corrects its clock by the `Date` of
//! the response, by one day at most, and sends the request again, once.
//!
//! # Retries
//!
//! Transient errors are retried, up to three attempts in all, each with its own signature: see [`Retry`]. This includes streams
//! that break, end or fail before their first event: [`Client::invoke_stream`] waits for the first event. Nothing is retried once
//! a part of the response was passed to the caller; the error then describes how the response ended. [`Retry::never`] turns retries
//! off, with one exception: a request that was not sent at all because its pooled connection was closed is sent over another
//! connection.
//!
//! # Hosts
//!
//! Unless an endpoint URL is set, requests go to `https://runtime.sagemaker.REGION.SUFFIX`, with the suffix of the region's
//! partition (`amazonaws.com`, `amazonaws.com.cn`, ...), or to the hosts for FIPS ([`Builder::fips`]) and dual stack
//! ([`Builder::dual_stack`]). An [`Endpoint`] may have a region of its own. [`Client::settings`] returns the origin of each
//! setting, and [`Client::warnings`] what may be a mistake, such as plain HTTP to another machine.
//!
//! # Credentials
//!
//! Credentials come from the environment ([`Builder::from_env`]), from any [`ProvideCredentials`], or with the feature
//! `aws-config` from the sources of the AWS tools: `Builder::load_aws_config` and `Builder::from_aws_config`. They are refreshed
//! five minutes before they expire, by one request for all. If the service reports that they have expired, they are refreshed at
//! once and the request is sent again; if the provider returns the same credentials, the request fails.
//!
//! # The OpenAI route
//!
//! [`Route::OpenAi`] sends requests to the container's `/v1/chat/completions` with a bearer [`Token`], which is generated locally
//! from the credentials, and refreshed before it expires. The response is the container's own, without frames:
//! [`ResponseStream::events`], [`Chat`] and the other functions read it in the same way.
//!
//! # Other services
//!
//! An [`Endpoint`] with a [`Runtime`] is that of another service which signs as SageMaker: its host, paths and headers are
//! settings. [`Endpoint::gateway`] is a Global Inference Gateway. A host is derived from the region, as for SageMaker Runtime;
//! a client with an endpoint URL sends to that URL. Whether a stream has event-stream frames is detected by its first bytes.
//!
//! # Features
//!
//! - `rustls` (default): `https`, through rustls with *ring* and the certificates of the platform.
//! - `aws-config`: configuration and credentials of the AWS tools. SSO, roles and web identities use `https`, with the same
//!   reqwest and the same TLS, so they need `rustls`; containers, instances and processes do not.
//! - `serde`: see `sagewire-transport`.
//! - `tracing`: the spans of `sagewire-transport`, and a warning before credentials are sent over plain HTTP to another machine.

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
mod identities;
#[cfg(feature = "aws-config")]
mod profiles;
mod proxy;
mod settings;
mod sign;
#[cfg(feature = "aws-config")]
mod sources;
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
#[cfg(feature = "aws-config")]
pub use identities::WebIdentityToken;
#[cfg(feature = "aws-config")]
pub use profiles::ProfileFile;
pub use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Chat, ChatResponse, ChatStream, Embeddings, EmbeddingsResponse,
    Endpoint, Error, IdentityToken, Input, Invoke, InvokeStream, Metadata, Operation, Request, Response,
    ResponseBody, ResponseStream, Retry, Rules, Runtime, ServiceError, Session, Timeout, Timeouts,
    Transcoded, TranscodedResponse, TranscodedStream, Transport,
};
pub use settings::{CredentialsSource, Origin, Setting, Settings};
pub use token::Token;
pub use warning::Warning;
