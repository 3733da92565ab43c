//! Reads files and standard input.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;

use crate::fault::Fault;

/// Bytes per read, approximately.
const BLOCK: usize = 64 * 1024;
/// Maximum bytes per read, whatever the size of the chunks.
const BLOCK_MAX: usize = 1024 * 1024;

/// Maximum size of a file that is named by an option, in bytes. Some tokenizer_config.json have megabytes.
const TEXT_MAX: u64 = 16 * 1024 * 1024;

/// Reads a text file that is named by an option, such as a chat template. Errors name the file.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let failed = |reason: &dyn fmt::Display| format!("{}: {reason}", path.display());
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut text = String::new();
    file.take(TEXT_MAX + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > TEXT_MAX {
        return Err(failed(&format_args!("has more than {TEXT_MAX} bytes")));
    }
    Ok(text)
}

/// Reads a whole file or standard input, up to `limit` bytes.
pub(crate) fn read_all(path: &Path, limit: usize) -> Result<Bytes, Fault> {
    let mut input = Input::open(path, usize::MAX)?;
    let mut body = Vec::new();
    while let Some(chunk) = input.next()? {
        if chunk.len() > limit - body.len() {
            return Err(Fault::too_large(&input.name, limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// A file or standard input, in chunks of a given size. A chunk is shorter if no more bytes are available yet.
pub(crate) struct Input {
    name: String,
    reader: Box<dyn Read>,
    chunk: usize,
    buffer: Vec<u8>,
    /// Bytes that were read and not returned yet.
    bytes: Bytes,
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path, chunk: usize) -> Result<Self, Fault> {
        let (name, reader): (_, Box<dyn Read>) = if path.as_os_str() == "-" {
            ("standard input".into(), Box::new(io::stdin()))
        } else {
            let name = path.display().to_string();
            let failed = |error: io::Error| Fault::input(&name, &error);
            let file = File::open(path).map_err(failed)?;
            if file.metadata().map_err(failed)?.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            (name, Box::new(file))
        };
        // A block holds a whole number of chunks.
        let chunk = chunk.min(BLOCK_MAX);
        let block = chunk * (BLOCK / chunk).max(1);
        Ok(Self { name, reader, chunk, buffer: vec![0; block], bytes: Bytes::new() })
    }

    /// Returns the next chunk, which is never empty; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.bytes.is_empty() {
            let len = self.read()?;
            self.bytes = Bytes::copy_from_slice(&self.buffer[..len]);
        }
        let len = self.chunk.min(self.bytes.len());
        Ok((len > 0).then(|| self.bytes.split_to(len)))
    }

    /// Returns the first `len` bytes, or all if there are fewer, without consuming them. Has to precede [`next`](Self::next).
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

    /// Reads once into the buffer and returns the number of bytes.
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
