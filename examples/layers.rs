//! A delay between calls, a rate limit, a timeout and a cache of responses, all from `tower` and a cache library.
//!
//! `cargo run -p sagewire-examples --example layers`

use std::time::{Duration, Instant};

use moka::future::Cache;
use sagewire_codec::{Api, read_request};
use sagewire_examples::{CHAT, Error, client, endpoint};
use sagewire_transport::{Chat, Endpoint, Invoke, InvokeStream};
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// Runs the example.
///
/// # Errors
///
/// Anything that fails.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Error> {
    let endpoint = endpoint()?;
    let client = client(&endpoint)?;
    let request = read_request(Api::OpenAi, CHAT.as_bytes())?;

    // At most 600 calls per minute, 100 milliseconds between two calls, and 30 seconds for each. A rate limit cannot be
    // cloned, so it is behind a buffer: all clones of the chat share the limit.
    let limited = ServiceBuilder::new()
        .buffer::<InvokeStream>(16)
        .rate_limit(600, Duration::from_secs(60))
        .rate_limit(1, Duration::from_millis(100))
        .timeout(Duration::from_secs(30))
        .service(client.clone());
    let chat = Chat::new(limited, "my-llm");
    let start = Instant::now();
    for _ in 0..3 {
        let mut events = chat.stream(&request).await?;
        while events.event().await?.is_some() {}
    }
    println!("three streaming responses with a delay between them: {:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_millis(200));

    // Identical requests within one minute are served from the cache. The key is the whole request: components of one
    // endpoint are different models, although the name of the endpoint and the body are the same.
    let cache = Cache::builder().max_capacity(1000).time_to_live(Duration::from_secs(60)).build();
    let cached = service_fn(move |request: Invoke| {
        let (cache, client) = (cache.clone(), client.clone());
        async move {
            let response = cache.try_get_with(request.clone(), client.oneshot(request)).await;
            response.map_err(|error| (*error).clone())
        }
    });
    let sent_before = endpoint.requests().len();
    for component in ["llama", "mistral"] {
        let chat = Chat::new(cached.clone(), Endpoint::new("my-llm").inference_component(component));
        for _ in 0..3 {
            println!("{component}: {}", chat.complete(&request).await?.text());
        }
    }
    assert_eq!(endpoint.requests().len(), sent_before + 2);
    Ok(())
}
