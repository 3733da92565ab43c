//! Whole responses.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::json;
use crate::model::custom_tool_input::{CUSTOM_INPUT, custom_object};
use crate::model::position::{RecordOffset, ResponseItem, ResponsePositions};
use crate::model::{Api, CHOICE, Event, FinishReason, Json, Losses, Outcome, PartKind, Usage};
use crate::model::{Content, Param, Part, Text};

/// A whole response: what the events of a stream, or of a non-streaming response, add up to.
///
/// ```
/// use bytes::Bytes;
/// use sagewire_codec::{Decoder, model::Response};
///
/// let mut response = Response::default();
/// let mut decoder = Decoder::new();
/// let mut body = Bytes::from_static(
///     br#"{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#,
/// );
/// while let Some(event) = decoder.decode(&mut body)? {
///     response.add(&event);
/// }
/// while let Some(event) = decoder.finish()? {
///     response.add(&event);
/// }
/// assert_eq!(response.choices[0].text(), "hi");
/// # Ok::<(), sagewire_codec::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Response {
    /// The source's ID of this response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The model, as the container names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// The choices, ordered by index.
    pub choices: Vec<Choice>,
    /// Token counts, if the source sends any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Unknown fields with their names, and unknown records, which have no name.
    #[serde(rename = "other", skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(Option<String>, Json<'static>)>,
    /// Records that could not be read.
    #[serde(skip_serializing_if = "is_zero")]
    pub malformed: usize,
    /// The API that parts of unknown kind ([`Content::Other`]) belong to, if there are any. Deltas of such a part are
    /// in its extension fields, each as `delta`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// The positions of all of it in the source.
    #[serde(skip)]
    pub(crate) positions: ResponsePositions,
}

/// One choice of a response.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Choice {
    /// Its index.
    pub index: u32,
    /// Its parts, in order.
    pub content: Vec<Part<'static>>,
    /// Why it ended; `None` if the source does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish: Option<FinishReason<'static>>,
    /// The stop string that ended the response, if the source reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// Log probabilities of its tokens: the JSON of each record that had some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<Json<'static>>,
    /// Citations, each with the index of the part that it belongs to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<(u32, Json<'static>)>,
    /// What the messages of a response are for, as OpenAI's Responses and SGLang have it: `"commentary"`, `"final_answer"`. Each with
    /// the index of the first part of its message, or behind the last part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<(u32, Json<'static>)>,
    /// Unknown fields, with their names.
    #[serde(rename = "other", skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(Option<String>, Json<'static>)>,
}

// The signature is the one that serde's derive calls.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Choice {
    const fn new(index: u32) -> Self {
        Self {
            index,
            content: Vec::new(),
            finish: None,
            stop: None,
            logprobs: Vec::new(),
            citations: Vec::new(),
            phases: Vec::new(),
            others: Vec::new(),
        }
    }

    /// All text of the choice.
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|part| match &part.content {
            Content::Text(text) => Some(&**text),
            _ => None,
        });
        texts.collect()
    }

    /// The tool calls: ID, name, and input, which is JSON, or free text for a custom tool.
    pub fn tool_calls(&self) -> impl Iterator<Item = (Option<&str>, &str, &str)> {
        self.content.iter().filter_map(|part| match &part.content {
            Content::ToolCall { id, name, input, .. } => Some((id.as_deref(), &**name, &**input)),
            _ => None,
        })
    }
}

impl Choice {
    /// The finish reason for an API that requires one, and whether the choice calls tools.
    pub(crate) fn reason(
        &self,
        positions: &ResponsePositions,
        losses: &mut Losses,
    ) -> (Cow<'_, FinishReason<'static>>, bool) {
        let has_tools = self.tool_calls().next().is_some();
        losses.set_here(positions.of(ResponseItem::Finish { choice: self.index }));
        let reason = match &self.finish {
            Some(reason) => Cow::Borrowed(reason),
            None => {
                losses.add("finish reason", Outcome::Defaulted, "the source gives none");
                Cow::Owned(if has_tools { FinishReason::ToolCalls } else { FinishReason::Stop })
            }
        };
        (reason, has_tools)
    }
}

/// The input of a tool call as the JSON object that the target requires.
pub(crate) fn call_input<'a>(input: &'a str, custom: bool, losses: &mut Losses) -> Cow<'a, str> {
    if custom {
        losses.add("tool call input", Outcome::Approximated, CUSTOM_INPUT);
        return Cow::Owned(custom_object(input));
    }
    input_object(input, losses)
}

/// The input of a function call as the JSON object that the target requires.
pub(crate) fn input_object<'a>(input: &'a str, losses: &mut Losses) -> Cow<'a, str> {
    if input.trim().is_empty() {
        return Cow::Borrowed("{}");
    }
    if let Some(object) = json::as_object(input) {
        return Cow::Borrowed(object);
    }
    losses.add("tool call input", Outcome::Approximated, "the target takes an object: it is a field of one");
    let mut object = Vec::new();
    json::Object::write(&mut object, |object| object.json("input", input));
    Cow::Owned(String::from_utf8_lossy(&object).into_owned())
}

