//! Conditions on how a response came about: how long it took, what it cost, and why the model stopped.

use super::fields::{Fields, Text};
use super::{Finding, InvalidAssertion, Output};
use crate::provider::CallError;

/// A condition on how a response came about.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Milliseconds.
    Latency(f64),
    /// US dollars.
    Cost(f64),
    FinishReason(Text),
}

impl Condition {
    /// `None` if this is another type.
    pub(super) fn read(kind: &str, fields: &Fields<'_>) -> Result<Option<Self>, InvalidAssertion> {
        let threshold = || {
            let message = "is missing: without it, nothing is required (the value is in the results)";
            fields.number("threshold")?.ok_or_else(|| InvalidAssertion::new("/threshold", message))
        };
        let condition = match kind {
            "latency" => Self::Latency(threshold()?),
            "cost" => Self::Cost(threshold()?),
            "finish-reason" => {
                Self::FinishReason(fields.required("a finish reason, such as \"stop\"")?.into_text("/value")?)
            }
            _ => return Ok(None),
        };
        let key = if kind == "finish-reason" { "value" } else { "threshold" };
        fields.only(&["type", key, "weight", "metric", "transform"])?;
        Ok(Some(condition))
    }

    pub(super) fn check(&self, output: &Output<'_>) -> Result<Finding, CallError> {
        let subject = output.subject;
        match self {
            Self::Latency(threshold) => {
                let latency = subject.reply.latency.as_secs_f64() * 1000.0;
                let cached = if subject.reply.cached { " when it was cached" } else { "" };
                Ok(Finding::new(latency <= *threshold, format!("the response took {latency:.0} ms{cached}")))
            }
            Self::Cost(threshold) => {
                let missing = || {
                    CallError::new("the cost is not known: it takes prices, and the tokens of the response")
                };
                let cost = subject.cost.ok_or_else(missing)?;
                Ok(Finding::new(cost <= *threshold, format!("the response cost ${cost}")))
            }
            Self::FinishReason(expected) => {
                let expected = expected.render(output)?;
                let missing = || CallError::new("the response has no finish reason");
                let actual = subject.reply.finish_reason.as_deref().ok_or_else(missing)?;
                Ok(Finding::new(
                    actual.eq_ignore_ascii_case(&expected),
                    format!("the finish reason is {actual:?}"),
                ))
            }
        }
    }
}
