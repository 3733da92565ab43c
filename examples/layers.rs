//! A delay between calls, a rate limit, a time limit and a cache of responses: all of them from `tower` and a cache library.
//!
//! `cargo run -p sagewire-examples --example layers`

use std::time::{Duration, Instant};

use moka::future::Cache;
use sagewire_codec::{Api, read_request};
use sagewire_examples::{CHAT, Error, client, endpoint};
use sagewire_transport::{Chat, Invoke};
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// Runs it.
///
/// # Errors
///
/// Whatever goes wrong.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Error> {
    let endpoint = endpoint()?;
    let client = client(&endpoint)?;
    let request = read_request(Api::OpenAi, CHAT.as_bytes())?;

    // A rate limit of one in 100 milliseconds is a delay between calls; a call that takes too long is given up.
    let slowly = ServiceBuilder::new()
        .rate_limit(600, Duration::from_secs(60))
        .rate_limit(1, Duration::from_millis(100))
        .timeout(Duration::from_secs(30))
        .service(client.clone());
    let mut chat = Chat::new(slowly, "my-llm");
    let start = Instant::now();
    for _ in 0..3 {
        let mut answer = chat.stream(&request).await?;
        while answer.event().await?.is_some() {}
    }
    println!("three streamed answers, a delay between them: {:?}", start.elapsed());
    assert!(start.elapsed() >= Duration::from_millis(200));

    // The same question is asked once: what is equal byte for byte has an equal answer.
    let cache = Cache::builder().max_capacity(1000).time_to_live(Duration::from_secs(60)).build();
    let cached = service_fn(move |Invoke(request): Invoke| {
        let (cache, client) = (cache.clone(), client.clone());
        async move {
            let key = (request.endpoint.name.clone(), request.body.clone());
            cache.try_get_with(key, client.oneshot(Invoke(request))).await.map_err(|error| (*error).clone())
        }
    });
    let asked = endpoint.requests().len();
    let mut chat = Chat::new(cached, "my-llm");
    for _ in 0..3 {
        println!("{}", chat.complete(&request).await?.choices[0].text());
    }
    assert_eq!(endpoint.requests().len(), asked + 1);
    Ok(())
}
