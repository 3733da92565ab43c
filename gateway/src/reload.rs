//! Applies a changed configuration file and changed certificates while the gateway runs.
//!
//! Files are compared every two seconds, which needs no support of the file system and sees the symbolic links that Kubernetes
//! swaps. On Unix SIGHUP applies them at once, and opens the access log again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{MissedTickBehavior, interval};

use crate::admin::Health;
use crate::config::{Bounds, Config, ConfigError, Listen, Note};
use crate::connection::Patience;
use crate::gateway::Gateway;
use crate::tls::Tls;
use crate::watch::Stamp;

const INTERVAL: Duration = Duration::from_secs(2);

/// What is reloaded.
#[derive(Debug)]
pub(crate) struct Reload {
    pub(crate) gateway: Gateway,
    pub(crate) health: Arc<Health>,
    /// The configuration file, if it is watched.
    pub(crate) path: Option<PathBuf>,
    /// The certificates of all addresses.
    pub(crate) certificates: Vec<Arc<Tls>>,
    pub(crate) patience: Arc<ArcSwap<Patience>>,
}

/// The settings that need a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fixed {
    listen: Vec<Listen>,
    admin: Option<std::net::SocketAddr>,
    connections: usize,
    requests: usize,
}

impl From<&Config> for Fixed {
    fn from(config: &Config) -> Self {
        let Bounds { connections, requests, .. } = config.bounds;
        Self { listen: config.listen.clone(), admin: config.admin, connections, requests }
    }
}

impl From<&Bounds> for Patience {
    fn from(bounds: &Bounds) -> Self {
        Self { head: bounds.head, send: bounds.send }
    }
}

/// Some files: their state at the last look, and the one that is applied.
#[derive(Debug)]
struct Files {
    seen: Stamp,
    applied: Stamp,
    ok: bool,
}

impl Files {
    fn new(stamp: Stamp) -> Self {
        Self { seen: stamp.clone(), applied: stamp, ok: true }
    }

    /// Whether they have changed, and are not being written: they were the same at the last look.
    fn have_changed(&mut self, stamp: Stamp) -> bool {
        let is_stable = self.seen == stamp;
        let has_changed = is_stable && self.applied != stamp;
        if has_changed {
            self.applied = stamp.clone();
        }
        self.seen = stamp;
        has_changed
    }
}

impl Reload {
    /// Applies changes as long as the gateway runs.
    pub(crate) async fn run(self, mut hangup: Hangup) {
        // The program may listen elsewhere than the file says, so the file is compared with itself.
        let mut fixed = match self.load().await {
            Some(Ok((config, _))) => Some(Fixed::from(&config)),
            _ => None,
        };
        let mut interval = interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut config = Files::new(Stamp::of(&self.path));
        let mut certificates: Vec<_> = self.certificates.iter().map(|tls| Files::new(tls.stamp())).collect();
        loop {
            let forced = tokio::select! {
                _ = interval.tick() => false,
                () = hangup.recv() => true,
            };
            self.health.beat();
            if forced {
                self.gateway.inner().observers.reopen();
            }
            let stamp = Stamp::of(&self.path);
            if config.have_changed(stamp.clone()) || forced {
                config.applied = stamp;
                config.ok = self.apply_config(&mut fixed).await;
            }
            for (tls, files) in self.certificates.iter().zip(&mut certificates) {
                let stamp = tls.stamp();
                if files.have_changed(stamp.clone()) || forced {
                    files.applied = stamp;
                    files.ok = report(&tls.reload(), "the certificate");
                }
            }
            let ok = config.ok && certificates.iter().all(|files| files.ok);
            self.gateway.inner().observers.metrics().config_ok.set(ok.into());
        }
    }

    /// Reads the configuration file.
    async fn load(&self) -> Option<Result<(Config, Vec<Note>), ConfigError>> {
        let path = self.path.clone()?;
        tokio::task::spawn_blocking(move || Config::load(path)).await.ok()
    }

    /// Reads and applies the configuration file. If it is not valid, nothing changes.
    async fn apply_config(&self, fixed: &mut Option<Fixed>) -> bool {
        let (config, notes) = match self.load().await {
            None => return true,
            Some(Ok(loaded)) => loaded,
            Some(Err(error)) => return report(&Err(error), "the configuration"),
        };
        for Note { at, message, .. } in notes {
            eprintln!("sagewire: {at}: {message}");
        }
        let new_fixed = Fixed::from(&config);
        if fixed.replace(new_fixed.clone()).is_some_and(|old| old != new_fixed) {
            eprintln!(
                "sagewire: addresses, paths of certificates, and bounds of connections and requests change with a restart"
            );
        }
        let patience = Patience::from(&config.bounds);
        if !report(&self.gateway.reload(config).await, "the configuration") {
            return false;
        }
        self.patience.store(Arc::new(patience));
        self.gateway.inner().observers.metrics().reloads.inc();
        true
    }
}

/// Says what was not applied, and why.
fn report<E: std::fmt::Display>(result: &Result<(), E>, what: &str) -> bool {
    if let Err(error) = result {
        eprintln!("sagewire: {what} is not applied, the previous one stays: {error}");
    }
    result.is_ok()
}

/// SIGHUP, where there is one. From when this is made, the signal no longer ends the process.
#[derive(Debug)]
pub(crate) struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
