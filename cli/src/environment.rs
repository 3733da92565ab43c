//! Settings that the environment may have.

use std::fmt::Display;

use crate::fault::Fault;

/// What a variable says; blank is nothing.
pub(crate) fn text(name: &str) -> Option<String> {
    let text = std::env::var(name).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The same, as `parse` reads it.
pub(crate) fn parsed<T, E: Display>(
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Fault> {
    let Some(text) = text(name) else { return Ok(None) };
    let unusable = |why| Fault::usage(format!("{name}: {text:?}: {why}"));
    parse(&text).map(Some).map_err(unusable)
}
