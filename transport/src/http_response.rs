//! HTTP responses for the clients of a proxy: responses, streams and errors in the shape of any API.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use sagewire_codec::model::{ConverseEncoding, Frames};
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

impl ResponseBody {
    /// The stream that the body is made of; `None` for a body that is not a stream.
    pub fn stream(&self) -> Option<&TranscodedStream> {
        match &self.0 {
            Content::Whole(_) => None,
            Content::Stream(stream) => Some(stream),
        }
    }

    /// The same, for example to end the stream with [`TranscodedStream::fail`].
    pub fn stream_mut(&mut self) -> Option<&mut TranscodedStream> {
        match &mut self.0 {
            Content::Whole(_) => None,
            Content::Stream(stream) => Some(stream),
        }
    }
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
    /// The media type is `text/event-stream`, for Converse and in [`Frames`] `application/vnd.amazon.eventstream`, or
    /// `application/x-ndjson` if the events of ConverseStream are encoded as JSON lines. The media type in the frames of SageMaker
    /// and Bedrock is in the header that each has for it.
    pub fn into_http(self) -> http::Response<ResponseBody> {
        let media_type = match (self.api(), self.encoding(), self.frames()) {
            (Api::Converse, ConverseEncoding::JsonLines, _) => JSON_LINES,
            (Api::Converse, ..) | (_, _, Frames::PayloadPart | Frames::Chunk) => EVENT_STREAM,
            _ => SSE,
        };
        let inner = match self.frames() {
            Frames::PayloadPart => Some(("x-amzn-sagemaker-content-type", SSE)),
            Frames::Chunk => Some(("x-amzn-bedrock-content-type", JSON)),
            _ => None,
        };
        let (api, id) = (self.api(), self.metadata().request_id.clone());
        let body = Content::Stream(Box::new(self));
        let mut response = respond(StatusCode::OK, api, media_type, id.as_deref(), body);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some((name, media_type)) = inner {
            response.headers_mut().insert(name, media_type);
        }
        response
    }
}

/// Errors of a proxy, for its clients.
impl Error {
    /// The error as the client of a proxy has to see it: status, kind and message.
    ///
    /// | error | [`HttpError::status`] |
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
            Kind::InvalidRequest(_) => http_error(HttpErrorKind::InvalidRequest, 400, self),
            Kind::Unsupported(_) => http_error(HttpErrorKind::InvalidRequest, 501, self),
            Kind::Credentials(_) | Kind::Config(_) => {
                http_error(HttpErrorKind::Server, 500, &"the proxy is not configured correctly")
            }
            Kind::Timeout(..) => http_error(HttpErrorKind::Timeout, 504, self),
            Kind::Other(_) => http_error(HttpErrorKind::Unavailable, 503, self),
            _ => self.failure().map_or_else(|| http_error(HttpErrorKind::Server, 502, self), failure),
        }
    }

    /// Makes an HTTP response for the client of a proxy: the error in the shape of the API, with the status that clients of the
    /// API expect ([`HttpError::status_for`]). It has the header `retry-after` if the service requested a delay, and for Converse
    /// `x-amzn-errortype`.
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
        let status = StatusCode::from_u16(error.status_for(api)).unwrap_or(StatusCode::BAD_GATEWAY);
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

/// An error of the proxy itself.
fn http_error(kind: HttpErrorKind, status: u16, message: &dyn ToString) -> HttpError {
    let mut error = HttpError::new(kind, message.to_string());
    error.status = status;
    error
}

fn request(error: &ConvertError) -> HttpError {
    let (kind, status) = match error.kind() {
        ConvertErrorKind::Limit { .. } => (HttpErrorKind::TooLarge, 413),
        ConvertErrorKind::Api { .. } => (HttpErrorKind::InvalidRequest, 501),
        _ => (HttpErrorKind::InvalidRequest, 400),
    };
    let mut found = http_error(kind, status, error);
    found.param = error.pointer().map(Into::into);
    found
}

fn service(error: &ServiceError) -> HttpError {
    if let (Some("model server"), Some(status)) = (error.layer.as_deref(), error.original_status_code) {
        // The container behind a gateway: the client gets its status, as from a `ModelError`.
        let mut found = HttpError::read(status, None, b"");
        found.message = error.message.clone().unwrap_or_default();
        return found;
    }
    let found = HttpError::read(error.status, error.error_type.as_deref(), &error.body);
    match found.kind {
        // These are the credentials of the proxy: the client can do nothing about them.
        HttpErrorKind::Authentication | HttpErrorKind::Signature | HttpErrorKind::Permission => {
            http_error(HttpErrorKind::Server, 502, &"the service refused the credentials of the proxy")
        }
        _ => found,
    }
}

