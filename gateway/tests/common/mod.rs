//! A gateway in front of an emulator, in process.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod certificates;
pub mod server;
pub mod state_server;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use sagewire_codec::Api;
use sagewire_emulator::{ACCESS_KEY_ID, ContainerFormat, Emulator, SECRET_ACCESS_KEY, Script};
use sagewire_gateway::Gateway;
use sagewire_gateway::config::{Config, Credentials, KeyPair, Model, Secret, Upstream};
use serde_json::Value;
use tower_service::Service;

/// A script of endpoints that echo.
pub const ECHO: &str = r#"{"rules":[{}]}"#;

/// A response as a whole.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

pub async fn emulator(format: ContainerFormat, script: &str) -> Emulator {
    let script: Script = script.parse().expect("a script");
    Emulator::builder().format(format).script(script).start().await.expect("the emulator starts")
}

/// The model of an endpoint of the emulator.
pub fn model(emulator: &Emulator, endpoint: &str, format: Api) -> Model {
    let mut model = Model::endpoint(endpoint);
    model.format = format;
    if let Upstream::SageMaker(sagemaker) = &mut model.upstream {
        sagemaker.region = Some("us-east-1".into());
        sagemaker.endpoint_url = Some(emulator.url());
        sagemaker.credentials = keys();
    }
    model
}

pub fn keys() -> Credentials {
    let mut credentials = Credentials::default();
    credentials.keys = Some(KeyPair::new(ACCESS_KEY_ID, Secret::new(SECRET_ACCESS_KEY)));
    credentials
}

pub fn config(models: Vec<Model>) -> Config {
    let mut config = Config::default();
    config.models = models;
    config.access_log = sagewire_gateway::config::AccessLog::Off;
    config
}

pub async fn gateway(models: Vec<Model>) -> Gateway {
    Gateway::new(config(models)).await.expect("a gateway")
}

pub async fn send(gateway: &Gateway, request: Request<Full<Bytes>>) -> Reply {
    let Ok(response) = gateway.clone().call(request).await;
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Reply { status: head.status, headers: head.headers, body: body.to_bytes() }
}

pub async fn post(gateway: &Gateway, path: &str, body: impl ToString) -> Reply {
    let body = Full::new(Bytes::from(body.to_string()));
    send(
        gateway,
        Request::post(path).header("content-type", "application/json").body(body).expect("a request"),
    )
    .await
}

pub async fn get(gateway: &Gateway, path: &str) -> Reply {
    send(gateway, Request::builder().method(Method::GET).uri(path).body(Full::default()).expect("a request"))
        .await
}

pub async fn send_raw(gateway: &Gateway, path: &str, body: impl ToString, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(gateway, request.body(Full::new(Bytes::from(body.to_string()))).expect("a request")).await
}
