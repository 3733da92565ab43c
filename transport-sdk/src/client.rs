//! The client.

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
use http::{HeaderMap, header};
use sagewire_transport::{
    AsyncRequest, AsyncResponse, Bounds, Chunks, Deadline, Endpoint, Error, Metadata, Operation, Request,
    Response, ResponseStream, ServiceError, bounds_setters, http_chunks, impl_transport, read_body,
    read_error_body,
};

use crate::error::{no_response, signing_failed};
use crate::interceptor::{Interceptor, Stage};
use crate::request;

/// Invokes endpoints with a client of the AWS SDK. Clones share it.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sdk: aws_sdk_sagemakerruntime::Client,
    /// The same without the SDK's retries and timeouts.
    sender: aws_sdk_sagemakerruntime::Client,
    bounds: Bounds,
}

/// A response with the expected status.
struct Accepted {
    headers: HeaderMap,
    body: Chunks,
}

/// A response with another status.
struct Rejected {
    error: ServiceError,
    /// The clock was wrong; the SDK has corrected it.
    is_clock_off: bool,
}

impl Client {
    /// A transport over a client of the SDK, with the default timeouts and retries.
    pub fn new(sdk: aws_sdk_sagemakerruntime::Client) -> Self {
        Self::builder(sdk).build()
    }

    /// A builder with the default timeouts and retries.
    pub fn builder(sdk: aws_sdk_sagemakerruntime::Client) -> Builder {
        Builder { sdk, bounds: Bounds::default() }
    }

    /// The client of the SDK.
    pub fn sdk(&self) -> &aws_sdk_sagemakerruntime::Client {
        &self.0.sdk
    }

    /// Invokes an endpoint, and waits for the whole response.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is an error.
    pub async fn invoke(&self, request: Request) -> Result<Response, Error> {
        check_runtime(&request.endpoint)?;
        request.check(Operation::Invoke)?;
        let inner = &*self.0;
        let region = request.endpoint.region.clone().map(Region::new);
        let call = || request::invoke(&inner.sender, &request).customize();
        let send = |interceptor| customized(call(), &region, interceptor).send();
        let deadline = Deadline::new(&inner.bounds.timeouts);
        let attempt = || async {
            let response = inner.send(Operation::Invoke, deadline, &send).await?;
            let metadata = Metadata::new(&response.headers, Operation::Invoke);
            let body = read_body(response.body, &inner.bounds, deadline).await?;
            Ok(Response::new(metadata, body))
        };
        deadline.bound(pin!(inner.bounds.retry.run(attempt))).await
    }

    /// Invokes an endpoint, and waits for the start of the streaming response: for its first event, unless retries are off. A
    /// stream that ends before its first event may be retried: see
    /// [`Retry::run_stream`](sagewire_transport::Retry::run_stream).
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is an error, and so is a response that is not an event stream.
    pub async fn invoke_stream(&self, request: Request) -> Result<ResponseStream, Error> {
        check_runtime(&request.endpoint)?;
        request.check(Operation::Stream)?;
        let inner = &*self.0;
        let region = request.endpoint.region.clone().map(Region::new);
        let call = || request::stream(&inner.sender, &request).customize();
        let send = |interceptor| customized(call(), &region, interceptor).send();
        let deadline = Deadline::new(&inner.bounds.timeouts);
        let attempt = || async {
            let response = inner.send(Operation::Stream, deadline, &send).await?;
            let Accepted { headers, body } = response;
            ResponseStream::from_headers(&headers, Operation::Stream, body, &inner.bounds, deadline).await
        };
        deadline.bound(pin!(inner.bounds.retry.run_stream(attempt))).await
    }

    /// Starts an asynchronous invocation of an endpoint, which puts its response into S3.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status outside 2xx is an error.
    pub async fn invoke_async(&self, request: AsyncRequest) -> Result<AsyncResponse, Error> {
        check_runtime(&request.endpoint)?;
        request.headers()?;
        let inner = &*self.0;
        let region = request.endpoint.region.clone().map(Region::new);
        let call = || request::invoke_async(&inner.sender, &request).customize();
        let send = |interceptor| customized(call(), &region, interceptor).send();
        let deadline = Deadline::new(&inner.bounds.timeouts);
        let attempt = || async {
            let response = inner.send(Operation::Async, deadline, &send).await?;
            let body = read_body(response.body, &inner.bounds, deadline).await?;
            Ok(AsyncResponse::new(&response.headers, &body))
        };
        deadline.bound(pin!(inner.bounds.retry.run(attempt))).await
    }
}

