//! The gateway as a service.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use sagewire_transport::Error;
use tokio::sync::{Mutex, Semaphore};
use tower_service::Service;

use crate::body::Body;
use crate::cached::Responses;
use crate::closing::Closer;
use crate::config::Config;
use crate::cors::Cors;
use crate::exchange;
use crate::identity::Keys;
use crate::observe::{EndpointState, Observers, StateSource};
use crate::policy::Policy;
use crate::route::{Groups, Kept};

/// A gateway: a [`tower_service::Service`] that takes HTTP requests in the APIs of OpenAI, Anthropic, Bedrock and SageMaker.
///
/// It is cheap to clone, and all clones are the same gateway. [`Server`](crate::Server) listens for it; in a program, it can be
/// called directly, or be part of a router.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) setup: ArcSwap<Setup>,
    pub(crate) policy: Policy,
    pub(crate) observers: Arc<Observers>,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) closer: Closer,
    kept: Mutex<Kept>,
}

/// What is made of a configuration. A request keeps the one with which it began.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) groups: Groups,
    pub(crate) cors: Cors,
    pub(crate) cache: Option<Responses>,
}

impl Setup {
    async fn new(config: Config, kept: &mut Kept, before: Option<&Self>) -> Result<Self, Error> {
        let groups = Groups::new(&config, kept).await?;
        let (keys, cors) = (Keys::new(&config), Cors::new(&config.cors));
        let cache = match before {
            // The entries stay.
            Some(before) if before.config.cache == config.cache => before.cache.clone(),
            _ => config.cache.as_ref().map(Responses::new),
        };
        Ok(Self { config, keys, groups, cors, cache })
    }
}

impl Gateway {
    /// A gateway with this configuration. Nothing is called yet.
    ///
    /// # Errors
    ///
    /// [`Error::is_config`]: a client of an endpoint cannot be made, for example because it has no region.
    pub async fn new(config: Config) -> Result<Self, Error> {
        let mut kept = Kept::default();
        let policy = Policy::new(config.state.as_ref()).map_err(|error| Error::config(error.to_string()))?;
        let observers = Arc::new(Observers::new(&config)?);
        let requests = Arc::new(Semaphore::new(config.bounds.requests.min(Semaphore::MAX_PERMITS)));
        let setup = ArcSwap::from_pointee(Setup::new(config, &mut kept, None).await?);
        let (kept, closer) = (Mutex::new(kept), Closer::new());
        let inner = Arc::new(Inner { setup, policy, observers, requests, closer, kept });
        let source: Weak<dyn StateSource> = Arc::downgrade(&(Arc::clone(&inner) as Arc<dyn StateSource>));
        inner.observers.metrics().set_source(source);
        Ok(Self(inner))
    }

    /// Replaces the configuration. Requests in progress keep the old one; limits, cooldowns and connections continue. Addresses,
    /// bounds and the shared state are those of the start.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new); the old configuration stays.
    pub async fn reload(&self, config: Config) -> Result<(), Error> {
        let mut kept = self.0.kept.lock().await;
        let mut next = kept.clone();
        let setup = Setup::new(config, &mut next, Some(&self.0.setup.load())).await?;
        let state = setup.config.state.as_ref();
        let is_known = |name: &str| {
            setup.config.keys.iter().any(|key| key.name == name) || setup.groups.has_account(name)
        };
        self.0.policy.reload(state, is_known).map_err(|error| Error::config(error.to_string()))?;
        self.0.observers.reload(&setup.config)?;
        *kept = next;
        self.0.setup.store(Arc::new(setup));
        Ok(())
    }

    /// Ends all streams in progress with the error of their protocol.
    pub fn close(&self) {
        self.0.closer.close();
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

/// What the metrics show of the endpoints and the limits.
impl StateSource for Inner {
    fn endpoints(&self) -> Vec<EndpointState> {
        let now = Instant::now();
        let setup = self.setup.load();
        let groups = setup.groups.iter();
        let all =
            groups.flat_map(|group| group.deployments.iter().map(move |deployment| (group, deployment)));
        all.map(|(group, deployment)| EndpointState {
            model: Arc::clone(&group.name),
            endpoint: Arc::clone(&deployment.label),
            cooldown: deployment.health.cools_for(now),
        })
        .collect()
    }

    fn limits_degraded(&self) -> bool {
        self.policy.degraded()
    }

    fn shared_failures(&self) -> u64 {
        self.policy.shared_failures()
    }
}

impl<B> Service<Request<B>> for Gateway
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(exchange::serve(inner, request).await) })
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("groups", &self.0.setup.load().groups).finish_non_exhaustive()
    }
}
