//! Follows a stream of the gateway: finds the numbered tokens in it, in the terms of any API.

use bytes::BytesMut;

use super::bound::take_payload;
use super::mock::TOKEN_LEN;
use super::workload::Door;

/// The state of a stream.
pub(super) struct Reader {
    door: Door,
    received: BytesMut,
    token: Vec<u8>,
    /// Tokens that arrived in order.
    pub(super) tokens: u32,
    /// When the first one arrived.
    pub(super) first: Option<u64>,
    last: Option<u64>,
    /// The longest time between two tokens, in nanoseconds.
    pub(super) longest_gap: u64,
    has_ended: bool,
    fault: Option<&'static str>,
}

impl Reader {
    pub(super) fn new(door: Door) -> Self {
        Self {
            door,
            received: BytesMut::new(),
            token: Vec::new(),
            tokens: 0,
            first: None,
            last: None,
            longest_gap: 0,
            has_ended: false,
            fault: None,
        }
    }

    /// Reads bytes that arrived at this time.
    pub(super) fn read(&mut self, data: &[u8], time: u64) {
        let mut received = std::mem::take(&mut self.received);
        received.extend_from_slice(data);
        if self.door == Door::Converse {
            loop {
                match take_payload(&mut received) {
                    Ok(Some(payload)) => self.event(&payload, time),
                    Ok(None) => break,
                    Err(_) => {
                        self.fault = Some("broken frame");
                        break;
                    }
                }
            }
        } else {
            while let Some(end) = memchr::memmem::find(&received, b"\n\n") {
                let event = received.split_to(end + 2);
                self.event(&event, time);
            }
        }
        self.received = received;
    }

    /// What is wrong with the stream, after its last byte.
    pub(super) fn finish(&self, tokens: u32) -> Option<&'static str> {
        self.fault.or(match (self.tokens == tokens, self.has_ended) {
            (false, _) => Some("tokens are missing"),
            (true, false) => Some("no end"),
            (true, true) => None,
        })
    }

    fn event(&mut self, event: &[u8], time: u64) {
        let has = |text: &[u8]| memchr::memmem::find(event, text).is_some();
        let (end, key): (&[u8], &[u8]) = match self.door {
            Door::OpenAi => (b"data: [DONE]", b"\"content\":\""),
            Door::Anthropic => (b"\"message_stop\"", b"\"text\":\""),
            Door::Responses => (b"\"response.completed\"", b"\"delta\":\""),
            Door::Converse => (b"\"stopReason\"", b"\"text\":\""),
        };
        self.has_ended |= has(end);
        if has(b"{\"error\"") || has(b"event: error") {
            self.fault = Some("error in the stream");
        }
        let Some(found) = memchr::memmem::find(event, key) else { return };
        let text = &event[found + key.len()..];
        let text = &text[..memchr::memchr(b'"', text).unwrap_or(0)];
        // A Responses stream repeats the whole text in events without a delta.
        self.token.extend_from_slice(text);
        while self.token.len() >= TOKEN_LEN {
            let token: Vec<u8> = self.token.drain(..TOKEN_LEN).collect();
            self.token(&token, time);
        }
    }

    fn token(&mut self, token: &[u8], time: u64) {
        let number = std::str::from_utf8(&token[1..5]).ok();
        let number = number.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if number != Some(self.tokens) {
            self.fault = Some("tokens are lost, repeated or changed");
        }
        self.tokens += 1;
        self.first.get_or_insert(time);
        let gap = time - self.last.replace(time).unwrap_or(time);
        self.longest_gap = self.longest_gap.max(gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sse(tokens: impl Iterator<Item = u32>) -> Vec<u8> {
        let event = |n| format!("data: {{\"delta\":{{\"content\":\" {n:04x}-0123456789abcdef\"}}}}\n\n");
        tokens.map(event).collect::<String>().into_bytes()
    }

    fn fault(stream: &[u8]) -> Option<&'static str> {
        let mut reader = Reader::new(Door::OpenAi);
        stream.chunks(7).for_each(|chunk| reader.read(chunk, 1));
        reader.finish(3)
    }

    #[test]
    fn only_a_complete_stream_counts() {
        let done = b"data: [DONE]\n\n".as_slice();
        assert_eq!(fault(&[&sse(0..3), done].concat()), None);
        assert_eq!(fault(&sse(0..3)), Some("no end"));
        assert_eq!(fault(&[&sse(0..2), done].concat()), Some("tokens are missing"));
        let lost = "tokens are lost, repeated or changed";
        assert_eq!(fault(&[&sse([0, 2, 1].into_iter()), done].concat()), Some(lost));
        let error = [&sse(0..3), b"data: {\"error\":{}}\n\n".as_slice(), done].concat();
        assert_eq!(fault(&error), Some("error in the stream"));
    }
}
