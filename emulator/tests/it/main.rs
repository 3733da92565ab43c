//! Tests over sockets.

mod answers;
mod boto3;
mod client;
mod containers;
mod signatures;
