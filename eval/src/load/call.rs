//! One request of a load test, and its measurement.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sagewire_codec::model::{Event, Usage};
use sagewire_codec::{DecodeError, Decoder, Options};
use sagewire_transport::{Error, Request, ResponseStream, Retry, Timeout, Transport};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The response is complete.
    Complete,
    /// The response ended early.
    Truncated,
    /// The model or the service reported a failure within the response.
    Failed,
    /// The response cannot be decoded.
    Corrupt,
    /// The service responded with an error.
    Refused,
    /// There was no response.
    Unreachable,
}

/// What was measured of a request. Times are those at which bytes arrived, before they were decoded.
#[derive(Debug)]
pub(super) struct Measurement {
    /// When the request had to be sent.
    pub(super) start: Instant,
    /// When the first output arrived: text, reasoning, or the input of a tool call.
    pub(super) first_output: Option<Instant>,
    /// When the last output arrived, or the finish reason.
    pub(super) last_output: Option<Instant>,
    /// The times between two events with output.
    pub(super) gaps: Vec<Duration>,
    /// The number of events with output.
    pub(super) outputs: u64,
    /// The tokens that the container counted.
    pub(super) usage: Option<Usage>,
    pub(super) ending: Ending,
    /// The name of the error, unless the response is complete.
    pub(super) error: Option<String>,
    pub(super) attempts: u32,
    /// Attempts that were refused because there were too many.
    pub(super) throttles: u32,
}

/// A [`Transport`] as a trait object.
pub(super) trait Invoke: Send + Sync {
    fn invoke_stream(&self, request: Request) -> Opening<'_>;
}

type Opening<'a> = Pin<Box<dyn Future<Output = Result<ResponseStream, Error>> + Send + 'a>>;

impl<T: Transport> Invoke for T {
    fn invoke_stream(&self, request: Request) -> Opening<'_> {
        Box::pin(Transport::invoke_stream(self, request))
    }
}

/// Called with each event with output, and when its bytes arrived.
pub(super) type Watch<'a> = &'a mut (dyn FnMut(&str, Instant) + Send);

/// Sends a request, and reads its response to the end.
pub(super) async fn measure(
    transport: &dyn Invoke,
    retry: &Retry,
    request: &Request,
    options: &Options,
    start: Instant,
    watch: Watch<'_>,
) -> Measurement {
    let mut measurement = Measurement::new(start);
    let (attempts, throttles) = (AtomicU32::new(0), AtomicU32::new(0));
    let attempt = || async {
        attempts.fetch_add(1, Ordering::Relaxed);
        let opened = transport.invoke_stream(request.clone()).await;
        if opened.as_ref().is_err_and(is_throttling) {
            throttles.fetch_add(1, Ordering::Relaxed);
        }
        opened
    };
    match retry.run_stream(attempt).await {
        Ok(stream) => measurement.read(stream, options, watch).await,
        Err(error) => measurement.end(without_response(&error), &error),
    }
    (measurement.attempts, measurement.throttles) = (attempts.into_inner(), throttles.into_inner());
    measurement
}

impl Measurement {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            first_output: None,
            last_output: None,
            gaps: Vec::new(),
            outputs: 0,
            usage: None,
            ending: Ending::Complete,
            error: None,
            attempts: 1,
            throttles: 0,
        }
    }

    fn end(&mut self, ending: Ending, error: &Error) {
        self.ending = ending;
        self.error = Some(error.type_name().into_owned());
    }

    async fn read(&mut self, mut stream: ResponseStream, options: &Options, watch: Watch<'_>) {
        let mut decoder = Decoder::with_options(options.clone().framing(stream.framing()));
        let mut arrived = Instant::now();
        let broken = loop {
            match stream.chunk().await {
                Ok(Some(chunk)) => {
                    arrived = Instant::now();
                    if let Err(error) = self.decode(&mut decoder, chunk, arrived, watch) {
                        return self.undecodable(error);
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let rest = loop {
            match decoder.finish() {
                Ok(Some(event)) => self.add(&event, arrived, watch),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match (rest, broken) {
            // A failure that the transport has found in a frame.
            (_, Some(error)) if error.failure().is_some() => self.end(Ending::Failed, &error),
            // An error of the connection after a complete stream does no harm.
            (Ok(()), _) => {}
            (Err(cut), Some(error)) if cut.is_truncated() => self.end(broke_off(&error), &error),
            (Err(error), _) => self.undecodable(error),
        }
    }

    fn decode(
        &mut self,
        decoder: &mut Decoder,
        mut chunk: Bytes,
        arrived: Instant,
        watch: Watch<'_>,
    ) -> Result<(), DecodeError> {
        while let Some(event) = decoder.decode(&mut chunk)? {
            self.add(&event, arrived, watch);
        }
        Ok(())
    }

    fn undecodable(&mut self, error: DecodeError) {
        let ending = match &error {
            error if error.is_truncated() => Ending::Truncated,
            error if error.is_model_failure() => Ending::Failed,
            _ => Ending::Corrupt,
        };
        self.end(ending, &error.into());
    }

    fn add(&mut self, event: &Event<'_>, arrived: Instant, watch: Watch<'_>) {
        match event {
            Event::TextDelta { text, .. }
            | Event::ReasoningDelta { text, .. }
            | Event::RefusalDelta { text, .. }
            | Event::ToolInputDelta { text, .. } => {
                // Nothing but the finish reason of another choice comes between two outputs.
                if let (Some(_), Some(last)) = (self.first_output, self.last_output) {
                    self.gaps.push(arrived.saturating_duration_since(last));
                }
                self.first_output.get_or_insert(arrived);
                self.last_output = Some(arrived);
                self.outputs += 1;
                watch(text, arrived);
            }
            Event::Finish { .. } => self.last_output = Some(arrived),
            Event::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }
}

fn is_throttling(error: &Error) -> bool {
    error.service().is_some_and(|error| error.is_throttling())
}

/// The ending of a request without a response.
fn without_response(error: &Error) -> Ending {
    if error.service().is_some() || error.is_redirect() || error.is_content_type() {
        Ending::Refused
    } else if error.failure().is_some() {
        Ending::Failed
    } else {
        Ending::Unreachable
    }
}

/// The ending of a response whose connection failed.
fn broke_off(error: &Error) -> Ending {
    match error.timeout() {
        Some(Timeout::FirstByte) => Ending::Unreachable,
        _ if error.is_too_large() => Ending::Corrupt,
        _ => Ending::Truncated,
    }
}
