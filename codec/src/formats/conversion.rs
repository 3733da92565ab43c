//! Code that the writers of all APIs share: losses, copies of unchanged values, and the prompt.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::convert_error::{ConvertError, ConvertErrorKind};
use crate::formats::edit::{Original, put_back};
use crate::formats::request_reader::Result;
use crate::json::{Array, Object, as_object, field_offset, member, pointers};
use crate::model::custom_tool_input::{CUSTOM_INPUT, custom_object};
use crate::model::{
    Api, Content, ConversionOptions, Fields, Json, Loss, Losses, Message, Offset, Outcome, Param, Part,
    Request, Text, Tool,
};

/// The schema of a tool without input.
pub(crate) const NO_INPUT: &str = "{\"type\":\"object\",\"properties\":{}}";

/// One conversion of a request: its source, its options, and its losses.
pub(crate) struct Conversion<'c, 'a> {
    pub(crate) request: &'c Request<'a>,
    pub(crate) options: &'c ConversionOptions<'c>,
    /// The request as it was read, if it was changed and goes back to the API that it was read from.
    pub(crate) original: Option<&'c Original<'c>>,
    /// The API that it is written for.
    pub(crate) target: Option<Api>,
    losses: RefCell<Vec<PendingLoss>>,
}

/// The offset of the field that holds what the canonical model calls `name`, in the object at `offset`: a message, a part or a
/// tool. `offset`, if there is no such field.
fn exact_offset(source: &str, offset: u32, name: &str) -> u32 {
    let paths: &[&str] = match name {
        "cache" => &["cache_control", "prompt_cache_breakpoint"],
        "detail" => &["image_url/detail", "detail"],
        "id" => &["call_id", "id", "tool_use_id", "toolUse/toolUseId", "toolResult/toolUseId"],
        "input" => &["input", "function/arguments", "custom/input", "toolUse/input", "arguments"],
        "is_error" => &["is_error", "toolResult/status"],
        "name" => &[
            "name",
            "function/name",
            "custom/name",
            "toolUse/name",
            "toolSpec/name",
            "document/name",
            "file/filename",
            "filename",
            "title",
        ],
        "role" => &["role"],
        "signature" => &["signature", "reasoningContent/reasoningText/signature", "encrypted_content"],
        "source" => &["source", "image/source", "document/source", "video/source", "audio/source"],
        _ => &[],
    };
    let found = paths.iter().find_map(|path| field_offset(source, offset as usize, path));
    found.and_then(|found| u32::try_from(found).ok()).unwrap_or(offset)
}

/// A loss without its JSON pointer, which is not known yet.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PendingLoss {
    offset: Offset,
    name: &'static str,
    outcome: Outcome,
    reason: Cow<'static, str>,
}

impl PendingLoss {
    /// Whether both are about the same thing, with the same result.
    fn repeats(&self, other: &Self) -> bool {
        self.offset == other.offset
            && (self.offset.is_some() || self.name == other.name)
            && (self.outcome, &self.reason) == (other.outcome, &other.reason)
    }
}

impl<'c, 'a> Conversion<'c, 'a> {
    pub(crate) fn new(
        request: &'c Request<'a>,
        options: &'c ConversionOptions<'c>,
        original: Option<&'c Original<'c>>,
    ) -> Self {
        Self { request, options, original, target: None, losses: RefCell::default() }
    }

    /// The same for a target, to which fields that only the source's API and this one have can be written.
    pub(crate) fn to(self, target: Api) -> Self {
        Self { target: Some(target), ..self }
    }

    /// Reports a loss: of the value at `offset`, which the canonical model calls `name`.
    pub(crate) fn report(
        &self,
        offset: Offset,
        name: &'static str,
        outcome: Outcome,
        reason: impl Into<Cow<'static, str>>,
    ) {
        self.losses.borrow_mut().push(PendingLoss { offset, name, outcome, reason: reason.into() });
    }

