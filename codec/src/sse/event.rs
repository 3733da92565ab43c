//! An event.

use alloc::borrow::Cow;

/// One event of a stream. Borrows from the chunk or from the decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The event's type; `message` if the stream does not name one.
    pub event: Cow<'a, str>,
    /// The data lines, joined by line feeds.
    pub data: Cow<'a, str>,
    /// The last event ID in force, empty until one is set.
    pub id: Cow<'a, str>,
    /// The reconnection time in force, in milliseconds.
    pub retry: Option<u64>,
}

impl<'a> Event<'a> {
    /// An event of type `message`.
    pub fn new(data: impl Into<Cow<'a, str>>) -> Self {
        Self { event: Cow::Borrowed("message"), data: data.into(), id: Cow::Borrowed(""), retry: None }
    }

    /// Copies what the event borrows.
    pub fn into_owned(self) -> Event<'static> {
        Event {
            event: Cow::Owned(self.event.into_owned()),
            data: Cow::Owned(self.data.into_owned()),
            id: Cow::Owned(self.id.into_owned()),
            retry: self.retry,
        }
    }
}
