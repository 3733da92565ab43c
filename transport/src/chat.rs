//! Chats with an endpoint.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sagewire_codec::model::{
    self, ConversionOptions, Event, Losses, Message, Render, Rendered, ResponseOptions, Tool, ToolNames,
};
use sagewire_codec::{Api, Options, read_request_with, tool_names, write_request};
use tower_service::Service;

use crate::BoxError;
use crate::chat_response::{ChatResponse, ChatStream};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::event_source::EventSource;
use crate::observer::{Hook, Observer};
use crate::parameters;
use crate::request::Request;
use crate::response::{Response, ResponseStream};
use crate::service::{Invoke, InvokeStream};
use crate::transcoded::{Transcoded, TranscodedResponse, TranscodedStream};

/// A client for chats with one endpoint, over a transport or over `tower` layers around a transport.
///
/// ```
/// use sagewire_codec::{Api, read_request};
/// use sagewire_transport::{Chat, Error, Invoke, Metadata, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// // A transport with a fixed response.
/// let transport = tower::service_fn(|Invoke(request): Invoke| async move {
///     assert_eq!(request.body, r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":9}"#);
///     let body = r#"{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
///     Ok::<_, Error>(Response::new(Metadata::default(), body))
/// });
/// let chat = Chat::new(transport, "my-llm");
///
/// // The application uses Anthropic Messages, the container OpenAI chat completions.
/// let body = br#"{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
/// let response = chat.complete(&read_request(Api::Anthropic, body)?).await?;
/// assert_eq!(response.text(), "hello");
/// assert!(response.losses.is_empty());
///
/// // The same from bytes to bytes.
/// let response = chat.transcode_complete(Api::Anthropic, body, Api::Anthropic, Default::default()).await?;
/// assert!(response.body.starts_with(br#"{"id":"#));
/// # Ok(())
/// # }
/// ```
///
/// The API of the container has to be set, unless it is OpenAI chat completions; the API of its responses is detected
/// automatically. Tools with names that the container does not accept are renamed in the request, and have their original names
/// in the response.
///
/// All methods take `&self`: each call clones the service. A service that is not `Clone`, such as a rate limit, goes behind a
/// [`tower::buffer`](https://docs.rs/tower/0.5/tower/buffer/index.html). A `Chat` is `Clone`, `Send`, `Sync` and `'static` if
/// its service is.
#[derive(Clone)]
pub struct Chat<S> {
    service: S,
    endpoint: Endpoint,
    api: Api,
    #[cfg(feature = "custom")]
    custom: Option<Arc<sagewire_codec::custom::Format>>,
    model: Model,
    conversion_options: ConversionOptions<'static>,
    template: Option<Arc<Render<'static>>>,
    decode_options: Options,
    hook: Option<Hook>,
    pub(crate) parameters: serde_json::Map<String, serde_json::Value>,
    /// The parameters, for requests that do not have them.
    pub(crate) defaults: Option<Arc<model::Request<'static>>>,
}

/// The model of the requests that a container gets.
#[derive(Clone, Debug)]
enum Model {
    /// That of the request of the application.
    Unchanged,
    /// This one, or none.
    Set(Option<String>),
}

impl<S> Chat<S> {
    /// A chat with an endpoint, or with the endpoint of this name. Its container takes OpenAI chat completions.
    pub fn new(service: S, endpoint: impl Into<Endpoint>) -> Self {
        Self {
            service,
            endpoint: endpoint.into(),
            api: Api::OpenAi,
            #[cfg(feature = "custom")]
            custom: None,
            model: Model::Unchanged,
            conversion_options: ConversionOptions::default(),
            template: None,
            decode_options: Options::default(),
            hook: None,
            parameters: serde_json::Map::new(),
            defaults: None,
        }
    }

