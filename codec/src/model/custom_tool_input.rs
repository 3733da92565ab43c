//! Calls of custom tools, whose input is free text, in formats that know functions only: their input is an object with
//! the text in one member, which OpenAI calls `input`, too.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Object, write_escaped};

/// Why such an input is not what it was.
pub(crate) const CUSTOM_INPUT: &str = "the format wants an object: the text is its member `input`";

/// The input as an object.
pub(crate) fn custom_object(input: &str) -> String {
    let mut object = Vec::new();
    Object::write(&mut object, |object| object.string("input", input));
    String::from_utf8_lossy(&object).into_owned()
}

/// The input as an object that is streamed: [`BEGIN`](Self::BEGIN), a piece for each piece of text, [`END`](Self::END).
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomInput {
    escaped: Vec<u8>,
}

impl CustomInput {
    pub(crate) const BEGIN: &'static str = "{\"input\":\"";
    pub(crate) const END: &'static str = "\"}";

    /// A piece of the text, as it stands in the object.
    pub(crate) fn piece(&mut self, text: &str) -> Cow<'_, str> {
        self.escaped.clear();
        write_escaped(text, &mut self.escaped);
        String::from_utf8_lossy(&self.escaped)
    }
}
