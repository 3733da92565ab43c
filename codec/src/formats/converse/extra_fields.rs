//! Fields that only Bedrock has. Its reader delivers them unchanged, so that they can be written again.

use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Json, Kind, is_document, members, one_line, write_one_line, write_string};
use crate::model;

/// The largest length that is kept of them, in bytes.
const LEN_MAX: usize = 64 * 1024;

/// Fields that only Bedrock has. Fields of the same names but other shapes are not among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtraFields {
    /// How long the response took by Bedrock, in milliseconds.
    pub(crate) latency_ms: Option<u64>,
    /// A field of `messageStop`: any JSON.
    pub(crate) response_fields: Option<String>,
    /// Fields of `metadata`, each with the comma before it.
    pub(crate) metadata: Vec<u8>,
    /// All counts of the source, if they contain more than the model has names for.
    pub(crate) usage: String,
}

impl ExtraFields {
    /// Keeps a field, if it is one of Bedrock's.
    pub(crate) fn take(&mut self, name: &str, json: &model::Json<'_>) -> bool {
        let is_short = json.as_str().len() <= LEN_MAX;
        let members = match name {
            "metrics" => {
                let latency = latency(json);
                self.latency_ms = latency.or(self.latency_ms);
                return latency.is_some();
            }
            "usage" if is_usage(json) && is_short => {
                self.usage = one_line(json.as_str());
                return true;
            }
            "additionalModelResponseFields" if is_document(json.as_str()) && is_short => {
                self.response_fields = Some(one_line(json.as_str()));
                return true;
            }
            "trace" | "performanceConfig" | "serviceTier" if has_only(json, |_| true) => &mut self.metadata,
            _ => return false,
        };
        if members.len() + json.as_str().len() > LEN_MAX {
            return false;
        }
        members.push(b',');
        write_string(name, members);
        members.push(b':');
        write_one_line(json.as_str(), members);
        true
    }

    /// Whether there are fields for `metadata`.
    pub(crate) fn has_metadata(&self) -> bool {
        self.latency_ms.is_some() || !self.metadata.is_empty()
    }
}

/// Whether counts have the shape of Bedrock's.
pub(crate) fn is_usage(json: &model::Json<'_>) -> bool {
    members(json.as_str()).iter().any(|(name, _)| matches!(&**name, "inputTokens" | "outputTokens"))
}

/// Whether a citation is one of Bedrock's.
pub(crate) fn is_citation(json: &model::Json<'_>) -> bool {
    has_only(json, |name| matches!(name, b"title" | b"source" | b"sourceContent" | b"location"))
}

/// Whether JSON is an object of at least one field, with only such fields.
fn has_only(json: &model::Json<'_>, is_known: impl Fn(&[u8]) -> bool) -> bool {
    if !is_document(json.as_str()) {
        return false;
    }
    let (mut count, mut all) = (0, true);
    let read = Json::new(json.as_str().as_bytes(), 0, 127).object(|json, name| {
        count += 1;
        all &= is_known(name);
        json.skip().map(drop)
    });
    read.is_ok() && all && count > 0
}

/// The latency of `{"latencyMs":…}`.
fn latency(json: &model::Json<'_>) -> Option<u64> {
    let mut latency = None;
    let read = Json::new(json.as_str().as_bytes(), 0, 127).object(|json, name| {
        if name == b"latencyMs" && json.kind()? == Kind::Number {
            latency = json.integer_or_skip()?;
            return Ok(());
        }
        json.skip().map(drop)
    });
    if read.is_ok() && has_only(json, |name| name == b"latencyMs") { latency } else { None }
}
