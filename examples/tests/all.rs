//! Every example runs, offline.
#![allow(missing_docs, unreachable_pub)]

#[path = "../gateway.rs"]
mod gateway;
#[path = "../layers.rs"]
mod layers;
#[path = "../provider.rs"]
mod provider;
#[path = "../proxy.rs"]
mod proxy;
#[path = "../stored.rs"]
mod stored;
#[path = "../threads.rs"]
mod threads;

#[test]
fn gateway() {
    gateway::main().unwrap();
}

#[test]
fn layers() {
    layers::main().unwrap();
}

#[test]
fn proxy() {
    proxy::main().unwrap();
}

#[test]
fn provider() {
    provider::main().unwrap();
}

#[test]
fn stored() {
    stored::main().unwrap();
}

#[test]
fn threads() {
    threads::main().unwrap();
}
