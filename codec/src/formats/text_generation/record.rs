//! The fields of a record, by their spans, and the shape of the record.

use core::ops::Range;

use crate::json::{Fault, Json};

/// The shapes of records. They share few fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// TGI, LMI, JumpStart: tokens, and the whole text.
    Tokens = 1,
    /// JumpStart, LMI's `3p`, Llama on Bedrock.
    Generation = 2,
    /// LMI's dynamic batches.
    Outputs = 4,
    Triton = 8,
    Llama = 16,
    Sglang = 32,
    /// A list of SGLang's responses.
    Predictions = 64,
}

/// The fields that have a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Error,
    Index,
    Token,
    GeneratedText,
    GeneratedTexts,
    Details,
    Generation,
    Body,
    Metering,
    StopReason,
    PromptTokens,
    GeneratedTokens,
    Outputs,
    TextOutput,
    SequenceEnd,
    ModelName,
    Content,
    Stop,
    StopType,
    StoppingWord,
    StoppedWord,
    StoppedLimit,
    StoppedEos,
    Tokens,
    Predicted,
    Evaluated,
    Probabilities,
    Model,
    Text,
    OutputIds,
    MetaInfo,
    Predictions,
    /// It has no meaning for the response.
    Idle,
}

const FIELD_COUNT: usize = Field::Idle as usize + 1;

/// The field of a name, and the shapes that have it.
fn field(name: &[u8]) -> Option<(Field, u8)> {
    const TOKENS: u8 = Shape::Tokens as u8;
    const GENERATION: u8 = Shape::Generation as u8;
    const TRITON: u8 = Shape::Triton as u8;
    const LLAMA: u8 = Shape::Llama as u8;
    const SGLANG: u8 = Shape::Sglang as u8;
    Some(match name {
        b"error" => (Field::Error, u8::MAX),
        b"index" => (Field::Index, TOKENS | LLAMA | SGLANG),
        b"token" => (Field::Token, TOKENS),
        b"generated_text" => (Field::GeneratedText, TOKENS),
        b"generated_texts" => (Field::GeneratedTexts, TOKENS),
        b"details" => (Field::Details, TOKENS),
        b"generation" => (Field::Generation, GENERATION),
        b"body" => (Field::Body, GENERATION),
        b"metering" => (Field::Metering, GENERATION),
        b"stop_reason" => (Field::StopReason, GENERATION),
        b"prompt_token_count" => (Field::PromptTokens, GENERATION),
        b"generation_token_count" => (Field::GeneratedTokens, GENERATION),
        b"content_type" => (Field::Idle, GENERATION),
        b"outputs" => (Field::Outputs, Shape::Outputs as u8),
        b"text_output" => (Field::TextOutput, TRITON),
        b"sequence_end" => (Field::SequenceEnd, TRITON),
        b"model_name" => (Field::ModelName, TRITON),
        b"model_version" | b"sequence_id" | b"sequence_start" => (Field::Idle, TRITON),
        b"content" => (Field::Content, LLAMA),
        b"stop" => (Field::Stop, LLAMA),
        b"stop_type" => (Field::StopType, LLAMA),
        b"stopping_word" => (Field::StoppingWord, LLAMA),
        b"stopped_word" => (Field::StoppedWord, LLAMA),
        b"stopped_limit" => (Field::StoppedLimit, LLAMA),
        b"stopped_eos" => (Field::StoppedEos, LLAMA),
        b"tokens" => (Field::Tokens, LLAMA),
        b"tokens_predicted" => (Field::Predicted, LLAMA),
        b"tokens_evaluated" => (Field::Evaluated, LLAMA),
        b"completion_probabilities" => (Field::Probabilities, LLAMA),
        b"model" => (Field::Model, LLAMA),
        b"id_slot" | b"prompt" | b"generation_settings" => (Field::Idle, LLAMA),
        b"text" => (Field::Text, SGLANG),
        b"output_ids" => (Field::OutputIds, SGLANG),
        b"meta_info" => (Field::MetaInfo, SGLANG),
        b"predictions" => (Field::Predictions, Shape::Predictions as u8),
        _ => return None,
    })
}

/// A record, or the `body` of one.
pub(crate) struct Record {
    pub(crate) range: Range<usize>,
    /// The spans of fields that are not null.
    fields: [Option<Range<usize>>; FIELD_COUNT],
    /// There is a `stop_reason`, perhaps null.
    pub(crate) has_stop_reason: bool,
    /// The shapes that do not have all of the fields.
    incomplete: u8,
}

