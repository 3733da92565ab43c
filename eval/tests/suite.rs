//! Configurations, and the calls that are made of them, against the emulator.

use std::cell::RefCell;
use std::future::{pending, ready};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use sagewire_eval::cache::Cache;
use sagewire_eval::config::{ConfigError, Suite};
use sagewire_eval::provider::Connector;
use sagewire_eval::results::Results;
use sagewire_eval::runner::Evaluation;
use serde_json::{Value, json};

/// A folder that is deleted when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sagewire-eval-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Suite, ConfigError> {
        let find = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Suite::load(&self.0.join("config.yaml"), &find)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The keys of the emulator, for `config` of a provider.
fn keys() -> String {
    format!("region: us-east-1, accessKeyId: {ACCESS_KEY_ID}, secretAccessKey: {SECRET_ACCESS_KEY}")
}

async fn emulator(script: &Value) -> Emulator {
    Emulator::builder().script(script.to_string().parse().unwrap()).start().await.unwrap()
}

async fn evaluate(suite: Suite, connector: &mut Connector) -> Results {
    let evaluation = Evaluation::new(suite, connector).await.unwrap();
    evaluation.run(None, pending(), |_| {}).await
}

/// The bodies of the requests that the emulator has received.
fn bodies(emulator: &Emulator) -> Vec<Value> {
    emulator.requests().iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[test]
fn mistakes_are_listed_with_their_place() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/wrong-configurations.json");
    let vectors: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for vector in vectors {
        let (name, why) = (vector["name"].as_str().unwrap(), vector["why"].as_str().unwrap());
        let folder = Folder::new(&[("config.yaml", vector["file"].as_str().unwrap())]);
        let text = folder.load(&[]).expect_err(name).to_string();
        assert!(!text.contains("canary"), "{name}: {text}");
        let prefix = format!("{}:", folder.0.join("config.yaml").display());
        let found: Vec<_> = text.lines().map(|line| line.strip_prefix(&prefix).unwrap_or(line)).collect();
        match (vector["lines"].as_array(), vector["start"].as_array()) {
            (Some(lines), _) => assert_eq!(json!(found), json!(lines), "{name}: {why}"),
            (None, starts) => {
                let starts = starts.unwrap();
                assert_eq!(found.len(), starts.len(), "{name}: {found:?}");
                for (line, start) in found.iter().zip(starts) {
                    assert!(line.starts_with(start.as_str().unwrap()), "{name}: {why}: {line}");
                }
            }
        }
    }
}

#[test]
fn tests_come_from_all_kinds_of_files() {
    let config = "\
description: d
prompts:
  - file://prompts.txt
  - {raw: 'labelled {{topic}}', label: l}
  - - {role: system, content: s}
    - {role: user, content: 'About {{topic}}'}
providers: [{id: 'sagemaker:a', prompts: [l]}, sagemaker:b]
sharing: true
defaultTest: {vars: {lang: en}, assert: [{type: contains, value: x}]}
tests:
  - vars: {topic: [one, two], style: [a, b], numbers: [1, 2]}
  - file://tests.csv
  - file://tests.jsonl
  - file://tests.yaml
  - vars: {topic: file://topic.txt}
";
    let folder = Folder::new(&[
        ("config.yaml", config),
        ("prompts.txt", "First {{topic}}\n---\nSecond {{topic}}\n"),
        ("tests.csv", "topic,__expected,__description\ncsv,contains: y,from csv\n"),
        ("tests.jsonl", "{\"vars\": {\"topic\": \"jsonl\", \"lang\": \"de\"}}\n"),
        ("tests.yaml", "- vars: {topic: '{{ lang }} yaml'}\n"),
        ("topic.txt", "a file\n"),
    ]);
    let suite = folder.load(&[]).unwrap();
    let prompts: Vec<_> = suite.prompts.iter().map(|prompt| prompt.text.as_str()).collect();
    assert_eq!(prompts[..3], ["First {{topic}}", "Second {{topic}}", "labelled {{topic}}"]);
    assert!(serde_json::from_str::<Value>(prompts[3]).unwrap().is_array());
    let vars: Vec<_> = suite.tests.iter().map(|test| json!(test.vars)).collect();
    let combination = |topic, style| json!({"topic": topic, "style": style, "lang": "en", "numbers": [1, 2]});
    assert_eq!(
        vars,
        [
            combination("one", "a"),
            combination("one", "b"),
            combination("two", "a"),
            combination("two", "b"),
            json!({"topic": "csv", "lang": "en"}),
            json!({"topic": "jsonl", "lang": "de"}),
            json!({"topic": "en yaml", "lang": "en"}),
            json!({"topic": "a file", "lang": "en"}),
        ]
    );
    assert_eq!((suite.tests[4].assertions.len(), suite.tests[5].assertions.len()), (2, 1));
    assert_eq!(suite.tests[4].description.as_deref(), Some("from csv"));
    let warnings: Vec<_> = suite.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warnings, ["`sharing` has no effect"]);
    assert_eq!((suite.max_concurrency, suite.repeat, suite.cache), (4, 1, true));
}