impl Response {
    /// The first choice, for an API that has one choice and no logprobs and unknown fields. The rest is added to `losses`.
    pub(crate) fn only_choice(&self, losses: &mut Losses) -> &Choice {
        static NONE: Choice = Choice::new(0);
        let choice = self.choices.first().unwrap_or(&NONE);
        let index = choice.index;
        self.lose_other_choices("the target has only one choice", losses);
        self.lose_phases(choice, losses);
        for at in 0..choice.logprobs.len() {
            losses.set_here(self.positions.of(ResponseItem::Logprobs { choice: index, index: at }));
            losses.add("logprobs", Outcome::Dropped, "formats disagree on what they are");
        }
        for at in 0..choice.others.len() {
            self.lose_other(Some(index), at, "there is no place for a field of unknown meaning", losses);
        }
        self.note_malformed(losses);
        choice
    }

    /// Reports the loss of all choices but the first.
    pub(crate) fn lose_other_choices(&self, why: &'static str, losses: &mut Losses) {
        for other in self.choices.iter().skip(1) {
            losses.set_here(self.position_of(other));
            losses.add(CHOICE, Outcome::Dropped, why);
        }
    }

    /// Reports the loss of what the messages of a choice are for.
    pub(crate) fn lose_phases(&self, choice: &Choice, losses: &mut Losses) {
        for index in 0..choice.phases.len() {
            losses.set_here(self.positions.of(ResponseItem::Phase { choice: choice.index, index }));
            losses.add("other", Outcome::Dropped, "there is no place for a field of unknown meaning");
        }
    }

