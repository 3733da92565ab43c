#![no_std]
#![forbid(unsafe_code)]
//! codec

extern crate alloc;

mod carry;
mod error;
pub mod eventstream;
mod failure;
mod input;
mod limits;
pub mod sagemaker;

pub use error::{Error, ErrorKind, Layer};
pub use failure::Failure;
pub use limits::Limits;
