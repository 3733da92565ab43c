//! Every front door in front of every container: whole and streamed.

mod common;

use common::{ECHO, Reply, emulator, gateway, get, model, post};
use http::StatusCode;
use sagewire_codec::model::Response;
use sagewire_codec::{Api, Decoder, Options};
use sagewire_emulator::ContainerFormat;
use serde_json::{Value, json};

const TEXT: &str = "Grüße, 你好 and 👋";

/// The formats of containers, and how the gateway calls them.
fn containers() -> Vec<(&'static str, ContainerFormat, Api)> {
    ["openai", "anthropic"]
        .into_iter()
        .map(|name| {
            let format = name.parse().expect("a format");
            (name, format, name.parse().expect("an API"))
        })
        .collect()
}

fn request(api: Api, streams: bool) -> Value {
    let message = json!({"role": "user", "content": TEXT});
    match api {
        Api::Converse => {
            json!({"messages": [{"role": "user", "content": [{"text": TEXT}]}], "inferenceConfig": {"maxTokens": 200}})
        }
        Api::Anthropic => json!({"model": "m", "max_tokens": 200, "messages": [message], "stream": streams}),
        Api::Responses => json!({"model": "m", "input": TEXT, "stream": streams}),
        Api::Completions => json!({"model": "m", "prompt": TEXT, "max_tokens": 200, "stream": streams}),
        _ => json!({"model": "m", "messages": [message], "stream": streams}),
    }
}

fn path(api: Api, streams: bool) -> &'static str {
    match (api, streams) {
        (Api::Converse, false) => "/model/m/converse",
        (Api::Converse, true) => "/model/m/converse-stream",
        (Api::Anthropic, _) => "/v1/messages",
        (Api::Responses, _) => "/v1/responses",
        (Api::Completions, _) => "/v1/completions",
        _ => "/v1/chat/completions",
    }
}

