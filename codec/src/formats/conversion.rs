//! What the writers of all formats share: what is lost, which parameters a format takes, and the prompt.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::convert_error::{ConvertError, ConvertErrorKind};
use crate::formats::request_reader::Result;
use crate::json::{Json, Object, is_document, pointers, write_integer, write_number};
use crate::model::custom_tool_input::{CUSTOM_INPUT, custom_object};
use crate::model::{Api, ConversionOptions, Loss, Losses, Outcome, Request, ZeroTemperature};
use crate::model::{Offset, Content, Fields, Message, Param, Part, Text};

/// One conversion: from where to where, and what was lost on the way.
pub(crate) struct Conversion<'c, 'a> {
    pub(crate) request: &'c Request<'a>,
    pub(crate) options: &'c ConversionOptions<'c>,
    /// It goes back to where it came from.
    pub(crate) same: bool,
    lost: RefCell<Vec<Lost>>,
}

struct Lost {
    offset: Offset,
    what: &'static str,
    outcome: Outcome,
    why: Cow<'static, str>,
}

impl<'c, 'a> Conversion<'c, 'a> {
    pub(crate) fn new(api: Api, request: &'c Request<'a>, options: &'c ConversionOptions<'c>) -> Self {
        Self { request, options, same: request.api == Some(api), lost: RefCell::default() }
    }

    /// Notes a loss: of what stood at `at`, or of what the canonical model calls `what`.
    pub(crate) fn report(
        &self,
        offset: Offset,
        what: &'static str,
        outcome: Outcome,
        why: impl Into<Cow<'static, str>>,
    ) {
        self.lost.borrow_mut().push(Lost { offset, what, outcome, why: why.into() });
    }

    pub(crate) fn report_dropped(&self, offset: Offset, what: &'static str, why: impl Into<Cow<'static, str>>) {
        self.report(offset, what, Outcome::Dropped, why);
    }

    pub(crate) fn report_approximated(&self, offset: Offset, what: &'static str, why: impl Into<Cow<'static, str>>) {
        self.report(offset, what, Outcome::Approximated, why);
    }

    /// The losses in the order of the source, with their pointers, which one walk over the source finds.
    pub(crate) fn losses(self) -> Losses {
        let mut lost = self.lost.into_inner();
        lost.sort_by_key(|lost| lost.offset.map_or(u64::MAX, u64::from));
        lost.dedup_by(|a, b| {
            let is_same = if a.offset.is_some() { a.offset == b.offset } else { b.offset.is_none() && a.what == b.what };
            is_same && a.outcome == b.outcome && a.why == b.why
        });
        let known = |lost: &Lost| lost.offset.filter(|_| !self.request.source.is_empty());
        let offsets: Vec<usize> = lost.iter().filter_map(known).map(|offset| offset as usize).collect();
        let mut pointers = if offsets.is_empty() {
            Vec::new()
        } else {
            pointers(self.request.source.as_bytes(), &offsets, &self.request.landmarks)
        }
        .into_iter();
        let mut losses = Losses::default();
        for lost in lost {
            let pointer = known(&lost).and_then(|_| pointers.next());
            let what = pointer.map_or(Cow::Borrowed(lost.what), Cow::Owned);
            let name = Some(lost.what);
            losses.push(Loss { path: what, name, outcome: lost.outcome, reason: lost.why });
        }
        losses
    }

    pub(crate) fn error(&self, offset: Offset, why: impl Into<Cow<'static, str>>) -> ConvertError {
        ConvertError::new(offset.unwrap_or(0) as usize, ConvertErrorKind::Unwritable(why.into()))
    }

    /// Whether the member whose value stood at `at` has this name in the source, and the target is of its format.
    pub(crate) fn is_spelled(&self, offset: Offset, name: &str) -> bool {
        let before = offset.and_then(|offset| self.request.source.get(..offset as usize)).filter(|_| self.same);
        let Some(before) = before.and_then(|before| before.trim_end().strip_suffix(':')) else {
            return false;
        };
        let before = before.trim_end().strip_suffix('"').and_then(|before| before.strip_suffix(name));
        before.is_some_and(|before| before.ends_with('"'))
    }

