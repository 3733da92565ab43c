//! Oracles for the corpus and the fuzz targets `gateway_config` and `gateway_doors`.
#![allow(dead_code, unreachable_pub, reason = "each target uses one")]

use std::path::Path;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use sagewire_gateway::Gateway;
use sagewire_gateway::config::{AccessLog, Config};
use serde_json::Value;
use tower_service::Service;

/// A secret that no message has.
const CANARY: &str = "canary-4711";

/// The file of a configuration, the gateway's own or LiteLLM's. Never panics; what is refused has at least one problem, each with a
/// line of the file; no message has a secret of the environment.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let environment = |name: &str| (!name.is_empty()).then(|| CANARY.to_owned());
    // A folder that does not exist: no file is read.
    match Config::read(&text, Path::new("no/such/folder/gateway.yaml"), environment) {
        Ok((config, notes)) => {
            assert_eq!(config.problems(), [], "they are reported when the file is read");
            let notes = notes.iter().map(|note| (note.at.line, note.at.column, &note.message));
            notes.for_each(|(line, column, message)| check(&text, line, column, message));
        }
        Err(error) => {
            assert!(!error.problems().is_empty());
            for problem in error.problems() {
                check(&text, problem.at.line, problem.at.column, &problem.message);
            }
        }
    }
}

fn check(text: &str, line: u64, column: u64, message: &str) {
    // YAML has more line ends than this counts.
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u64;
    assert!(line >= 1 && column >= 1 && line <= lines + 1, "{line}:{column} of {lines}: {message}");
    assert!(!message.is_empty() && !message.contains(CANARY), "{message}");
}

/// The routes of the doors, and whether their errors are those of OpenAI, Anthropic or AWS.
pub const ROUTES: [(&str, Shape); 12] = [
    ("/v1/chat/completions", Shape::OpenAi),
    ("/v1/completions", Shape::OpenAi),
    ("/v1/responses", Shape::OpenAi),
    ("/v1/embeddings", Shape::OpenAi),
    ("/v1/messages", Shape::Anthropic),
    ("/v1/messages/count_tokens", Shape::Anthropic),
    ("/model/e/converse", Shape::Aws),
    ("/model/e/converse-stream", Shape::Aws),
    ("/model/e/invoke", Shape::Aws),
    ("/model/e/invoke-with-response-stream", Shape::Aws),
    ("/endpoints/e/invocations", Shape::Aws),
    ("/endpoints/e/invocations-response-stream", Shape::Aws),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    OpenAi,
    Anthropic,
    Aws,
}

/// Nothing listens at this address, so that each call fails at once.
const CONFIG: &str = "\
models:
  - {name: e, url: 'http://127.0.0.1:1/v1', speaks: tgi}
  - {name: v, url: 'http://127.0.0.1:1/v1', kind: embeddings}
routing: {attempts: 1, cooldown: {failures: 1, base: 1h, max: 1h}}
bounds: {body: 64KiB}
";

struct Doors {
    runtime: tokio::runtime::Runtime,
    gateway: Gateway,
}

static DOORS: LazyLock<Doors> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (mut config, _) =
        Config::read(CONFIG, Path::new("gateway.yaml"), |_| None).unwrap_or_else(|error| panic!("{error}"));
    config.access_log = AccessLog::Off;
    let gateway = runtime.block_on(Gateway::new(config)).expect("a gateway");
    Doors { runtime, gateway }
});

/// The body of a request; the first byte selects its route. Never panics; the gateway itself has no fault; what is refused is
/// refused in the shape of the door.
pub fn door(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let (path, shape) = ROUTES[usize::from(*first) % ROUTES.len()];
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request");
    let Doors { runtime, gateway } = &*DOORS;
    let response = runtime.block_on(async {
        let Ok(response) = gateway.clone().call(request).await;
        let (head, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        Response::from_parts(head, body.to_bytes())
    });
    let status = response.status().as_u16();
    let text = String::from_utf8_lossy(response.body());
    assert!(status >= 400 && status != 500, "nothing can succeed: {status}, {text}");
    let error: Value =
        serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{error}: {text}"));
    let has_message = |value: &Value| value.as_str().is_some_and(|message| !message.is_empty());
    let is_shape = match shape {
        Shape::OpenAi => has_message(&error["error"]["message"]) && error["error"]["type"].is_string(),
        Shape::Anthropic => {
            error["type"] == "error"
                && has_message(&error["error"]["message"])
                && has_message(&error["error"]["type"])
        }
        Shape::Aws => {
            let is_named = response.headers().contains_key("x-amzn-errortype");
            is_named && (has_message(&error["message"]) || has_message(&error["Message"]))
        }
    };
    assert!(is_shape, "{path}: {status}, {text}");
}
