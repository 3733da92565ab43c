//! Where an answer ends, if the model is not done before.

use serde::Deserialize;

/// The bounds of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Until {
    pub(crate) max_tokens: Option<u64>,
    /// Texts that end it.
    pub(crate) stop: Vec<String>,
    /// Whether the text that ended it is part of it.
    pub(crate) keeps_stop: bool,
}

impl Until {
    pub(crate) fn tokens(max_tokens: Option<u64>) -> Self {
        Self { max_tokens, ..Self::default() }
    }

    pub(crate) fn stop(self, stop: Option<&Stop>) -> Self {
        Self { stop: stop.map(Stop::texts).unwrap_or_default(), ..self }
    }

    /// Where the first of these texts begins, how long it is, and which it is.
    pub(super) fn find<'a>(&'a self, text: &str) -> Option<(usize, &'a str)> {
        let stops = self.stop.iter().filter(|stop| !stop.is_empty());
        stops.filter_map(|stop| Some((text.find(stop.as_str())?, stop.as_str()))).min_by_key(|(at, _)| *at)
    }
}

/// One text, or several.
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
