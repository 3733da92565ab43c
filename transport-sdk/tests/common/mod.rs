//! The SDK's client, for the emulator.
#![allow(dead_code, reason = "no test uses all of it")]

use aws_sdk_sagemakerruntime::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_sagemakerruntime::{Client, Config};
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};

pub(crate) fn config(url: impl Into<String>) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(keys(None))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(url)
}

pub(crate) fn keys(token: Option<&str>) -> Credentials {
    Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, token.map(Into::into), None, "test")
}

pub(crate) fn sdk(emulator: &Emulator) -> Client {
    Client::from_conf(config(emulator.url()).build())
}
