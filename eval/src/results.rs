//! The results of an evaluation, as reports show them and as they are stored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The results of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// The version of this format: 1.
    pub version: u32,
    /// When the evaluation began, as RFC 3339.
    pub timestamp: String,
    /// The description of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// One for each prompt, provider, test and repetition, in the order of the tests.
    pub results: Vec<Outcome>,
    /// The sums.
    pub stats: Stats,
}

/// What a provider has responded to a prompt with the variables of a test, and whether that passed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The ID of the provider, as in the configuration: `sagemaker:openai:my-llm`.
    pub provider: String,
    /// Its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The prompt, with its variables replaced.
    pub prompt: String,
    /// The number of the prompt in the configuration, from 0.
    pub prompt_index: usize,
    /// The number of the test, from 0.
    pub test_index: usize,
    /// The number of the repetition, from 0.
    #[serde(default)]
    pub repeat_index: usize,
    /// The description of the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The variables of the test.
    pub vars: Map<String, Value>,
    /// The output: usually text, JSON if a path selects a value that is not text. `None` if the call has failed.
    pub output: Option<Value>,
    /// Why the call has failed. Such a test is an error, not a failure.
    pub error: Option<String>,
    /// How long the call took, in milliseconds; of a cached response, what the original call took.
    pub latency_ms: Option<u64>,
    /// The tokens that the container has counted.
    pub tokens: Option<Tokens>,
    /// US dollars, if the configuration has prices and the container counts tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Why the model has stopped, in the terms of OpenAI's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The response is from the cache.
    pub cached: bool,
    /// Whether all assertions have passed.
    pub success: bool,
    /// The weighted mean of the scores of the assertions, from 0 to 1.
    pub score: f64,
    /// The assertions.
    pub checks: Vec<Check>,
}

/// Tokens of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Of the prompt.
    pub prompt: u64,
    /// Of the response.
    pub completion: u64,
    /// All.
    pub total: u64,
}

/// The result of an assertion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// The type of the assertion, as in the configuration: `not-contains`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it has passed.
    pub pass: bool,
    /// From 0 to 1.
    pub score: f64,
    /// Its share of the score of the test.
    pub weight: f64,
    /// Why, in one sentence.
    pub reason: String,
    /// The metric that its score counts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The assertions of a set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// The sums of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Tests that have passed.
    pub successes: usize,
    /// Tests with an assertion that has failed.
    pub failures: usize,
    /// Tests whose call, or the call of a grader, has failed.
    pub errors: usize,
    /// Tests that were not run, because the evaluation was interrupted.
    pub skipped: usize,
    /// The tokens of all calls; those of cached responses are not part of it.
    pub tokens: Tokens,
}
