//! Conditions on the embedding of an output.

use serde_json::Value;

use super::fields::{Fields, Text};
use super::{Finding, Graders, InvalidAssertion, Output};
use crate::provider::{CallError, Provider};

/// The output is similar to one of several texts.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    measure: Measure,
    texts: Vec<Text>,
    threshold: f64,
    provider: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Cosine,
    Dot,
    Euclidean,
}

impl Condition {
    /// `None` if this is another type.
    pub(super) fn read(kind: &str, fields: &Fields<'_>) -> Result<Option<Self>, InvalidAssertion> {
        let measure = match kind {
            "similar" | "similar:cosine" => Measure::Cosine,
            "similar:dot" => Measure::Dot,
            "similar:euclidean" => Measure::Euclidean,
            _ => return Ok(None),
        };
        fields.only(&["type", "value", "threshold", "weight", "metric", "transform", "provider"])?;
        Ok(Some(Self {
            measure,
            texts: fields.required("a text, or a list of texts")?.into_texts()?,
            threshold: fields.number("threshold")?.unwrap_or(0.75),
            provider: fields.get("provider").cloned(),
        }))
    }

    /// The first text that is similar enough decides; without one, the most similar.
    pub(super) async fn check(&self, output: &Output<'_>, graders: &Graders) -> Result<Finding, CallError> {
        let provider = embedding_grader(graders, self.provider.as_ref())?;
        let actual = provider.embed(output.text).await?;
        let mut best: Option<Finding> = None;
        for text in &self.texts {
            let expected = provider.embed(&text.render_some(output)?).await?;
            let finding = self.measure.compare(&actual, &expected, self.threshold)?;
            if finding.pass {
                return Ok(finding);
            }
            if best.as_ref().is_none_or(|best| finding.score > best.score) {
                best = Some(finding);
            }
        }
        best.ok_or_else(|| CallError::new("there is no text to compare with"))
    }
}

impl Measure {
    fn compare(self, left: &[f32], right: &[f32], threshold: f64) -> Result<Finding, CallError> {
        match self {
            Self::Cosine => Ok(Finding::score(cosine(left, right)?, threshold, "similarity")),
            Self::Dot => Ok(Finding::score(dot(left, right)?, threshold, "dot product")),
            Self::Euclidean => {
                let (left_square, right_square) = (dot(left, left)?, dot(right, right)?);
                let square = (left_square + right_square - 2.0 * dot(left, right)?).max(0.0);
                let distance = square.sqrt();
                let pass = distance <= threshold + f64::EPSILON;
                let reason = format!("the distance is {distance:.2}, the threshold {threshold}");
                Ok(Finding { pass, score: 1.0 / (1.0 + distance), reason })
            }
        }
    }
}

/// The provider of embeddings.
pub(super) fn embedding_grader<'a>(
    graders: &'a Graders,
    named: Option<&Value>,
) -> Result<&'a Provider, CallError> {
    let missing = || {
        CallError::new(
            "no provider computes embeddings: set \"provider\" of the assertion, or \"defaultTest.options.provider.embedding\"",
        )
    };
    graders.embedding(named).map(AsRef::as_ref).ok_or_else(missing)
}

/// The cosine of the angle of two embeddings.
pub(super) fn cosine(left: &[f32], right: &[f32]) -> Result<f64, CallError> {
    let norm = (dot(left, left)? * dot(right, right)?).sqrt();
    if norm == 0.0 {
        return Err(CallError::new("an embedding is zero"));
    }
    Ok(dot(left, right)? / norm)
}

fn dot(left: &[f32], right: &[f32]) -> Result<f64, CallError> {
    if left.len() != right.len() || left.is_empty() {
        return Err(CallError::new(format_args!("embeddings of {} and {} numbers", left.len(), right.len())));
    }
    let dot: f64 = left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum();
    if dot.is_finite() { Ok(dot) } else { Err(CallError::new("an embedding is not finite")) }
}
