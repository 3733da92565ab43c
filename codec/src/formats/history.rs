//! Calls of tools and their results as Converse and Anthropic require them: each call has one result, in the turn right after
//! it, and an ID of its own. Containers are tolerant, so that histories break these rules; without a repair, the conversation
//! could not go on.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::request_reader::Result;
use crate::formats::tool_calls::{Call, CallResult, IdChange, IdRules, ToolCalls, is_of_model, is_sent};
use crate::model::{Content, Message, MissingResult, Outcome, Part, Role};

/// The result of a call that has none.
const NO_RESULT: &str = "There is no result of this call.";

impl<'c, 'a> Conversion<'c, 'a> {
    /// Repairs calls and results. A request that goes back to the API that it was read from only gets IDs for new calls.
    pub(crate) fn repair_calls(&self, messages: &mut Cow<'c, [Message<'a>]>, rules: IdRules) -> Result<()> {
        let mut found = ToolCalls::new(messages);
        let original = self.original.iter().flat_map(|original| &original.request.messages);
        let known: BTreeSet<&str> =
            original.flat_map(|message| &message.content).filter_map(call_id).collect();
        found.make_ids_unique(rules, |id| known.contains(id));
        if found.keeps_ids() && (self.is_native() || found.is_in_order()) {
            return Ok(());
        }
        if !self.is_native() {
            self.check_results(&found)?;
        }
        self.report_calls(&found);
        let repair = Repair { c: self, found: &found, results: Vec::new() };
        *messages = Cow::Owned(repair.apply(messages));
        Ok(())
    }

    /// Fails at a call without a result, if the options say so.
    fn check_results(&self, found: &ToolCalls<'_>) -> Result<()> {
        let missing = found.calls.iter().find(|call| call.result.is_none());
        match (missing, self.options.missing_result) {
            (Some(call), MissingResult::Error) => Err(self.error(call.offset, "the call has no result")),
            _ => Ok(()),
        }
    }

    fn report_calls(&self, found: &ToolCalls<'_>) {
        for call in &found.calls {
            if let Some((id, change)) = &call.new_id {
                let (outcome, why) = match change {
                    IdChange::Missing => (Outcome::Defaulted, format!("the call has no ID: {id}")),
                    IdChange::Repeated => {
                        (Outcome::Approximated, format!("another call has this ID: {id:?}"))
                    }
                    IdChange::Invalid => {
                        (Outcome::Approximated, format!("the target does not accept such an ID: {id:?}"))
                    }
                };
                self.report(call.offset, "id", outcome, why);
            }
            if call.result.is_none() && !self.is_native() {
                let why = "the call has no result: one that says so is sent, marked as an error";
                self.report(call.offset, "tool result", Outcome::Defaulted, why);
            }
        }
        for result in &found.results {
            let Some(call) = result.call.map(|call| &found.calls[call]) else { continue };
            let id = sent_id(call);
            match result.id {
                None => self.report(
                    result.offset,
                    "id",
                    Outcome::Defaulted,
                    format!("the result has no ID: that of the call is {id:?}"),
                ),
                Some(_) if call.id.is_none() => {
                    let why = format!("no call has this ID, and the call {id:?} has none: it is its result");
                    self.report_approximated(result.offset, "id", why);
                }
                Some(_) => {}
            }
            if !found.is_in_place(result) && !self.is_native() {
                let why = "a result has to follow its call directly: it is moved there";
                self.report_approximated(result.offset, "tool result", why);
            }
        }
    }
}

/// The ID of a call or a result.
fn call_id<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match &part.content {
        Content::ToolCall { id, .. } | Content::ToolResult { id, .. } => id.as_deref(),
        _ => None,
    }
}

/// The ID that the target gets.
fn sent_id<'m>(call: &'m Call<'_>) -> &'m str {
    call.new_id.as_ref().map(|(id, _)| &**id).or(call.id).unwrap_or_default()
}

/// A part with another ID of its call.
fn with_id<'a>(part: &Part<'a>, new: Option<&str>) -> Part<'a> {
    let mut part = part.clone();
    if let (Some(new), Content::ToolCall { id, .. } | Content::ToolResult { id, .. }) =
        (new, &mut part.content)
    {
        if id.as_deref() != Some(new) {
            *id = Some(Cow::Owned(String::from(new)));
        }
    }
    part
}

/// A conversation that is being repaired.
struct Repair<'r, 'c, 'a> {
    c: &'r Conversion<'c, 'a>,
    found: &'r ToolCalls<'r>,
    /// The results of each turn of the model.
    results: Vec<Vec<Part<'a>>>,
}

