//! Converts calls of custom tools (tools with free text as input) for APIs that only have functions: the input becomes an
//! object with the text in the field `input`, as OpenAI names it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Object, write_escaped};

/// The reason of the loss.
pub(crate) const CUSTOM_INPUT: &str = "the target takes an object: the text is its field `input`";

/// The input as an object.
pub(crate) fn custom_object(input: &str) -> String {
    let mut object = Vec::new();
    Object::write(&mut object, |object| object.string("input", input));
    String::from_utf8_lossy(&object).into_owned()
}

/// Streams the input as an object: [`BEGIN`](Self::BEGIN), an escaped piece for each piece of text, [`END`](Self::END).
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomInput {
    escaped: Vec<u8>,
}

impl CustomInput {
    pub(crate) const BEGIN: &'static str = "{\"input\":\"";
    pub(crate) const END: &'static str = "\"}";

    /// Escapes a piece of the text.
    pub(crate) fn piece(&mut self, text: &str) -> Cow<'_, str> {
        self.escaped.clear();
        write_escaped(text, &mut self.escaped);
        String::from_utf8_lossy(&self.escaped)
    }
}
