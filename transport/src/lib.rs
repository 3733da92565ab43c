#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
//! Invokes Amazon SageMaker endpoints: the parts that all transports share, and the clients on top of them.
//!
//! A *transport* sends a [`Request`] to an [`Endpoint`] and returns a [`Response`] or a [`ResponseStream`]. There are two:
//! [`sagewire-transport-reqwest`](https://docs.rs/sagewire-transport-reqwest), and
//! [`sagewire-transport-sdk`](https://docs.rs/sagewire-transport-sdk) over a client of the AWS SDK. Both re-export this crate's
//! types. A [`Chat`] or [`Embeddings`] goes on top of either, or on top of `tower` layers around it: a transport is a
//! [`tower_service::Service`] of [`Invoke`], [`InvokeStream`] and [`AsyncRequest`], so rate limits, timeouts and caches are
//! layers.
//!
//! # Which function do I want?
//!
//! | I have | I want | function |
//! |---|---|---|
//! | bytes for the container | its bytes | [`Transport::invoke`] |
//! | bytes for the container | its bytes as they arrive | [`Transport::invoke_stream`] |
//! | bytes for the container | its response in S3, later | [`Transport::invoke_async`] |
//! | a canonical request | a canonical response | [`Chat::complete`] |
//! | a canonical request | canonical events | [`Chat::stream`] |
//! | a request body in any API | a response in any API, streaming if requested | [`Chat::transcode`] |
//! | the same | always a stream | [`Chat::transcode_stream`] |
//! | the same | never a stream | [`Chat::transcode_complete`] |
//! | texts | their vectors | [`Embeddings::embed`] |
//! | an OpenAI request for embeddings | an OpenAI response | [`Embeddings::transcode`] |
//! | several requests for one instance | a stateful session | [`Session::open`] |
//! | a gateway, or another service | the same functions | [`Endpoint::gateway`], [`Runtime`] |
//! | a container's response | canonical form | [`Response::chat`], [`ResponseStream::events`] |
//! | a container's response | a response of any API | [`Response::transcoded`], [`ResponseStream::transcoded`] |
//! | a converted response | an HTTP response for my client | [`Transcoded::into_http`] |
//! | an [`Error`] | an HTTP response for my client | [`Error::to_http`] |
//!
//! # A transport of your own
//!
//! Give a client the three methods of [`Transport`]. Wrap each call in [`Retry::run`] or [`Retry::run_stream`], limit it by
//! a [`Deadline`], and return the body as [`Chunks`]. [`impl_transport!`] implements the traits, and [`bounds_setters!`] adds
//! setters for timeouts and retries to a builder.
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use sagewire_codec::{Api, read_request};
//! use sagewire_transport::{
//!     AsyncRequest, AsyncResponse, Bounds, Chat, Chunks, Deadline, Error, Metadata, Operation, Request,
//!     Response, ResponseStream, ServiceError, http_chunks, impl_transport, read_body, read_error_body,
//! };
//! # // The HTTP client of this example returns the same response for every call.
//! # mod my_http {
//! #     use std::convert::Infallible;
//! #     use std::pin::Pin;
//! #     use std::task::{Context, Poll};
//! #     use bytes::Bytes;
//! #     use http_body::Frame;
//! #     use sagewire_codec::eventstream::{Header, Value, encode};
//! #     pub struct Full(Option<Bytes>);
//! #     impl http_body::Body for Full {
//! #         type Data = Bytes;
//! #         type Error = Infallible;
//! #         fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
//! #             Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
//! #         }
//! #     }
//! #     pub async fn send(request: http::Request<Bytes>) -> Result<http::Response<Full>, std::io::Error> {
//! #         let choice = |field| format!(r#"{{"choices":[{{"index":0,"{field}":{{"content":"hello"}},"finish_reason":"stop"}}]}}"#);
//! #         let response = http::Response::builder();
//! #         if request.uri().path().ends_with("/invocations") {
//! #             return Ok(response.body(Full(Some(choice("message").into()))).unwrap());
//! #         }
//! #         let headers = [(":message-type", "event"), (":event-type", "PayloadPart")];
//! #         let headers = headers.map(|(name, value)| Header::new(name, Value::String(value)));
//! #         let mut frame = Vec::new();
//! #         encode(headers, format!("data: {}\n\n", choice("delta")).as_bytes(), &mut frame).unwrap();
//! #         let response = response.header("content-type", "application/vnd.amazon.eventstream");
//! #         Ok(response.body(Full(Some(frame.into()))).unwrap())
//! #     }
//! # }
//!
//! /// Invokes endpoints with an HTTP client of your own.
//! #[derive(Clone, Debug)]
//! struct Client {
//!     url: String,
//!     bounds: Bounds,
//! }
//!
//! impl Client {
//!     /// One attempt: returns the headers and the body of a response with status 200.
//!     async fn send(
//!         &self,
//!         request: &Request,
//!         operation: Operation,
//!         deadline: Deadline,
//!     ) -> Result<(HeaderMap, Chunks), Error> {
//!         let uri = format!("{}{}", self.url, request.endpoint.path(operation)?);
//!         let mut sent = http::Request::post(uri).body(request.body.clone()).map_err(Error::other)?;
//!         *sent.headers_mut() = request.headers(operation)?;
//!         // Sign the request here.
//!         let response = self.bounds.timeouts.response(my_http::send(sent)).await?;
//!         let (head, body) = response.map_err(|error| Error::connect().because(error))?.into_parts();
//!         let chunks = http_chunks(body, |error| error);
//!         if head.status == StatusCode::OK {
//!             return Ok((head.headers, chunks));
//!         }
//!         let body = read_error_body(chunks, &self.bounds, deadline).await;
//!         Err(ServiceError::new(head.status, &head.headers, body).into())
//!     }
//!
//!     pub async fn invoke(&self, request: Request) -> Result<Response, Error> {
//!         let deadline = Deadline::new(&self.bounds.timeouts);
//!         let attempt = || async {
//!             let (headers, chunks) = self.send(&request, Operation::Invoke, deadline).await?;
//!             let body = read_body(chunks, &self.bounds, deadline).await?;
//!             Ok(Response::new(Metadata::new(&headers, Operation::Invoke), body))
//!         };
//!         deadline.bound(self.bounds.retry.run(attempt)).await
//!     }
//!
//!     pub async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
//!         let deadline = Deadline::new(&self.bounds.timeouts);
//!         let attempt = || async {
//!             let (headers, chunks) = self.send(&request, Operation::Stream, deadline).await?;
//!             ResponseStream::from_headers(&headers, Operation::Stream, chunks, &self.bounds, deadline).await
//!         };
//!         deadline.bound(self.bounds.retry.run_stream(attempt)).await
//!     }
//!
//!     pub async fn invoke_async(&self, _: AsyncRequest) -> Result<AsyncResponse, Error> {
//!         Err(Error::unsupported("asynchronous invocations"))
//!     }
//! }
//!
//! impl_transport!(Client);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let client = Client { url: "http://localhost:8080".into(), bounds: Bounds::default() };
//! let chat = Chat::new(client, "my-llm");
//! let request = read_request(Api::OpenAi, br#"{"messages":[{"role":"user","content":"hi"}]}"#)?;
//! assert_eq!(chat.complete(&request).await?.text(), "hello");
//! let mut events = chat.stream(&request).await?;
//! while let Some(event) = events.event().await? {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `custom`: [`Chat::custom`], for containers whose format a file describes.
//! - `serde`: `ChatConfig`, [`Endpoint`], [`Bounds`], [`Timeouts`] and [`Retry`] are `Serialize` and `Deserialize`, so that a configuration
//!   file can contain them. Durations are numbers of seconds.
//! - `tracing`: a span for each call of a [`Chat`] or [`Embeddings`], with the names of
//!   [OpenTelemetry's conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/).

