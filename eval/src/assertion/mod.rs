//! Assertions: what a response has to be.
//!
//! The types of assertions, their defaults and their scores are those of promptfoo (`src/assertions` of its repository), except
//! where that would count something as passed that is not known: a condition that cannot be decided is an error.

mod csv;
mod fields;
mod grade;
mod javascript_regex;
mod json;
mod measure;
mod overlap;
mod similar;
mod text;
mod tools;
mod treebank;
mod types;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use self::fields::Fields;
use crate::provider::{CallError, Provider, Reply};
use crate::results::Check;
use crate::template;

pub use self::csv::from_csv;

/// What an assertion is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The prompt, with its variables replaced.
    pub prompt: &'a str,
    /// The response.
    pub reply: &'a Reply,
    /// The variables of the test.
    pub vars: &'a Map<String, Value>,
    /// US dollars, if the configuration has prices and the container counts tokens.
    pub cost: Option<f64>,
    /// The definitions of the tools that the provider offers to the model, in the shape of OpenAI's chat completions.
    pub tools: &'a [Value],
}

/// The providers that grade responses.
#[derive(Clone, Debug, Default)]
pub struct Graders {
    /// The default for texts.
    pub text: Option<Arc<Provider>>,
    /// The default for embeddings.
    pub embedding: Option<Arc<Provider>>,
    /// Those that assertions name: the value of their key `provider`, as JSON.
    pub named: HashMap<String, Arc<Provider>>,
}

impl Graders {
    /// The provider for texts: that of the assertion's key `provider`, or the default.
    pub fn text(&self, provider: Option<&Value>) -> Option<&Arc<Provider>> {
        self.find(provider, "text").or(self.text.as_ref())
    }

    /// The provider for embeddings: that of the assertion's key `provider`, or the default.
    pub fn embedding(&self, provider: Option<&Value>) -> Option<&Arc<Provider>> {
        self.find(provider, "embedding").or(self.embedding.as_ref())
    }

    /// The value is a provider, or a section of providers by their use.
    fn find(&self, provider: Option<&Value>, usage: &str) -> Option<&Arc<Provider>> {
        let value = provider?;
        self.named.get(&value.to_string()).or_else(|| self.named.get(&value.get(usage)?.to_string()))
    }
}

/// An assertion of a configuration.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// The type, with its prefix `not-`.
    name: String,
    weight: f64,
    metric: Option<String>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    /// A single condition.
    One { condition: Condition, inverse: bool, transform: Option<String> },
    /// The assertions of an `assert-set`.
    Set { assertions: Vec<Assertion>, threshold: Option<f64> },
}

/// The condition of an assertion, without its prefix `not-`.
#[derive(Clone, Debug)]
enum Condition {
    Grade(grade::Condition),
    Json(json::Condition),
    Measure(measure::Condition),
    Overlap(overlap::Condition),
    Similar(similar::Condition),
    Text(text::Condition),
    Tools(tools::Condition),
}

/// Whether a condition is met.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    pass: bool,
    /// From 0 to 1.
    score: f64,
    /// What was found, in one sentence that holds with and without the prefix `not-`.
    reason: String,
}

impl Finding {
    /// A condition that is met or not, and nothing between.
    fn new(pass: bool, reason: impl Into<String>) -> Self {
        Self { pass, score: f64::from(u8::from(pass)), reason: reason.into() }
    }

    /// A score that has to reach a threshold.
    fn score(score: f64, threshold: f64, what: &str) -> Self {
        // As in promptfoo, a rounding error does not decide.
        let pass = score >= threshold - f64::EPSILON;
        let comparison = if pass { "reaches" } else { "is less than" };
        let reason = format!("{what} {score:.2} {comparison} the threshold {threshold}");
        Self { pass, score: score.clamp(0.0, 1.0), reason }
    }
}

/// A response as a condition sees it: after the transformation of the assertion.
#[derive(Clone, Copy, Debug)]
struct Output<'a> {
    value: &'a Value,
    /// As text: JSON, if it is not text.
    text: &'a str,
    subject: &'a Subject<'a>,
}

