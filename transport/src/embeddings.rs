//! Embeddings of an endpoint.

use std::fmt;

use bytes::Bytes;
use sagewire_codec::Api;
use sagewire_codec::embeddings::{self, Encoding, Pooling, Reading, RequestShape};
use sagewire_codec::model::{Losses, ResponseOptions};
use tower_service::Service;

use crate::BoxError;
use crate::chat::call;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::observer::Observer;
use crate::request::Request;
use crate::response::{Metadata, Response};
use crate::service::Invoke;
use crate::transcoded::TranscodedResponse;

/// A client for the embeddings of one endpoint, over a transport or over `tower` layers around a transport.
///
/// ```
/// use sagewire_codec::embeddings::{Input, Request, RequestShape};
/// use sagewire_transport::{Embeddings, Error, Invoke, Metadata, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// // A transport with a fixed response.
/// let transport = tower::service_fn(|Invoke(request): Invoke| async move {
///     assert_eq!(request.body, r#"{"inputs":["a","b"]}"#);
///     Ok::<_, Error>(Response::new(Metadata::default(), "[[0.5, -1.0], [0.25, 2.0]]"))
/// });
/// let embeddings = Embeddings::new(transport, "my-embeddings").shape(RequestShape::Inputs);
///
/// let request = Request::new(Input::Texts(vec!["a".into(), "b".into()]));
/// let response = embeddings.embed(&request).await?;
/// assert_eq!(response.vectors()?, [[0.5, -1.0], [0.25, 2.0]]);
///
/// // An OpenAI request into an OpenAI response, from bytes to bytes.
/// let body = br#"{"model":"m","input":["a","b"],"user":"u"}"#;
/// let response = embeddings.transcode(body, Default::default()).await?;
/// assert!(response.body.starts_with(br#"{"object":"list","data":[{"object":"embedding","index":0"#));
/// assert_eq!(response.request_losses.iter().next().unwrap().path, "/user");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Embeddings<S> {
    service: S,
    endpoint: Endpoint,
    shape: RequestShape,
    pooling: Option<Pooling>,
}

impl<S> Embeddings<S> {
    /// The embeddings of an endpoint, or of the endpoint of this name. Its container takes OpenAI requests.
    pub fn new(service: S, endpoint: impl Into<Endpoint>) -> Self {
        Self { service, endpoint: endpoint.into(), shape: RequestShape::OpenAi, pooling: None }
    }

    /// Sets the shape of the container's requests. Default: OpenAI. The shape of its responses is detected automatically.
    #[must_use]
    pub fn shape(mut self, shape: RequestShape) -> Self {
        self.shape = shape;
        self
    }

    /// Sets how the vectors of tokens become one vector for each text, for containers that return a vector for each token.
    /// Without it, such a response is an error.
    #[must_use]
    pub fn pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = Some(pooling);
        self
    }

    /// The service.
    pub fn get_ref(&self) -> &S {
        &self.service
    }

    /// The service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// The service.
    pub fn into_inner(self) -> S {
        self.service
    }

    /// Writes a request for the container, and returns what its shape cannot express of it. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::convert`]: the container cannot take the input.
    pub fn request(&self, request: &embeddings::Request<'_>) -> Result<(Request, Losses), Error> {
        let body = request.write(self.shape)?;
        let request = Request::new(self.endpoint.clone(), body.bytes).content_type(body.media_type);
        Ok((request, body.losses))
    }
}

impl<S> Embeddings<S>
where
    S: Service<Invoke, Response = Response> + Clone,
    S::Error: Into<BoxError>,
{
    /// Sends a request, and waits for the vectors.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request) and of the transport, and [`Error::convert`] if the response has no vectors, or
    /// another number of vectors than the request has inputs.
    pub async fn embed(&self, request: &embeddings::Request<'_>) -> Result<EmbeddingsResponse, Error> {
        let mut reading = Reading::of(request);
        reading.pooling = self.pooling;
        let encoding = request.encoding();
        let (request, losses) = self.request(request)?;
        let mut observer = Observer::embeddings(&request.endpoint);
        let response = observer.observe(call(&self.service, Invoke(request)).await)?;
        let Response { metadata, body } = response;
        let response = EmbeddingsResponse { metadata, body, losses, reading, encoding };
        let usage = observer.observe(response.read())?.usage;
        observer.usage(&usage);
        Ok(response)
    }

    /// Sends a request that was read from an OpenAI request, and converts the response into an OpenAI response. `options`
    /// have what the response does not contain.
    ///
    /// # Errors
    ///
    /// [`Error::convert`] if `body` is not an OpenAI request for embeddings, and those of [`embed`](Self::embed).
    pub async fn transcode(
        &self,
        body: &[u8],
        options: ResponseOptions,
    ) -> Result<TranscodedResponse, Error> {
        self.embed(&embeddings::Request::read(body)?).await?.transcoded(&options)
    }
}

impl<S: fmt::Debug> fmt::Debug for Embeddings<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embeddings")
            .field("service", &self.service)
            .field("endpoint", &self.endpoint)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// A response with embeddings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingsResponse {
    /// The headers of the endpoint's response.
    pub metadata: Metadata,
    /// The body that the container returned.
    pub body: Bytes,
    /// What the container's shape could not express of the request.
    pub losses: Losses,
    reading: Reading,
    encoding: Encoding,
}

impl EmbeddingsResponse {
    /// The response in canonical form. It borrows from the body.
    ///
    /// # Errors
    ///
    /// None, unless [`body`](Self::body) was changed: it was read before.
    pub fn read(&self) -> Result<embeddings::Response<'_>, Error> {
        embeddings::Response::read(&self.body, self.reading).map_err(Error::response_conversion)
    }

    /// The vectors, in the order of the inputs.
    ///
    /// # Errors
    ///
    /// [`Error::convert`]: a vector contains something other than numbers.
    pub fn vectors(&self) -> Result<Vec<Vec<f32>>, Error> {
        let response = self.read()?;
        let vectors = response.vectors.iter().map(embeddings::Vector::to_floats);
        vectors.collect::<Result<_, _>>().map_err(Error::response_conversion)
    }

    /// Converts the response into an OpenAI response, in the requested encoding. `options` have the values that the
    /// response does not contain.
    ///
    /// # Errors
    ///
    /// [`Error::convert`]: a vector has to be encoded in another way, and contains something other than numbers.
    pub fn transcoded(self, options: &ResponseOptions) -> Result<TranscodedResponse, Error> {
        let written = self.read()?.write(self.encoding, options).map_err(Error::response_conversion);
        let (body, losses) = written?;
        let response = TranscodedResponse::new(self.metadata, Api::OpenAi, body, losses);
        Ok(response.request_losses(self.losses))
    }
}
