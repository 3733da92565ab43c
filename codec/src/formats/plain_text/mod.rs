//! Plain text: a prompt or a response without any structure.

mod read_stream;
mod request;

pub(crate) use read_stream::read as read_stream;
pub(crate) use request::{read as read_request, write as write_request};
