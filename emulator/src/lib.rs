#![forbid(unsafe_code)]
//! A local Amazon SageMaker Runtime, for tests, demos and benchmarks.
//!
//! It listens on loopback, serves `InvokeEndpoint` and `InvokeEndpointWithResponseStream`, and checks the signature of
//! every request as AWS does. Every endpoint is a container that echoes the last user message, of whichever
//! [`ContainerFormat`] the [`Builder`] is told; a [`Script`] says more: what is answered, where the stream is cut, and
//! what goes wrong.
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
//! What it does not do: the asynchronous operation, the OpenAI-compatible route, presigned URLs, TLS.

mod asynchronous;
mod bearer;
mod call;
mod container;
mod cut;
mod emulator;
mod error;
mod feed;
mod front;
mod invocation;
mod limits;
mod log;
mod playback;
mod record;
mod script;
mod service;
mod sigv4;
mod socket;
mod upstream;
mod wire;
mod work;

pub use container::{ContainerFormat, UnknownFormat, echo};
pub use emulator::{ACCESS_KEY_ID, Builder, Emulator, SECRET_ACCESS_KEY};
pub use limits::Limits;
pub use log::Request;
pub use script::{SCRIPT_HELP, Script, ScriptError};
pub use upstream::{InvalidUpstream, Upstream};
