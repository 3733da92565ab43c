//! The interface that every transport has, and `tower`'s.

use std::future::Future;
use std::pin::Pin;

use crate::error::Error;
use crate::request::{AsyncRequest, Request};
use crate::response::{AsyncResponse, Response, ResponseStream};

/// A way to SageMaker Runtime.
///
/// Transports have these as methods of their own, too, so that this need not be imported.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Invokes an endpoint, and waits for its whole answer.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is one.
    fn invoke(&self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send;

    /// Invokes an endpoint, and waits until its answer begins: for its first event, unless there is one try only. An answer
    /// that ends before may be asked for again; [`Retry::run_stream`](crate::Retry::run_stream) says when.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 200 is one, and so is a response that is no event stream.
    fn invoke_stream(&self, request: Request) -> impl Future<Output = Result<ResponseStream, Error>> + Send;

    /// Has an endpoint invoked, which puts its answer into S3.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status other than 202 is one.
    fn invoke_async(
        &self,
        request: AsyncRequest,
    ) -> impl Future<Output = Result<AsyncResponse, Error>> + Send;
}

/// A request for a whole answer, as a [`tower_service::Service`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoke(pub Request);

/// A request for a streamed answer, as a [`tower_service::Service`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvokeStream(pub Request);

/// A future that the heap holds.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Makes a [`Transport`] of a type that has its methods as its own, and the services of [`impl_services`](crate::impl_services):
/// for those who write one.
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

/// Makes a [`Transport`] a [`tower_service::Service`] of [`Invoke`], [`InvokeStream`] and [`AsyncRequest`]: for those who
/// write one. It is always ready; limits are layers.
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
    ($transport:ty, $request:ty, $response:ty, |$this:ident, $asked:ident| $call:expr) => {
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

            fn call(&mut self, $asked: $request) -> Self::Future {
                let $this = self.clone();
                ::std::boxed::Box::pin(async move { $call })
            }
        }
    };
}
