//! Switches shortcuts of the decoder off, to measure what each of them buys.
//!
//! Only the feature `ablation`, which is private to the benchmarks of this repository, makes switches of these constants.

/// A shortcut of the decoder. Without it, the general path gives the same events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Records that differ from an earlier one in their text are not parsed.
    ShapeCache,
    /// Frames with the headers of the frame before: headers are not parsed, and their checksum is known.
    FrameHeaders,
    /// A cached record is read before its end is looked for.
    ReadAhead,
    /// Events of one data line are found without the state machine.
    OneLine,
    /// A record that is one delta does not go through the queue.
    OneDelta,
    /// Short texts are checked in an aligned window.
    TextWindow,
}

impl Shortcut {
    /// All shortcuts.
    #[cfg(feature = "ablation")]
    pub const ALL: [Self; 6] = [
        Self::ShapeCache,
        Self::FrameHeaders,
        Self::ReadAhead,
        Self::OneLine,
        Self::OneDelta,
        Self::TextWindow,
    ];

    /// Whether it is on.
    #[cfg(not(feature = "ablation"))]
    #[inline(always)]
    pub(crate) const fn is_on(self) -> bool {
        true
    }

    #[cfg(feature = "ablation")]
    #[inline(always)]
    pub(crate) fn is_on(self) -> bool {
        OFF.load(core::sync::atomic::Ordering::Relaxed) & (1 << self as u8) == 0
    }
}

/// One bit for each shortcut that is off.
#[cfg(feature = "ablation")]
static OFF: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// Switches these shortcuts off, and all others on, in the whole process.
#[cfg(feature = "ablation")]
pub fn switch_off(shortcuts: &[Shortcut]) {
    let off = shortcuts.iter().fold(0, |off, shortcut| off | 1 << *shortcut as u8);
    OFF.store(off, core::sync::atomic::Ordering::Relaxed);
}
