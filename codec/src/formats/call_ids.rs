//! IDs of tool calls in responses that are written.
//!
//! APIs require that an ID is unique in a conversation. Some servers send none, use one ID for all calls of a response, or start
//! to count anew with each response. An ID that is generated here is made of the ID of the response, or of its time, so that it
//! differs from those of other responses, and is the same whenever the response is written.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::assemble::hash;
use crate::model::{Losses, Outcome};

/// The IDs of the tool calls of one response.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallIds {
    used: BTreeSet<String>,
    /// A hash of the ID of the response.
    response: Option<u64>,
}

impl CallIds {
    /// The calls of a response with this ID, created at this time.
    pub(crate) fn new(response: Option<&str>, created: Option<u64>) -> Self {
        let mut ids = Self::default();
        ids.set_response(response, created);
        ids
    }

    /// Sets the ID of the response, and the time of its creation.
    pub(crate) fn set_response(&mut self, id: Option<&str>, created: Option<u64>) {
        let of_id = id.filter(|id| !id.is_empty()).map(|id| hash(id.as_bytes()));
        let of_time = created.filter(|created| *created > 0).map(|created| hash(&created.to_le_bytes()));
        self.response = of_id.or(of_time);
    }

    /// The ID of the next call: `given`, unless it is missing or the ID of an earlier call. A generated ID begins with `prefix`
    /// and ends with `number`, which differs for each call of the response.
    pub(crate) fn next<'a>(
        &mut self,
        given: Option<Cow<'a, str>>,
        prefix: &str,
        number: fmt::Arguments<'_>,
        losses: &mut Losses,
    ) -> Cow<'a, str> {
        match given.filter(|id| !id.is_empty()) {
            None => losses.add("tool call id", Outcome::Defaulted, "the call has no ID"),
            Some(id) if self.response.is_some() && is_number(&id) => {
                let why = "a number is the ID of calls in other responses, too";
                losses.add("tool call id", Outcome::Approximated, why);
            }
            Some(id) if self.used.contains(&*id) => {
                losses.add("tool call id", Outcome::Approximated, "another call of the response has this ID");
            }
            Some(id) => {
                self.used.insert((*id).into());
                return id;
            }
        }
        let mut id = self.numbered(prefix, number);
        while self.used.contains(&id) {
            id.push('_');
        }
        self.used.insert(id.clone());
        Cow::Owned(id)
    }

    /// A generated ID: of the response, and of a number that differs for each use of `prefix`.
    pub(crate) fn numbered(&self, prefix: &str, number: fmt::Arguments<'_>) -> String {
        match self.response {
            Some(response) => format!("{prefix}_{response:016x}_{number}"),
            None => format!("{prefix}_{number}"),
        }
    }
}

/// Whether an ID is the number of the call in its response, as TGI and early versions of SGLang have it.
fn is_number(id: &str) -> bool {
    id.len() <= 4 && id.bytes().all(|byte| byte.is_ascii_digit())
}
