//! Over HTTP/1.1.

mod dropped;
mod faults;
pub(crate) mod server;
