//! Chats with a local endpoint over the AWS SDK: `cargo run -p sagewire-transport-sdk --example chat`

use std::io::Write;
use std::time::Duration;

use aws_sdk_sagemakerruntime::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sagemakerruntime::{Client as Sdk, Config};
use sagewire_codec::model::Event;
use sagewire_codec::{Api, read_request};
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use sagewire_transport_sdk::{Chat, Client};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let emulator = Emulator::builder().pause(Duration::from_millis(2)).start().await?;
    // For AWS: `Sdk::new(&aws_config::load_from_env().await)`, with the default HTTP client of the SDK.
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "example"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(emulator.url());
    let client = Client::new(Sdk::from_conf(config.build()));

    let body = br#"{"messages": [{"role": "user", "content": "Hello"}]}"#;
    let request = read_request(Api::OpenAi, body)?;
    let mut stream = Chat::new(client.clone(), "my-llm").stream(&request).await?;
    println!("{:?}", stream.metadata());
    while let Some(event) = stream.event().await? {
        if let Event::TextDelta { text, .. } = event {
            print!("{text}");
            std::io::stdout().flush()?;
        }
    }
    println!();

    let response = Chat::new(client, "my-llm").complete(&request).await?;
    println!("{}", response.text());
    Ok(())
}
