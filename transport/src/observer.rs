//! What is called with each event of a response: the hook of the caller, and the span of `tracing`.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sagewire_codec::model::{Content, Event, PartKind, Response};

use crate::endpoint::Endpoint;
use crate::error::Error;

/// Called with the time since the request was sent, and the event.
pub(crate) type Hook = Arc<dyn Fn(Duration, &Event<'_>) + Send + Sync>;

/// Observes one call.
pub(crate) struct Observer {
    sent_at: Instant,
    hook: Option<Hook>,
    #[cfg(feature = "tracing")]
    span: crate::trace::Span,
}

impl Observer {
    /// Observes a chat that starts now.
    pub(crate) fn chat(endpoint: &Endpoint, hook: Option<Hook>) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _ = endpoint;
        Self {
            sent_at: Instant::now(),
            hook,
            #[cfg(feature = "tracing")]
            span: crate::trace::Span::chat(endpoint),
        }
    }

    /// Observes a call for embeddings that starts now.
    pub(crate) fn embeddings(endpoint: &Endpoint) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _ = endpoint;
        Self {
            sent_at: Instant::now(),
            hook: None,
            #[cfg(feature = "tracing")]
            span: crate::trace::Span::embeddings(endpoint),
        }
    }

    /// An event of a streaming response.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        if let Some(hook) = &self.hook {
            hook(self.sent_at.elapsed(), event);
        }
        #[cfg(feature = "tracing")]
        self.span.event(event, self.sent_at);
    }

    /// A non-streaming response of a chat: the hook gets it as events.
    pub(crate) fn response(&mut self, response: &Response) {
        if let Some(hook) = &self.hook {
            let elapsed = self.sent_at.elapsed();
            events(response, |event| hook(elapsed, event));
        }
        #[cfg(feature = "tracing")]
        self.span.response(response);
    }

    /// Token counts, of a response that is not a chat.
    pub(crate) fn usage(&mut self, usage: &sagewire_codec::model::Usage) {
        #[cfg(feature = "tracing")]
        self.span.usage(usage);
        #[cfg(not(feature = "tracing"))]
        let _ = usage;
    }

    /// The call failed.
    pub(crate) fn error(&self, error: &Error) {
        #[cfg(feature = "tracing")]
        self.span.error(error);
        #[cfg(not(feature = "tracing"))]
        let _ = error;
    }

    /// Observes the error of a result, and returns the result unchanged.
    pub(crate) fn observe<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.inspect_err(|error| self.error(error))
    }

    /// Milliseconds since the request was sent.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.sent_at.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("sent_at", &self.sent_at).finish_non_exhaustive()
    }
}

/// Passes a non-streaming response to `emit` as the events that a stream of the same content would have.
fn events(response: &Response, mut emit: impl FnMut(&Event<'_>)) {
    let borrowed = |text: &'_ Option<String>| text.clone().map(Into::into);
    let (id, model) = (borrowed(&response.id), borrowed(&response.model));
    emit(&Event::Start { id, model, created: response.created, role: None });
    for choice in &response.choices {
        let index = choice.index;
        for (part, content) in (0..).zip(choice.content.iter().map(|part| &part.content)) {
            let Some((kind, delta)) = part_events(index, part, content) else { continue };
            emit(&Event::PartStart { choice: index, part, kind });
            delta.iter().flatten().for_each(&mut emit);
            emit(&Event::PartEnd { choice: index, part });
        }
        for (part, json) in &choice.citations {
            emit(&Event::Citation { choice: index, part: Some(*part), json: json.clone() });
        }
        for json in &choice.logprobs {
            emit(&Event::Logprobs { choice: index, part: None, json: json.clone() });
        }
        if let Some(reason) = &choice.finish {
            let stop = choice.stop.as_deref().map(Into::into);
            emit(&Event::Finish { choice: index, reason: reason.clone(), stop });
        }
    }
    if let Some(usage) = response.usage {
        emit(&Event::Usage(usage));
    }
}

/// The kind of a part, and its deltas. `None` for parts that are not the model's, or that only their API knows.
fn part_events<'a>(
    choice: u32,
    part: u32,
    content: &'a Content<'_>,
) -> Option<(PartKind<'a>, [Option<Event<'a>>; 2])> {
    let text = |text: &'a str| (!text.is_empty()).then_some(text.into());
    Some(match content {
        Content::Text(whole) => {
            (PartKind::Text, [text(whole).map(|text| Event::TextDelta { choice, part, text }), None])
        }
        Content::Refusal(whole) => {
            (PartKind::Refusal, [text(whole).map(|text| Event::RefusalDelta { choice, part, text }), None])
        }
        Content::Reasoning { text: whole, signature } => {
            let delta = text(whole).map(|text| Event::ReasoningDelta { choice, part, text });
            let signature = signature.as_deref().map(Into::into);
            let signature = signature.map(|signature| Event::ReasoningSignature { choice, part, signature });
            (PartKind::Reasoning, [delta, signature])
        }
        Content::Redacted(data) => {
            let data = data.as_ref().into();
            (PartKind::Reasoning, [Some(Event::Redacted { choice, part, data }), None])
        }
        Content::ToolCall { id, name, input, custom } => {
            let kind = PartKind::ToolCall {
                id: id.as_deref().map(Into::into),
                name: name.as_ref().into(),
                custom: *custom,
            };
            (kind, [text(input).map(|text| Event::ToolInputDelta { choice, part, text }), None])
        }
        _ => return None,
    })
}
