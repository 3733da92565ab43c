//! Chat with an endpoint: canonical requests in, canonical events out, whatever its container speaks.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_core::Stream;
use sagewire_codec::model::{self, ConversionOptions, Event, Losses, ToolNames};
use sagewire_codec::stream::{self, Events, Transcoded};
use sagewire_codec::{Api, Options, read_request, tool_names, write_request};
use tower_service::Service;

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::request::Request;
use crate::response::{ChunkStream, Metadata, Response, ResponseStream};
use crate::service::{Invoke, InvokeStream};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Hook = Arc<dyn Fn(Duration, &Event<'_>) + Send + Sync>;

/// A chat with one endpoint, over a transport or over `tower` layers around one.
///
/// ```
/// use sagewire_codec::Api;
/// use sagewire_codec::read_request;
/// use sagewire_transport::{Chat, Error, Invoke, Metadata, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// // A transport; here one that has the answer already.
/// let transport = tower::service_fn(|Invoke(request): Invoke| async move {
///     assert_eq!(request.body, r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":9}"#);
///     let answer = r#"{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
///     Ok::<_, Error>(Response::new(Metadata::default(), answer))
/// });
/// let mut chat = Chat::new(transport, "my-llm");
///
/// // The application speaks Anthropic's Messages, the container OpenAI's chat.
/// let body = br#"{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
/// let answer = chat.complete(&read_request(Api::Anthropic, body)?).await?;
/// assert_eq!(answer.choices[0].text(), "hello");
/// # Ok(())
/// # }
/// ```
///
/// What the container takes has to be said, unless it is OpenAI's chat; what it answers is told by its bytes. Tools whose
/// names it does not take have their own in answers.
#[derive(Clone)]
pub struct Chat<'a, S> {
    service: S,
    endpoint: Endpoint,
    format: Api,
    settings: ConversionOptions<'a>,
    options: Options,
    hook: Option<Hook>,
}

impl<'a, S> Chat<'a, S> {
    /// A chat with an endpoint, or with one by its name, whose container takes OpenAI's chat.
    pub fn new(service: S, endpoint: impl Into<Endpoint>) -> Self {
        Self {
            service,
            endpoint: endpoint.into(),
            format: Api::OpenAi,
            settings: ConversionOptions::default(),
            options: Options::default(),
            hook: None,
        }
    }

    /// What the container takes. Default: OpenAI's chat.
    #[must_use]
    pub fn format(mut self, format: Api) -> Self {
        self.format = format;
        self
    }

    /// How requests are written: chat template, defaults, what is done where the container cannot say something.
    #[must_use]
    pub fn settings(mut self, settings: ConversionOptions<'a>) -> Self {
        self.settings = settings;
        self
    }

    /// How answers are read: their format, and limits. Default: what their bytes tell.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Called with each event of a streamed answer, and the time since the request: the first one with text tells the
    /// time to the first token.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(Duration, &Event<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// What is sent for a request, and what of it the container cannot be told.
    ///
    /// # Errors
    ///
    /// The container needs what the request does not have: see [`Error::codec`].
    pub fn request(&self, request: &model::Request<'_>, stream: bool) -> Result<(Request, Losses), Error> {
        let is_set = request.stream.as_ref().map(|param| param.value);
        let asks = is_set == Some(stream) || (is_set.is_none() && !stream);
        let (body, losses) = if asks {
            write_request(self.format, request, &self.settings)?
        } else {
            let mut changed = request.clone();
            changed.stream = Some(model::Param::new(stream));
            write_request(self.format, &changed, &self.settings)?
        };
        let request = Request::new(self.endpoint.clone(), body).content_type(self.format.content_type());
        Ok((request, losses))
    }
}

impl<S> Chat<'_, S>
where
    S: Service<InvokeStream, Response = ResponseStream>,
    S::Error: Into<BoxError>,
{
    /// Asks, and waits until the answer begins.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request) and of the transport; those of layers that are not ours are its sources.
    pub async fn stream(&mut self, request: &model::Request<'_>) -> Result<ChatStream, Error> {
        let names = tool_names(self.format, request);
        let (request, losses) = self.request(request, true)?;
        let asked = Instant::now();
        #[cfg(feature = "tracing")]
        let span = crate::trace::Span::new(&request.endpoint);
        let answer = call(&mut self.service, InvokeStream(request)).await;
        #[cfg(feature = "tracing")]
        let span = span.answered(answer.as_ref().err());
        let answer = answer?;
        Ok(ChatStream {
            metadata: answer.metadata().clone(),
            losses,
            names,
            events: answer.events_with(self.options.clone()),
            asked,
            hook: self.hook.clone(),
            #[cfg(feature = "tracing")]
            span,
        })
    }

    /// Asks with a request in a format of the application's, and answers with the bytes of a stream: what a proxy does.
    ///
    /// # Errors
    ///
    /// Those of [`read_request`] and of [`stream`](Self::stream).
    pub async fn transcode(
        &mut self,
        format: Api,
        body: &[u8],
        target: Api,
        context: model::ResponseOptions,
    ) -> Result<Transcoded<ChunkStream, Error>, Error> {
        let request = read_request(format, body)?;
        let names = tool_names(self.format, &request);
        let (request, _) = self.request(&request, true)?;
        let answer = call(&mut self.service, InvokeStream(request)).await?;
        answer.transcoded_for(self.options.clone(), target, context, names)
    }
}

