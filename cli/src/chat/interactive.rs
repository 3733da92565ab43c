//! A conversation at a terminal.

use sagewire_codec::model::{Content, Message, Part, Response, Role};

use super::editor::{Line, Terminal};
use super::{Chat, text_parts};
use crate::fault::{Exit, Fault, note};
use crate::format::To;
use crate::output;

/// Asks for one question after another, until there are no more.
pub(super) async fn run(chat: Chat<'_>, terminal: Terminal) -> Result<(), Fault> {
    note("note: Ctrl-C ends an answer, Ctrl-D the conversation");
    let mut conversation = Conversation { chat, terminal };
    loop {
        let text = match conversation.terminal.read("> ".into()).await? {
            Line::Text(text) if text.trim().is_empty() => continue,
            Line::Text(text) => text,
            Line::Interrupted => continue,
            Line::End => return Ok(()),
        };
        if conversation.exchange(text).await?.is_none() {
            return Ok(());
        }
    }
}

#[derive(Debug)]
struct Conversation<'a> {
    chat: Chat<'a>,
    terminal: Terminal,
}

impl Conversation<'_> {
    /// One question with all that follows from it. It is forgotten where no answer came. `None` is the end.
    async fn exchange(&mut self, text: String) -> Result<Option<()>, Fault> {
        let before = self.chat.messages.len();
        self.chat.messages.push(self.chat.question(text));
        loop {
            let Some(message) = self.answer().await? else {
                self.chat.messages.truncate(before);
                return Ok(Some(()));
            };
            let calls = calls(&message);
            self.chat.messages.push(message);
            if calls.is_empty() {
                self.chat.images.clear();
                return Ok(Some(()));
            }
            for call in calls {
                match self.terminal.read(format!("{} {} = ", call.name, call.input)).await? {
                    Line::Text(text) => self.chat.messages.push(call.result(text)),
                    // A call without its result would be refused.
                    Line::Interrupted => {
                        self.chat.messages.truncate(before);
                        return Ok(Some(()));
                    }
                    Line::End => return Ok(None),
                }
            }
        }
    }

    /// What the model says to all that was said. `None` is nothing that could be kept, which has been told.
    async fn answer(&mut self) -> Result<Option<Message<'static>>, Fault> {
        let mut stream = self.chat.caller.stream();
        stream.keep();
        let body = match self.chat.body() {
            Ok(body) => body,
            Err(fault) => return told(fault),
        };
        let ending = tokio::select! {
            ending = self.chat.caller.call(body, &mut stream) => Some(ending),
            _ = tokio::signal::ctrl_c() => None,
        };
        let is_whole = match ending {
            Some(Ok(())) => true,
            Some(Err(fault)) => return told(fault),
            None => {
                stream.stop()?;
                note("note: the answer was ended");
                false
            }
        };
        if is_whole {
            self.chat.caller.tell_cut(&stream);
            if self.chat.args.to == To::Text {
                output::end_line()?;
            }
        }
        Ok(stream.into_response().and_then(|response| kept(response, is_whole)))
    }
}

/// Tells what went wrong. Where nothing that may be asked next would go better, it is the end.
fn told(fault: Fault) -> Result<Option<Message<'static>>, Fault> {
    match fault {
        Fault::Closed | Fault::Line(Exit::Usage | Exit::Io, _) => Err(fault),
        Fault::Line(_, line) => {
            note(&line);
            Ok(None)
        }
    }
}

/// An answer as the conversation goes on with it. What the model thought is not sent back, unless it is signed: then its
/// provider wants it. A call in an answer that was ended may be half of one.
fn kept(response: Response, is_whole: bool) -> Option<Message<'static>> {
    let answer = response.choices.into_iter().next()?;
    let is_kept = |part: &Part<'_>| match &part.content {
        Content::Reasoning { signature, .. } => is_whole && signature.is_some(),
        Content::Redacted(_) | Content::ToolCall { .. } => is_whole,
        _ => true,
    };
    let content: Vec<_> = answer.content.into_iter().filter(is_kept).collect();
    (!content.is_empty()).then(|| Message::new(Role::Assistant, content))
}

/// A tool that the model calls.
#[derive(Debug, PartialEq)]
struct Call {
    id: Option<String>,
    name: String,
    input: String,
}

impl Call {
    fn result(self, text: String) -> Message<'static> {
        let (id, content) = (self.id.map(Into::into), text_parts(text));
        Message::new(Role::Tool, vec![Part::new(Content::ToolResult { id, content, is_error: None })])
    }
}

fn calls(message: &Message<'_>) -> Vec<Call> {
    let call = |part: &Part<'_>| match &part.content {
        Content::ToolCall { id, name, input, .. } => {
            Some(Call { id: id.as_deref().map(Into::into), name: name.to_string(), input: input.to_string() })
        }
        _ => None,
    };
    message.content.iter().filter_map(call).collect()
}
