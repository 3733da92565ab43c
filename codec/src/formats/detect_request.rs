//! Detects the API of a request by its fields.
//!
//! Some APIs share all of their required fields. The result is then the one that others imitate: OpenAI for messages, TGI
//! for `inputs` and `parameters`.

use crate::json::{DEPTH_MAX, Fault, Json, Kind};
use crate::model::Api;

/// Detects the API of a request by its fields; `None` if they fit none, or if `body` is not a JSON object.
///
/// Requests of [`Api::Nova`] look like those of [`Api::OpenAi`] and are detected as such, and so are those of [`Api::Cohere`]
/// without any parameter of its own. Requests of [`Api::Lmi`] and [`Api::JumpStart`] look like those of [`Api::Tgi`] and are detected as such. An Anthropic
/// request without any field of its own (`system`, `stop_sequences`, content blocks) is detected as [`Api::OpenAi`]. An `input` that
/// is a text is one of [`Api::Responses`] only beside another field of it, because requests for embeddings have one, too.
///
/// ```
/// use sagewire_codec::{Api, detect_request};
///
/// let body = br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}],"inferenceConfig":{"maxTokens":9}}"#;
/// assert_eq!(detect_request(body), Some(Api::Converse));
/// assert_eq!(detect_request(b"{}"), None);
/// ```
pub fn detect_request(body: &[u8]) -> Option<Api> {
    let text = core::str::from_utf8(body).ok()?;
    let mut json = Json::new(text.as_bytes(), 0, DEPTH_MAX);
    let mut fields = Fields::default();
    json.object(|json, name| {
        fields.see(&mut json.clone(), name)?;
        json.skip().map(drop)
    })
    .ok()?;
    if json.skip_space().is_some() {
        return None;
    }
    fields.api()
}

/// The evidence from the fields of a request.
#[derive(Debug, Default)]
struct Fields {
    has_messages: bool,
    is_converse: bool,
    is_anthropic: bool,
    is_cohere: bool,
    /// It has an `input` that is a text, as requests for embeddings have it, too.
    has_input: bool,
    /// It has a field that requests for embeddings do not have.
    is_responses: bool,
    /// Some containers take blocks of Anthropic in OpenAI's messages.
    is_openai: bool,
    /// The API of a request that has a prompt instead of messages.
    prompt: Option<Api>,
}

impl Fields {
    fn see(&mut self, json: &mut Json<'_>, name: &[u8]) -> Result<(), Fault> {
        let kind = json.kind()?;
        match (name, kind) {
            (b"messages", Kind::Array) => {
                self.has_messages = true;
                json.array(|json| self.see_message(json))?;
            }
            (b"system", Kind::String) => self.is_anthropic = true,
            (b"system", Kind::Array) => json.array(|json| self.see_block(json))?,
            (b"tools", Kind::Array) => {
                self.is_responses = true;
                json.array(|json| self.see_tool(json))?;
            }
            (b"stop_sequences" | b"anthropic_version", _) => self.is_anthropic = true,
            (b"p" | b"k", Kind::Number)
            | (b"citation_options", Kind::Object)
            | (b"safety_mode", Kind::String)
            | (b"strict_tools", Kind::Bool) => self.is_cohere = true,
            (
                b"inferenceConfig"
                | b"toolConfig"
                | b"guardrailConfig"
                | b"additionalModelRequestFields"
                | b"additionalModelResponseFieldPaths",
                Kind::Object | Kind::Array,
            )
            | (b"projectIdentifier", Kind::String) => self.is_converse = true,
            (b"input", Kind::String) => self.has_input = true,
            (b"input", Kind::Array) => json.array(|json| {
                if json.kind()? == Kind::Object {
                    self.prompt = Some(Api::Responses);
                }
                json.skip().map(drop)
            })?,
            (b"previous_response_id", Kind::String) => self.prompt = Some(Api::Responses),
            (b"instructions", Kind::String)
            | (b"max_output_tokens", Kind::Number)
            | (b"reasoning" | b"text", Kind::Object)
            | (b"stream", Kind::Bool) => self.is_responses = true,
            (b"prompt", Kind::String | Kind::Array) => self.prompt = Some(Api::Completions),
            (b"inputs", Kind::String) => self.prompt = Some(Api::Tgi),
            (b"inputs", Kind::Array) => json.array(|json| {
                if json.kind()? == Kind::Array {
                    self.prompt = Some(Api::JumpStartDialogs);
                }
                json.skip().map(drop)
            })?,
            (b"text_inputs", Kind::String | Kind::Array) => self.prompt = Some(Api::JumpStartText),
            (b"text_input", Kind::String) => self.prompt = Some(Api::Triton),
            (b"sampling_params", Kind::Object) => self.prompt = Some(Api::Sglang),
            _ => {}
        }
        Ok(())
    }

    fn see_message(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        if json.kind()? != Kind::Object {
            return json.skip().map(drop);
        }
        json.object(|json, name| match (name, json.kind()?) {
            (b"content", Kind::Array) => json.array(|json| self.see_block(json)),
            (b"tool_plan", Kind::String) => {
                self.is_cohere = true;
                json.skip().map(drop)
            }
            (name, kind) => {
                self.is_openai |= match name {
                    b"tool_calls" | b"thinking_blocks" => kind == Kind::Array,
                    b"tool_call_id" | b"reasoning_content" => kind == Kind::String,
                    _ => false,
                };
                json.skip().map(drop)
            }
        })
    }

    /// A content block, in which only Converse does without `type`.
    fn see_block(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        if json.kind()? != Kind::Object {
            return json.skip().map(drop);
        }
        let mut has_type = false;
        json.object(|json, name| {
            if name != b"type" {
                return json.skip().map(drop);
            }
            has_type = true;
            let Some(string) = json.string_or_skip()? else { return Ok(()) };
            self.is_anthropic |= matches!(
                &*json.unescaped(string),
                b"image"
                    | b"document"
                    | b"search_result"
                    | b"thinking"
                    | b"redacted_thinking"
                    | b"tool_use"
                    | b"tool_result"
                    | b"compaction"
            );
            Ok(())
        })?;
        self.is_converse |= !has_type;
        Ok(())
    }

    fn see_tool(&mut self, json: &mut Json<'_>) -> Result<(), Fault> {
        if json.kind()? != Kind::Object {
            return json.skip().map(drop);
        }
        json.object(|json, name| {
            self.is_anthropic |= name == b"input_schema";
            self.is_openai |= name == b"function";
            json.skip().map(drop)
        })
    }

    fn api(&self) -> Option<Api> {
        match self {
            Self { is_converse: true, .. } => Some(Api::Converse),
            Self { has_messages: false, has_input: true, is_responses: true, .. } => Some(Api::Responses),
            Self { has_messages: false, .. } => self.prompt,
            Self { is_cohere: true, .. } => Some(Api::Cohere),
            Self { is_anthropic: true, is_openai: false, .. } => Some(Api::Anthropic),
            _ => Some(Api::OpenAi),
        }
    }
}
