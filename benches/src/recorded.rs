//! Real bytes, made long enough to measure.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::proof;
use crate::tally::Kind;
use crate::workload::DONE;

/// A recording that was made longer.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of its file.
    pub file: String,
    /// The records of the longer stream.
    pub records: Vec<String>,
    /// The deltas in them.
    pub deltas: Vec<(Kind, String)>,
}

/// The recording in `folder` with the most text deltas, its middle repeated until there are about `events` records.
///
/// A recording is a file `*.sse` of OpenAI chunks, one data line each, that ends with `[DONE]`. The records are kept
/// byte for byte.
///
/// # Errors
///
/// Why there is none.
pub fn stretch(folder: &Path, events: usize) -> Result<Recording, String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|_| "codec/testdata/recorded is not there")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sse"))
        .collect();
    files.sort();
    let mut best: Option<(String, Vec<String>, Range<usize>)> = None;
    for file in files {
        let Some(records) = std::fs::read_to_string(&file).ok().and_then(|text| records(&text)) else {
            continue;
        };
        let middle = middle(&records);
        if middle.len() > best.as_ref().map_or(0, |(_, _, best)| best.len()) {
            let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            best = Some((file, records, middle));
        }
    }
    let (file, records, middle) = best.ok_or("no recording of a chat's text in codec/testdata/recorded")?;
    let ends = records.len() - middle.len();
    let repeated = records[middle.clone()].iter().cycle().take(events.saturating_sub(ends).max(middle.len()));
    let stretched: Vec<String> =
        records[..middle.start].iter().chain(repeated).chain(&records[middle.end..]).cloned().collect();
    let deltas = proof::deltas(stretched.iter().map(String::as_str).filter(|record| *record != DONE))?;
    Ok(Recording { file, records: stretched, deltas })
}

/// The records of a stream, if it is one of chunks.
fn records(text: &str) -> Option<Vec<String>> {
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").map(str::to_owned));
    let records = events.collect::<Option<Vec<String>>>()?;
    let (last, chunks) = records.split_last()?;
    let readable = proof::deltas(chunks.iter().map(String::as_str)).is_ok();
    (last == DONE && readable).then_some(records)
}

/// The longest run of records that hold text of the only choice and nothing else that matters.
fn middle(records: &[String]) -> Range<usize> {
    let is_text = |record: &String| {
        let chunk: Value = serde_json::from_str(record).unwrap_or_default();
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        delta["content"].as_str().is_some_and(|text| !text.is_empty())
            && ["role", "tool_calls", "reasoning", "reasoning_content"]
                .iter()
                .all(|name| delta[name].is_null())
            && choice["finish_reason"].is_null()
            && choice["index"] == 0
            && chunk["choices"].as_array().map(Vec::len) == Some(1)
    };
    let (mut longest, mut start) = (0..0, 0);
    for (at, record) in records.iter().enumerate() {
        if !is_text(record) {
            start = at + 1;
        } else if at + 1 - start > longest.len() {
            longest = start..at + 1;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_repeated_and_the_ends_are_kept() {
        let folder = std::env::temp_dir().join(format!("sagewire-recorded-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let chunk = |delta: &str, finish: &str| {
            format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
            )
        };
        let stream = [
            chunk(r#"{"role":"assistant","content":""}"#, "null"),
            chunk(r#"{"content":"a"}"#, "null"),
            chunk(r#"{"content":"b"}"#, "null"),
            chunk("{}", r#""stop""#),
            "data: [DONE]\n\n".to_owned(),
        ];
        std::fs::write(folder.join("text.sse"), stream.concat()).unwrap();
        std::fs::write(folder.join("other.sse"), "data: {}\n\n").unwrap();
        let Recording { file, records, deltas } = stretch(&folder, 10).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(file, "text.sse");
        assert_eq!(records.len(), 10);
        assert_eq!(records.last().map(String::as_str), Some(DONE));
        let text: String = deltas.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(text, "abababa");
    }

    #[test]
    fn without_recordings_it_says_so() {
        assert!(stretch(Path::new("does/not/exist"), 10).is_err());
    }
}