    /// The byte of the source that a value begins with, where the target is of the source's format.
    pub(crate) fn first_byte(&self, offset: Offset) -> Option<u8> {
        let offset = offset.filter(|_| self.same)?;
        self.request.source.as_bytes().get(offset as usize).copied()
    }

    /// Appends a number as the source spelled it, if it did.
    pub(crate) fn number(&self, number: Param<f64>, out: &mut Vec<u8>) {
        match self.spelling(number) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => write_number(number.value, out),
        }
    }

    fn spelling(&self, number: Param<f64>) -> Option<&'a str> {
        let offset = number.offset? as usize;
        let range = Json::new(self.request.source.get(offset..)?.as_bytes(), 0, 0).skip().ok()?;
        let text = self.request.source[offset..].get(range)?;
        (text.parse() == Ok(number.value)).then_some(text)
    }

    /// Writes a number, if there is one.
    pub(crate) fn number_member(
        &self,
        object: &mut Object<'_>,
        name: &'static str,
        number: Option<Param<f64>>,
    ) {
        if let Some(number) = number {
            self.number(number, object.name(name));
        }
    }

    /// A number in the range that the target takes.
    pub(crate) fn clamped(
        &self,
        number: Option<Param<f64>>,
        what: &'static str,
        (min, max): (f64, f64),
    ) -> Option<Param<f64>> {
        let number = number?;
        let value = number.value.clamp(min, max);
        if value == number.value {
            return Some(number);
        }
        self.report(number.offset, what, Outcome::Clamped, format!("has to be from {min} to {max}"));
        Some(Param::new(value))
    }

    /// Most tokens of the answer: the request's, at least one, or what the settings say.
    pub(crate) fn max_tokens(&self) -> Option<u64> {
        let Some(tokens) = self.request.max_tokens else {
            let default = self.options.max_tokens?;
            let why = format!("the request does not say how many; {default} are asked for");
            self.report(None, "max_tokens", Outcome::Defaulted, why);
            return Some(default);
        };
        if tokens.value == 0 {
            self.report(tokens.offset, "max_tokens", Outcome::Clamped, "has to be 1 or more");
        }
        Some(tokens.value.max(1))
    }

    /// Writes temperature and `do_sample` for containers that sample only when they are told to, and whose temperature
    /// is never 0.
    pub(crate) fn sampling(&self, object: &mut Object<'_>) {
        let mut do_sample = self.request.do_sample.map(|param| param.value);
        match self.request.temperature {
            Some(zero) if zero.value <= 0.0 => match self.options.zero_temperature {
                ZeroTemperature::Greedy => do_sample = Some(false),
                ZeroTemperature::Clamp => {
                    self.report(zero.offset, "temperature", Outcome::Clamped, "has to be above 0");
                    object.raw("temperature", "0.01");
                }
                ZeroTemperature::Send => self.number(zero, object.name("temperature")),
            },
            Some(temperature) => {
                self.number(temperature, object.name("temperature"));
                do_sample = do_sample.or((!self.same).then_some(true));
            }
            None => {}
        }
        if let Some(do_sample) = do_sample {
            object.bool("do_sample", do_sample);
        }
    }

    /// The temperature for formats that know no `do_sample`: without sampling it is 0.
    pub(crate) fn temperature(&self) -> Option<Param<f64>> {
        match self.request.do_sample {
            Some(Param { value: false, offset }) => {
                let unsampled = self.request.temperature.is_none_or(|temperature| temperature.value == 1.0);
                if unsampled { Some(Param { value: 0.0, offset }) } else { self.request.temperature }
            }
            _ => self.request.temperature,
        }
    }

    /// Writes parameters of the source's container, where the target takes such. Names that mean something to the target
    /// are its own.
    pub(crate) fn extra_parameters(&self, object: &mut Object<'_>, is_known: impl Fn(&str) -> bool) {
        if self.options.drop_extra_parameters {
            return;
        }
        for (name, other) in &self.request.extra_parameters {
            if self.same || !is_known(name) {
                object.raw(name, other.value.as_str());
            } else {
                self.report_dropped(other.offset, "others", "in the target this name has a meaning of its own");
            }
        }
    }

    /// Whether any parameter of the source's container is passed on.
    pub(crate) fn has_extra_parameters(&self, is_known: impl Fn(&str) -> bool) -> bool {
        let passes = |name: &str| self.same || !is_known(name);
        !self.options.drop_extra_parameters && self.request.extra_parameters.iter().any(|(name, _)| passes(name))
    }

    /// Notes what has no place in any other format than the source's.
    pub(crate) fn report_extension_fields(&self) {
        if self.options.drop_extra_parameters {
            self.report_fields(&self.request.extra_parameters, "parameters of the source's container are not passed on");
        }
        if self.same {
            return;
        }
        let why = "only the source's format knows this";
        self.report_fields(&self.request.extension_fields, why);
        for message in &self.request.messages {
            self.report_fields(&message.extension_fields, why);
            for part in &message.content {
                self.report_fields(&part.extension_fields, why);
                if let Content::ToolResult { content, .. } = &part.content {
                    content.iter().for_each(|part| self.report_fields(&part.extension_fields, why));
                }
            }
        }
        for tool in &self.request.tools {
            self.report_fields(&tool.extension_fields, why);
        }
    }

    /// Notes the parameters of the source's container, for a target that takes none.
    pub(crate) fn report_extra_parameters(&self, why: &'static str) {
        if !self.same && !self.options.drop_extra_parameters {
            self.report_fields(&self.request.extra_parameters, why);
        }
    }

    /// Null says nothing, and a version of the protocol nothing that is meant for the model.
    fn report_fields(&self, members: &Fields<'_>, why: &'static str) {
        let says = |name: &str, json: &str| json != "null" && name != "anthropic_version";
        for (_, member) in members.iter().filter(|(name, member)| says(name, member.value.as_str())) {
            self.report_dropped(member.offset, "others", why);
        }
    }

    /// Notes the parameters that are said, mean something, and are not among those that the target `takes`.
    ///
    /// Model and stream are not content: a path or an operation may say them.
    pub(crate) fn report_parameters(&self, takes: &[&str], why: &'static str) {
        let r = self.request;
        let note = |name: &'static str, offset: Option<Offset>| {
            if let Some(offset) = offset.filter(|_| !takes.contains(&name)) {
                self.report_dropped(offset, name, why);
            }
        };
        let unless = |param: Option<Param<f64>>, neutral: f64| {
            param.filter(|param| param.value != neutral).map(|param| param.offset)
        };
        let truth = |param: Option<Param<bool>>| param.filter(|param| param.value).map(|param| param.offset);
        note("max_tokens", r.max_tokens.map(|param| param.offset));
        note("temperature", r.temperature.map(|param| param.offset));
        note("top_p", unless(r.top_p, 1.0));
        note("top_k", r.top_k.filter(|top_k| top_k.value > 0).map(|param| param.offset));
        note("min_p", unless(r.min_p, 0.0));
        note("seed", r.seed.map(|param| param.offset));
        note("n", r.n.filter(|n| n.value != 1).map(|param| param.offset));
        note("stop", r.stop.first().map(|param| param.offset));
        note("frequency_penalty", unless(r.frequency_penalty, 0.0));
        note("presence_penalty", unless(r.presence_penalty, 0.0));
        note("repetition_penalty", unless(r.repetition_penalty, 1.0));
        note("logprobs", truth(r.logprobs));
        note("top_logprobs", r.top_logprobs.filter(|top| top.value > 0).map(|param| param.offset));
        note("logit_bias", r.logit_bias.as_ref().map(|param| param.offset));
        note("user", r.user.as_ref().map(|param| param.offset));
        note("service_tier", r.service_tier.as_ref().filter(|tier| tier.value != "auto").map(|tier| tier.offset));
        note("reasoning", r.reasoning.as_ref().map(|param| param.offset));
        let shape = r.response_format.as_ref();
        note("response_format", shape.filter(|shape| !shape.value.is_text()).map(|shape| shape.offset));
        note("return_full_text", truth(r.return_full_text));
        note("details", truth(r.details));
        note("include_usage", truth(r.include_usage));
        if !r.tools.is_empty() {
            note(
                "tool_choice",
                r.tool_choice.as_ref().filter(|c| !c.value.is_auto()).map(|choice| choice.offset),
            );
            let alone = r.parallel_tool_calls.filter(|parallel| !parallel.value);
            note("parallel_tool_calls", alone.map(|param| param.offset));
        }
        if !r.messages.is_empty() {
            note("prompt", r.prompt.as_ref().map(|prompt| prompt.offset));
        }
    }

    /// The prompt: the request's own, or what the chat template makes of its messages.
    pub(crate) fn prompt(&self) -> Result<Cow<'c, Text<'a>>> {
        self.prompt_of(|_| {})
    }

    /// The same, for a target that has its own way to say something in a text.
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
            let why = "the target takes a prompt: a chat template is needed to make one of the messages";
            return Err(self.error(None, why));
        };
        let mut messages = self.messages(false)?;
        change(&mut messages);
        let rendered = render(&messages, &self.request.tools).map_err(|why| {
            let why: String = format!("the chat template fails: {why}");
            self.error(None, why)
        })?;
        for loss in rendered.losses {
            self.report(loss.offset, loss.name, loss.outcome, loss.reason);
        }
        Ok(Cow::Owned(rendered.text.into()))
    }

    /// Notes that all tools are lost.
    pub(crate) fn report_tools(&self) {
        for tool in &self.request.tools {
            self.report_dropped(tool.offset, "tools", "the target knows no tools");
        }
    }

    /// Writes strings as an array.
    pub(crate) fn stop(&self, object: &mut Object<'_>, name: &'static str) {
        if !self.request.stop.is_empty() {
            let mut array = object.begin_array(name);
            for stop in &self.request.stop {
                crate::json::write_string(&stop.value, array.element());
            }
        }
    }

    /// Writes an integer, if there is one.
    pub(crate) fn signed(&self, object: &mut Object<'_>, name: &'static str, value: Option<Param<i64>>) {
        if let Some(param) = value {
            let out = object.name(name);
            if param.value < 0 {
                out.push(b'-');
            }
            write_integer(param.value.unsigned_abs(), out);
        }
    }
}