/// A failure that came inside a response of status 200.
fn failure(failure: &Failure) -> HttpError {
    let code = failure.code.as_deref().unwrap_or_default();
    let status = code.parse().ok().filter(|status| (400..600).contains(status));
    // The code, if it is a name, is more specific than the name of the failure.
    let name = if status.is_none() && !code.is_empty() { code } else { failure.name.as_str() };
    let mut error = HttpError::read(status.unwrap_or(502), Some(name), b"");
    if error.kind == HttpErrorKind::Timeout {
        error.status = 504;
    }
    // Only containers report HTTP statuses.
    error.original_status = status;
    error.name.clone_from(&failure.name);
    error.code.clone_from(&failure.code);
    error.param.clone_from(&failure.param);
    error.message.clone_from(&failure.message);
    error
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use http::HeaderMap;
    use http_body::Body;
    use sagewire_codec::stream::Chunk;
    use sagewire_codec::{Framing, Options, eventstream, model::ResponseOptions, read_request};

    use super::*;
    use crate::{Bounds, Chunks, Metadata, Response, ResponseStream, Timeout};

    /// A body that ends as given.
    struct Items(std::vec::IntoIter<Result<Chunk, Error>>);

    impl Stream for Items {
        type Item = Result<Chunk, Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.next())
        }
    }

    async fn read(mut body: ResponseBody) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let Ok(frame) = frame;
            out.extend_from_slice(&frame.into_data().expect("data"));
        }
        out
    }

    fn stream(end: Option<Result<Chunk, Error>>) -> ResponseStream {
        let text = r#"data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}"#;
        let first = Chunk::Bytes(Bytes::from(format!("{text}\n\n")));
        let last = Chunk::Bytes(Bytes::from_static(
            b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        ));
        let items = vec![Ok(first), end.unwrap_or(Ok(last))];
        let chunks: Chunks = Box::pin(Items(items.into_iter()));
        let metadata = Metadata { request_id: Some("r".into()), ..Metadata::default() };
        ResponseStream::new(metadata, Framing::Unframed, chunks, &Bounds::default())
    }

    #[tokio::test]
    async fn streams_have_the_media_type_of_their_api() {
        for (api, encoding, media_type, id, end) in [
            (
                Api::OpenAi,
                ConverseEncoding::EventStream,
                "text/event-stream",
                "x-request-id",
                "data: [DONE]\n\n",
            ),
            (
                Api::Anthropic,
                ConverseEncoding::EventStream,
                "text/event-stream",
                "request-id",
                "message_stop",
            ),
            (Api::Tgi, ConverseEncoding::EventStream, "text/event-stream", "x-request-id", "generated_text"),
            (
                Api::Converse,
                ConverseEncoding::EventStream,
                "application/vnd.amazon.eventstream",
                "x-amzn-requestid",
                "messageStop",
            ),
            (
                Api::Converse,
                ConverseEncoding::JsonLines,
                "application/x-ndjson",
                "x-amzn-requestid",
                "messageStop",
            ),
        ] {
            let options = ResponseOptions::new().encoding(encoding);
            let response = stream(None).transcoded(api, options).expect("it is written").into_http();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["content-type"], media_type);
            assert_eq!(response.headers()[id], "r");
            assert_eq!(response.headers()["cache-control"], "no-cache");
            assert!(!response.body().is_end_stream() && response.body().size_hint().exact().is_none());
            let body = read(response.into_body()).await;
            assert!(String::from_utf8_lossy(&body).contains(end), "{api}");
        }
    }

    #[tokio::test]
    async fn streams_in_frames_name_what_is_in_them() {
        for (frames, name, media_type) in [
            (Frames::PayloadPart, "x-amzn-sagemaker-content-type", "text/event-stream"),
            (Frames::Chunk, "x-amzn-bedrock-content-type", "application/json"),
        ] {
            let options = ResponseOptions::new().frames(frames);
            let response =
                stream(None).transcoded(Api::Anthropic, options).expect("it is written").into_http();
            assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
            assert_eq!(response.headers()[name], media_type);
            let body = read(response.into_body()).await;
            assert!(eventstream::looks_like_frames(&body));
        }
    }

    /// The client sees the failure in the terms of its API, and then the end of the body.
    #[tokio::test]
    async fn a_stream_that_fails_reports_it_to_the_client() {
        let failure = Failure::new("ModelStreamError", Some("StreamBroken".into()), "the model is gone");
        for (end, found) in [
            (Ok(Chunk::Failure(failure)), "the model is gone"),
            (Err(Error::broken_off()), "truncated"),
            (Err(Error::timed_out(Timeout::Idle, Duration::from_secs(1))), "truncated"),
        ] {
            for api in [Api::OpenAi, Api::Anthropic, Api::Tgi] {
                let response = stream(Some(end.clone())).transcoded(api, ResponseOptions::new());
                let body = read(response.expect("it is written").into_http().into_body()).await;
                let text = String::from_utf8_lossy(&body).into_owned();
                assert!(
                    text.contains("hi") && text.contains("error") && text.contains(found),
                    "{api}: {text}"
                );
            }
            let response = stream(Some(end)).transcoded(Api::Converse, ResponseOptions::new());
            let mut body = Bytes::from(read(response.expect("it is written").into_http().into_body()).await);
            let (mut decoder, mut types) = (eventstream::Decoder::new(), Vec::new());
            while let Some(frame) = decoder.decode(&mut body).expect("frames") {
                let message_type = frame.headers().get(":message-type");
                types.push(message_type.and_then(|value| value.as_str()).unwrap_or_default().to_owned());
            }
            assert_eq!(types.last().map(String::as_str), Some("exception"), "{types:?}");
        }
    }

    #[tokio::test]
    async fn the_error_of_a_stream_is_returned_once() {
        let end = Some(Err(Error::broken_off()));
        let mut stream = stream(end).transcoded(Api::OpenAi, ResponseOptions::new()).expect("it is written");
        let mut count = 0;
        let error = loop {
            match stream.chunk().await {
                Ok(bytes) => count += usize::from(bytes.is_some()),
                Err(error) => break error,
            }
        };
        assert!(error.is_broken_off() && count > 0);
        assert!(stream.chunk().await.expect("the end").is_none());
    }

    #[tokio::test]
    async fn a_response_of_the_same_api_is_passed_through() {
        let chunk = |rest: &str| format!("data: {{\"object\":\"chat.completion.chunk\",{rest}}}\n\n");
        let text = chunk(r#""choices":[{"index":0,"delta":{"content":"hi"},"token_ids":[7]}]"#);
        let stop = chunk(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#);
        let usage = chunk(r#""choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}"#);
        let bytes = |text: &str| Ok(Chunk::Bytes(Bytes::copy_from_slice(text.as_bytes())));
        let stream = |items: Vec<Result<Chunk, Error>>, api, options: ResponseOptions| {
            let chunks: Chunks = Box::pin(Items(items.into_iter()));
            let stream =
                ResponseStream::new(Metadata::default(), Framing::Unframed, chunks, &Bounds::default());
            stream.transcoded(api, options.pass_through(true)).expect("it is written")
        };
        let items = || vec![bytes(&text), bytes(&stop), bytes(&usage), bytes("data: [DONE]\n\n")];
        let all = [&*text, &*stop, &*usage, "data: [DONE]\n\n"].concat();
        let passed = stream(items(), Api::OpenAi, ResponseOptions::new());
        assert_eq!(String::from_utf8(read(passed.into_http().into_body()).await).unwrap(), all);
        let mut hidden = stream(items(), Api::OpenAi, ResponseOptions::new().hide_usage(true));
        let mut out = Vec::new();
        while let Some(piece) = hidden.chunk().await.expect("complete") {
            out.extend_from_slice(&piece);
        }
        assert_eq!(String::from_utf8(out).unwrap(), all.replace(&usage, ""));
        let usage = hidden.stats().usage.expect("counts");
        assert_eq!((usage.output_tokens, hidden.stats().deltas), (Some(2), 1));
        assert!(hidden.response_losses().is_empty() && matches!(hidden.ending(), Some(Ok(()))));
        // A response of another API is converted.
        let converted = stream(items(), Api::Anthropic, ResponseOptions::new());
        let converted = read(converted.into_http().into_body()).await;
        assert!(String::from_utf8_lossy(&converted).contains("text_delta"));
        let shapeless =
            vec![bytes("data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n"), bytes(&stop)];
        let converted =
            read(stream(shapeless, Api::OpenAi, ResponseOptions::new()).into_http().into_body()).await;
        assert_eq!(String::from_utf8_lossy(&converted).matches("chat.completion.chunk").count(), 3);
        // A failure is one, and the error of the API.
        let cut = vec![bytes(&text), Err(Error::broken_off())];
        let failed = read(stream(cut, Api::OpenAi, ResponseOptions::new()).into_http().into_body()).await;
        let failed = String::from_utf8(failed).unwrap();
        let rest = failed.strip_prefix(&*text).expect("the text");
        assert!(rest.starts_with("data: {\"error\":") && !rest.contains("[DONE]"), "{rest}");
    }

    /// A body that may have ended before its first event.
    fn of(items: Vec<Result<Chunk, Error>>, api: Api) -> TranscodedStream {
        let chunks: Chunks = Box::pin(Items(items.into_iter()));
        let stream = ResponseStream::new(Metadata::default(), Framing::Unframed, chunks, &Bounds::default());
        stream.transcoded(api, ResponseOptions::new()).expect("it is written")
    }

    #[tokio::test]
    async fn a_failure_before_the_first_event_is_an_error_without_output() {
        let text = |text: &'static str| Ok(Chunk::Bytes(Bytes::from_static(text.as_bytes())));
        let failure = Failure::new("ModelStreamError", None, "the model is gone");
        for (items, is_found) in [
            (vec![text(": ping\n\n"), Ok(Chunk::Failure(failure))], "the model is gone"),
            (vec![text("data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\n")], "too long"),
            (vec![Err(Error::broken_off())], "broke off"),
            (vec![], "truncated"),
        ] {
            for api in [Api::OpenAi, Api::Responses, Api::Anthropic, Api::Converse, Api::Tgi] {
                let mut stream = of(items.clone(), api);
                assert!(stream.ending().is_none());
                let error = stream.start().await.expect_err("a failure");
                assert!(error.to_string().contains(is_found), "{error}");
                assert_eq!(stream.start().await.expect_err("again").to_string(), error.to_string());
                let ending = stream.ending().expect("an end").expect_err("a failure");
                assert_eq!(ending.to_string(), error.to_string());
                assert!(stream.chunk().await.expect("the end").is_none(), "{api}");
            }
        }
    }

    #[tokio::test]
    async fn the_first_event_is_delivered_after_the_start() {
        for end in [None, Some(Err(Error::broken_off()))] {
            let is_whole = end.is_none();
            let mut stream = stream(end).transcoded(Api::OpenAi, ResponseOptions::new()).expect("written");
            stream.start().await.expect("an event");
            assert!(stream.ending().is_none());
            let first = stream.chunk().await.expect("bytes").expect("bytes");
            assert!(String::from_utf8_lossy(&first).contains("hi"));
            while let Ok(Some(_)) = stream.chunk().await {}
            assert_eq!(stream.ending().map(|end| end.is_ok()), Some(is_whole));
            let stats = stream.stats();
            assert_eq!((stats.deltas, stats.delta_bytes, stats.usage), (1, 2, None));
            assert!(stats.first_event.is_some() && stats.first_event <= stats.first_delta);
        }
    }

    #[tokio::test]
    async fn a_stream_can_be_ended_with_a_failure() {
        let failure = Failure::new("server_error", None, "the server stops");
        let mut response =
            stream(None).transcoded(Api::Anthropic, ResponseOptions::new()).unwrap().into_http();
        let first =
            poll_fn(|cx| Pin::new(response.body_mut()).poll_frame(cx)).await.expect("the first event");
        assert!(first.is_ok() && response.body().stream().is_some_and(|stream| stream.ending().is_none()));
        response.body_mut().stream_mut().expect("a stream").fail(failure);
        let rest = read(response.into_body()).await;
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.contains("event: error") && rest.contains("the server stops"), "{rest}");
        assert!(!rest.contains("message_stop"), "{rest}");
    }

    #[tokio::test]
    async fn whole_responses_are_json() {
        let body = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
        let response = Response::new(Metadata::default(), body);
        let written = response.transcoded(Options::new(), Api::Anthropic, &ResponseOptions::new());
        let written = written.expect("it is written");
        assert!(!written.response_losses.is_empty() && written.losses().count() > 0);
        let response = Transcoded::Whole(written.clone()).into_http();
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(response.headers().get("request-id").is_none());
        assert_eq!(response.body().size_hint().exact(), Some(written.body.len() as u64));
        assert_eq!(read(response.into_body()).await, written.body);
    }

    fn service_error(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        ServiceError::new(StatusCode::from_u16(status).unwrap(), &map, Bytes::from_static(body.as_bytes()))
            .into()
    }

    #[tokio::test]
    async fn errors_have_a_status_and_the_shape_of_the_api() {
        let typed = |name| [("x-amzn-errortype", name)];
        let invalid = read_request(Api::OpenAi, br#"{"messages":5}"#).unwrap_err();
        let unreadable = read_request(Api::LlamaServer, b"{}").unwrap_err();
        let container = Response::new(Metadata::default(), r#"{"error":{"message":"too long","code":400}}"#);
        let container = container.chat(Options::new()).unwrap_err();
        let broken = Response::new(Metadata::default(), "{").chat(Options::new()).unwrap_err();
        let exceeded = Failure::new("ModelStreamError", Some("ModelInvocationTimeExceeded".into()), "slow");
        for (error, statuses, name, message) in [
            (invalid.into(), [400; 3], "ValidationException", "messages"),
            (unreadable.into(), [501, 501, 400], "ValidationException", "llama-server"),
            (Error::invalid_request("no"), [400; 3], "ValidationException", "no"),
            (Error::unsupported("this"), [501, 501, 400], "ValidationException", "this"),
            (Error::config("a secret place"), [500; 3], "InternalServerException", "not configured"),
            (Error::credentials("none"), [500; 3], "InternalServerException", "not configured"),
            (Error::connect(), [502, 500, 500], "InternalServerException", "connecting"),
            (Error::broken_off(), [502, 500, 500], "InternalServerException", "broke off"),
            (
                Error::timed_out(Timeout::FirstByte, Duration::ZERO),
                [504, 504, 408],
                "ModelTimeoutException",
                "within",
            ),
            (
                Error::timed_out(Timeout::Connect, Duration::ZERO),
                [504, 504, 408],
                "ModelTimeoutException",
                "within",
            ),
            (Error::other("overloaded"), [503, 529, 503], "ServiceUnavailableException", "overloaded"),
            (Error::too_large(1), [502, 500, 500], "InternalServerException", "limit"),
            (container, [400, 400, 424], "ModelErrorException", "too long"),
            (broken, [502, 500, 500], "InternalServerException", "truncated"),
            (exceeded.into(), [504, 504, 408], "ModelTimeoutException", "slow"),
            (
                service_error(400, &typed("ThrottlingException"), r#"{"message":"Rate exceeded"}"#),
                [429; 3],
                "ThrottlingException",
                "Rate exceeded",
            ),
            (
                service_error(
                    424,
                    &typed("ModelError"),
                    r#"{"OriginalStatusCode":422,"OriginalMessage":"{\"error\":\"bad top_p\"}"}"#,
                ),
                [422, 422, 424],
                "ModelErrorException",
                "bad top_p",
            ),
            (
                service_error(
                    403,
                    &typed("AccessDeniedException"),
                    r#"{"Message":"arn:aws:sts::1:role may not"}"#,
                ),
                [502, 500, 500],
                "InternalServerException",
                "refused the credentials",
            ),
            (
                service_error(
                    400,
                    &typed("ValidationError"),
                    r#"{"message":"Endpoint e of account 1 not found."}"#,
                ),
                [404; 3],
                "ResourceNotFoundException",
                "not found",
            ),
        ] {
            for ((api, pointer), status) in [
                (Api::OpenAi, "/error/message"),
                (Api::Anthropic, "/error/message"),
                (Api::Converse, "/message"),
            ]
            .into_iter()
            .zip(statuses)
            {
                let response = error.to_http(api);
                assert_eq!(response.status(), status, "{error}");
                assert_eq!(response.headers()["content-type"], "application/json");
                let found = response.headers().get("x-amzn-errortype").map(|name| name.to_str().unwrap());
                assert_eq!(found, (api == Api::Converse).then_some(name), "{error}");
                let body: serde_json::Value =
                    serde_json::from_slice(&read(response.into_body()).await).unwrap();
                let text = body.pointer(pointer).and_then(|text| text.as_str()).unwrap_or_default();
                assert!(text.contains(message), "{error}: {body}");
                assert!(!text.contains("arn:") && !text.contains("secret"), "{body}");
            }
        }
    }

    #[test]
    fn throttling_has_a_delay_and_a_request_id() {
        let headers = [("retry-after", "7"), ("x-amzn-requestid", "r")];
        let response = service_error(429, &headers, "").to_http(Api::OpenAi);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["x-request-id"], "r");
    }

    #[test]
    fn an_error_names_the_invalid_parameter() {
        let invalid = read_request(Api::OpenAi, br#"{"messages":5}"#).unwrap_err();
        let error = Error::from(invalid).to_http_error();
        assert_eq!(error.param.as_deref(), Some("/messages"));
    }
}
