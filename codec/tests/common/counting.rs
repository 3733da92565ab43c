//! An allocator that counts what the current thread does: tests that run side by side do not see each other.
//!
//! A test binary that counts names it as its global allocator:
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: common::counting::Counting = common::counting::Counting;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and a counter for each thread.
pub struct Counting;

/// What a thread has asked of the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that allocated or reallocated.
    pub allocations: u64,
    /// Bytes of all these calls together. A reallocation counts with its whole new size, so this bounds what was
    /// moved from one buffer to another as well.
    pub bytes: u64,
    /// Bytes that are held.
    pub held: i64,
    /// The largest number of bytes that were held at a time. A reallocation counts with what it adds: the system
    /// extends or remaps a large buffer, and does not keep it twice.
    pub peak: i64,
}

thread_local! {
    // Neither allocates nor needs a destructor, so the allocator may use it at any time.
    static COUNTS: Cell<Counts> =
        const { Cell::new(Counts { allocations: 0, bytes: 0, held: 0, peak: 0 }) };
}

fn count(allocations: u64, bytes: usize, held: i64) {
    // After a thread's end nobody asks any more.
    let _ = COUNTS.try_with(|counts| {
        let mut now = counts.get();
        now.allocations += allocations;
        now.bytes += bytes as u64;
        now.held += held;
        now.peak = now.peak.max(now.held);
        counts.set(now);
    });
}

// SAFETY: every call goes to `System` unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count(1, len, len as i64 - layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, len) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, 0, -(layout.size() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Counts from its beginning on. One at a time: a new one begins a new peak.
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

    /// What was counted since the beginning.
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
