//! The table of parameters: which API has which parameter, under which name, and within which limits.
//!
//! Each API declares a [`Table`]. Reading and writing parameters, which fields an API knows, and which losses are reported
//! all follow from it. Values with a structure, such as messages, tools and response formats, are code of each API.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::edit::Rename;
use crate::formats::request_reader::{Result, Source, unescaped_name};
use crate::json::{Object, write_integer, write_string};
use crate::model::{self, Fields, Offset, Param, Request};

/// Declares the parameters that are one value each: variant, field of [`Request`], and whether a value is the default of
/// every container, so that omitting it is no loss.
macro_rules! parameters {
    ($($variant:ident $field:ident |$value:ident| $neutral:expr;)*) => {
        /// A parameter of the canonical model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Parameter {
            $($variant,)*
            Stop,
            ToolChoice,
            Reasoning,
            ResponseFormat,
        }

        impl Parameter {
            const ALL: &'static [Self] =
                &[$(Self::$variant,)* Self::Stop, Self::ToolChoice, Self::Reasoning, Self::ResponseFormat];

            /// Its name in the canonical model.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($field),)*
                    Self::Stop => "stop",
                    Self::ToolChoice => "tool_choice",
                    Self::Reasoning => "reasoning",
                    Self::ResponseFormat => "response_format",
                }
            }

            /// The offset of its value, if leaving it out would be a loss.
            fn significant(self, request: &Request<'_>) -> Option<Offset> {
                match self {
                    $(Self::$variant => {
                        let found = request.$field.as_ref();
                        found.filter(|param| { let $value = &param.value; !$neutral }).map(|param| param.offset)
                    })*
                    Self::Stop => request.stop.first().map(|param| param.offset),
                    Self::ToolChoice => {
                        request.tool_choice.as_ref().filter(|param| !param.value.is_auto()).map(|param| param.offset)
                    }
                    Self::Reasoning => request.reasoning.as_ref().map(|param| param.offset),
                    Self::ResponseFormat => {
                        request.response_format.as_ref().filter(|param| !param.value.is_text()).map(|param| param.offset)
                    }
                }
            }

            /// The offset of its value in `original`, if `request` has another one or none.
            fn changed(self, original: &Request<'_>, request: &Request<'_>) -> Option<u32> {
                match self {
                    $(Self::$variant => changed(&original.$field, &request.$field),)*
                    Self::Stop => None,
                    Self::ToolChoice => changed(&original.tool_choice, &request.tool_choice),
                    Self::Reasoning => changed(&original.reasoning, &request.reasoning),
                    Self::ResponseFormat => changed(&original.response_format, &request.response_format),
                }
            }

            fn read<'a>(self, form: StopForm, source: &mut Source<'a>, request: &mut Request<'a>) -> Result<bool> {
                match self {
                    $(Self::$variant => source.param(&mut request.$field),)*
                    Self::Stop => read_stop(form, source, &mut request.stop),
                    Self::ToolChoice | Self::Reasoning | Self::ResponseFormat => Ok(false),
                }
            }

            fn write(self, row: &Row, c: &Conversion<'_, '_>, object: &mut Object<'_>) {
                match self {
                    $(Self::$variant => {
                        if let Some(param) = &c.request.$field {
                            param.write(row, c, object);
                        }
                    })*
                    Self::Stop => write_stop(row, c, object),
                    Self::ToolChoice | Self::Reasoning | Self::ResponseFormat => {}
                }
            }
        }
    };
}

parameters! {
    Model model |_value| false;
    MaxTokens max_tokens |_value| false;
    Temperature temperature |_value| false;
    DoSample do_sample |_value| false;
    TopP top_p |value| *value == 1.0;
    TopK top_k |value| *value <= 0;
    MinP min_p |value| *value == 0.0;
    Seed seed |_value| false;
    N n |value| *value == 1;
    FrequencyPenalty frequency_penalty |value| *value == 0.0;
    PresencePenalty presence_penalty |value| *value == 0.0;
    RepetitionPenalty repetition_penalty |value| *value == 1.0;
    Logprobs logprobs |value| !*value;
    TopLogprobs top_logprobs |value| *value == 0;
    LogitBias logit_bias |_value| false;
    User user |_value| false;
    ServiceTier service_tier |value| value == "auto";
    Project project |_value| false;
    Stream stream |value| !*value;
    IncludeUsage include_usage |value| !*value;
    ReturnFullText return_full_text |value| !*value;
    Details details |value| !*value;
    ParallelToolCalls parallel_tool_calls |value| *value;
}

