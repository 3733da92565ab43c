//! What a streaming response has delivered so far.

use std::time::Instant;

use sagewire_codec::model::{Event, Usage};

/// What a streaming response has delivered so far, for access logs, metrics and limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// The last token counts that the container reported.
    pub usage: Option<Usage>,
    /// Deltas of text, reasoning, refusals and the inputs of tool calls. Most containers send one for each token.
    pub deltas: u64,
    /// Bytes of all deltas.
    pub delta_bytes: u64,
    /// When the first event was decoded.
    pub first_event: Option<Instant>,
    /// When the first delta was decoded.
    pub first_delta: Option<Instant>,
}

impl StreamStats {
    #[inline]
    pub(crate) fn add(&mut self, event: &Event<'_>) {
        if self.first_event.is_none() {
            self.first_event = Some(Instant::now());
        }
        match event {
            Event::TextDelta { text, .. }
            | Event::ReasoningDelta { text, .. }
            | Event::RefusalDelta { text, .. }
            | Event::ToolInputDelta { text, .. } => {
                self.first_delta.get_or_insert_with(Instant::now);
                self.deltas += 1;
                self.delta_bytes += text.len() as u64;
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }
}