#[tokio::test]
async fn requests_and_outputs_are_those_of_the_settings() {
    let script = json!({"rules": [
        {"endpoint": "custom", "body": "{\"custom\": {\"field\": \"nested\"}}"},
        {"endpoint": "wrapped", "body": "{\"response\": \"found\"}"},
        {"endpoint": "my-jumpstart-llm", "format": "lmi"},
        {"endpoint": "tgi", "format": "tgi"},
        {"endpoint": "chat", "format": "openai"},
        {"endpoint": "cut", "body": "{\"choices\": [{\"message\": {\"content\": \"half"},
        {"endpoint": "failed", "body": "{\"error\": \"out of memory\", \"code\": 424}"},
        {"endpoint": "text", "body": "just text"},
    ]});
    let emulator = emulator(&script).await;
    let keys = keys();
    let config = format!(
        "\
prompts: ['Say {{{{word}}}}']
providers:
  - {{id: 'sagemaker:custom', config: {{{keys}, responseFormat: {{path: '$.custom.field'}}, parameters: {{seed: 7}}}}}}
  - {{id: 'sagemaker:wrapped', config: {{{keys}}}}}
  - {{id: 'sagemaker:my-jumpstart-llm', config: {{{keys}, responseFormat: {{path: $.generated_text}}}}}}
  - {{id: 'sagemaker:huggingface:tgi', transform: '<s>[INST] {{{{ prompt }}}} [/INST]', config: {{{keys}, topP: 0.9}}}}
  - {{id: 'sagemaker:chat', label: converted, config: {{{keys}, format: openai, prices: {{input: 1, output: 2}}}}}}
  - {{id: 'sagemaker:cut', config: {{{keys}}}}}
  - {{id: 'sagemaker:failed', config: {{{keys}}}}}
  - {{id: 'sagemaker:text', config: {{{keys}}}}}
  - {{id: 'sagemaker:wrapped', label: path, config: {{{keys}, responseFormat: {{path: '$.none'}}}}}}
tests: [{{vars: {{word: apple}}}}]
evaluateOptions: {{maxConcurrency: 1}}
"
    );
    let folder = Folder::new(&[("config.yaml", &config)]);
    let environment = [
        ("AWS_SAGEMAKER_MAX_TOKENS", "33"),
        ("AWS_SAGEMAKER_TEMPERATURE", "0.5"),
        ("AWS_SAGEMAKER_TOP_P", "0.25"),
    ];
    let suite = folder.load(&environment).unwrap();
    let mut connector = Connector::new().endpoint_url(emulator.url());
    let results = evaluate(suite, &mut connector).await;
    assert_eq!(
        bodies(&emulator)[..5],
        [
            json!({"prompt": "Say apple", "seed": 7}),
            json!({"prompt": "Say apple"}),
            json!({"inputs": "Say apple", "parameters": {"max_new_tokens": 33, "temperature": 0.5, "top_p": 0.25, "do_sample": true}}),
            json!({"inputs": "<s>[INST] Say apple [/INST]", "parameters": {"max_new_tokens": 33, "temperature": 0.5, "top_p": 0.9,
                "do_sample": true, "return_full_text": false}}),
            json!({"messages": [{"role": "user", "content": "Say apple"}], "max_tokens": 33, "temperature": 0.5, "top_p": 0.25}),
        ]
    );
    let of = |index: usize| &results.results[index];
    let output = |index: usize| of(index).output.as_ref().and_then(Value::as_str).unwrap_or_default();
    assert_eq!((output(0), output(1), output(7)), ("nested", "found", "just text"), "{results:?}");
    for index in [2, 3, 4] {
        assert!(output(index).contains("apple") && of(index).success, "{:?}", of(index));
    }
    let tokens = of(4).tokens.unwrap();
    let cost = (tokens.prompt as f64 + 2.0 * tokens.completion as f64) / 1e6;
    assert!(tokens.total > 0 && (of(4).cost.unwrap() - cost).abs() < 1e-12, "{:?}", of(4));
    for (index, part) in [(5, ""), (6, "out of memory"), (8, "`$.none` finds nothing")] {
        let outcome = of(index);
        let error = outcome.error.as_deref().unwrap_or_default();
        assert!(
            !error.is_empty() && error.contains(part) && outcome.output.is_none() && !outcome.success,
            "{outcome:?}"
        );
    }
    assert_eq!((results.stats.successes, results.stats.errors), (6, 3));
    emulator.stop().await;
}

