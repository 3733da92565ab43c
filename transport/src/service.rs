//! The trait of all transports, and the services of `tower`.

use std::future::Future;
use std::pin::Pin;

use crate::error::Error;
use crate::request::{AsyncRequest, Request};
use crate::response::{AsyncResponse, Response, ResponseStream};

/// A client of SageMaker Runtime.
///
/// Transports have these methods as inherent methods, too, so that the trait need not be imported.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Invokes an endpoint, and waits for the whole response.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is an error.
    fn invoke(&self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send;

    /// Invokes an endpoint, and waits for the start of the streaming response: for its first event, unless retries are off. A
    /// stream that ends before its first event may be retried: see [`Retry::run_stream`](crate::Retry::run_stream).
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is an error, and so is a response that is not an event stream.
    fn invoke_stream(&self, request: Request) -> impl Future<Output = Result<ResponseStream, Error>> + Send;

    /// Starts an asynchronous invocation of an endpoint, which puts its response into S3.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status outside the class 2xx is an error.
    fn invoke_async(
        &self,
        request: AsyncRequest,
    ) -> impl Future<Output = Result<AsyncResponse, Error>> + Send;
}

/// A request for a non-streaming response, as a [`tower_service::Service`] takes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Invoke(pub Request);

/// A request for a streaming response, as a [`tower_service::Service`] takes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InvokeStream(pub Request);

/// A boxed future.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Implements [`Transport`] for a type that has its methods as inherent methods, and the services of
/// [`impl_services`](crate::impl_services). For authors of transports.
#[macro_export]
macro_rules! impl_transport {
    ($transport:ty) => {
        impl $crate::Transport for $transport {
            async fn invoke(&self, request: $crate::Request) -> Result<$crate::Response, $crate::Error> {
                <$transport>::invoke(self, request).await
            }

            async fn invoke_stream(
                &self,
                request: $crate::Request,
            ) -> Result<$crate::ResponseStream, $crate::Error> {
                <$transport>::invoke_stream(self, request).await
            }

            async fn invoke_async(
                &self,
                request: $crate::AsyncRequest,
            ) -> Result<$crate::AsyncResponse, $crate::Error> {
                <$transport>::invoke_async(self, request).await
            }
        }

        $crate::impl_services!($transport);
    };
}

/// Implements [`tower_service::Service`] of [`Invoke`], [`InvokeStream`] and [`AsyncRequest`] for a [`Transport`]. For authors
/// of transports. The service is always ready; limits are layers.
#[macro_export]
macro_rules! impl_services {
    ($transport:ty) => {
        $crate::impl_services!($transport, $crate::Invoke, $crate::Response, |transport, request| {
            $crate::Transport::invoke(&transport, request.0).await
        });
        $crate::impl_services!(
            $transport,
            $crate::InvokeStream,
            $crate::ResponseStream,
            |transport, request| { $crate::Transport::invoke_stream(&transport, request.0).await }
        );
        $crate::impl_services!(
            $transport,
            $crate::AsyncRequest,
            $crate::AsyncResponse,
            |transport, request| { $crate::Transport::invoke_async(&transport, request).await }
        );
    };
    ($transport:ty, $request:ty, $response:ty, |$this:ident, $argument:ident| $call:expr) => {
        impl $crate::tower_service::Service<$request> for $transport {
            type Response = $response;
            type Error = $crate::Error;
            type Future = $crate::BoxFuture<$response>;

            fn poll_ready(
                &mut self,
                _: &mut ::core::task::Context<'_>,
            ) -> ::core::task::Poll<::core::result::Result<(), Self::Error>> {
                ::core::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, $argument: $request) -> Self::Future {
                let $this = self.clone();
                ::std::boxed::Box::pin(async move { $call })
            }
        }
    };
}
