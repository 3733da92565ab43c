//! What a model of the configuration may be: containers with a format of their own, and credentials of roles.

mod common;
#[path = "../../transport-reqwest/tests/aws/metadata.rs"]
mod metadata;

use std::path::PathBuf;

use bytes::Bytes;
use common::{Reply, emulator, post, send_raw};
use sagewire_codec::eventstream;
use sagewire_codec::model::{Event, Response};
use sagewire_codec::{Api, Decoder, Options};
use sagewire_emulator::{ACCESS_KEY_ID, ContainerFormat, Emulator, SECRET_ACCESS_KEY};
use sagewire_gateway::Gateway;
use sagewire_gateway::config::{AccessLog, Config};
use serde_json::{Value, json};

/// A directory of a test. It is removed with the value.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sagewire-models-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file");
    }

    /// The configuration of one model of an emulator, with these keys.
    fn config(&self, emulator: &Emulator, keys: &str) -> Config {
        self.read(&format!(
            "models: [{{name: m, endpoint: e, region: us-east-1, endpoint_url: '{}', \
             aws: {{access_key_id: {ACCESS_KEY_ID}, secret: {SECRET_ACCESS_KEY}}}, {keys}}}]",
            emulator.url(),
        ))
    }

    fn read(&self, text: &str) -> Config {
        let environment = |name: &str| (name == "TOKEN").then(|| "token-of-a-variable".to_owned());
        let read = Config::read(text, &self.0.join("gateway.yaml"), environment);
        let (mut config, _) = read.unwrap_or_else(|error| panic!("{error}"));
        config.access_log = AccessLog::Off;
        config
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const FORMAT: &str = r#"{
    "request": {"question": "{{prompt}}", "length": "{{max_tokens}}", "flow": "{{stream}}"},
    "stream": {"text": "$.piece", "finish": "$.why", "usage": {"input": "$.read", "output": "$.written"}},
    "response": {"text": "$.all.text", "finish": "$.all.why", "usage": {"input": "$.read", "output": "$.written"}},
    "finish_reasons": {"EOS": "stop", "MAX": "length"}
}"#;
const WHOLE: &str = r#"{"all":{"text":"Grüße","why":"MAX"},"read":5,"written":2}"#;
const STREAM: &str = "{\"piece\":\"Gr\"}\n{\"piece\":\"üße\"}\n{\"why\":\"MAX\",\"read\":5,\"written\":2}\n";

/// A container that responds in the format: an emulated one that gives this body.
async fn container(body: &str) -> Emulator {
    let rule = json!({"rules": [{"body": body, "content_type": "application/jsonlines"}]});
    emulator(ContainerFormat::default(), &rule.to_string()).await
}

fn request(api: Api, streams: bool) -> (&'static str, Value) {
    let message = json!({"role": "user", "content": "hi"});
    match (api, streams) {
        (Api::Converse, _) => (
            if streams { "/model/m/converse-stream" } else { "/model/m/converse" },
            json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}], "inferenceConfig": {"maxTokens": 7, "topP": 0.5}}),
        ),
        (Api::Anthropic, _) => (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 7, "top_p": 0.5, "messages": [message], "stream": streams}),
        ),
        (Api::Responses, _) => (
            "/v1/responses",
            json!({"model": "m", "max_output_tokens": 7, "top_p": 0.5, "input": "hi", "stream": streams}),
        ),
        _ => (
            "/v1/chat/completions",
            json!({"model": "m", "max_tokens": 7, "top_p": 0.5, "messages": [message], "stream": streams,
                "stream_options": {"include_usage": true}}),
        ),
    }
}

/// The response in the client's API, by the codec.
fn read(api: Api, reply: &Reply, streams: bool) -> Response {
    assert_eq!(reply.status, 200, "{api}: {}", reply.text());
    if !streams {
        return Response::read(reply.body.clone(), Options::new().api(api)).expect("a response");
    }
    let mut response = Response::default();
    let mut decoder = Decoder::with_options(Options::new().api(api));
    let mut add = |event: Event<'_>| response.add(&event);
    decoder.feed(reply.body.clone(), &mut add).expect("a stream");
    decoder.end(&mut add).expect("a complete stream");
    response
}

