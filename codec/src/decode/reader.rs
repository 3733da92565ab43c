//! Reads records of any format.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::assemble::{ResponseState, Delta, DeltaKind, EventQueue, Emitter, Stop, ToolKey};
use crate::decode::detect;
pub(crate) use crate::decode::shape_cache::RecordKind;
use crate::decode::shape_cache::{Target, Templates, Trace};
pub(crate) use crate::decode::shape_match::Call;
use crate::error::DecodeErrorKind;
#[cfg(feature = "custom")]
use crate::formats::custom;
use crate::formats::plain_text;
use crate::formats::{
    anthropic, converse as bedrock, openai_chat as openai, openai_responses as responses,
    text_generation as generate,
};
use crate::json::{Json, Kind};
use crate::limits::Limits;
use crate::model::Api;
use crate::model::Failure;
use crate::model::position::RecordOffset;

/// Reads records into the queue of events.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    answer: ResponseState,
    /// Boxed, so that a stream that has not begun is small.
    memory: Box<Memory>,
}

/// What is remembered of the records that were read.
#[derive(Clone, Debug)]
struct Memory {
    templates: Templates,
    state: State,
    /// The API that the caller named.
    api: Option<Api>,
}

/// The reader of one format.
#[derive(Clone, Debug)]
enum State {
    /// No record has shown its format yet.
    Unknown,
    OpenAi(openai::Reader),
    Responses(responses::Reader),
    Converse,
    Anthropic(anthropic::Reader),
    TextGeneration(generate::Reader),
    /// Whether anything was said.
    Text(bool),
    #[cfg(feature = "custom")]
    Custom(custom::Reader),
}

impl State {
    fn new(api: Api) -> Self {
        match api {
            Api::OpenAi | Api::Completions => Self::OpenAi(openai::Reader::default()),
            Api::Responses => Self::Responses(responses::Reader::default()),
            Api::Converse => Self::Converse,
            Api::Anthropic => Self::Anthropic(anthropic::Reader::default()),
            Api::TextGeneration
            | Api::Tgi
            | Api::Lmi
            | Api::JumpStart
            | Api::JumpStartText
            | Api::JumpStartRaw
            | Api::JumpStartDialogs
            | Api::Triton
            | Api::LlamaServer => Self::TextGeneration(generate::Reader::default()),
            Api::PlainText => Self::Text(false),
        }
    }

    /// The API that was detected.
    fn api(&self) -> Option<Api> {
        match self {
            Self::Unknown => None,
            Self::OpenAi(_) => Some(Api::OpenAi),
            Self::Responses(_) => Some(Api::Responses),
            Self::Converse => Some(Api::Converse),
            Self::Anthropic(_) => Some(Api::Anthropic),
            Self::TextGeneration(_) => Some(Api::TextGeneration),
            Self::Text(_) => Some(Api::PlainText),
            #[cfg(feature = "custom")]
            Self::Custom(_) => None,
        }
    }
}

impl Reader {
    pub(crate) fn new(limits: Arc<Limits>, api: Option<Api>, token_logprobs: bool) -> Self {
        let state = api.map_or(State::Unknown, State::new);
        let memory = Memory { templates: Templates::default(), state, api };
        Self { answer: ResponseState::new(limits, token_logprobs), memory: Box::new(memory) }
    }

    /// The same for a format that is described in a file.
    #[cfg(feature = "custom")]
    pub(crate) fn custom(limits: Arc<Limits>, format: Arc<custom::Format>) -> Self {
        let state = State::Custom(custom::Reader::new(format));
        let memory = Memory { templates: Templates::default(), state, api: None };
        Self { answer: ResponseState::new(limits, false), memory: Box::new(memory) }
    }

    /// The API that the caller named, or that was detected.
    pub(crate) fn api(&self) -> Option<Api> {
        self.memory.api.or_else(|| self.memory.state.api())
    }

