//! Growing and shrinking of the buffers that hold what earlier chunks left.

use alloc::vec::Vec;

/// A carry that is empty keeps no more than this, so that an idle stream costs little.
const KEEP: usize = 1024;

/// Appends `bytes`, growing by a quarter at a time: a large frame must not cost twice its size.
pub(crate) fn push(carry: &mut Vec<u8>, bytes: &[u8]) {
    let free = carry.capacity() - carry.len();
    if bytes.len() > free {
        // Exact, but for the quarter that keeps the number of moves logarithmic.
        carry.reserve_exact(bytes.len().max(carry.len() / 4).max(256));
    }
    carry.extend_from_slice(bytes);
}

/// Empties the carry and gives an unusually large one back.
pub(crate) fn clear(carry: &mut Vec<u8>) {
    carry.clear();
    if carry.capacity() > KEEP {
        *carry = Vec::new();
    }
}
