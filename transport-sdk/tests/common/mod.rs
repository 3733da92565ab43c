//! The SDK's client, for the emulator, and how the tests that all transports share make a client around it.
#![allow(dead_code, unused_imports, reason = "no test uses all of it")]

#[path = "../../../transport/tests/shared/setup.rs"]
mod setup;

use aws_sdk_sagemakerruntime::Config;
use aws_sdk_sagemakerruntime::config::{BehaviorVersion, Builder, Credentials, Region};
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};

pub(crate) use sagewire_transport_sdk::Client;
pub(crate) use setup::*;

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

pub(crate) fn sdk(emulator: &Emulator) -> aws_sdk_sagemakerruntime::Client {
    aws_sdk_sagemakerruntime::Client::from_conf(config(emulator.url()).build())
}

pub(crate) fn client(setup: &Setup) -> Client {
    let (token, id) = (setup.session_token.clone(), setup.key_id.clone());
    let keys = Credentials::new(id, setup.secret.clone(), token, None, "test");
    let sdk =
        aws_sdk_sagemakerruntime::Client::from_conf(config(&setup.url).credentials_provider(keys).build());
    Client::builder(sdk).bounds(setup.bounds).build()
}

/// Whether a header of a request has to be in its signature: the SDK has some of its own that are not.
pub(crate) fn is_signed(name: &str) -> bool {
    name.starts_with("x-amzn-") || ["host", "content-type", "x-amz-date"].contains(&name)
}
