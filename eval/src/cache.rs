//! The cache of responses: a folder with a file for each.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// The version of the files; those of another one are not found.
const VERSION: &[u8] = b"sagewire-eval 1";
/// The most bytes of all files, unless another bound is set.
const LEN_MAX: u64 = 1 << 30;

/// A cache on disk, which only its owner can read.
///
/// The name of a file is the hash of everything that is sent, without secrets; its content is the response. The oldest files are
/// removed when all together exceed the bound. A file that cannot be read or written costs a call, and is no error.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    len: AtomicU64,
    len_max: u64,
}

/// The key of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in [VERSION].iter().chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hex::encode(hash.finalize()))
    }
}

impl Cache {
    /// Opens the cache in a folder, which is created.
    ///
    /// # Errors
    ///
    /// The folder cannot be created or read.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        Self::with_bound(folder, LEN_MAX)
    }

    /// The same, with a bound on the bytes of all files.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn with_bound(folder: impl Into<PathBuf>, len_max: u64) -> io::Result<Self> {
        let folder = folder.into();
        create_folder(&folder)?;
        let cache = Self { folder, len: AtomicU64::new(0), len_max };
        cache.prune()?;
        Ok(cache)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        serde_json::from_slice(&fs::read(self.path(key)).ok()?).ok()
    }

    pub(crate) fn put<T: Serialize>(&self, key: &Key, value: &T) {
        let Ok(bytes) = serde_json::to_vec(value) else { return };
        if self.write(&self.path(key), &bytes).is_err() {
            return;
        }
        let len = self.len.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if len > self.len_max {
            // What cannot be removed now is removed later.
            let _ = self.prune();
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(&key.0[..2]).join(format!("{}.json", &key.0[2..]))
    }

    /// Writes a file under another name first, so that nobody reads a part of it.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        create_folder(path.parent().unwrap_or(&self.folder))?;
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&part)?.write_all(bytes)?;
        fs::rename(&part, path)
    }

    /// Removes the oldest files until the rest has nine tenths of the bound, if it was exceeded.
    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for folder in fs::read_dir(&self.folder)?.flatten().filter(|entry| entry.path().is_dir()) {
            for file in fs::read_dir(folder.path())?.flatten() {
                let metadata = file.metadata()?;
                let is_ours =
                    file.path().extension().is_some_and(|ending| ending == "json" || ending == "part");
                if metadata.is_file() && is_ours {
                    files.push((
                        metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                        metadata.len(),
                        file.path(),
                    ));
                }
            }
        }
        let mut len: u64 = files.iter().map(|(_, len, _)| len).sum();
        if len > self.len_max {
            files.sort();
            for (_, file_len, path) in files {
                if len <= self.len_max / 10 * 9 {
                    break;
                }
                fs::remove_file(path)?;
                len -= file_len;
            }
        }
        self.len.store(len, Ordering::Relaxed);
        Ok(())
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
