//! Names of tools that a request could not keep.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::model::Content;
use crate::model::{Event, PartKind, Response};

/// The names of tools that a request had to change because its target takes few characters, and what they were.
///
/// The model calls the tools by the names that it was told; whoever asked knows them by the others. Made by
/// [`tool_names`](crate::formats::tool_names), put back in [events](Self::restore), in [whole
/// answers](Self::restore_response), and by a [`Transcoder`](crate::Transcoder::set_tool_names).
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
pub struct ToolNames(BTreeMap<String, String>);

impl ToolNames {
    pub(crate) fn new(original_by_sent: BTreeMap<String, String>) -> Self {
        Self(original_by_sent)
    }

    /// Whether all tools kept their names.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the tool was called that was sent under this name; `None` if it kept it.
    pub fn original(&self, sent: &str) -> Option<&str> {
        self.0.get(sent).map(String::as_str)
    }

    /// The event, with the name that the tool had. All but the beginnings of calls stay as they are.
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

    /// Gives the calls of a whole answer the names that the tools had.
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
