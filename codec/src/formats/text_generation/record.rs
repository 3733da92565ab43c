//! Where the members of a record lie, and what shape they make.

use core::ops::Range;

use crate::json::{Fault, Json};

/// The shapes of records. They share few members.
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
}

/// The members that have a meaning here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
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
    /// Says nothing about the answer.
    Idle,
}

const MEMBERS: usize = Member::Idle as usize + 1;

/// What a member is, and in which shapes it is.
fn member(name: &[u8]) -> Option<(Member, u8)> {
    const TOKENS: u8 = Shape::Tokens as u8;
    const GENERATION: u8 = Shape::Generation as u8;
    const TRITON: u8 = Shape::Triton as u8;
    const LLAMA: u8 = Shape::Llama as u8;
    Some(match name {
        b"error" => (Member::Error, u8::MAX),
        b"index" => (Member::Index, TOKENS | LLAMA),
        b"token" => (Member::Token, TOKENS),
        b"generated_text" => (Member::GeneratedText, TOKENS),
        b"generated_texts" => (Member::GeneratedTexts, TOKENS),
        b"details" => (Member::Details, TOKENS),
        b"generation" => (Member::Generation, GENERATION),
        b"body" => (Member::Body, GENERATION),
        b"metering" => (Member::Metering, GENERATION),
        b"stop_reason" => (Member::StopReason, GENERATION),
        b"prompt_token_count" => (Member::PromptTokens, GENERATION),
        b"generation_token_count" => (Member::GeneratedTokens, GENERATION),
        b"content_type" => (Member::Idle, GENERATION),
        b"outputs" => (Member::Outputs, Shape::Outputs as u8),
        b"text_output" => (Member::TextOutput, TRITON),
        b"sequence_end" => (Member::SequenceEnd, TRITON),
        b"model_name" => (Member::ModelName, TRITON),
        b"model_version" | b"sequence_id" | b"sequence_start" => (Member::Idle, TRITON),
        b"content" => (Member::Content, LLAMA),
        b"stop" => (Member::Stop, LLAMA),
        b"stop_type" => (Member::StopType, LLAMA),
        b"stopping_word" => (Member::StoppingWord, LLAMA),
        b"stopped_word" => (Member::StoppedWord, LLAMA),
        b"stopped_limit" => (Member::StoppedLimit, LLAMA),
        b"stopped_eos" => (Member::StoppedEos, LLAMA),
        b"tokens" => (Member::Tokens, LLAMA),
        b"tokens_predicted" => (Member::Predicted, LLAMA),
        b"tokens_evaluated" => (Member::Evaluated, LLAMA),
        b"completion_probabilities" => (Member::Probabilities, LLAMA),
        b"model" => (Member::Model, LLAMA),
        b"id_slot" | b"prompt" | b"generation_settings" => (Member::Idle, LLAMA),
        _ => return None,
    })
}

/// A record, or the `body` of one.
pub(crate) struct Record {
    pub(crate) range: Range<usize>,
    /// Members that are not null.
    members: [Option<Range<usize>>; MEMBERS],
    /// A `stop_reason` is there, be it null.
    pub(crate) has_stop_reason: bool,
    /// The shapes that do not know all members.
    incomplete: u8,
}

impl Record {
    /// Finds the members of the object that comes next, and checks all of it.
    pub(crate) fn find(json: &mut Json<'_>) -> Result<Self, Fault> {
        json.kind()?;
        let start = json.pos();
        let mut record = Self {
            range: start..start,
            members: [const { None }; MEMBERS],
            has_stop_reason: false,
            incomplete: 0,
        };
        json.object(|json, name| {
            let value = json.skip_some()?;
            match member(name) {
                Some((member, shapes)) => {
                    record.has_stop_reason |= member == Member::StopReason;
                    record.incomplete |= if value.is_some() { !shapes } else { 0 };
                    record.members[member as usize] = value;
                }
                None => record.incomplete |= if value.is_some() { u8::MAX } else { 0 },
            }
            Ok(())
        })?;
        record.range.end = json.pos();
        Ok(record)
    }

    /// Where the value of a member lies, unless it is null.
    pub(crate) fn get(&self, member: Member) -> Option<Range<usize>> {
        self.members[member as usize].clone()
    }

    /// The same, if it begins with one of these bytes, which tell its kind.
    pub(crate) fn get_kind(&self, record: &[u8], member: Member, kinds: &[u8]) -> Option<Range<usize>> {
        self.get(member).filter(|range| kinds.contains(&record[range.start]))
    }

    /// Whether a member is `true`.
    pub(crate) fn is_true(&self, record: &[u8], member: Member) -> bool {
        self.get(member).is_some_and(|range| &record[range] == b"true")
    }

    /// What shape the members make.
    pub(crate) fn shape(&self, record: &[u8]) -> Option<Shape> {
        let is = |member, kinds: &[u8]| self.get_kind(record, member, kinds).is_some();
        let has_texts = |member| self.get(member).is_some_and(|range| is_texts(&record[range]));
        let is_tokens = is(Member::Token, b"{") || is(Member::GeneratedText, b"\"");
        if is_tokens || has_texts(Member::GeneratedTexts) {
            Some(Shape::Tokens)
        } else if is(Member::TextOutput, b"\"") || has_texts(Member::TextOutput) {
            Some(Shape::Triton)
        } else if is(Member::Content, b"\"") && is(Member::Stop, b"tf") {
            Some(Shape::Llama)
        } else if has_texts(Member::Outputs) {
            Some(Shape::Outputs)
        } else if is(Member::Body, b"{") || is(Member::Generation, b"\"{") {
            Some(Shape::Generation)
        } else {
            None
        }
    }

    /// Whether there are members that have no meaning in this shape.
    pub(crate) fn has_other_fields(&self, shape: Shape) -> bool {
        self.incomplete & shape as u8 != 0
    }

    /// Whether a member of this name has a meaning in this shape.
    pub(crate) fn is_known(name: &[u8], shape: Shape) -> bool {
        member(name).is_some_and(|(_, shapes)| shapes & shape as u8 != 0)
    }
}

/// Whether a value is a list that begins with a text.
fn is_texts(value: &[u8]) -> bool {
    value.strip_prefix(b"[").is_some_and(|list| list.trim_ascii_start().starts_with(b"\""))
}

/// The value of a number, if it is an integer that fits.
pub(crate) fn integer(record: &[u8], number: Option<Range<usize>>) -> Option<u64> {
    core::str::from_utf8(&record[number?]).ok()?.parse().ok()
}

/// Where a number lies, if it is one.
pub(crate) fn number(record: &[u8], value: Option<Range<usize>>) -> Option<Range<usize>> {
    value.filter(|range| matches!(record[range.start], b'-' | b'0'..=b'9'))
}

/// Whether an array or an object holds nothing.
pub(crate) fn is_empty(record: &[u8], value: &Range<usize>) -> bool {
    matches!(record[value.start], b'[' | b'{')
        && record[value.start + 1..value.end - 1].trim_ascii().is_empty()
}
