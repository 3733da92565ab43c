//! Anthropic Messages.

mod reader;

pub(super) use reader::Reader;
