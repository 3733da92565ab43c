//! Writes streams and responses of any API.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::convert_error::{ConvertError, ConvertErrorKind};
use crate::error::DecodeError;
use crate::formats::framed::Framed;
use crate::formats::pass_through;
use crate::formats::pass_through::PassThrough;
use crate::formats::text_generation::tgi;
use crate::formats::{anthropic, converse, openai_chat, openai_responses};
use crate::model::{Api, Event, Frames, Losses, Response, ResponseOptions};

/// Writes canonical events as the stream of an API. [`Transcoder`](crate::Transcoder) combines it with a decoder.
#[derive(Clone, Debug)]
pub struct Writer {
    inner: Inner,
    framed: Option<Box<Framed>>,
    /// Its records are passed on, in place of events.
    passed: Option<PassThrough>,
    api: Api,
    hide_usage: bool,
}

#[derive(Clone, Debug)]
enum Inner {
    OpenAi(openai_chat::Writer),
    Completions(openai_chat::CompletionWriter),
    /// Larger than the others.
    Responses(Box<openai_responses::Writer>),
    Converse(converse::Writer),
    Anthropic(anthropic::Writer),
    Tgi(tgi::Writer),
}

/// The same for the writer of each API.
macro_rules! each {
    ($inner:expr, $writer:ident => $value:expr) => {
        match $inner {
            Inner::OpenAi($writer) => $value,
            Inner::Completions($writer) => $value,
            Inner::Responses($writer) => $value,
            Inner::Converse($writer) => $value,
            Inner::Anthropic($writer) => $value,
            Inner::Tgi($writer) => $value,
        }
    };
}

impl Writer {
    /// A writer for an API. `options` has the values that the source may not have.
    ///
    /// # Errors
    ///
    /// [`Api::writes_streams`] is false, or the stream cannot be put into the [frames](ResponseOptions::frames): ConverseStream has its
    /// own.
    pub fn new(api: Api, options: ResponseOptions) -> Result<Self, ConvertError> {
        if api == Api::Converse && options.frames != Frames::None {
            let what = "writing streams in other frames";
            return Err(ConvertError::new(0, ConvertErrorKind::Api { api, what }));
        }
        let framed = Framed::new(&options).map(Box::new);
        let hide_usage = options.hide_usage;
        let inner = match api {
            Api::OpenAi => Inner::OpenAi(openai_chat::Writer::new(options)),
            Api::Completions => Inner::Completions(openai_chat::CompletionWriter::new(options)),
            Api::Responses => Inner::Responses(Box::new(openai_responses::Writer::new(options))),
            Api::Converse => Inner::Converse(converse::Writer::new(options)),
            Api::Anthropic => Inner::Anthropic(anthropic::Writer::new(options)),
            Api::Tgi => Inner::Tgi(tgi::Writer::new()),
            _ => {
                return Err(ConvertError::new(0, ConvertErrorKind::Api { api, what: "writing streams" }));
            }
        };
        Ok(Self { inner, framed, passed: None, api, hide_usage })
    }

