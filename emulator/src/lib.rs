#![forbid(unsafe_code)]
//! A local Amazon SageMaker Runtime for tests, demos and benchmarks.
//!
//! It listens on loopback, serves `InvokeEndpoint`, `InvokeEndpointWithResponseStream`, `InvokeEndpointAsync`, the
//! OpenAI-compatible route and Global Inference Gateways, and verifies the signature or the bearer token of every request as AWS does. Every endpoint has
//! an emulated container that echoes the last user message; [`Builder::format`] sets its API. It honours token
//! limits, stop sequences, the number of choices and required tools, as far as its API has them. A [`Script`] sets other
//! responses, cuts of the stream, and faults.
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
//! Any AWS SDK can call it: set its endpoint URL to [`Emulator::url`], and its credentials to [`ACCESS_KEY_ID`] and
//! [`SECRET_ACCESS_KEY`] or those given to the [`Builder`]. Any region is accepted.
//!
//! # In front of a real container
//!
//! With an [`Upstream`], it takes the place of SageMaker in front of a container on the same machine, so that the two can be
//! tested together:
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
//! - The container receives only the headers that the operation passes on. The client receives the container's content
//!   type, custom attributes and session headers; on the OpenAI route, all headers.
//! - A status other than 200 becomes a `ModelError`, as does a container that does not respond, exceeds [`Limits::unary`],
//!   or sends a response that is too long. The OpenAI route passes the container's errors on unchanged.
//! - Streams are cut at random, without waiting for more than one chunk. A stream that breaks ends with a
//!   `ModelStreamError` with the code `StreamBroken`, one that exceeds [`Limits::stream`] with the code
//!   `ModelInvocationTimeExceeded`; before the first byte, the call fails with that error. On the OpenAI route, which has no
//!   frames, the connection is closed.
//! - If the client disconnects, the connection to the container is closed. A slow client slows the container down.
//! - [`Builder::record`] records every call as a script that replays the same bytes.
//!
//! Asynchronous calls are accepted; with [`Builder::storage`], the container's response is written to the location that the
//! client was given.
//!
//! # Features
//!
//! - `tls`: real containers behind `https`, through rustls with *ring* and the certificates of the platform, or those of the
//!   file in the environment variable `SSL_CERT_FILE` on platforms that keep certificates in files.
//!
//! With a [`Pace`], a container takes its time: it has a token rate, a time to first token, slots and a queue.
//!
//! Not supported: presigned URLs, and TLS for clients.

mod async_invocation;
mod asynchronous;
mod call;
mod container;
mod container_response;
mod cut;
mod emulator;
mod error;
mod fault;
mod framing;
mod gateway;
mod headers;
mod invocation;
mod json_text;
mod limits;
mod log;
mod origin;
mod pace;
mod playback;
mod private_file;
mod record;
mod script;
mod server;
mod service;
mod sessions;
mod socket;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod upstream;
mod wire;

pub use container::{ContainerFormat, UnknownFormat, echo};
pub use emulator::{ACCESS_KEY_ID, Builder, Emulator, SECRET_ACCESS_KEY};
pub use limits::Limits;
pub use log::Request;
pub use pace::Pace;
pub use script::{SCRIPT_HELP, Script, ScriptError};
pub use upstream::{InvalidUpstream, Upstream};
