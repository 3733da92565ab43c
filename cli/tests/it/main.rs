//! The binary, run as a process.

mod bedrock;
mod bench;
mod chat;
mod convert;
mod credentials;
mod custom;
mod decode;
mod demo;
mod doctor;
#[cfg(unix)]
mod documented;
mod emulate;
mod eval;
mod formats;
#[cfg(unix)]
mod interactive;
mod invoke;
mod operated;
mod process;
mod profiles;
mod recorded;
mod serve;
mod settings;
mod shell;
