//! The cache.

use http::{HeaderMap, HeaderValue};

use super::*;
use crate::config;
use crate::door::Door;

const CHAT: &[u8] = br#"{"model":"llama","messages":[{"role":"user","content":"hi"}],"temperature":0}"#;

fn cache(size: u64, ttl: Duration) -> Cache<String> {
    Cache::new(&config::Cache { size, ttl, shared: false })
}

fn cache_key(body: &[u8]) -> CacheKey {
    CacheKey::new("team-a", Door::OpenAi, "llama", body, &[])
}

fn control(headers: &[(&'static str, &'static str)]) -> CacheControl {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_static(value));
    }
    CacheControl::new(&map)
}

fn lead(cache: &Cache<String>, key: CacheKey, headers: &[(&'static str, &'static str)]) -> Leader<String> {
    match cache.get_or_join(key, control(headers)) {
        Lookup::Leader(leader) => leader,
        Lookup::Hit(entry) => panic!("hit: {entry:?}"),
        Lookup::Follower(_) => panic!("follower"),
    }
}

fn hit(cache: &Cache<String>, key: CacheKey, headers: &[(&'static str, &'static str)]) -> Option<String> {
    match cache.get_or_join(key, control(headers)) {
        Lookup::Hit(entry) => Some(entry.value.clone()),
        Lookup::Leader(_) | Lookup::Follower(_) => None,
    }
}

