//! The callers, each written as its users would write it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_sdk_sagemakerruntime::Client as AwsClient;
use aws_sdk_sagemakerruntime::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_sagemakerruntime::operation::invoke_endpoint_with_response_stream::InvokeEndpointWithResponseStreamOutput;
use aws_sdk_sagemakerruntime::primitives::Blob;
use aws_sdk_sagemakerruntime::types::ResponseStream;
use futures_util::{Stream, StreamExt};
use sagewire_codec::model::Event;
use sagewire_codec::{Api, read_request};
use sagewire_transport_reqwest::{Chat, Request};

use super::lines::Lines;
use crate::subjects::sagewire::observe;
use crate::tally::{Fault, Tally};

/// The prompt.
const BODY: &str =
    r#"{"messages":[{"role":"user","content":"Tell me a long story."}],"max_tokens":2000,"stream":true}"#;

const ENDPOINT: &str = "my-llm";

/// What a caller has received of a response, and when.
#[derive(Debug)]
pub(super) struct Heard {
    /// The text.
    pub(super) tally: Tally,
    /// Number of bytes, for callers that do not decode.
    pub(super) bytes: u64,
    /// Time from the call to the first text or bytes.
    pub(super) first: Option<Duration>,
    called: Instant,
}

impl Heard {
    /// Starts the clock of a call.
    pub(super) fn new(tally: Tally) -> Self {
        Self { tally, bytes: 0, first: None, called: Instant::now() }
    }

    /// Called after each step.
    #[inline]
    fn look(&mut self) {
        if self.first.is_none() && self.tally.answer().events + self.bytes > 0 {
            self.first = Some(self.called.elapsed());
        }
    }
}

/// A client, ready to call.
#[derive(Debug)]
pub(super) enum Caller {
    /// sagewire's `Chat` over reqwest.
    Reqwest(sagewire_transport_reqwest::Client),
    /// sagewire's `Chat` over the AWS SDK.
    Sdk(sagewire_transport_sdk::Client),
    /// sagewire's events over the AWS SDK without `Chat`: the request is bytes, as for the next caller.
    SdkEvents(sagewire_transport_sdk::Client),
    /// The AWS SDK, a line splitter and serde.
    ByHand(AwsClient),
    /// sagewire over the AWS SDK without `Chat`; the response is not decoded.
    SdkBytes(sagewire_transport_sdk::Client),
    /// The AWS SDK; the response is not decoded.
    SdkDropped(AwsClient),
    /// reqwest; the response is not decoded, and the request is not signed.
    ReqwestDropped(reqwest::Client, String),
}

impl Caller {
    /// All callers for the server at this address. The others are compared with the first one.
    ///
    /// # Errors
    ///
    /// Those of the clients.
    pub(super) fn all(server: SocketAddr) -> Result<[Self; 7], Fault> {
        let url = format!("http://{server}");
        let credentials = || Credentials::new("AKIDEXAMPLE", "example", None, None, "example");
        let client = sagewire_transport_reqwest::Client::builder()
            .region("us-east-1")
            .credentials(credentials())
            .endpoint_url(url.as_str())
            .build()?;
        // Each has its own runtime and so its own connections.
        let sdk = || {
            let config = Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .credentials_provider(credentials())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .endpoint_url(url.as_str());
            AwsClient::from_conf(config.build())
        };
        Ok([
            Self::Reqwest(client),
            Self::Sdk(sagewire_transport_sdk::Client::new(sdk())),
            Self::SdkEvents(sagewire_transport_sdk::Client::new(sdk())),
            Self::ByHand(sdk()),
            Self::SdkBytes(sagewire_transport_sdk::Client::new(sdk())),
            Self::SdkDropped(sdk()),
            Self::ReqwestDropped(
                reqwest::Client::builder().build()?,
                format!("{url}/endpoints/{ENDPOINT}/invocations-response-stream"),
            ),
        ])
    }

    /// The packages that it uses, and what else it does.
    pub(super) fn packages(&self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Reqwest(_) => (&["sagewire-transport-reqwest"], ""),
            Self::Sdk(_) => (&["sagewire-transport-sdk"], ""),
            Self::SdkEvents(_) => (&["sagewire-transport-sdk"], "no chat"),
            Self::ByHand(_) => (&["aws-sdk-sagemakerruntime", "serde_json"], "lines by hand"),
            Self::SdkBytes(_) => (&["sagewire-transport-sdk"], "bytes dropped"),
            Self::SdkDropped(_) => (&["aws-sdk-sagemakerruntime"], "parts dropped"),
            Self::ReqwestDropped(..) => (&["reqwest"], "bytes dropped"),
        }
    }

    /// Whether it decodes the response.
    pub(super) fn decodes(&self) -> bool {
        matches!(self, Self::Reqwest(_) | Self::Sdk(_) | Self::SdkEvents(_) | Self::ByHand(_))
    }

    /// Sends a request and receives the complete response.
    ///
    /// # Errors
    ///
    /// The client fails, or the response is incomplete.
    pub(super) async fn call(&self, heard: &mut Heard) -> Result<(), Fault> {
        match self {
            Self::Reqwest(client) => {
                let request = read_request(Api::OpenAi, BODY.as_bytes())?;
                listen(Chat::new(client.clone(), ENDPOINT).stream(&request).await?, heard).await
            }
            Self::Sdk(client) => {
                let request = read_request(Api::OpenAi, BODY.as_bytes())?;
                listen(Chat::new(client.clone(), ENDPOINT).stream(&request).await?, heard).await
            }
            Self::SdkEvents(client) => {
                listen(client.invoke_stream(Request::new(ENDPOINT, BODY)).await?.events(), heard).await
            }
            Self::ByHand(client) => {
                let (mut body, mut lines) = (invoke(client).await?.body, Lines::default());
                while let Some(event) = body.recv().await? {
                    if let ResponseStream::PayloadPart(part) = event {
                        lines.read(part.bytes.as_ref().map_or(&[], Blob::as_ref), &mut heard.tally)?;
                        heard.look();
                    }
                }
                lines.finish()
            }
            Self::SdkBytes(client) => {
                let mut stream = client.invoke_stream(Request::new(ENDPOINT, BODY)).await?;
                while let Some(bytes) = stream.chunk().await? {
                    heard.bytes += bytes.len() as u64;
                    heard.look();
                }
                Ok(())
            }
            Self::SdkDropped(client) => {
                let mut body = invoke(client).await?.body;
                while let Some(event) = body.recv().await? {
                    if let ResponseStream::PayloadPart(part) = event {
                        heard.bytes += part.bytes.map_or(0, |bytes| bytes.as_ref().len() as u64);
                        heard.look();
                    }
                }
                Ok(())
            }
            Self::ReqwestDropped(client, url) => {
                let mut response = client.post(url).body(BODY).send().await?;
                while let Some(chunk) = response.chunk().await? {
                    heard.bytes += chunk.len() as u64;
                    heard.look();
                }
                Ok(())
            }
        }
    }
}

async fn listen<E: Into<Fault>>(
    mut answer: impl Stream<Item = Result<Event<'static>, E>> + Unpin,
    heard: &mut Heard,
) -> Result<(), Fault> {
    while let Some(event) = answer.next().await {
        observe(event.map_err(E::into)?, &mut heard.tally);
        heard.look();
    }
    Ok(())
}

async fn invoke(client: &AwsClient) -> Result<InvokeEndpointWithResponseStreamOutput, Fault> {
    let call = client.invoke_endpoint_with_response_stream().endpoint_name(ENDPOINT);
    Ok(call.content_type("application/json").body(Blob::new(BODY)).send().await?)
}
