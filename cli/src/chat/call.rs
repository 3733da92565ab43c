//! One call of the endpoint.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sagewire_codec::model::{ConverseEncoding, ResponseOptions};
use sagewire_codec::{Framing, Options};
use sagewire_transport_reqwest::{Client, Endpoint, Metadata, Request};

use super::Args;
use crate::ask;
use crate::fault::{Exit, Fault, note};
use crate::format::{Reading, To};
use crate::output::{Sink, Stream};
use crate::service::{broken_off, cut_off, headers, refused_by};

/// What to look at where the container cannot take a request.
const CONTAINER: &str = "is --format what this container takes? (see sagewire formats)";

/// Calls an endpoint, and prints what it answers.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    args: &'a Args,
    client: Client,
    endpoint: Endpoint,
    /// How long the answer may be is the container's decision.
    has_no_limit: bool,
    verbose: bool,
}

impl<'a> Caller<'a> {
    pub(super) async fn new(args: &'a Args, has_no_limit: bool, verbose: bool) -> Result<Self, Fault> {
        let endpoint = args.endpoint.endpoint(&args.name)?;
        Ok(Self { args, client: args.connection.client().await?, endpoint, has_no_limit, verbose })
    }

    /// Where an answer is to go.
    pub(super) fn stream(&self) -> Stream {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let context = ResponseOptions::new().created(now.as_secs()).encoding(ConverseEncoding::JsonLines);
        let sink = match self.args.to {
            To::Api(target) if self.args.no_stream => Sink::whole(target, context),
            To::Api(target) => Sink::stream(target, context),
            To::Events => Sink::Events,
            _ => Sink::Text,
        };
        Stream::new(self.reading().apply(Options::new()), sink, self.verbose)
    }

    /// Asks, and writes the answer to `stream`, which has what came of it whatever happens.
    pub(super) async fn call(&self, body: Vec<u8>, stream: &mut Stream) -> Result<(), Fault> {
        let content_type = self.args.format.request.content_type();
        let request = Request::new(self.endpoint.clone(), body).content_type(content_type);
        stream.show_progress();
        let ending = match self.args.no_stream {
            true => self.whole(request, stream).await,
            false => self.streamed(request, stream).await,
        };
        stream.hide_progress();
        ending
    }

    /// Says so if the answer could have been longer.
    pub(super) fn tell_cut(&self, stream: &Stream) {
        if stream.is_cut() && self.has_no_limit {
            note(
                "note: the answer ends where the container's own limit of tokens is; --max-tokens sets another",
            );
        }
    }

    fn tell_headers(&self, metadata: &Metadata) {
        if self.verbose {
            headers(metadata).for_each(|line| note(&format!("answer: {line}")));
        }
    }

    fn reading(&self) -> &Reading {
        self.args.from.as_ref().unwrap_or(&self.args.format.response)
    }

    async fn streamed(&self, request: Request, stream: &mut Stream) -> Result<(), Fault> {
        let start = Instant::now();
        let response = self.client.invoke_stream(request).await;
        let mut response = response.map_err(|error| refused_by(&error, CONTAINER))?;
        self.tell_headers(response.metadata());
        let mut received: u64 = 0;
        let broken = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    received += chunk.len() as u64;
                    stream.feed(chunk)?;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        stream.set_latency_ms(start.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
        match (stream.finish(), broken) {
            // The stream ended early because the connection did. If it did not, the connection does not matter.
            (Err(Fault::Line(Exit::Truncated, _)), Some(error)) => Err(cut_off(&error, received)),
            (Err(Fault::Line(Exit::Truncated, line)), None)
                if ask::may_only_stop(&self.args.format.request) =>
            {
                let hint = "some containers of this format never say that they are done; --no-stream asks for one piece";
                Err(Fault::Line(Exit::Truncated, format!("{line}; hint: {hint}")))
            }
            (ending, _) => ending,
        }
    }

    async fn whole(&self, request: Request, stream: &mut Stream) -> Result<(), Fault> {
        let start = Instant::now();
        let response = self.client.invoke(request).await;
        let response = response.map_err(|error| broken_off(&error, CONTAINER))?;
        self.tell_headers(&response.metadata);
        // A container that was asked for one piece may stream all the same.
        let options = match response.metadata.content_type.as_deref() {
            Some(content_type) if content_type.starts_with("text/event-stream") => {
                self.reading().apply(Options::new().framing(Framing::Sse))
            }
            _ => self.reading().apply_to_whole(Options::new()),
        };
        stream.set_options(options);
        stream.set_latency_ms(start.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
        stream.feed(response.body)?;
        stream.finish()
    }
}
