//! Pieces of plain text that end between characters.
//!
//! The text is delivered as it arrives. Two things are held back: the beginning of a character, until its rest arrives; and
//! a body that may be a JSON error, until it ends or turns out to be none. The first needs three bytes, the second has a
//! bound.

use alloc::vec::Vec;
use core::ops::Range;

use crate::buffer;
use crate::records::{Extent, JsonBoundary};

/// The longest body that is held back as a possible error.
const ERROR_MAX: usize = 4096;
/// The beginning of errors.
const NAMES: [&[u8]; 4] = [b"code", b"type", b"message", b"error"];

/// Finds pieces of text in chunks cut anywhere. Text that is held back is in a buffer of the caller, which has to call
/// [`take_back`](Self::take_back) before the next call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Scanner {
    /// The body may still be an error.
    #[default]
    Begin,
    Text,
    /// The input has ended: nothing completes what was begun.
    End,
}

/// The span of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Chunk(Range<usize>),
    /// In the text that was held back.
    Held(Range<usize>),
}

impl Scanner {
    /// Releases the piece of held-back text that was borrowed.
    pub(crate) fn take_back(self, held: &mut Vec<u8>) {
        held.drain(..self.whole(held));
        if held.is_empty() {
            buffer::clear(held);
        }
    }

    /// Finds the next piece in `chunk` from `pos` on. `None`: `pos` is at its end.
    pub(crate) fn next(&mut self, held: &mut Vec<u8>, chunk: &[u8], pos: &mut usize) -> Option<Piece> {
        let (start, rest) = (*pos, &chunk[*pos..]);
        if matches!(self, Self::Begin) && (!held.is_empty() || may_be_error(rest)) {
            held.extend_from_slice(rest);
            *pos = chunk.len();
            if may_be_error(held) {
                return None;
            }
            *self = Self::Text;
            return self.borrow(held);
        }
        *self = Self::Text;
        if !held.is_empty() {
            // After at most three bytes it is a character, or malformed.
            while *pos < chunk.len() && self.whole(held) == 0 {
                held.push(chunk[*pos]);
                *pos += 1;
            }
            return self.borrow(held);
        }
        let len = self.whole(rest);
        held.extend_from_slice(&rest[len..]);
        *pos = chunk.len();
        (len > 0).then_some(Piece::Chunk(start..start + len))
    }

    /// The end of the input. Returns the text that is still held back, whether complete or not.
    pub(crate) fn finish(&mut self, held: &[u8]) -> Option<Piece> {
        *self = Self::End;
        self.borrow(held)
    }

    fn borrow(self, held: &[u8]) -> Option<Piece> {
        let len = self.whole(held);
        (len > 0).then_some(Piece::Held(0..len))
    }

    /// The length of `text` without an unfinished character at its end.
    fn whole(self, text: &[u8]) -> usize {
        if matches!(self, Self::End) { text.len() } else { text.len() - unfinished(text) }
    }
}

/// The number of bytes at the end of `text` that are the beginning of a character.
fn unfinished(text: &[u8]) -> usize {
    (1..=3.min(text.len()))
        .find(|back| text[text.len() - back] & 0xc0 != 0x80)
        .filter(|back| {
            let end = core::str::from_utf8(&text[text.len() - back..]);
            end.is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

/// Whether a body that begins with this text may be a JSON error.
pub(crate) fn may_be_error(body: &[u8]) -> bool {
    if body.len() > ERROR_MAX {
        return false;
    }
    let body = body.trim_ascii_start();
    let Some(inside) = body.strip_prefix(b"{") else { return body.is_empty() };
    let inside = inside.trim_ascii_start();
    let may_begin = match inside.strip_prefix(b"\"").map(|name| name.split(|&byte| byte == b'"')) {
        Some(mut name) => {
            let begin = name.next().unwrap_or_default();
            let is_whole = name.next().is_some();
            NAMES.iter().any(|known| if is_whole { *known == begin } else { known.starts_with(begin) })
        }
        None => inside.is_empty(),
    };
    may_begin
        && match JsonBoundary::default().feed(body) {
            Extent::Open => true,
            Extent::End(len) => body[len..].trim_ascii().is_empty(),
            Extent::Broken(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pieces, joined; each ends between characters, unless it is the last.
    fn pieces<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let (mut scanner, mut held) = (Scanner::default(), Vec::new());
        let mut pieces = Vec::new();
        let mut take = |scanner: Scanner, held: &mut Vec<u8>, chunk: &[u8], piece| {
            pieces.push(match piece {
                Piece::Chunk(range) => chunk[range].to_vec(),
                Piece::Held(range) => {
                    let piece = held[range].to_vec();
                    scanner.take_back(held);
                    piece
                }
            });
        };
        for chunk in chunks {
            let mut pos = 0;
            while let Some(piece) = scanner.next(&mut held, chunk, &mut pos) {
                take(scanner, &mut held, chunk, piece);
            }
            assert_eq!(pos, chunk.len());
            assert!(held.len() <= ERROR_MAX);
        }
        while let Some(piece) = scanner.finish(&held) {
            take(scanner, &mut held, &[], piece);
        }
        pieces
    }

    #[test]
    fn every_cut_gives_the_same_text() {
        let texts: [&[u8]; 12] = [
            "a é\u{1f642}€ \u{fffd}!".as_bytes(),
            b"\xff\xc3a\xe2\x82\xf0\x9f\x99",
            b"\xe2\xe2\x82\xac\xf0\x9f\xc3\xa9\x80",
            b"\xf4\x90\x80\x80\xed\xa0\x80",
            b" \n ",
            b"{",
            b"{\"a\": 1}",
            b"{\"code\": 507,\n \"message\": \"\xc3\xa9\"}\n",
            b"{\"code\": 507} and more",
            b"{\"coda\": 507}",
            b"data: {\"a\":1}\n\n",
            b"",
        ];
        for text in texts {
            let whole = alloc::string::String::from_utf8_lossy(text);
            let check = |pieces: Vec<Vec<u8>>| {
                let joined: alloc::string::String =
                    pieces.iter().map(|piece| alloc::string::String::from_utf8_lossy(piece)).collect();
                assert_eq!(joined, whole);
                assert!(pieces.iter().all(|piece| !piece.is_empty()));
            };
            for size in 1..=text.len().max(1) {
                check(pieces(text.chunks(size)));
            }
            for at in 0..text.len() {
                check(pieces([&text[..at], &text[at..]].into_iter()));
            }
        }
    }

    #[test]
    fn only_what_may_be_an_error_is_held() {
        let first = |text: &'static [u8]| Scanner::default().next(&mut Vec::new(), text, &mut 0).is_some();
        assert!(first(b"hello") && first(b"{\"answer\": 1") && first(b"{\"code\": 1} x") && first(b"{1"));
        assert!(!first(b"{") && !first(b"{\"co") && !first(b"{\"code\": 1") && !first(b"{\"code\": 1}\n"));
        let long = [b"{\"message\": \"", &[b'x'; ERROR_MAX][..]].concat();
        assert_eq!(pieces(long.chunks(1))[0].len(), ERROR_MAX + 1);
    }
}
