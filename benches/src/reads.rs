//! The input as it arrives from a socket.

use bytes::Bytes;

/// Streams as they arrive, each split into reads.
#[derive(Clone, Debug)]
pub struct Chunks {
    chunks: Vec<Bytes>,
    /// The end of each stream in `chunks`.
    ends: Vec<usize>,
}

impl Chunks {
    /// Splits streams into reads of `len`, each with its own memory, like reads from a socket. No read contains the end of one
    /// stream and the beginning of another.
    pub fn cut<'a>(streams: impl IntoIterator<Item = &'a [u8]>, len: usize) -> Self {
        let mut cut = Self { chunks: Vec::new(), ends: Vec::new() };
        for stream in streams {
            cut.chunks.extend(stream.chunks(len).map(Bytes::copy_from_slice));
            cut.ends.push(cut.chunks.len());
        }
        cut
    }

    /// The reads of all streams.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter()
    }
}

/// One stream in these reads.
impl From<Vec<Bytes>> for Chunks {
    fn from(chunks: Vec<Bytes>) -> Self {
        Self { ends: vec![chunks.len()], chunks }
    }
}

/// Splits one stream into reads of `len`.
pub fn cut(bytes: &[u8], len: usize) -> Chunks {
    Chunks::cut([bytes], len)
}

/// Iterates over the prepared reads of one stream after the other, and records the allocations in the second half of all reads.
///
/// All subjects get their input from here, so the allocations of the warm-up can be separated from those per event.
#[derive(Debug)]
pub struct Reads<'a> {
    chunks: &'a [Bytes],
    ends: &'a [usize],
    next: usize,
    stream: usize,
    allocations: fn() -> u64,
    at_half: u64,
    at_end: u64,
}

impl<'a> Reads<'a> {
    /// Reads of these chunks. `allocations` returns the number of allocations of this process so far.
    pub fn new(chunks: &'a Chunks, allocations: fn() -> u64) -> Self {
        let Chunks { chunks, ends } = chunks;
        Self { chunks, ends, next: 0, stream: 0, allocations, at_half: 0, at_end: 0 }
    }

    /// Reads without counting allocations.
    pub fn uncounted(chunks: &'a Chunks) -> Self {
        Self::new(chunks, || 0)
    }

    /// Advances to the next stream, even if this one was not read to its end. False after the last.
    pub fn next_stream(&mut self) -> bool {
        self.next = self.end();
        self.stream += 1;
        self.stream < self.ends.len()
    }

    /// Allocations while the second half of the chunks was decoded, and the share of that half in all chunks.
    pub fn steady_allocations(&self) -> (u64, f64) {
        let half = self.chunks.len() / 2;
        let share = (self.chunks.len() - half) as f64 / self.chunks.len() as f64;
        (self.at_end.saturating_sub(self.at_half), share)
    }

    #[inline]
    fn end(&self) -> usize {
        self.ends.get(self.stream).copied().unwrap_or_default()
    }
}

/// The reads of one stream.
impl Iterator for Reads<'_> {
    type Item = Bytes;

    #[inline]
    fn next(&mut self) -> Option<Bytes> {
        if self.next == self.chunks.len() / 2 {
            self.at_half = (self.allocations)();
        }
        if self.next == self.end() {
            self.at_end = (self.allocations)();
            return None;
        }
        let chunk = self.chunks.get(self.next)?;
        self.next += 1;
        Some(chunk.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_has_its_own_reads() {
        let chunks = Chunks::cut([&b"abcde"[..], b"", b"fg"], 2);
        let mut reads = Reads::uncounted(&chunks);
        assert_eq!(reads.by_ref().collect::<Vec<_>>(), ["ab", "cd", "e"]);
        assert_eq!(reads.next(), None);
        assert!(reads.next_stream());
        assert_eq!(reads.next(), None);
        assert!(reads.next_stream());
        assert_eq!(reads.next().as_deref(), Some(&b"fg"[..]));
        assert!(!reads.next_stream());
        assert_eq!(reads.next(), None);
    }

    #[test]
    fn a_stream_that_is_left_early_leaves_nothing_behind() {
        let chunks = Chunks::cut([&b"abcde"[..], b"fg"], 2);
        let mut reads = Reads::uncounted(&chunks);
        assert_eq!(reads.next().as_deref(), Some(&b"ab"[..]));
        assert!(reads.next_stream());
        assert_eq!(reads.next().as_deref(), Some(&b"fg"[..]));
    }
}
