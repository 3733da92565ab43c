//! The algorithm of the standard, literal and not incremental. Written independently of the decoder, and slow.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>

use std::borrow::Cow;

use sagewire_codec::sse::Event;

pub fn events(input: &[u8]) -> Vec<Event<'static>> {
    // "Streams must be decoded using the UTF-8 decode algorithm", which strips one BOM.
    let text = String::from_utf8_lossy(input);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);

    let mut events = Vec::new();
    let (mut data, mut event_type, mut last_id) = (String::new(), String::new(), String::new());
    let mut retry = None;
    for line in lines(text) {
        if line.is_empty() {
            // "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty
            // string and return."
            if !data.is_empty() {
                // "If the data buffer's last character is a U+000A LINE FEED, then remove it."
                data.pop();
                let event = if event_type.is_empty() { "message".to_owned() } else { event_type.clone() };
                events.push(Event {
                    event: Cow::Owned(event),
                    data: Cow::Owned(data.clone()),
                    id: Cow::Owned(last_id.clone()),
                    retry,
                });
            }
            data.clear();
            event_type.clear();
        } else if line.starts_with(':') {
            // "Ignore the line."
        } else {
            let (field, value) = match line.split_once(':') {
                Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
                None => (line, ""),
            };
            match field {
                "event" => event_type = value.to_owned(),
                "data" => {
                    data.push_str(value);
                    data.push('\n');
                }
                "id" if !value.contains('\0') => last_id = value.to_owned(),
                "retry" if !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()) => {
                    retry = value.parse().ok().or(retry);
                }
                _ => {}
            }
        }
    }
    // "Once the end of the file is reached, any pending data must be discarded."
    events
}

/// The lines that are terminated: by CR LF, LF or CR.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\r', '\n']) {
        lines.push(&rest[..end]);
        let len = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + len..];
    }
    lines
}
