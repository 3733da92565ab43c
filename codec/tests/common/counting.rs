//! An allocator that counts per thread, so that tests that run in parallel do not count each other's allocations.
//!
//! A test binary that counts sets it as its global allocator:
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: common::counting::Counting = common::counting::Counting;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system allocator, with counters for each thread.
pub struct Counting;

/// The heap use of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of allocations and reallocations.
    pub allocations: u64,
    /// Total bytes of these calls. A reallocation counts with its full new size, so this is also an upper bound for the bytes
    /// that were copied between buffers.
    pub bytes: u64,
    /// Bytes currently allocated.
    pub held: i64,
    /// Peak of the allocated bytes. A reallocation counts only with the bytes that it adds: the system allocator extends or
    /// remaps a large buffer and does not keep two copies.
    pub peak: i64,
}

thread_local! {
    // The value needs neither an allocation nor a destructor, so the allocator may use it at any time.
    static COUNTS: Cell<Counts> =
        const { Cell::new(Counts { allocations: 0, bytes: 0, held: 0, peak: 0 }) };
}

fn count(allocations: u64, bytes: usize, held: i64) {
    // Fails after the end of the thread, when the counts are no longer needed.
    let _ = COUNTS.try_with(|counts| {
        let mut now = counts.get();
        now.allocations += allocations;
        now.bytes += bytes as u64;
        now.held += held;
        now.peak = now.peak.max(now.held);
        counts.set(now);
    });
}

// SAFETY: every call is forwarded to `System` unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), layout.size() as i64);
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), layout.size() as i64);
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count(1, len, len as i64 - layout.size() as i64);
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.realloc(pointer, layout, len) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, 0, -(layout.size() as i64));
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Counts since its creation. Use one at a time: a new one resets the peak.
pub struct Meter {
    before: Counts,
}

impl Meter {
    pub fn start() -> Self {
        let before = COUNTS.with(|counts| {
            let now = Counts { peak: counts.get().held, ..counts.get() };
            counts.set(now);
            now
        });
        Self { before }
    }

    /// The counts since the creation.
    pub fn read(&self) -> Counts {
        let now = COUNTS.with(Cell::get);
        Counts {
            allocations: now.allocations - self.before.allocations,
            bytes: now.bytes - self.before.bytes,
            held: now.held - self.before.held,
            peak: now.peak - self.before.held,
        }
    }
}
