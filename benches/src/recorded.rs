//! Loads recorded streams of real servers, and repeats them until there are enough events to measure.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::openai_stream::{DONE, Stream, data};
use crate::proof;
use crate::subjects::records::{AsyncOpenai, Record};
use crate::tally::Tally;
use crate::workload::LeftOut;

/// A recorded stream.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of its file.
    pub file: String,
    /// Its bytes, and the deltas in them.
    pub stream: Stream,
}

/// The recordings in `folder`, which are files `*.sse` of OpenAI chunks, and those that are left out: streams without an end
/// marker, or with text that one of the peers cannot decode.
///
/// # Errors
///
/// The directory cannot be read, or has no usable recording.
pub fn load(folder: &Path) -> Result<(Vec<Recording>, Vec<LeftOut>), String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|_| "codec/testdata/recorded is not there")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sse"))
        .collect();
    files.sort();
    let (mut recordings, mut left_out) = (Vec::new(), Vec::new());
    for path in files {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        match stream(&text) {
            Ok(stream) => recordings.push(Recording { file, stream }),
            Err(why) => left_out.push(LeftOut { file, why }),
        }
    }
    if recordings.is_empty() {
        return Err("no recording of a chat in codec/testdata/recorded".to_owned());
    }
    Ok((recordings, left_out))
}

/// Repeats the recordings in order until the next one would exceed `events` events; each is included at
/// least once.
pub fn repeat(recordings: &[Recording], events: usize) -> Vec<&Stream> {
    let mut streams: Vec<&Stream> = recordings.iter().map(|recording| &recording.stream).collect();
    let mut len: usize = streams.iter().map(|stream| stream.events.len()).sum();
    for Recording { stream, .. } in recordings.iter().cycle() {
        len += stream.events.len();
        if len > events {
            break;
        }
        streams.push(stream);
    }
    streams
}

/// Lengthens the recording with the longest run of text, by repeating that run up to about `events` events, so that it has
/// a realistic length.
pub fn lengthen(recordings: &[Recording], events: usize) -> Option<(&str, Stream)> {
    let run = |recording: &Recording| run(&recording.stream.events);
    let longest = recordings.iter().max_by_key(|recording| run(recording).len())?;
    let (all, run) = (&longest.stream.events, run(longest));
    let ends = all.len() - run.len();
    let middle = all[run.clone()].iter().cycle().take(events.saturating_sub(ends).max(run.len()));
    let lengthened: Vec<String> =
        all[..run.start].iter().chain(middle).chain(&all[run.end..]).cloned().collect();
    let records = lengthened.iter().filter_map(|event| data(event)).filter(|record| *record != DONE);
    let deltas = proof::deltas(records).ok()?;
    Some((&longest.file, Stream { events: lengthened, deltas }))
}

/// The longest run of events that have only text of a single choice.
fn run(events: &[String]) -> Range<usize> {
    let is_text = |event: &String| {
        let chunk: Value = data(event).and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        let choice = &chunk["choices"][0];
        choice["delta"]["content"].as_str().is_some_and(|text| !text.is_empty())
            && ["role", "tool_calls"].iter().all(|name| choice["delta"][name].is_null())
            && choice["finish_reason"].is_null()
    };
    let (mut longest, mut start) = (0..0, 0);
    for (at, event) in events.iter().enumerate() {
        if !is_text(event) {
            start = at + 1;
        } else if at + 1 - start > longest.len() {
            longest = start..at + 1;
        }
    }
    longest
}

/// Parses the stream in a file.
fn stream(text: &str) -> Result<Stream, String> {
    let events: Vec<String> = text.split_inclusive("\n\n").map(str::to_owned).collect();
    let records = events.iter().map(|event| data(event)).collect::<Option<Vec<&str>>>();
    let records = records.ok_or("not every event has data")?;
    let Some((&DONE, records)) = records.split_last() else {
        return Err("it does not end with [DONE]".to_owned());
    };
    let deltas = proof::deltas(records.iter().copied())?;
    let (mut found, mut expected) = (Tally::thorough(), Tally::thorough());
    for record in records {
        AsyncOpenai::read(record, &mut found).map_err(|error| format!("async-openai: {error}"))?;
        let chunk: Value = serde_json::from_str(record).unwrap_or_default();
        if chunk["choices"].as_array().into_iter().flatten().any(|choice| choice["index"] != 0) {
            return Err("ConverseStream has no place for a second choice".to_owned());
        }
    }
    for (kind, text) in &deltas {
        expected.text(*kind, text);
    }
    if found.answer() != expected.answer() {
        return Err("async-openai has no field for some of its text".to_owned());
    }
    Ok(Stream { events, deltas })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_kept_whole_and_repeated() {
        let folder = std::env::temp_dir().join(format!("sagewire-recorded-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let chunk = |delta: &str| {
            format!(
                "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
                 \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n"
            )
        };
        let done = "data: [DONE]\n\n";
        for (file, events) in [
            (
                "a.sse",
                [chunk(r#"{"content":"a"}"#), format!("event: named\n{}", chunk("{}")), done.to_owned()],
            ),
            ("b.sse", [chunk(r#"{"content":"b"}"#), chunk(r#"{"content":"c"}"#), done.to_owned()]),
            ("cut.sse", [chunk(r#"{"content":"d"}"#), String::new(), String::new()]),
            ("error.sse", ["data: {\"error\":{}}\n\n".to_owned(), String::new(), done.to_owned()]),
            ("think.sse", [chunk(r#"{"reasoning":"e"}"#), String::new(), done.to_owned()]),
        ] {
            std::fs::write(folder.join(file), events.concat()).unwrap();
        }
        let loaded = load(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        let (recordings, left_out) = loaded.unwrap();
        let files: Vec<&str> = recordings.iter().map(|recording| recording.file.as_str()).collect();
        assert_eq!(files, ["a.sse", "b.sse"]);
        let files: Vec<&str> = left_out.iter().map(|left_out| left_out.file.as_str()).collect();
        assert_eq!(files, ["cut.sse", "error.sse", "think.sse"]);

        let (file, long) = lengthen(&recordings, 6).unwrap();
        let text: String = long.deltas.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!((file, &*text, long.events.len()), ("b.sse", "bcbcb", 6));

        for (events, expected) in [(0, "abc"), (8, "abc"), (9, "abca"), (17, "abcabca")] {
            let streams = repeat(&recordings, events);
            let text: String =
                streams.iter().flat_map(|stream| &stream.deltas).map(|(_, text)| &**text).collect();
            assert_eq!(text, expected, "{events}");
            assert!(streams[0].events[1].starts_with("event: named\ndata: {"));
        }
    }

    #[test]
    fn without_recordings_it_says_so() {
        assert!(load(Path::new("does/not/exist")).is_err());
    }
}
