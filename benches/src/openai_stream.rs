//! A stream of OpenAI chunks in server-sent events, as a container writes it, and the text in it.

use crate::tally::Kind;

/// The record that ends a stream.
pub const DONE: &str = "[DONE]";

/// A stream of a container, and its deltas.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The server-sent events, each with its blank line.
    pub events: Vec<String>,
    /// The deltas in the events.
    pub deltas: Vec<(Kind, String)>,
}

/// The data of an event with one data line.
pub fn data(event: &str) -> Option<&str> {
    event.lines().find_map(|line| line.strip_prefix("data: "))
}