    /// How far the answer is.
    #[inline]
    pub(crate) fn answer(&self) -> &ResponseState {
        &self.answer
    }

    /// The failure that the container reported, once.
    #[inline]
    pub(crate) fn take_failure(&mut self) -> Option<Box<Failure>> {
        self.answer.take_failure()
    }

    /// The end of the input, which ended well or not, and whose records were events or not: what was held back.
    pub(crate) fn finish(&mut self, is_good: bool, of_events: bool, queue: &mut EventQueue) {
        let is_whole = match &mut self.memory.state {
            State::TextGeneration(reader) => !of_events && reader.is_whole_body(),
            State::Text(said) => *said,
            #[cfg(feature = "custom")]
            State::Custom(reader) => {
                let may_be = is_good && !of_events && !self.answer.is_over();
                may_be && reader.finish(&mut self.answer.emitter(&[], queue))
            }
            _ => false,
        };
        self.answer.finish(is_whole && is_good, queue);
    }

    /// Whether all bytes are text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.memory.state, State::Text(_))
    }

    /// What the record that `bytes` begin with comes to, if it is like an earlier one. They need not be known to be
    /// UTF-8.
    #[inline(always)]
    pub(crate) fn alike(&mut self, bytes: &[u8], kind: RecordKind) -> Option<Call> {
        if self.answer.is_over() {
            return None;
        }
        self.memory.templates.read(bytes, kind, self.answer.depth())
    }

    /// The one event that `record` comes to, where that is a piece of the part that is open, as it nearly always is.
    #[inline(always)]
    pub(crate) fn read_delta(&mut self, record: &[u8], call: Call, queue: &mut EventQueue) -> Option<Delta> {
        let said = self.memory.templates.said(call)?;
        if said.logprobs.is_some() {
            return None;
        }
        let choice = said.choice;
        let (kind, block) = match said.target {
            Target::TextKind(kind) => (kind, None),
            Target::Block(kind, index) => (kind, Some(index)),
            Target::Tool(index) => {
                let says_more = [said.id, said.name].iter().flatten().any(|said| said.start < said.end);
                let text = queue.lone_string(record, call.text());
                let part = match says_more {
                    false => self.answer.more_input(choice, index, queue.bytes(record, text))?,
                    true => return None,
                };
                return Some(Delta { kind: DeltaKind::ToolInput, choice, part, text });
            }
        };
        let part = self.answer.open_text(choice, block, kind)?;
        let text = queue.lone_string(record, call.text());
        if let State::TextGeneration(reader) = &mut self.memory.state {
            reader.heard(choice, queue.find(record, text));
        }
        Some(Delta { kind: kind.into(), choice, part, text })
    }

    /// Reads what `record` comes to.
    pub(crate) fn read_call(
        &mut self,
        record: &[u8],
        call: Call,
        queue: &mut EventQueue,
    ) -> Result<(), DecodeErrorKind> {
        let Some(said) = self.memory.templates.said(call) else { return Ok(()) };
        let mut emitter = self.answer.emitter(record, queue);
        let text = emitter.string(call.text());
        let read = match said.target {
            Target::TextKind(kind) => {
                if let State::TextGeneration(reader) = &mut self.memory.state {
                    reader.heard(said.choice, emitter.find(text));
                }
                emitter.plain(said.choice, kind, text)
            }
            Target::Block(kind, index) => emitter.block(said.choice, index, kind, text),
            Target::Tool(index) => {
                let (id, name) = (emitter.non_empty(said.id), emitter.non_empty(said.name));
                let key = ToolKey { index, id, name, custom: false };
                emitter.tool(said.choice, key, Some(text))
            }
        };
        if let Some(logprobs) = said.logprobs.clone() {
            emitter.logprobs(said.choice, logprobs);
        }
        match read {
            Err(Stop::Limit(kind)) => Err(kind),
            _ => Ok(()),
        }
    }

    /// Where the piece of a part stands that all of a record is: of a record that was like an earlier one, and was not
    /// searched for more than its text.
    pub(crate) fn locate(&self, record: &[u8], kind: RecordKind) -> Option<RecordOffset> {
        let mut queue = EventQueue::default();
        let mut reader = Self { answer: self.answer.anew(), memory: self.memory.clone() };
        reader.read(record, 0, kind, &mut queue).ok()?;
        queue.here()
    }

    /// Reads the document that `record` has from `from` on, and returns where it ends.
    pub(crate) fn read(
        &mut self,
        record: &[u8],
        from: usize,
        kind: RecordKind,
        queue: &mut EventQueue,
    ) -> Result<usize, DecodeErrorKind> {
        if let State::Text(said) = &mut self.memory.state {
            let is_first = !core::mem::replace(said, true);
            let emitter = self.answer.emitter(record, queue);
            return plain_text::read_stream(is_first, emitter).map(|()| record.len());
        }
        let mut emitter = self.answer.emitter(record, queue);
        let rest = record[from..].trim_ascii_start();
        // The terminal record, as a text or as a JSON string; OpenAI's own client looks at the beginning only.
        if rest.starts_with(b"[DONE]") || rest.starts_with(b"\"[DONE]") {
            emitter.done();
            return Ok(record.len());
        }
        if self.answer.is_over() {
            return Ok(record.len());
        }
        let mut emitter = self.answer.emitter(record, queue);
        let mut json = Json::new(record, from, emitter.depth());
        let mut trace = Trace::default();
        let read = match kind {
            Some(name) => bedrock::read_event(name, &mut json, &mut emitter, &mut trace),
            None => self.memory.state.document(&mut json, &mut emitter, &mut trace),
        };
        match read {
            Ok(()) => {}
            Err(Stop::Limit(kind)) => return Err(kind),
            Err(Stop::Json(fault)) => {
                emitter.malformed(from..record.len(), fault.why);
                return Ok(record.len());
            }
        }
        if trace.forget {
            self.memory.templates = Templates::default();
        }
        if from == 0 && json.pos() == record.len() && emitter.is_of_parts() {
            self.memory.templates.remember(record, kind, trace);
        }
        emitter.close();
        Ok(json.pos())
    }
}