    /// Sets the API of the container. Default: OpenAI chat completions.
    #[must_use]
    pub fn api(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    /// Sets a custom format, in which requests are written in place of [`api`](Self::api). Responses are read in it if it has
    /// paths into them; otherwise their API is detected automatically.
    #[cfg(feature = "custom")]
    #[cfg_attr(docsrs, doc(cfg(feature = "custom")))]
    #[must_use]
    pub fn custom(mut self, format: impl Into<Arc<sagewire_codec::custom::Format>>) -> Self {
        self.custom = Some(format.into());
        self
    }

    /// Sets the model of all requests, in place of that of the application: a container that checks it takes the name that it
    /// serves only, and a [gateway](crate::Runtime::gateway) requires one.
    ///
    /// ```
    /// use sagewire_codec::{Api, read_request};
    /// use sagewire_transport::Chat;
    ///
    /// let request = read_request(Api::OpenAi, br#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#)?;
    /// let (sent, losses) = Chat::new((), "my-llm").model("/opt/ml/model").request(&request, false)?;
    /// assert_eq!(sent.body, r#"{"model":"/opt/ml/model","messages":[{"role":"user","content":"hi"}]}"#);
    /// assert!(losses.is_empty());
    /// let (sent, _) = Chat::new((), "my-llm").without_model().request(&request, false)?;
    /// assert_eq!(sent.body, r#"{"messages":[{"role":"user","content":"hi"}]}"#);
    /// # Ok::<(), sagewire_transport::Error>(())
    /// ```
    #[must_use]
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Model::Set(Some(name.into()));
        self
    }

    /// Leaves the model out of all requests, for containers that refuse the field, or names that they do not know.
    #[must_use]
    pub fn without_model(mut self) -> Self {
        self.model = Model::Set(None);
        self
    }

    /// Sets the chat template, for containers that take a prompt instead of messages: for example
    /// `sagewire_codec::chat_template::Template::render`.
    ///
    /// ```
    /// use sagewire_codec::{Api, model::Rendered, read_request};
    /// use sagewire_transport::Chat;
    ///
    /// # let transport = ();
    /// let chat = Chat::new(transport, "my-llm").api(Api::Tgi).template(|messages, _tools| {
    ///     let roles = messages.iter().map(|message| format!("<{}>", message.role.as_str()));
    ///     Ok(Rendered::new(roles.collect::<String>()))
    /// });
    /// let request = read_request(Api::OpenAi, br#"{"messages":[{"role":"user","content":"hi"}]}"#)?;
    /// let (request, _losses) = chat.request(&request, false)?;
    /// assert!(request.body.starts_with(br#"{"inputs":"<user>""#));
    /// # Ok::<(), sagewire_transport::Error>(())
    /// ```
    #[must_use]
    pub fn template(
        mut self,
        render: impl Fn(&[Message<'_>], &[Tool<'_>]) -> Result<Rendered, String> + Send + Sync + 'static,
    ) -> Self {
        self.template = Some(Arc::new(render));
        self
    }

    /// Sets how requests are written for the container: defaults, what is done where its API cannot express something, and the
    /// bounds on requests of applications.
    #[must_use]
    pub fn conversion_options(mut self, options: ConversionOptions<'static>) -> Self {
        self.conversion_options = options;
        self
    }

    /// Sets how responses are decoded: their API, and limits. Default: their API is detected automatically.
    #[must_use]
    pub fn decode_options(mut self, options: Options) -> Self {
        self.decode_options = options;
        self
    }

