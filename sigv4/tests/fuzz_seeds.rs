//! The fuzz oracle over seeds made of the published suite and of requests as SDKs sign them, over random mutations of them, and
//! over the corpus and all inputs that once failed. `SAGEWIRE_SEEDS=write` writes the seeds to the corpus.

mod oracles;

use std::fs;
use std::path::{Path, PathBuf};

use oracles::Request;
use serde_json::Value;

/// A request in the form of the fuzz target's input.
fn seed(method: &str, target: &str, body: &[u8], headers: &[String]) -> Vec<u8> {
    let mut parts = vec![method.as_bytes(), target.as_bytes(), body];
    parts.extend(headers.iter().map(String::as_bytes));
    parts.join(&0xff)
}

fn seeds() -> Vec<Vec<u8>> {
    let suite: Value = serde_json::from_str(include_str!("../testdata/sigv4-suite.json")).unwrap();
    let of_suite = suite["requests"].as_array().unwrap().iter().map(|vector| {
        let text = vector["signed"].as_str().unwrap();
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let target = target.strip_suffix(" HTTP/1.1").unwrap();
        seed(method, target, body.as_bytes(), &lines.map(str::to_owned).collect::<Vec<_>>())
    });
    let of_sdks = [
        ("/model/anthropic.claude-v2%3A1/converse", "bedrock", None),
        ("/endpoints/my-llm/invocations?b=2&a=%20x", "sagemaker", Some("session")),
    ];
    let of_sdks = of_sdks.into_iter().map(|(target, service, session_token)| {
        let request = Request {
            method: "POST".into(),
            target: target.into(),
            host: "127.0.0.1:4000".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: b"{}".to_vec(),
            region: "us-east-1".into(),
            service,
            session_token: session_token.map(str::to_owned),
        };
        let parts = request.signed().expect("a request that can be signed");
        assert!(oracles::verifies(&parts, &request.body, session_token), "{target}");
        let headers = parts.headers.iter();
        let headers = headers.map(|(name, value)| format!("{name}:{}", value.to_str().expect("ASCII")));
        seed("POST", target, &request.body, &headers.collect::<Vec<_>>())
    });
    of_suite.chain(of_sdks).collect()
}

#[test]
fn mutated_seeds() {
    let seeds = seeds();
    let folder = fuzz("corpus");
    if std::env::var_os("SAGEWIRE_SEEDS").is_some_and(|value| value == "write") {
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed).unwrap();
        }
    }
    // The same on every run.
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    for seed in &seeds {
        oracles::received(seed);
        for _ in 0..200 {
            let mut bytes = seed.clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = b"/%;,=: \xff"[random(8)],
                    1 => bytes[at] ^= 1 << random(8),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, seed[random(seed.len())]),
                }
            }
            oracles::received(&bytes);
        }
    }
}

#[test]
fn corpus_and_regressions() {
    let files: Vec<_> =
        ["corpus", "regressions"].into_iter().filter_map(|name| fs::read_dir(fuzz(name)).ok()).collect();
    let mut count = 0;
    for file in files.into_iter().flatten() {
        oracles::received(&fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= seeds().len(), "{count}");
}

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder).join("sigv4")
}
