//! HTTP responses for the clients of a proxy: responses, streams and errors in the shape of any API.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use sagewire_codec::model::ConverseEncoding;
use sagewire_codec::{Api, ConvertError, ConvertErrorKind, Failure, HttpError, HttpErrorKind};

use crate::error::{Error, Kind, ServiceError};
use crate::transcoded::{Transcoded, TranscodedResponse, TranscodedStream};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const SSE: HeaderValue = HeaderValue::from_static("text/event-stream");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.amazon.eventstream");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The body of an HTTP response of a proxy.
///
/// It never fails: a stream that breaks ends after bytes that report the error in the terms of its API. Dropping it closes
/// the connection to the endpoint.
pub struct ResponseBody(Content);

enum Content {
    Whole(Bytes),
    Stream(Box<TranscodedStream>),
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Content::Whole(bytes) => (!bytes.is_empty()).then(|| std::mem::take(bytes)),
            Content::Stream(stream) => match ready!(Pin::new(stream).poll_next(cx)) {
                Some(Ok(bytes)) => Some(bytes),
                // The error was written into the stream.
                Some(Err(_)) | None => None,
            },
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Whole(bytes) => f.debug_tuple("ResponseBody").field(bytes).finish(),
            Content::Stream(stream) => f.debug_tuple("ResponseBody").field(stream).finish(),
        }
    }
}

impl Transcoded {
    /// Makes an HTTP response for the client: see [`TranscodedStream::into_http`] and [`TranscodedResponse::into_http`].
    pub fn into_http(self) -> http::Response<ResponseBody> {
        match self {
            Self::Stream(stream) => stream.into_http(),
            Self::Whole(response) => response.into_http(),
        }
    }
}

impl TranscodedResponse {
    /// Makes an HTTP response for the client: status 200, `application/json`, and the ID of the request in the header that
    /// the API has for it.
    pub fn into_http(self) -> http::Response<ResponseBody> {
        let id = self.metadata.request_id.as_deref();
        respond(StatusCode::OK, self.api, JSON, id, Content::Whole(self.body))
    }
}

