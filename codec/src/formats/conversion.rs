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
use crate::model::{At, Content, Members, Message, Param, Part, Text};

/// One conversion: from where to where, and what was lost on the way.
pub(crate) struct Conversion<'c, 'a> {
    pub(crate) request: &'c Request<'a>,
    pub(crate) settings: &'c ConversionOptions<'c>,
    /// It goes back to where it came from.
    pub(crate) same: bool,
    lost: RefCell<Vec<Lost>>,
}

struct Lost {
    at: At,
    what: &'static str,
    outcome: Outcome,
    why: Cow<'static, str>,
}

impl<'c, 'a> Conversion<'c, 'a> {
    pub(crate) fn new(api: Api, request: &'c Request<'a>, settings: &'c ConversionOptions<'c>) -> Self {
        Self { request, settings, same: request.api == Some(api), lost: RefCell::default() }
    }

    /// Notes a loss: of what stood at `at`, or of what the canonical model calls `what`.
    pub(crate) fn lose(
        &self,
        at: At,
        what: &'static str,
        outcome: Outcome,
        why: impl Into<Cow<'static, str>>,
    ) {
        self.lost.borrow_mut().push(Lost { at, what, outcome, why: why.into() });
    }

    pub(crate) fn dropped(&self, at: At, what: &'static str, why: impl Into<Cow<'static, str>>) {
        self.lose(at, what, Outcome::Dropped, why);
    }

    pub(crate) fn approximated(&self, at: At, what: &'static str, why: impl Into<Cow<'static, str>>) {
        self.lose(at, what, Outcome::Approximated, why);
    }

    /// The losses in the order of the source, with their pointers, which one walk over the source finds.
    pub(crate) fn losses(self) -> Losses {
        let mut lost = self.lost.into_inner();
        lost.sort_by_key(|lost| lost.at.map_or(u64::MAX, u64::from));
        lost.dedup_by(|a, b| {
            let is_same = if a.at.is_some() { a.at == b.at } else { b.at.is_none() && a.what == b.what };
            is_same && a.outcome == b.outcome && a.why == b.why
        });
        let known = |lost: &Lost| lost.at.filter(|_| !self.request.source.is_empty());
        let offsets: Vec<usize> = lost.iter().filter_map(known).map(|at| at as usize).collect();
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

    pub(crate) fn unwritable(&self, at: At, why: impl Into<Cow<'static, str>>) -> ConvertError {
        ConvertError::new(at.unwrap_or(0) as usize, ConvertErrorKind::Unwritable(why.into()))
    }

    /// Whether the member whose value stood at `at` has this name in the source, and the target is of its format.
    pub(crate) fn is_spelled(&self, at: At, name: &str) -> bool {
        let before = at.and_then(|at| self.request.source.get(..at as usize)).filter(|_| self.same);
        let Some(before) = before.and_then(|before| before.trim_end().strip_suffix(':')) else {
            return false;
        };
        let before = before.trim_end().strip_suffix('"').and_then(|before| before.strip_suffix(name));
        before.is_some_and(|before| before.ends_with('"'))
    }

    /// The byte of the source that a value begins with, where the target is of the source's format.
    pub(crate) fn first_byte(&self, at: At) -> Option<u8> {
        let at = at.filter(|_| self.same)?;
        self.request.source.as_bytes().get(at as usize).copied()
    }

    /// Appends a number as the source spelled it, if it did.
    pub(crate) fn number(&self, number: Param<f64>, out: &mut Vec<u8>) {
        match self.spelling(number) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => write_number(number.value, out),
        }
    }

