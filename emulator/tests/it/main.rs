//! Tests over sockets.

mod answers;
mod asynchronous;
mod boto3;
mod bounds;
mod client;
mod container;
mod containers;
mod gateway;
mod hostile;
mod import_cycles;
mod openai;
mod pace;
mod recordings;
mod signatures;
mod upstream;
