//! A whole answer.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::request::{Content, Part, Text};
use super::{Event, FinishReason, Json, Losses, Outcome, PartKind, Usage};
use crate::json;

/// A whole answer: what the events of a stream, or of a response that was not streamed, add up to.
///
/// ```
/// use bytes::Bytes;
/// use sagewire_codec::{Decoder, chat::Response};
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
/// # Ok::<(), sagewire_codec::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// The source's name for this answer.
    pub id: Option<String>,
    /// The model as the container calls it.
    pub model: Option<String>,
    /// Seconds since the Unix epoch.
    pub created: Option<u64>,
    /// The answers, by their index.
    pub choices: Vec<Choice>,
    /// Token counts, where the source gives any.
    pub usage: Option<Usage>,
    /// Members that have no name here, with the source's names; records of unknown meaning have none.
    pub others: Vec<(Option<String>, Json<'static>)>,
    /// Records that could not be read.
    pub malformed: usize,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// Its index.
    pub index: u32,
    /// What it says, in order.
    pub content: Vec<Part<'static>>,
    /// Why it ended; `None` where the source does not say.
    pub finish: Option<FinishReason<'static>>,
    /// The stop string that was met.
    pub stop: Option<String>,
    /// Probabilities of its tokens, a piece for each record that had some.
    pub logprobs: Vec<Json<'static>>,
    /// Sources that a part cites, with the index of the part.
    pub citations: Vec<(u32, Json<'static>)>,
    /// Members that have no name here, with the source's names.
    pub others: Vec<(Option<String>, Json<'static>)>,
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
            others: Vec::new(),
        }
    }

    /// All its text.
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|part| match &part.content {
            Content::Text(text) => Some(&**text),
            _ => None,
        });
        texts.collect()
    }

    /// The tools that it calls: ID, name, and input as a JSON text.
    pub fn tool_calls(&self) -> impl Iterator<Item = (Option<&str>, &str, &str)> {
        self.content.iter().filter_map(|part| match &part.content {
            Content::ToolCall { id, name, input } => Some((id.as_deref(), &**name, &**input)),
            _ => None,
        })
    }
}

impl Choice {
    /// Why it ended, for a format that always says so; and whether it calls tools.
    pub(crate) fn reason(&self, losses: &mut Losses) -> (Cow<'_, FinishReason<'static>>, bool) {
        let has_tools = self.tool_calls().next().is_some();
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

/// The input of a tool call, for a format that wants an object.
pub(crate) fn input_object<'a>(input: &'a str, losses: &mut Losses) -> Cow<'a, str> {
    if input.trim().is_empty() {
        return Cow::Borrowed("{}");
    }
    if let Some(object) = json::as_object(input) {
        return Cow::Borrowed(object);
    }
    losses.add("tool call input", Outcome::Approximated, "the format wants an object: it is a member of one");
    let mut object = Vec::new();
    json::Object::write(&mut object, |object| object.json("input", input));
    Cow::Owned(String::from_utf8_lossy(&object).into_owned())
}

impl Response {
    /// All that a format can say that has one answer, with no place for logprobs, citations and members of unknown
    /// meaning: the first choice. The rest goes into `losses`.
    pub(crate) fn only_choice(&self, losses: &mut Losses) -> &Choice {
        static NONE: Choice = Choice::new(0);
        let choice = self.choices.first().unwrap_or(&NONE);
        let drops = [
            (self.choices.len() > 1, "choice", "the format has one answer"),
            (!choice.logprobs.is_empty(), "logprobs", "formats disagree on what they are"),
            (!choice.citations.is_empty(), "citation", "formats disagree on what a citation is"),
            (
                !(choice.others.is_empty() && self.others.is_empty()),
                "other",
                "a member of unknown meaning has no place",
            ),
            (self.malformed > 0, "malformed record", "what could not be read cannot be written"),
        ];
        for (is_lost, what, why) in drops {
            if is_lost {
                losses.add(what, Outcome::Dropped, why);
            }
        }
        choice
    }

    /// Adds what the next event says.
    pub fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { id, model, created, .. } => {
                self.id = id.as_deref().map(String::from);
                self.model = model.as_deref().map(String::from);
                self.created = *created;
            }
            Event::PartStart { choice, kind, .. } => {
                let content = match kind {
                    PartKind::Text => Content::Text(Text::default()),
                    PartKind::Reasoning => Content::Reasoning { text: Text::default(), signature: None },
                    PartKind::Refusal => Content::Refusal(Text::default()),
                    PartKind::ToolCall { id, name } => Content::ToolCall {
                        id: id.as_deref().map(|id| String::from(id).into()),
                        name: String::from(&**name).into(),
                        input: Text::default(),
                    },
                };
                self.choice(*choice).content.push(Part::new(content));
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
            Event::ReasoningSignature { choice, part, signature: more } => {
                let part = self.part(*choice, *part).map(|part| &mut part.content);
                if let Some(Content::Reasoning { signature, .. }) = part {
                    signature.get_or_insert_default().to_mut().push_str(more);
                }
            }
            Event::Redacted { choice, part, data } => self.redact(*choice, *part, data),
            Event::Citation { choice, part, json } => {
                let part = part.unwrap_or(0);
                self.choice(*choice).citations.push((part, json.clone().into_owned()));
            }
            Event::PartEnd { .. } => {}
            Event::Logprobs { choice, json, .. } => {
                self.choice(*choice).logprobs.push(json.clone().into_owned());
            }
            Event::Finish { choice, reason, stop } => {
                let choice = self.choice(*choice);
                choice.finish = Some(reason.clone().into_owned());
                choice.stop = stop.as_deref().map(String::from);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Malformed { .. } => self.malformed += 1,
            Event::Other { choice, name, json } => {
                let other = (name.as_deref().map(String::from), json.clone().into_owned());
                match choice {
                    Some(choice) => self.choice(*choice).others.push(other),
                    None => self.others.push(other),
                }
            }
        }
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

    /// Reasoning that nobody can read stands in a part that has nothing else.
    fn redact(&mut self, choice: u32, part: u32, more: &str) {
        match self.part(choice, part).map(|part| &mut part.content) {
            Some(Content::Redacted(data)) => data.to_mut().push_str(more),
            Some(content) => *content = Content::Redacted(Cow::Owned(String::from(more))),
            None => {}
        }
    }
}
