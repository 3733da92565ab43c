//! State of a reader that notices when it is changed.

use core::ops::{Deref, DerefMut};

/// The state that a reader keeps between records.
///
/// If a record changes this state, later records with the same bytes may mean something else. The shape cache must then
/// be cleared, and must not cache this record. Every mutable access counts as a change, so a reader cannot forget
/// to report one. A reader compares before it writes where that happens in every record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracked<T> {
    state: T,
    is_changed: bool,
}

impl<T> Tracked<T> {
    #[cfg(feature = "custom")]
    pub(crate) fn new(state: T) -> Self {
        Self { state, is_changed: false }
    }

    /// Whether the state was changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.is_changed)
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.state
    }
}