/// The SDK has no client for other services, and one of SageMaker Runtime cannot be given another path.
fn check_runtime(endpoint: &Endpoint) -> Result<(), Error> {
    match &endpoint.runtime {
        None => Ok(()),
        Some(runtime) => Err(Error::unsupported(format!(
            "the runtime {:?} over the AWS SDK, which has no client for it",
            runtime.host
        ))),
    }
}

/// A call with an interceptor, in another region if one is given.
fn customized<T, E, B>(
    call: CustomizableOperation<T, E, B>,
    region: &Option<Region>,
    interceptor: Interceptor,
) -> CustomizableOperation<T, E, B> {
    let call = match region {
        Some(region) => call.config_override(config::Builder::new().region(region.clone())),
        None => call,
    };
    call.interceptor(interceptor)
}

impl_transport!(Client);

impl Inner {
    /// Sends a request, and returns a response with the expected status. If the SDK corrected its clock because of the
    /// response, the request is sent once more.
    async fn send<T, E, F, R>(
        &self,
        operation: Operation,
        deadline: Deadline,
        send: &F,
    ) -> Result<Accepted, Error>
    where
        E: StdError + Send + Sync + 'static,
        F: Fn(Interceptor) -> R,
        R: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let rejected = match self.send_once(operation, deadline, send).await? {
            Ok(accepted) => return Ok(accepted),
            Err(rejected) => rejected,
        };
        if !rejected.is_clock_off {
            return Err(rejected.error.into());
        }
        let again = self.send_once(operation, deadline, send).await?;
        again.map_err(|rejected| rejected.error.into())
    }

    async fn send_once<T, E, F, R>(
        &self,
        operation: Operation,
        deadline: Deadline,
        send: &F,
    ) -> Result<Result<Accepted, Rejected>, Error>
    where
        E: StdError + Send + Sync + 'static,
        F: Fn(Interceptor) -> R,
        R: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let (interceptor, timeouts) = (Interceptor::default(), &self.bounds.timeouts);
        let sent = AssertUnwindSafe(send(interceptor.clone())).catch_unwind();
        let sent = timeouts.response(sent).await.inspect_err(|_| interceptor.close_connection())?;
        let output = match sent {
            Ok(output) => output,
            // The SDK's signer panics if, for example, a key contains a line break.
            Err(_) if interceptor.stage() == Stage::Signing => return Err(signing_failed()),
            Err(panic) => resume_unwind(panic),
        };
        let Some(head) = interceptor.take_head() else {
            return Err(match output {
                Err(error) => no_response(error, interceptor.stage(), timeouts),
                Ok(_) => Error::config("the client of the SDK does not call its interceptors"),
            });
        };
        if operation.accepts(head.status) {
            // The interceptor took the body, so the result of the SDK is meaningless.
            return Ok(Ok(Accepted { headers: head.headers, body: chunks(head.body) }));
        }
        if head.status.is_redirection() {
            let location = head.headers.get(header::LOCATION).map(text);
            return Err(Error::redirect(head.status.as_u16(), location));
        }
        let body = read_error_body(chunks(head.body), &self.bounds, deadline).await;
        let secrets = head.secrets.iter().map(String::as_str);
        let error = ServiceError::new(head.status, &head.headers, body).without_secrets(secrets);
        Ok(Err(Rejected { error, is_clock_off: head.is_clock_off }))
    }
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn chunks(body: SdkBody) -> Chunks {
    http_chunks(body, |error| error)
}

/// Builds a [`Client`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    sdk: aws_sdk_sagemakerruntime::Client,
    bounds: Bounds,
}

impl Builder {
    bounds_setters!();

    /// Builds the client.
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
        let sender = aws_sdk_sagemakerruntime::Client::from_conf(config.build());
        Client(Arc::new(Inner { sdk: self.sdk, sender, bounds: self.bounds }))
    }
}
