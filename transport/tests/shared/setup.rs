//! Setup code of the shared tests. Each transport creates a client from a [`Setup`] in its `tests/common`.

use bytes::Bytes;
use sagewire_codec::Framing;
use sagewire_codec::eventstream::Decoder;
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY, Script};
use sagewire_transport::{Bounds, Error, ResponseStream, Retry};
use serde_json::{Value, json};

pub(crate) const CHAT: &str = r#"{"messages": [{"role": "user", "content": "hi"}], "stream": true}"#;

/// The settings of a client. It does not retry unless `bounds` enable retries.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) url: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) session_token: Option<String>,
    pub(crate) bounds: Bounds,
}

impl Setup {
    pub(crate) fn new(emulator: &Emulator) -> Self {
        Self::at(emulator.url())
    }

    pub(crate) fn at(url: impl Into<String>) -> Self {
        let (key_id, secret) = (ACCESS_KEY_ID.into(), SECRET_ACCESS_KEY.into());
        let mut bounds = Bounds::default();
        bounds.retry = Retry::never();
        Self { url: url.into(), key_id, secret, session_token: None, bounds }
    }

    pub(crate) fn keys(mut self, key_id: &str, secret: &str) -> Self {
        (self.key_id, self.secret) = (key_id.into(), secret.into());
        self
    }

    pub(crate) fn session_token(mut self, token: &str) -> Self {
        self.session_token = Some(token.into());
        self
    }

    pub(crate) fn bounds(mut self, set: impl FnOnce(&mut Bounds)) -> Self {
        set(&mut self.bounds);
        self
    }
}

pub(crate) async fn scripted(rule: Value) -> Emulator {
    with_rules(&json!([rule])).await
}

pub(crate) async fn with_rules(rules: &Value) -> Emulator {
    let script: Script = json!({"rules": rules}).to_string().parse().expect("a script");
    Emulator::builder().script(script).start().await.expect("a port")
}

/// Reads all chunks, and returns how they end.
pub(crate) async fn read(stream: &mut ResponseStream) -> (Vec<u8>, Result<(), Error>) {
    let mut bytes = Vec::new();
    loop {
        match stream.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (bytes, Ok(())),
            Err(error) => {
                let again = stream.chunk().await.expect_err("it stays");
                assert_eq!(again.to_string(), error.to_string());
                return (bytes, Err(error));
            }
        }
    }
}

/// The payload of the container, without frames.
pub(crate) fn parts(framing: Framing, bytes: Vec<u8>) -> Vec<u8> {
    if framing == Framing::Unframed {
        return bytes;
    }
    let (mut decoder, mut chunk, mut parts) = (Decoder::new(), Bytes::from(bytes), Vec::new());
    while let Some(frame) = decoder.decode(&mut chunk).expect("a frame") {
        parts.extend_from_slice(frame.payload());
    }
    decoder.finish().expect("whole frames");
    parts
}
