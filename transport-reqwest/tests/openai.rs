//! The OpenAI route: its paths, its tokens, and chats over it.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use sagewire_codec::model::Event;
use sagewire_codec::{Api, read_request};
use sagewire_transport_reqwest::{
    AsyncRequest, Builder, Chat, Client, Credentials, Endpoint, Input, Request, Retry, Route, http_client,
};

mod server;
use server::{Reply, Server};

const SSE: [(&str, &str); 1] = [("content-type", "text/event-stream; charset=utf-8")];
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const STREAM: &str = concat!(
    r#"data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"hel"}}]}"#,
    "\n\n",
    r#"data: {"id":"x","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n",
);
const WHOLE: &str = r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
const CHAT: &[u8] = br#"{"messages":[{"role":"user","content":"hi"}]}"#;

fn builder(server: &Server) -> Builder {
    let http = http_client(false).expect("no TLS").http2_prior_knowledge().build().expect("a client");
    Client::builder()
        .region("us-east-1")
        .credentials(Credentials::new("AKIDEXAMPLE", "secret", Some("session".into()), None, "test"))
        .endpoint_url(format!("http://{}", server.addr))
        .http_client(http)
        .retry(Retry::never())
        .route(Route::OpenAi)
}

fn client(server: &Server) -> Client {
    builder(server).build().expect("complete")
}

/// The decoded token of a request.
fn token(request: &http::Request<bytes::Bytes>) -> String {
    let value = request.headers()["authorization"].to_str().expect("text");
    let token = value.strip_prefix("Bearer sagemaker-api-key-").expect("a token");
    String::from_utf8(STANDARD.decode(token).expect("Base64")).expect("text")
}

#[tokio::test]
async fn chats_over_the_openai_route() {
    let server = Server::start(vec![Reply::new(200, &SSE, STREAM), Reply::new(200, &JSON, WHOLE)]).await;
    let signed = builder(&server).route(Route::Invocations).build().expect("complete");
    let request = read_request(Api::OpenAi, CHAT).expect("a request");

    let chat = Chat::new(signed.route(Route::OpenAi), "my-llm");
    let stream = chat.stream(&request).await.expect("a response");
    assert_eq!(stream.metadata().content_type.as_deref(), Some(SSE[0].1));
    let events: Vec<_> = stream.collect().await;
    let text: String = events
        .iter()
        .filter_map(|event| match event.as_ref().expect("an event") {
            Event::TextDelta { text, .. } => Some(&**text),
            _ => None,
        })
        .collect();
    assert_eq!(text, "hello");

    let endpoint = Endpoint::new("my-llm").inference_component("llama").region("eu-west-1");
    let reply = Chat::new(signed.route(Route::OpenAi), endpoint).complete(&request).await;
    assert_eq!(reply.expect("a response").text(), "hello");

    let requests = server.requests();
    assert_eq!(requests[0].uri().path(), "/endpoints/my-llm/openai/v1/chat/completions");
    assert_eq!(
        requests[1].uri().path(),
        "/endpoints/my-llm/inference-components/llama/openai/v1/chat/completions"
    );
    for (request, region) in requests.iter().zip(["us-east-1", "eu-west-1"]) {
        let names = request.headers().keys().map(|name| name.as_str());
        let names: Vec<&str> = names.filter(|name| !["host", "content-length"].contains(name)).collect();
        assert_eq!(names, ["content-type", "accept", "authorization"]);
        let token = token(request);
        assert!(token.contains(&format!("%2F{region}%2Fsagemaker%2Faws4_request")), "{token}");
        assert!(token.starts_with("sagemaker.amazonaws.com/?Action=CallWithBearerToken&"), "{token}");
        assert!(token.contains("&X-Amz-Expires=43200&") && token.ends_with("&Version=1"), "{token}");
    }
}

#[tokio::test]
async fn truncated_responses_are_errors() {
    let cut = STREAM.split("data: [DONE]").next().expect("a part");
    let cut = cut.replace(r#","finish_reason":"stop""#, "");
    let server = Server::start(vec![Reply::new(200, &SSE, cut)]).await;
    let stream = client(&server).invoke_stream(Request::new("my-llm", CHAT)).await.expect("a response");
    let events: Vec<_> = stream.events().collect().await;
    assert!(events.last().is_some_and(Result::is_err), "{events:?}");
}

#[tokio::test]
async fn refused_tokens_are_refreshed_once() {
    for (statuses, expected) in [
        (&[401, 200][..], None),
        (&[403, 200], None),
        (&[401, 401, 200], Some(401)),
        (&[403, 403, 200], Some(403)),
        (&[400, 200], Some(400)),
    ] {
        let replies = statuses.iter().map(|status| Reply::new(*status, &JSON, WHOLE)).collect();
        let server = Server::start(replies).await;
        let client = client(&server);
        let reply = client.invoke(Request::new("my-llm", CHAT)).await;
        assert_eq!(reply.err().and_then(|error| error.status()), expected, "{statuses:?}");
        let sent = if statuses[0] == 400 { 1 } else { 2 };
        assert_eq!(server.requests().len(), sent, "{statuses:?}");
    }
}

#[tokio::test]
async fn the_clock_of_tokens_is_corrected() {
    let hour = Duration::from_secs(3600);
    let date = httpdate::fmt_http_date(SystemTime::now() + hour);
    let refusal = Reply::new(403, &[("date", &date)], r#"{"message":"expired"}"#);
    let server = Server::start(vec![refusal, Reply::new(200, &JSON, WHOLE)]).await;
    client(&server).invoke(Request::new("my-llm", CHAT)).await.expect("a response");
    let requests = server.requests();
    let times = requests.iter().map(|request| {
        let token = token(request);
        let (_, after) = token.split_once("X-Amz-Date=").expect("a time");
        let [hours, minutes] = [9..11, 11..13].map(|range| after[range].parse::<i64>().expect("digits"));
        hours * 60 + minutes
    });
    let times: Vec<i64> = times.collect();
    assert!([59, 60, 61].contains(&(times[1] - times[0]).rem_euclid(24 * 60)), "{times:?}");
}

#[tokio::test]
async fn tokens_are_cached() {
    let replies = (0..3).map(|_| Reply::new(200, &JSON, WHOLE)).collect();
    let server = Server::start(replies).await;
    let client = builder(&server).token_lifetime(Duration::from_secs(20)).build().expect("complete");
    for wait in [0, 1100, 0] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        client.invoke(Request::new("my-llm", CHAT)).await.expect("a response");
    }
    let requests = server.requests();
    let tokens: Vec<String> = requests.iter().map(token).collect();
    assert!(tokens[0] == tokens[1] && tokens[1] == tokens[2]);
    assert!(tokens[0].contains("&X-Amz-Expires=20&"));
}

#[tokio::test]
async fn unsupported_features_are_errors() {
    let server = Server::start(Vec::new()).await;
    let client = client(&server);
    let error = client.invoke(Request::new(Endpoint::new("e").session_id("s"), CHAT)).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid request: session_id is not available with the OpenAI route");
    let error = client.invoke_async(AsyncRequest::new("e", Input::Inline("{}".into()))).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid request: the OpenAI route has no asynchronous invocations");
    assert!(server.requests().is_empty());
}
