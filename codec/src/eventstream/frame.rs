//! One frame: prelude, checks, and a view of the parts.

use bytes::Bytes;

use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::eventstream::header;
use crate::eventstream::header::Headers;
use crate::limits::Limits;

/// Bytes of a prelude, its checksum included.
pub(crate) const PRELUDE_LEN: usize = 12;
/// Bytes of a frame that has neither headers nor payload.
pub(crate) const FRAME_MIN: usize = 16;

/// A whole frame with verified checksums and headers. Borrows from the chunk or from the decoder.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The whole frame, checked.
    bytes: &'a [u8],
    prelude: Prelude,
    /// The chunk that `bytes` lies in, unless it was put together from several.
    chunk: Option<&'a Bytes>,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(bytes: &'a [u8], prelude: Prelude, chunk: Option<&'a Bytes>) -> Self {
        Self { bytes, prelude, chunk }
    }

    /// The headers, in the order of the wire.
    pub fn headers(&self) -> Headers<'a> {
        Headers::new(&self.bytes[self.prelude.headers()])
    }

    /// The payload.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.prelude.payload()]
    }

    /// The payload as owned bytes: without a copy when the frame lies whole in one chunk.
    pub fn payload_bytes(&self) -> Bytes {
        match self.chunk {
            Some(chunk) => chunk.slice_ref(self.payload()),
            None => Bytes::copy_from_slice(self.payload()),
        }
    }

    /// The bytes of the whole frame, prelude and checksums included.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Reads the frame at the start of `bytes`, and returns it with what follows it. `Ok(None)` means that more bytes are
/// needed.
///
/// # Errors
///
/// Those of [`Decoder::decode`](crate::eventstream::Decoder::decode); offsets count from the start of `bytes`.
///
/// ```
/// let empty = [0, 0, 0, 16, 0, 0, 0, 0, 5, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff];
/// let (frame, rest) = sagewire_codec::eventstream::parse(&empty, &Default::default())?.unwrap();
/// assert!(frame.payload().is_empty() && rest.is_empty());
/// assert!(sagewire_codec::eventstream::parse(&empty[..15], &Default::default())?.is_none());
/// # Ok::<(), sagewire_codec::DecodeError>(())
/// ```
pub fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Option<(Frame<'a>, &'a [u8])>, DecodeError> {
    let fault = |(offset, kind)| DecodeError::new(Layer::EventStream, offset as u64, kind);
    if bytes.len() < PRELUDE_LEN {
        return Ok(None);
    }
    let prelude = Prelude::parse(bytes, limits).map_err(|kind| fault((0, kind)))?;
    let Some((frame, rest)) = bytes.split_at_checked(prelude.total) else {
        return Ok(None);
    };
    prelude.check(frame, limits).map_err(fault)?;
    Ok(Some((Frame::new(frame, prelude, None), rest)))
}

/// Bytes that [`looks_like_frames`] can use.
pub const SNIFF_LEN: usize = 6;

/// Whether a body that begins with `begin` is an event stream and not text. Give it [`SNIFF_LEN`] bytes, or all there are.
///
/// The lengths of a prelude, which no decoder lets grow beyond 24 MiB and 128 KiB, begin with small bytes in three
/// places. Two of them are enough, so that one corrupt byte does not make text of a stream; text has none.
///
/// ```
/// use sagewire_codec::eventstream::looks_like_frames;
/// assert!(looks_like_frames(&[0, 0, 0, 16, 0, 0, 0, 0]));
/// assert!(!looks_like_frames(b"data: "));
/// ```
pub fn looks_like_frames(begin: &[u8]) -> bool {
    let small = |at: usize, most: u8| begin.get(at).is_some_and(|&byte| byte <= most);
    let seen = [small(0, 1), small(4, 0), small(5, 2)].into_iter().filter(|&seen| seen).count();
    if begin.len() < SNIFF_LEN { small(0, 1) } else { seen >= 2 }
}

/// A register of CRC-32 with this many bytes of zeros behind it.
pub(crate) const fn shift(mut register: u32, bytes: usize) -> u32 {
    let mut bit = 0;
    while bit < 8 * bytes {
        register = (register >> 1) ^ (0xedb8_8320 & (register & 1).wrapping_neg());
        bit += 1;
    }
    register
}

/// What each byte of a prelude adds to its checksum, by its distance from the end.
static PRELUDE_TABLE: [[u32; 256]; 8] = {
    let mut table = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = byte as u32;
        let mut distance = 0;
        while distance < 8 {
            rest = shift(rest, 1);
            table[distance][byte] = rest;
            distance += 1;
        }
        byte += 1;
    }
    table
};

