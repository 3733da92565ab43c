//! A conversation at a terminal.

use sagewire_codec::model::{Content, Message, Part, Response, Role};
use sagewire_eval::visible;

use super::editor::{Line, Terminal};
use super::{Chat, text_parts};
use crate::fault::{Exit, Fault, note};
use crate::format::To;
use crate::output;

/// Reads prompts from the terminal until the user ends the conversation.
pub(super) async fn run(chat: Chat<'_>, terminal: Terminal) -> Result<(), Fault> {
    note("note: Ctrl-C stops a response, Ctrl-D ends the conversation");
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
    /// One prompt with its response and tool calls. If there is no response, the prompt is removed from the conversation.
    /// `None` ends the conversation.
    async fn exchange(&mut self, text: String) -> Result<Option<()>, Fault> {
        let before = self.chat.messages.len();
        self.chat.messages.push(self.chat.user_message(text));
        loop {
            let Some(message) = self.response().await? else {
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
                match self.terminal.read(call.prompt()).await? {
                    Line::Text(text) => self.chat.messages.push(call.result(text)),
                    // Containers reject a call without its result.
                    Line::Interrupted => {
                        self.chat.messages.truncate(before);
                        return Ok(Some(()));
                    }
                    Line::End => return Ok(None),
                }
            }
        }
    }

    /// The model's next message. `None` if there is nothing to keep; the reason has been printed.
    async fn response(&mut self) -> Result<Option<Message<'static>>, Fault> {
        let mut stream = self.chat.caller.stream();
        stream.collect();
        let body = match self.chat.body() {
            Ok(body) => body,
            Err(fault) => return report(fault),
        };
        let ending = tokio::select! {
            ending = self.chat.caller.call(body, &mut stream) => Some(ending),
            _ = tokio::signal::ctrl_c() => None,
        };
        let is_complete = match ending {
            Some(Ok(())) => true,
            Some(Err(fault)) => return report(fault),
            None => {
                stream.stop()?;
                note("note: response stopped");
                false
            }
        };
        if is_complete {
            self.chat.caller.note_token_limit(&stream);
            if self.chat.args.to == To::Text {
                output::end_line()?;
            }
        }
        Ok(stream.into_response().and_then(|response| kept(response, is_complete)))
    }
}

/// Prints an error. Errors that would recur with every prompt end the conversation.
fn report(fault: Fault) -> Result<Option<Message<'static>>, Fault> {
    match fault {
        Fault::Closed | Fault::Line(Exit::Usage | Exit::Io, _) => Err(fault),
        Fault::Line(_, line) => {
            note(&line);
            Ok(None)
        }
    }
}

/// The part of a response that stays in the conversation. Reasoning is sent back only if it is signed, because then the
/// provider requires it. Of a response that was stopped, tool calls are dropped: the last one may be incomplete.
fn kept(response: Response, is_complete: bool) -> Option<Message<'static>> {
    let choice = response.choices.into_iter().next()?;
    let is_kept = |part: &Part<'_>| match &part.content {
        Content::Reasoning { signature, .. } => is_complete && signature.is_some(),
        Content::Redacted(_) | Content::ToolCall { .. } => is_complete,
        _ => true,
    };
    let content: Vec<_> = choice.content.into_iter().filter(is_kept).collect();
    (!content.is_empty()).then(|| Message::new(Role::Assistant, content))
}

/// A tool call.
#[derive(Debug, PartialEq)]
struct Call {
    id: Option<String>,
    name: String,
    input: String,
}

impl Call {
    /// The prompt for the result. The model wrote name and input, so they must not control the terminal.
    fn prompt(&self) -> String {
        visible::line(&format!("{} {} = ", self.name, self.input))
    }

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
