//! Sends requests.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::Arc;

use aws_sdk_sagemakerruntime::client::customize::CustomizableOperation;
use aws_sdk_sagemakerruntime::config;
use aws_sdk_sagemakerruntime::config::http::HttpResponse;
use aws_sdk_sagemakerruntime::config::retry::RetryConfig;
use aws_sdk_sagemakerruntime::config::timeout::TimeoutConfig;
use aws_sdk_sagemakerruntime::config::{Region, StalledStreamProtectionConfig};
use aws_sdk_sagemakerruntime::error::SdkError;
use aws_smithy_types::body::SdkBody;
use futures_util::FutureExt;
use http::{HeaderMap, StatusCode, header};
use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Chunks, Deadline, Error, Metadata, Operation, Request, Response,
    ResponseStream, ServiceError, bounds_setters, http_chunks, impl_transport, read_body, read_error_body,
};

use crate::error::{unanswered, unsigned};
use crate::exchange::{Exchange, Stage};
use crate::fields;

/// Invokes endpoints with a client of AWS's SDK. Clones share it.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sdk: aws_sdk_sagemakerruntime::Client,
    /// The same, which leaves retries and time limits to us.
    ours: aws_sdk_sagemakerruntime::Client,
    bounds: Bounds,
}

/// A response with the status that it should have.
struct Answer {
    headers: HeaderMap,
    body: Chunks,
}

/// A response with another status.
struct Refusal {
    error: ServiceError,
    /// The SDK signs for the service's time from now on.
    is_clock_off: bool,
}

impl Client {
    /// The SDK's client as it is, with our default settings.
    pub fn new(sdk: aws_sdk_sagemakerruntime::Client) -> Self {
        Self::builder(sdk).build()
    }

    /// Settings, to be changed and built.
    pub fn builder(sdk: aws_sdk_sagemakerruntime::Client) -> Builder {
        Builder { sdk, bounds: Bounds::default() }
    }

    /// The SDK's client.
    pub fn sdk(&self) -> &aws_sdk_sagemakerruntime::Client {
        &self.0.sdk
    }

    /// Invokes an endpoint, and waits for its whole answer.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is one.
    pub async fn invoke(&self, request: Request) -> Result<Response, Error> {
        request.check(Operation::Invoke)?;
        let inner = &*self.0;
        let region = request.endpoint.region.clone().map(Region::new);
        let call = || fields::whole(&inner.ours, &request).customize();
        let send = |exchange| customized(call(), &region, exchange).send();
        let deadline = Deadline::new(&inner.bounds.timeouts);
        let attempt = || async {
            let answer = inner.send(Operation::Invoke, deadline, &send).await?;
            let metadata = Metadata::new(&answer.headers, Operation::Invoke);
            let body =
                read_body(answer.body, &inner.bounds.timeouts, deadline, inner.bounds.max_response_len)
                    .await?;
            Ok(Response::new(metadata, body))
        };
        deadline.bound(pin!(inner.bounds.retry.run(attempt))).await
    }

    /// Invokes an endpoint, and waits until its answer begins: for its first event, unless there is one try only. An answer
    /// that ends before may be asked for again; [`Retry::run_stream`](sagewire_transport::Retry::run_stream) says when.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is one, and so is a response that is no event stream.
    pub async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        request.check(Operation::Stream)?;
        let inner = &*self.0;
        let region = request.endpoint.region.clone().map(Region::new);
        let call = || fields::streamed(&inner.ours, &request).customize();
        let send = |exchange| customized(call(), &region, exchange).send();
        let (deadline, timeouts) = (Deadline::new(&inner.bounds.timeouts), &inner.bounds.timeouts);
        let attempt = || async {
            let answer = inner.send(Operation::Stream, deadline, &send).await?;
            ResponseStream::of(&answer.headers, Operation::Stream, answer.body, timeouts, deadline).await
        };
        deadline.bound(pin!(inner.bounds.retry.run_stream(attempt))).await
    }

    /// Has an endpoint invoked, which puts its answer into S3.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 202 is one.
    pub async fn invoke_async(&self, request: AsyncRequest) -> Result<AsyncResponse, Error> {
        request.headers()?;
        let inner = &*self.0;
        let region = request.endpoint.region.clone().map(Region::new);
        let call = || fields::asynchronous(&inner.ours, &request).customize();
        let send = |exchange| customized(call(), &region, exchange).send();
        let deadline = Deadline::new(&inner.bounds.timeouts);
        let attempt = || async {
            let answer = inner.send(Operation::Async, deadline, &send).await?;
            let body =
                read_body(answer.body, &inner.bounds.timeouts, deadline, inner.bounds.max_response_len)
                    .await?;
            Ok(AsyncResponse::new(&answer.headers, &body))
        };
        deadline.bound(pin!(inner.bounds.retry.run(attempt))).await
    }
}

