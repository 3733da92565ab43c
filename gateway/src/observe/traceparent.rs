//! The trace that a request belongs to.

/// The header `traceparent` of a request (<https://www.w3.org/TR/trace-context/#traceparent-header>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    /// The trace.
    pub(crate) trace_id: [u8; 16],
    /// The client's span.
    pub(crate) span_id: [u8; 8],
    /// The client records the trace.
    pub(crate) sampled: bool,
}

/// Bytes of version 00; later versions may append fields.
const LEN: usize = 55;

impl TraceParent {
    /// The name of the header.
    pub(crate) const HEADER: &'static str = "traceparent";

    /// Parses the value of the header. An invalid one is as none, as the specification has it.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LEN)?;
        if known.iter().any(u8::is_ascii_uppercase) || [2, 35, 52].iter().any(|index| known[*index] != b'-') {
            return None;
        }
        let mut version = [0; 1];
        let mut flags = [0; 1];
        let mut parent = Self { trace_id: [0; 16], span_id: [0; 8], sampled: false };
        hex::decode_to_slice(&known[..2], &mut version).ok()?;
        hex::decode_to_slice(&known[3..35], &mut parent.trace_id).ok()?;
        hex::decode_to_slice(&known[36..52], &mut parent.span_id).ok()?;
        hex::decode_to_slice(&known[53..], &mut flags).ok()?;
        let is_extended = version[0] > 0 && rest.first() == Some(&b'-');
        if version[0] == 0xff || !(rest.is_empty() || is_extended) {
            return None;
        }
        if parent.trace_id == [0; 16] || parent.span_id == [0; 8] {
            return None;
        }
        parent.sampled = flags[0] & 1 == 1;
        Some(parent)
    }
}
