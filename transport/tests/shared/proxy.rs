//! From the request of a proxy's client to the HTTP response for it, over the wire.

use std::future::poll_fn;
use std::pin::Pin;

use http_body::Body;
use sagewire_codec::Api;
use sagewire_codec::model::ResponseOptions;
use sagewire_emulator::Emulator;
use sagewire_transport::{Chat, Endpoint, ResponseBody};
use serde_json::{Value, json};

use crate::common::{Client, Setup, client, scripted};

/// The response of a proxy in front of the endpoint.
async fn respond(
    client: Client,
    endpoint: impl Into<Endpoint>,
    api: Api,
    body: &str,
) -> http::Response<String> {
    let chat = Chat::new(client, endpoint);
    let response = match chat.transcode(api, body.as_bytes(), api, ResponseOptions::new()).await {
        Ok(response) => response.into_http(),
        Err(error) => error.to_http(api),
    };
    let (head, body) = response.into_parts();
    http::Response::from_parts(head, read(body).await)
}

async fn read(mut body: ResponseBody) -> String {
    let mut out = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(frame) = frame;
        out.extend_from_slice(&frame.into_data().expect("data"));
    }
    String::from_utf8(out).expect("text")
}

fn request(stream: Option<bool>) -> String {
    let mut request = json!({"max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]});
    if let Some(stream) = stream {
        request["stream"] = json!(stream);
    }
    request.to_string()
}

#[tokio::test]
async fn the_client_decides_whether_the_response_is_streamed() {
    let emulator = Emulator::builder().start().await.expect("a port");
    let client = client(&Setup::new(&emulator));
    for (api, text, end) in [
        (Api::OpenAi, "/choices/0/message/content", "data: [DONE]\n\n"),
        (Api::Anthropic, "/content/0/text", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
    ] {
        for stream in [None, Some(false)] {
            let response = respond(client.clone(), "my-llm", api, &request(stream)).await;
            assert_eq!(
                (response.status().as_u16(), &response.headers()["content-type"]),
                (200, &"application/json".parse().unwrap())
            );
            let body: Value = serde_json::from_str(response.body()).expect("JSON");
            assert!(body.pointer(text).is_some_and(|text| text.as_str() != Some("")), "{body}");
        }
        let response = respond(client.clone(), "my-llm", api, &request(Some(true))).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(response.body().ends_with(end), "{}", response.body());
    }
}

/// A fault inside the stream is reported in the terms of the client's API, and ends the body.
#[tokio::test]
async fn faults_inside_a_stream_are_reported_to_the_client() {
    let record = |text: &str| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
        format!("data: {}\n\n", json!({"id": "x", "choices": [choice]}))
    };
    let body = [record("one "), record("two ")].concat();
    let after = record("one ").len();
    for (fault, found) in [
        (
            json!({"exception": {"type": "ModelStreamError", "code": "StreamBroken", "message": "it broke"}, "after": after}),
            "it broke",
        ),
        (json!({"truncated_frame": true, "after": after}), "truncated"),
        (json!({"corrupt_byte": true, "after": after}), "checksum"),
        (json!({"hang_up": true, "after": after}), "truncated"),
    ] {
        for (api, error) in [(Api::OpenAi, "data: {\"error\":"), (Api::Anthropic, "event: error\n")] {
            let emulator = scripted(json!({"body": body, "cut": "events", "fault": fault})).await;
            let response = respond(client(&Setup::new(&emulator)), "my-llm", api, &request(Some(true))).await;
            let (status, text) = (response.status(), response.body());
            assert_eq!(status, 200);
            let (before, message) = text.split_once(error).unwrap_or_else(|| panic!("{fault}: {text}"));
            assert!(before.contains("one ") && message.contains(found), "{fault}: {text}");
        }
    }
}

/// An error before the response has a status, and the shape of the client's API.
#[tokio::test]
async fn errors_have_the_shape_of_the_clients_api() {
    // The statuses are those of OpenAI and of Anthropic.
    for (rule, statuses, message) in [
        (json!({"status": 429, "retry_after": 7}), [429, 429], ""),
        (json!({"status": 400, "error_type": "ThrottlingException"}), [429, 429], ""),
        (json!({"status": 424, "original_status": 503, "body": "loading"}), [503, 529], "loading"),
        (
            json!({"status": 403, "error_type": "AccessDeniedException"}),
            [502, 500],
            "refused the credentials",
        ),
    ] {
        let emulator = scripted(rule.clone()).await;
        for stream in [true, false] {
            for (api, status) in [Api::OpenAi, Api::Anthropic].into_iter().zip(statuses) {
                let response =
                    respond(client(&Setup::new(&emulator)), "e", api, &request(Some(stream))).await;
                assert_eq!(response.status(), status, "{rule} through {api}");
                let delay =
                    response.headers().get("retry-after").map(|delay| delay.to_str().expect("a number"));
                assert_eq!(delay, rule.get("retry_after").map(|_| "7"), "{rule}");
                let body: Value = serde_json::from_str(response.body()).expect("JSON");
                let text = body["error"]["message"].as_str().expect("a message");
                assert!(text.contains(message) && body["error"]["type"].is_string(), "{body}");
            }
        }
    }
    let gone = Setup::at("http://127.0.0.1:1");
    let response = respond(client(&gone), "e", Api::OpenAi, &request(None)).await;
    assert_eq!(response.status(), 502);
    for body in ["", "{", "[]"] {
        let response = respond(client(&gone), "e", Api::Anthropic, body).await;
        assert_eq!(response.status(), 400, "{body}");
        assert!(response.body().contains("invalid_request_error"), "{}", response.body());
    }
}