    /// Sets a hook that is called with each event of a response, and the time since the request was sent. With a streaming
    /// response, the first event with text gives the time to the first token; a non-streaming response is passed as the
    /// events that a stream of the same content would have, all at once.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(Duration, &Event<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The endpoint, to change it for the next calls.
    pub fn endpoint_mut(&mut self) -> &mut Endpoint {
        &mut self.endpoint
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

    /// Reads a request of an application, within the bounds of the conversion options.
    fn read_request<'a>(&self, from: Api, body: &'a [u8]) -> Result<model::Request<'a>, Error> {
        Ok(read_request_with(from, body, self.conversion_options.limits)?)
    }

    /// Writes a request for the container, and returns what its API cannot express of it. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::convert`]: the container needs something that the request does not have.
    pub fn request(&self, request: &model::Request<'_>, stream: bool) -> Result<(Request, Losses), Error> {
        let mut options = self.conversion_options;
        if let Some(render) = &self.template {
            options.render = Some(&**render);
        }
        let mut request = Cow::Borrowed(request);
        if request.stream.as_ref().is_some_and(|param| param.value) != stream {
            request.to_mut().stream = Some(model::Param::new(stream));
        }
        if let Model::Set(name) = &self.model {
            if request.model.as_ref().map(|param| &*param.value) != name.as_deref() {
                request.to_mut().model = name.as_deref().map(|name| model::Param::new(name.into()));
            }
        }
        if let Some(defaults) = &self.defaults {
            parameters::fill(request.to_mut(), defaults);
        }
        #[cfg(feature = "custom")]
        if let Some(format) = &self.custom {
            without_implied(format, &mut request);
            let body = format.write(&request, &options)?;
            return Ok((Request::new(self.endpoint.clone(), body.bytes), body.losses));
        }
        let (body, losses) = write_request(self.api, &request, &options)?;
        let request = Request::new(self.endpoint.clone(), body).content_type(self.api.content_type());
        Ok((request, losses))
    }

    /// The API of the container.
    pub(crate) fn container_api(&self) -> Api {
        self.api
    }

    /// The model of all requests, if it is set: a name, or none.
    #[cfg(feature = "serde")]
    pub(crate) fn set_model(&self) -> Option<&Option<String>> {
        match &self.model {
            Model::Unchanged => None,
            Model::Set(name) => Some(name),
        }
    }

    /// Whether a chat template makes the prompt.
    pub(crate) fn has_template(&self) -> bool {
        self.template.is_some() || self.conversion_options.render.is_some()
    }

    /// How responses are decoded.
    fn decoding(&self) -> Options {
        let options = self.decode_options.clone();
        #[cfg(feature = "custom")]
        if let Some(format) = self.custom.as_ref().filter(|format| format.reads_responses()) {
            return options.custom(Arc::clone(format));
        }
        options
    }

    /// Whether the container has a format of its own.
    fn is_custom(&self) -> bool {
        #[cfg(feature = "custom")]
        if self.custom.is_some() {
            return true;
        }
        false
    }

    /// The names of tools that are other ones for the container.
    fn tool_names(&self, request: &model::Request<'_>) -> ToolNames {
        if self.is_custom() { ToolNames::default() } else { tool_names(self.api, request) }
    }
}

impl<S> Chat<S>
where
    S: Service<InvokeStream, Response = ResponseStream> + Clone,
    S::Error: Into<BoxError>,
{
    /// Sends a request, and waits for the start of the streaming response.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request) and of the transport. The error of a `tower` layer is its source.
    pub async fn stream(&self, request: &model::Request<'_>) -> Result<ChatStream, Error> {
        let names = self.tool_names(request);
        let (request, losses) = self.request(request, true)?;
        let observer = Observer::chat(&request.endpoint, self.hook.clone());
        let response = observer.observe(call(&self.service, InvokeStream(request)).await)?;
        let metadata = response.metadata().clone();
        let source = EventSource::new(response, self.decoding(), names, Some(observer));
        Ok(ChatStream::new(metadata, losses, source))
    }

    /// Sends a request that was read from `body`, a request of the API `from`, and converts the streaming response into a
    /// stream of the API `to`. `options` have what the response does not contain. The field `stream` of the request is
    /// ignored.
    ///
    /// # Errors
    ///
    /// Those of [`read_request_with`], with [`ConversionOptions::limits`], and of [`stream`](Self::stream); [`Error::is_unsupported`] if the codec does not write
    /// streams of `to`.
    pub async fn transcode_stream(
        &self,
        from: Api,
        body: &[u8],
        to: Api,
        options: ResponseOptions,
    ) -> Result<TranscodedStream, Error> {
        self.stream_as(&self.read_request(from, body)?, to, options).await
    }

    async fn stream_as(
        &self,
        request: &model::Request<'_>,
        to: Api,
        options: ResponseOptions,
    ) -> Result<TranscodedStream, Error> {
        if !to.writes_streams() {
            return Err(Error::unsupported(format!("writing streams of the API `{to}`")));
        }
        self.stream(request).await?.transcoded(to, options)
    }
}

