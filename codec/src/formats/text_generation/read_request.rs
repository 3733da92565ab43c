//! Reads requests of text generation: a prompt, and parameters beside it or below it.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::parameters::{Group, Parameter as P, Row, Table, row, split_extra_parameters};
use crate::formats::request_reader::{
    Result, Source, expected, offset_of, prompts, role as role_of, unescaped_name,
};
use crate::json::Kind;
use crate::model::{Content, Fields, Message, Param, Part, Request, ResponseFormat};

/// Parameters that all of these APIs read, whether or not they have them.
pub(crate) const READ: [Row; 11] = [
    row(P::Temperature, "temperature").read_only(),
    row(P::TopP, "top_p").read_only(),
    row(P::TopK, "top_k").read_only(),
    row(P::DoSample, "do_sample").read_only(),
    row(P::RepetitionPenalty, "repetition_penalty").read_only(),
    row(P::FrequencyPenalty, "frequency_penalty").read_only(),
    row(P::PresencePenalty, "presence_penalty").read_only(),
    row(P::Seed, "seed").read_only(),
    row(P::ReturnFullText, "return_full_text").read_only(),
    row(P::Details, "details").read_only(),
    row(P::TopLogprobs, "top_n_tokens").read_only(),
];

/// The same for APIs with the parameters in an object.
pub(crate) const READ_IN_PARAMETERS: Group = Group { object: "parameters", rows: &[&READ] };

/// Whether the response is streamed: a field beside the parameters.
pub(crate) const STREAM: Group = Group { object: "", rows: &[&[row(P::Stream, "stream")]] };

/// The body of one of the APIs.
pub(crate) struct Body {
    /// The field that holds the prompt.
    pub(crate) prompt: &'static str,
    /// The parameters. They are beside the prompt if the object of extra parameters has no name.
    pub(crate) table: &'static Table,
    /// What a list in place of the prompt is.
    pub(crate) list: PromptList,
    /// Reads a field if it constrains the output.
    pub(crate) constraint: Constraint,
}

/// Reads a field of this name, and returns whether it is a constraint of the output.
pub(crate) type Constraint = for<'a> fn(&mut Source<'a>, &str, &mut Request<'a>) -> Result<bool>;

/// What a list in place of a prompt is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromptList {
    /// An error.
    Invalid,
    /// One conversation.
    Dialog,
    /// Several prompts; and `input_ids` are tokens.
    Several,
}

impl Body {
    /// A body with one prompt, and constraints as TGI has them.
    pub(crate) const fn new(prompt: &'static str, table: &'static Table) -> Self {
        Self { prompt, table, list: PromptList::Invalid, constraint: grammar }
    }
}

/// Reads the object that comes next.
pub(crate) fn read<'a>(source: &mut Source<'a>, body: &Body) -> Result<Request<'a>> {
    let (_, start) = source.kind()?;
    let Body { table, .. } = body;
    let object = table.extra.unwrap_or_default();
    let mut request = Request::default();
    let (mut fields, mut parameters) = (Fields::new(), Fields::new());
    let mut has_dialog = false;
    source.object(&mut fields, "", |source, name| {
        if name == body.prompt {
            match (source.kind()?.0, body.list) {
                (Kind::Array, PromptList::Dialog) => {
                    has_dialog = true;
                    dialog(source, &mut request.messages)?;
                    return Ok(true);
                }
                (_, PromptList::Several) => return prompts(source, &mut request),
                _ => {}
            }
            source.expect("prompt", Kind::String)?;
            return source.param(&mut request.prompt);
        }
        if name == object {
            return source.nested(&mut parameters, "", |source, name| {
                Ok((body.constraint)(source, name, &mut request)?
                    || table.read_in(object, source, name, &mut request)?)
            });
        }
        if name == "input_ids" && body.list == PromptList::Several {
            let offset = source.expect("input_ids", Kind::Array)?;
            let is_read = source.param(&mut request.prompts)?;
            let is_empty = source.since(offset).is_some_and(|list| list[1..].trim_start().starts_with(']'));
            return if is_empty {
                Err(expected(start, "input_ids", "tokens", "an empty list"))
            } else {
                Ok(is_read)
            };
        }
        let is_constraint = object.is_empty() && (body.constraint)(source, name, &mut request)?;
        Ok(is_constraint || table.read_in("", source, name, &mut request)?)
    })?;
    if request.prompt.is_none() && request.prompts.is_none() && !has_dialog {
        return Err(expected(start, "prompt", "a string", "nothing"));
    }
    if object.is_empty() {
        request.extra_parameters = split_extra_parameters(&mut fields, table);
    }
    // A known parameter with a value of another type has no meaning in any other API.
    for (name, param) in parameters {
        if table.knows(&name) {
            fields.push((Cow::Owned(alloc::format!("{object}/{name}")), param));
        } else {
            request.extra_parameters.push((unescaped_name(name), param));
        }
    }
    request.extension_fields = fields;
    Ok(request)
}

/// Reads TGI's `grammar`. Returns `false` unless it is an object.
fn grammar<'a>(source: &mut Source<'a>, name: &str, request: &mut Request<'a>) -> Result<bool> {
    let (kind, offset) = source.kind()?;
    if name != "grammar" || kind != Kind::Object {
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
    request.response_format = Some(Param { value, offset: offset_of(offset) });
    Ok(true)
}

/// Looks for a schema that may have a name, and no other fields. The value is left unread.
fn named_schema<'a>(source: &mut Source<'a>, found: &mut Option<ResponseFormat<'a>>) -> Result<Option<()>> {
    *found = None;
    if source.kind()?.0 != Kind::Object {
        return Ok(None);
    }
    let (mut name, mut schema, mut rest) = (None, None, Fields::new());
    source.object(&mut rest, "", |source, field| match field {
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
                "content" => {
                    source.expect("content", Kind::String)?;
                    source.param(&mut text)
                }
                _ => Ok(false),
            })?;
            let Some(role) = role else {
                return Err(expected(start, "role of a message", "a string", "nothing"));
            };
            let part = text
                .map(|text: Param<_>| Part { offset: text.offset, ..Part::new(Content::Text(text.value)) });
            let content = Vec::from_iter(part);
            messages.push(Message { extension_fields, offset, ..Message::new(role_of(role), content) });
            Ok(())
        })
    })?;
    if count == 1 { Ok(()) } else { Err(expected(start, "inputs", "one conversation", "another number")) }
}