/// Why a value of a configuration is not an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAssertion {
    /// A JSON pointer to the mistake, from the assertion.
    pub pointer: String,
    /// What is wrong, in one line.
    pub message: String,
}

/// The result of several assertions.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether all have passed; with a threshold, whether the score reaches it.
    pub pass: bool,
    /// The weighted mean of their scores.
    pub score: f64,
    /// Why, in one sentence.
    pub reason: String,
}

impl Verdict {
    /// The result of the assertions of a test, or of an `assert-set`.
    ///
    /// Without assertions, a test passes with a score of 1. If all weights are zero, the score is 0.
    pub fn new(checks: &[Check], threshold: Option<f64>) -> Self {
        if checks.is_empty() {
            return Self { pass: true, score: 1.0, reason: "there are no assertions".to_owned() };
        }
        let weight: f64 = checks.iter().map(|check| check.weight).sum();
        let sum: f64 = checks.iter().map(|check| check.score * check.weight).sum();
        let score = if weight > 0.0 { sum / weight } else { 0.0 };
        if let Some(threshold) = threshold {
            return Self { score, ..Finding::score(score, threshold, "the score").into() };
        }
        let failed: Vec<_> = checks.iter().filter(|check| !check.pass).collect();
        let reason = match failed.as_slice() {
            [] => "all assertions have passed".to_owned(),
            [check] => check.reason.clone(),
            [check, others @ ..] => format!("{} (and {} more)", check.reason, others.len()),
        };
        Self { pass: failed.is_empty(), score, reason }
    }
}

impl From<Finding> for Verdict {
    fn from(finding: Finding) -> Self {
        Self { pass: finding.pass, score: finding.score, reason: finding.reason }
    }
}

impl Assertion {
    /// Reads an assertion of a configuration in the current directory.
    ///
    /// # Errors
    ///
    /// See [`Assertion::read_in`].
    pub fn read(value: &Value) -> Result<Self, InvalidAssertion> {
        Self::read_in(value, Path::new(""))
    }

    /// Reads an assertion of a configuration, whose values `file://…` are relative to a directory.
    ///
    /// # Errors
    ///
    /// The type of the assertion is not supported, a key is not known, a value is missing or of the wrong type, or a file cannot be
    /// read.
    pub fn read_in(value: &Value, directory: &Path) -> Result<Self, InvalidAssertion> {
        let fields = Fields::new(value, directory)?;
        let name = fields.kind()?;
        let body =
            if name == "assert-set" { Self::read_set(&fields)? } else { Self::read_one(name, &fields)? };
        Ok(Self { name: name.to_owned(), weight: fields.weight()?, metric: fields.text("metric")?, body })
    }

    fn read_one(name: &str, fields: &Fields<'_>) -> Result<Body, InvalidAssertion> {
        let (kind, inverse) = name.strip_prefix("not-").map_or((name, false), |kind| (kind, true));
        let condition = Condition::read(kind, fields)?;
        let transform = fields.text("transform")?;
        if let Some(expression) = &transform {
            template::check_expression(expression)
                .map_err(|error| InvalidAssertion::new("/transform", error))?;
        }
        Ok(Body::One { condition, inverse, transform })
    }

