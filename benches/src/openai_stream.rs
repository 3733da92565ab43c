//! A stream of OpenAI chunks in server-sent events, as a container writes it, and the text in it.

use crate::tally::Kind;

/// The record that ends a stream.
pub const DONE: &str = "[DONE]";

/// One stream of a container, and what is in it.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its server-sent events, each with the empty line behind it.
    pub events: Vec<String>,
    /// The deltas in them.
    pub deltas: Vec<(Kind, String)>,
}

/// The data of an event that has one line of it.
pub fn data(event: &str) -> Option<&str> {
    event.lines().find_map(|line| line.strip_prefix("data: "))
}
