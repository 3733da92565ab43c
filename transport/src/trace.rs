//! Spans with the names of
//! [OpenTelemetry's conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/) for generative AI.

use std::time::Instant;

use sagewire_codec::model::{Event, Response, Usage};
use tracing::field::Empty;

use crate::endpoint::Endpoint;
use crate::error::Error;

/// The span of one call. It ends when the response ends, or is dropped.
pub(crate) struct Span {
    span: tracing::Span,
    has_output: bool,
}

/// The name of a span is part of its call site, so it has to be a literal.
macro_rules! span {
    ($operation:literal, $endpoint:expr) => {
        Self {
            span: tracing::info_span!(
                $operation,
                "gen_ai.operation.name" = $operation,
                "gen_ai.provider.name" = "aws.sagemaker",
                "gen_ai.request.model" = $endpoint.name,
                "gen_ai.response.id" = Empty,
                "gen_ai.response.model" = Empty,
                "gen_ai.response.finish_reasons" = Empty,
                "gen_ai.usage.input_tokens" = Empty,
                "gen_ai.usage.output_tokens" = Empty,
                "gen_ai.response.time_to_first_chunk" = Empty,
                "error.type" = Empty,
            ),
            has_output: false,
        }
    };
}

impl Span {
    pub(crate) fn chat(endpoint: &Endpoint) -> Self {
        span!("chat", endpoint)
    }

    pub(crate) fn embeddings(endpoint: &Endpoint) -> Self {
        span!("embeddings", endpoint)
    }

    pub(crate) fn error(&self, error: &Error) {
        self.span.record("error.type", &*error.type_name());
        // The message may quote the prompt, which has no place in an attribute that is indexed.
        tracing::debug!(parent: &self.span, %error, "the call failed");
    }

    /// An event of a streaming response.
    pub(crate) fn event(&mut self, event: &Event<'_>, sent_at: Instant) {
        match event {
            Event::Start { id, model, .. } => self.start(id.as_deref(), model.as_deref()),
            Event::TextDelta { .. } | Event::ReasoningDelta { .. } | Event::ToolInputDelta { .. }
                if !self.has_output =>
            {
                self.has_output = true;
                self.span.record("gen_ai.response.time_to_first_chunk", sent_at.elapsed().as_secs_f64());
            }
            Event::Finish { reason, .. } => {
                self.span.record("gen_ai.response.finish_reasons", reason.as_str());
            }
            Event::Usage(usage) => self.usage(usage),
            _ => {}
        }
    }

    /// A non-streaming response.
    pub(crate) fn response(&self, response: &Response) {
        self.start(response.id.as_deref(), response.model.as_deref());
        if let Some(reason) = response.choices.iter().find_map(|choice| choice.finish.as_ref()) {
            self.span.record("gen_ai.response.finish_reasons", reason.as_str());
        }
        if let Some(usage) = &response.usage {
            self.usage(usage);
        }
    }

    fn start(&self, id: Option<&str>, model: Option<&str>) {
        if let Some(id) = id {
            self.span.record("gen_ai.response.id", id);
        }
        if let Some(model) = model {
            self.span.record("gen_ai.response.model", model);
        }
    }

    pub(crate) fn usage(&self, usage: &Usage) {
        if let Some(tokens) = usage.input_tokens {
            self.span.record("gen_ai.usage.input_tokens", tokens);
        }
        if let Some(tokens) = usage.output_tokens {
            self.span.record("gen_ai.usage.output_tokens", tokens);
        }
    }
}
