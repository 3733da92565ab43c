//! A proxy with the APIs of OpenAI, Anthropic and Bedrock, in front of an endpoint whose container has OpenAI's only.
//!
//! Responses and errors have the shape of the client's API, and are streamed if the client requests it.
//!
//! `cargo run -p sagewire-examples --example proxy`

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use sagewire_codec::Api;
use sagewire_codec::model::ResponseOptions;
use sagewire_examples::{Error, client, endpoint};
use sagewire_transport::{Chat, Transcoded};
use sagewire_transport_reqwest::{Client, http_client};
use serde_json::Value;
use tokio::net::TcpListener;

type Proxy = State<Chat<Client>>;

/// The HTTP response for a client that uses this API. If the client disconnects, its response is dropped, which closes the
/// connection to the endpoint.
fn respond(api: Api, result: Result<Transcoded, sagewire_transport::Error>) -> Response {
    match result {
        Ok(response) => response.into_http(),
        Err(error) => error.to_http(api),
    }
    .map(Body::new)
}

async fn chat_completions(State(chat): Proxy, body: Bytes) -> Response {
    let result = chat.transcode(Api::OpenAi, &body, Api::OpenAi, ResponseOptions::new()).await;
    respond(Api::OpenAi, result)
}

async fn messages(State(chat): Proxy, body: Bytes) -> Response {
    let result = chat.transcode(Api::Anthropic, &body, Api::Anthropic, ResponseOptions::new()).await;
    respond(Api::Anthropic, result)
}

async fn converse(State(chat): Proxy, body: Bytes) -> Response {
    let result = chat.transcode_complete(Api::Converse, &body, Api::Converse, ResponseOptions::new()).await;
    respond(Api::Converse, result.map(Transcoded::from))
}

async fn converse_stream(State(chat): Proxy, body: Bytes) -> Response {
    let result = chat.transcode_stream(Api::Converse, &body, Api::Converse, ResponseOptions::new()).await;
    respond(Api::Converse, result.map(Transcoded::from))
}

fn router(chat: Chat<Client>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/messages", post(messages))
        .route("/model/{id}/converse", post(converse))
        .route("/model/{id}/converse-stream", post(converse_stream))
        .with_state(chat)
}

/// Starts a proxy for an endpoint of this name, and returns its URL.
async fn start(client: &Client, endpoint: &str) -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = router(Chat::new(client.clone(), endpoint));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// Sends requests to the proxy.
struct Caller(reqwest::Client);

impl Caller {
    /// The status, the content type and the body of a response.
    async fn post(&self, url: &str, body: &str) -> Result<(u16, String, Vec<u8>), Error> {
        let response = self.0.post(url).body(body.to_owned()).send().await?;
        let content_type = response.headers()["content-type"].to_str()?.to_owned();
        Ok((response.status().as_u16(), content_type, response.bytes().await?.into()))
    }
}

const OPENAI: &str = r#"{"messages":[{"role":"user","content":"Who are you?"}]STREAM}"#;
const ANTHROPIC: &str = r#"{"max_tokens":64,"messages":[{"role":"user","content":"Who are you?"}]STREAM}"#;
const CONVERSE: &str = r#"{"messages":[{"role":"user","content":[{"text":"Who are you?"}]}]}"#;

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";
const FRAMES: &str = "application/vnd.amazon.eventstream";

/// Runs the example.
///
/// # Errors
///
/// Anything that fails.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Error> {
    let endpoint = endpoint()?;
    let client = client(&endpoint)?;
    let url = start(&client, "my-llm").await?;
    let caller = Caller(http_client(false)?.build()?);

    // Responses: a stream ends with these bytes, and a non-streaming response has a text at this JSON pointer.
    for (path, body, content_type, expected) in [
        ("/v1/chat/completions", OPENAI.replace("STREAM", r#","stream":true"#), SSE, "data: [DONE]"),
        ("/v1/messages", ANTHROPIC.replace("STREAM", r#","stream":true"#), SSE, "message_stop"),
        ("/model/m/converse-stream", CONVERSE.to_owned(), FRAMES, "messageStop"),
        ("/v1/chat/completions", OPENAI.replace("STREAM", ""), JSON, "/choices/0/message/content"),
        ("/v1/messages", ANTHROPIC.replace("STREAM", r#","stream":false"#), JSON, "/content/0/text"),
        ("/model/m/converse", CONVERSE.to_owned(), JSON, "/output/message/content/0/text"),
    ] {
        let (status, found, body) = caller.post(&format!("{url}{path}"), &body).await?;
        let text = String::from_utf8_lossy(&body);
        println!("POST {path}: {status} {found}\n{text}\n");
        assert_eq!((status, &*found), (200, content_type), "{path}");
        match content_type {
            JSON => {
                let body: Value = serde_json::from_slice(&body)?;
                assert!(body.pointer(expected).is_some_and(|text| text.as_str() != Some("")), "{body}");
            }
            _ => assert!(text.contains(expected), "{text}"),
        }
    }

    // Errors: an invalid request, and an endpoint without a valid name.
    let misconfigured = start(&client, "-").await?;
    for (path, body, kind) in [
        ("/v1/chat/completions", OPENAI, "/error/type"),
        ("/v1/messages", ANTHROPIC, "/error/type"),
        ("/model/m/converse", CONVERSE, "/message"),
        ("/model/m/converse-stream", CONVERSE, "/message"),
    ] {
        for (url, body) in [(&url, "{"), (&misconfigured, &*body.replace("STREAM", ""))] {
            let (status, content_type, body) = caller.post(&format!("{url}{path}"), body).await?;
            let error: Value = serde_json::from_slice(&body)?;
            println!("POST {path}: {status} {error}");
            assert_eq!((status, &*content_type), (400, JSON));
            assert!(error.pointer(kind).is_some_and(Value::is_string), "{error}");
        }
    }
    Ok(())
}