    fn read_set(fields: &Fields<'_>) -> Result<Body, InvalidAssertion> {
        fields.only(&["type", "assert", "threshold", "weight", "metric"])?;
        let list = fields.get("assert").and_then(Value::as_array).filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| InvalidAssertion::new("/assert", "has to be a list of assertions"))?;
        let mut assertions = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let within = |error: InvalidAssertion| error.within(&format!("/assert/{index}"));
            let assertion = Self::read_in(value, fields.directory).map_err(within)?;
            if matches!(assertion.body, Body::Set { .. }) {
                return Err(within(InvalidAssertion::new("/type", "a set cannot be in another set")));
            }
            assertions.push(assertion);
        }
        Ok(Body::Set { assertions, threshold: fields.number("threshold")? })
    }

    /// Checks a response.
    ///
    /// # Errors
    ///
    /// The assertion cannot be decided: the call of a grader has failed or its output is not understood, the response has no tokens
    /// to compute its cost from, a variable is not defined.
    pub async fn check(&self, subject: &Subject<'_>, graders: &Graders) -> Result<Check, CallError> {
        let Body::Set { assertions, threshold } = &self.body else {
            return self.check_one(subject, graders).await;
        };
        let mut checks = Vec::with_capacity(assertions.len());
        for assertion in assertions {
            checks.push(assertion.check_one(subject, graders).await?);
        }
        let Verdict { pass, score, reason } = Verdict::new(&checks, *threshold);
        Ok(Check { checks, ..self.result(Finding { pass, score, reason }) })
    }

    async fn check_one(&self, subject: &Subject<'_>, graders: &Graders) -> Result<Check, CallError> {
        let Body::One { condition, inverse, transform } = &self.body else {
            return Err(CallError::new("a set cannot be in another set"));
        };
        let within = |error: CallError| CallError::new(format_args!("{}: {error}", self.name));
        let transformed = transform.as_deref().map(|expression| transformed(expression, subject)).transpose();
        let transformed = transformed.map_err(within)?;
        let value = transformed.as_ref().unwrap_or(&subject.reply.output);
        let output = Output { value, text: &template::text(value), subject };
        let mut finding = condition.check(&output, graders).await.map_err(within)?;
        if *inverse {
            finding.pass = !finding.pass;
            finding.score = 1.0 - finding.score;
        }
        Ok(self.result(finding))
    }

    /// As in promptfoo, an assertion without weight cannot fail.
    fn result(&self, finding: Finding) -> Check {
        Check {
            kind: self.name.clone(),
            pass: finding.pass || self.weight == 0.0,
            score: finding.score,
            weight: self.weight,
            reason: finding.reason,
            metric: self.metric.clone(),
            checks: Vec::new(),
        }
    }
}

/// The output after a transformation.
fn transformed(expression: &str, subject: &Subject<'_>) -> Result<Value, CallError> {
    let mut variables = subject.vars.clone();
    variables.insert("vars".to_owned(), Value::Object(subject.vars.clone()));
    variables.insert("output".to_owned(), subject.reply.output.clone());
    template::evaluate(expression, &variables)
        .map_err(|error| CallError::new(format_args!("transform: {error}")))
}

impl Condition {
    fn read(kind: &str, fields: &Fields<'_>) -> Result<Self, InvalidAssertion> {
        if !types::SUPPORTED.contains(&kind) || kind == "assert-set" {
            return Err(InvalidAssertion::new("/type", types::unsupported(kind)));
        }
        let condition = if let Some(condition) = text::Condition::read(kind, fields)? {
            Self::Text(condition)
        } else if let Some(condition) = json::Condition::read(kind, fields)? {
            Self::Json(condition)
        } else if let Some(condition) = overlap::Condition::read(kind, fields)? {
            Self::Overlap(condition)
        } else if let Some(condition) = measure::Condition::read(kind, fields)? {
            Self::Measure(condition)
        } else if let Some(condition) = tools::Condition::read(kind, fields)? {
            Self::Tools(condition)
        } else if let Some(condition) = similar::Condition::read(kind, fields)? {
            Self::Similar(condition)
        } else if let Some(condition) = grade::Condition::read(kind, fields)? {
            Self::Grade(condition)
        } else {
            return Err(InvalidAssertion::new("/type", types::unsupported(kind)));
        };
        Ok(condition)
    }

    async fn check(&self, output: &Output<'_>, graders: &Graders) -> Result<Finding, CallError> {
        match self {
            Self::Grade(condition) => condition.check(output, graders).await,
            Self::Json(condition) => condition.check(output),
            Self::Measure(condition) => condition.check(output),
            Self::Overlap(condition) => condition.check(output),
            Self::Similar(condition) => condition.check(output, graders).await,
            Self::Text(condition) => condition.check(output),
            Self::Tools(condition) => condition.check(output),
        }
    }
}

impl InvalidAssertion {
    fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }

    /// The same mistake, in an assertion at this pointer.
    fn within(mut self, pointer: &str) -> Self {
        self.pointer.insert_str(0, pointer);
        self
    }
}

impl fmt::Display for InvalidAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

impl std::error::Error for InvalidAssertion {}