/// Fault 41: a response is for the key that asked, for exactly what it asked.
#[test]
fn fault_41_a_key_has_everything_that_matters() {
    let same = cache_key(CHAT);
    let streamed = br#"{"stream":true,"model":"llama","messages":[{"role":"user","content":"hi"}],"stream_options":{"include_usage":true},"temperature":0}"#;
    assert_eq!(cache_key(streamed), same, "a stream and a whole response are one entry");

    let text = std::str::from_utf8(CHAT).unwrap();
    let bodies = [
        text.replace("hi", "Hi"),
        text.replace(":0}", ":0.0}"),
        text.replace("}]", "}],\"seed\":1"),
        text.replace("user", "system"),
        text.replace(r#""temperature":0"#, r#""temperature":0,"temperature":1"#),
        text.replace(r#"{"model":"llama","#, r#"{"model":"lla","ma":"","#),
        format!("[{text}]"),
        text.replace('}', ""),
        String::new(),
    ];
    let mut keys: Vec<_> = bodies.iter().map(|body| cache_key(body.as_bytes())).collect();
    keys.extend([
        CacheKey::new("team-b", Door::OpenAi, "llama", CHAT, &[]),
        CacheKey::new("team-a", Door::Anthropic, "llama", CHAT, &[]),
        CacheKey::new("team-a", Door::OpenAi, "llama-b", CHAT, &[]),
        CacheKey::new("team-allama", Door::OpenAi, "", CHAT, &[]),
        CacheKey::new("team-a", Door::OpenAi, "llama", CHAT, &[("anthropic-beta", b"x")]),
        CacheKey::new("team-a", Door::OpenAi, "llama", CHAT, &[("anthropic-betax", b"")]),
        same,
    ]);
    let different: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len());
}

#[test]
fn only_complete_responses_get_in() {
    let cache = cache(1 << 20, HOUR);
    let key = cache_key(CHAT);
    // It broke off.
    drop(lead(&cache, key, &[]));
    lead(&cache, key, &[]).complete("hello".into(), 5);
    assert_eq!(hit(&cache, key, &[]).as_deref(), Some("hello"));
    assert!(cache.0.calls().is_empty());
    assert_eq!(hit(&cache, cache_key(b"{}"), &[]), None);
}

#[tokio::test]
async fn equal_requests_share_one_call() {
    let cache = cache(1 << 20, HOUR);
    let key = cache_key(CHAT);
    let leader = lead(&cache, key, &[]);
    let followers: Vec<_> = (0..10)
        .map(|_| match cache.get_or_join(key, control(&[])) {
            Lookup::Follower(follower) => tokio::spawn(follower.wait()),
            _ => panic!("not a follower"),
        })
        .collect();
    leader.complete("hello".into(), 5);
    for follower in followers {
        assert_eq!(follower.await.unwrap().unwrap().value, "hello");
    }
}

#[tokio::test]
async fn a_leader_that_fails_holds_nobody_up() {
    let cache = cache(1 << 20, HOUR);
    let key = cache_key(CHAT);
    let leader = lead(&cache, key, &[]);
    let Lookup::Follower(follower) = cache.get_or_join(key, control(&[])) else { panic!("not a follower") };
    let waiting = tokio::spawn(follower.wait());
    tokio::task::yield_now().await;
    drop(leader);
    assert!(waiting.await.unwrap().is_none());
    drop(lead(&cache, key, &[]));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_takes_too_long_holds_nobody_up() {
    let cache = cache(1 << 20, HOUR);
    let leader = lead(&cache, cache_key(CHAT), &[]);
    let Lookup::Follower(follower) = cache.get_or_join(cache_key(CHAT), control(&[])) else {
        panic!("not a follower")
    };
    assert!(follower.wait().await.is_none());
    drop(leader);
}

#[tokio::test]
async fn what_is_too_large_goes_to_followers_and_is_not_kept() {
    let cache = cache(8000, HOUR);
    assert_eq!(cache.largest(), 1000);
    let key = cache_key(CHAT);
    let leader = lead(&cache, key, &[]);
    let Lookup::Follower(follower) = cache.get_or_join(key, control(&[])) else { panic!("not a follower") };
    leader.complete("x".repeat(1001), 1001);
    assert_eq!(follower.wait().await.unwrap().value.len(), 1001);
    assert_eq!(hit(&cache, key, &[]), None);
}

#[test]
fn the_cache_is_bounded_in_bytes_and_time() {
    let cache = cache(100_000, HOUR);
    for number in 0..1000_u32 {
        lead(&cache, cache_key(&number.to_le_bytes()), &[]).complete("x".repeat(1000), 1000);
    }
    cache.0.entries.run_pending_tasks();
    let (count, size) = (cache.0.entries.entry_count(), cache.0.entries.weighted_size());
    assert!(count > 20 && size <= 100_000, "{count} entries, {size} bytes");

    let cache = self::cache(100_000, Duration::from_millis(20));
    lead(&cache, cache_key(CHAT), &[]).complete("old".into(), 3);
    std::thread::sleep(Duration::from_millis(40));
    assert_eq!(hit(&cache, cache_key(CHAT), &[]), None);
}

#[test]
fn clients_decide_what_they_take_and_what_is_kept() {
    let cache = cache(1 << 20, HOUR);
    let key = cache_key(CHAT);
    lead(&cache, key, &[]).complete("old".into(), 3);
    let fresh: [&[(&str, &str)]; 5] = [
        &[("cache-control", "no-cache")],
        &[("cache-control", "max-age=0")],
        &[("cache-control", "public, No-Store")],
        &[("x-sagewire-cache", "refresh"), ("cache-control", "max-age=60")],
        &[("x-sagewire-cache", "off")],
    ];
    for headers in fresh {
        assert_eq!(hit(&cache, key, headers), None, "{headers:?}");
    }
    assert_eq!(hit(&cache, key, &[("cache-control", "max-age=60")]).as_deref(), Some("old"));
    // A refresh replaces the entry, and does not disturb a call that others wait for.
    let refresh = [("x-sagewire-cache", "refresh")];
    let (first, second) = (lead(&cache, key, &refresh), lead(&cache, key, &refresh));
    second.complete("second".into(), 6);
    assert_eq!(hit(&cache, key, &[]).as_deref(), Some("second"));
    first.complete("first".into(), 5);
    assert_eq!(hit(&cache, key, &[]).as_deref(), Some("first"));
}

#[test]
fn sampled_responses_are_kept_only_when_asked() {
    let applies = |headers: &[(&'static str, &'static str)]| {
        [false, true].map(|sampled| control(headers).applies(sampled))
    };
    assert_eq!(applies(&[]), [true, false]);
    assert_eq!(applies(&[("x-sagewire-cache", "On")]), [true, true]);
    assert_eq!(applies(&[("cache-control", "max-age=60")]), [true, true]);
    assert_eq!(applies(&[("cache-control", "no-cache")]), [true, false]);
    assert_eq!(applies(&[("x-sagewire-cache", "refresh")]), [true, true]);
    assert_eq!(applies(&[("cache-control", "no-store"), ("x-sagewire-cache", "on")]), [false, false]);
    assert_eq!(applies(&[("x-sagewire-cache", "off"), ("cache-control", "max-age=60")]), [false, false]);
    assert_eq!(applies(&[("cache-control", "max-age=soon")]), [true, false]);
}