mod body;
mod bounds;
mod chat;
#[cfg(feature = "serde")]
mod chat_config;
mod chat_response;
mod embeddings;
mod endpoint;
mod error;
mod event_source;
mod http_response;
mod observer;
mod parameters;
mod quoted_request;
mod request;
mod response;
mod retry;
mod route;
mod runtime;
#[cfg(feature = "serde")]
mod serde_duration;
mod service;
mod session;
mod stream_stats;
#[cfg(feature = "tracing")]
mod trace;
mod transcoded;

pub use body::{Chunks, Deadline, Timeouts, http_chunks};
pub use bounds::Bounds;
pub use chat::Chat;
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub use chat_config::ChatConfig;
pub use chat_response::{ChatResponse, ChatStream};
pub use embeddings::{Embeddings, EmbeddingsResponse};
pub use endpoint::{Endpoint, Operation};
pub use error::{Error, ServiceError, Timeout};
pub use http_response::ResponseBody;
pub use request::{AsyncRequest, Input, Request};
pub use response::{
    AsyncResponse, ChunkStream, Metadata, Response, ResponseStream, read_body, read_error_body,
};
pub use retry::Retry;
pub use runtime::{IdentityToken, Rules, Runtime};
pub use service::{BoxFuture, Invoke, InvokeStream, Transport};
pub use session::Session;
pub use stream_stats::StreamStats;
#[doc(hidden)]
pub use tower_service;
pub use transcoded::{Transcoded, TranscodedResponse, TranscodedStream};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
