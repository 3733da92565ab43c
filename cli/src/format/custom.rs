//! Formats that a JSON file describes.

use std::path::Path;
use std::sync::Arc;

use sagewire_codec::custom::Format;

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
    Format::from_json(&text).map(Arc::new).map_err(|error| format!("{path}: {error}"))
}