/// What Claude's rules for thinking are, wherever it is asked.
impl Conversion<'_, '_> {
    /// Whether the model is told to think, which restricts its other parameters.
    pub(crate) fn thinks(&self) -> bool {
        let reasoning = self.request.reasoning.as_ref();
        reasoning.is_some_and(|reasoning| reasoning.value.budget_tokens.is_some()) && !self.same
    }

    /// A parameter, unless the model thinks and takes no value but this.
    pub(crate) fn unless_thinking(
        &self,
        number: Option<Param<f64>>,
        what: &'static str,
        only: f64,
    ) -> Option<Param<f64>> {
        let number = number?;
        if self.thinks() && number.value != only {
            self.report_dropped(number.offset, what, "a model that thinks does not take it");
            return None;
        }
        Some(number)
    }

    /// How much the model thinks, as Converse and Anthropic say it.
    pub(crate) fn effort(&self) -> Option<&str> {
        let reasoning = self.request.reasoning.as_ref()?;
        match reasoning.value.effort.as_deref()? {
            "none" if !self.same => {
                self.report_dropped(reasoning.offset, "reasoning", "there is no effort of none: nothing is asked for");
                None
            }
            "minimal" if !self.same => {
                self.report_approximated(reasoning.offset, "reasoning", "the least effort is low");
                Some("low")
            }
            effort => Some(effort),
        }
    }
}

impl<'a> Conversion<'_, 'a> {
    /// The input of a call, or of one of a custom tool, as a JSON object.
    pub(crate) fn input<'i>(&self, part: &Part<'a>, input: &'i str, custom: bool) -> Result<Cow<'i, str>> {
        if custom {
            self.report_approximated(part.offset, "input", CUSTOM_INPUT);
            return Ok(Cow::Owned(custom_object(input)));
        }
        let trimmed = input.trim();
        if trimmed.is_empty() {
            return Ok(Cow::Borrowed("{}"));
        }
        if self.same || (trimmed.starts_with('{') && is_document(trimmed)) {
            return Ok(Cow::Borrowed(trimmed));
        }
        Err(self.error(part.offset, "the input of a call of a tool has to be a JSON object"))
    }
}
