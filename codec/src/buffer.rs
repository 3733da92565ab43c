//! Growth of the partial buffers, which hold what earlier chunks left unfinished.

use alloc::vec::Vec;

/// The capacity that an empty buffer keeps at most, so that an idle stream needs little memory.
const KEEP: usize = 1024;

/// The least that a buffer grows by. Most frames and lines need no more.
const LEAST: usize = 256;

/// Appends `bytes`. The buffer grows by a quarter, so that the number of moves is logarithmic and a large frame does not
/// need twice its size, and not beyond `most` unless the bytes themselves are more.
pub(crate) fn push(partial: &mut Vec<u8>, bytes: &[u8], most: usize) {
    if bytes.len() > partial.capacity() - partial.len() {
        let room = (partial.len() / 4).min(most.saturating_sub(partial.len()));
        partial.reserve_exact(bytes.len().max(room).max(LEAST));
    }
    partial.extend_from_slice(bytes);
}

/// Empties the buffer, and frees an unusually large one.
pub(crate) fn clear(partial: &mut Vec<u8>) {
    partial.clear();
    if partial.capacity() > KEEP {
        *partial = Vec::new();
    }
}
