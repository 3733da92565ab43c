//! Anthropic Messages.

mod reader;
mod stop;

pub(super) use reader::Reader;
