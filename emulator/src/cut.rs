//! Cuts a body into parts, and frames into HTTP chunks.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// How a container's body is cut into `PayloadPart`s.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cut {
    Whole,
    #[default]
    Events,
    Bytes,
    Characters,
    Random(Random),
}

impl Cut {
    /// The parts of `body`, in order and without gaps. No part is empty.
    pub(crate) fn parts(self, body: &[u8], content_type: &str) -> Vec<Range<usize>> {
        match self {
            Self::Whole => whole(body.len()),
            Self::Events if is_sse(content_type) => ranges(event_ends(body), body.len()),
            Self::Events => ranges(ends_after(body, b'\n'), body.len()),
            Self::Bytes => ranges(1..body.len(), body.len()),
            Self::Characters => ranges(inside_characters(body), body.len()),
            Self::Random(random) => random.ranges(body.len()),
        }
    }

    /// The cut for one chunk of a streamed body. Without it, random cuts would be the same in every chunk.
    pub(crate) fn for_chunk(self, index: u64) -> Self {
        match self {
            Self::Random(random) => Self::Random(random.for_chunk(index)),
            other => other,
        }
    }
}

/// How frames are cut into HTTP chunks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Chunks {
    #[default]
    Frames,
    Whole,
    Bytes,
    Random(Random),
}

impl Chunks {
    /// The chunks of a body of `len` bytes, in which frames end at `ends`.
    pub(crate) fn ranges(self, len: usize, ends: &[usize]) -> Vec<Range<usize>> {
        match self {
            Self::Frames => ranges(ends.iter().copied(), len),
            Self::Whole => whole(len),
            Self::Bytes => ranges(1..len, len),
            Self::Random(random) => random.ranges(len),
        }
    }

    /// The same for one chunk of a streamed body.
    pub(crate) fn for_chunk(self, index: u64) -> Self {
        match self {
            Self::Random(random) => Self::Random(random.for_chunk(index)),
            other => other,
        }
    }
}

/// Pieces of random length, derived from the seed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "RawRandom")]
pub(crate) struct Random {
    seed: u64,
    min: usize,
    max: usize,
}

impl Random {
    /// Pieces for a demo: some have several events, most a fraction of one.
    pub(crate) fn with_seed(seed: u64) -> Self {
        let RawRandom { min, max, .. } = RawRandom::default();
        Self { seed, min, max }
    }

    fn for_chunk(self, index: u64) -> Self {
        Self { seed: self.seed.wrapping_add(index), ..self }
    }

    fn ranges(self, len: usize) -> Vec<Range<usize>> {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut at = 0;
        let cuts = std::iter::from_fn(|| {
            at += rng.usize(self.min..=self.max);
            (at < len).then_some(at)
        });
        ranges(cuts, len)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRandom {
    seed: u64,
    min: usize,
    max: usize,
}

impl Default for RawRandom {
    fn default() -> Self {
        Self { seed: 0, min: 1, max: 64 }
    }
}

impl TryFrom<RawRandom> for Random {
    type Error = String;

    fn try_from(RawRandom { seed, min, max }: RawRandom) -> Result<Self, String> {
        if min == 0 || min > max {
            return Err(format!(
                "random: min must be at least 1 and at most max, found min {min}, max {max}"
            ));
        }
        Ok(Self { seed, min, max: max.min(isize::MAX as usize / 2) })
    }
}

/// Splits the part that contains `offset`. Returns the number of parts that end at or before it.
pub(crate) fn split(parts: &mut Vec<Range<usize>>, offset: usize) -> usize {
    let before = parts.partition_point(|part| part.end <= offset);
    match parts.get(before).cloned() {
        Some(part) if part.start < offset => {
            parts.splice(before..=before, [part.start..offset, offset..part.end]);
            before + 1
        }
        _ => before,
    }
}

/// Whether a content type is that of server-sent events.
pub(crate) fn is_sse(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/event-stream")
}

fn whole(len: usize) -> Vec<Range<usize>> {
    ranges([], len)
}

/// The ranges between the cuts, which are in ascending order, up to `len`.
fn ranges(cuts: impl IntoIterator<Item = usize>, len: usize) -> Vec<Range<usize>> {
    let (mut ranges, mut start) = (Vec::new(), 0);
    for end in cuts.into_iter().chain([len]) {
        if end > start && end <= len {
            ranges.push(start..end);
            start = end;
        }
    }
    ranges
}

fn ends_after(body: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    body.iter().enumerate().filter(move |(_, found)| **found == byte).map(|(at, _)| at + 1)
}

/// The offset after each blank line. Lines end in LF, CR LF or CR.
fn event_ends(body: &[u8]) -> Vec<usize> {
    let (mut ends, mut blank, mut at) = (Vec::new(), true, 0);
    while at < body.len() {
        let end = match body[at] {
            b'\r' if body.get(at + 1) == Some(&b'\n') => at + 2,
            b'\r' | b'\n' => at + 1,
            _ => {
                blank = false;
                at += 1;
                continue;
            }
        };
        if blank {
            ends.push(end);
        }
        (blank, at) = (true, end);
    }
    ends
}

/// The offset after the first byte of each multi-byte character.
fn inside_characters(body: &[u8]) -> impl Iterator<Item = usize> {
    let cut = |pair: &[u8]| pair[0] >= 0xc0 && (0x80..0xc0).contains(&pair[1]);
    body.windows(2).enumerate().filter(move |(_, pair)| cut(pair)).map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSE: &str = "data: é\n\ndata: 你好\r\n\r\n: ping\n\ndata: 😀\ndata: x\n\ndata: [DO";
    const SSE_TYPE: &str = "Text/Event-Stream; charset=utf-8";

    fn pieces<'a>(cut: Cut, body: &'a str, content_type: &str) -> Vec<&'a [u8]> {
        cut.parts(body.as_bytes(), content_type).into_iter().map(|part| &body.as_bytes()[part]).collect()
    }

