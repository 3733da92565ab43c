//! Writing JSON as it comes, without building it first.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::chat::request::Members;
use crate::json::{write_integer, write_string};

/// An object that is being written. It is closed when it is dropped.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Begins a member, whose value has to be appended to what this returns.
    pub(super) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        write_string(name, self.out);
        self.out.push(b':');
        self.out
    }

    pub(super) fn string(&mut self, name: &str, value: &str) {
        write_string(value, self.name(name));
    }

    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.name(name).extend_from_slice(json.as_bytes());
    }

    pub(super) fn bool(&mut self, name: &str, value: bool) {
        self.raw(name, if value { "true" } else { "false" });
    }

    pub(super) fn integer(&mut self, name: &str, value: u64) {
        write_integer(value, self.name(name));
    }

    pub(super) fn object(&mut self, name: &str) -> Object<'_> {
        Object::new(self.name(name))
    }

    pub(super) fn array(&mut self, name: &str) -> Array<'_> {
        Array::new(self.name(name))
    }

    /// Puts members back that stood right under `path`.
    pub(super) fn own(&mut self, own: &Members<'_>, path: &str) {
        for (name, member) in own {
            let rest = if path.is_empty() {
                Some(&**name)
            } else {
                name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'))
            };
            let Some(rest) = rest.filter(|rest| !rest.contains('/')) else { continue };
            if rest.contains('~') {
                self.raw(&rest.replace("~1", "/").replace("~0", "~"), member.value.as_str());
            } else {
                self.raw(rest, member.value.as_str());
            }
        }
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// An array that is being written. It is closed when it is dropped.
pub(super) struct Array<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Array<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, is_empty: true }
    }

    /// Begins an element, which has to be appended to what this returns.
    pub(super) fn element(&mut self) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out
    }

    pub(super) fn object(&mut self) -> Object<'_> {
        Object::new(self.element())
    }

    /// Adds what `write` appends; nothing, if it says that it has nothing to say.
    pub(super) fn maybe<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let before = self.out.len();
        if !self.is_empty {
            self.out.push(b',');
        }
        if write(self.out)? {
            self.is_empty = false;
            return Ok(true);
        }
        self.out.truncate(before);
        Ok(false)
    }
}

impl Drop for Array<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}

/// Whether anything of `own` stands below `path`.
pub(super) fn has_below(own: &Members<'_>, path: &str) -> bool {
    own.iter().any(|(name, _)| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether `own` has a member of this name or path.
pub(super) fn has(own: &Members<'_>, path: &str) -> bool {
    own.iter().any(|(name, _)| name == path)
}

/// Appends a number. JSON has no infinities, which become null.
pub(super) fn write_number(value: f64, out: &mut Vec<u8>) {
    struct Bytes<'o>(&'o mut Vec<u8>);
    impl Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // Appending to memory does not fail.
    let _ = if value.is_finite() { write!(Bytes(out), "{value}") } else { write!(Bytes(out), "null") };
}
