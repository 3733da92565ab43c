//! Assertions: what a response has to be.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::provider::{CallError, Provider, Reply};
use crate::results::Check;

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
    kind: String,
    expected: Value,
}

/// Why a value of a configuration is not an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAssertion {
    /// A JSON pointer to the mistake, from the assertion.
    pub pointer: String,
    /// What is wrong, in one line.
    pub message: String,
}

impl Assertion {
    /// Reads an assertion of a configuration.
    ///
    /// # Errors
    ///
    /// The type of the assertion is not supported, or a value is missing or of the wrong type.
    pub fn read(value: &Value) -> Result<Self, InvalidAssertion> {
        let invalid = |message: String| InvalidAssertion { pointer: "/type".into(), message };
        let kind = value.get("type").and_then(Value::as_str).ok_or_else(|| invalid("missing".into()))?;
        match kind {
            "equals" => Ok(Self {
                kind: kind.into(),
                expected: value
                    .get("value")
                    .cloned()
                    .ok_or_else(|| invalid("\"value\" is missing".into()))?,
            }),
            _ => Err(invalid(format!("{kind:?} is not supported"))),
        }
    }

    /// Checks a response.
    ///
    /// # Errors
    ///
    /// The call of a grader has failed.
    pub async fn check(&self, subject: &Subject<'_>, _graders: &Graders) -> Result<Check, CallError> {
        let pass = subject.reply.output == self.expected;
        Ok(Check {
            kind: self.kind.clone(),
            pass,
            score: f64::from(u8::from(pass)),
            weight: 1.0,
            reason: if pass { "equal".into() } else { format!("not equal to {}", self.expected) },
            checks: Vec::new(),
        })
    }
}

impl fmt::Display for InvalidAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.message)
    }
}

impl std::error::Error for InvalidAssertion {}