impl State {
    /// Reads a document. The first walk over it checks all of it, before any of it is used.
    fn document(&mut self, json: &mut Json<'_>, emitter: &mut Emitter<'_>, trace: &mut Trace) -> Result<(), Stop> {
        // What the documents of such a format are, only its paths know.
        #[cfg(feature = "custom")]
        if let Self::Custom(reader) = self {
            return reader.read(json, emitter, trace);
        }
        match json.kind()? {
            Kind::Object => self.object(json, emitter, trace),
            Kind::Array => {
                let array = json.skip()?;
                trace.more();
                Json::new(emitter.record, array.start, emitter.depth())
                    .array(|json| self.document(json, emitter, trace))
            }
            _ => {
                emitter.other(None, None, json.skip()?);
                Ok(())
            }
        }
    }

    fn object(&mut self, json: &mut Json<'_>, emitter: &mut Emitter<'_>, trace: &mut Trace) -> Result<(), Stop> {
        if let Self::Unknown = self {
            if let Some(api) = detect::api(json.clone())? {
                *self = Self::new(api);
            }
        }
        match self {
            Self::Unknown => openai::Reader::default().read(json, emitter, trace),
            Self::OpenAi(reader) => reader.read(json, emitter, trace),
            Self::Responses(reader) => reader.read(json, emitter, trace),
            Self::Converse => bedrock::read(json, emitter, trace),
            Self::Anthropic(reader) => reader.read(json, emitter, trace),
            Self::TextGeneration(reader) => reader.read(json, emitter, trace),
            Self::Text(_) => json.skip().map(drop).map_err(Stop::Json),
            #[cfg(feature = "custom")]
            Self::Custom(reader) => reader.read(json, emitter, trace),
        }
    }
}
