//! The gateway with its addresses: binds, serves, reloads, and drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sagewire_transport::Error;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::admin::{self, Admin, Health};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::listener::{Listener, Phase, Shared};
use crate::reload::{Hangup, Reload};
use crate::systemd;

/// How long streams have for the error of their protocol, when the time for draining is over.
const CLOSE: Duration = Duration::from_secs(2);
/// How long the shared state has to take the last counts.
const FLUSH: Duration = Duration::from_secs(2);
/// How long connections have to be closed.
const ABORT: Duration = Duration::from_secs(1);

/// A [`Gateway`] that is bound to its addresses.
///
/// ```no_run
/// # async fn run() -> Result<(), sagewire_transport::Error> {
/// use sagewire_gateway::Server;
/// use sagewire_gateway::config::{Config, Model};
///
/// let mut config = Config::default();
/// config.models.push(Model::endpoint("my-llm"));
/// let server = Server::bind(config).await?;
/// println!("listening on {:?}", server.addresses());
/// server.serve(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    gateway: Gateway,
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    admin: Option<(SocketAddr, admin::Running)>,
    health: Arc<Health>,
    config: Config,
    path: Option<PathBuf>,
}

impl Server {
    /// Makes the gateway and binds all addresses of the configuration. Clients wait until [`serve`](Self::serve); health says
    /// until then that the gateway is not ready.
    ///
    /// With the feature `systemd`, sockets that systemd passes are used for the addresses with their ports.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`]: an address cannot be bound, a certificate cannot be read, or the gateway cannot be made, as
    /// [`Gateway::new`] says.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let mut inherited = systemd::sockets().map_err(config_error)?;
        let mut listeners = Vec::with_capacity(config.listen.len());
        for listen in &config.listen {
            let listener = match inherited.take(listen.address) {
                Some(socket) => Listener::inherit(socket, listen),
                None => Listener::bind(listen),
            };
            listeners.push(listener.map_err(config_error)?);
        }
        let bind_admin = |address| match inherited.take(address) {
            Some(socket) => Admin::inherit(socket),
            None => Admin::bind(address),
        };
        let admin = config.admin.map(bind_admin).transpose().map_err(config_error)?;
        inherited.finish().map_err(config_error)?;
        let addresses =
            listeners.iter().map(Listener::address).collect::<Result<_, _>>().map_err(config_error)?;
        let gateway = Gateway::new(config.clone()).await?;
        let health = Arc::new(Health::default());
        let start_admin = |admin: Admin| {
            let observers = Arc::clone(&gateway.inner().observers);
            let address = admin.address();
            admin.start(Arc::clone(&health), observers).map(|running| (address, running))
        };
        let admin = admin.map(start_admin).transpose().map_err(config_error)?;
        Ok(Self { gateway, listeners, addresses, admin, health, config, path: None })
    }

    /// Applies the configuration file again when it changes, and on SIGHUP.
    ///
    /// An invalid file changes nothing; what is wrong with it is written to standard error. Requests in progress end with the
    /// configuration they began with. Addresses, and the bounds of connections and requests, need a restart.
    #[must_use]
    pub fn with_config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The addresses that clients connect to, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of health and metrics.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(address, _)| *address)
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Serves until `shutdown` resolves, and then until the requests in progress have ended.
    ///
    /// From then on the gateway is not ready. It accepts connections for [`linger`](crate::config::Shutdown::linger), and lets
    /// requests end for [`drain`](crate::config::Shutdown::drain). What is left then ends with the error of its protocol.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        // The address of health and metrics works until the end.
        let Self { gateway, listeners, admin: _admin, health, config, path, .. } = self;
        let (phase, receiver) = watch::channel(Phase::Serve);
        let patience = Arc::new(ArcSwap::from_pointee((&config.bounds).into()));
        let connections = config.bounds.connections.min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            patience: Arc::clone(&patience),
            connections: Arc::new(Semaphore::new(connections)),
            open: gateway.inner().observers.metrics().connections.clone(),
            phase: receiver,
        };
        let certificates = listeners.iter().filter_map(|listener| listener.tls().cloned()).collect();
        let mut tasks = JoinSet::new();
        let (reloaded, beating) = (gateway.clone(), Arc::clone(&health));
        tasks.spawn(
            Reload { gateway: reloaded, health: beating, path, certificates, patience }.run(Hangup::new()),
        );
        for listener in listeners {
            // Ends by the phase. Its connections are tasks of their own.
            tokio::spawn(listener.serve(gateway.clone(), shared.clone()));
        }
        drop(shared);
        health.set_ready(true);
        systemd::notify_ready();

        shutdown.await;
        health.set_ready(false);
        systemd::notify_stopping();
        sleep(config.shutdown.linger).await;
        let _ = phase.send(Phase::Drain);
        if timeout(config.shutdown.drain, phase.closed()).await.is_err() {
            gateway.close();
            if timeout(CLOSE, phase.closed()).await.is_err() {
                let _ = phase.send(Phase::Abort);
                let _ = timeout(ABORT, phase.closed()).await;
            }
        }
        gateway.inner().policy.flush(FLUSH).await;
        gateway.inner().observers.flush();
    }
}

fn config_error(error: impl std::fmt::Display) -> Error {
    Error::config(error.to_string())
}
