#![forbid(unsafe_code)]
//! A local Amazon SageMaker Runtime, for tests, demos and benchmarks.
//!
//! It listens on loopback, serves `InvokeEndpoint`, `InvokeEndpointWithResponseStream`, `InvokeEndpointAsync` and the
//! route for OpenAI's clients, and checks the signature or the bearer token of every request as AWS does. Every endpoint
//! is a container that echoes the last user message, of whichever [`ContainerFormat`] the [`Builder`] is told. It honours
//! what the format has words for: a limit of tokens, texts that end the answer, the number of answers, and a tool that has
//! to be called. A [`Script`] says more: what is answered, where the stream is cut, and what goes wrong.
//!
//! ```
//! use sagewire_emulator::{Emulator, Script};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let script: Script = r#"{"rules": [{"endpoint": "busy", "status": 503, "retry_after": 1}]}"#.parse()?;
//! let emulator = Emulator::builder().script(script).start().await?;
//! assert!(emulator.url().starts_with("http://127.0.0.1:"));
//! assert!(emulator.requests().is_empty());
//! emulator.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Any AWS SDK can talk to it: set its endpoint URL to [`Emulator::url`], and its credentials to
//! [`ACCESS_KEY_ID`] and [`SECRET_ACCESS_KEY`] unless others were given to the [`Builder`]. The region is free.
//!
//! # In front of a real container
//!
//! With an [`Upstream`] it is SageMaker's front before a container on the same machine, so that the two can be tested
//! together:
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use sagewire_emulator::{Emulator, Upstream};
//!
//! let container: Upstream = "http://localhost:8080".parse()?;
//! let emulator = Emulator::builder().upstream(container).record("recordings").start().await?;
//! # Ok(())
//! # }
//! ```
//!
//! - The container sees the headers that the operation has, and no others. Of its own, the client sees the content type,
//!   the custom attributes and the sessions; on the OpenAI route all.
//! - Its status other than 200 becomes a `ModelError`, as does a container that does not answer, takes longer than
//!   [`Limits::unary`], or whose answer is too long. On the OpenAI route its errors pass as they are.
//! - Its stream is cut at random, without waiting for more than one chunk. One that breaks ends in a `ModelStreamError`
//!   with `StreamBroken`, one that takes longer than [`Limits::stream`] with `ModelInvocationTimeExceeded`; before the
//!   first byte that is the call's status. On the OpenAI route, which has no frames, the connection breaks.
//! - A client that leaves takes the container's connection with it, and one that reads slowly is not read ahead for.
//! - [`Builder::record`] keeps every call as a script that replays to the same bytes.
//!
//! Asynchronous calls are accepted; with [`Builder::storage`] the container's answer is put where the client was told.
//!
//! # Features
//!
//! - `tls`: real containers behind `https`, through rustls with *ring* and the certificates of the platform; or those of the
//!   file that the variable `SSL_CERT_FILE` names, where the platform has files.
//!
//! What it does not do: presigned URLs, TLS on its own side, waiting in a queue.

mod asynchronous;
mod bearer;
mod call;
mod container;
mod container_response;
mod cut;
mod emulator;
mod error;
mod fault;
mod feed;
mod front;
mod invocation;
mod json_text;
mod limits;
mod log;
mod playback;
mod record;
mod script;
mod service;
mod sigv4;
mod socket;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod upstream;
mod wire;
mod work;

pub use container::{ContainerFormat, UnknownFormat, echo};
pub use emulator::{ACCESS_KEY_ID, Builder, Emulator, SECRET_ACCESS_KEY};
pub use limits::Limits;
pub use log::Request;
pub use script::{SCRIPT_HELP, Script, ScriptError};
pub use upstream::{InvalidUpstream, Upstream};
