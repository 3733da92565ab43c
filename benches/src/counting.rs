//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

/// The system allocator, which also counts allocations and reallocations, and their bytes. A binary has to set it as its
/// global allocator.
///
/// A counter is loaded and stored, not incremented atomically: concurrent threads may lose some counts, but counting does not
/// slow down the subjects that allocate most.
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

// SAFETY: every call is forwarded to `System` unchanged; the counters do not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        change(&ALLOCATIONS, 1, 0);
        change(&ALLOCATED, layout.size(), 0);
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        change(&ALLOCATIONS, 1, 0);
        change(&ALLOCATED, layout.size(), 0);
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        change(&ALLOCATIONS, 1, 0);
        change(&ALLOCATED, len, layout.size());
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.realloc(pointer, layout, len) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        change(&ALLOCATED, 0, layout.size());
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
