//! Builds chat requests that streaming containers accept.

use sagewire_codec::Api;
use sagewire_codec::model::{Content, Message, Param, Part, Request, Role};
use sagewire_emulator::ContainerFormat;

use crate::format::Writing;

/// Adds messages to `base`, and requests a stream and token counts if the format has fields for them. If it has none, that is
/// not a loss: the user has not set them.
pub(crate) fn request<'a>(
    to: &Writing,
    base: Request<'a>,
    messages: Vec<Message<'a>>,
    streamed: bool,
) -> Request<'a> {
    let mut request = base;
    request.messages = messages;
    if has_stream(to) {
        request.stream = Some(Param::new(streamed));
    }
    if has_usage(to) {
        request.include_usage = Some(Param::new(true));
    }
    request
}

/// A text message.
pub(crate) fn message<'a>(role: Role<'a>, text: &'a str) -> Message<'a> {
    Message::new(role, Vec::from([Part::new(Content::Text(text.into()))]))
}

fn has_stream(to: &Writing) -> bool {
    match to {
        Writing::Known(Api::JumpStartText | Api::JumpStartDialogs | Api::JumpStartRaw) => false,
        Writing::Known(_) => true,
        Writing::Custom(format) => format.asks_for("stream"),
    }
}

fn has_usage(to: &Writing) -> bool {
    match to {
        Writing::Known(
            Api::JumpStart | Api::JumpStartText | Api::JumpStartDialogs | Api::Triton | Api::JumpStartRaw,
        )
        | Writing::Custom(_) => false,
        Writing::Known(_) => true,
    }
}

/// Whether a stream of this container has an end marker. Without one, a complete stream looks truncated.
pub(crate) fn has_end_marker(format: ContainerFormat) -> bool {
    !matches!(format, ContainerFormat::LmiOutputs | ContainerFormat::Triton)
}

/// Whether some containers of this format send streams without an end marker.
pub(crate) fn may_lack_end_marker(to: &Writing) -> bool {
    matches!(to, Writing::Known(Api::Lmi | Api::Triton))
}
