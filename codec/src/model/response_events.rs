//! The events of a whole response.

use alloc::borrow::Cow;
use core::ops::Range;

use crate::model::{Api, Choice, Content, Event, PartKind, Response};

/// What is wrong with a record that a whole response only counts.
const UNREADABLE: &str = "it could not be read";

impl Response {
    /// Calls `emit` with the events that a stream of this response would have, so that it can be written as a stream with a
    /// [`Writer`](crate::Writer). Added to an empty response, they give an equal one.
    ///
    /// Each part has one delta, unless it is empty. Content that is not a model's, such as an image, has no events.
    ///
    /// ```
    /// use sagewire_codec::{Api, Options, Writer, model::{Response, ResponseOptions}};
    ///
    /// let body = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    /// let response = Response::read(body, Options::new())?;
    /// let (mut writer, mut out) = (Writer::new(Api::Anthropic, ResponseOptions::new())?, Vec::new());
    /// response.for_each_event(|event| writer.write(event, &mut out));
    /// writer.finish(Ok(()), &mut out);
    /// assert!(out.ends_with(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each_event(&self, mut emit: impl FnMut(&Event<'_>)) {
        let (id, model) = [&self.id, &self.model].map(|text| text.as_deref().map(Cow::Borrowed)).into();
        emit(&Event::Start { id, model, created: self.created, role: None });
        // Counts follow those that the model has names for, and records the content.
        let is_early = |(name, _): &&(Option<_>, _)| !matches!(name.as_deref(), None | Some("usage"));
        let early = self.others.iter().take_while(is_early).count();
        let other = |emit: &mut dyn FnMut(&Event<'_>), range: Range<usize>| {
            for (name, json) in &self.others[range] {
                let name = name.as_deref().map(Cow::Borrowed);
                emit(&Event::Other { choice: None, name, json: json.clone() });
            }
        };
        other(&mut emit, 0..early);
        for choice in &self.choices {
            choice.for_each_event(self.api, &mut emit);
        }
        if let Some(usage) = self.usage {
            emit(&Event::Usage(usage));
        }
        other(&mut emit, early..self.others.len());
        for _ in 0..self.malformed {
            let (bytes, reason) = (Cow::Borrowed(&[][..]), Cow::Borrowed(UNREADABLE));
            emit(&Event::Malformed { offset: 0, bytes, reason });
        }
    }
}

impl Choice {
    fn for_each_event(&self, api: Option<Api>, emit: &mut dyn FnMut(&Event<'_>)) {
        let choice = self.index;
        let (mut phases, mut citations) = (self.phases.iter().peekable(), self.citations.iter().peekable());
        let mut logprobs = self.logprobs.iter();
        let mut part = 0;
        for item in &self.content {
            while let Some((_, json)) = phases.next_if(|(at, _)| *at <= part) {
                let name = Some(Cow::Borrowed("phase"));
                emit(&Event::Other { choice: Some(choice), name, json: json.clone() });
            }
            if !item.content.for_each_event((choice, part), api, emit) {
                continue;
            }
            for (_, json) in item.extension_fields.iter().filter(|(name, _)| name == "delta") {
                emit(&Event::OtherDelta { choice, part, json: json.value.clone() });
            }
            while let Some((of, json)) = citations.next_if(|(of, _)| *of <= part) {
                emit(&Event::Citation { choice, part: Some(*of), json: json.clone() });
            }
            if let Content::Text(_) = item.content {
                for json in logprobs.by_ref() {
                    emit(&Event::Logprobs { choice, part: Some(part), json: json.clone() });
                }
            }
            emit(&Event::PartEnd { choice, part });
            part += 1;
        }
        for (_, json) in phases {
            let name = Some(Cow::Borrowed("phase"));
            emit(&Event::Other { choice: Some(choice), name, json: json.clone() });
        }
        for (of, json) in citations {
            emit(&Event::Citation { choice, part: Some(*of), json: json.clone() });
        }
        for json in logprobs {
            emit(&Event::Logprobs { choice, part: None, json: json.clone() });
        }
        for (name, json) in &self.others {
            let name = name.as_deref().map(Cow::Borrowed);
            emit(&Event::Other { choice: Some(choice), name, json: json.clone() });
        }
        if let Some(reason) = &self.finish {
            let stop = self.stop.as_deref().map(Cow::Borrowed);
            emit(&Event::Finish { choice, reason: reason.clone(), stop });
        }
    }
}

impl Content<'_> {
    /// Calls `emit` with the start of a part and its deltas, which are never empty. Returns false for content that is not a model's.
    pub(crate) fn for_each_event(
        &self,
        (choice, part): (u32, u32),
        api: Option<Api>,
        emit: &mut dyn FnMut(&Event<'_>),
    ) -> bool {
        let kind = match self {
            Content::Text(_) => PartKind::Text,
            Content::Refusal(_) => PartKind::Refusal,
            Content::Reasoning { .. } | Content::Redacted(_) => PartKind::Reasoning,
            Content::ToolCall { id, name, custom, .. } => PartKind::ToolCall {
                id: id.as_deref().map(Cow::Borrowed),
                name: Cow::Borrowed(name),
                custom: *custom,
            },
            // Without its API, it is a block of some other one.
            Content::Other(json) => {
                PartKind::Other { api: api.unwrap_or(Api::PlainText), json: json.clone() }
            }
            _ => return false,
        };
        emit(&Event::PartStart { choice, part, kind });
        let event = match self {
            Content::Text(text) => Event::TextDelta { choice, part, text: Cow::Borrowed(text) },
            Content::Refusal(text) => Event::RefusalDelta { choice, part, text: Cow::Borrowed(text) },
            Content::Reasoning { text, .. } => {
                Event::ReasoningDelta { choice, part, text: Cow::Borrowed(text) }
            }
            Content::ToolCall { input, .. } => {
                Event::ToolInputDelta { choice, part, text: Cow::Borrowed(input) }
            }
            Content::Redacted(data) => Event::Redacted { choice, part, data: Cow::Borrowed(data) },
            _ => return true,
        };
        let is_empty = match &event {
            Event::TextDelta { text, .. }
            | Event::RefusalDelta { text, .. }
            | Event::ReasoningDelta { text, .. }
            | Event::ToolInputDelta { text, .. } => text.is_empty(),
            _ => false,
        };
        if !is_empty {
            emit(&event);
        }
        if let Content::Reasoning { signature: Some(signature), .. } = self {
            emit(&Event::ReasoningSignature { choice, part, signature: Cow::Borrowed(signature) });
        }
        true
    }
}
