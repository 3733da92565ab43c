//! The conversation as the target needs it: the place of system messages, the first role, the order of roles.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::request_reader::Result;
use crate::formats::tool_calls::IdRules;
use crate::json::Array;
use crate::model::{Api, Content, FirstMessage, Message, Outcome, Part, Request, Role, SystemPlacement};

/// The text of a user message that is inserted.
const CONTINUE: &str = "Please continue.";

/// Appends a part as a block of a turn. Returns whether it has a place there.
type Block<'b, 'a> = dyn FnMut(&Part<'a>, &'static str, &mut Vec<u8>) -> Result<bool> + 'b;

impl<'c, 'a> Conversion<'c, 'a> {
    /// The messages, as the settings have them. `user_first`: the target wants the user to begin. `ids`: it requires that each
    /// call has a result, and accepts these IDs.
    pub(crate) fn messages(&self, user_first: bool, ids: Option<IdRules>) -> Result<Cow<'c, [Message<'a>]>> {
        let mut messages = Cow::Borrowed(&self.request.messages[..]);
        if let (true, Some(prompt)) = (messages.is_empty(), &self.request.prompt) {
            self.report_approximated(prompt.offset, "prompt", "a prompt becomes the text of a user message");
            let part = Part { offset: prompt.offset, ..Part::new(Content::Text(prompt.value.clone())) };
            messages = Cow::Owned(Vec::from([Message::new(Role::User, Vec::from([part]))]));
        }
        if self.request.api == Some(Api::Responses) && !self.is_native() {
            join_items(messages.to_mut());
        }
        if let Some(rules) = ids {
            self.repair_calls(&mut messages, rules)?;
        }
        if !messages.iter().any(has_content) && !self.is_native() {
            let offset = messages.first().and_then(|message| message.offset);
            return Err(self.error(offset, "the conversation has no content"));
        }
        if self.options.system != SystemPlacement::Keep {
            self.move_system(messages.to_mut());
        }
        if self.options.merge_messages == Some(true) {
            merge(messages.to_mut());
        }
        if user_first {
            self.begin_with_user(&mut messages)?;
        }
        Ok(messages)
    }

    /// Moves the text of system messages before the text of a user message.
    fn move_system(&self, messages: &mut Vec<Message<'a>>) {
        let mut system = String::new();
        messages.retain(|message| {
            let is_system = is_system(message);
            for part in message.content.iter().filter(|_| is_system) {
                let Content::Text(text) = &part.content else {
                    self.report_dropped(part.offset, "system", "a user message takes only the system's text");
                    continue;
                };
                if !system.is_empty() {
                    system.push_str("\n\n");
                }
                system.push_str(text);
            }
            if is_system {
                self.report_approximated(
                    message.offset,
                    "system",
                    "the system text is part of a user message",
                );
            }
            !is_system
        });
        if system.is_empty() {
            return;
        }
        let mut is_user = |message: &Message<'_>| message.role == Role::User;
        let place = match self.options.system {
            SystemPlacement::LastUser => messages.iter().rposition(is_user),
            _ => messages.iter().position(&mut is_user),
        };
        let Some(message) = place.and_then(|place| messages.get_mut(place)) else {
            let part = Part::new(Content::Text(system.into()));
            messages.insert(0, Message::new(Role::User, Vec::from([part])));
            return;
        };
        match message.content.first_mut().map(|part| &mut part.content) {
            Some(Content::Text(text)) => {
                system.push_str("\n\n");
                system.push_str(text);
                *text = system.into();
            }
            _ => message.content.insert(0, Part::new(Content::Text(system.into()))),
        }
    }

    fn begin_with_user(&self, messages: &mut Cow<'c, [Message<'a>]>) -> Result<()> {
        let first = first_turn(messages);
        if first.is_some_and(|first| !matches!(messages[first].role, Role::Assistant)) {
            return Ok(());
        }
        let offset = first.and_then(|first| messages[first].offset);
        match self.options.first_message {
            FirstMessage::Leave => {}
            FirstMessage::Error => {
                return Err(self.error(offset, "the user has to begin the conversation"));
            }
            FirstMessage::Insert => {
                // A conversation that was read so stays so.
                let was_read = self.original.is_some_and(|original| {
                    let Request { messages, source, .. } = original.request;
                    let is_users = |first: usize| messages[first].role != Role::Assistant;
                    !source.is_empty() && !first_turn(messages).is_some_and(is_users)
                });
                if was_read {
                    return Ok(());
                }
                let why = "the user has to begin the conversation: \"Please continue.\" is put before it";
                self.report(offset, "messages", Outcome::Defaulted, why);
                let part = Part::new(Content::Text(CONTINUE.into()));
                let begin = first.unwrap_or(messages.len());
                messages.to_mut().insert(begin, Message::new(Role::User, Vec::from([part])));
            }
        }
        Ok(())
    }

    /// Writes messages for an API in which results of tools are messages of their own, before the rest of their message.
    pub(crate) fn messages_and_results(
        &self,
        messages: &[Message<'a>],
        mut array: Array<'_>,
        result: impl Fn(&Message<'a>, &Part<'a>, &mut Vec<u8>) -> Result<bool>,
        rest: impl Fn(&Message<'a>, &[&Part<'a>], &mut Vec<u8>) -> Result<bool>,
    ) -> Result<()> {
        for message in messages {
            let mut parts = Vec::with_capacity(message.content.len());
            for part in &message.content {
                match &part.content {
                    Content::ToolResult { .. } => {
                        array.maybe(|out| self.message(message, out, |out| result(message, part, out)))?;
                    }
                    _ => parts.push(part),
                }
            }
            if !parts.is_empty() || message.content.is_empty() {
                array.maybe(|out| self.message(message, out, |out| rest(message, &parts, out)))?;
            }
        }
        Ok(())
    }

    /// The system messages that a conversation begins with, and the rest.
    pub(crate) fn split_system<'m>(
        &self,
        messages: &'m [Message<'a>],
    ) -> (&'m [Message<'a>], &'m [Message<'a>]) {
        // A system message that was read from the list of messages stays there.
        let is_apart = |message: &Message<'_>| {
            let was_listed = self.original.is_some_and(|original| original.is_object(message.offset));
            is_system(message) && !was_listed
        };
        let first = messages.iter().position(|message| !is_apart(message)).unwrap_or(messages.len());
        messages.split_at(first)
    }

    /// Writes messages as turns of blocks, as Converse and Anthropic have them: `block` appends one part, or returns that
    /// it has no place.
    ///
    /// Consecutive messages of one role are one turn. Messages that go back to the API that they were read from are not joined.
    pub(crate) fn turns(
        &self,
        messages: &[Message<'a>],
        mut array: Array<'_>,
        block: &mut Block<'_, 'a>,
    ) -> Result<()> {
        if !self.is_native() {
            return self.joined_turns(messages, array.element(), block);
        }
        for message in messages {
            array.maybe(|out| {
                self.message(message, out, |out| {
                    let start = out.len();
                    self.joined_turns(core::slice::from_ref(message), out, block)?;
                    Ok(out.len() > start)
                })
            })?;
        }
        Ok(())
    }

    fn joined_turns(
        &self,
        messages: &[Message<'a>],
        out: &mut Vec<u8>,
        block: &mut Block<'_, 'a>,
    ) -> Result<()> {
        let is_joined = self.options.merge_messages != Some(false);
        let mut turns = Turns { out, role: None, is_over: false };
        let mut rest = messages;
        while let Some(first) = rest.first() {
            let role = self.turn_role(first);
            let is_same = |message: &&Message<'_>| is_joined && self.turn_role(message) == role;
            let same = rest[1..].iter().take_while(is_same).count();
            let (now, later) = rest.split_at(1 + same);
            rest = later;
            for message in now {
                self.report_role(message, role);
            }
            turns.is_over = !is_joined;
            for part in now.iter().flat_map(|message| &message.content) {
                turns.add(role, |out| block(part, role, out))?;
            }
        }
        turns.close();
        Ok(())
    }

    fn turn_role(&self, message: &Message<'_>) -> &'static str {
        let knows = matches!(self.request.api, Some(Api::Converse | Api::Anthropic));
        match message.role {
            Role::Assistant => "assistant",
            Role::System | Role::Developer if knows => "system",
            _ => "user",
        }
    }

    fn report_role(&self, message: &Message<'_>, role: &'static str) {
        match &message.role {
            Role::System | Role::Developer if role == "user" => {
                let why = "only some models take system messages within a conversation: sent as the user's";
                self.report_approximated(message.offset, "role", why);
            }
            Role::Other(_) => {
                self.report_approximated(message.offset, "role", "the role is unknown: sent as the user's")
            }
            _ => {}
        }
        if message.name.is_some() {
            self.report_dropped(message.offset, "name", "the target has no names of participants");
        }
    }
}

/// Turns that are being written. A turn is opened by its first block.
struct Turns<'o> {
    out: &'o mut Vec<u8>,
    role: Option<&'static str>,
    /// The next block begins a new turn, whatever its role.
    is_over: bool,
}

impl Turns<'_> {
    fn add(&mut self, role: &'static str, write: impl FnOnce(&mut Vec<u8>) -> Result<bool>) -> Result<()> {
        let before = self.out.len();
        if self.role == Some(role) && !self.is_over {
            self.out.push(b',');
        } else {
            if self.role.is_some() {
                self.out.extend_from_slice(b"]},");
            }
            self.out.extend_from_slice(b"{\"role\":\"");
            self.out.extend_from_slice(role.as_bytes());
            self.out.extend_from_slice(b"\",\"content\":[");
        }
        if write(self.out)? {
            (self.role, self.is_over) = (Some(role), false);
        } else {
            // A message without blocks neither begins a turn nor ends one.
            self.out.truncate(before);
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.role.take().is_some() {
            self.out.extend_from_slice(b"]}");
        }
    }
}

/// The index of the first message that is not the system's. Blank messages are not sent, so they do not count.
fn first_turn(messages: &[Message<'_>]) -> Option<usize> {
    messages.iter().position(|message| !is_system(message) && !is_blank(message))
}

fn is_system(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// Whether a message has content that any API accepts. Reasoning alone does not count, and unknown parts are not converted.
fn has_content(message: &Message<'_>) -> bool {
    message.content.iter().any(|part| match &part.content {
        Content::Text(text) => !text.is_blank(),
        Content::Reasoning { .. } | Content::Redacted(_) | Content::Other(_) => false,
        _ => true,
    })
}

/// Whether a message consists of white space.
fn is_blank(message: &Message<'_>) -> bool {
    message.content.iter().all(|part| matches!(&part.content, Content::Text(text) if text.is_blank()))
}

/// Joins the items of a Responses request that are one turn of the assistant: its reasoning, text and calls. Further text or
/// reasoning behind a text begins another turn, but none may come between calls and their results.
fn join_items(messages: &mut Vec<Message<'_>>) {
    let mut joined: Vec<Message<'_>> = Vec::with_capacity(messages.len());
    for mut item in messages.drain(..) {
        let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
        let is_text = |part: &Part<'_>| matches!(part.content, Content::Text(_) | Content::Refusal(_));
        let turn = joined.last_mut().filter(|turn| {
            let continues = item.content.iter().all(is_call)
                || turn.content.iter().any(is_call)
                || !turn.content.iter().any(is_text);
            turn.role == Role::Assistant && item.role == Role::Assistant && continues
        });
        match turn {
            Some(turn) => {
                turn.content.append(&mut item.content);
                turn.extension_fields.append(&mut item.extension_fields);
            }
            None => joined.push(item),
        }
    }
    *messages = joined;
}

/// Merges consecutive messages of one role. Adjacent texts become one, so that text stays plain text.
fn merge(messages: &mut Vec<Message<'_>>) {
    let mut merged: Vec<Message<'_>> = Vec::with_capacity(messages.len());
    for message in messages.drain(..) {
        let last = merged.last_mut().filter(|last| {
            last.role == message.role && last.name == message.name && message.role != Role::Tool
        });
        let Some(last) = last else {
            merged.push(message);
            continue;
        };
        last.extension_fields.extend(message.extension_fields);
        for part in message.content {
            match (last.content.last_mut().map(|part| &mut part.content), part.content) {
                (Some(Content::Text(before)), Content::Text(text)) => {
                    let before = before.to_mut();
                    before.push_str("\n\n");
                    before.push_str(&text);
                }
                (_, content) => last.content.push(Part { content, ..part }),
            }
        }
    }
    *messages = merged;
}
