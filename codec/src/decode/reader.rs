//! Reads records of any API.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem;
use core::ops::Range;

use crate::ablation::Shortcut;
use crate::assemble::{
    Delta, DeltaCall, DeltaKind, DeltaTarget, Emitter, EventQueue, ResponseState, Stop, Tracked,
};
use crate::decode::detect;
use crate::decode::kept_records::KeptRecords;
pub(crate) use crate::decode::shape_cache::RecordKind;
use crate::decode::shape_cache::ShapeCache;
pub(crate) use crate::decode::shape_match::Match;
use crate::error::DecodeErrorKind;
#[cfg(feature = "custom")]
use crate::formats::custom;
use crate::formats::{
    anthropic, cohere, converse, openai_chat, openai_responses, plain_text, text_generation,
};
use crate::json::{Json, Kind, is_document};
use crate::limits::Limits;
use crate::model::position::RecordOffset;
use crate::model::{Api, Failure};

/// Reads records into the queue of events.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    response: ResponseState,
    /// Boxed, so that a stream that has not begun is small.
    memory: Box<Memory>,
}

/// What is kept from one record to the next.
#[derive(Clone, Debug)]
struct Memory {
    shapes: ShapeCache,
    state: State,
    /// The API that the caller named.
    api: Option<Api>,
    /// Why the first record or event that was not recognized was not.
    unknown: Option<&'static str>,
    /// The records that were read, if they are kept.
    kept: Option<Box<KeptRecords>>,
}

/// The state of the reader of one API.
#[derive(Clone, Debug)]
enum State {
    /// The API is not detected yet.
    Unknown,
    OpenAi(Tracked<openai_chat::StreamState>),
    Responses(Tracked<openai_responses::StreamState>),
    Converse,
    Anthropic(Tracked<anthropic::StreamState>),
    Cohere,
    TextGeneration(Tracked<text_generation::StreamState>),
    /// Whether there was any text.
    Text(bool),
    #[cfg(feature = "custom")]
    Custom(Tracked<custom::StreamState>),
}

impl State {
    fn new(api: Api) -> Self {
        match api {
            Api::OpenAi | Api::Completions | Api::Nova => Self::OpenAi(Tracked::default()),
            Api::Responses => Self::Responses(Tracked::default()),
            Api::Converse => Self::Converse,
            Api::Anthropic => Self::Anthropic(Tracked::default()),
            Api::Cohere => Self::Cohere,
            Api::TextGeneration
            | Api::Tgi
            | Api::Lmi
            | Api::JumpStart
            | Api::JumpStartText
            | Api::JumpStartRaw
            | Api::JumpStartDialogs
            | Api::Triton
            | Api::LlamaServer
            | Api::Sglang => Self::TextGeneration(Tracked::default()),
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
            Self::Cohere => Some(Api::Cohere),
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
        Self::with_state(limits, state, api, token_logprobs)
    }

    /// A reader of a format that is described in a file.
    #[cfg(feature = "custom")]
    pub(crate) fn custom(limits: Arc<Limits>, format: Arc<custom::Format>) -> Self {
        let state = State::Custom(Tracked::new(custom::StreamState::new(format)));
        Self::with_state(limits, state, None, false)
    }

    fn with_state(limits: Arc<Limits>, state: State, api: Option<Api>, token_logprobs: bool) -> Self {
        let memory = Memory { shapes: ShapeCache::default(), state, api, unknown: None, kept: None };
        Self { response: ResponseState::new(limits, token_logprobs), memory: Box::new(memory) }
    }

    /// The API that the caller named, or that was detected.
    pub(crate) fn api(&self) -> Option<Api> {
        self.memory.api.or_else(|| self.memory.state.api())
    }

    /// The records that were read, if they are kept.
    #[inline(always)]
    pub(crate) fn kept(&mut self) -> &mut Option<Box<KeptRecords>> {
        &mut self.memory.kept
    }

    /// Keeps a record that was read, unless it is malformed.
    pub(crate) fn keep(&mut self, record: &[u8]) {
        let is_last = self.response.is_over();
        let is_good = is_last || core::str::from_utf8(record).is_ok_and(is_document);
        if let (Some(kept), true) = (&mut self.memory.kept, is_good) {
            kept.push(record, is_last);
        }
    }

    /// How far the response is.
    #[inline]
    pub(crate) fn response(&self) -> &ResponseState {
        &self.response
    }

    /// Bytes of a record that cannot be read.
    #[cold]
    pub(crate) fn malformed(&mut self, queue: &mut EventQueue, span: Range<usize>, why: &'static str) {
        self.response.malformed(queue, span, why);
        self.note_unknown(why);
    }

    /// An event of a frame was not recognized.
    #[cold]
    pub(crate) fn note_unknown(&mut self, why: &'static str) {
        self.memory.unknown.get_or_insert(why);
    }

    /// Why nothing of a response was recognized, if nothing was; `None` for an empty input as well.
    pub(crate) fn why_unrecognized(&self) -> Option<&'static str> {
        if self.response.is_recognized() || self.is_custom() && self.response.is_complete() {
            return None;
        }
        let is_empty = self.response.is_complete();
        self.memory.unknown.or(is_empty.then_some("there is nothing of one before the terminal record"))
    }

