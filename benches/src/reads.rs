//! The input as it arrives from a socket.

use bytes::Bytes;

/// Hands the prepared reads over, one after the other, and notes the allocations in the second half of them.
///
/// All subjects pull from here, so that what they allocate until they are warm is told from what every event costs.
#[derive(Debug)]
pub struct Reads<'a> {
    chunks: &'a [Bytes],
    next: usize,
    allocations: fn() -> u64,
    at_half: u64,
    at_end: u64,
}

impl<'a> Reads<'a> {
    /// Reads of these chunks. `allocations` says how many there were so far in this process.
    pub fn new(chunks: &'a [Bytes], allocations: fn() -> u64) -> Self {
        Self { chunks, next: 0, allocations, at_half: 0, at_end: 0 }
    }

    /// Reads that count nothing.
    pub fn uncounted(chunks: &'a [Bytes]) -> Self {
        Self::new(chunks, || 0)
    }

    /// Allocations while the second half of the chunks was decoded, and how large a part of the whole that half was.
    pub fn steady_allocations(&self) -> (u64, f64) {
        let half = self.chunks.len() / 2;
        let share = (self.chunks.len() - half) as f64 / self.chunks.len() as f64;
        (self.at_end.saturating_sub(self.at_half), share)
    }
}

impl Iterator for Reads<'_> {
    type Item = Bytes;

    #[inline]
    fn next(&mut self) -> Option<Bytes> {
        if self.next == self.chunks.len() / 2 {
            self.at_half = (self.allocations)();
        }
        let Some(chunk) = self.chunks.get(self.next) else {
            self.at_end = (self.allocations)();
            return None;
        };
        self.next += 1;
        Some(chunk.clone())
    }
}

/// Cuts bytes into reads of `len`, each with memory of its own, as a socket's would be.
pub fn cut(bytes: &[u8], len: usize) -> Vec<Bytes> {
    bytes.chunks(len).map(Bytes::copy_from_slice).collect()
}
