//! Growing and shrinking of the buffers that hold what earlier chunks left.

use alloc::vec::Vec;

/// A carry that is empty keeps no more than this, so that an idle stream costs little.
const KEEP: usize = 1024;

/// The least that a carry grows by: most frames and lines need no more.
const LEAST: usize = 256;

/// Appends `bytes`. Grows by a quarter at a time, which keeps the number of moves logarithmic without costing a large
/// frame twice its size, and hardly beyond `most` unless the bytes themselves are more.
pub(crate) fn push(partial: &mut Vec<u8>, bytes: &[u8], most: usize) {
    if bytes.len() > partial.capacity() - partial.len() {
        let room = (partial.len() / 4).min(most.saturating_sub(partial.len()));
        partial.reserve_exact(bytes.len().max(room).max(LEAST));
    }
    partial.extend_from_slice(bytes);
}

/// Empties the carry and gives an unusually large one back.
pub(crate) fn clear(partial: &mut Vec<u8>) {
    partial.clear();
    if partial.capacity() > KEEP {
        *partial = Vec::new();
    }
}
