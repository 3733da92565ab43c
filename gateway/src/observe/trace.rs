//! Traces over OTLP: one span for each request, made at its end.
//!
//! The variables of the OpenTelemetry SDK configure it (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
//! Without `OTEL_TRACES_SAMPLER`, only requests whose clients record their trace have a span.

use std::env;
use std::fmt;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use sagewire_transport::Error;
use tokio::runtime::Handle;

use super::metrics::operation;
use crate::record::Record;

/// Most bytes of a response of the collector.
const RESPONSE_LEN_MAX: usize = 1 << 20;
/// How long the last spans may take to be sent.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// The exporter of traces.
pub(super) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// An exporter, if the environment names a collector. To be called in a runtime, which sends the spans.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`]: a variable of the exporter is invalid.
    pub(super) fn from_env() -> Result<Option<Self>, Error> {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        if !["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].into_iter().any(is_set) {
            return Ok(None);
        }
        let client = sagewire_transport_reqwest::http_client(true)?.build().map_err(config_error)?;
        let client = Client { client, runtime: Handle::try_current().map_err(config_error)? };
        let exporter =
            SpanExporter::builder().with_http().with_http_client(client).build().map_err(config_error)?;
        let mut resource = Resource::builder();
        if !is_set("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name("sagewire");
        }
        let mut provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        if !is_set("OTEL_TRACES_SAMPLER") {
            provider = provider.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
        }
        let provider = provider.build();
        let tracer = provider.tracer("sagewire-gateway");
        Ok(Some(Self { provider, tracer }))
    }

    /// Makes the span of a request.
    pub(super) fn finished(&self, record: &Record) {
        let end = SystemTime::now();
        let mut parent = Context::new();
        if let Some(header) = record.trace {
            let flags = if header.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let (trace, span) = (TraceId::from_bytes(header.trace_id), SpanId::from_bytes(header.span_id));
            let remote = SpanContext::new(trace, span, flags, true, TraceState::default());
            parent = parent.with_remote_span_context(remote);
        }
        let builder = self
            .tracer
            .span_builder(record.route)
            .with_kind(SpanKind::Server)
            .with_start_time(end.checked_sub(record.total).unwrap_or(end));
        let mut span = self.tracer.build_with_context(builder, &parent);
        if span.is_recording() {
            span.set_attributes(attributes(record));
            if let Some(error) = record.error {
                span.set_status(Status::error(error.as_str()));
            }
        }
        span.end_with_timestamp(end);
    }

    /// Sends what is left.
    pub(super) fn flush(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(SHUTDOWN_MAX) {
            eprintln!("sagewire: traces are lost: {error}");
        }
    }
}

/// The attributes of a span, with the names of OpenTelemetry where it has one.
fn attributes(record: &Record) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", operation(record.route)),
        KeyValue::new("http.route", record.route),
        KeyValue::new("http.response.status_code", i64::from(record.status)),
        KeyValue::new("gen_ai.usage.input_tokens", count(record.tokens.input)),
        KeyValue::new("gen_ai.usage.output_tokens", count(record.tokens.output)),
        KeyValue::new("sagewire.request_id", record.id.to_string()),
        KeyValue::new("sagewire.door", record.door.as_str()),
        KeyValue::new("sagewire.ending", record.ending.as_str()),
        KeyValue::new("sagewire.attempts", i64::from(record.attempts)),
        KeyValue::new("sagewire.cached", record.cached),
        KeyValue::new("sagewire.overhead_seconds", record.own.as_secs_f64()),
    ];
    let texts = [
        ("gen_ai.request.model", record.model.as_deref()),
        ("sagewire.endpoint", record.endpoint.as_deref()),
        ("sagewire.key", record.key.as_deref()),
        ("error.type", record.error.map(|error| error.as_str())),
    ];
    attributes.extend(
        texts.into_iter().filter_map(|(name, text)| text.map(|text| KeyValue::new(name, text.to_owned()))),
    );
    if let Some(first) = record.first_event {
        attributes.push(KeyValue::new("sagewire.time_to_first_event_seconds", first.as_secs_f64()));
    }
    attributes
}

fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

fn config_error(error: impl fmt::Display) -> Error {
    Error::config(format!("traces: {error}"))
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

/// Sends spans. The exporter has a thread of its own, so that requests are made in the runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: http::Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { send(client, request).await });
        Box::pin(async move { sent.await? })
    }
}

async fn send(
    client: reqwest::Client,
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, HttpError> {
    let mut response = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > RESPONSE_LEN_MAX {
            return Err("the response of the collector is too long".into());
        }
        body.extend_from_slice(&chunk);
    }
    let mut converted = http::Response::new(body.into());
    *converted.status_mut() = response.status();
    *converted.headers_mut() = response.headers().clone();
    Ok(converted)
}