    /// Whether the format is described in a file. Its paths may find a text that is empty.
    #[cfg(feature = "custom")]
    fn is_custom(&self) -> bool {
        matches!(self.memory.state, State::Custom(_))
    }

    #[cfg(not(feature = "custom"))]
    fn is_custom(&self) -> bool {
        false
    }

    /// The failure that the container reported, once.
    #[inline]
    pub(crate) fn take_failure(&mut self) -> Option<Box<Failure>> {
        self.response.take_failure()
    }

    /// The end of the input: delivers what was held back. `is_good` is whether the input ended without an error, `is_sse`
    /// whether its records were server-sent events.
    pub(crate) fn finish(&mut self, is_good: bool, is_sse: bool, queue: &mut EventQueue) {
        let is_whole = match &mut self.memory.state {
            State::TextGeneration(state) => {
                let mut emitter = Emitter::new(&[], &mut self.response, queue);
                // A limit has nothing left to stop.
                let _ = text_generation::finish_input(state, &mut emitter);
                !is_sse && state.is_whole_body()
            }
            State::Text(has_text) => *has_text,
            #[cfg(feature = "custom")]
            State::Custom(state) => {
                let may_be = is_good && !is_sse && !self.response.is_over();
                may_be && state.finish(&mut Emitter::new(&[], &mut self.response, queue))
            }
            _ => false,
        };
        self.response.finish(is_whole && is_good, queue);
    }

    /// Whether all bytes are text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.memory.state, State::Text(_))
    }

    /// Matches the record that `bytes` begin with against the cached shapes. The bytes need not be known to be UTF-8.
    #[inline(always)]
    pub(crate) fn find_shape(&mut self, bytes: &[u8], kind: RecordKind) -> Option<Match> {
        if self.response.is_over() || !Shortcut::ShapeCache.is_on() {
            return None;
        }
        self.memory.shapes.find(bytes, kind, self.response.depth())
    }

    /// The one event of `record`, which matches a shape, if it is a delta of the open part, as nearly all are.
    #[inline(always)]
    pub(crate) fn read_delta(
        &mut self,
        record: &[u8],
        found: Match,
        queue: &mut EventQueue,
    ) -> Option<Delta> {
        let cached = self.memory.shapes.delta(found)?;
        if cached.logprobs.is_some() || !Shortcut::OneDelta.is_on() {
            return None;
        }
        let choice = cached.delta.choice;
        let (kind, block) = match &cached.delta.target {
            DeltaTarget::Text(kind) => (*kind, None),
            DeltaTarget::Block(kind, index) => (*kind, Some(*index)),
            DeltaTarget::Tool(tool) => {
                let text = queue.lone_string(record, found.text());
                let part = match cached.has_id_or_name() {
                    false => self.response.more_input(choice, tool.index, queue.bytes(record, text))?,
                    true => return None,
                };
                return Some(Delta { kind: DeltaKind::ToolInput, choice, part, text });
            }
        };
        let part = self.response.open_text(choice, block, kind)?;
        let text = queue.lone_string(record, found.text());
        self.response.remember_text(choice, queue.find(record, text));
        Some(Delta { kind: kind.into(), choice, part, text })
    }

    /// Reads `record`, which matches a shape, into the queue.
    pub(crate) fn read_match(
        &mut self,
        record: &[u8],
        found: Match,
        queue: &mut EventQueue,
    ) -> Result<(), DecodeErrorKind> {
        let Some(cached) = self.memory.shapes.delta(found) else { return Ok(()) };
        let delta = DeltaCall { text: found.text(), ..cached.delta };
        self.response.deliver(record, queue, &delta)?;
        if let Some(logprobs) = cached.logprobs.clone() {
            self.response.deliver_logprobs(queue, delta.choice, logprobs);
        }
        Ok(())
    }

    /// The position of the one delta of `record`, which matched a shape and was not parsed.
    pub(crate) fn locate(&self, record: &[u8], kind: RecordKind) -> Option<RecordOffset> {
        let mut queue = EventQueue::default();
        let mut reader = Self { response: self.response.restarted(), memory: self.memory.clone() };
        reader.read(record, 0, kind, &mut queue).ok()?;
        queue.position()
    }

    /// Reads the document that `record` has at `from`, and returns where it ends.
    pub(crate) fn read(
        &mut self,
        record: &[u8],
        from: usize,
        kind: RecordKind,
        queue: &mut EventQueue,
    ) -> Result<usize, DecodeErrorKind> {
        let Memory { shapes, state, unknown, .. } = &mut *self.memory;
        let mut emitter = Emitter::new(record, &mut self.response, queue);
        if let State::Text(has_text) = state {
            let is_first = !mem::replace(has_text, true);
            return plain_text::read_stream(is_first, emitter).map(|()| record.len());
        }
        let rest = record[from..].trim_ascii_start();
        // The terminal record, as a text or as a JSON string; OpenAI's own client looks at the beginning only.
        if rest.starts_with(b"[DONE]") || rest.starts_with(b"\"[DONE]") {
            if let State::TextGeneration(state) = state {
                if let Err(Stop::Limit(kind)) = text_generation::finish_input(state, &mut emitter) {
                    return Err(kind);
                }
            }
            emitter.done();
            return Ok(record.len());
        }
        if emitter.is_over() {
            return Ok(record.len());
        }
        let mut json = Json::new(record, from, emitter.depth());
        let before = mem::discriminant(state);
        let read = match kind {
            Some(name) => converse::read_event(name, &mut json, &mut emitter),
            None => state.document(&mut json, &mut emitter),
        };
        // If the state of a reader has changed, equal bytes may have another meaning from now on.
        let has_changed = state.take_changed() || before != mem::discriminant(state);
        if has_changed || emitter.changes_meaning() {
            *shapes = ShapeCache::default();
        }
        match read {
            Ok(()) if emitter.exceeds_events() => return Err(emitter.too_many_events()),
            Ok(()) => {}
            Err(Stop::Limit(kind)) => return Err(kind),
            Err(Stop::Json(fault)) => {
                emitter.malformed(from..record.len(), fault.why);
                unknown.get_or_insert(fault.why);
                return Ok(record.len());
            }
        }
        let cacheable = emitter.close();
        if !self.response.is_recognized() && !queue.is_empty() {
            unknown.get_or_insert("the records have an unknown shape");
        }
        if from == 0 && json.pos() == record.len() && !has_changed && Shortcut::ShapeCache.is_on() {
            if let Some(cacheable) = cacheable {
                shapes.insert(record, kind, &cacheable);
            }
        }
        Ok(json.pos())
    }
}