/// A call in this region, if not in the client's, that is watched.
fn customized<T, E, B>(
    call: CustomizableOperation<T, E, B>,
    region: &Option<Region>,
    exchange: Exchange,
) -> CustomizableOperation<T, E, B> {
    let call = match region {
        Some(region) => call.config_override(config::Builder::new().region(region.clone())),
        None => call,
    };
    call.interceptor(exchange)
}

impl_transport!(Client);

impl Inner {
    /// A response that is none of an error. Where the SDK learnt from a refusal that the clock is off, it tries once
    /// more.
    async fn send<T, E, F, R>(
        &self,
        operation: Operation,
        deadline: Deadline,
        send: &F,
    ) -> Result<Answer, Error>
    where
        E: StdError + Send + Sync + 'static,
        F: Fn(Exchange) -> R,
        R: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let refusal = match self.send_once(operation, deadline, send).await? {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        if !refusal.is_clock_off {
            return Err(refusal.error.into());
        }
        let again = self.send_once(operation, deadline, send).await?;
        again.map_err(|refusal| refusal.error.into())
    }

    async fn send_once<T, E, F, R>(
        &self,
        operation: Operation,
        deadline: Deadline,
        send: &F,
    ) -> Result<Result<Answer, Refusal>, Error>
    where
        E: StdError + Send + Sync + 'static,
        F: Fn(Exchange) -> R,
        R: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let (exchange, times) = (Exchange::default(), &self.bounds.timeouts);
        let sent = AssertUnwindSafe(send(exchange.clone())).catch_unwind();
        let sent = times.response(sent).await.inspect_err(|_| exchange.leave_connection())?;
        let output = match sent {
            Ok(output) => output,
            // The SDK's signer panics where a key has a line end, say.
            Err(_) if exchange.stage() == Stage::Signing => return Err(unsigned()),
            Err(panic) => resume_unwind(panic),
        };
        let Some(head) = exchange.take_head() else {
            return Err(match output {
                Err(error) => unanswered(error, exchange.stage(), times),
                Ok(_) => Error::config("the SDK's client does not ask its interceptors"),
            });
        };
        let expected = if operation == Operation::Async { StatusCode::ACCEPTED } else { StatusCode::OK };
        if head.status == expected {
            // What the SDK makes of a body that is not there says nothing.
            return Ok(Ok(Answer { headers: head.headers, body: chunks(head.body) }));
        }
        if head.status.is_redirection() {
            let location = head.headers.get(header::LOCATION).map(text);
            return Err(Error::redirect(head.status.as_u16(), location));
        }
        let body = read_error_body(chunks(head.body), times, deadline).await;
        let error = ServiceError::new(head.status, &head.headers, body);
        Ok(Err(Refusal { error, is_clock_off: head.is_clock_off }))
    }
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn chunks(body: SdkBody) -> Chunks {
    http_chunks(body, |error| error)
}

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    sdk: aws_sdk_sagemakerruntime::Client,
    bounds: Bounds,
}

impl Builder {
    bounds_setters!();

    /// The client.
    #[must_use]
    pub fn build(self) -> Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.bounds.timeouts.connect)
            .disable_read_timeout()
            .disable_operation_timeout()
            .disable_operation_attempt_timeout()
            .build();
        let config = self.sdk.config().to_builder();
        let config = config
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts);
        let ours = aws_sdk_sagemakerruntime::Client::from_conf(config.build());
        Client(Arc::new(Inner { sdk: self.sdk, ours, bounds: self.bounds }))
    }
}