/// The text of a response of an API, by the codec.
fn text(api: Api, reply: &Reply, streams: bool) -> String {
    assert_eq!(reply.status, StatusCode::OK, "{api}: {}", reply.text());
    if !streams {
        let response = Response::read(reply.body.clone(), Options::new().api(api))
            .unwrap_or_else(|error| panic!("{api}: {error}"));
        return response.choices[0].text();
    }
    let mut response = Response::default();
    let mut decoder = Decoder::with_options(Options::new().api(api));
    decoder
        .feed(reply.body.clone(), &mut |event: sagewire_codec::model::Event<'_>| response.add(&event))
        .expect("a stream");
    decoder
        .end(&mut |event: sagewire_codec::model::Event<'_>| response.add(&event))
        .expect("a complete stream");
    response.choices[0].text()
}

#[tokio::test]
async fn every_door_in_front_of_every_container() {
    for (name, format, container) in containers() {
        let emulator = emulator(format, ECHO).await;
        let mut model = model(&emulator, "e", container);
        model.name = "m".into();
        let gateway = gateway(vec![model]).await;
        for api in [Api::OpenAi, Api::Anthropic, Api::Converse, Api::Responses] {
            for streams in [false, true] {
                let reply = post(&gateway, path(api, streams), request(api, streams)).await;
                let found = text(api, &reply, streams);
                assert!(found.contains(TEXT), "{name} through {api}, stream {streams}: {found}");
                let id = reply.header("x-request-id");
                assert!(
                    id.len() == 32
                        && id == reply.header("request-id")
                        && id == reply.header("x-amzn-requestid")
                );
                assert!(!reply.header("x-sagewire-upstream-id").is_empty());
            }
        }
        emulator.stop().await;
    }
}

#[tokio::test]
async fn models_are_listed_in_both_shapes() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let gateway = gateway(vec![model(&emulator, "b", Api::OpenAi), model(&emulator, "a", Api::OpenAi)]).await;
    let list = get(&gateway, "/v1/models").await.json();
    assert_eq!(
        (&list["object"], &list["data"][0]["id"], &list["data"][1]["id"]),
        (&json!("list"), &json!("a"), &json!("b"))
    );
    assert_eq!(get(&gateway, "/models/a").await.json()["id"], "a");
    let missing = get(&gateway, "/v1/models/c").await;
    assert_eq!(
        (missing.status, &missing.json()["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("model_not_found"))
    );
}

/// Responses from the cache: whole from a stream and the other way round, for one key only, and only complete ones.
#[tokio::test]
async fn the_cache_replays_in_both_ways() {
    use sagewire_gateway::config::Cache;

    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let mut settings = common::config(vec![model(&emulator, "m", Api::OpenAi)]);
    settings.cache = Some(Cache::default());
    let gateway = sagewire_gateway::Gateway::new(settings).await.expect("a gateway");
    for api in [Api::OpenAi, Api::Anthropic] {
        let calls = emulator.requests().len();
        for (i, streams) in [true, false, true].into_iter().enumerate() {
            let mut body = request(api, streams);
            body["temperature"] = json!(0);
            let reply = post(&gateway, path(api, streams), body).await;
            assert!(text(api, &reply, streams).contains(TEXT), "{api}, stream {streams}");
            assert_eq!(reply.header("x-sagewire-cache"), if i == 0 { "" } else { "hit" }, "{api}, {i}");
        }
        assert_eq!(emulator.requests().len(), calls + 1, "one call for all three");
        // Any other member is another request, and a sampled one is not kept.
        for member in [("temperature", json!(0.0)), ("temperature", json!(0.5)), ("user", json!("u"))] {
            let mut body = request(api, false);
            body["temperature"] = json!(0);
            body[member.0] = member.1;
            assert_eq!(post(&gateway, path(api, false), body).await.header("x-sagewire-cache"), "");
        }
    }
}

/// Two gateways with one server: what one has got, the other replays, for the same key of a client only. What the server has lost,
/// or does not give, is got from the endpoint, and counted.
#[tokio::test(flavor = "multi_thread")]
async fn gateways_share_their_cache() {
    use common::state_server::StateServer;
    use sagewire_gateway::config::{Cache, Key, Secret, State};
    use sha2::{Digest, Sha256};

    let Some(server) = StateServer::start() else { return };
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let mut settings = common::config(vec![model(&emulator, "m", Api::OpenAi)]);
    settings.cache = Some(Cache::default());
    settings.state = Some(State::new(Secret::new(server.url())));
    settings.keys = ["a", "b"]
        .map(|name| {
            let mut key = Key::new(name);
            key.hash = Some(Sha256::digest(name).into());
            key
        })
        .into();
    let gateways = [(); 3].map(|()| sagewire_gateway::Gateway::new(settings.clone()));
    let [first, second, third] = futures_util::future::join_all(gateways).await.try_into().expect("three");
    let chat = async |gateway: &Result<_, _>, key: &str, streams: bool| {
        let mut body = request(Api::OpenAi, streams);
        body["temperature"] = json!(0);
        let headers = [("authorization", &*format!("Bearer {key}"))];
        let gateway = gateway.as_ref().unwrap_or_else(|error: &sagewire_transport::Error| panic!("{error}"));
        let reply = common::send_raw(gateway, "/v1/chat/completions", body, &headers).await;
        assert!(text(Api::OpenAi, &reply, streams).contains(TEXT));
        (reply.header("x-sagewire-cache").to_owned(), emulator.requests().len())
    };
    let redis = redis::Client::open(server.url()).expect("a URL");
    let mut redis = redis.get_multiplexed_async_connection().await.expect("a connection");
    let names = async |redis: &mut redis::aio::MultiplexedConnection, count: usize| loop {
        let names: Vec<String> =
            redis::cmd("KEYS").arg("sagewire:cache:*").query_async(redis).await.expect("names");
        if names.len() == count {
            return names;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!(chat(&first, "a", true).await, (String::new(), 1));
    let [name] = &names(&mut redis, 1).await[..] else { panic!("one") };
    let left: u64 = redis::cmd("PTTL").arg(name).query_async(&mut redis).await.expect("a time");
    assert!((1..=60_000).contains(&left), "{left}");
    // Whole from a stream, and from then on from the memory of the second one.
    assert_eq!(chat(&second, "a", false).await, ("hit".into(), 1));
    assert_eq!(chat(&second, "b", false).await, (String::new(), 2));
    names(&mut redis, 2).await;
    // What is no response is not taken for one.
    redis::cmd("SET").arg(name).arg("nonsense").query_async::<()>(&mut redis).await.expect("a value");
    assert_eq!(chat(&third, "a", false).await, (String::new(), 3));
    drop(redis);

    let running = common::server::serve(settings.clone()).await;
    drop(server);
    let mut client = running.connect().await;
    for count in 1..=2 {
        let mut body = request(Api::OpenAi, false);
        (body["temperature"], body["seed"]) = (json!(0), json!(count));
        let headers = ["authorization: Bearer a"];
        client.send("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes()).await;
        let reply = client.whole().await;
        assert!(reply.status == 200 && reply.body.contains("Gr"), "{reply:?}");
    }
    assert!(running.metric("sagewire_cache_failures_total", &[]).await >= 2.0);
    assert_eq!(emulator.requests().len(), 5);
}