impl Record {
    /// Finds the fields of the next object, and checks all of it.
    pub(crate) fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        json.kind()?;
        let start = json.pos();
        let mut record = Self {
            range: start..start,
            fields: [const { None }; FIELD_COUNT],
            has_stop_reason: false,
            incomplete: 0,
        };
        json.object(|json, name| {
            let value = json.skip_some()?;
            match field(name) {
                Some((field, shapes)) => {
                    record.has_stop_reason |= field == Field::StopReason;
                    record.incomplete |= if value.is_some() { !shapes } else { 0 };
                    record.fields[field as usize] = value;
                }
                None => record.incomplete |= if value.is_some() { u8::MAX } else { 0 },
            }
            Ok(())
        })?;
        record.range.end = json.pos();
        Ok(record)
    }

    /// The span of a field, unless it is null.
    pub(crate) fn get(&self, field: Field) -> Option<Range<usize>> {
        self.fields[field as usize].clone()
    }

    /// The same, if the value begins with one of these bytes, which identify its kind.
    pub(crate) fn get_kind(&self, record: &[u8], field: Field, kinds: &[u8]) -> Option<Range<usize>> {
        self.get(field).filter(|range| kinds.contains(&record[range.start]))
    }

    /// Whether a field is `true`.
    pub(crate) fn is_true(&self, record: &[u8], field: Field) -> bool {
        self.get(field).is_some_and(|range| &record[range] == b"true")
    }

    /// The shape of the record.
    pub(crate) fn shape(&self, record: &[u8]) -> Option<Shape> {
        let is = |field, kinds: &[u8]| self.get_kind(record, field, kinds).is_some();
        let has_texts = |field| self.get(field).is_some_and(|range| is_list_of(&record[range], b'"'));
        let is_tokens = is(Field::Token, b"{") || is(Field::GeneratedText, b"\"");
        if is_tokens || has_texts(Field::GeneratedTexts) {
            Some(Shape::Tokens)
        } else if is(Field::TextOutput, b"\"") || has_texts(Field::TextOutput) {
            Some(Shape::Triton)
        } else if is(Field::Content, b"\"") && is(Field::Stop, b"tf") {
            Some(Shape::Llama)
        } else if has_texts(Field::Outputs) {
            Some(Shape::Outputs)
        } else if is(Field::MetaInfo, b"{") {
            Some(Shape::Sglang)
        } else if self.get(Field::Predictions).is_some_and(|range| is_list_of(&record[range], b'{')) {
            Some(Shape::Predictions)
        } else if is(Field::Body, b"{") || is(Field::Generation, b"\"{") {
            Some(Shape::Generation)
        } else {
            None
        }
    }

    /// Whether there are fields that have no meaning in this shape.
    pub(crate) fn has_other_fields(&self, shape: Shape) -> bool {
        self.incomplete & shape as u8 != 0
    }

    /// Whether a field of this name has a meaning in this shape.
    pub(crate) fn is_known(name: &[u8], shape: Shape) -> bool {
        field(name).is_some_and(|(_, shapes)| shapes & shape as u8 != 0)
    }
}

/// Whether a value is a list whose first element begins with this byte, which identifies its kind.
fn is_list_of(value: &[u8], kind: u8) -> bool {
    value.strip_prefix(b"[").is_some_and(|list| list.trim_ascii_start().first() == Some(&kind))
}

/// The value of a number, if it is an integer that fits.
pub(crate) fn integer(record: &[u8], number: Option<Range<usize>>) -> Option<u64> {
    core::str::from_utf8(&record[number?]).ok()?.parse().ok()
}

/// The span of a value, if it is a number.
pub(crate) fn number(record: &[u8], value: Option<Range<usize>>) -> Option<Range<usize>> {
    value.filter(|range| matches!(record[range.start], b'-' | b'0'..=b'9'))
}

/// Whether a value is an empty array or object.
pub(crate) fn is_empty(record: &[u8], value: &Range<usize>) -> bool {
    matches!(record[value.start], b'[' | b'{')
        && record[value.start + 1..value.end - 1].trim_ascii().is_empty()
}

/// The only element of an array, if it is a number.
pub(crate) fn only_number(record: &[u8], array: &Range<usize>) -> Option<Range<usize>> {
    if record[array.start] != b'[' {
        return None;
    }
    let start = array.start + 1;
    let inside = &record[start..array.end - 1];
    (!inside.is_empty() && inside.iter().all(u8::is_ascii_digit)).then_some(start..array.end - 1)
}