    /// Appends an event to `out`, as the API has it.
    #[inline]
    pub fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match &mut self.framed {
            None => each!(&mut self.inner, writer => writer.write(event, out)),
            Some(framed) => {
                framed.observe(event);
                each!(&mut self.inner, writer => writer.write(event, &mut framed.buffer));
                framed.flush(out);
            }
        }
    }

    /// Whether the records of a stream can be passed on unchanged, in place of its events: its first record has the shape of this
    /// API, which is OpenAI's chat or completions, or Anthropic's Messages.
    pub fn can_pass(&self, record: &[u8]) -> bool {
        let is_own = |record: &str| pass_through::is_own(self.api, record);
        // Bedrock adds counts to the last event, which follow from events.
        let has_counts = self.framed.as_ref().is_some_and(|framed| framed.has_counts());
        !has_counts && core::str::from_utf8(record).is_ok_and(is_own)
    }

    /// Appends a record of the same API to `out`, unchanged except for line ends. No event may be written then. The records are those
    /// of [`Decoder::take_records`](crate::Decoder::take_records): `is_last` is whether the response is over with it. It is
    /// written by [`finish`](Self::finish), and only if the response is complete.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use sagewire_codec::{Api, Decoder, Writer, model::ResponseOptions};
    ///
    /// let body = concat!(
    ///     r#"data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hi"},"token_ids":[7]}]}"#, "\n\n",
    ///     r#"data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#, "\n\n",
    ///     "data: [DONE]\n\n",
    /// );
    /// let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    /// decoder.keep_records();
    /// let mut writer = Writer::new(Api::OpenAi, ResponseOptions::new())?;
    /// decoder.feed(Bytes::from(body), |event| { /* observe it */ })?;
    /// decoder.take_records(|record, is_last| writer.write_record(record, is_last, &mut out));
    /// decoder.end(|_| {})?;
    /// writer.finish(Ok(()), &mut out);
    /// assert_eq!(String::from_utf8_lossy(&out), body);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_record(&mut self, record: &[u8], is_last: bool, out: &mut Vec<u8>) {
        let passed = self.passed.get_or_insert_with(|| PassThrough::new(self.api, self.hide_usage));
        let Ok(record) = core::str::from_utf8(record) else { return };
        match &mut self.framed {
            None => passed.write(record, is_last, out),
            Some(framed) => {
                passed.write(record, is_last, &mut framed.buffer);
                framed.flush(out);
            }
        }
    }

    /// Appends the end of the stream to `out`: the terminal record of a complete stream, or the error that it ended with.
    pub fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        let passed = self.passed.as_mut().filter(|_| ending.is_ok());
        let Some(framed) = &mut self.framed else {
            return match passed {
                Some(passed) => passed.finish(out),
                None => each!(&mut self.inner, writer => writer.finish(ending, out)),
            };
        };
        if let Some(passed) = passed {
            passed.finish(&mut framed.buffer);
            return framed.flush(out);
        }
        if let (Ok(()), Inner::Anthropic(writer), Some(metrics)) = (ending, &mut self.inner, framed.metrics())
        {
            writer.write(&metrics, &mut framed.buffer);
        }
        each!(&mut self.inner, writer => writer.finish(ending, &mut framed.buffer));
        match ending {
            Ok(()) => framed.flush(out),
            Err(error) => framed.fail(error, out),
        }
    }

    /// The losses so far.
    pub fn losses(&self) -> &Losses {
        match &self.inner {
            Inner::OpenAi(writer) => &writer.chunks.losses,
            Inner::Completions(writer) => &writer.chunks.losses,
            Inner::Responses(writer) => &writer.losses,
            Inner::Converse(writer) => &writer.losses,
            Inner::Anthropic(writer) => &writer.losses,
            Inner::Tgi(writer) => &writer.losses,
        }
    }

    /// Sets the JSON pointers of the losses of the last event: `find` is called only if there is such a loss, and is
    /// usually [`Decoder::pointer`](crate::Decoder::pointer).
    #[inline]
    pub fn locate_losses(&mut self, find: impl FnOnce() -> Option<String>) {
        let losses = match &mut self.inner {
            Inner::OpenAi(writer) => &mut writer.chunks.losses,
            Inner::Completions(writer) => &mut writer.chunks.losses,
            Inner::Responses(writer) => &mut writer.losses,
            Inner::Converse(writer) => &mut writer.losses,
            Inner::Anthropic(writer) => &mut writer.losses,
            Inner::Tgi(writer) => &mut writer.losses,
        };
        losses.locate(find);
    }

    /// Sets the duration of the response in milliseconds, before [`finish`](Self::finish). Only Bedrock has a field for it.
    pub fn set_latency_ms(&mut self, milliseconds: u64) {
        match (&mut self.inner, &mut self.framed) {
            (Inner::Converse(writer), _) => writer.set_latency_ms(milliseconds),
            (_, Some(framed)) => framed.set_latency_ms(milliseconds),
            _ => {}
        }
    }

    /// Sets the time to the first event in milliseconds, before [`finish`](Self::finish). Only Bedrock's InvokeModel has a field
    /// for it.
    pub fn set_first_event_ms(&mut self, milliseconds: u64) {
        if let Some(framed) = &mut self.framed {
            framed.set_first_event_ms(milliseconds);
        }
    }
}

/// Writes a non-streaming response, and returns its losses. `options` has the
/// values that the source may not have.
///
/// # Errors
///
/// [`Api::writes_responses`] is false.
pub fn write_response(
    api: Api,
    response: &Response,
    options: &ResponseOptions,
) -> Result<(Vec<u8>, Losses), ConvertError> {
    match api {
        Api::OpenAi => Ok(openai_chat::write_response(response, options)),
        Api::Completions => Ok(openai_chat::write_completion(response, options)),
        Api::Responses => Ok(openai_responses::write_response(response, options)),
        Api::Converse => Ok(converse::write_response(response, options)),
        Api::Anthropic => Ok(anthropic::write_response(response, options)),
        Api::Tgi => Ok(tgi::write_response(response)),
        _ => Err(ConvertError::new(0, ConvertErrorKind::Api { api, what: "writing responses" })),
    }
}
