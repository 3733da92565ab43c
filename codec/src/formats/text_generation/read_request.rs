//! What the formats of text generation share: a prompt, and parameters by its side.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::request_reader::{Result, Source, expected, place, split_off, unescaped_name};
use crate::json::Kind;
use crate::model::Content;
use crate::model::Request;
use crate::model::{Fields, Message, Param, Part, ResponseFormat, Role};

/// How one of the formats calls things; empty for what it does not have.
pub(crate) struct Shape {
    /// The prompt.
    pub(crate) prompt: &'static str,
    /// The member that holds the parameters; empty where they stand beside the prompt.
    pub(crate) parameters: &'static str,
    pub(crate) max_tokens: &'static str,
    pub(crate) stop: &'static str,
    pub(crate) n: &'static str,
    /// Whether there is a stream is a parameter.
    pub(crate) stream_inside: bool,
    /// There is one stop string at most, and no list of them.
    pub(crate) one_stop: bool,
    /// The prompt may be a list with one conversation in it.
    pub(crate) dialogs: bool,
}

impl Shape {
    /// Whether a parameter has this name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let beside = ["stream", "inputs", "text_inputs", "text_input", "parameters"];
        KNOWN.contains(&name)
            || [self.max_tokens, self.stop, self.n].contains(&name)
            || ((self.stream_inside || self.parameters.is_empty()) && beside.contains(&name))
    }
}

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>, shape: &Shape) -> Result<Request<'a>> {
    let (_, start) = source.kind()?;
    let mut request = Request::default();
    let (mut extension_fields, mut extra_parameters) = (Fields::new(), Fields::new());
    let mut has_dialog = false;
    source.object(&mut extension_fields, "", |source, name| {
        if name == shape.prompt {
            let (kind, _) = source.kind()?;
            if shape.dialogs && kind == Kind::Array {
                has_dialog = true;
                dialog(source, &mut request.messages)?;
                return Ok(true);
            }
            source.expect("prompt", Kind::String)?;
            return source.param(&mut request.prompt);
        }
        match name {
            "stream" if shape.parameters != "parameters" || shape.prompt != "text_input" => {
                source.param(&mut request.stream)
            }
            name if name == shape.parameters => {
                source.nested(&mut extra_parameters, "", |source, name| parameter(source, name, shape, &mut request))
            }
            name if shape.parameters.is_empty() => parameter(source, name, shape, &mut request),
            _ => Ok(false),
        }
    })?;
    if request.prompt.is_none() && !has_dialog {
        return Err(expected(start, "prompt", "a string", "nothing"));
    }
    // Parameters with a value that is not theirs mean nothing to anybody else.
    if shape.parameters.is_empty() {
        extra_parameters = split_off(&mut extension_fields, &[]);
    }
    let is_known: Vec<bool> = extra_parameters.iter().map(|(name, _)| shape.knows(name)).collect();
    for (member, is_known) in extra_parameters.into_iter().zip(is_known) {
        if !is_known {
            request.extra_parameters.push((unescaped_name(member.0), member.1));
        } else if shape.parameters.is_empty() {
            extension_fields.push(member);
        } else {
            extension_fields.push((Cow::Owned(alloc::format!("{}/{}", shape.parameters, member.0)), member.1));
        }
    }
    request.extension_fields = extension_fields;
    Ok(request)
}

const KNOWN: &[&str] = &[
    "temperature",
    "top_p",
    "top_k",
    "do_sample",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "return_full_text",
    "details",
    "top_n_tokens",
    "grammar",
];

fn parameter<'a>(
    source: &mut Source<'a>,
    name: &str,
    shape: &Shape,
    request: &mut Request<'a>,
) -> Result<bool> {
    match name {
        "temperature" => source.param(&mut request.temperature),
        "top_p" => source.param(&mut request.top_p),
        "top_k" => source.param(&mut request.top_k),
        "do_sample" => source.param(&mut request.do_sample),
        "repetition_penalty" => source.param(&mut request.repetition_penalty),
        "frequency_penalty" => source.param(&mut request.frequency_penalty),
        "presence_penalty" => source.param(&mut request.presence_penalty),
        "seed" => source.param(&mut request.seed),
        "stream" if shape.stream_inside => source.param(&mut request.stream),
        "return_full_text" => source.param(&mut request.return_full_text),
        "details" => source.param(&mut request.details),
        "top_n_tokens" => source.param(&mut request.top_logprobs),
        "grammar" => grammar(source, request),
        name if name == shape.max_tokens => source.param(&mut request.max_tokens),
        name if name == shape.stop && shape.one_stop => {
            let mut stop = None;
            let is_read = source.param(&mut stop)?;
            request.stop = stop.into_iter().collect();
            Ok(is_read)
        }
        name if name == shape.stop => source.strings(&mut request.stop, false),
        name if name == shape.n => source.param(&mut request.n),
        _ => Ok(false),
    }
}

