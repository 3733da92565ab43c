//! Writes streams and responses of any format.

use alloc::vec::Vec;

use super::{anthropic, bedrock, openai, tgi};
use crate::chat::{Context, Event, Losses, Place, Response};
use crate::error::Error;

/// What a stream is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Server-sent events of an OpenAI chat completion.
    OpenAi,
    /// Events of Bedrock's ConverseStream.
    Bedrock(bedrock::Encoding),
    /// Server-sent events of an Anthropic message.
    Anthropic,
    /// Server-sent events of TGI's `/generate_stream`.
    Tgi,
}

/// Writes canonical events as the stream of another API. [`Transcoder`](crate::Transcoder) puts it behind a decoder.
#[derive(Clone, Debug)]
pub struct Writer(Inner);

#[derive(Clone, Debug)]
enum Inner {
    OpenAi(openai::Writer),
    Bedrock(bedrock::Writer),
    Anthropic(anthropic::Writer),
    Tgi(tgi::Writer),
}

impl Writer {
    /// A writer that takes from `context` what the source does not say.
    pub fn new(target: Target, context: Context) -> Self {
        Self(match target {
            Target::OpenAi => Inner::OpenAi(openai::Writer::new(context)),
            Target::Bedrock(encoding) => Inner::Bedrock(bedrock::Writer::new(encoding, context)),
            Target::Anthropic => Inner::Anthropic(anthropic::Writer::new(context)),
            Target::Tgi => Inner::Tgi(tgi::Writer::new()),
        })
    }

    /// Appends what `event` becomes to `out`.
    #[inline]
    pub fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match &mut self.0 {
            Inner::OpenAi(writer) => writer.write(event, out),
            Inner::Bedrock(writer) => writer.write(event, out),
            Inner::Anthropic(writer) => writer.write(event, out),
            Inner::Tgi(writer) => writer.write(event, out),
        }
    }

    /// Appends the end of the stream to `out`: that of a complete one, or the error that it ended with.
    pub fn finish(&mut self, ending: Result<(), &Error>, out: &mut Vec<u8>) {
        match &mut self.0 {
            Inner::OpenAi(writer) => writer.finish(ending, out),
            Inner::Bedrock(writer) => writer.finish(ending, out),
            Inner::Anthropic(writer) => writer.finish(ending, out),
            Inner::Tgi(writer) => writer.finish(ending, out),
        }
    }

    /// What could not be written, so far.
    pub fn losses(&self) -> &Losses {
        match &self.0 {
            Inner::OpenAi(writer) => writer.losses(),
            Inner::Bedrock(writer) => writer.losses(),
            Inner::Anthropic(writer) => writer.losses(),
            Inner::Tgi(writer) => writer.losses(),
        }
    }

    /// Says where that stands in the source which was lost with the last event: `find` is asked only if there is such, and
    /// [`Decoder::place`](crate::Decoder::place) knows.
    #[inline]
    pub fn place_losses(&mut self, find: impl FnOnce() -> Option<Place>) {
        let losses = match &mut self.0 {
            Inner::OpenAi(writer) => writer.losses_mut(),
            Inner::Bedrock(writer) => writer.losses_mut(),
            Inner::Anthropic(writer) => writer.losses_mut(),
            Inner::Tgi(writer) => writer.losses_mut(),
        };
        losses.place(find);
    }

    /// How long the answer took, in milliseconds: to be set before [`finish`](Self::finish), when it is known. Only
    /// Converse has a place for it.
    pub fn set_latency_ms(&mut self, milliseconds: u64) {
        if let Inner::Bedrock(writer) = &mut self.0 {
            writer.set_latency_ms(milliseconds);
        }
    }
}

/// Writes a whole response, and what of it could not be written. What the source does not say comes from `context`.
pub fn write_response(target: Target, response: &Response, context: &Context) -> (Vec<u8>, Losses) {
    match target {
        Target::OpenAi => openai::write_response(response, context),
        Target::Bedrock(_) => bedrock::write_response(response, context),
        Target::Anthropic => anthropic::write_response(response, context),
        Target::Tgi => tgi::write_response(response, context),
    }
}