    pub(crate) fn report_dropped(
        &self,
        offset: Offset,
        name: &'static str,
        reason: impl Into<Cow<'static, str>>,
    ) {
        self.report(offset, name, Outcome::Dropped, reason);
    }

    pub(crate) fn report_approximated(
        &self,
        offset: Offset,
        name: &'static str,
        reason: impl Into<Cow<'static, str>>,
    ) {
        self.report(offset, name, Outcome::Approximated, reason);
    }

    pub(crate) fn into_pending(self) -> Vec<PendingLoss> {
        self.losses.into_inner()
    }

    /// The losses in the order of the source, with their pointers, which one walk over the source finds. Losses in
    /// `known` are left out.
    pub(crate) fn into_losses(self, known: &[PendingLoss]) -> Losses {
        let mut pending = self.losses.into_inner();
        let known: BTreeSet<&PendingLoss> = known.iter().collect();
        pending.retain(|loss| !known.contains::<PendingLoss>(loss));
        for loss in &mut pending {
            loss.offset = loss.offset.map(|offset| exact_offset(&self.request.source, offset, loss.name));
        }
        pending.sort_by_key(|loss| loss.offset.map_or(u64::MAX, u64::from));
        pending.dedup_by(|a, b| a.repeats(b));
        let in_source = |loss: &PendingLoss| loss.offset.filter(|_| !self.request.source.is_empty());
        let offsets: Vec<usize> =
            pending.iter().filter_map(in_source).map(|offset| offset as usize).collect();
        let mut pointers = if offsets.is_empty() {
            Vec::new()
        } else {
            pointers(self.request.source.as_bytes(), &offsets, &self.request.landmarks)
        }
        .into_iter();
        let mut losses = Losses::default();
        for loss in pending {
            let pointer = in_source(&loss).and_then(|_| pointers.next());
            let path = pointer.map_or(Cow::Borrowed(loss.name), Cow::Owned);
            losses.push(Loss { path, name: Some(loss.name), outcome: loss.outcome, reason: loss.reason });
        }
        losses
    }

    /// The error of a request that cannot be written.
    pub(crate) fn error(&self, offset: Offset, reason: impl Into<Cow<'static, str>>) -> ConvertError {
        ConvertError::new(offset.unwrap_or(0) as usize, ConvertErrorKind::Unwritable(reason.into()))
    }

    /// Whether the request goes back to the API that it was read from, so that fields that only this API knows can be written.
    pub(crate) fn is_native(&self) -> bool {
        self.original.is_some()
    }

