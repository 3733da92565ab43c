//! Writes the events of a Responses stream.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::DecodeError;
use crate::formats::call_ids::CallIds;
use crate::formats::openai_responses::object::{Head, Status};
use crate::formats::openai_responses::open_item::{Item, Open, event, write_item_event};
use crate::formats::openai_responses::read_output::is_known;
use crate::formats::openai_responses::write_error::error_object;
use crate::formats::openai_usage::{detailed_usage, is_responses_usage};
use crate::json::{as_object, is_document, member, one_line, string, with_member, write_integer};
use crate::model::{Api, CHOICE, Event, Json, Losses, Outcome, PartKind, ResponseOptions, SHAPELESS, Usage};

/// Writes canonical events as the server-sent events of a response.
///
/// The [`ResponseOptions`] have defaults for values that the source does not have. An item ends when another one begins, or with the
/// finish reason. The last event has the whole response. A stream that fails ends with `response.failed`, so that it does not
/// look complete.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    context: ResponseOptions,
    head: Head,
    is_created: bool,
    is_over: bool,
    /// The number of events so far.
    sequence: u64,
    /// The items so far. One that the client was not told the end of is empty, or as it began.
    output: Vec<Vec<u8>>,
    /// The length of what is kept of the output, and the largest.
    len: usize,
    len_max: usize,
    open: Option<Open>,
    /// Items of tools that the service runs, by their IDs, with their indices.
    hosted: Vec<(String, usize)>,
    /// The reasoning part that began last, if no other part has begun since.
    reasoning: Option<u32>,
    /// What the message that begins next is for.
    phase: Option<String>,
    status: Option<Status>,
    usage: Option<Usage>,
    /// All counts of the source, if they contain more than the model has names for.
    more_usage: String,
    /// Fields of the response that have no meaning here.
    others: Vec<(String, String)>,
    ids: CallIds,
    pub(crate) losses: Losses,
}

/// The largest length of the output that is repeated at the end: no longer record is read, by default.
const OUTPUT_MAX: usize = 8 * 1024 * 1024;
/// The same for further fields.
const OTHERS_MAX: usize = 64 * 1024;

/// Why a part is lost that the model has no name for.
const FOREIGN: &str = "only its own API has such a block: Responses has no item for it";

impl Writer {
    /// A writer with these defaults for values that the source does not have.
    pub(crate) fn new(context: ResponseOptions) -> Self {
        Self::with_max(context, OUTPUT_MAX)
    }

    /// A writer for a whole response, which is in memory anyway.
    pub(super) fn unbounded(context: ResponseOptions) -> Self {
        Self::with_max(context, usize::MAX)
    }

    fn with_max(context: ResponseOptions, len_max: usize) -> Self {
        Self {
            ids: CallIds::new(context.id.as_deref(), context.created),
            context,
            len_max,
            head: Head::default(),
            is_created: false,
            is_over: false,
            sequence: 0,
            output: Vec::new(),
            len: 0,
            open: None,
            hosted: Vec::new(),
            reasoning: None,
            phase: None,
            status: None,
            usage: None,
            more_usage: String::new(),
            others: Vec::new(),
            losses: Losses::default(),
        }
    }

    /// Appends the output for `event` to `out`.
    pub(crate) fn write(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        match event {
            Event::Start { id, model, created, role } => {
                if role.as_deref().is_some_and(|role| role != "assistant") {
                    let why = "a message is always from the assistant";
                    self.losses.add("role", Outcome::Approximated, why);
                }
                self.create(id.as_deref(), model.as_deref(), *created, out);
            }
            event if event.choice_of_part().is_some_and(|choice| choice != 0) => {
                self.losses.add(CHOICE, Outcome::Dropped, "a response has only one choice");
            }
            Event::PartStart { part, kind, .. } => self.part_start(*part, kind, out),
            Event::TextDelta { text, .. } => self.text(false, text, out),
            Event::RefusalDelta { text, .. } => self.text(true, text, out),
            Event::ReasoningDelta { text, .. } => {
                self.open_reasoning(out);
                self.extend(text, out);
            }
            Event::ToolInputDelta { text, .. } => {
                if matches!(self.open, Some(Open { item: Item::Call { .. }, .. })) {
                    self.extend(text, out);
                }
            }
            Event::ReasoningSignature { part, signature, .. } => self.signature(*part, signature, out),
            Event::Redacted { .. } => {
                let why = "OpenAI has no redacted reasoning";
                self.losses.add("redacted reasoning", Outcome::Dropped, why);
            }
            Event::Citation { part, json, .. } => self.citation(*part, json, out),
            Event::PartEnd { .. } => {
                if let Some(open) = &mut self.open {
                    open.is_ended = true;
                }
            }
            Event::Logprobs { choice, json, .. } => self.logprobs(*choice, json, out),
            Event::Finish { reason, stop, .. } => {
                let status = Status::of(reason, stop.as_deref(), &mut self.losses);
                self.create_default(out);
                self.close(&status, out);
                self.status = Some(status);
            }
            Event::Usage(usage) => {
                self.usage = Some(*usage);
                self.more_usage.clear();
            }
            Event::Malformed { .. } => {
                let why = "what could not be read cannot be written";
                self.losses.add("malformed record", Outcome::Dropped, why);
            }
            Event::Other { choice, name: Some(name), json } => self.other(*choice, name, json, out),
            Event::Other { name: None, .. } => {
                let why = "a record of unknown meaning has no place in a response";
                self.losses.add("record", Outcome::Dropped, why);
            }
            // The loss of the whole part is in the list.
            Event::OtherDelta { .. } => {}
        }
    }

