//! Writes event-stream frames by hand, so that the workloads do not depend on any of the decoders.

/// Appends a `PayloadPart` frame, with SageMaker's headers in SageMaker's order.
pub fn frame(payload: &[u8], out: &mut Vec<u8>) {
    event_frame("PayloadPart", "application/octet-stream", payload, out);
}

/// Appends an event frame, with AWS's headers in AWS's order.
pub fn event_frame(event: &str, content: &str, payload: &[u8], out: &mut Vec<u8>) {
    let headers = [(":event-type", event), (":content-type", content), (":message-type", "event")];
    let headers_len: usize = headers.iter().map(|(name, value)| 1 + name.len() + 3 + value.len()).sum();
    let start = out.len();
    let total = 12 + headers_len + payload.len() + 4;
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&(headers_len as u32).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
    for (name, value) in headers {
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        // Type 7 is a string.
        out.push(7);
        out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out[start..]).to_be_bytes());
}
