//! Spans with the names of
//! [OpenTelemetry's conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/) for generative AI.

use std::time::Instant;

use sagewire_codec::model::Event;
use tracing::field::Empty;

use crate::endpoint::Endpoint;
use crate::error::Error;

/// The span of one streamed chat. It ends when the answer does, or is dropped.
pub(crate) struct Span {
    span: tracing::Span,
    asked: Instant,
    has_text: bool,
}

impl Span {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let span = tracing::info_span!(
            "chat",
            "gen_ai.operation.name" = "chat",
            "gen_ai.provider.name" = "aws.sagemaker",
            "gen_ai.request.model" = endpoint.name,
            "gen_ai.response.id" = Empty,
            "gen_ai.response.model" = Empty,
            "gen_ai.response.finish_reasons" = Empty,
            "gen_ai.usage.input_tokens" = Empty,
            "gen_ai.usage.output_tokens" = Empty,
            "gen_ai.response.time_to_first_chunk" = Empty,
            "error.type" = Empty,
        );
        Self { span, asked: Instant::now(), has_text: false }
    }

    /// The answer has begun, or does not come.
    pub(crate) fn answered(self, error: Option<&Error>) -> Self {
        if let Some(error) = error {
            self.span.record("error.type", tracing::field::display(error));
        }
        self
    }

    pub(crate) fn item(&mut self, item: Option<&Result<Event<'static>, Error>>) {
        match item {
            Some(Ok(event)) => self.event(event),
            Some(Err(error)) => {
                self.span.record("error.type", tracing::field::display(error));
            }
            None => {}
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { id, model, .. } => {
                if let Some(id) = id {
                    self.span.record("gen_ai.response.id", &**id);
                }
                if let Some(model) = model {
                    self.span.record("gen_ai.response.model", &**model);
                }
            }
            Event::TextDelta { .. } | Event::ReasoningDelta { .. } | Event::ToolInputDelta { .. }
                if !self.has_text =>
            {
                self.has_text = true;
                self.span.record("gen_ai.response.time_to_first_chunk", self.asked.elapsed().as_secs_f64());
            }
            Event::Finish { reason, .. } => {
                self.span.record("gen_ai.response.finish_reasons", reason.as_str());
            }
            Event::Usage(usage) => {
                if let Some(tokens) = usage.input_tokens {
                    self.span.record("gen_ai.usage.input_tokens", tokens);
                }
                if let Some(tokens) = usage.output_tokens {
                    self.span.record("gen_ai.usage.output_tokens", tokens);
                }
            }
            _ => {}
        }
    }
}
