//! Lower bounds: what has to be done at the least, on slices, with nothing around it.

use std::hint::black_box;

use memchr::{memchr, memchr2, memmem};

use crate::reads::Reads;
use crate::tally::{Kind, Tally};
use crate::workload::Workload;

/// Bytes of a frame that are neither header nor payload: prelude and checksum.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// Each byte is copied once, read by read.
pub fn memcpy(workload: &Workload, _: &mut Reads<'_>, tally: &mut Tally) {
    let mut buffer = [0; 8192];
    for chunk in workload.framed.chunks(buffer.len()) {
        buffer[..chunk.len()].copy_from_slice(chunk);
        black_box(&mut buffer);
        tally.piece(&buffer[..chunk.len()]);
    }
}

/// Both checksums of each frame, and each line end.
pub fn crc_and_lines(workload: &Workload, _: &mut Reads<'_>, tally: &mut Tally) {
    check_frames(&workload.framed, tally);
    let mut rest = &workload.sse[..];
    while let Some(end) = memchr(b'\n', rest) {
        if let Some(data) = rest[..end].strip_prefix(b"data: ") {
            tally.piece(data);
        }
        rest = &rest[end + 1..];
    }
}

/// The same, and the text in each record where it is expected to be.
pub fn floor(workload: &Workload, _: &mut Reads<'_>, tally: &mut Tally) {
    check_frames(&workload.framed, tally);
    let needle = memmem::Finder::new(workload.needle);
    let mut rest = &workload.sse[..];
    while let Some(end) = memchr(b'\n', rest) {
        let line = &rest[..end];
        if let Some(at) = needle.find(line) {
            let start = at + workload.needle.len();
            let mut close = start;
            while let Some(at) = memchr2(b'"', b'\\', &line[close..]) {
                close += at;
                if line[close] == b'"' {
                    break;
                }
                close += 2;
            }
            match std::str::from_utf8(&line[start..close]) {
                Ok(text) => tally.text(Kind::of_needle(workload.needle), text),
                Err(error) => return tally.fail(error),
            }
        }
        rest = &rest[end + 1..];
    }
}

fn check_frames(mut rest: &[u8], tally: &mut Tally) {
    let number = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    while rest.len() >= PRELUDE + CHECKSUM {
        let (frame, next) = rest.split_at(number(rest) as usize);
        let (checked, checksum) = frame.split_at(frame.len() - CHECKSUM);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&checked[..8]);
        let prelude = hasher.clone().finalize();
        hasher.update(&checked[8..]);
        if prelude != number(&checked[8..]) || hasher.finalize() != number(checksum) {
            return tally.fail("checksum mismatch");
        }
        rest = next;
    }
}