    /// JSON that only the source's API knows, if that is the target. Otherwise it is reported as lost.
    pub(crate) fn native<'j>(
        &self,
        json: &'j Json<'_>,
        offset: Offset,
        name: &'static str,
    ) -> Option<&'j str> {
        if self.is_native() {
            return Some(json.as_str());
        }
        let reason = match name {
            "tools" => "only the source's API has this tool",
            "tool_choice" => "only the source's API has this choice",
            _ => "only the source's API has this part",
        };
        self.report_dropped(offset, name, reason);
        None
    }

    /// The extension fields of something, if the target knows them.
    pub(crate) fn kept<'f>(&self, fields: &'f Fields<'a>) -> &'f [(Cow<'a, str>, Param<Json<'a>>)] {
        if self.is_native() { fields } else { &[] }
    }

    /// Appends a message as `write` does, or its source if it was not changed.
    pub(crate) fn message(
        &self,
        message: &Message<'a>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
    ) -> Result<bool> {
        let copy = self.original.and_then(|original| original.message(message));
        self.copy_or_write(copy, &message.extension_fields, out, write)
    }

    /// Appends a part as `write` does, or its source if it was not changed.
    pub(crate) fn part(
        &self,
        part: &Part<'a>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
    ) -> Result<bool> {
        let copy = match &part.content {
            Content::Other(json) => match self.native(json, part.offset, "content") {
                None => return Ok(false),
                copy => copy,
            },
            _ => self.original.and_then(|original| original.part(part)),
        };
        self.copy_or_write(copy, &part.extension_fields, out, write)
    }

    /// Appends a tool as `write` does, or its source if it was not changed.
    pub(crate) fn tool(
        &self,
        tool: &Tool<'a>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
    ) -> Result<bool> {
        if let Some(converted) = tool.other.as_ref().and_then(|json| self.custom_tool(json)) {
            out.extend_from_slice(converted.as_bytes());
            return Ok(true);
        }
        let copy = match &tool.other {
            Some(json) => match self.native(json, tool.offset, "tools") {
                None => return Ok(false),
                copy => copy,
            },
            None => self.original.and_then(|original| original.tool(tool)),
        };
        self.copy_or_write(copy, &tool.extension_fields, out, write)
    }

    /// Writes the tools as `write` does each, or their sources if they were not changed. Returns whether there are any.
    pub(crate) fn write_tools(
        &self,
        object: &mut Object<'_>,
        write: impl Fn(&Tool<'a>, &mut Vec<u8>),
    ) -> Result<bool> {
        let (mut written, mut any) = (Vec::new(), false);
        let mut array = Array::new(&mut written);
        for tool in &self.request.tools {
            let write = |out: &mut Vec<u8>| {
                write(tool, out);
                Ok(true)
            };
            any |= array.maybe(|out| self.tool(tool, out, write))?;
        }
        drop(array);
        if any {
            object.name("tools").append(&mut written);
        }
        Ok(any)
    }

    /// Whether the source of a part is an object that was not changed.
    pub(crate) fn is_copied(&self, part: &Part<'a>) -> bool {
        self.original.is_some_and(|original| original.part(part).is_some())
    }

    fn copy_or_write(
        &self,
        copy: Option<&str>,
        fields: &Fields<'a>,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
    ) -> Result<bool> {
        if let Some(copy) = copy {
            out.extend_from_slice(copy.as_bytes());
            return Ok(true);
        }
        let start = out.len();
        let is_written = write(out)?;
        if !is_written {
            out.truncate(start);
        } else {
            self.put_back(out, start, fields);
        }
        Ok(is_written)
    }

    /// Puts extension fields back into the object that `out` has from `start` on, if the target knows them.
    pub(crate) fn put_back(&self, out: &mut Vec<u8>, start: usize, fields: &Fields<'a>) {
        if self.is_native() {
            let fields: Vec<_> =
                fields.iter().map(|(path, param)| (path.clone(), param.value.as_str())).collect();
            put_back(out, start, &fields, &[]);
        }
    }

    /// Reports the fields that only the source's API knows.
    pub(crate) fn report_extension_fields(&self) {
        if self.options.drop_extra_parameters {
            self.report_fields(
                &self.request.extra_parameters,
                "extra_parameters",
                "parameters of the source's container are not passed on",
            );
        }
        if self.is_native() {
            return;
        }
        let reason = "only the source's API has this";
        let report = |fields: &Fields<'_>, is_kept: &dyn Fn(&str, &Json<'_>) -> bool| {
            for (path, field) in fields.iter().filter(|(path, field)| !is_kept(path, &field.value)) {
                self.report_field(path, field, "extension_fields", reason);
            }
        };
        report(&self.request.extension_fields, &|path, _| self.is_shared(path));
        for message in &self.request.messages {
            report(&message.extension_fields, &|path, value| self.is_shared_in_message(path, value));
            for part in &message.content {
                self.report_fields(&part.extension_fields, "extension_fields", reason);
                if let Content::ToolResult { content, .. } = &part.content {
                    content.iter().for_each(|part| {
                        self.report_fields(&part.extension_fields, "extension_fields", reason)
                    });
                }
            }
        }
        for tool in &self.request.tools {
            self.report_fields(&tool.extension_fields, "extension_fields", reason);
        }
    }

    /// Reports these fields as dropped.
    pub(crate) fn report_fields(&self, fields: &Fields<'_>, name: &'static str, reason: &'static str) {
        for (path, field) in fields {
            self.report_field(path, field, name, reason);
        }
    }

    /// Reports a field as dropped, except null values and the protocol version, which is not meant for the model.
    fn report_field(&self, path: &str, field: &Param<Json<'_>>, name: &'static str, reason: &'static str) {
        if field.value.as_str() != "null" && path != "anthropic_version" {
            self.report_dropped(field.offset, name, reason);
        }
    }

    /// The prompt: that of the request, or the messages as rendered by the chat template.
    pub(crate) fn prompt(&self) -> Result<Cow<'c, Text<'a>>> {
        self.prompt_of(|_| {})
    }

    /// The same, for a target that expresses something in the text itself, to which `change` changes the messages.
    pub(crate) fn prompt_of(
        &self,
        change: impl FnOnce(&mut Cow<'c, [Message<'a>]>),
    ) -> Result<Cow<'c, Text<'a>>> {
        if let Some(prompt) = &self.request.prompt {
            for message in &self.request.messages {
                self.report_dropped(message.offset, "messages", "the prompt is sent in place of messages");
            }
            self.report_tools();
            return Ok(Cow::Borrowed(&prompt.value));
        }
        let Some(render) = self.options.render else {
            let reason = "the target takes a prompt: a chat template is needed to render the messages as one";
            return Err(self.error(None, reason));
        };
        let mut messages = self.messages(false, None)?;
        change(&mut messages);
        let rendered = render(&messages, &self.request.tools).map_err(|reason| {
            let reason: String = format!("the chat template fails: {reason}");
            self.error(None, reason)
        })?;
        for loss in rendered.losses {
            self.report(loss.offset, loss.name, loss.outcome, loss.reason);
        }
        Ok(Cow::Owned(rendered.text.into()))
    }

    /// Reports that all tools are lost.
    pub(crate) fn report_tools(&self) {
        for tool in &self.request.tools {
            self.report_dropped(tool.offset, "tools", "the target has no tools");
        }
    }

    /// Whether the target takes reasoning back, which it does only with the signature; reports the loss if not.
    pub(crate) fn takes_reasoning(&self, part: &Part<'a>, is_signed: bool) -> bool {
        let takes = is_signed || self.is_native();
        if !takes {
            let why = "without its signature the model does not take it back";
            self.report_dropped(part.offset, "reasoning", why);
        }
        takes
    }

    /// The input of a call as a JSON object, also that of a custom tool.
    pub(crate) fn input<'i>(&self, part: &Part<'a>, input: &'i str, custom: bool) -> Result<Cow<'i, str>> {
        if custom {
            self.report_approximated(part.offset, "input", CUSTOM_INPUT);
            return Ok(Cow::Owned(custom_object(input)));
        }
        let trimmed = input.trim();
        if trimmed.is_empty() {
            return Ok(Cow::Borrowed("{}"));
        }
        if let Some(object) = as_object(trimmed) {
            return Ok(Cow::Borrowed(object));
        }
        if trimmed == "null" {
            self.report_approximated(part.offset, "input", "the input `null` is sent as an empty object");
            return Ok(Cow::Borrowed("{}"));
        }
        // A model stopped in the middle of the call, for example. Without this, the conversation could not go on.
        let why = "the input is not a JSON object: it is sent as text, in the field `input` of one";
        self.report_approximated(part.offset, "input", why);
        Ok(Cow::Owned(custom_object(input)))
    }

    /// The schema of the input of a tool, with the type that targets require at its top. The input is an object in any case, so
    /// nothing is lost.
    pub(crate) fn input_schema<'t>(&self, tool: &'t Tool<'_>) -> Cow<'t, str> {
        let Some(schema) = &tool.schema else { return Cow::Borrowed(NO_INPUT) };
        let schema = schema.as_str();
        let has_no_type = |object: &&str| !self.is_native() && member(object, "type").is_none();
        let Some(object) = as_object(schema).filter(has_no_type) else { return Cow::Borrowed(schema) };
        let rest = object[1..].trim_ascii_start();
        let comma = if rest.starts_with('}') { "" } else { "," };
        format!("{{\"type\":\"object\"{comma}{rest}").into()
    }
}
