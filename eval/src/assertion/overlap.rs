//! Conditions on how much an output has in common with a reference.

use std::collections::HashMap;

use super::fields::{Fields, Text};
use super::treebank::tokens;
use super::{Finding, InvalidAssertion, Output};
use crate::provider::CallError;

/// Maximum product of the lengths of two texts whose distance is computed, in characters.
const MAX_DISTANCE_WORK: usize = 400_000_000;
/// The longest n-grams of BLEU and GLEU.
const MAX_N: usize = 4;

/// A condition on what an output has in common with references.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    measure: Measure,
    references: Vec<Text>,
    threshold: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Levenshtein,
    Rouge,
    Bleu,
    Gleu,
}

impl Condition {
    /// `None` if this is another type.
    pub(super) fn read(kind: &str, fields: &Fields<'_>) -> Result<Option<Self>, InvalidAssertion> {
        let (measure, threshold) = match kind {
            "levenshtein" => (Measure::Levenshtein, 5.0),
            "rouge-n" => (Measure::Rouge, 0.75),
            "bleu" => (Measure::Bleu, 0.5),
            "gleu" => (Measure::Gleu, 0.5),
            _ => return Ok(None),
        };
        let expected = fields.required("the reference")?;
        let references = match measure {
            Measure::Levenshtein | Measure::Rouge => vec![expected.into_text("/value")?],
            Measure::Bleu | Measure::Gleu => expected.into_texts()?,
        };
        fields.only(&["type", "value", "threshold", "weight", "metric", "transform"])?;
        Ok(Some(Self { measure, references, threshold: fields.number("threshold")?.unwrap_or(threshold) }))
    }

    pub(super) fn check(&self, output: &Output<'_>) -> Result<Finding, CallError> {
        let references: Vec<_> =
            self.references.iter().map(|text| text.render(output)).collect::<Result<_, _>>()?;
        let words =
            |text: &str| text.to_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let reference = references.first().map_or("", String::as_str);
        let (score, what) = match self.measure {
            Measure::Levenshtein => return levenshtein(output.text, reference, self.threshold),
            Measure::Rouge => (rouge(&tokens(output.text), &tokens(reference)), "ROUGE-N"),
            Measure::Bleu => {
                let references: Vec<_> = references.iter().map(|text| words(text)).collect();
                (bleu(&words(output.text), &references), "BLEU")
            }
            Measure::Gleu => {
                let words = |text: &str| {
                    let strip = |word: String| word.trim_end_matches('.').to_owned();
                    words(text).into_iter().map(strip).filter(|word| !word.is_empty()).collect::<Vec<_>>()
                };
                let output = words(output.text);
                (references.iter().map(|text| gleu(&output, &words(text))).fold(0.0, f64::max), "GLEU")
            }
        };
        Ok(Finding::score(score, self.threshold, what))
    }
}

/// Whether two texts differ by no more than some characters.
#[expect(clippy::cast_precision_loss, reason = "texts are shorter than 2^53 characters")]
fn levenshtein(output: &str, reference: &str, threshold: f64) -> Result<Finding, CallError> {
    let (left, right) = (output.chars().count(), reference.chars().count());
    // The distance is at least the difference of the lengths.
    let least = left.abs_diff(right);
    if least as f64 > threshold {
        let reason = format!("the distance is at least {least}, which is greater than {threshold}");
        return Ok(Finding::new(false, reason));
    }
    if left.saturating_mul(right) > MAX_DISTANCE_WORK {
        return Err(CallError::new("the output and the reference are too long to compute their distance"));
    }
    let distance = strsim::levenshtein(output, reference);
    let met = distance as f64 <= threshold;
    let comparison = if met { "not greater" } else { "greater" };
    Ok(Finding::new(met, format!("the distance {distance} is {comparison} than {threshold}")))
}

/// How often each sequence of n words occurs.
fn n_grams(words: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for gram in words.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}

/// The occurrences that two texts have in common.
fn common(left: &HashMap<&[String], usize>, right: &HashMap<&[String], usize>) -> usize {
    left.iter().map(|(gram, count)| right.get(gram).map_or(0, |other| *count.min(other))).sum()
}