    #[test]
    fn events_end_at_blank_lines() {
        let events: Vec<&[u8]> = vec![
            "data: é\n\n".as_bytes(),
            "data: 你好\r\n\r\n".as_bytes(),
            b": ping\n\n",
            "data: 😀\ndata: x\n\n".as_bytes(),
            b"data: [DO",
        ];
        assert_eq!(pieces(Cut::Events, SSE, SSE_TYPE), events);
    }

    #[test]
    fn lines_are_events_of_other_types() {
        assert_eq!(pieces(Cut::Events, "{}\n{}\n[", "application/jsonlines"), [&b"{}\n"[..], b"{}\n", b"["]);
    }

    #[test]
    fn characters_are_cut_once_each() {
        assert_eq!(
            pieces(Cut::Characters, "aé你b😀", SSE_TYPE),
            [&b"a\xc3"[..], b"\xa9\xe4", b"\xbd\xa0b\xf0", b"\x9f\x98\x80"]
        );
    }

    #[test]
    fn every_cut_is_the_whole_without_gap_or_empty_part() {
        let random = Random { seed: 7, min: 2, max: 5 };
        for cut in [Cut::Whole, Cut::Events, Cut::Bytes, Cut::Characters, Cut::Random(random)] {
            for body in [SSE, "", "\n", "\n\n\n", "é"] {
                let parts = pieces(cut, body, SSE_TYPE);
                assert_eq!(parts.concat(), body.as_bytes(), "{cut:?}");
                assert!(parts.iter().all(|part| !part.is_empty()), "{cut:?}");
            }
        }
        assert_eq!(pieces(Cut::Bytes, SSE, SSE_TYPE).len(), SSE.len());
        let lens: Vec<usize> = pieces(Cut::Random(random), SSE, SSE_TYPE).iter().map(|p| p.len()).collect();
        assert!(lens[..lens.len() - 1].iter().all(|len| (2..=5).contains(len)), "{lens:?}");
    }

    #[test]
    fn the_same_seed_cuts_alike() {
        let cut = |seed| Cut::Random(Random::with_seed(seed)).parts(&[0; 1000], "");
        assert_eq!(cut(1), cut(1));
        assert_ne!(cut(1), cut(2));
    }

    #[test]
    fn a_split_adds_one_cut() {
        for (offset, before, parts) in [
            (0, 0, vec![0..3, 3..6]),
            (2, 1, vec![0..2, 2..3, 3..6]),
            (3, 1, vec![0..3, 3..6]),
            (9, 2, vec![0..3, 3..6]),
        ] {
            let mut found = vec![0..3, 3..6];
            assert_eq!(split(&mut found, offset), before);
            assert_eq!(found, parts);
        }
    }

    #[test]
    fn chunks_ignore_frames_unless_asked() {
        assert_eq!(Chunks::Frames.ranges(6, &[2, 6]), [0..2, 2..6]);
        assert_eq!(Chunks::Whole.ranges(6, &[2, 6]), whole(6));
        assert_eq!(Chunks::Bytes.ranges(2, &[2]), [0..1, 1..2]);
        assert!(Chunks::Whole.ranges(0, &[]).is_empty());
    }
}