impl<S> Chat<S>
where
    S: Service<Invoke, Response = Response> + Clone,
    S::Error: Into<BoxError>,
{
    /// Sends a request, and waits for the whole response.
    ///
    /// # Errors
    ///
    /// Those of [`request`](Self::request), of the transport and of [`Response::chat`].
    pub async fn complete(&self, request: &model::Request<'_>) -> Result<ChatResponse, Error> {
        let names = self.tool_names(request);
        let (request, losses) = self.request(request, false)?;
        let mut observer = Observer::chat(&request.endpoint, self.hook.clone());
        let response = observer.observe(call(&self.service, Invoke(request)).await)?;
        let mut chat = observer.observe(response.chat(self.decoding()))?;
        names.restore_response(&mut chat);
        observer.response(&chat);
        let body = (names.is_empty() && !self.is_custom()).then_some(response.body);
        Ok(ChatResponse::new(response.metadata, chat, losses, body))
    }

    /// Sends a request that was read from `body`, a request of the API `from`, and converts the whole response into a
    /// response of the API `to`. `options` have what the response does not contain. The field `stream` of the request is
    /// ignored.
    ///
    /// # Errors
    ///
    /// Those of [`read_request_with`], with [`ConversionOptions::limits`], and of [`complete`](Self::complete); [`Error::is_unsupported`] if the codec does not write
    /// responses of `to`.
    pub async fn transcode_complete(
        &self,
        from: Api,
        body: &[u8],
        to: Api,
        options: ResponseOptions,
    ) -> Result<TranscodedResponse, Error> {
        self.complete_as(&self.read_request(from, body)?, to, options).await
    }

    async fn complete_as(
        &self,
        request: &model::Request<'_>,
        to: Api,
        mut options: ResponseOptions,
    ) -> Result<TranscodedResponse, Error> {
        if !to.writes_responses() {
            return Err(Error::unsupported(format!("writing responses of the API `{to}`")));
        }
        let sent_at = Instant::now();
        let response = self.complete(request).await?;
        let latency = sent_at.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        options.latency_ms.get_or_insert(latency);
        response.transcoded(to, &options)
    }
}

impl<S> Chat<S>
where
    S: Service<InvokeStream, Response = ResponseStream> + Service<Invoke, Response = Response> + Clone,
    <S as Service<InvokeStream>>::Error: Into<BoxError>,
    <S as Service<Invoke>>::Error: Into<BoxError>,
{
    /// Sends a request that was read from `body`, a request of the API `from`, and converts the response into one of the API
    /// `to`: a stream if the field `stream` of the request is true, and otherwise a non-streaming response. `options` have
    /// what the response does not contain. This is the main function of a proxy:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use sagewire_codec::{Api, model::ResponseOptions};
    /// use sagewire_transport::Chat;
    /// # use sagewire_transport::{Error, Invoke, InvokeStream, Response, ResponseBody, ResponseStream};
    /// # use tower_service::Service;
    ///
    /// # async fn respond<S>(chat: Chat<S>, api: Api, body: Bytes) -> http::Response<ResponseBody>
    /// # where
    /// #     S: Service<InvokeStream, Response = ResponseStream, Error = Error>,
    /// #     S: Service<Invoke, Response = Response, Error = Error> + Clone,
    /// # {
    /// // The client of the proxy uses `api`: its request is `body`.
    /// match chat.transcode(api, &body, api, ResponseOptions::new()).await {
    ///     Ok(response) => response.into_http(),
    ///     Err(error) => error.to_http(api),
    /// }
    /// # }
    /// ```
    ///
    /// A Converse request has no field `stream`, since ConverseStream is an operation of its own: call
    /// [`transcode_stream`](Self::transcode_stream) or [`transcode_complete`](Self::transcode_complete) by the operation.
    ///
    /// # Errors
    ///
    /// Those of [`transcode_stream`](Self::transcode_stream) and of [`transcode_complete`](Self::transcode_complete).
    pub async fn transcode(
        &self,
        from: Api,
        body: &[u8],
        to: Api,
        options: ResponseOptions,
    ) -> Result<Transcoded, Error> {
        let request = self.read_request(from, body)?;
        Ok(match request.stream.as_ref().is_some_and(|stream| stream.value) {
            true => self.stream_as(&request, to, options).await?.into(),
            false => self.complete_as(&request, to, options).await?.into(),
        })
    }
}

