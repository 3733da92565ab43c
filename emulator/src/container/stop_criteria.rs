//! What ends the output of the model early.

use serde::Deserialize;

/// The token limit and stop sequences of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopCriteria {
    pub(crate) max_tokens: Option<u64>,
    /// Stop sequences.
    pub(crate) stop: Vec<String>,
    /// Whether the output includes the stop sequence that ended it.
    pub(crate) keeps_stop: bool,
}

impl StopCriteria {
    pub(crate) fn tokens(max_tokens: Option<u64>) -> Self {
        Self { max_tokens, ..Self::default() }
    }

    pub(crate) fn stop(self, stop: Option<&Stop>) -> Self {
        Self { stop: stop.map(Stop::texts).unwrap_or_default(), ..self }
    }

    /// The first stop sequence in a text, and its offset.
    pub(super) fn find<'a>(&'a self, text: &str) -> Option<(usize, &'a str)> {
        let stops = self.stop.iter().filter(|stop| !stop.is_empty());
        stops.filter_map(|stop| Some((text.find(stop.as_str())?, stop.as_str()))).min_by_key(|(at, _)| *at)
    }
}

/// One stop sequence, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Stop {
    One(String),
    Several(Vec<String>),
}

impl Stop {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text.clone()],
            Self::Several(texts) => texts.clone(),
        }
    }
}