/// Writes a row in a way of its own.
type Quirk = fn(&Conversion<'_, '_>, &mut Object<'_>, &'static str);

/// What an API's stop strings look like.
#[derive(Clone, Copy)]
enum StopForm {
    /// A list.
    List,
    /// A list, or one string.
    Either,
    /// One string.
    One,
}

/// One parameter of one API.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    parameter: Parameter,
    name: &'static str,
    is_read: bool,
    is_written: bool,
    skips_neutral: bool,
    range: Option<(f64, f64)>,
    stop: StopForm,
    quirk: Option<Quirk>,
}

/// A parameter that the API calls `name`.
pub(crate) const fn row(parameter: Parameter, name: &'static str) -> Row {
    let (is_read, is_written, skips_neutral) = (true, true, false);
    Row {
        parameter,
        name,
        is_read,
        is_written,
        skips_neutral,
        range: None,
        stop: StopForm::List,
        quirk: None,
    }
}

impl Row {
    /// The parameter is read under this name, and written under another or not at all.
    pub(crate) const fn read_only(mut self) -> Self {
        self.is_written = false;
        self
    }

    /// The parameter is written under this name, and not read.
    pub(crate) const fn write_only(mut self) -> Self {
        self.is_read = false;
        self
    }

    /// The neutral value is not written.
    pub(crate) const fn skip_neutral(mut self) -> Self {
        self.skips_neutral = true;
        self
    }

    /// The API accepts numbers in this range.
    pub(crate) const fn range(mut self, min: f64, max: f64) -> Self {
        self.range = Some((min, max));
        self
    }

    /// Stop strings may also be one string.
    pub(crate) const fn or_one_string(mut self) -> Self {
        self.stop = StopForm::Either;
        self
    }

    /// There is at most one stop string.
    pub(crate) const fn one_string(mut self) -> Self {
        self.stop = StopForm::One;
        self
    }

    /// The parameter is written by `quirk`.
    pub(crate) const fn quirk(mut self, quirk: Quirk) -> Self {
        self.quirk = Some(quirk);
        self
    }
}

/// Parameters that are fields of one object, in the order in which they are written.
pub(crate) struct Group {
    /// The field that holds the object; empty for the request itself.
    pub(crate) object: &'static str,
    pub(crate) rows: &'static [&'static [Row]],
}

impl Group {
    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        self.rows.iter().copied().flatten()
    }
}

/// Parameters that OpenAI's APIs and their likes call by the same names.
pub(crate) const SAMPLING: &[Row] = &[
    row(Parameter::TopP, "top_p"),
    row(Parameter::TopK, "top_k"),
    row(Parameter::MinP, "min_p"),
    row(Parameter::Seed, "seed"),
];

/// The same for penalties.
pub(crate) const PENALTIES: &[Row] = &[
    row(Parameter::FrequencyPenalty, "frequency_penalty"),
    row(Parameter::PresencePenalty, "presence_penalty"),
    row(Parameter::RepetitionPenalty, "repetition_penalty"),
];

/// The parameters of one API.
pub(crate) struct Table {
    pub(crate) groups: &'static [&'static Group],
    /// Parameters that the API's own code writes.
    pub(crate) code: &'static [Parameter],
    /// The object that takes parameters of one container, by name; empty for the request itself, `None` for none.
    pub(crate) extra: Option<&'static str>,
    /// Further fields with a meaning of their own, where extra parameters go.
    pub(crate) known: &'static [&'static str],
    /// Objects that may consist of extension fields only.
    pub(crate) objects: &'static [&'static str],
    /// Deprecated fields, and the fields that replace them in what is written.
    pub(crate) deprecated: &'static [(&'static str, &'static str)],
    /// Why other parameters are lost.
    pub(crate) reason: &'static str,
}

impl Table {
    /// An API without parameters.
    pub(crate) const EMPTY: Self =
        Self { groups: &[], code: &[], extra: None, known: &[], objects: &[], deprecated: &[], reason: "" };