impl<S> Chat<'_, S>
where
    S: Service<Invoke, Response = Response>,
    S::Error: Into<BoxError>,
{
    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request), of the transport and of [`Response::chat`].
    pub async fn complete(&mut self, request: &model::Request<'_>) -> Result<model::Response, Error> {
        let names = tool_names(self.format, request);
        let (request, _) = self.request(request, false)?;
        let answer = call(&mut self.service, Invoke(request)).await?;
        let mut answer = answer.chat(self.options.clone())?;
        names.restore_response(&mut answer);
        Ok(answer)
    }
}

async fn call<S, R>(service: &mut S, request: R) -> Result<S::Response, Error>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
{
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(own)?;
    service.call(request).await.map_err(own)
}

/// Our own error as it is; that of a layer as a source.
fn own(error: impl Into<BoxError>) -> Error {
    let error: BoxError = error.into();
    match error.downcast::<Error>() {
        Ok(own) => *own,
        Err(error) => Error::new(Kind::Layer(error.to_string())).because(error),
    }
}

/// A streamed answer of a chat: its events. It ends after the last event of a complete answer, and otherwise with one
/// error.
#[must_use = "nothing is read until the stream is"]
pub struct ChatStream {
    metadata: Metadata,
    losses: Losses,
    /// The names of tools that the container could not be told.
    names: ToolNames,
    events: Events<ChunkStream, Error>,
    asked: Instant,
    hook: Option<Hook>,
    #[cfg(feature = "tracing")]
    span: crate::trace::Span,
}

impl ChatStream {
    /// What the headers say.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What of the request the container could not be told.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// The next event; `None` after the last one of a complete answer.
    ///
    /// # Errors
    ///
    /// The answer is not whole: it broke off, failed, or is cut short.
    pub async fn event(&mut self) -> Result<Option<Event<'static>>, Error> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }
}

impl Stream for ChatStream {
    type Item = Result<Event<'static>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(Pin::new(&mut self.events).poll_next(cx));
        let item = item.map(|item| match item {
            Ok(event) => Ok(self.names.restore(event).into_owned()),
            Err(error) => Err(Error::from(error)),
        });
        if let (Some(hook), Some(Ok(event))) = (&self.hook, &item) {
            hook(self.asked.elapsed(), event);
        }
        #[cfg(feature = "tracing")]
        self.span.item(item.as_ref());
        Poll::Ready(item)
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for Chat<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("service", &self.service)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl From<stream::Error<Error>> for Error {
    fn from(error: stream::Error<Error>) -> Self {
        match error {
            stream::Error::Transport(error) => error,
            stream::Error::Decode(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sagewire_codec::Framing;
    use sagewire_codec::model::PartKind;
    use sagewire_codec::stream::Chunk;
    use tower::service_fn;

    use super::*;
    use crate::{Deadline, Timeouts};

    const ASKED: &[u8] =
        br#"{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"files.read","parameters":{}}}]}"#;

    /// A stream of one chunk.
    struct Once(Option<Chunk>);

    impl Stream for Once {
        type Item = Result<Chunk, Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.take().map(Ok))
        }
    }

    async fn streamed(InvokeStream(request): InvokeStream) -> Result<ResponseStream, Error> {
        assert!(request.body.windows(10).any(|name| name == b"files_read"), "Converse takes no dot");
        let body = concat!(
            r#"{"contentBlockStart":{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"files_read"}}}}"#,
            "\n",
            r#"{"messageStop":{"stopReason":"tool_use"}}"#,
        );
        let chunks = Box::pin(Once(Some(Chunk::Bytes(Bytes::from_static(body.as_bytes())))));
        let (timeouts, metadata) = (Timeouts::default(), Metadata::default());
        let deadline = Deadline::new(&timeouts);
        Ok(ResponseStream::new(metadata, Framing::Unframed, chunks, &timeouts, deadline))
    }

    async fn whole(Invoke(_): Invoke) -> Result<Response, Error> {
        let body = r#"{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"files_read","input":{}}}]}},"stopReason":"tool_use"}"#;
        Ok(Response::new(Metadata::default(), body))
    }

    /// Whoever asked knows tools by their own names, and not by those that the container could take.
    #[tokio::test]
    async fn tools_have_their_own_names() -> Result<(), Error> {
        let request = read_request(Api::OpenAi, ASKED)?;
        let answer = Chat::new(service_fn(whole), "e").format(Api::Converse).complete(&request).await?;
        let names: Vec<&str> = answer.choices[0].tool_calls().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["files.read"]);
        let mut chat = Chat::new(service_fn(streamed), "e").format(Api::Converse);
        let mut stream = chat.stream(&request).await?;
        let mut names = Vec::new();
        while let Some(event) = stream.event().await? {
            if let Event::PartStart { kind: PartKind::ToolCall { name, .. }, .. } = event {
                names.push(name);
            }
        }
        assert_eq!(names, ["files.read"]);
        let context = model::ResponseOptions::new();
        let mut bytes = chat.transcode(Api::OpenAi, ASKED, Api::OpenAi, context).await?;
        let mut out = Vec::new();
        while let Some(piece) = poll_fn(|cx| Pin::new(&mut bytes).poll_next(cx)).await {
            out.extend_from_slice(&piece?);
        }
        assert!(String::from_utf8_lossy(&out).contains(r#""name":"files.read""#));
        Ok(())
    }

    #[test]
    fn a_body_is_sent_as_what_it_is() {
        let body = br#"{"prompt":"hi","stream":false}"#;
        let request = read_request(Api::Completions, body).expect("a request");
        for (format, media_type) in
            [(Api::Tgi, "application/json"), (Api::JumpStartRaw, "application/x-text")]
        {
            let chat = Chat::new((), "x").format(format);
            let (sent, losses) = chat.request(&request, false).expect("it can be written");
            assert_eq!((sent.content_type.as_str(), losses.is_empty()), (media_type, true));
        }
    }
}