/// Reads TGI's `grammar`; what is not exactly one of the known ones is another shape.
fn grammar<'a>(source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
    let (kind, offset) = source.kind()?;
    if kind != Kind::Object {
        return Ok(false);
    }
    let shape = source.probe(|source| {
        let (mut kind, mut rest) = (None::<Cow<'a, str>>, Fields::new());
        let (mut regex, mut schema, mut named) = (None, None, None);
        source.object(&mut rest, "", |source, name| match name {
            "type" => source.value(&mut kind),
            "value" => {
                source.probe(|source| named_schema(source, &mut named))?;
                match source.kind()?.0 {
                    Kind::String => source.value(&mut regex),
                    _ => source.value(&mut schema),
                }
            }
            _ => Ok(false),
        })?;
        let (name, description, strict) = (None, None, None);
        Ok(match (kind.as_deref(), regex, schema) {
            _ if !rest.is_empty() => None,
            (Some("json"), None, Some(schema)) => {
                Some(ResponseFormat::JsonSchema { name, description, schema: Some(schema), strict })
            }
            (Some("json_schema"), None, Some(_)) => named,
            (Some("regex"), Some(regex), None) => Some(ResponseFormat::Regex(regex)),
            _ => None,
        })
    })?;
    let value = match shape {
        Some(shape) => shape,
        None => ResponseFormat::Other(source.raw()?),
    };
    request.response_format = Some(Param { value, offset: place(offset) });
    Ok(true)
}

/// Looks for a schema that may have a name, and nothing else. It is left alone.
fn named_schema<'a>(source: &mut Source<'a>, found: &mut Option<ResponseFormat<'a>>) -> Result<Option<()>> {
    *found = None;
    if source.kind()?.0 != Kind::Object {
        return Ok(None);
    }
    let (mut name, mut schema, mut rest) = (None, None, Fields::new());
    source.object(&mut rest, "", |source, member| match member {
        "name" => source.value(&mut name),
        "schema" => source.value(&mut schema),
        _ => Ok(false),
    })?;
    if schema.is_some() && rest.is_empty() {
        *found = Some(ResponseFormat::JsonSchema { name, description: None, schema, strict: None });
    }
    Ok(None)
}

/// Reads a list with one conversation in it, as Llama 2's containers had it.
fn dialog<'a>(source: &mut Source<'a>, messages: &mut Vec<Message<'a>>) -> Result<()> {
    let mut count = 0;
    messages.clear();
    let start = source.kind()?.1;
    source.array(|source| {
        count += 1;
        source.expect("conversation", Kind::Array)?;
        source.array(|source| {
            let offset = source.expect("message", Kind::Object)?;
            let start = source.kind()?.1;
            let (mut role, mut text, mut extension_fields) = (None::<Cow<'a, str>>, None, Fields::new());
            source.object(&mut extension_fields, "", |source, name| match name {
                "role" => source.value(&mut role),
                "content" => source.param(&mut text),
                _ => Ok(false),
            })?;
            let Some(role) = role else {
                return Err(expected(start, "role of a message", "a string", "nothing"));
            };
            let role = match &*role {
                "system" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                _ => Role::Other(role),
            };
            let part =
                text.map(|text: Param<_>| Part { offset: text.offset, ..Part::new(Content::Text(text.value)) });
            messages.push(Message { extension_fields, offset, ..Message::new(role, part.into_iter().collect()) });
            Ok(())
        })
    })?;
    if count == 1 { Ok(()) } else { Err(expected(start, "inputs", "one conversation", "another number")) }
}