#[expect(clippy::cast_precision_loss, reason = "texts are shorter than 2^53 words")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// ROUGE-1: the harmonic mean of the shares of words that output and reference have in common.
///
/// Source: C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004, section 2, with precision as in the package that
/// belongs to it, and as promptfoo computes it since 0.121.
fn rouge(output: &[String], reference: &[String]) -> f64 {
    ratio(2 * common(&n_grams(output, 1), &n_grams(reference, 1)), output.len() + reference.len())
}

/// BLEU with sequences of one to four words. As in promptfoo, a precision of zero counts as 10⁻⁷.
///
/// Source: K. Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation", 2002, section 2.
fn bleu(output: &[String], references: &[Vec<String>]) -> f64 {
    let references: Vec<_> = references.iter().filter(|words| !words.is_empty()).collect();
    let distance = |words: &&&Vec<String>| (words.len().abs_diff(output.len()), words.len());
    let Some(closest) = references.iter().min_by_key(distance).filter(|_| !output.is_empty()) else {
        return 0.0;
    };
    let mut logarithms = 0.0;
    for n in 1..=MAX_N {
        let counts = n_grams(output, n);
        let of_references: Vec<_> = references.iter().map(|words| n_grams(words, n)).collect();
        let most =
            |gram: &[String]| of_references.iter().filter_map(|counts| counts.get(gram)).max().copied();
        let clipped = counts.iter().map(|(gram, count)| most(gram).unwrap_or(0).min(*count)).sum();
        let precision = ratio(clipped, counts.values().sum());
        logarithms += if precision == 0.0 { 1e-7_f64 } else { precision }.ln() / 4.0;
    }
    let brevity = if output.len() > closest.len() { 0.0 } else { 1.0 - ratio(closest.len(), output.len()) };
    (brevity + logarithms).exp()
}

/// GLEU: the smaller of precision and recall of all sequences of one to four words.
///
/// Source: Y. Wu et al., "Google's Neural Machine Translation System", 2016, section 6.
fn gleu(output: &[String], reference: &[String]) -> f64 {
    let (mut both, mut of_output, mut of_reference) = (0, 0, 0);
    for n in 1..=MAX_N {
        let (left, right) = (n_grams(output, n), n_grams(reference, n));
        both += common(&left, &right);
        of_output += left.values().sum::<usize>();
        of_reference += right.values().sum::<usize>();
    }
    ratio(both, of_output.max(of_reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-4, "{left} is not {right}");
    }

    /// The example of NLTK's documentation of `sentence_bleu` and `sentence_gleu`, which are case-sensitive.
    #[test]
    fn bleu_has_published_values() {
        let output = words(
            "It is a guide to action which ensures that the military always obeys the commands of the party",
        );
        let references = [
            "It is a guide to action that ensures that the military will forever heed Party commands",
            "It is the guiding principle which guarantees the military forces always being under the command of the Party",
            "It is the practical guide for the army always to heed the directions of the party",
        ];
        let references: Vec<_> = references.into_iter().map(words).collect();
        near(bleu(&output, &references), 0.5045666840058485);
        near(gleu(&output, &references[0]), 0.4393939393939394);
        near(bleu(&output, std::slice::from_ref(&output)), 1.0);
        near(bleu(&[], &references), 0.0);
        near(bleu(&output, &[Vec::new()]), 0.0);
    }

    /// Section 2.1 of the paper on BLEU: the precision of words is clipped. Section 3 of that on ROUGE: "police killed the gunman".
    #[test]
    fn counts_are_clipped() {
        let repeated = words("the the the the the the the");
        let reference = words("the cat is on the mat");
        assert_eq!(common(&n_grams(&repeated, 1), &n_grams(&reference, 1)), 2);
        near(rouge(&words("police kill the gunman"), &words("police killed the gunman")), 0.75);
        near(rouge(&words("the gunman kill police"), &words("police killed the gunman")), 0.75);
        near(rouge(&reference, &reference), 1.0);
        near(rouge(&repeated, &reference), 4.0 / 13.0);
        near(rouge(&[], &[]), 0.0);
    }

    #[test]
    fn a_short_output_is_penalized() {
        let output = words("the cat sat on");
        near(bleu(&output, &[words("the cat sat on the mat today now")]), (-1.0_f64).exp());
    }
}
