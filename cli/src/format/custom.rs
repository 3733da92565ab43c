//! Formats that a JSON file describes.

use std::path::Path;
use std::sync::Arc;

use sagewire_codec::custom::{ConfigError, Format, Paths, Spec};
use serde_json::Value;

use crate::input;

/// Help for the commands that accept custom formats.
pub(crate) const HELP: &str = r#"Custom formats:
  custom:FILE is a format that the JSON in FILE describes: what a request looks
  like, and where a response has its fields. All fields are optional.

    {
      "request": {
        "question": "{{prompt}}",
        "settings": {"length": "{{max_tokens}}"},
        "stream": "{{stream}}"
      },
      "stream": {
        "text": "$.piece",
        "finish": "$.reason",
        "usage": {"input": "$.read", "output": "$.written"}
      },
      "response": {"text": "$.results[0].text", "finish": "$.results[0].reason"},
      "finish_reasons": {"EOS": "stop", "MAX": "length"}
    }

  request         any JSON. A string that is only {{NAME}} is replaced by the
                  value, within a longer string by its text. Fields of
                  parameters that are not set are left out. NAME is messages
                  (OpenAI's), system, prompt (from --template), tools, stop,
                  model, max_tokens, temperature, top_p, top_k, min_p, seed, n,
                  frequency_penalty, presence_penalty, repetition_penalty,
                  stream, user, or other.X for any parameter X
  stream          JSONPath (RFC 9535) into each record of a stream: text,
                  reasoning, finish, done, error, id, model, and usage with
                  input, output, total
  response        the same into a non-streaming response
  finish_reasons  maps the format's finish reasons to stop, length, tool_calls
                  or content_filter"#;

/// Loads a format from a file.
pub(super) fn load(path: &str) -> Result<Arc<Format>, String> {
    let text = input::read_text(Path::new(path))?;
    compile(&text).map(Arc::new).map_err(|reason| format!("{path}: {reason}"))
}

/// Compiles a description. Errors have the position in it.
pub(super) fn compile(text: &str) -> Result<Format, String> {
    let spec: Spec = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Format::new(spec).map_err(|error| located(&error, text))
}

/// The message of an error, with the string that it is about.
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

/// Whether the format can be read.
pub(super) fn is_read(format: &Format) -> bool {
    let unread = Paths::default();
    format.spec().stream != unread || format.spec().response != unread
}

/// Whether requests of the format can be written.
pub(super) fn is_written(format: &Format) -> bool {
    format.spec().request.is_some()
}
