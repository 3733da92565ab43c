//! Options for writing responses.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::setters::setters;

/// Values that a target API requires and the source may not have, and how to encode what is written.
///
/// A value that is `None` here and missing in the source is written as the default below, and reported as a
/// [`Loss`](crate::model::Loss) where it could mislead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResponseOptions {
    /// ID of the response, if the source has none. Default: `chatcmpl-0`, for Anthropic `msg_0`.
    ///
    /// Generated IDs of tool calls are made of the ID of the response, else of the time of its creation. If neither the source nor
    /// these options have one, they are the same in each response, which APIs refuse in one conversation.
    pub id: Option<String>,
    /// Name of the model, if the source has none. Default: empty.
    pub model: Option<String>,
    /// Seconds since the Unix epoch, if the source has none. Default: 0.
    pub created: Option<u64>,
    /// Duration of the response in milliseconds, which no source has. Default: 0.
    pub latency_ms: Option<u64>,
    /// How the events of a ConverseStream are encoded. Default: as event-stream frames.
    pub encoding: ConverseEncoding,
    /// The event-stream frames that a stream is put into. Default: none, except for those of ConverseStream.
    pub frames: Frames,
    /// Leave out the record of a stream that has token counts and nothing else, for a client that did not request it: the last chunk
    /// of OpenAI's chat and completions, and the usage of a caller that requested it for itself. Default: it is written.
    pub hide_usage: bool,
    /// Pass a response that has the API already on unchanged, if it is one of OpenAI's chat or completions, or of Anthropic's Messages.
    /// It is decoded nevertheless, so that a failure is written as one. This is for transports: a [`Writer`](crate::Writer) is given
    /// events or records. Default: it is written anew.
    pub pass_through: bool,
}

/// The event-stream frames that AWS puts the stream of another API into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Frames {
    /// The stream of the API as it is.
    #[default]
    None,
    /// SageMaker's `InvokeEndpointWithResponseStream`: the bytes of the stream in `PayloadPart` frames. A stream that fails ends
    /// with an exception.
    PayloadPart,
    /// Bedrock's `InvokeModelWithResponseStream`: the JSON of each event in a `chunk` frame, as Base64. A stream that fails ends
    /// with an exception, and one of Anthropic's Messages has the metrics of the invocation in its last event.
    Chunk,
}

/// How the events of a ConverseStream are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConverseEncoding {
    /// AWS event-stream frames, as the service sends them.
    #[default]
    EventStream,
    /// One line of JSON for each event: the event under its name.
    JsonLines,
}

impl ResponseOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        id(id: impl Into<String>) => Some(id.into());
        model(model: impl Into<String>) => Some(model.into());
        created(seconds: u64) => Some(seconds);
        encoding(encoding: ConverseEncoding) => encoding;
        frames(frames: Frames) => frames;
        hide_usage(is_hidden: bool) => is_hidden;
        pass_through(is_passed: bool) => is_passed;
        latency_ms(milliseconds: u64) => Some(milliseconds);
    }
}
