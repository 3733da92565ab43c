//! Tests of limits, of the shared state with a real server, and of the cache.

mod arithmetic;
mod cached;
mod interleaving;
mod outage;
mod shared;
#[path = "../../../tests/common/state_server.rs"]
mod state_server;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{Budget, Key, KeyLimits, Period, Rate};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Micros = 1_000_000;

fn limits() -> KeyLimits {
    KeyLimits::default()
}

fn rate(amount: u64, per: Duration) -> Option<Rate> {
    Some(Rate { amount, per })
}

fn budget(dollars: f64) -> Option<Budget> {
    Some(Budget { dollars, per: Period::Year })
}

fn key(name: &str, limits: KeyLimits) -> Key {
    Key { limits, ..Key::new(name) }
}

fn ask(tokens: u64, dollars: f64) -> Ask {
    Ask { tokens, dollars }
}