    /// Appends the end of the stream to `out`: the whole response, or the error that it ended with.
    pub(crate) fn finish(&mut self, ending: Result<(), &DecodeError>, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        self.create_default(out);
        let status = match ending {
            Ok(()) => self.end(out),
            Err(error) => Status::Failed(error_object(error)),
        };
        self.last_event(&status, out);
    }

    /// Sets the counts, beside those that have no name in the model.
    pub(super) fn set_usage(&mut self, usage: Usage) {
        self.usage = Some(usage);
    }

    /// Ends what is open. Returns how the response has ended.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Status {
        let status = self.status.take().unwrap_or_else(|| {
            self.losses.add("finish reason", Outcome::Defaulted, "the source gives none");
            Status::Completed
        });
        self.close(&status, out);
        status
    }

    fn last_event(&mut self, status: &Status, out: &mut Vec<u8>) {
        self.is_over = true;
        let mut response = Vec::new();
        self.write_response(status, &mut response);
        event(&mut self.sequence, &format!("response.{}", status.name()), out, |out| {
            out.extend_from_slice(b",\"response\":");
            out.append(&mut response);
        });
    }

    /// Appends the whole response.
    pub(super) fn write_response(&mut self, status: &Status, out: &mut Vec<u8>) {
        let usage = self.usage.take().map(|usage| detailed_usage(&usage, &mut self.losses));
        self.output.retain(|item| !item.is_empty());
        self.head.write(status, &self.output, (usage.as_ref(), &self.more_usage), &self.others, out);
    }

    /// The first events, if they are not written yet.
    pub(super) fn create_default(&mut self, out: &mut Vec<u8>) {
        if !self.is_created {
            self.create(None, None, None, out);
        }
    }

    fn create(&mut self, id: Option<&str>, model: Option<&str>, created: Option<u64>, out: &mut Vec<u8>) {
        if core::mem::replace(&mut self.is_created, true) {
            return;
        }
        let (id, created) = (id.or(self.context.id.as_deref()), created.or(self.context.created));
        self.ids.set_response(id, created);
        self.head = Head {
            id: id.unwrap_or("resp_0").into(),
            model: model.or(self.context.model.as_deref()).unwrap_or_default().into(),
            created: created.unwrap_or(0),
        };
        for name in ["response.created", "response.in_progress"] {
            event(&mut self.sequence, name, out, |out| {
                out.extend_from_slice(b",\"response\":");
                self.head.write(&Status::InProgress, &[], (None, ""), &[], out);
            });
        }
    }

    fn part_start(&mut self, part: u32, kind: &PartKind<'_>, out: &mut Vec<u8>) {
        self.create_default(out);
        self.reasoning = None;
        match kind {
            PartKind::Text | PartKind::Refusal => {
                self.open_text(part, matches!(kind, PartKind::Refusal), out);
            }
            PartKind::Reasoning => {
                // Each signature signs the text before it.
                if self.open.as_ref().is_some_and(Open::is_signed) {
                    self.close(&Status::Completed, out);
                } else if let Some(open) = &mut self.open {
                    open.end_part(&mut self.sequence, out);
                }
                self.reasoning = Some(part);
            }
            PartKind::ToolCall { id, name, custom } => {
                let given = id.as_deref().map(Cow::Borrowed);
                let call_id =
                    self.ids.next(given, "call", format_args!("{part}"), &mut self.losses).into_owned();
                let prefix = if *custom { "ctc" } else { "fc" };
                self.begin(prefix, Item::call(call_id, name, *custom), out);
            }
            PartKind::Other { api: Api::Responses, json } if as_object(json.as_str()).is_some() => {
                self.hosted_item(json, true, out);
            }
            PartKind::Other { api, .. } => {
                let why = if *api == Api::Responses { SHAPELESS } else { FOREIGN };
                self.losses.add("other part", Outcome::Dropped, why);
            }
        }
    }

    /// Begins an item.
    fn begin(&mut self, prefix: &str, item: Item, out: &mut Vec<u8>) {
        self.close(&Status::Completed, out);
        let index = self.output.len();
        let id = self.ids.numbered(prefix, format_args!("{index}"));
        self.open = Some(Open::new(index, id, item, &mut self.sequence, out));
        self.output.push(Vec::new());
    }

    /// Ends the open item. It is incomplete if the response ends so.
    fn close(&mut self, status: &Status, out: &mut Vec<u8>) {
        if let Some(open) = self.open.take() {
            let status = match status {
                Status::Incomplete(_) => status,
                _ => &Status::Completed,
            };
            let (index, item) = open.close(status, &mut self.sequence, out);
            self.len = self.len.saturating_add(item.len());
            self.output[index] = item;
        }
    }

    /// Begins a part of a message.
    fn open_text(&mut self, part: u32, is_refusal: bool, out: &mut Vec<u8>) {
        let is_open = matches!(self.open, Some(Open { item: Item::Message { .. }, .. }));
        if !is_open || self.phase.is_some() {
            let phase = self.phase.take();
            self.begin("msg", Item::message(phase), out);
        }
        if let Some(open) = &mut self.open {
            open.begin_text(part, is_refusal, &mut self.sequence, out);
        }
    }

    fn text(&mut self, is_refusal: bool, text: &str, out: &mut Vec<u8>) {
        if !self.open.as_ref().is_some_and(|open| open.has_text(is_refusal)) {
            self.create_default(out);
            self.open_text(0, is_refusal, out);
        }
        self.extend(text, out);
    }

    /// Makes sure that an item of reasoning is open.
    fn open_reasoning(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.open, Some(Open { item: Item::Reasoning { .. }, .. })) {
            self.create_default(out);
            self.begin("rs", Item::reasoning(), out);
        }
    }

    /// Adds text to the open part, which is of its kind.
    fn extend(&mut self, text: &str, out: &mut Vec<u8>) {
        let Some(open) = &mut self.open else { return };
        open.extend(text, &mut self.sequence, out);
        self.grow(text.len(), out);
    }

    /// Counts what is kept. A response that is too long to be repeated at its end fails: clients use the last event, which
    /// has to be whole.
    fn grow(&mut self, len: usize, out: &mut Vec<u8>) {
        self.len = self.len.saturating_add(len);
        // Everything is counted when it comes, and again in its item when that is done.
        if self.len / 2 > self.len_max {
            self.open = None;
            let why = "the last event repeats the response, which is too long for it";
            self.losses.add("output", Outcome::Dropped, why);
            let error = "{\"code\":\"server_error\",\"message\":\"the response is too long\"}";
            self.last_event(&Status::Failed(error.into()), out);
        }
    }

    /// The signature of reasoning is what a reasoning item has encrypted.
    fn signature(&mut self, part: u32, signature: &str, out: &mut Vec<u8>) {
        if self.reasoning != Some(part) {
            let why = "it came after its item had ended";
            self.losses.add("reasoning signature", Outcome::Dropped, why);
            return;
        }
        self.open_reasoning(out);
        if let Some(Open { item: Item::Reasoning { encrypted, .. }, .. }) = &mut self.open {
            encrypted.push_str(signature);
        }
        self.grow(signature.len(), out);
    }

    fn citation(&mut self, part: Option<u32>, json: &Json<'_>, out: &mut Vec<u8>) {
        let open = self.open.as_mut().filter(|open| open.has_text(false) && Some(open.part) == part);
        let is_written = open.is_some_and(|open| open.annotate(json.as_str(), &mut self.sequence, out));
        if is_written {
            self.grow(json.as_str().len(), out);
        } else {
            self.losses.add("citation", Outcome::Dropped, "formats disagree on what a citation is");
        }
    }

    fn logprobs(&mut self, choice: u32, json: &Json<'_>, out: &mut Vec<u8>) {
        match self.open.as_mut().filter(|open| choice == 0 && open.has_text(false)) {
            Some(open) => open.add_logprobs(json.as_str(), &mut self.losses, &mut self.sequence, out),
            None => self.losses.add("logprobs", Outcome::Dropped, "they belong to no text"),
        }
        self.grow(json.as_str().len(), out);
    }

    /// Writes an item that the model has no name for, as the source has it: `is_done`, or its beginning.
    fn hosted_item(&mut self, json: &Json<'_>, is_done: bool, out: &mut Vec<u8>) {
        self.close(&Status::Completed, out);
        let id = member(json.as_str(), "id").and_then(string).unwrap_or_default();
        let known = self.hosted.iter().position(|(known, _)| *known == id && !id.is_empty());
        let index = match known {
            Some(at) if is_done => self.hosted.swap_remove(at).1,
            _ => {
                let index = self.output.len();
                self.output.push(Vec::new());
                write_item_event(&mut self.sequence, "added", index, json.as_str().as_bytes(), out);
                if !is_done {
                    self.hosted.push((id, index));
                }
                index
            }
        };
        let item = one_line(json.as_str()).into_bytes();
        if is_done {
            write_item_event(&mut self.sequence, "done", index, &item, out);
        }
        let len = item.len();
        self.output[index] = item;
        self.grow(2 * len, out);
    }

    fn other(&mut self, choice: Option<u32>, name: &str, json: &Json<'_>, out: &mut Vec<u8>) {
        let why = match (choice, name) {
            (Some(0), "phase") => return self.set_phase(json),
            (Some(_), _) => "a response has no place for a field of unknown meaning of a choice",
            (None, "usage") if is_responses_usage(name, json) => {
                self.more_usage = one_line(json.as_str());
                return;
            }
            (None, "usage") => "Responses has no names for these counts",
            (None, name) if name.starts_with("response.") => return self.own_event(name, json, out),
            (None, name) if is_known(name.as_bytes()) => "in Responses this name has a meaning of its own",
            _ => {
                let len: usize = self.others.iter().map(|(name, json)| name.len() + json.len()).sum();
                if is_document(json.as_str()) && len + json.as_str().len() <= OTHERS_MAX {
                    self.others.retain(|(known, _)| known != name);
                    self.others.push((name.into(), one_line(json.as_str())));
                    return;
                }
                "it is longer than 64 KiB"
            }
        };
        self.losses.add("other", Outcome::Dropped, why);
    }

    /// The phase of the open message, which some servers give with its text or behind it, or of the next one.
    fn set_phase(&mut self, json: &Json<'_>) {
        let json = one_line(json.as_str());
        match &mut self.open {
            Some(Open { is_ended: false, item: Item::Message { phase: phase @ None, .. }, .. }) => {
                *phase = Some(json);
            }
            _ => self.phase = Some(json),
        }
    }

    /// Passes on an event that only Responses has, such as the progress of a tool that the service runs.
    fn own_event(&mut self, name: &str, json: &Json<'_>, out: &mut Vec<u8>) {
        let is_name = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if as_object(json.as_str()).is_none() || !is_name {
            self.losses.add("other", Outcome::Dropped, SHAPELESS);
            return;
        }
        self.create_default(out);
        if name == "response.output_item.added" {
            match member(json.as_str(), "item").filter(|item| as_object(item).is_some()) {
                Some(item) => self.hosted_item(&Json(Cow::Borrowed(item)), false, out),
                None => self.losses.add("other", Outcome::Dropped, SHAPELESS),
            }
            return;
        }
        let id = member(json.as_str(), "item_id").and_then(string);
        let known = self.hosted.iter().find(|(known, _)| Some(known) == id.as_ref());
        let mut fields = with_member(json.as_str(), "sequence_number", None);
        if let Some((_, index)) = known {
            let mut digits = Vec::new();
            write_integer(*index as u64, &mut digits);
            fields = with_member(&fields, "output_index", core::str::from_utf8(&digits).ok());
        }
        fields = with_member(&fields, "type", None);
        event(&mut self.sequence, name, out, |out| {
            let fields = one_line(&fields);
            let inner = fields.get(1..fields.len() - 1).unwrap_or_default();
            if !inner.is_empty() {
                out.push(b',');
                out.extend_from_slice(inner.as_bytes());
            }
        });
    }
}