impl State {
    /// Whether the state was changed since the last call.
    fn take_changed(&mut self) -> bool {
        match self {
            Self::OpenAi(state) => state.take_changed(),
            Self::Responses(state) => state.take_changed(),
            Self::Anthropic(state) => state.take_changed(),
            Self::TextGeneration(state) => state.take_changed(),
            Self::Unknown | Self::Converse | Self::Cohere | Self::Text(_) => false,
            #[cfg(feature = "custom")]
            Self::Custom(state) => state.take_changed(),
        }
    }

    /// Reads a document. The first walk over it checks all of it before any of it is used.
    fn document(&mut self, json: &mut Json<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        // Only the paths of a custom format know what its documents are.
        #[cfg(feature = "custom")]
        if let Self::Custom(state) = self {
            return custom::read_record(state, json, emitter);
        }
        match json.kind()? {
            Kind::Object => self.object(json, emitter),
            Kind::Array => {
                let array = json.skip()?;
                emitter.json(array.start).array(|json| self.document(json, emitter))
            }
            _ => {
                emitter.other(None, None, json.skip()?);
                Ok(())
            }
        }
    }

    fn object(&mut self, json: &mut Json<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        if let Self::Unknown = self {
            if let Some(api) = detect::api(json.clone())? {
                *self = Self::new(api);
            }
        }
        match self {
            Self::Unknown => openai_chat::read_record(&mut Tracked::default(), json, emitter),
            Self::OpenAi(state) => openai_chat::read_record(state, json, emitter),
            Self::Responses(state) => openai_responses::read_record(state, json, emitter),
            Self::Converse => converse::read_record(json, emitter),
            Self::Anthropic(state) => anthropic::read_record(state, json, emitter),
            Self::Cohere => cohere::read_record(json, emitter),
            Self::TextGeneration(state) => text_generation::read_record(state, json, emitter),
            Self::Text(_) => json.skip().map(drop).map_err(Stop::Json),
            #[cfg(feature = "custom")]
            Self::Custom(state) => custom::read_record(state, json, emitter),
        }
    }
}
