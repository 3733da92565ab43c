#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod admin;
mod body;
mod cached;
mod chat;
mod closing;
pub mod config;
mod connection;
mod cors;
mod door;
mod early;
mod exchange;
mod fault;
mod gateway;
mod identity;
mod invocation;
mod listener;
mod observe;
mod policy;
mod record;
mod recorder;
mod reload;
mod route;
mod server;
mod systemd;
mod tls;
mod watch;

pub use body::Body;
pub use gateway::Gateway;
pub use sagewire_transport::Error;
pub use server::Server;
