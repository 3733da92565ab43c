//! What operators see: metrics and the access log.

use prometheus_client::metrics::gauge::Gauge;
use sagewire_transport::Error;

use crate::config::Config;
use crate::record::Record;

mod access_log;
mod metrics;
#[cfg(test)]
mod tests;
mod timestamp;

use access_log::AccessLog;
#[allow(unused_imports, reason = "until the groups report their state")]
pub(crate) use metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, EndpointState, Metrics, StateSource};

/// The metrics and the access log of a gateway.
#[derive(Debug)]
pub(crate) struct Observers {
    metrics: Metrics,
    access_log: AccessLog,
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
        Ok(Self { metrics, access_log })
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
    }

    /// The metrics.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Opens the file of the access log again: another program has moved it.
    pub(crate) fn reopen(&self) {
        self.access_log.reopen();
    }

    /// Waits until the access log is written, for a short time.
    pub(crate) fn flush(&self) {
        self.access_log.flush();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
