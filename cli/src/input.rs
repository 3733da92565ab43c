//! Captured bytes, as they come.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;

use crate::fault::Fault;

/// Bytes that are read at once, about.
const BLOCK: usize = 64 * 1024;
/// Bytes that are read at once at most, whatever size of chunk is asked for.
const BLOCK_MAX: usize = 1024 * 1024;

/// Bytes of the largest file that is a setting. Some tokenizer_config.json have megabytes.
const TEXT_MAX: u64 = 16 * 1024 * 1024;

/// Reads a file that is a setting: a chat template, the description of a format. What is wrong is told with its name.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let unusable = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
    let file = File::open(path).map_err(|error| unusable(&error))?;
    let mut text = String::new();
    file.take(TEXT_MAX + 1).read_to_string(&mut text).map_err(|error| unusable(&error))?;
    if text.len() as u64 > TEXT_MAX {
        return Err(unusable(&format_args!("has more than {TEXT_MAX} bytes")));
    }
    Ok(text)
}

/// A file or standard input, in chunks of a given size. It never waits for a whole chunk when some bytes are there.
pub(crate) struct Input {
    name: String,
    reader: Box<dyn Read>,
    chunk: usize,
    buffer: Vec<u8>,
    /// Read, and not handed out yet.
    bytes: Bytes,
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path, chunk: usize) -> Result<Self, Fault> {
        let (name, reader): (_, Box<dyn Read>) = if path.as_os_str() == "-" {
            ("standard input".into(), Box::new(io::stdin()))
        } else {
            let unusable = |error: io::Error| Fault::usage(format!("{}: {error}", path.display()));
            let file = File::open(path).map_err(unusable)?;
            if file.metadata().map_err(unusable)?.is_dir() {
                return Err(unusable(io::ErrorKind::IsADirectory.into()));
            }
            (path.display().to_string(), Box::new(file))
        };
        // Whole chunks, as many as make a block.
        let chunk = chunk.min(BLOCK_MAX);
        let block = chunk * (BLOCK / chunk).max(1);
        Ok(Self { name, reader, chunk, buffer: vec![0; block], bytes: Bytes::new() })
    }

    /// The next chunk, never empty; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.bytes.is_empty() {
            let len = self.read()?;
            self.bytes = Bytes::copy_from_slice(&self.buffer[..len]);
        }
        let len = self.chunk.min(self.bytes.len());
        Ok((len > 0).then(|| self.bytes.split_to(len)))
    }

    /// The first `len` bytes, or all if there are fewer, before anything is handed out. They will be all the same.
    pub(crate) fn peek(&mut self, len: usize) -> Result<&[u8], Fault> {
        let mut start = Vec::new();
        while start.len() < len {
            match self.read()? {
                0 => break,
                read => start.extend_from_slice(&self.buffer[..read]),
            }
        }
        self.bytes = start.into();
        Ok(&self.bytes[..len.min(self.bytes.len())])
    }

    /// Reads once into the buffer, and returns how much.
    fn read(&mut self) -> Result<usize, Fault> {
        loop {
            match self.reader.read(&mut self.buffer) {
                Ok(len) => return Ok(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::input(&self.name, &error)),
            }
        }
    }
}