#[tokio::test]
async fn responses_are_cached_except_failures_and_secrets() {
    let script = json!({"rules": [
        {"endpoint": "busy", "status": 400, "message": "no"},
        {"endpoint": "embedding", "body": "[[0.5, 0.25]]"},
        {"format": "openai"},
    ]});
    let emulator = emulator(&script).await;
    let keys = keys();
    let config = format!(
        "\
prompts: ['Say {{{{word}}}}']
providers: [{{id: 'sagemaker:openai:chat', config: {{{keys}}}}}, {{id: 'sagemaker:openai:busy', config: {{{keys}}}}}]
tests: [{{vars: {{word: [apple, pear]}}}}]
defaultTest: {{options: {{provider: {{embedding: {{id: 'sagemaker:embedding:embedding', config: {{{keys}}}}}}}}}}}
"
    );
    let folder = Folder::new(&[("config.yaml", &config)]);
    let run = async |cached: bool| {
        let mut connector = Connector::new().endpoint_url(emulator.url());
        if cached {
            connector = connector.cache(Cache::open(folder.0.join("cache")).unwrap());
        }
        let before = emulator.requests().len();
        let suite = folder.load(&[]).unwrap();
        let embedding = suite.tests[0].graders.embedding.clone().unwrap();
        let grader = connector.connect(&embedding).await.unwrap();
        assert_eq!(grader.embed("text").await.unwrap(), [0.5, 0.25]);
        let results = evaluate(suite, &mut connector).await;
        (results, emulator.requests().len() - before)
    };
    let (first, count) = run(true).await;
    assert_eq!((first.stats.successes, first.stats.errors, count), (2, 2, 5));
    let (second, count) = run(true).await;
    // Only the failures are called again.
    assert_eq!((second.stats.successes, second.stats.errors, count), (2, 2, 2));
    let of = |results: &Results, index: usize| results.results[index].clone();
    assert!(!of(&first, 0).cached && of(&second, 0).cached && !of(&second, 1).cached);
    assert_eq!(of(&first, 0).latency_ms, of(&second, 0).latency_ms);
    assert_eq!(of(&first, 0).output, of(&second, 0).output);
    assert_eq!(second.stats.tokens.total, 0, "tokens of cached responses cost nothing");
    let (_, count) = run(false).await;
    assert_eq!(count, 5);
    let mut files = 0;
    for entry in std::fs::read_dir(folder.0.join("cache")).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            assert!(!std::fs::read_to_string(&path).unwrap().contains(SECRET_ACCESS_KEY));
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            }
            files += 1;
        }
    }
    assert_eq!(files, 3);
    for results in [&first, &second] {
        assert!(!serde_json::to_string(results).unwrap().contains(SECRET_ACCESS_KEY));
    }
    // The oldest files are removed when there are too many.
    Cache::with_bound(folder.0.join("cache"), 1).unwrap();
    let left = std::fs::read_dir(folder.0.join("cache")).unwrap().flatten();
    assert_eq!(left.map(|entry| std::fs::read_dir(entry.path()).unwrap().count()).sum::<usize>(), 0);
    emulator.stop().await;
}