    /// Reads a field of the request, if it is a parameter or an object of parameters.
    pub(crate) fn read<'a>(
        &self,
        source: &mut Source<'a>,
        name: &str,
        request: &mut Request<'a>,
    ) -> Result<bool> {
        if !self.groups.iter().any(|group| group.object == name && !name.is_empty()) {
            return self.read_in("", source, name, request);
        }
        let mut fields = Fields::new();
        let is_read =
            source.nested(&mut fields, name, |source, field| self.read_in(name, source, field, request))?;
        request.extension_fields.append(&mut fields);
        Ok(is_read)
    }

    /// Reads a field of `object`, if it is a parameter.
    pub(crate) fn read_in<'a>(
        &self,
        object: &str,
        source: &mut Source<'a>,
        name: &str,
        request: &mut Request<'a>,
    ) -> Result<bool> {
        for group in self.groups.iter().filter(|group| group.object == object) {
            if let Some(row) = group.rows().find(|row| row.name == name && row.is_read) {
                return row.parameter.read(row.stop, source, request);
            }
        }
        Ok(false)
    }

    /// Whether a name has a meaning where extra parameters go.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.known.contains(&name)
            || self.groups.iter().any(|group| {
                group.object == self.extra.unwrap_or_default() && group.rows().any(|row| row.name == name)
            })
    }

    /// The name under which a field of the source is written, if it is another one, and how that relates to the field's.
    pub(crate) fn rename(&self, name: &str) -> Option<(&'static str, Rename)> {
        if let Some((_, successor)) = self.deprecated.iter().find(|(deprecated, _)| *deprecated == name) {
            return Some((successor, Rename::Successor));
        }
        let rows = || self.groups.iter().flat_map(|group| group.rows());
        let row = rows().find(|row| row.name == name && !row.is_written)?;
        let written = rows().find(|other| other.parameter == row.parameter && other.is_written)?;
        Some((written.name, Rename::Synonym))
    }

    /// The table of an API with a prompt and an object of parameters beside it.
    pub(crate) const fn of_prompt(
        groups: &'static [&'static Group],
        code: &'static [Parameter],
        known: &'static [&'static str],
        reason: &'static str,
    ) -> Self {
        let object = "parameters";
        Self { groups, code, extra: Some(object), known, objects: &["parameters"], deprecated: &[], reason }
    }

    fn writes(&self, parameter: Parameter) -> bool {
        let mut rows = self.groups.iter().flat_map(|group| group.rows());
        self.code.contains(&parameter) || rows.any(|row| row.is_written && row.parameter == parameter)
    }
}

fn changed<T: PartialEq>(original: &Option<Param<T>>, now: &Option<Param<T>>) -> Option<u32> {
    let was = original.as_ref()?;
    let is_same = now.as_ref().is_some_and(|now| now.value == was.value);
    if is_same { None } else { was.offset }
}

/// The offsets of parameters that were changed or removed.
pub(crate) fn changed_parameters(original: &Request<'_>, request: &Request<'_>) -> Vec<u32> {
    Parameter::ALL.iter().filter_map(|parameter| parameter.changed(original, request)).collect()
}

/// Splits the extra parameters off from the fields of a request: those that are not nested and that the table does not know.
pub(crate) fn split_extra_parameters<'a>(fields: &mut Fields<'a>, table: &Table) -> Fields<'a> {
    let mut extra = Fields::new();
    fields.retain_mut(|(path, param)| {
        let stays = path.contains('/') || table.knows(path);
        if !stays {
            extra.push((unescaped_name(core::mem::take(path)), param.clone()));
        }
        stays
    });
    extra
}

fn read_stop<'a>(
    form: StopForm,
    source: &mut Source<'a>,
    stop: &mut Vec<Param<Cow<'a, str>>>,
) -> Result<bool> {
    let StopForm::One = form else { return source.strings(stop, matches!(form, StopForm::Either)) };
    let mut only = None;
    let is_read = source.param(&mut only)?;
    *stop = only.into_iter().collect();
    Ok(is_read)
}

fn write_stop(row: &Row, c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let stop = &c.request.stop;
    match (row.stop, &stop[..]) {
        (_, []) => {}
        (StopForm::One, [first, rest @ ..]) => {
            object.string(row.name, &first.value);
            for stop in rest {
                let why = "a parameter of Triton is no list: only the first is sent";
                c.report_dropped(stop.offset, "stop", why);
            }
        }
        (_, stop) => write_strings(object, row.name, stop.iter().map(|stop| &*stop.value)),
    }
}

/// Writes an array of strings.
pub(crate) fn write_strings<'s>(
    object: &mut Object<'_>,
    name: &'static str,
    strings: impl Iterator<Item = &'s str>,
) {
    let mut array = object.begin_array(name);
    for string in strings {
        write_string(string, array.element());
    }
}