    fn spelling(&self, number: Param<f64>) -> Option<&'a str> {
        let at = number.at? as usize;
        let range = Json::new(self.request.source.get(at..)?.as_bytes(), 0, 0).skip().ok()?;
        let text = self.request.source[at..].get(range)?;
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
        self.lose(number.at, what, Outcome::Clamped, format!("has to be from {min} to {max}"));
        Some(Param::new(value))
    }

    /// Most tokens of the answer: the request's, at least one, or what the settings say.
    pub(crate) fn max_tokens(&self) -> Option<u64> {
        let Some(tokens) = self.request.max_tokens else {
            let default = self.settings.max_tokens?;
            let why = format!("the request does not say how many; {default} are asked for");
            self.lose(None, "max_tokens", Outcome::Defaulted, why);
            return Some(default);
        };
        if tokens.value == 0 {
            self.lose(tokens.at, "max_tokens", Outcome::Clamped, "has to be 1 or more");
        }
        Some(tokens.value.max(1))
    }

    /// Writes temperature and `do_sample` for containers that sample only when they are told to, and whose temperature
    /// is never 0.
    pub(crate) fn sampling(&self, object: &mut Object<'_>) {
        let mut do_sample = self.request.do_sample.map(|param| param.value);
        match self.request.temperature {
            Some(zero) if zero.value <= 0.0 => match self.settings.zero_temperature {
                ZeroTemperature::Greedy => do_sample = Some(false),
                ZeroTemperature::Clamp => {
                    self.lose(zero.at, "temperature", Outcome::Clamped, "has to be above 0");
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
            Some(Param { value: false, at }) => {
                let unsampled = self.request.temperature.is_none_or(|temperature| temperature.value == 1.0);
                if unsampled { Some(Param { value: 0.0, at }) } else { self.request.temperature }
            }
            _ => self.request.temperature,
        }
    }

    /// Writes parameters of the source's container, where the target takes such. Names that mean something to the target
    /// are its own.
    pub(crate) fn others(&self, object: &mut Object<'_>, is_known: impl Fn(&str) -> bool) {
        if self.settings.drop_others {
            return;
        }
        for (name, other) in &self.request.others {
            if self.same || !is_known(name) {
                object.raw(name, other.value.as_str());
            } else {
                self.dropped(other.at, "others", "in the target this name has a meaning of its own");
            }
        }
    }

    /// Whether any parameter of the source's container is passed on.
    pub(crate) fn has_others(&self, is_known: impl Fn(&str) -> bool) -> bool {
        let passes = |name: &str| self.same || !is_known(name);
        !self.settings.drop_others && self.request.others.iter().any(|(name, _)| passes(name))
    }

    /// Notes what has no place in any other format than the source's.
    pub(crate) fn note_own(&self) {
        if self.settings.drop_others {
            self.note_members(&self.request.others, "parameters of the source's container are not passed on");
        }
        if self.same {
            return;
        }
        let why = "only the source's format knows this";
        self.note_members(&self.request.own, why);
        for message in &self.request.messages {
            self.note_members(&message.own, why);
            for part in &message.content {
                self.note_members(&part.own, why);
                if let Content::ToolResult { content, .. } = &part.content {
                    content.iter().for_each(|part| self.note_members(&part.own, why));
                }
            }
        }
        for tool in &self.request.tools {
            self.note_members(&tool.own, why);
        }
    }

    /// Notes the parameters of the source's container, for a target that takes none.
    pub(crate) fn note_others(&self, why: &'static str) {
        if !self.same && !self.settings.drop_others {
            self.note_members(&self.request.others, why);
        }
    }

    /// Null says nothing, and a version of the protocol nothing that is meant for the model.
    fn note_members(&self, members: &Members<'_>, why: &'static str) {
        let says = |name: &str, json: &str| json != "null" && name != "anthropic_version";
        for (_, member) in members.iter().filter(|(name, member)| says(name, member.value.as_str())) {
            self.dropped(member.at, "others", why);
        }
    }

    /// Notes the parameters that are said, mean something, and are not among those that the target `takes`.
    ///
    /// Model and stream are not content: a path or an operation may say them.
    pub(crate) fn note_parameters(&self, takes: &[&str], why: &'static str) {
        let r = self.request;
        let note = |name: &'static str, at: Option<At>| {
            if let Some(at) = at.filter(|_| !takes.contains(&name)) {
                self.dropped(at, name, why);
            }
        };
        let unless = |param: Option<Param<f64>>, neutral: f64| {
            param.filter(|param| param.value != neutral).map(|param| param.at)
        };
        let truth = |param: Option<Param<bool>>| param.filter(|param| param.value).map(|param| param.at);
        note("max_tokens", r.max_tokens.map(|param| param.at));
        note("temperature", r.temperature.map(|param| param.at));
        note("top_p", unless(r.top_p, 1.0));
        note("top_k", r.top_k.filter(|top_k| top_k.value > 0).map(|param| param.at));
        note("min_p", unless(r.min_p, 0.0));
        note("seed", r.seed.map(|param| param.at));
        note("n", r.n.filter(|n| n.value != 1).map(|param| param.at));
        note("stop", r.stop.first().map(|param| param.at));
        note("frequency_penalty", unless(r.frequency_penalty, 0.0));
        note("presence_penalty", unless(r.presence_penalty, 0.0));
        note("repetition_penalty", unless(r.repetition_penalty, 1.0));
        note("logprobs", truth(r.logprobs));
        note("top_logprobs", r.top_logprobs.filter(|top| top.value > 0).map(|param| param.at));
        note("logit_bias", r.logit_bias.as_ref().map(|param| param.at));
        note("user", r.user.as_ref().map(|param| param.at));
        note("service_tier", r.service_tier.as_ref().filter(|tier| tier.value != "auto").map(|tier| tier.at));
        note("reasoning", r.reasoning.as_ref().map(|param| param.at));
        let shape = r.response_format.as_ref();
        note("response_format", shape.filter(|shape| !shape.value.is_text()).map(|shape| shape.at));
        note("return_full_text", truth(r.return_full_text));
        note("details", truth(r.details));
        note("include_usage", truth(r.include_usage));
        if !r.tools.is_empty() {
            note(
                "tool_choice",
                r.tool_choice.as_ref().filter(|c| !c.value.is_auto()).map(|choice| choice.at),
            );
            let alone = r.parallel_tool_calls.filter(|parallel| !parallel.value);
            note("parallel_tool_calls", alone.map(|param| param.at));
        }
        if !r.messages.is_empty() {
            note("prompt", r.prompt.as_ref().map(|prompt| prompt.at));
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
                self.dropped(message.at, "messages", "the prompt is sent in place of messages");
            }
            self.note_tools();
            return Ok(Cow::Borrowed(&prompt.value));
        }
        let Some(render) = self.settings.render else {
            let why = "the target takes a prompt: a chat template is needed to make one of the messages";
            return Err(self.unwritable(None, why));
        };
        let mut messages = self.messages(false)?;
        change(&mut messages);
        let rendered = render(&messages, &self.request.tools).map_err(|why| {
            let why: String = format!("the chat template fails: {why}");
            self.unwritable(None, why)
        })?;
        for (at, what, outcome, why) in rendered.lost {
            self.lose(at, what, outcome, why);
        }
        Ok(Cow::Owned(rendered.text.into()))
    }

    /// Notes that all tools are lost.
    pub(crate) fn note_tools(&self) {
        for tool in &self.request.tools {
            self.dropped(tool.at, "tools", "the target knows no tools");
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
            self.dropped(number.at, what, "a model that thinks does not take it");
            return None;
        }
        Some(number)
    }

    /// How much the model thinks, as Converse and Anthropic say it.
    pub(crate) fn effort(&self) -> Option<&str> {
        let reasoning = self.request.reasoning.as_ref()?;
        match reasoning.value.effort.as_deref()? {
            "none" if !self.same => {
                self.dropped(reasoning.at, "reasoning", "there is no effort of none: nothing is asked for");
                None
            }
            "minimal" if !self.same => {
                self.approximated(reasoning.at, "reasoning", "the least effort is low");
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
            self.approximated(part.at, "input", CUSTOM_INPUT);
            return Ok(Cow::Owned(custom_object(input)));
        }
        let trimmed = input.trim();
        if trimmed.is_empty() {
            return Ok(Cow::Borrowed("{}"));
        }
        if self.same || (trimmed.starts_with('{') && is_document(trimmed)) {
            return Ok(Cow::Borrowed(trimmed));
        }
        Err(self.unwritable(part.at, "the input of a call of a tool has to be a JSON object"))
    }
}
