//! The configuration of an evaluation: the files that promptfoo users have, as YAML or JSON.
//!
//! | key | what it has |
//! |---|---|
//! | `description` | a text |
//! | `prompts` | texts, lists of messages, `file://` paths, or objects with `raw`, `label` and `id` |
//! | `providers` (or `targets`) | IDs, `file://` paths, or objects: see [`crate::provider::Spec`] |
//! | `defaultTest` | a test whose values are those of all tests that have none |
//! | `tests` | objects, or `file://` paths to YAML, JSON, JSON lines or CSV |
//! | `scenarios`, `derivedMetrics`, `extensions`, `redteam`, … | not supported: an error |
//! | `evaluateOptions` | `maxConcurrency`, `repeat`, `delay`, `cache` |
//! | `outputPath` | one path, or several |
//! | `cache`, `env` | a Boolean; variables that take the place of those of the environment |
//!
//! Everything that is wrong is reported, with file, line and column. What promptfoo reads and has no effect here is accepted with a
//! warning. Variables are replaced by Jinja, as far as it is the same as promptfoo's Nunjucks; one that is not defined is an error.
//! `{{env.NAME}}` is the value of an environment variable, in any text. The keys are those of promptfoo's reference of its configuration.

mod document;
mod prompts;
mod providers;
mod reader;
mod sagemaker;
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use self::document::Node;
pub use self::document::Problem;
use self::reader::Reader;
use crate::assertion::Assertion;
use crate::provider::Spec;

/// How many calls run at the same time, unless the configuration sets it.
const CONCURRENCY: usize = 4;
/// The most combinations of variables, prompts, providers and repetitions.
const CASES_MAX: usize = 1_000_000;

/// An evaluation: what is sent to which providers, and what is expected.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Suite {
    /// A description, for reports.
    pub description: Option<String>,
    /// The prompts.
    pub prompts: Vec<PromptTemplate>,
    /// The providers.
    pub providers: Vec<Arc<Spec>>,
    /// The tests.
    pub tests: Vec<Test>,
    /// The files that the results are written to.
    pub output_paths: Vec<PathBuf>,
    /// How many calls run at the same time.
    pub max_concurrency: usize,
    /// How often each test runs.
    pub repeat: usize,
    /// The pause between two calls of all providers together.
    pub delay: Duration,
    /// Whether responses are cached.
    pub cache: bool,
    /// What has no effect.
    pub warnings: Vec<Problem>,
}

/// A prompt with its variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptTemplate {
    /// The text. A JSON array of messages is a conversation.
    pub text: String,
    /// Its label, which reports show, and by which providers select prompts.
    pub label: Option<String>,
    /// Its ID, by which providers select prompts.
    pub id: Option<String>,
}

/// A test: variables for the prompts, and what the responses have to be.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Test {
    /// A description, for reports.
    pub description: Option<String>,
    /// The variables.
    pub vars: Map<String, Value>,
    /// The assertions.
    pub assertions: Vec<Assertion>,
    /// The least score of a test that passes. Without it, all assertions have to pass.
    pub threshold: Option<f64>,
    /// Texts before and after the prompt.
    pub prefix: String,
    /// See [`prefix`](Self::prefix).
    pub suffix: String,
    /// The labels of the only providers of this test; without any, all.
    pub providers: Option<Vec<String>>,
    /// The labels of the only prompts of this test; without any, all.
    pub prompts: Option<Vec<String>>,
    /// The providers that grade.
    pub graders: GraderSpecs,
}

/// The providers that grade the responses of a test.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GraderSpecs {
    /// The default for texts.
    pub text: Option<Arc<Spec>>,
    /// The default for embeddings.
    pub embedding: Option<Arc<Spec>>,
    /// Those that assertions name: the value of their key `provider`, as JSON.
    pub named: BTreeMap<String, Arc<Spec>>,
}

/// Why a file is no configuration: everything that is wrong with it, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// What is wrong.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    /// Writes a line for each problem: the file, line and column, and what is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The value of an environment variable.
pub type Environment<'e> = dyn Fn(&str) -> Option<String> + 'e;

impl Suite {
    /// Reads a file, and the files that it names. `environment` has the environment variables.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or something in it is wrong: everything that is.
    pub fn load(path: &Path, environment: &Environment<'_>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(path, environment);
        let suite = reader.document(path, None).map(|document| suite(&document.root(), &mut reader));
        let mut problems = std::mem::take(&mut reader.problems);
        problems.sort();
        problems.dedup();
        match suite {
            Some(mut suite) if problems.is_empty() => {
                suite.warnings = std::mem::take(&mut reader.warnings);
                suite.warnings.sort();
                suite.warnings.dedup();
                Ok(suite)
            }
            _ => Err(ConfigError { problems }),
        }
    }
}

/// The keys that are read.
const KEYS: [&str; 12] = [
    "assertionTemplates",
    "description",
    "prompts",
    "providers",
    "targets",
    "defaultTest",
    "tests",
    "outputPath",
    "evaluateOptions",
    "cache",
    "env",
    "version",
];
/// The keys that change nothing here.
const IGNORED: [&str; 6] = ["$schema", "tags", "metadata", "sharing", "commandLineOptions", "telemetry"];
/// The keys that are promptfoo's, and would change the results.
const UNSUPPORTED: [&str; 6] =
    ["scenarios", "derivedMetrics", "extensions", "redteam", "nunjucksFilters", "tracing"];

fn suite(root: &Node<'_>, reader: &mut Reader<'_>) -> Suite {
    reader.keys(root, &KEYS, &IGNORED, &UNSUPPORTED);
    reader.env(root);
    let prompts = prompts::read(root, reader);
    let providers = providers::read_all(root, reader);
    let tests = tests::read_all(root, reader);
    let options = root.get("evaluateOptions");
    if let Some(options) = &options {
        let keys = ["maxConcurrency", "repeat", "delay", "cache"];
        reader.keys(options, &keys, &["showProgressBar", "timeoutMs", "generateSuggestions"], &[]);
    }
    let option = |key| options.as_ref().and_then(|options| options.get(key));
    let mut count = |key, default| match option(key) {
        Some(node) => reader.count(&node).unwrap_or(default),
        None => default,
    };
    let (max_concurrency, repeat) = (count("maxConcurrency", CONCURRENCY), count("repeat", 1));
    let delay = option("delay").and_then(|node| reader.milliseconds(&node)).unwrap_or_default();
    let cache = root.get("cache").or_else(|| option("cache"));
    let suite = Suite {
        description: root.get("description").and_then(|node| reader.text(&node)),
        prompts,
        providers,
        tests,
        output_paths: output_paths(root, reader),
        max_concurrency,
        repeat,
        delay,
        cache: cache.and_then(|node| reader.boolean(&node)).unwrap_or(true),
        warnings: Vec::new(),
    };
    let cases = [suite.prompts.len(), suite.providers.len(), suite.tests.len(), repeat];
    if cases.into_iter().try_fold(1_usize, usize::checked_mul).is_none_or(|cases| cases > CASES_MAX) {
        reader.problem::<()>(
            root.problem(format!("more than {CASES_MAX} combinations of prompts, providers and tests")),
        );
    }
    suite
}

fn output_paths(root: &Node<'_>, reader: &mut Reader<'_>) -> Vec<PathBuf> {
    let paths = root.get("outputPath").map(|node| node.items()).unwrap_or_default();
    paths.iter().filter_map(|node| reader.text(node)).map(PathBuf::from).collect()
}