/// A value that can be written.
trait Write {
    fn write(&self, row: &Row, c: &Conversion<'_, '_>, object: &mut Object<'_>);
}

impl Write for Param<u64> {
    fn write(&self, row: &Row, _: &Conversion<'_, '_>, object: &mut Object<'_>) {
        object.integer(row.name, self.value);
    }
}

impl Write for Param<i64> {
    fn write(&self, row: &Row, _: &Conversion<'_, '_>, object: &mut Object<'_>) {
        let out = object.name(row.name);
        if self.value < 0 {
            out.push(b'-');
        }
        write_integer(self.value.unsigned_abs(), out);
    }
}

impl Write for Param<f64> {
    fn write(&self, row: &Row, c: &Conversion<'_, '_>, object: &mut Object<'_>) {
        let number = match row.range {
            Some(range) => c.clamped(*self, row.parameter.name(), range),
            None => *self,
        };
        c.number(number, object.name(row.name));
    }
}

impl Write for Param<bool> {
    fn write(&self, row: &Row, _: &Conversion<'_, '_>, object: &mut Object<'_>) {
        object.bool(row.name, self.value);
    }
}

impl Write for Param<Cow<'_, str>> {
    fn write(&self, row: &Row, _: &Conversion<'_, '_>, object: &mut Object<'_>) {
        object.string(row.name, &self.value);
    }
}

impl Write for Param<model::Json<'_>> {
    fn write(&self, row: &Row, _: &Conversion<'_, '_>, object: &mut Object<'_>) {
        object.raw(row.name, self.value.as_str());
    }
}

impl Conversion<'_, '_> {
    /// Writes the parameters of a group.
    pub(crate) fn write_rows(&self, object: &mut Object<'_>, group: &Group) {
        for row in group.rows().filter(|row| row.is_written) {
            match (row.quirk, row.parameter) {
                _ if row.skips_neutral && row.parameter.significant(self.request).is_none() => {}
                (Some(quirk), _) => quirk(self, object, row.name),
                (None, Parameter::MaxTokens) => {
                    if let Some(tokens) = self.max_tokens() {
                        object.integer(row.name, tokens);
                    }
                }
                (None, Parameter::Temperature) => {
                    if let Some(temperature) = self.temperature() {
                        temperature.write(row, self, object);
                    }
                }
                (None, parameter) => parameter.write(row, self, object),
            }
        }
    }

    /// Writes the parameters of a group into an object of their own, if there are any.
    pub(crate) fn write_group(&self, object: &mut Object<'_>, group: &Group) {
        let mut written = Vec::new();
        self.write_rows(&mut Object::new(&mut written), group);
        if written != b"{}" {
            object.name(group.object).append(&mut written);
        }
    }

    /// Writes extra parameters of the source's container. Names with a meaning of their own in the target are not written.
    pub(crate) fn write_extra_parameters(&self, table: &Table, object: &mut Object<'_>) {
        // Those of the target itself are put back with the extension fields.
        if self.is_native() || self.options.drop_extra_parameters {
            return;
        }
        for (name, param) in &self.request.extra_parameters {
            if table.knows(name) {
                let reason = "in the target this name has a meaning of its own";
                self.report_dropped(param.offset, "extra_parameters", reason);
            } else {
                object.raw(name, param.value.as_str());
            }
        }
    }

    /// Reports extra parameters, for a target that takes none.
    pub(crate) fn report_extra_parameters(&self, reason: &'static str) {
        if !self.is_native() && !self.options.drop_extra_parameters {
            self.report_fields(&self.request.extra_parameters, "extra_parameters", reason);
        }
    }

    /// Reports the parameters that are set and that the target does not take.
    ///
    /// Model and stream are not content: a path or an operation may express them.
    pub(crate) fn report_parameters(&self, table: &Table) {
        use Parameter::{DoSample, Model, ParallelToolCalls, Stream, ToolChoice};
        for parameter in Parameter::ALL {
            let is_moot = match parameter {
                Model | Stream | DoSample => true,
                ToolChoice | ParallelToolCalls => self.request.tools.is_empty(),
                _ => false,
            };
            if let (Some(offset), false) = (parameter.significant(self.request), is_moot) {
                if !table.writes(*parameter) {
                    self.report_dropped(offset, parameter.name(), table.reason);
                }
            }
        }
        if let (Some(prompt), false) = (&self.request.prompt, self.request.messages.is_empty()) {
            self.report_dropped(prompt.offset, "prompt", table.reason);
        }
    }
}
