//! What operators see: metrics, the access log and traces.

use prometheus_client::metrics::gauge::Gauge;
use sagewire_transport::Error;

use crate::config::Config;
use crate::record::Record;

mod access_log;
mod metrics;
#[cfg(test)]
mod tests;
mod timestamp;
#[cfg(feature = "otlp")]
mod trace;
mod traceparent;

pub(crate) use self::timestamp::utc;
use access_log::AccessLog;
pub(crate) use metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, EndpointState, Metrics, StateSource};
pub(crate) use traceparent::TraceParent;

/// The metrics, the access log and the traces of a gateway.
#[derive(Debug)]
pub(crate) struct Observers {
    metrics: Metrics,
    access_log: AccessLog,
    #[cfg(feature = "otlp")]
    traces: Option<trace::Traces>,
}

/// A request in progress, until it is dropped.
#[derive(Debug)]
#[must_use = "the request counts as finished when this is dropped"]
pub(crate) struct InFlight(Gauge);

impl Observers {
    /// The observers of a gateway.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`]: the file of the access log cannot be opened.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let metrics = Metrics::new(config);
        let access_log = AccessLog::new(&config.access_log, metrics.log_dropped.clone())
            .map_err(|error| Error::config(error.to_string()))?;
        Ok(Self {
            metrics,
            access_log,
            #[cfg(feature = "otlp")]
            traces: trace::Traces::from_env()?,
        })
    }

    /// Uses another configuration. The counters remain.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`]: the file of the access log cannot be opened; nothing has changed then.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), Error> {
        self.access_log.reload(&config.access_log).map_err(|error| Error::config(error.to_string()))?;
        self.metrics.reload(config);
        Ok(())
    }

    /// A request has arrived.
    pub(crate) fn started(&self) -> InFlight {
        self.metrics.in_flight.inc();
        InFlight(self.metrics.in_flight.clone())
    }

    /// A request has ended. To be called once for each.
    pub(crate) fn finished(&self, record: &Record) {
        self.metrics.finished(record);
        self.access_log.write(record);
        #[cfg(feature = "otlp")]
        if let Some(traces) = &self.traces {
            traces.finished(record);
        }
    }

    /// The metrics.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Opens the file of the access log again: another program has moved it.
    pub(crate) fn reopen(&self) {
        self.access_log.reopen();
    }

    /// Waits until everything is written and sent, for a short time. No request follows.
    pub(crate) fn flush(&self) {
        self.access_log.flush();
        #[cfg(feature = "otlp")]
        if let Some(traces) = &self.traces {
            traces.flush();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
