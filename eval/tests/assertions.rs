//! The vectors of `testdata/assertions.json`, and properties of all assertions.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use sagewire_eval::assertion::{Assertion, Graders, Subject, Verdict, from_csv};
use sagewire_eval::provider::{Backend, CallError, CallFuture, Prompt, Provider, Reply};
use sagewire_eval::results::Check;
use serde::Deserialize;
use serde_json::{Map, Value, json};

const VECTORS: &str = include_str!("../testdata/assertions.json");

#[derive(Deserialize)]
struct Vectors {
    assertions: Vec<Vector>,
    csv: Vec<Cell>,
}

/// An assertion, what it is about, and what comes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    why: String,
    assert: Value,
    output: Value,
    /// The output is this text so many times.
    times: Option<usize>,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    vars: Map<String, Value>,
    #[serde(default)]
    tool_calls: Vec<Value>,
    #[serde(default)]
    tools: Vec<Value>,
    finish_reason: Option<String>,
    #[serde(default)]
    latency: u64,
    #[serde(default)]
    cached: bool,
    cost: Option<f64>,
    /// What the grader responds.
    grader: Option<String>,
    grader_error: Option<String>,
    /// What graders with a name respond.
    #[serde(default)]
    named: HashMap<String, String>,
    embeddings: Option<HashMap<String, Vec<f32>>>,
    /// Texts that the prompt of the grader has.
    #[serde(default)]
    asked: Vec<String>,
    pass: Option<bool>,
    score: Option<f64>,
    /// A part of the error of the check.
    error: Option<String>,
    /// The start of the error of the configuration.
    invalid: Option<String>,
    /// Why promptfoo has another result: `tests/promptfoo/assertions.mjs` compares.
    #[serde(rename = "promptfoo")]
    _promptfoo: Option<String>,
    /// The prefix `not-` gives the opposite.
    #[serde(default = "yes")]
    inverse: bool,
}

/// A cell of a column `__expected`.
#[derive(Deserialize)]
struct Cell {
    why: String,
    cell: String,
    value: Option<Value>,
}

fn yes() -> bool {
    true
}

/// A grader that responds what the vector says.
#[derive(Default)]
struct Scripted {
    response: Option<Result<String, String>>,
    embeddings: HashMap<String, Vec<f32>>,
    prompts: Arc<Mutex<Vec<String>>>,
}

impl Backend for Scripted {
    fn chat<'a>(&'a self, prompt: &'a Prompt) -> CallFuture<'a, Reply> {
        Box::pin(async {
            self.prompts.lock().unwrap().push(prompt.text.clone());
            match self.response.clone().expect("there is a response") {
                Ok(text) => Ok(Reply { output: text.into(), ..Reply::default() }),
                Err(message) => Err(CallError::new(message)),
            }
        })
    }

    fn embed<'a>(&'a self, text: &'a str) -> CallFuture<'a, Vec<f32>> {
        Box::pin(async move {
            if text == "answer" {
                return Ok(vec![1.0, 0.0]);
            }
            self.embeddings
                .get(text)
                .cloned()
                .ok_or_else(|| CallError::new(format_args!("no embedding of {text:?}")))
        })
    }
}

impl Vector {
    fn reply(&self) -> Reply {
        let output = match (self.times, &self.output) {
            (Some(times), Value::String(text)) => text.repeat(times).into(),
            (_, output) => output.clone(),
        };
        Reply {
            output,
            tool_calls: self.tool_calls.clone(),
            finish_reason: self.finish_reason.clone(),
            latency: Duration::from_millis(self.latency),
            cached: self.cached,
            ..Reply::default()
        }
    }

    fn graders(&self, prompts: &Arc<Mutex<Vec<String>>>) -> Graders {
        let provider = |response| {
            let embeddings = self.embeddings.clone().unwrap_or_default();
            Arc::new(Provider::new("grader", Scripted { response, embeddings, prompts: Arc::clone(prompts) }))
        };
        let response = self.grader.clone().map(Ok).or(self.grader_error.clone().map(Err));
        let named =
            self.named.iter().map(|(name, text)| (json!(name).to_string(), provider(Some(Ok(text.clone())))));
        Graders {
            text: response.map(|response| provider(Some(response))),
            embedding: self.embeddings.as_ref().map(|_| provider(None)),
            named: named.collect(),
        }
    }

