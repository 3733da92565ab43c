#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
#![allow(dead_code)]

mod admin;
pub mod config;
mod connection;
mod door;
mod listener;
mod observe;
mod policy;
mod record;
mod tls;
mod watch;
