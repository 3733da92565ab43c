//! The media types of what is sent.

/// A JSON document.
pub(crate) const JSON: &str = "application/json";

/// A text as it is, or a list of texts: SageMaker's own name for it, which JumpStart's first containers take.
pub(crate) const TEXT: &str = "application/x-text";