#[tokio::test]
async fn a_custom_format_is_written_and_read_at_every_door() {
    let directory = Directory::new("doors");
    directory.file("own.json", FORMAT);
    for streams in [false, true] {
        let emulator = container(if streams { STREAM } else { WHOLE }).await;
        let gateway =
            Gateway::new(directory.config(&emulator, "format: 'custom:own.json', template: chatml"));
        let gateway = gateway.await.expect("a gateway");
        for api in [Api::OpenAi, Api::Anthropic, Api::Responses, Api::Converse] {
            let (path, body) = request(api, streams);
            let reply = post(&gateway, path, body).await;
            let response = read(api, &reply, streams);
            let choice = &response.choices[0];
            assert_eq!(choice.text(), "Grüße", "{api}");
            let usage = response.usage.expect("counts");
            assert_eq!((usage.input_tokens, usage.output_tokens), (Some(5), Some(2)), "{api}, {streams}");
            let finish = choice.finish.as_ref().map(|reason| reason.as_str());
            assert_eq!(finish, Some("length"), "{api}, stream {streams}");
            let pointer = if api == Api::Converse { "/inferenceConfig/topP" } else { "/top_p" };
            assert_eq!(reply.header("x-sagewire-loss"), pointer, "{api}, stream {streams}");
        }
        for sent in emulator.requests() {
            let body: Value = serde_json::from_slice(&sent.body).expect("JSON");
            let prompt = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
            // Converse has no field for it: the operation says it.
            let flow = body["flow"].as_bool().unwrap_or_default();
            assert_eq!((body["question"].as_str(), &body["length"]), (Some(prompt), &json!(7)));
            assert_eq!(flow, streams, "{body}");
        }
        emulator.stop().await;
    }
}

/// A stream that ends early, and a container that reports its own failure in the middle.
#[tokio::test]
async fn a_broken_stream_of_a_custom_format_is_no_complete_one() {
    let directory = Directory::new("broken");
    directory.file("own.json", FORMAT);
    for body in ["{\"piece\":\"Gr\"}\n", "{\"piece\":\"Gr\"}\n{\"error\":\"out of memory\"}\n"] {
        let emulator = container(body).await;
        let gateway = Gateway::new(directory.config(&emulator, "format: 'custom:own.json', template: none"));
        let gateway = gateway.await.expect("a gateway");
        let (path, request) = request(Api::OpenAi, true);
        let text = post(&gateway, path, request).await.text();
        assert!(text.contains("\"Gr\"") && text.contains("\"error\""), "{text}");
        assert!(!text.contains("[DONE]") && !text.contains("finish_reason\":\"stop"), "{text}");
        emulator.stop().await;
    }
}

