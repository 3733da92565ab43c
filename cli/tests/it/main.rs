//! The binary, run as a process.

mod bedrock;
mod chat;
mod convert;
mod decode;
mod demo;
mod emulate;
mod process;
mod recorded;
