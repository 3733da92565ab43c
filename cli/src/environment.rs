//! Settings from environment variables.

use std::fmt::Display;

use crate::fault::Fault;

/// The value of a variable. A blank value counts as not set.
pub(crate) fn text(name: &str) -> Option<String> {
    let text = std::env::var(name).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The value of a variable, parsed. Errors name the variable.
pub(crate) fn parsed<T, E: Display>(
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Fault> {
    let Some(text) = text(name) else { return Ok(None) };
    let invalid = |reason| Fault::usage(format!("{name}: {text:?}: {reason}"));
    parse(&text).map(Some).map_err(invalid)
}