/// The checksum of the two lengths. For these eight bytes, one table look-up per byte is three times as fast as a function
/// for inputs of any length, which takes a twentieth of the time of a token.
#[inline]
pub(crate) fn prelude_checksum(total: u32, headers: u32) -> u32 {
    let [a, b, c, d] = (!total).to_be_bytes().map(usize::from);
    let [e, f, g, h] = headers.to_be_bytes().map(usize::from);
    let [t0, t1, t2, t3, t4, t5, t6, t7] = &PRELUDE_TABLE;
    !(t7[a] ^ t6[b] ^ t5[c] ^ t4[d] ^ t3[e] ^ t2[f] ^ t1[g] ^ t0[h])
}

/// The three numbers of a prelude.
#[inline(always)]
pub(crate) fn words(&[a, b, c, d, e, f, g, h, i, j, k, l]: &[u8; PRELUDE_LEN]) -> [u32; 3] {
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_be_bytes)
}

/// The lengths of a frame, checked against each other and the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prelude {
    /// Bytes of the whole frame.
    pub(crate) total: usize,
    pub(crate) headers: usize,
}

impl Prelude {
    /// Reads and checks the first twelve of `bytes`. Nothing has to be buffered for a frame that fails here.
    #[inline]
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, DecodeErrorKind> {
        Self::read(bytes, limits).ok_or_else(|| Self::fault(bytes, limits))
    }

    /// The same, without the reason for a failure.
    #[inline(always)]
    pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Option<Self> {
        let [total, headers, found] = words(bytes.first_chunk()?);
        // A header is at least three bytes; AWS's decoders refuse a block of one byte here already.
        let payload = total.checked_sub(FRAME_MIN as u32)?.checked_sub(headers)?;
        let is_good = prelude_checksum(total, headers) == found
            && headers != 1
            && headers as usize <= limits.headers
            && payload as usize <= limits.payload;
        is_good.then_some(Self { total: total as usize, headers: headers as usize })
    }

    /// The error of a prelude that cannot be read.
    #[cold]
    fn fault(bytes: &[u8], limits: &Limits) -> DecodeErrorKind {
        let [total, headers, found] = bytes.first_chunk().map(words).unwrap_or_default();
        let computed = prelude_checksum(total, headers);
        if computed != found {
            return DecodeErrorKind::PreludeChecksum { computed, found };
        }
        let payload = total.checked_sub(FRAME_MIN as u32).and_then(|rest| rest.checked_sub(headers));
        let Some(payload) = payload.filter(|_| headers != 1) else {
            return DecodeErrorKind::FrameLength { total, headers };
        };
        let limit = |what, len: u32, limit: usize| DecodeErrorKind::Limit {
            what,
            len: Some(u64::from(len)),
            limit: limit as u64,
        };
        if headers as usize > limits.headers {
            limit("frame headers length", headers, limits.headers)
        } else {
            limit("frame payload length", payload, limits.payload)
        }
    }

    /// Checks a whole frame that this is the prelude of, with the offset in it of the first fault.
    pub(crate) fn check(&self, frame: &[u8], limits: &Limits) -> Result<(), (usize, DecodeErrorKind)> {
        self.check_checksum(frame)?;
        self.check_headers(frame, limits)
    }

    /// The first half of [`check`](Self::check).
    pub(crate) fn check_checksum(&self, frame: &[u8]) -> Result<(), (usize, DecodeErrorKind)> {
        let (covered, stated) = frame.split_at(self.total - 4);
        let found = u32::from_be_bytes([stated[0], stated[1], stated[2], stated[3]]);
        let computed = crc32fast::hash(covered);
        if computed == found {
            Ok(())
        } else {
            Err((0, DecodeErrorKind::MessageChecksum { computed, found }))
        }
    }

    /// The second half of [`check`](Self::check).
    pub(crate) fn check_headers(
        &self,
        frame: &[u8],
        limits: &Limits,
    ) -> Result<(), (usize, DecodeErrorKind)> {
        header::check(&frame[self.headers()], limits.header_count)
            .map_err(|(offset, kind)| (PRELUDE_LEN + offset, kind))
    }

    /// Where in the frame the headers lie.
    pub(crate) fn headers(&self) -> core::ops::Range<usize> {
        PRELUDE_LEN..PRELUDE_LEN + self.headers
    }

    /// Where in the frame the payload lies.
    pub(crate) fn payload(&self) -> core::ops::Range<usize> {
        PRELUDE_LEN + self.headers..self.total - 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prelude_checksum_is_that_of_the_library() {
        for total in [0, 1, 16, 255, 256, 365, 0x0102_0304, 0x8000_0000, u32::MAX] {
            for headers in [0, 89, 0x00ff_00ff, u32::MAX] {
                let bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
                assert_eq!(prelude_checksum(total, headers), crc32fast::hash(&bytes));
            }
        }
    }
}