#[tokio::test]
async fn delays_are_between_real_calls_only() {
    let emulator = emulator(&json!({"rules": [{"format": "openai"}]})).await;
    let keys = keys();
    let config = format!(
        "prompts: ['{{{{word}}}}']\nproviders: [{{id: 'sagemaker:openai:chat', delay: 150, config: {{{keys}}}}}]\ntests: [{{vars: {{word: [a, b, c]}}}}]\n"
    );
    let folder = Folder::new(&[("config.yaml", &config)]);
    let mut times = Vec::new();
    for _ in 0..2 {
        let cache = Cache::open(folder.0.join("cache")).unwrap();
        let mut connector = Connector::new().endpoint_url(emulator.url()).cache(cache);
        let suite = folder.load(&[]).unwrap();
        let evaluation = Evaluation::new(suite, &mut connector).await.unwrap();
        let start = Instant::now();
        let results = evaluation.run(None, pending(), |_| {}).await;
        assert_eq!(results.stats.successes, 3, "{results:?}");
        times.push(start.elapsed());
    }
    assert!(times[0] >= Duration::from_millis(300) && times[1] < Duration::from_millis(150), "{times:?}");
    emulator.stop().await;
}

#[tokio::test]
async fn an_interrupted_evaluation_is_resumed() {
    let emulator = emulator(&json!({"rules": [{"format": "openai"}]})).await;
    let keys = keys();
    let config = format!(
        "prompts: ['{{{{word}}}}']\nproviders: [{{id: 'sagemaker:openai:chat', config: {{{keys}}}}}]\ntests: [{{vars: {{word: [a, b, c, d]}}}}]\nevaluateOptions: {{maxConcurrency: 1}}\n"
    );
    let folder = Folder::new(&[("config.yaml", &config)]);
    let mut connector = Connector::new().endpoint_url(emulator.url());
    let evaluation = Evaluation::new(folder.load(&[]).unwrap(), &mut connector).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stop = RefCell::new(Some(stop));
    let interrupt = async {
        let _ = stopped.await;
    };
    let mut seen = 0;
    let first = evaluation.run(None, interrupt, |_| {
        seen += 1;
        if seen == 2 {
            stop.borrow_mut().take().unwrap().send(()).unwrap();
        }
    });
    let first = first.await;
    assert_eq!((first.results.len(), first.stats.skipped, seen), (2, 2, 2));
    let calls = emulator.requests().len();
    // The results are stored and read again.
    let stored: Results = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    let second = evaluation.run(Some(stored), pending(), |_| {}).await;
    assert_eq!((second.results.len(), second.stats.skipped, second.stats.successes), (4, 0, 4));
    assert_eq!(second.results[..2], first.results[..]);
    assert_eq!(emulator.requests().len() - calls, 2);
    let none = evaluation.run(None, ready(()), |_| {}).await;
    assert!(none.stats.skipped >= 3, "{:?}", none.stats);
    emulator.stop().await;
}
