//! A server that speaks Anthropic's Messages and OpenAI's chat, before an endpoint that speaks OpenAI's chat only.
//!
//! `cargo run -p sagewire-examples --example proxy`

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use sagewire_codec::Api;
use sagewire_codec::model::ResponseOptions;
use sagewire_examples::{CHAT, Error, client, endpoint};
use sagewire_transport::Chat;
use sagewire_transport_reqwest::{Client, http_client};
use tokio::net::TcpListener;

async fn proxy(client: Client, format: Api, target: Api, body: Bytes) -> Response {
    let mut chat = Chat::new(client, "my-llm");
    match chat.transcode(format, &body, target, ResponseOptions::new()).await {
        // A client that goes away drops the stream, which closes the connection to the endpoint.
        Ok(stream) => {
            ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
        }
        Err(error) => {
            let status =
                if error.convert().is_some() { StatusCode::BAD_REQUEST } else { StatusCode::BAD_GATEWAY };
            (status, error.to_string()).into_response()
        }
    }
}

async fn messages(State(client): State<Client>, body: Bytes) -> Response {
    proxy(client, Api::Anthropic, Api::Anthropic, body).await
}

async fn completions(State(client): State<Client>, body: Bytes) -> Response {
    proxy(client, Api::OpenAi, Api::OpenAi, body).await
}

/// Runs it.
///
/// # Errors
///
/// Whatever goes wrong.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Error> {
    let endpoint = endpoint()?;
    let router = Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/chat/completions", post(completions))
        .with_state(client(&endpoint)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let caller = http_client(false)?.build()?;
    let anthropic =
        r#"{"max_tokens":64,"messages":[{"role":"user","content":"Who are you?"}],"stream":true}"#;
    for (path, body, end) in
        [("/v1/messages", anthropic, "message_stop"), ("/v1/chat/completions", CHAT, "data: [DONE]")]
    {
        let answer = caller.post(format!("{url}{path}")).body(body).send().await?;
        let answer = answer.error_for_status()?.text().await?;
        println!("POST {path}\n{answer}");
        assert!(answer.contains(end));
    }
    let refused = caller.post(format!("{url}/v1/messages")).body("{").send().await?;
    println!("{}: {}", refused.status(), refused.text().await?);
    Ok(())
}
