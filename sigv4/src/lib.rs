#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

pub mod bearer;
mod credential;
mod date;
mod error;

mod head;
pub mod signing;

pub use error::{SignatureError, SignatureErrorKind};
pub use head::SignedHead;
