//! Recognizes that files have changed, by their metadata.

use std::path::Path;
use std::time::SystemTime;

/// The state of some files: equal as long as none of them has changed, or was replaced, or is behind another symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(Vec<Option<File>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    /// Kubernetes replaces a symbolic link in the path, and the files behind it may have equal times and sizes.
    path: std::path::PathBuf,
    modified: Option<SystemTime>,
    len: u64,
}

impl Stamp {
    /// The state of these files now.
    pub(crate) fn of<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self(paths.into_iter().map(|path| File::of(path.as_ref())).collect())
    }
}

impl File {
    fn of(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let metadata = path.metadata().ok()?;
        Some(Self { modified: metadata.modified().ok(), len: metadata.len(), path })
    }
}
