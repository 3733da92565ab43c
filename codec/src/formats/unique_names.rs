//! Names that have to differ, in linear time.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

/// Names that are in use, and how far each name was counted up.
#[derive(Debug, Default)]
pub(crate) struct UniqueNames {
    used: BTreeSet<String>,
    /// The last number after a name. Names that begin alike share it, because they may be cut to the same length.
    numbers: BTreeMap<String, usize>,
}

/// Characters that a mark and a number need at most.
const SUFFIX_MAX: usize = 21;

impl UniqueNames {
    /// A name that is in use.
    pub(crate) fn insert(&mut self, name: &str) {
        self.used.insert(name.into());
    }

    /// Uses `name`, or, if it is in use, the name with `mark` and the next free number, cut to `len_max` characters before. Names
    /// are longer than that only if they may be.
    pub(crate) fn take(&mut self, name: String, mark: char, len_max: usize) -> String {
        if !self.used.contains(&name) {
            self.used.insert(name.clone());
            return name;
        }
        let begin: String = name.chars().take(len_max - SUFFIX_MAX).collect();
        let number = self.numbers.entry(begin).or_insert(1);
        loop {
            *number += 1;
            let suffix = format!("{mark}{number}");
            let kept = name.chars().take(len_max - suffix.len());
            let new: String = kept.chain(suffix.chars()).collect();
            if self.used.insert(new.clone()) {
                return new;
            }
        }
    }
}
