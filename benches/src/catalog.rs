//! Loads workloads by name.

use std::path::Path;

use crate::formats::Source;
use crate::generated::generate;
use crate::recorded;
use crate::script::Script;
use crate::workload::{Cuts, Workload};

/// The names of the OpenAI workloads: four generated streams, one lengthened recording and one of many short recordings.
pub const NAMES: [&str; 6] =
    ["openai", "openai-ragged", "openai-tools", "openai-changing", RECORDED, "recorded-short"];

const RECORDED: &str = "recorded";

impl Workload {
    /// Loads the workload of this name with about `events` records.
    ///
    /// # Errors
    ///
    /// The name is unknown, or the recordings cannot be read.
    pub fn load(name: &str, events: usize) -> Result<Self, String> {
        let other = Source::OTHERS.into_iter().find(|source| source.name() == name);
        if let Some(workload) = other.and_then(|source| generate(source, events)) {
            return Ok(workload);
        }
        let name =
            NAMES.into_iter().find(|known| *known == name).ok_or("there is no workload of that name")?;
        if name.starts_with(RECORDED) {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../codec/testdata/recorded");
            let (recordings, left_out) = recorded::load(&folder)?;
            if name == RECORDED {
                let (file, stream) = recorded::lengthen(&recordings, events).ok_or("no recording")?;
                let mut workload = Self::new(name, &[stream], Cuts::Events, "");
                workload.files = vec![file.to_owned()];
                return Ok(workload);
            }
            let streams = recorded::repeat(&recordings, events);
            let files = recordings.iter().map(|recording| recording.file.clone()).collect();
            let mut workload = Self::new(name, &streams, Cuts::Events, "");
            (workload.files, workload.left_out) = (files, left_out);
            return Ok(workload);
        }
        let script = Script::new(0x5a9e_0001);
        let (stream, needle) = match name {
            "openai-tools" => (script.tools(events), "\"arguments\":\""),
            "openai-changing" => (script.changing(events), "\"content\":\""),
            _ => (script.plain(events), "\"content\":\""),
        };
        let cuts = if name == "openai-ragged" { Cuts::Ragged } else { Cuts::Events };
        Ok(Self::new(name, &[stream], cuts, needle))
    }
}