    /// The citations that `is_own` accepts, by the index of their text part. The rest is added to `losses`.
    pub(crate) fn citations<'r>(
        &self,
        choice: &'r Choice,
        is_own: impl Fn(&Json<'_>) -> bool,
        losses: &mut Losses,
    ) -> BTreeMap<usize, Vec<&'r str>> {
        let mut by_part: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (index, (part, json)) in choice.citations.iter().enumerate() {
            let part = *part as usize;
            let is_text = matches!(choice.content.get(part), Some(Part { content: Content::Text(_), .. }));
            if is_text && is_own(json) {
                by_part.entry(part).or_default().push(json.as_str());
            } else {
                losses.set_here(self.positions.of(ResponseItem::Citation { choice: choice.index, index }));
                losses.add("citation", Outcome::Dropped, "formats disagree on what a citation is");
            }
        }
        by_part
    }

    /// The source's own `usage` object, if it counts more than [`Usage`] and `is_own` accepts it.
    pub(crate) fn more_usage(&self, is_own: impl Fn(&str, &Json<'_>) -> bool) -> Option<&Json<'static>> {
        let more =
            self.others.iter().find(|(name, json)| name.as_deref().is_some_and(|name| is_own(name, json)));
        more.map(|(_, json)| json)
    }

    /// Reports the loss of an unknown field of a choice or of the response.
    pub(crate) fn lose_other(
        &self,
        choice: Option<u32>,
        index: usize,
        why: &'static str,
        losses: &mut Losses,
    ) {
        losses.set_here(self.positions.of(ResponseItem::Other { choice, index }));
        losses.add("other", Outcome::Dropped, why);
    }

    /// Reports the loss of records that could not be read.
    pub(crate) fn note_malformed(&self, losses: &mut Losses) {
        if self.malformed > 0 {
            losses.set_here(None);
            losses.add("malformed record", Outcome::Dropped, "what could not be read cannot be written");
        }
    }

    /// The position of a choice: that of its first part.
    fn position_of(&self, choice: &Choice) -> Option<RecordOffset> {
        let index = choice.index;
        let part = self.positions.of(ResponseItem::Part { choice: index, part: 0 });
        part.or(self.positions.of(ResponseItem::Finish { choice: index }))
    }

    /// Adds the next event.
    pub fn add(&mut self, event: &Event<'_>) {
        let mut last = None;
        match event {
            Event::Start { id, model, created, .. } => {
                last = Some(ResponseItem::Start);
                self.id = id.as_deref().map(String::from);
                self.model = model.as_deref().map(String::from);
                self.created = *created;
            }
            Event::PartStart { choice, kind, .. } => {
                let content = match kind {
                    PartKind::Text => Content::Text(Text::default()),
                    PartKind::Reasoning => Content::Reasoning { text: Text::default(), signature: None },
                    PartKind::Refusal => Content::Refusal(Text::default()),
                    PartKind::ToolCall { id, name, custom } => Content::ToolCall {
                        id: id.as_deref().map(|id| String::from(id).into()),
                        name: String::from(&**name).into(),
                        input: Text::default(),
                        custom: *custom,
                    },
                    PartKind::Other { api, json } => {
                        self.api = Some(*api);
                        Content::Other(json.clone().into_owned())
                    }
                };
                let parts = &mut self.choice(*choice).content;
                last = Some(ResponseItem::Part { choice: *choice, part: parts.len() });
                parts.push(Part::new(content));
            }
            Event::TextDelta { choice, part, text }
            | Event::ReasoningDelta { choice, part, text }
            | Event::RefusalDelta { choice, part, text }
            | Event::ToolInputDelta { choice, part, text } => {
                if let Some(
                    Content::Text(whole)
                    | Content::Reasoning { text: whole, .. }
                    | Content::Refusal(whole)
                    | Content::ToolCall { input: whole, .. },
                ) = self.part(*choice, *part).map(|part| &mut part.content)
                {
                    whole.to_mut().push_str(text);
                }
            }
            Event::OtherDelta { choice, part, json } => {
                if let Some(part) = self.part(*choice, *part) {
                    part.extension_fields
                        .push((Cow::Borrowed("delta"), Param::new(json.clone().into_owned())));
                }
            }
            Event::ReasoningSignature { choice, part, signature: more } => {
                last = Some(ResponseItem::Signature { choice: *choice, part: *part as usize });
                let part = self.part(*choice, *part).map(|part| &mut part.content);
                if let Some(Content::Reasoning { signature, .. }) = part {
                    signature.get_or_insert_default().to_mut().push_str(more);
                }
            }
            Event::Redacted { choice, part, data } => self.redact(*choice, *part, data),
            Event::Citation { choice, part, json } => {
                let part = part.unwrap_or(0);
                let citations = &mut self.choice(*choice).citations;
                last = Some(ResponseItem::Citation { choice: *choice, index: citations.len() });
                citations.push((part, json.clone().into_owned()));
            }
            Event::PartEnd { .. } => {}
            Event::Logprobs { choice, json, .. } => {
                let logprobs = &mut self.choice(*choice).logprobs;
                last = Some(ResponseItem::Logprobs { choice: *choice, index: logprobs.len() });
                logprobs.push(json.clone().into_owned());
            }
            Event::Finish { choice, reason, stop } => {
                last = Some(ResponseItem::Finish { choice: *choice });
                let choice = self.choice(*choice);
                choice.finish = Some(reason.clone().into_owned());
                choice.stop = stop.as_deref().map(String::from);
            }
            Event::Usage(usage) => {
                last = Some(ResponseItem::Usage);
                self.usage = Some(*usage);
            }
            Event::Malformed { .. } => self.malformed += 1,
            Event::Other { choice: Some(choice), name: Some(name), json } if name == "phase" => {
                let of_choice = self.choice(*choice);
                let (part, index) = (of_choice.content.len() as u32, of_choice.phases.len());
                last = Some(ResponseItem::Phase { choice: *choice, index });
                of_choice.phases.push((part, json.clone().into_owned()));
            }
            Event::Other { choice, name, json } => {
                let other = (name.as_deref().map(String::from), json.clone().into_owned());
                let index = self.add_other(*choice, other);
                last = Some(ResponseItem::Other { choice: *choice, index });
            }
        }
        self.positions.last = last;
    }

    /// Adds a field of unknown meaning, and returns its index. Each `usage` replaces the previous one.
    fn add_other(&mut self, choice: Option<u32>, other: (Option<String>, Json<'static>)) -> usize {
        let is_usage = |(name, _): &(Option<String>, Json<'_>)| name.as_deref() == Some("usage");
        let others = match choice {
            Some(choice) => &mut self.choice(choice).others,
            None if is_usage(&other) => {
                let known = self.positions.usage.filter(|&at| self.others.get(at).is_some_and(is_usage));
                if let Some(index) = known.or_else(|| self.others.iter().position(is_usage)) {
                    self.positions.usage = Some(index);
                    self.others[index] = other;
                    return index;
                }
                self.positions.usage = Some(self.others.len());
                &mut self.others
            }
            None => &mut self.others,
        };
        others.push(other);
        others.len() - 1
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = match self.choices.binary_search_by_key(&index, |choice| choice.index) {
            Ok(at) => at,
            Err(at) => {
                self.choices.insert(at, Choice::new(index));
                at
            }
        };
        &mut self.choices[at]
    }

    fn part(&mut self, choice: u32, part: u32) -> Option<&mut Part<'static>> {
        self.choice(choice).content.get_mut(part as usize)
    }

    /// Encrypted reasoning makes its part a [`Content::Redacted`].
    fn redact(&mut self, choice: u32, part: u32, more: &str) {
        match self.part(choice, part).map(|part| &mut part.content) {
            Some(Content::Redacted(data)) => data.to_mut().push_str(more),
            Some(content) => *content = Content::Redacted(Cow::Owned(String::from(more))),
            None => {}
        }
    }
}

/// Adds events one by one, as [`add`](Response::add) does.
impl<'a> Extend<Event<'a>> for Response {
    fn extend<I: IntoIterator<Item = Event<'a>>>(&mut self, events: I) {
        events.into_iter().for_each(|event| self.add(&event));
    }
}

/// The response that events add up to.
impl<'a> FromIterator<Event<'a>> for Response {
    fn from_iter<I: IntoIterator<Item = Event<'a>>>(events: I) -> Self {
        let mut response = Self::default();
        response.extend(events);
        response
    }
}
