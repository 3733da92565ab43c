//! The chunk that a decoder is working on.
//!
//! A decoder takes a chunk over whole, by a move, once it is done with the one before. So nothing is copied or
//! counted for each event, and no caller can break a stream by passing another chunk too early: it stays where it is
//! until its turn comes.

use bytes::Bytes;

/// The current chunk, and how much of it is decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Input {
    pub(crate) chunk: Bytes,
    /// Everything before is decoded.
    pub(crate) pos: usize,
}

impl Input {
    pub(crate) fn new(chunk: Bytes) -> Self {
        Self { chunk, pos: 0 }
    }

    /// Moves `next` in if the current chunk is used up. Returns whether there is something to decode.
    #[inline]
    pub(crate) fn refill(&mut self, next: &mut Bytes) -> bool {
        if self.pos < self.chunk.len() {
            return true;
        }
        self.pos = 0;
        // The old chunk is dropped here also when there is no new one: an idle decoder holds no memory of its caller's.
        if !self.chunk.is_empty() {
            self.chunk = Bytes::new();
        }
        core::mem::swap(&mut self.chunk, next);
        !self.chunk.is_empty()
    }

    /// Whether everything that was taken over is decoded.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.pos == self.chunk.len()
    }
}
