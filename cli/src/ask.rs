//! A question, as a request that a container takes.

use sagewire_codec::Api;
use sagewire_codec::model::{Content, Message, Param, Part, Request, Role};
use sagewire_emulator::ContainerFormat;

use crate::format::Writing;

/// The request that asks with these messages, and is `base` otherwise. It says of streams and of token counts what the
/// format has words for: nobody asked for these in words, so it is no loss if they are not said.
pub(crate) fn request<'a>(
    to: &Writing,
    base: Request<'a>,
    messages: Vec<Message<'a>>,
    streamed: bool,
) -> Request<'a> {
    let mut request = base;
    request.messages = messages;
    if says_stream(to) {
        request.stream = Some(Param::new(streamed));
    }
    if says_usage(to) {
        request.include_usage = Some(Param::new(true));
    }
    request
}

/// A message of text.
pub(crate) fn message<'a>(role: Role<'a>, text: &'a str) -> Message<'a> {
    Message::new(role, Vec::from([Part::new(Content::Text(text.into()))]))
}

fn says_stream(to: &Writing) -> bool {
    match to {
        Writing::Known(Api::JumpStartText | Api::JumpStartDialogs | Api::JumpStartRaw) => false,
        Writing::Known(_) => true,
        Writing::Custom(format) => format.asks_for("stream"),
    }
}

fn says_usage(to: &Writing) -> bool {
    match to {
        Writing::Known(
            Api::JumpStart | Api::JumpStartText | Api::JumpStartDialogs | Api::Triton | Api::JumpStartRaw,
        )
        | Writing::Custom(_) => false,
        Writing::Known(_) => true,
    }
}

/// Whether a stream says that it is complete. Some only stop.
pub(crate) fn tells_end(format: ContainerFormat) -> bool {
    !matches!(format, ContainerFormat::LmiOutputs | ContainerFormat::Triton)
}

/// Whether there are containers of this format whose streams only stop.
pub(crate) fn may_only_stop(to: &Writing) -> bool {
    matches!(to, Writing::Known(Api::Lmi | Api::Triton))
}
