//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which also counts allocations and reallocations, and the bytes in them. To be named as the
/// global one by a binary.
///
/// A count is read and written, not added to at once: two threads may lose some, but the subjects that allocate most
/// must not pay for being counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

/// Allocations so far; always 0 where [`CountingAllocator`] is not the global one.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed) as u64
}

/// Bytes that are allocated now; always 0 where [`CountingAllocator`] is not the global one.
pub fn allocated() -> u64 {
    ALLOCATED.load(Ordering::Relaxed) as u64
}

#[inline]
fn change(count: &AtomicUsize, more: usize, less: usize) {
    let now = count.load(Ordering::Relaxed);
    count.store(now.wrapping_add(more).wrapping_sub(less), Ordering::Relaxed);
}

// SAFETY: every call goes to `System` unchanged; the counters allocate nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        change(&ALLOCATIONS, 1, 0);
        change(&ALLOCATED, layout.size(), 0);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        change(&ALLOCATIONS, 1, 0);
        change(&ALLOCATED, layout.size(), 0);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        change(&ALLOCATIONS, 1, 0);
        change(&ALLOCATED, len, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, len) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        change(&ALLOCATED, 0, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}
