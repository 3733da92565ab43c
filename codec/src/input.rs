//! The chunk that a decoder is working on.
//!
//! A decoder moves a whole chunk out of the caller's variable once it has decoded the previous one. So no event needs a copy
//! or a reference count, and a chunk that is passed too early cannot corrupt a stream: it stays with the caller until then.

use bytes::Bytes;

/// The current chunk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Input {
    pub(crate) chunk: Bytes,
    /// The offset up to which the chunk is decoded.
    pub(crate) pos: usize,
}

impl Input {
    pub(crate) fn new(chunk: Bytes) -> Self {
        Self { chunk, pos: 0 }
    }

    /// Takes over `next` if the current chunk is used up. Returns whether there is something to decode.
    #[inline]
    pub(crate) fn refill(&mut self, next: &mut Bytes) -> bool {
        if self.pos < self.chunk.len() {
            return true;
        }
        self.pos = 0;
        // The old chunk is dropped even if there is no new one, so that an idle decoder holds no memory of its caller.
        if !self.chunk.is_empty() {
            self.chunk = Bytes::new();
        }
        core::mem::swap(&mut self.chunk, next);
        !self.chunk.is_empty()
    }

    /// Whether the chunk is decoded.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.pos == self.chunk.len()
    }
}
