//! Emulated endpoints behind the gateway, so that it can be tried without AWS.

use sagewire_codec::Api;
use sagewire_codec::embeddings::RequestShape;
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY, Script};
use sagewire_gateway::config::{Config, Key, KeyPair, Model, ModelKind, Secret, Template, Upstream};

use crate::fault::{Exit, Fault};

/// The region of the emulator.
const REGION: &str = "us-east-1";
/// The container of each endpoint is that of its name.
const SCRIPT: &str = r#"{"rules": [
    {"endpoint": "demo-openai", "format": "openai", "pause_ms": 5},
    {"endpoint": "demo-tgi", "format": "tgi", "pause_ms": 5},
    {"endpoint": "demo-lmi", "format": "lmi", "pause_ms": 5},
    {"endpoint": "demo-anthropic", "format": "anthropic", "pause_ms": 5},
    {"endpoint": "demo-embeddings", "format": "tei"}
]}"#;

/// The emulator, which runs as long as this is there.
pub(super) struct Demo(Emulator);

pub(super) async fn start() -> Result<Demo, Fault> {
    let script: Script = SCRIPT.parse().expect("the script is tested");
    let emulator = Emulator::builder().script(script).start().await;
    emulator.map(Demo).map_err(|error| Fault::Line(Exit::Failed, format!("emulator: {error}")))
}

impl Demo {
    /// The configuration: every key is accepted, and signatures with the key pair of AWS's documentation.
    pub(super) fn config(&self) -> Config {
        let mut config = Config::default();
        for (name, format, kind) in [
            ("demo-openai", Api::OpenAi, ModelKind::Chat),
            ("demo-tgi", Api::Tgi, ModelKind::Chat),
            ("demo-lmi", Api::Lmi, ModelKind::Chat),
            ("demo-anthropic", Api::Anthropic, ModelKind::Chat),
            ("demo-embeddings", Api::OpenAi, ModelKind::Embeddings(RequestShape::Inputs)),
        ] {
            let mut model = Model::endpoint(name);
            (model.format, model.kind) = (format, kind);
            if matches!(format, Api::Tgi | Api::Lmi) {
                model.template = Template::named("chatml").ok();
            }
            if let Upstream::SageMaker(upstream) = &mut model.upstream {
                upstream.region = Some(REGION.into());
                upstream.endpoint_url = Some(self.0.url());
                upstream.credentials.keys = Some(key_pair());
            }
            config.models.push(model);
        }
        let mut key = Key::new("demo");
        key.aws = Some(key_pair());
        config.keys.push(key);
        config.accept_any_key = true;
        config
    }
}

fn key_pair() -> KeyPair {
    KeyPair::new(ACCESS_KEY_ID, Secret::new(SECRET_ACCESS_KEY))
}
