//! Formats that are described in a file.

use std::path::Path;
use std::sync::Arc;

use sagewire_codec::custom::{ConfigError, Format, Paths, Spec};
use serde_json::Value;

use crate::input;

/// What such a file is, for the help of the commands that take one.
pub(crate) const HELP: &str = r#"Formats of your own:
  custom:FILE is a format that FILE describes, as JSON: what a request looks like, and where an answer has what matters.

    {
      "request": {"question": "{{prompt}}", "settings": {"length": "{{max_tokens}}"}, "stream": "{{stream}}"},
      "stream": {"text": "$.piece", "finish": "$.reason", "usage": {"input": "$.read", "output": "$.written"}},
      "response": {"text": "$.answers[0].text", "finish": "$.answers[0].reason"},
      "finish_reasons": {"EOS": "stop", "MAX": "length"}
    }

  request         any JSON. A string that is only {{NAME}} becomes the value, in a longer string it becomes text, and what was
                  not asked for is left out. NAME is messages (OpenAI's), system, prompt (made by --template), tools, stop,
                  model, max_tokens, temperature, top_p, top_k, min_p, seed, n, frequency_penalty, presence_penalty,
                  repetition_penalty, stream or user; other.X is a parameter X that has no name here
  stream          JSONPath (RFC 9535) into each record of a stream: text, reasoning, finish, done, error, id, model, and
                  usage with input, output, total
  response        the same into an answer that is not streamed
  finish_reasons  what the format's finish reasons mean: stop, length, tool_calls or content_filter

All members may be left out."#;

/// Reads a file.
pub(super) fn load(path: &str) -> Result<Arc<Format>, String> {
    let text = input::read_text(Path::new(path))?;
    compile(&text).map(Arc::new).map_err(|why| format!("{path}: {why}"))
}

/// Compiles a description. What is wrong with it is told with its place.
pub(super) fn compile(text: &str) -> Result<Format, String> {
    let spec: Spec = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Format::new(spec).map_err(|error| located(&error, text))
}

/// The error with the text that it is about.
fn located(error: &ConfigError, text: &str) -> String {
    let description: Option<Value> = serde_json::from_str(text).ok();
    let found = description.as_ref().and_then(|description| description.pointer(error.pointer())?.as_str());
    match found {
        Some(found) => {
            format!("{}: `{found}` at byte {}: {}", error.pointer(), error.offset(), error.reason())
        }
        None => error.to_string(),
    }
}

/// Whether the format says how it is read.
pub(super) fn is_read(format: &Format) -> bool {
    let unread = Paths::default();
    format.spec().stream != unread || format.spec().response != unread
}

/// Whether the format says how it is written.
pub(super) fn is_written(format: &Format) -> bool {
    format.spec().request.is_some()
}