/// A SageMaker client that speaks the container's format is passed through, and what it gets is understood nevertheless.
#[tokio::test]
async fn invocations_in_a_custom_format_are_counted() {
    let directory = Directory::new("invocations");
    directory.file("own.json", FORMAT);
    let log = directory.0.join("access.log");
    let emulator = container(STREAM).await;
    let mut config = directory.config(&emulator, "format: 'custom:own.json', template: none");
    config.access_log = AccessLog::File(log.clone());
    let gateway = Gateway::new(config).await.expect("a gateway");
    let body = json!({"question": "hi", "flow": true});
    let reply = send_raw(&gateway, "/endpoints/m/invocations-response-stream", body, &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut frames = eventstream::Decoder::new();
    let mut payload = Vec::new();
    let mut rest = Bytes::clone(&reply.body);
    while let Some(frame) = frames.decode(&mut rest).expect("frames") {
        payload.extend_from_slice(frame.payload());
    }
    assert_eq!(String::from_utf8_lossy(&payload), STREAM);
    drop(gateway);
    let start = std::time::Instant::now();
    let record: Value = loop {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if let Ok(record) = serde_json::from_str(text.lines().next().unwrap_or_default()) {
            break record;
        }
        assert!(start.elapsed().as_secs() < 10, "no record: {text}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let found = ["ending", "input_tokens", "output_tokens"].map(|name| &record[name]);
    assert_eq!(found, [&json!("complete"), &json!(5), &json!(2)], "{record}");
    emulator.stop().await;
}

/// The file is read with the configuration, so a reload takes its changes.
#[tokio::test]
async fn a_reload_reads_the_format_again() {
    let directory = Directory::new("reload");
    directory.file("own.json", FORMAT);
    let emulator = container(WHOLE).await;
    let keys = "format: 'custom:own.json', template: none";
    let gateway = Gateway::new(directory.config(&emulator, keys)).await.expect("a gateway");
    directory.file("own.json", &FORMAT.replace("question", "problem"));
    let chat = || async {
        let (path, body) = request(Api::OpenAi, false);
        assert_eq!(post(&gateway, path, body).await.status, 200);
        serde_json::from_slice::<Value>(&emulator.requests().last().expect("a request").body).expect("JSON")
    };
    assert_eq!(chat().await["question"], "hi");
    gateway.reload(directory.config(&emulator, keys)).await.expect("a configuration");
    assert_eq!(chat().await["problem"], "hi");
    emulator.stop().await;
}

/// Roles are assumed with keys, or with a token, and the endpoint is called with the credentials that STS issues: the emulator
/// accepts no others.
#[tokio::test(flavor = "multi_thread")]
async fn roles_are_assumed_with_keys_or_with_a_token() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/llm";
    let directory = Directory::new("roles");
    directory.file("token", "token-of-a-file");
    let sts = metadata::Metadata::start();
    let emulator = Emulator::builder().session_token(metadata::SESSION_TOKEN).start().await.expect("a port");
    let (sts_url, url) = (sts.url(), emulator.url());
    let own = |keys: &str| {
        format!(
            "models: [{{name: m, endpoint: e, region: us-east-1, endpoint_url: '{url}', \
             aws: {{role_arn: '{ROLE}', sts_endpoint_url: '{sts_url}', {keys}}}}}]"
        )
    };
    let litellm = |keys: &str| {
        format!(
            "model_list: [{{model_name: m, litellm_params: {{model: sagemaker_chat/e, aws_region_name: us-east-1, \
             sagemaker_base_url: '{url}', aws_role_name: '{ROLE}', aws_sts_endpoint: '{sts_url}', {keys}}}}}]"
        )
    };
    let path = directory.0.join("token");
    let file = format!("aws_web_identity_token: 'oidc/file/{}'", path.display());
    let keys = "ExternalId=mine&";
    for (text, expected, key) in [
        (own("access_key_id: AKOTHER, secret: other, external_id: mine"), keys, Some("AKOTHER")),
        (
            litellm("aws_access_key_id: AKOTHER, aws_secret_access_key: other, aws_external_id: mine"),
            keys,
            Some("AKOTHER"),
        ),
        (own("web_identity_token_file: token, session_name: s"), "WebIdentityToken=token-of-a-file", None),
        (litellm(&file), "WebIdentityToken=token-of-a-file", None),
        (litellm("aws_web_identity_token: oidc/env/TOKEN"), "WebIdentityToken=token-of-a-variable", None),
        (litellm("aws_web_identity_token: TOKEN"), "WebIdentityToken=token-of-a-variable", None),
    ] {
        let gateway = Gateway::new(directory.read(&text)).await.expect("a gateway");
        let (path, body) = request(Api::OpenAi, false);
        let reply = post(&gateway, path, body).await;
        assert_eq!(reply.status, 200, "{text}: {}", reply.text());
        let calls = sts.take();
        let [call] = &calls[..] else { panic!("{text}: {calls:?}") };
        let sent = format!("{}&", call.request);
        assert!(sent.contains(expected), "{text}: {sent}");
        assert!(sent.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fllm&"), "{sent}");
        assert_eq!(call.key.as_deref(), key, "{text}");
    }
    emulator.stop().await;
}

/// Templates that read the date get that of each request.
#[tokio::test]
async fn templates_have_the_date() {
    let directory = Directory::new("date");
    directory.file("date.jinja", "{{ strftime_now('%a, %d %b %Y') }}|{{ messages[0].content }}");
    let emulator = emulator(ContainerFormat::Tgi, common::ECHO).await;
    let gateway = Gateway::new(directory.config(&emulator, "format: tgi, template: date.jinja"));
    let gateway = gateway.await.expect("a gateway");
    let today = || httpdate::fmt_http_date(std::time::SystemTime::now())[..16].to_owned();
    let before = today();
    let (path, body) = request(Api::OpenAi, false);
    assert_eq!(post(&gateway, path, body).await.status, 200);
    let sent: Value = serde_json::from_slice(&emulator.requests()[0].body).expect("JSON");
    let prompts = [before, today()].map(|date| format!("{date}|hi"));
    assert!(prompts.contains(&sent["inputs"].as_str().expect("a prompt").to_owned()), "{sent} {prompts:?}");
    emulator.stop().await;
}

/// What is sent to a model is bounded: then another one of the group is called, and if there is none, the client has to wait.
#[tokio::test]
async fn limits_of_a_model_leave_the_requests_to_others() {
    let directory = Directory::new("limits");
    let emulator = emulator(ContainerFormat::default(), common::ECHO).await;
    let url = emulator.url();
    let model = |name: &str, endpoint: &str, limits: &str| {
        format!(
            "- {{name: {name}, endpoint: {endpoint}, region: us-east-1, endpoint_url: '{url}', limits: {{{limits}}}, \
             aws: {{access_key_id: {ACCESS_KEY_ID}, secret: {SECRET_ACCESS_KEY}}}}}\n"
        )
    };
    let text = format!(
        "models:\n{}{}{}{}routing: {{fallback: {{short: [spare]}}}}",
        model("m", "a", "requests: 2/min"),
        model("m", "b", "requests: 1/min"),
        model("short", "c", "tokens: 1000/min"),
        model("spare", "d", ""),
    );
    let mut config = directory.read(&text);
    config.access_log = AccessLog::Off;
    let gateway = Gateway::new(config.clone()).await.expect("a gateway");
    let called = |endpoint: &str| {
        emulator
            .requests()
            .iter()
            .filter(|sent| sent.path == format!("/endpoints/{endpoint}/invocations"))
            .count()
    };
    let (path, body) = request(Api::OpenAi, false);
    for _ in 0..3 {
        assert_eq!(post(&gateway, path, &body).await.status, 200);
    }
    assert_eq!((called("a"), called("b")), (2, 1));
    // Nothing is forgotten by a reload.
    gateway.reload(config).await.expect("a configuration");
    for (api, kind) in [(Api::OpenAi, "rate_limit"), (Api::Anthropic, "rate_limit_error")] {
        let (path, body) = request(api, true);
        let reply = post(&gateway, path, body).await;
        assert_eq!(reply.status, 429, "{}", reply.text());
        // The first that has room again is `a`, in half a minute.
        let seconds: u64 = reply.header("retry-after").parse().expect("seconds");
        assert!((25..=30).contains(&seconds), "{seconds}");
        assert!(reply.text().contains(kind) && reply.text().contains("`m`"), "{}", reply.text());
    }
    assert_eq!((called("a"), called("b")), (2, 1));
    // The first request takes what it took, and not its estimate, so that the second fits in; the third is too large.
    let body = json!({"model": "short", "max_tokens": 90, "messages": [{"role": "user", "content": "hi"}]});
    for (expected, max_tokens) in [((1, 0), 700), ((2, 0), 700), ((2, 1), 990)] {
        let mut body = body.clone();
        body["max_tokens"] = max_tokens.into();
        let reply = post(&gateway, path, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!((called("c"), called("d")), expected);
    }
    emulator.stop().await;
}
