//! Keeps the records of a stream, for a caller that passes them on.

use alloc::vec::Vec;

use crate::buffer;

/// The most bytes that are kept for a caller that does not take them, which is more than a chunk has.
const LEN_MAX: usize = 64 * 1024 * 1024;

/// The records that were not taken yet, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptRecords {
    bytes: Vec<u8>,
    /// The end of each, and whether the response is over with it.
    ends: Vec<(usize, bool)>,
}

impl KeptRecords {
    #[cold]
    pub(crate) fn push(&mut self, record: &[u8], is_last: bool) {
        if self.bytes.len() > LEN_MAX {
            self.clear();
        }
        self.bytes.extend_from_slice(record);
        self.ends.push((self.bytes.len(), is_last));
    }

    /// Calls `take` with each record, and forgets them.
    pub(crate) fn take(&mut self, mut take: impl FnMut(&[u8], bool)) {
        let mut start = 0;
        for &(end, is_last) in &self.ends {
            take(&self.bytes[start..end], is_last);
            start = end;
        }
        self.clear();
    }

    fn clear(&mut self) {
        buffer::clear(&mut self.bytes);
        self.ends.clear();
    }
}
