//! Shows control characters of untrusted text instead of sending them to a terminal or a browser, which could act on them: they
//! set the clipboard and the title, clear the screen, or reorder text so that it reads as something else.

use std::str;

/// Writes `text` with all control characters escaped, line breaks and tabs included.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(c, &mut out));
    out
}

/// Moves `text` to `out`, with control characters escaped except line feeds and tabs. Malformed UTF-8 becomes U+FFFD.
/// Bytes at the end that may be the start of a character stay in `text`.
pub fn text(text: &mut Vec<u8>, out: &mut String) {
    let mut incomplete = 0;
    let mut chunks = text.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        for c in chunk.valid().chars() {
            if matches!(c, '\n' | '\t') { out.push(c) } else { push(c, out) }
        }
        let invalid = chunk.invalid();
        let may_continue = str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if may_continue && chunks.peek().is_none() {
            incomplete = invalid.len();
        } else if !invalid.is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text.drain(..text.len() - incomplete);
}

fn push(c: char, out: &mut String) {
    match c {
        '\n' | '\r' | '\t' => out.extend(c.escape_default()),
        _ if c.is_control() || is_bidirectional(c) => out.extend(c.escape_unicode()),
        _ => out.push(c),
    }
}

/// Embeddings, overrides and isolates, which change the order of the text around them.
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters() {
        assert_eq!(line("a\u{1b}]52;c;eA==\u{7}\r\n\t"), r"a\u{1b}]52;c;eA==\u{7}\r\n\t");
        assert_eq!(line("\u{9b}2J \u{202e}txt\u{2069} é 日 🙂"), r"\u{9b}2J \u{202e}txt\u{2069} é 日 🙂");
    }

    #[test]
    fn text_keeps_its_lines_however_it_is_cut() {
        let whole = "one\n\ttwo\r \u{1b}[31m é日🙂\u{9b}\u{7f}\u{2066}".as_bytes();
        let expected = "one\n\ttwo\\r \\u{1b}[31m é日🙂\\u{9b}\\u{7f}\\u{2066}";
        for cut in 0..=whole.len() {
            let (mut buffer, mut out) = (whole[..cut].to_vec(), String::new());
            text(&mut buffer, &mut out);
            buffer.extend_from_slice(&whole[cut..]);
            text(&mut buffer, &mut out);
            assert_eq!((out.as_str(), buffer.as_slice()), (expected, &[][..]), "cut at {cut}");
        }
    }

    #[test]
    fn malformed_bytes_are_replaced() {
        let (mut buffer, mut out) = (b"a\xff\xc3\x28b\xe6\x97".to_vec(), String::new());
        text(&mut buffer, &mut out);
        assert_eq!((out.as_str(), buffer.as_slice()), ("a\u{fffd}\u{fffd}(b", &b"\xe6\x97"[..]));
    }
}
