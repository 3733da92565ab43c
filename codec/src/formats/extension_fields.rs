//! What requests put into an object beyond what [`json`](crate::json) writes.

use crate::json::Object;
use crate::model::{Fields, Text};

/// What the canonical model has, as members.
pub(crate) trait Put {
    /// Appends a text, as it is where it comes from JSON.
    fn text(&mut self, name: &'static str, text: &Text<'_>);

    /// Puts members back that stood right under `path`.
    fn extension_fields(&mut self, extension_fields: &Fields<'_>, path: &str);
}

impl Put for Object<'_> {
    #[inline]
    fn text(&mut self, name: &'static str, text: &Text<'_>) {
        text.write(self.name(name));
    }

    fn extension_fields(&mut self, extension_fields: &Fields<'_>, path: &str) {
        for (name, member) in extension_fields {
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

/// Whether anything of `own` stands below `path`.
pub(crate) fn has_below(extension_fields: &Fields<'_>, path: &str) -> bool {
    extension_fields.iter().any(|(name, _)| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether `own` has a member of this name or path.
pub(crate) fn has(extension_fields: &Fields<'_>, path: &str) -> bool {
    extension_fields.iter().any(|(name, _)| name == path)
}
