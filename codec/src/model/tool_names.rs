//! Tool names that were changed for a target.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::model::Content;
use crate::model::{Event, PartKind, Response};

/// Maps tool names that were changed for a target back to the original ones.
///
/// Some APIs accept only a few characters in tool names, so that [`write_request`](crate::write_request) has to change others.
/// The model then calls the tools by the changed names. [`tool_names`](crate::tool_names()) creates the map;
/// [`restore`](Self::restore), [`restore_response`](Self::restore_response) and
/// [`Transcoder::set_tool_names`](crate::Transcoder::set_tool_names) apply it.
///
/// ```
/// use sagewire_codec::model::{Api, Event, PartKind};
/// use sagewire_codec::{read_request, tool_names};
///
/// let body = br#"{"messages":[],"tools":[{"type":"function","function":{"name":"files.read"}}]}"#;
/// let names = tool_names(Api::Converse, &read_request(Api::OpenAi, body)?);
/// let kind = PartKind::ToolCall { id: None, name: "files_read".into(), custom: false };
/// let event = names.restore(Event::PartStart { choice: 0, part: 0, kind });
/// let Event::PartStart { kind: PartKind::ToolCall { name, .. }, .. } = event else { unreachable!() };
/// assert_eq!(name, "files.read");
/// # Ok::<(), sagewire_codec::ConvertError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolNames {
    names: BTreeMap<String, String>,
    ids: BTreeMap<String, String>,
}

impl ToolNames {
    /// The original names and IDs by those that were sent.
    pub(crate) fn new(names: BTreeMap<String, String>, ids: BTreeMap<String, String>) -> Self {
        Self { names, ids }
    }

    /// Whether no name and no ID was changed.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.ids.is_empty()
    }

    /// The original name of a tool that was sent under this one; `None` if it was not changed.
    pub fn original(&self, sent: &str) -> Option<&str> {
        self.names.get(sent).map(String::as_str)
    }

    /// The original ID of a call of the conversation that was sent under this one, which several calls may have; `None` if it was
    /// not changed, or if the call had none.
    pub fn original_id(&self, sent: &str) -> Option<&str> {
        self.ids.get(sent).map(String::as_str)
    }

    /// Restores the name in an event that starts a tool call. Other events are returned unchanged.
    #[inline]
    #[must_use]
    pub fn restore<'e>(&'e self, mut event: Event<'e>) -> Event<'e> {
        if let Event::PartStart { kind: PartKind::ToolCall { name, .. }, .. } = &mut event {
            if let Some(original) = self.original(name) {
                *name = Cow::Borrowed(original);
            }
        }
        event
    }

    /// Restores the names of all tool calls of a response.
    pub fn restore_response(&self, response: &mut Response) {
        for part in response.choices.iter_mut().flat_map(|choice| &mut choice.content) {
            if let Content::ToolCall { name, .. } = &mut part.content {
                if let Some(original) = self.original(name) {
                    *name = Cow::Owned(original.into());
                }
            }
        }
    }
}
