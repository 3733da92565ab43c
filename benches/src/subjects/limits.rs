//! Lower bounds: the minimum work on slices, with nothing around it.

use std::hint::black_box;
use std::ops::Range;

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

/// Verifies both checksums of each frame, and finds each line end.
pub fn crc_and_lines(workload: &Workload, _: &mut Reads<'_>, tally: &mut Tally) {
    frames(&workload.framed, tally, |_, _| {});
    let mut rest = &workload.sse[..];
    while let Some(end) = memchr(b'\n', rest) {
        if let Some(data) = rest[..end].strip_prefix(b"data: ") {
            tally.piece(data);
        }
        rest = &rest[end + 1..];
    }
}

/// The same, and finds the text in each record at its expected position.
pub fn floor(workload: &Workload, _: &mut Reads<'_>, tally: &mut Tally) {
    frames(&workload.framed, tally, |_, _| {});
    let text = Text::new(workload.needle);
    let mut rest = &workload.sse[..];
    while let Some(end) = memchr(b'\n', rest) {
        text.find(&rest[..end], tally);
        rest = &rest[end + 1..];
    }
}

/// The same on the parts in the frames: a line that is split is joined.
pub fn floor_of_parts(workload: &Workload, _: &mut Reads<'_>, tally: &mut Tally) {
    let text = Text::new(workload.needle);
    let mut carry = Vec::new();
    frames(&workload.framed, tally, |part, tally| {
        lines(part, &mut carry, |rest| memchr(b'\n', rest), |line| _ = text.find(line, tally));
    });
}

/// The same with a cache of the previous line: the bytes around the text are compared with it, not searched. The input is one
/// slice, so nothing is kept between calls.
pub fn known_lines(workload: &Workload, _: &mut Reads<'_>, tally: &mut Tally) {
    let text = Text::new(workload.needle);
    let (mut carry, mut known) = (Vec::new(), Known::default());
    frames(&workload.framed, tally, |mut part, tally| {
        while carry.is_empty() {
            let Some((found, len)) = known.read(part) else { break };
            tally.text(Kind::of_needle(workload.needle), found);
            part = &part[len..];
        }
        lines(
            part,
            &mut carry,
            |rest| memchr(b'\n', rest),
            |line| {
                if let Some(place) = text.find(line, tally) {
                    known = Known { before: line[..place.start].into(), after: line[place.end..].into() };
                }
            },
        );
    });
}

/// Finds each data line of the reads, joined if it is split, as text.
pub fn lines_of_reads(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    let mut carry = Vec::new();
    for chunk in reads {
        lines(
            &chunk,
            &mut carry,
            |rest| memchr2(b'\n', b'\r', rest),
            |line| match line.strip_prefix(b"data: ").map(std::str::from_utf8) {
                Some(Ok(text)) => tally.piece(text.as_bytes()),
                Some(Err(error)) => tally.fail(error),
                None => {}
            },
        );
    }
}

/// Passes on each line of `rest`, whose beginning may be in the partial buffer `carry`, and keeps an incomplete line there.
fn lines(
    mut rest: &[u8],
    carry: &mut Vec<u8>,
    end: impl Fn(&[u8]) -> Option<usize>,
    mut each: impl FnMut(&[u8]),
) {
    while let Some(end) = end(rest) {
        if carry.is_empty() {
            each(&rest[..end]);
        } else {
            carry.extend_from_slice(&rest[..end]);
            each(carry);
            carry.clear();
        }
        rest = &rest[end + 1..];
    }
    carry.extend_from_slice(rest);
}

/// The bytes around the text of the last line that was searched.
#[derive(Default)]
struct Known {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Known {
    /// If the first line of `part` matches this one: its text, and the length of the line with its blank line.
    fn read<'a>(&self, part: &'a [u8]) -> Option<(&'a str, usize)> {
        let rest = part.strip_prefix(&self.before[..]).filter(|_| !self.before.is_empty())?;
        let end = memchr2(b'"', b'\\', rest).filter(|&end| rest[end] == b'"')?;
        let after = rest[end..].strip_prefix(&self.after[..])?.strip_prefix(b"\n\n")?;
        Some((std::str::from_utf8(&rest[..end]).ok()?, part.len() - after.len()))
    }
}

/// The expected position of the text in a record.
struct Text {
    needle: &'static str,
    finder: memmem::Finder<'static>,
}

impl Text {
    fn new(needle: &'static str) -> Self {
        Self { needle, finder: memmem::Finder::new(needle) }
    }

    /// Adds the text to the tally, and returns its position.
    fn find(&self, line: &[u8], tally: &mut Tally) -> Option<Range<usize>> {
        let at = self.finder.find(line)?;
        let start = at + self.needle.len();
        let mut close = start;
        while let Some(at) = memchr2(b'"', b'\\', &line[close..]) {
            close += at;
            if line[close] == b'"' {
                break;
            }
            close += 2;
        }
        match std::str::from_utf8(&line[start..close]) {
            Ok(text) => tally.text(Kind::of_needle(self.needle), text),
            Err(error) => tally.fail(error),
        }
        Some(start..close)
    }
}

/// Verifies both checksums of each frame, and passes on its payload.
fn frames(mut rest: &[u8], tally: &mut Tally, mut each: impl FnMut(&[u8], &mut Tally)) {
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
        each(&checked[PRELUDE + number(&checked[4..]) as usize..], tally);
        rest = next;
    }
}