impl<'a> Repair<'_, '_, 'a> {
    fn apply(mut self, messages: &[Message<'a>]) -> Vec<Message<'a>> {
        let turns = self.found.calls.last().map_or(0, |call| call.turn + 1);
        self.results.resize_with(turns, Vec::new);
        let parts = messages.iter().flat_map(|message| &message.content);
        let results: Vec<_> =
            parts.filter(|part| matches!(part.content, Content::ToolResult { .. })).collect();
        let mut calls = self.found.calls.iter();
        let mut indices = 0..results.len();
        let mut repaired = Vec::with_capacity(messages.len());
        for message in messages {
            let (mut content, mut role) = (Vec::with_capacity(message.content.len()), message.role.clone());
            for part in &message.content {
                match &part.content {
                    Content::ToolCall { .. } => content.push(with_id(part, calls.next().map(sent_id))),
                    Content::ToolResult { .. } => {
                        let before = content.len();
                        self.result(&results, indices.next().unwrap_or_default(), &mut content);
                        if role == Role::Tool && !self.c.is_native() && content.len() > before {
                            role = Role::User;
                        }
                    }
                    _ => content.push(part.clone()),
                }
            }
            let (name, extension_fields) = (message.name.clone(), message.extension_fields.clone());
            repaired.push(Message { role, content, name, extension_fields, offset: message.offset });
        }
        if self.c.is_native() { repaired } else { self.with_results(repaired) }
    }

    /// Puts a result to its call, or its content to the rest of its message.
    fn result(&mut self, results: &[&Part<'a>], index: usize, content: &mut Vec<Part<'a>>) {
        let (part, result) = (results[index], &self.found.results[index]);
        let call = result.call.map(|call| &self.found.calls[call]);
        let part = with_id(part, call.map(sent_id));
        match call {
            _ if self.c.is_native() => content.push(part),
            Some(call) => self.results[call.turn].push(part),
            None => self.without_call(results, result, part, content),
        }
    }

    /// Puts the content of a result without a call into its message.
    fn without_call(
        &self,
        results: &[&Part<'a>],
        result: &CallResult<'_>,
        part: Part<'a>,
        content: &mut Vec<Part<'a>>,
    ) {
        let Content::ToolResult { content: mut inner, .. } = part.content else { return };
        let first = result.repeats.and_then(|call| self.found.calls[call].result).map(|first| results[first]);
        let is_same = first.is_some_and(|first| match &first.content {
            Content::ToolResult { content, .. } => {
                content.iter().map(content_of).eq(inner.iter().map(content_of))
            }
            _ => false,
        });
        if is_same {
            self.c.report_dropped(part.offset, "tool result", "it repeats the result of its call");
            return;
        }
        let why = match first {
            Some(_) => "the call has another result: the content of this one is sent as the user's",
            None => "there is no such call before it: the content of the result is sent as the user's",
        };
        let Some(last) = inner.iter().rposition(is_sent) else {
            self.c.report_dropped(part.offset, "tool result", "it has no call and no content");
            return;
        };
        self.c.report_approximated(part.offset, "tool result", why);
        inner[last].cache = part.cache.or(inner[last].cache.take());
        for part in &mut inner {
            if let Content::Json(json) = &part.content {
                part.content = Content::Text(String::from(json.as_str()).into());
            }
        }
        content.append(&mut inner);
    }

    /// Inserts the results after the turns of their calls.
    fn with_results(mut self, messages: Vec<Message<'a>>) -> Vec<Message<'a>> {
        for call in self.found.calls.iter().filter(|call| call.result.is_none()) {
            let id = Some(Cow::Owned(String::from(sent_id(call))));
            let content = Vec::from([Part::new(Content::Text(NO_RESULT.into()))]);
            let result = Content::ToolResult { id, content, is_error: Some(true) };
            self.results[call.turn].push(Part { offset: call.offset, ..Part::new(result) });
        }
        let mut turns = self.results.into_iter().skip(1);
        let mut repaired: Vec<Message<'a>> = Vec::with_capacity(messages.len() + turns.len());
        for message in messages {
            let is_end = repaired.last().is_some_and(is_of_model) && !is_of_model(&message);
            if is_end {
                repaired.extend(results_message(turns.next()));
            }
            repaired.push(message);
        }
        repaired.extend(results_message(turns.next()));
        repaired
    }
}

fn content_of<'p, 'a>(part: &'p Part<'a>) -> &'p Content<'a> {
    &part.content
}

/// A message with the results of a turn, if there are any.
fn results_message<'a>(results: Option<Vec<Part<'a>>>) -> Option<Message<'a>> {
    let results = results.filter(|results| !results.is_empty())?;
    Some(Message::new(Role::Tool, results))
}
