//! One call of the endpoint.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sagewire_codec::model::{ConverseEncoding, ResponseOptions};
use sagewire_codec::{Framing, Options};
use sagewire_transport_reqwest::{Client, Endpoint, Metadata, Request, Session};

use super::Args;
use crate::call_error::{call_failed, headers, is_before_response, stream_broke_off, unary_call_failed};
use crate::chat_request::may_lack_end_marker;
use crate::fault::{Exit, Fault, note};
use crate::format::{Reading, To, Writing};
use crate::output::{Output, Sink, Stream};
use crate::unrecognized::Origin;

/// The hint if the container has rejected a request.
const CONTAINER: &str = "is --format what this container takes? (see sagewire formats)";

/// Calls an endpoint and prints its responses.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    args: &'a Args,
    client: Client,
    endpoint: Endpoint,
    /// The token limit is left to the container.
    has_default_limit: bool,
}

impl<'a> Caller<'a> {
    pub(super) async fn new(args: &'a Args, has_default_limit: bool) -> Result<Self, Fault> {
        let api = match args.format.request {
            Writing::Known(api) => Some(api),
            Writing::Custom(_) => None,
        };
        let endpoint = args.endpoint.endpoint(&args.name, api)?;
        Ok(Self { args, client: args.connection.client().await?, endpoint, has_default_limit })
    }

    /// Opens a stateful session, in which all further calls are.
    pub(super) async fn open_session(&mut self) -> Result<Session<Client>, Fault> {
        let session = Session::open(self.client.clone(), self.endpoint.clone()).await;
        let session = session.map_err(|error| match error.is_unsupported() {
            // The container has responded, so this is no mistake in the arguments.
            true => Fault::Line(Exit::Failed, format!("session: {error}")),
            false => call_failed(&error, &self.client, CONTAINER),
        })?;
        self.endpoint = session.endpoint().clone();
        if self.args.verbose {
            let expires = session.expires().map_or(String::new(), |time| format!(", expires {time}"));
            note(&format!("session: {}{expires}", session.id()));
        }
        Ok(session)
    }

    /// Creates the stream that prints a response.
    pub(super) fn stream(&self) -> Stream {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let options = ResponseOptions::new().created(now.as_secs()).encoding(ConverseEncoding::JsonLines);
        let sink = match self.args.to {
            To::Api(api) if self.args.no_stream => Sink::response(api, options),
            To::Api(api) => Sink::stream(api, options),
            To::Events => Sink::Events,
            _ => Sink::Text,
        };
        let output = Output::new(self.args.output);
        Stream::new(self.reading().apply(Options::new()), sink, output, Origin::Response, self.args.verbose)
    }

    /// Sends a request and writes the response to `stream`, which keeps what was received if the call fails.
    pub(super) async fn call(&self, body: Vec<u8>, stream: &mut Stream) -> Result<(), Fault> {
        let content_type = self.args.format.request.content_type();
        let request = Request::new(self.endpoint.clone(), body).content_type(content_type);
        stream.show_progress();
        let ending = match self.args.no_stream {
            true => self.unary(request, stream).await,
            false => self.streamed(request, stream).await,
        };
        stream.hide_progress();
        ending
    }

    /// Prints a note if the response ended at the container's own token limit.
    pub(super) fn note_token_limit(&self, stream: &Stream) {
        if stream.is_cut() && self.has_default_limit {
            note(
                "note: the response ended at the container's default token limit; --max-tokens sets another",
            );
        }
    }

    fn note_headers(&self, metadata: &Metadata) {
        if self.args.verbose {
            headers(metadata).for_each(|line| note(&format!("response: {line}")));
        }
    }

    fn reading(&self) -> &Reading {
        self.args.from.as_ref().unwrap_or(&self.args.format.response)
    }

    async fn streamed(&self, request: Request, stream: &mut Stream) -> Result<(), Fault> {
        let start = Instant::now();
        let response = self.client.invoke_stream(request).await;
        let mut response = response.map_err(|error| call_failed(&error, &self.client, CONTAINER))?;
        self.note_headers(response.metadata());
        let mut received: u64 = 0;
        let broken = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    received += chunk.len() as u64;
                    stream.feed(chunk)?;
                }
                Ok(None) => break None,
                Err(error) => {
                    stream.set_broken();
                    break Some(error);
                }
            }
        };
        stream.set_latency_ms(start.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
        match (stream.finish(), broken) {
            (Err(_), Some(error)) if is_before_response(&error) => {
                Err(call_failed(&error, &self.client, CONTAINER))
            }
            // A broken connection matters only if the stream is not complete.
            (Err(Fault::Line(Exit::Truncated, _)), Some(error)) => Err(stream_broke_off(&error, received)),
            (Err(Fault::Line(Exit::Truncated, line)), None)
                if may_lack_end_marker(&self.args.format.request) =>
            {
                let hint =
                    "some containers of this format send no end marker; --no-stream avoids the need for one";
                Err(Fault::Line(Exit::Truncated, format!("{line}; hint: {hint}")))
            }
            (ending, _) => ending,
        }
    }

    async fn unary(&self, request: Request, stream: &mut Stream) -> Result<(), Fault> {
        let start = Instant::now();
        let response = self.client.invoke(request).await;
        let response = response.map_err(|error| unary_call_failed(&error, &self.client, CONTAINER))?;
        self.note_headers(&response.metadata);
        // A container may stream although no stream was requested.
        let options = match response.metadata.content_type.as_deref() {
            Some(content_type) if content_type.starts_with("text/event-stream") => {
                self.reading().apply(Options::new().framing(Framing::Sse))
            }
            _ => self.reading().apply_to_response(Options::new()),
        };
        stream.set_options(options);
        stream.set_latency_ms(start.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
        stream.feed(response.body)?;
        stream.finish()
    }
}
