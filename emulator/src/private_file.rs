//! Creates files that only their owner can read, because they contain prompts.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a file for writing. It must not exist, not even as a link.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
