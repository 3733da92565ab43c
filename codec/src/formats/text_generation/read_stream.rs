//! Reads records and whole responses.

use core::ops::Range;

use crate::assemble::{Emitter, Index, Reason, Stop, TextKind, Tracked};
use crate::formats::error_record as failure;
use crate::formats::text_generation::details::{Details, finish, other_fields};
use crate::formats::text_generation::record::{Field, Record, Shape, integer, is_empty, number, only_number};
use crate::formats::text_generation::sglang;
use crate::formats::text_generation::state::{OpenEnds, StreamState};
use crate::formats::text_generation::token::Token;
use crate::json::{Json, Kind, Str};
use crate::model::Failure;
use crate::model::{FinishReason, Usage};

/// The choice of records that have no index.
const FIRST_CHOICE: Index = Index::fixed(0);

/// Reads the object that comes next.
pub(crate) fn read_record(
    state: &mut Tracked<StreamState>,
    json: &mut Json<'_>,
    emitter: &mut Emitter<'_>,
) -> Result<(), Stop> {
    RecordReader { state }.read(json, emitter)
}

/// Reads one record.
struct RecordReader<'a> {
    state: &'a mut Tracked<StreamState>,
}

impl RecordReader<'_> {
    fn read(&mut self, json: &mut Json<'_>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        // Finding the fields checks the whole object before any of it is used.
        let record = Record::find(json)?;
        emitter.remember_text();
        let shape = record.shape(emitter.record);
        if shape.is_none() || record.get(Field::Error).is_some() {
            if let Some(failure) = failure::read(emitter.record, &record.range, emitter.depth())? {
                sglang::finish_input(self.state, emitter)?;
                emitter.fail(failure);
            }
        }
        let Some(shape) = shape else {
            if !emitter.is_failed() {
                emitter.other(None, None, record.range);
            }
            return Ok(());
        };
        match shape {
            Shape::Tokens => self.tokens(&record, emitter)?,
            Shape::Generation => self.generation(&record, emitter)?,
            Shape::Outputs => self.texts(&record, Field::Outputs, false, emitter)?,
            Shape::Triton => self.triton(&record, emitter)?,
            Shape::Llama => self.llama(&record, emitter)?,
            Shape::Sglang => sglang::read_record(self.state, &record, emitter)?,
            Shape::Predictions => {
                let Some(list) = record.get(Field::Predictions) else { return Ok(()) };
                emitter.json(list.start).array(|json| self.read(json, emitter))?;
            }
        }
        if record.has_other_fields(shape) {
            other_fields(emitter, &record.range, None, |name| Record::is_known(name, shape))?;
        }
        Ok(())
    }

    /// The choice of a whole response.
    fn next_response(&mut self) -> Index {
        self.state.responses = self.state.responses.saturating_add(1);
        Index::fixed(u64::from(self.state.responses - 1))
    }

    fn tokens(&mut self, record: &Record, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        let bytes = emitter.record;
        let token = match record.get_kind(bytes, Field::Token, b"{") {
            Some(range) => Some(Token::find(emitter, range)?),
            None => None,
        };
        let whole = record.get(Field::GeneratedText).and_then(|range| emitter.string_at(&range));
        let details = match record.get_kind(bytes, Field::Details, b"{") {
            Some(range) => Details::find(emitter, range)?,
            None => Details::default(),
        };
        let index = number(bytes, record.get(Field::Index));
        let choice = match &token {
            Some(token) => self.token(token, index, emitter)?,
            None if self.state.index_is_choice.is_none() && whole.is_some() => {
                let choice = self.next_response();
                deliver(emitter, &choice, whole)?;
                choice
            }
            None => FIRST_CHOICE,
        };
        if whole.is_some() || record.get(Field::Details).is_some() {
            if let Some(text) = whole.filter(|_| self.state.index_is_choice.is_some()) {
                emitter.repeated_text(&choice, text, details.inputs)?;
            }
            details.read(emitter, &choice)?;
            if !emitter.is_failed() {
                emitter.set_position(details.start());
                emitter.usage(details.usage());
            }
        }
        if whole.is_some() && !emitter.is_failed() {
            emitter.end_choice(&choice)?;
        }
        if let Some(sequences) = &details.sequences {
            self.sequences(sequences, emitter)?;
        }
        self.texts(record, Field::GeneratedTexts, true, emitter)
    }

    /// One token of a stream. Returns the choice that it belongs to.
    fn token(
        &mut self,
        token: &Token,
        index: Option<Range<usize>>,
        emitter: &mut Emitter<'_>,
    ) -> Result<Index, Stop> {
        let is_choice = match self.state.index_is_choice {
            Some(is_choice) => is_choice,
            None => {
                let index = emitter.index(index.clone());
                let is_zero = index.is_some_and(|index| emitter.value(&index) == 0);
                // TGI begins to count with 1, and always has a field for special tokens.
                *self.state.index_is_choice.insert(is_zero && !token.has_special)
            }
        };
        let choice = if is_choice { emitter.choice_index(index.clone()) } else { None };
        let choice = choice.unwrap_or(FIRST_CHOICE);
        if let (Some(message), false) = (token.error, emitter.is_failed()) {
            emitter.fail(Failure::of("error", None, emitter.to_string(message), emitter.record));
        }
        deliver(emitter, &choice, token.text.filter(|_| !token.is_special))?;
        emitter.ignore_number(index.filter(|_| !is_choice));
        emitter.ignore_number(token.id.clone());
        emitter.ignore_number(token.logprob.clone());
        if token.has_other_fields {
            other_fields(emitter, &token.range, Some(&choice), Token::is_known)?;
        }
        if emitter.wants_token_logprobs() && !emitter.is_failed() {
            emitter.logprobs(&choice, token.range.clone());
        }
        Ok(choice)
    }

    /// The sequences of `best_of` that TGI did not choose.
    fn sequences(&mut self, sequences: &Range<usize>, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        emitter.objects(sequences, |emitter, _, sequence| {
            let details = Details::find(emitter, sequence)?;
            let choice = self.next_response();
            deliver(emitter, &choice, details.generated_text)?;
            details.read(emitter, &choice)?;
            emitter.end_choice(&choice)
        })
    }

    /// Reads a text, or a list of texts that are a choice each. `whole` is whether they are whole responses.
    fn texts(
        &mut self,
        record: &Record,
        field: Field,
        whole: bool,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Stop> {
        let Some(value) = record.get(field) else { return Ok(()) };
        let (bytes, depth, mut position) = (emitter.record, emitter.depth(), 0);
        let mut each = |json: &mut Json<'_>| {
            let text = json.string_or_skip()?;
            let choice = if whole { self.next_response() } else { Index::fixed(position) };
            position += 1;
            deliver(emitter, &choice, text)?;
            if whole {
                emitter.end_choice(&choice)?;
            }
            Ok::<_, Stop>(())
        };
        let mut json = Json::new(bytes, value.start, depth);
        if json.kind()? == Kind::Array { json.array(each) } else { each(&mut json) }
    }

    /// Reads JumpStart's responses, and records of LMI's `3p` and of Llama on Bedrock, which have a stop reason.
    fn generation(&mut self, record: &Record, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        let bytes = emitter.record;
        let body = match record.get(Field::Body) {
            Some(range) => Some(Record::find(&mut emitter.json(range.start))?),
            None => None,
        };
        let inner = body.as_ref().unwrap_or(record);
        let value = inner.get_kind(bytes, Field::Generation, b"\"{");
        let mut text = value.clone();
        let message = value.clone().filter(|range| bytes[range.start] == b'{');
        if let Some(message) = &message {
            let [role, content] = emitter.fields(message, [b"role", b"content"])?;
            text = content.filter(|content| bytes[content.start] == b'"');
            if text.is_some() && !emitter.is_failed() {
                emitter.start(None, None, None, emitter.string_in(role));
            }
        }
        if text.is_none() && !inner.has_stop_reason {
            // It is not a response.
            if let (Some(range), false) = (value.or(body.map(|body| body.range)), emitter.is_failed()) {
                emitter.other(None, None, range);
            }
            return Ok(());
        }
        let choice = &if inner.has_stop_reason { FIRST_CHOICE } else { self.next_response() };
        deliver(emitter, choice, emitter.string_in(text))?;
        if let Some(message) = &message {
            other_fields(emitter, message, Some(choice), |name| matches!(name, b"role" | b"content"))?;
        }
        if let Some(body) = body.as_ref().filter(|body| body.has_other_fields(Shape::Generation)) {
            other_fields(emitter, &body.range, Some(choice), |name| {
                Record::is_known(name, Shape::Generation)
            })?;
        }
        let reason = inner.get(Field::StopReason);
        let is_end = reason.is_some() || !inner.has_stop_reason;
        self.counts(record, inner, is_end, emitter)?;
        if is_end {
            finish(emitter, choice, reason, None)?;
            if !emitter.is_failed() {
                emitter.end_choice(choice)?;
            }
        }
        Ok(())
    }

    /// Reads the counts: those at the beginning, which has the input's, and those at the end. The first are kept, because the
    /// last usage that is delivered is final.
    fn counts(
        &mut self,
        record: &Record,
        inner: &Record,
        is_end: bool,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Stop> {
        let bytes = emitter.record;
        let mut metering = [None, None];
        if let Some(range) = record.get(Field::Metering) {
            metering = emitter.fields(&range, [b"inputTokenCount", b"outputTokenCount"])?;
        }
        let [input, output] = metering;
        let count = number(bytes, inner.get(Field::GeneratedTokens));
        let input = integer(bytes, input).or_else(|| integer(bytes, inner.get(Field::PromptTokens)));
        if input.is_some() && input != self.state.input_tokens {
            self.state.input_tokens = input;
        }
        if (is_end || input.is_some()) && !emitter.is_failed() {
            // The position of the counts is that of the first one.
            let counts = [inner.get(Field::GeneratedTokens), record.get(Field::Metering)];
            if let Some(counts) = counts.into_iter().flatten().next() {
                emitter.set_position(counts.start);
            }
            let output_tokens = integer(bytes, count).or_else(|| integer(bytes, output));
            emitter.usage(Usage { input_tokens: self.state.input_tokens, output_tokens, ..Usage::default() });
        } else {
            emitter.ignore_number(count);
            emitter.ignore_number(number(bytes, output));
        }
        Ok(())
    }

    fn triton(&mut self, record: &Record, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        let model = record.get(Field::ModelName).and_then(|range| emitter.string_at(&range));
        if !emitter.is_failed() {
            emitter.start(None, model, None, None);
        }
        self.texts(record, Field::TextOutput, false, emitter)?;
        if record.is_true(emitter.record, Field::SequenceEnd) {
            emitter.done();
        } else {
            match self.state.open_ends {
                OpenEnds::None => self.state.open_ends = OpenEnds::One,
                OpenEnds::One => self.state.open_ends = OpenEnds::Several,
                OpenEnds::Several => {}
            }
        }
        Ok(())
    }

    fn llama(&mut self, record: &Record, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        let bytes = emitter.record;
        let model = record.get(Field::Model).and_then(|range| emitter.string_at(&range));
        if !emitter.is_failed() {
            emitter.start(None, model, None, None);
        }
        let index = number(bytes, record.get(Field::Index));
        let choice = &emitter.choice_index(index).unwrap_or(FIRST_CHOICE);
        let text = record.get(Field::Content).and_then(|range| emitter.string_at(&range));
        deliver(emitter, choice, text)?;
        let predicted = number(bytes, record.get(Field::Predicted));
        let token = record.get(Field::Tokens).and_then(|tokens| only_number(bytes, &tokens));
        emitter.ignore_number(token);
        emitter.ignore_number(predicted.clone());
        if let Some(logprobs) = record.get_kind(bytes, Field::Probabilities, b"[") {
            if !is_empty(bytes, &logprobs) {
                emitter.logprobs(choice, logprobs);
            }
        }
        if record.is_true(bytes, Field::Stop) && !emitter.is_failed() {
            let evaluated = integer(bytes, record.get(Field::Evaluated));
            self.llama_end(record, choice, emitter)?;
            if let Some(counts) = &predicted {
                emitter.set_position(counts.start);
            }
            emitter.usage(Usage {
                input_tokens: evaluated,
                output_tokens: integer(bytes, predicted),
                ..Usage::default()
            });
        }
        Ok(())
    }

    fn llama_end(&mut self, record: &Record, choice: &Index, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        let bytes = emitter.record;
        let stop = record.get(Field::StoppingWord).and_then(|range| emitter.string_at(&range));
        let stop = emitter.non_empty(stop);
        let reason = record.get(Field::StopType).filter(|range| &bytes[range.clone()] != b"\"none\"");
        let found = [Field::StopType, Field::StoppedWord, Field::StoppedLimit, Field::StoppedEos];
        if let Some(found) = found.into_iter().find_map(|field| record.get(field)) {
            emitter.set_position(found.start);
        }
        if reason.is_some() {
            finish(emitter, choice, reason, stop)?;
        } else if record.is_true(bytes, Field::StoppedWord) {
            // Older versions have a field for each reason instead of `stop_type`.
            emitter.finish(choice, Reason::Known(&FinishReason::StopSequence), stop)?;
        } else if record.is_true(bytes, Field::StoppedLimit) {
            emitter.finish(choice, Reason::Known(&FinishReason::Length), stop)?;
        } else if record.is_true(bytes, Field::StoppedEos) {
            emitter.finish(choice, Reason::Known(&FinishReason::Stop), stop)?;
        }
        if emitter.is_failed() { Ok(()) } else { emitter.end_choice(choice) }
    }
}

/// Delivers text of a choice.
fn deliver(emitter: &mut Emitter<'_>, choice: &Index, text: Option<Str>) -> Result<(), Stop> {
    let text = text.filter(|text| text.start < text.end);
    // A record that is only a failure does not start a response.
    if text.is_some() || !emitter.is_failed() {
        emitter.start(None, None, None, None);
        emitter.touch(choice)?;
    }
    emitter.text(choice, TextKind::Text, text)
}
