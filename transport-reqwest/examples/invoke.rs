//! Invokes a local endpoint, without and with streaming: `cargo run -p sagewire-transport-reqwest --example invoke`

use std::io::Write;
use std::time::Duration;

use sagewire_codec::eventstream::Decoder;
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use sagewire_transport_reqwest::{Client, Credentials, Request};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let emulator = Emulator::builder().pause(Duration::from_millis(2)).start().await?;
    let client = Client::builder()
        .region("us-east-1")
        .credentials(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "example"))
        .endpoint_url(emulator.url())
        .build()?;

    let request = Request::new("my-llm", r#"{"messages": [{"role": "user", "content": "Hello"}]}"#);
    let response = client.invoke(request).await?;
    println!("{:?}\n{}\n", response.metadata, String::from_utf8_lossy(&response.body));

    let body = r#"{"messages": [{"role": "user", "content": "Hello"}], "stream": true}"#;
    let mut stream = client.invoke_stream(Request::new("my-llm", body).accept("text/event-stream")).await?;
    println!("{:?}", stream.metadata());
    let mut decoder = Decoder::new();
    while let Some(mut chunk) = stream.chunk().await? {
        while let Some(frame) = decoder.decode(&mut chunk)? {
            std::io::stdout().write_all(frame.payload())?;
        }
    }
    decoder.finish()?;

    let error = client.invoke(Request::new("my-llm", "{}")).await.unwrap_err();
    println!("{error}");
    Ok(())
}