/// Leaves out what a template need not express: the operation decides whether there is a stream, the endpoint which model
/// responds, and paths of the format whether there are token counts.
#[cfg(feature = "custom")]
fn without_implied(format: &sagewire_codec::custom::Format, request: &mut Cow<'_, model::Request<'_>>) {
    if request.stream.is_some() && !format.asks_for("stream") {
        request.to_mut().stream = None;
    }
    if request.model.is_some() && !format.asks_for("model") {
        request.to_mut().model = None;
    }
    let usage = &format.spec().stream.usage;
    if request.include_usage.is_some() && (usage.output.is_some() || usage.total.is_some()) {
        request.to_mut().include_usage = None;
    }
}

/// Calls a clone of the service, so that the caller needs no exclusive access to it. An [`Error`] is returned as it is; that
/// of a `tower` layer becomes its source.
pub(crate) async fn call<S, R>(service: &S, request: R) -> Result<S::Response, Error>
where
    S: Service<R> + Clone,
    S::Error: Into<BoxError>,
{
    let mut service = service.clone();
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Error::other)?;
    service.call(request).await.map_err(Error::other)
}

impl<S: fmt::Debug> fmt::Debug for Chat<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("service", &self.service)
            .field("endpoint", &self.endpoint)
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Mutex;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use futures_core::Stream;
    use sagewire_codec::model::PartKind;
    use sagewire_codec::stream::Chunk;
    use sagewire_codec::{Framing, RequestLimits, read_request};
    use tower::service_fn;

    use super::*;
    use crate::{Bounds, Metadata};

    const REQUEST: &[u8] =
        br#"{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"files.read","parameters":{}}}]}"#;

    /// A stream of one chunk.
    struct Once(Option<Chunk>);

    impl Stream for Once {
        type Item = Result<Chunk, Error>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.take().map(Ok))
        }
    }

    fn stream_of(body: &str) -> ResponseStream {
        let chunks = Box::pin(Once(Some(Chunk::Bytes(Bytes::copy_from_slice(body.as_bytes())))));
        ResponseStream::new(Metadata::default(), Framing::Unframed, chunks, &Bounds::default())
    }

    async fn streaming(InvokeStream(request): InvokeStream) -> Result<ResponseStream, Error> {
        assert!(
            request.body.windows(10).any(|name| name == b"files_read"),
            "Converse allows no dot in a name"
        );
        Ok(stream_of(concat!(
            r#"{"contentBlockStart":{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"files_read"}}}}"#,
            "\n",
            r#"{"messageStop":{"stopReason":"tool_use"}}"#,
        )))
    }

    async fn complete(Invoke(_): Invoke) -> Result<Response, Error> {
        let body = r#"{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"files_read","input":{}}}]}},"stopReason":"tool_use"}"#;
        Ok(Response::new(Metadata::default(), body))
    }

    #[tokio::test]
    async fn tools_have_the_names_of_the_application() -> Result<(), Error> {
        let request = read_request(Api::OpenAi, REQUEST)?;
        let response = Chat::new(service_fn(complete), "e").api(Api::Converse).complete(&request).await?;
        let names: Vec<&str> = response.response.choices[0].tool_calls().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["files.read"]);
        let chat = Chat::new(service_fn(streaming), "e").api(Api::Converse);
        let mut stream = chat.stream(&request).await?;
        let mut names = Vec::new();
        while let Some(event) = stream.event().await? {
            if let Event::PartStart { kind: PartKind::ToolCall { name, .. }, .. } = event {
                names.push(name);
            }
        }
        assert_eq!(names, ["files.read"]);
        let mut stream =
            chat.transcode_stream(Api::OpenAi, REQUEST, Api::OpenAi, ResponseOptions::new()).await?;
        let mut out = Vec::new();
        while let Some(piece) = stream.chunk().await? {
            out.extend_from_slice(&piece);
        }
        assert!(String::from_utf8_lossy(&out).contains(r#""name":"files.read""#));
        Ok(())
    }

    #[test]
    fn a_body_has_the_content_type_of_its_api() {
        let body = br#"{"prompt":"hi","stream":false}"#;
        let request = read_request(Api::Completions, body).expect("a request");
        for (api, media_type) in [(Api::Tgi, "application/json"), (Api::JumpStartRaw, "application/x-text")] {
            let chat = Chat::new((), "x").api(api);
            let (sent, losses) = chat.request(&request, false).expect("it can be written");
            assert_eq!((sent.content_type.as_str(), losses.is_empty()), (media_type, true));
        }
    }

    /// A chat with a template can be shared between tasks, and used by several at once.
    #[tokio::test]
    async fn a_chat_is_shared_by_reference() -> Result<(), Error> {
        fn assert_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
        let service = service_fn(|Invoke(request): Invoke| async move {
            let body = format!(r#"[{{"generated_text":{:?}}}]"#, String::from_utf8_lossy(&request.body));
            Ok::<_, Error>(Response::new(Metadata::default(), body))
        });
        let mark = String::from("[user]");
        let chat = Chat::new(service, "e").api(Api::JumpStart).template(move |messages, _| {
            Ok(Rendered::new(messages.iter().map(|_| &*mark).collect::<String>()))
        });
        assert_shared(&chat);
        let chat = Arc::new(chat);
        let task = tokio::spawn({
            let chat = chat.clone();
            async move {
                let request = read_request(Api::OpenAi, br#"{"messages":[{"role":"user","content":"a"}]}"#)?;
                chat.complete(&request).await
            }
        });
        let request = read_request(Api::OpenAi, br#"{"messages":[{"role":"user","content":"b"}]}"#)?;
        let here = chat.complete(&request).await?;
        let there = task.await.expect("no panic")?;
        assert!(here.text().contains("[user]") && here.text() == there.text(), "{}", here.text());
        Ok(())
    }

    /// The hook sees the same text of a streaming and of a non-streaming response.
    #[tokio::test]
    async fn the_hook_sees_every_response() -> Result<(), Error> {
        const STREAM: &str = concat!(
            r#"data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}"#,
            "\n\n",
            r#"data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
            "\n\n"
        );
        const WHOLE: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#;
        let (kinds, text) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(String::new())));
        let hook = {
            let (kinds, text) = (kinds.clone(), text.clone());
            move |_: Duration, event: &Event<'_>| {
                let kind = match event {
                    Event::PartStart { .. } => "part",
                    Event::TextDelta { text: delta, .. } => {
                        text.lock().unwrap().push_str(delta);
                        "text"
                    }
                    Event::PartEnd { .. } => "end",
                    Event::Finish { .. } => "finish",
                    Event::Usage(_) => "usage",
                    _ => return,
                };
                kinds.lock().unwrap().push(kind);
            }
        };
        let seen =
            || (std::mem::take(&mut *kinds.lock().unwrap()), std::mem::take(&mut *text.lock().unwrap()));
        let body = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
        let expected = (vec!["part", "text", "end", "finish", "usage"], "hi".to_owned());

        let whole =
            service_fn(|_: Invoke| async { Ok::<_, Error>(Response::new(Metadata::default(), WHOLE)) });
        let chat = Chat::new(whole, "e").on_event(hook.clone());
        chat.complete(&read_request(Api::OpenAi, body)?).await?;
        assert_eq!(seen(), expected);
        chat.transcode_complete(Api::OpenAi, body, Api::Anthropic, ResponseOptions::new()).await?;
        assert_eq!(seen(), expected);

        let streamed = service_fn(|_: InvokeStream| async { Ok::<_, Error>(stream_of(STREAM)) });
        let chat = Chat::new(streamed, "e").on_event(hook);
        let mut stream = chat.stream(&read_request(Api::OpenAi, body)?).await?;
        while stream.event().await?.is_some() {}
        assert_eq!(seen(), expected);
        let options = ResponseOptions::new();
        let mut stream = chat.transcode_stream(Api::OpenAi, body, Api::Anthropic, options).await?;
        while stream.chunk().await?.is_some() {}
        assert_eq!(seen(), expected);
        Ok(())
    }

    #[tokio::test]
    async fn a_whole_response_of_the_same_api_is_passed_through() -> Result<(), Error> {
        const BODY: &str = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"content":"hi","reasoning":null}, "finish_reason":"stop"}],"kv":1}"#;
        let whole = |body: &'static str| {
            service_fn(
                move |_: Invoke| async move { Ok::<_, Error>(Response::new(Metadata::default(), body)) },
            )
        };
        let request = br#"{"messages":[{"role":"user","content":"hi"}]}"#;
        let options = ResponseOptions::new().pass_through(true);
        let chat = Chat::new(whole(BODY), "e");
        let response = chat.transcode_complete(Api::OpenAi, request, Api::OpenAi, options.clone()).await?;
        assert_eq!(response.body, BODY);
        let converted =
            chat.transcode_complete(Api::OpenAi, request, Api::Anthropic, options.clone()).await?;
        assert!(converted.body.starts_with(b"{\"id\":\"msg_"));
        // Without the field that clients rely on, it is written anew, and so it is if a tool has another name.
        let shapeless =
            Chat::new(whole(r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#), "e");
        let response =
            shapeless.transcode_complete(Api::OpenAi, request, Api::OpenAi, options.clone()).await?;
        assert!(response.body.windows(17).any(|text| text == b"\"chat.completion\""));
        let failed = Chat::new(whole(r#"{"object":"chat.completion","error":{"message":"boom"}}"#), "e");
        failed.transcode_complete(Api::OpenAi, request, Api::OpenAi, options).await.expect_err("a failure");
        Ok(())
    }

    #[tokio::test]
    async fn losses_of_both_directions_are_returned() -> Result<(), Error> {
        let body = br#"{"messages":[{"role":"user","content":"hi"}],"seed":7,"stream":true}"#;
        let whole = service_fn(|_: Invoke| async {
            let body = r#"{"output":{"message":{"content":[{"text":"hi"}]}},"stopReason":"end_turn","trace":{"a":1}}"#;
            Ok::<_, Error>(Response::new(Metadata::default(), body))
        });
        let chat = Chat::new(whole, "e").api(Api::Converse);
        let response = chat.complete(&read_request(Api::OpenAi, body)?).await?;
        let paths: Vec<_> = response.losses.iter().map(|loss| &*loss.path).collect();
        assert_eq!(paths, ["/seed"]);
        let options = ResponseOptions::new();
        let response = chat.transcode_complete(Api::OpenAi, body, Api::Anthropic, options.clone()).await?;
        let paths: Vec<_> = response.losses().map(|loss| &*loss.path).collect();
        assert!(paths.contains(&"/seed") && paths.contains(&"/trace"), "{paths:?}");
        let response = Transcoded::Whole(response);
        assert!(response.losses().any(|loss| loss.path == "/trace"));

        let streamed = service_fn(|_: InvokeStream| async {
            Ok::<_, Error>(stream_of(concat!(
                r#"{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"hi"}}}"#,
                "\n",
                r#"{"messageStop":{"stopReason":"end_turn"}}"#,
                "\n",
                r#"{"metadata":{"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1},"trace":{"a":1}}}"#
            )))
        });
        let chat = Chat::new(streamed, "e").api(Api::Converse);
        let stream = chat.stream(&read_request(Api::OpenAi, body)?).await?;
        assert_eq!(stream.losses().len(), 1);
        let mut stream = stream.transcoded(Api::Anthropic, options)?;
        assert_eq!((stream.request_losses().len(), stream.response_losses().len()), (1, 0));
        while stream.chunk().await?.is_some() {}
        let paths: Vec<_> = stream.response_losses().iter().map(|loss| &*loss.path).collect();
        assert_eq!(paths, ["/metadata/metrics"]);
        assert!(stream.losses().count() > 1 && stream.get_ref().metadata() == stream.metadata());
        Ok(())
    }

    #[tokio::test]
    async fn an_api_that_is_not_written_is_an_error_before_anything_is_sent() {
        let service = service_fn(|_: Invoke| async { Err::<Response, _>("sent") });
        let body = br#"{"messages":[]}"#;
        let chat = Chat::new(service, "e");
        let options = ResponseOptions::new();
        let result = chat.transcode_complete(Api::OpenAi, body, Api::LlamaServer, options.clone()).await;
        assert!(result.unwrap_err().is_unsupported());
        let limits = RequestLimits { bytes: 14, ..RequestLimits::default() };
        let bounded = chat.clone().conversion_options(ConversionOptions::new().limits(limits));
        let result = bounded.transcode_complete(Api::OpenAi, body, Api::OpenAi, options.clone()).await;
        let error = result.unwrap_err();
        assert!(error.convert().is_some_and(|error| error.is_limit()));
        assert_eq!(error.to_http_error().status, 413);
        // The error of a layer is one of another kind.
        let result = chat.transcode_complete(Api::OpenAi, body, Api::OpenAi, options).await;
        assert!(result.unwrap_err().is_other());
    }
}
