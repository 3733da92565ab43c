//! Over HTTP/2.

mod dropped;
mod faults;
pub(crate) mod server;