    /// Runs the assertion of a value, which is that of the vector or its opposite.
    fn run(&self, assertion: &Value) -> (Result<Check, CallError>, Vec<String>) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/expected");
        let assertion =
            Assertion::read_in(assertion, &directory).unwrap_or_else(|error| panic!("{}: {error}", self.why));
        let reply = self.reply();
        let prompts = Arc::default();
        let graders = self.graders(&prompts);
        let subject = Subject {
            prompt: &self.prompt,
            reply: &reply,
            vars: &self.vars,
            cost: self.cost,
            tools: &self.tools,
        };
        let result = block_on(assertion.check(&subject, &graders));
        let prompts = prompts.lock().unwrap().clone();
        (result, prompts)
    }

    fn check(&self) {
        let why = format!("{} ({})", self.why, self.assert);
        let (result, prompts) = self.run(&self.assert);
        if let Some(error) = &self.error {
            let message = result.expect_err(&why).to_string();
            assert!(message.contains(error), "{why}: {message}");
            assert!(!message.contains('\n'), "{why}: {message}");
            return;
        }
        let check = result.unwrap_or_else(|error| panic!("{why}: {error}"));
        assert_eq!(Some(check.pass), self.pass, "{why}: {}", check.reason);
        let score = self.score.unwrap_or(f64::from(u8::from(check.pass)));
        assert!((check.score - score).abs() < 1e-6, "{why}: a score of {}", check.score);
        assert!(!check.reason.is_empty() && check.reason.len() < 2000, "{why}: {}", check.reason);
        for text in &self.asked {
            assert!(
                prompts.iter().any(|prompt| prompt.contains(text)),
                "{why}: {text:?} is not in {prompts:?}"
            );
        }
        if self.inverse {
            self.check_inverse(&check, &why);
        }
    }

    /// The prefix `not-` gives the opposite, for the same reason.
    fn check_inverse(&self, check: &Check, why: &str) {
        let mut assertion = self.assert.clone();
        let kind = assertion["type"].as_str().unwrap();
        assertion["type"] = kind.strip_prefix("not-").map_or(format!("not-{kind}"), str::to_owned).into();
        let opposite = self.run(&assertion).0.unwrap_or_else(|error| panic!("not {why}: {error}"));
        assert_eq!(opposite.pass, !check.pass, "not {why}");
        assert!(
            (opposite.score - (1.0 - check.score)).abs() < 1e-6,
            "not {why}: a score of {}",
            opposite.score
        );
        assert_eq!(opposite.reason, check.reason, "not {why}");
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn assertions_give_what_the_vectors_say() {
    let vectors = vectors().assertions;
    assert!(vectors.len() >= 150, "{}", vectors.len());
    for vector in vectors {
        let outcomes = [vector.pass.is_some(), vector.error.is_some(), vector.invalid.is_some()];
        assert_eq!(outcomes.into_iter().filter(|outcome| *outcome).count(), 1, "{}", vector.why);
        let Some(invalid) = &vector.invalid else {
            vector.check();
            continue;
        };
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/expected");
        let error = Assertion::read_in(&vector.assert, &directory).expect_err(&vector.why).to_string();
        assert!(error.starts_with(invalid), "{}: {error}", vector.why);
        assert!(!error.contains('\n'), "{}: {error}", vector.why);
    }
}

#[test]
fn every_type_has_vectors_that_pass_and_that_fail() {
    let mut kinds: HashMap<String, [bool; 2]> = HashMap::new();
    for vector in vectors().assertions {
        if let (Some(pass), Some(kind)) = (vector.pass, vector.assert["type"].as_str()) {
            kinds.entry(kind.to_owned()).or_default()[usize::from(pass)] = true;
        }
    }
    // Names for the same condition have one vector.
    let aliases = ["is-valid-function-call", "model-graded-factuality", "similar:cosine", "similar:dot"];
    for (kind, outcomes) in &kinds {
        assert!(aliases.contains(&kind.as_str()) || *outcomes == [true, true], "{kind}");
    }
    assert_eq!(kinds.len(), 34);
}

#[test]
fn cells_of_csv_files_are_assertions() {
    for Cell { why, cell, value } in vectors().csv {
        assert_eq!(from_csv(&cell), value, "{why}: {cell:?}");
    }
}

fn check(pass: bool, score: f64, weight: f64) -> Check {
    Check {
        kind: "equals".into(),
        pass,
        score,
        weight,
        reason: "why".into(),
        metric: None,
        checks: Vec::new(),
    }
}

/// The weights and thresholds of tests, as in `src/assertions/assertionsResult.ts` of promptfoo.
#[test]
fn a_test_has_the_weighted_mean_of_its_assertions() {
    let two = [check(true, 1.0, 3.0), check(false, 0.0, 1.0)];
    let verdict = |checks: &[Check], threshold| {
        let Verdict { pass, score, .. } = Verdict::new(checks, threshold);
        (pass, score)
    };
    assert_eq!(verdict(&[], None), (true, 1.0));
    assert_eq!(verdict(&two, None), (false, 0.75));
    assert_eq!(verdict(&two, Some(0.75)), (true, 0.75));
    assert_eq!(verdict(&two, Some(0.8)), (false, 0.75));
    // A threshold of 0 collects scores, and nothing fails.
    assert_eq!(verdict(&[check(false, 0.0, 1.0)], Some(0.0)), (true, 0.0));
    // Without weight there is no score, and nothing that can fail.
    assert_eq!(verdict(&[check(true, 1.0, 0.0)], None), (true, 0.0));
    assert_eq!(Verdict::new(&[two[1].clone(), two[1].clone()], None).reason, "why (and 1 more)");
}

/// A value of any shape.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[\\[\\](){}^$.*+?|\\\\,\"a-c0-9-]{0,16}".prop_map(Value::from),
        "(\\{\\{ ?[a-c|. ]{0,6} ?\\}\\}|[a-c ]){0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map("(type|min|max|a|function|name|arguments|pass)", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing panics, errors are one line, scores are from 0 to 1, and `not-` is the opposite.
    #[test]
    fn any_assertion_of_any_output_is_decided_or_an_error(
        kind in prop::sample::select(vec![
            "equals", "contains", "icontains", "contains-any", "contains-all", "icontains-any", "icontains-all", "starts-with",
            "ends-with", "regex", "word-count", "is-json", "contains-json", "levenshtein", "rouge-n", "bleu", "gleu", "similar",
            "similar:euclidean", "llm-rubric", "factuality", "model-graded-closedqa", "answer-relevance", "latency", "cost",
            "finish-reason", "is-valid-openai-tools-call", "is-valid-openai-function-call", "tool-call-f1", "javascript",
        ]),
        value in any_value(),
        output in any_value(),
        response in ".{0,8}|\\{\"(pass|score|category|questions)\": (true|0.5|\"A\"|\\[\"b\"\\])\\}|[YN]",
        threshold in proptest::option::of(any::<f64>()),
    ) {
        let mut assertion = json!({ "type": kind, "value": value });
        let fields = assertion.as_object_mut().unwrap();
        if let Some(threshold) = threshold {
            fields.insert("threshold".into(), threshold.into());
        }
        let opposite = {
            let mut fields = fields.clone();
            fields.insert("type".into(), format!("not-{kind}").into());
            Value::Object(fields)
        };
        let (first, second) = match (Assertion::read(&assertion), Assertion::read(&opposite)) {
            (Ok(first), Ok(second)) => (first, second),
            (Err(first), Err(second)) => {
                prop_assert!(!first.to_string().contains('\n'), "{first}");
                prop_assert_eq!(&first.pointer, &second.pointer);
                prop_assert!(first.pointer.is_empty() || assertion.pointer(&first.pointer).is_some()
                    || first.message.contains("missing"), "{first}");
                return Ok(());
            }
            (first, second) => return Err(TestCaseError::fail(format!("{first:?} and {second:?}"))),
        };
        let embeddings = HashMap::from([("a".into(), vec![1.0, 0.0]), ("b".into(), vec![0.5, 0.5])]);
        let scripted = || Scripted { response: Some(Ok(response.clone())), embeddings: embeddings.clone(), ..Scripted::default() };
        let grader = Some(Arc::new(Provider::new("grader", scripted())));
        let graders = Graders { text: grader.clone(), embedding: grader, ..Graders::default() };
        let reply = Reply { output, finish_reason: Some("stop".into()), ..Reply::default() };
        let vars = Map::from_iter([("a".to_owned(), "a".into()), ("b".to_owned(), json!([1]))]);
        let subject = Subject { prompt: "a", reply: &reply, vars: &vars, cost: Some(0.5), tools: &[] };
        match (block_on(first.check(&subject, &graders)), block_on(second.check(&subject, &graders))) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!(first.pass, !second.pass);
                prop_assert!((0.0..=1.0).contains(&first.score) && (0.0..=1.0).contains(&second.score));
            }
            (Err(first), Err(_)) => prop_assert!(!first.to_string().contains('\n'), "{first}"),
            (first, second) => return Err(TestCaseError::fail(format!("{first:?} and {second:?}"))),
        }
    }

    /// Every cell is an assertion or nothing, and reading it does not panic.
    #[test]
    fn any_cell_is_an_assertion(cell in "(not-)?(contains-any|similar|is-json|fn|grade)?(\\([0-9.]{0,4}\\))?:?.{0,12}") {
        if let Some(value) = from_csv(&cell) {
            prop_assert!(value["type"].is_string());
            let _ = Assertion::read(&value);
        }
    }
}