impl TranscodedStream {
    /// Makes an HTTP response for the client: status 200, the media type of the stream, and the ID of the request in the
    /// header that the API has for it.
    ///
    /// The media type is `text/event-stream`, for Converse `application/vnd.amazon.eventstream`, or `application/x-ndjson` if
    /// its events are encoded as JSON lines.
    pub fn into_http(self) -> http::Response<ResponseBody> {
        let media_type = match (self.api(), self.encoding()) {
            (Api::Converse, ConverseEncoding::JsonLines) => JSON_LINES,
            (Api::Converse, _) => EVENT_STREAM,
            _ => SSE,
        };
        let (api, id) = (self.api(), self.metadata().request_id.clone());
        let body = Content::Stream(Box::new(self));
        let mut response = respond(StatusCode::OK, api, media_type, id.as_deref(), body);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

/// Errors of a proxy, for its clients.
impl Error {
    /// The error as the client of a proxy has to see it: status, kind and message.
    ///
    /// | error | status |
    /// |---|---|
    /// | [`is_request_conversion`](Self::is_request_conversion), [`is_invalid_request`](Self::is_invalid_request) | 400; 413 if the request exceeds a limit; 501 if the codec does not read or write requests of the API |
    /// | [`is_unsupported`](Self::is_unsupported) | 501 |
    /// | [`service`](Self::service), [`failure`](Self::failure) | that of [`HttpError::read`]: the status of the container, 429 for throttling, 404 for a missing endpoint; 502 if it has none |
    /// | the service refuses the credentials of the proxy | 502, without the message, which may name the account |
    /// | [`is_credentials`](Self::is_credentials), [`is_config`](Self::is_config) | 500, without details |
    /// | [`is_timeout`](Self::is_timeout) | 504 |
    /// | [`is_other`](Self::is_other): an error of a `tower` layer | 503 |
    /// | anything else: no connection, an incomplete or unreadable response | 502 |
    pub fn to_http_error(&self) -> HttpError {
        match self.kind() {
            Kind::Service(error) => service(error),
            Kind::ConvertRequest(error) => request(error),
            Kind::InvalidRequest(_) => http_error(400, self),
            Kind::Unsupported(_) => http_error(501, self),
            Kind::Credentials(_) | Kind::Config(_) => http_error(500, "the proxy is not configured correctly"),
            Kind::Timeout(..) => http_error(504, self),
            Kind::Other(_) => http_error(503, self),
            _ => self.failure().map_or_else(|| http_error(502, self), failure),
        }
    }

    /// Makes an HTTP response for the client of a proxy: the error in the shape of the API, with the status of
    /// [`to_http_error`](Self::to_http_error). It has the header `retry-after` if the service asks for a delay, and for
    /// Converse `x-amzn-errortype`.
    ///
    /// ```
    /// use sagewire_codec::{Api, read_request};
    /// use sagewire_transport::Error;
    ///
    /// let error = Error::from(read_request(Api::Converse, b"{").unwrap_err());
    /// let response = error.to_http(Api::Converse);
    /// assert_eq!(response.status(), 400);
    /// assert_eq!(response.headers()["x-amzn-errortype"], "ValidationException");
    /// ```
    pub fn to_http(&self, api: Api) -> http::Response<ResponseBody> {
        let error = self.to_http_error();
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let id = self.service().and_then(|error| error.request_id.as_deref());
        let body = Content::Whole(error.write(api).into());
        let mut response = respond(status, api, JSON, id, body);
        if api == Api::Converse {
            response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.bedrock_name()));
        }
        if let Some(delay) = self.retry_after() {
            // Whole seconds, rounded up.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn respond(
    status: StatusCode,
    api: Api,
    media_type: HeaderValue,
    request_id: Option<&str>,
    body: Content,
) -> http::Response<ResponseBody> {
    let mut response = http::Response::new(ResponseBody(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    let name = match api {
        Api::Converse => "x-amzn-requestid",
        Api::Anthropic => "request-id",
        _ => "x-request-id",
    };
    if let Some(Ok(id)) = request_id.map(HeaderValue::from_str) {
        response.headers_mut().insert(HeaderName::from_static(name), id);
    }
    response
}

/// An error without a body: its kind follows from the status.
fn http_error(status: u16, message: impl ToString) -> HttpError {
    let mut error = HttpError::read(status, None, b"");
    error.message = message.to_string();
    error
}

fn request(error: &ConvertError) -> HttpError {
    let status = match error.kind() {
        ConvertErrorKind::Limit { .. } => 413,
        ConvertErrorKind::Api { .. } => 501,
        _ => 400,
    };
    let mut found = http_error(status, error);
    found.param = error.pointer().map(Into::into);
    found
}

fn service(error: &ServiceError) -> HttpError {
    let found = HttpError::read(error.status, error.error_type.as_deref(), &error.body);
    match found.kind {
        // These are the credentials of the proxy: the client can do nothing about them.
        HttpErrorKind::Authentication | HttpErrorKind::Permission => {
            http_error(502, "the service refused the credentials of the proxy")
        }
        _ => found,
    }
}

/// A failure that came inside a response of status 200.
fn failure(failure: &Failure) -> HttpError {
    let code = failure.code.as_deref().unwrap_or_default();
    let status = code.parse().ok().filter(|status| (400..600).contains(status));
    // The code, if it is a name, says more than the name of the failure.
    let name = if status.is_none() && !code.is_empty() { code } else { failure.name.as_str() };
    let mut error = HttpError::read(status.unwrap_or(502), Some(name), b"");
    if error.kind == HttpErrorKind::Timeout {
        error.status = 504;
    }
    error.name.clone_from(&failure.name);
    error.code.clone_from(&failure.code);
    error.param.clone_from(&failure.param);
    error.message.clone_from(&failure.message);
    error
}
