//! The binary, run as a process.

mod bedrock;
mod chat;
mod convert;
mod custom;
mod decode;
mod demo;
mod emulate;
mod formats;
mod process;
mod recorded;
