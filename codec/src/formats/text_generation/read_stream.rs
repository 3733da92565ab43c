//! Reads records and whole answers.

use core::ops::Range;

use crate::assemble::{TextKind, Reason, Emitter, Stop};
use crate::decode::shape_cache::Trace;
use crate::formats::error_record as failure;
use crate::formats::text_generation::details::{Details, finish, others};
use crate::formats::text_generation::record::{Member, Record, Shape, integer, is_empty, number};
use crate::formats::text_generation::streamed::Streamed;
use crate::formats::text_generation::token::Token;
use crate::json::{Json, Kind, Str, unescaped};
use crate::model::Failure;
use crate::model::{FinishReason, Usage};

/// Reads records into the queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    /// Whether `index` is the choice, once the first token has shown it.
    index_is_choice: Option<bool>,
    /// Whole answers so far: each is a choice.
    answers: u32,
    /// The choice that was streamed first.
    choice: Option<u32>,
    /// Others were streamed, too.
    has_choices: bool,
    /// The text of the first.
    streamed: Streamed,
    /// Tokens of the input, which `3p` says only at the beginning.
    input_tokens: Option<u64>,
    /// Records of Triton's that did not say whether they are the last.
    open_ends: u32,
}

impl Reader {
    /// Reads the object that comes next.
    pub(crate) fn read(
        &mut self,
        json: &mut Json<'_>,
        emitter: &mut Emitter<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        // Finding the members checks all of the object, before any of it is used.
        let record = Record::find(json)?;
        trace.counts.0 += 1;
        let shape = record.shape(emitter.record);
        if shape.is_none() || record.get(Member::Error).is_some() {
            if let Some(failure) = failure::read(emitter.record, &record.range, emitter.depth())? {
                trace.more();
                emitter.fail(failure);
            }
        }
        let Some(shape) = shape else {
            trace.more();
            if !emitter.is_failed() {
                emitter.other(None, None, record.range);
            }
            return Ok(());
        };
        match shape {
            Shape::Tokens => self.tokens(&record, emitter, trace)?,
            Shape::Generation => self.generation(&record, emitter, trace)?,
            Shape::Outputs => self.texts(&record, Member::Outputs, false, emitter, trace)?,
            Shape::Triton => self.triton(&record, emitter, trace)?,
            Shape::Llama => self.llama(&record, emitter, trace)?,
        }
        if record.has_others(shape) {
            trace.more();
            others(emitter, &record.range, None, |name| Record::is_known(name, shape))?;
        }
        Ok(())
    }

    /// The text at a range of these bytes was delivered as a choice's.
    #[inline]
    pub(crate) fn heard(&mut self, choice: u32, (bytes, range): (&[u8], Range<usize>)) {
        if *self.choice.get_or_insert(choice) == choice {
            self.streamed.add(bytes, range);
        } else {
            self.has_choices = true;
        }
    }

    /// Whether a body that is no event stream is a whole answer: one that does not say where it ends.
    pub(crate) fn is_whole_body(&self) -> bool {
        self.open_ends == 1
    }

    fn say(
        &mut self,
        emitter: &mut Emitter<'_>,
        trace: &mut Trace,
        choice: u32,
        text: Option<Str>,
    ) -> Result<(), Stop> {
        let text = text.filter(|text| text.start < text.end);
        // A record that is nothing but a failure starts no answer.
        if text.is_some() || !emitter.is_failed() {
            emitter.start(None, None, None, None);
            emitter.touch(choice)?;
        }
        let Some(text) = text else { return Ok(()) };
        trace.plain(choice, TextKind::Text, text);
        emitter.at(text.start);
        let text = emitter.string(text);
        self.heard(choice, emitter.find(text));
        emitter.plain(choice, TextKind::Text, text)
    }

    /// The choice of a whole answer.
    fn next_answer(&mut self) -> u32 {
        self.answers = self.answers.saturating_add(1);
        self.answers - 1
    }

    fn tokens(&mut self, record: &Record, emitter: &mut Emitter<'_>, trace: &mut Trace) -> Result<(), Stop> {
        let bytes = emitter.record;
        let token = match record.get_kind(bytes, Member::Token, b"{") {
            Some(range) => Some(Token::find(emitter, range)?),
            None => None,
        };
        let answer = record.get(Member::GeneratedText).and_then(|range| emitter.text(&range));
        let details = match record.get_kind(bytes, Member::Details, b"{") {
            Some(range) => Details::find(emitter, range)?,
            None => Details::default(),
        };
        let index = number(bytes, record.get(Member::Index));
        let choice = match &token {
            Some(token) => self.token(token, index, emitter, trace)?,
            None if self.index_is_choice.is_none() && answer.is_some() => {
                let choice = self.next_answer();
                self.say(emitter, trace, choice, answer)?;
                choice
            }
            None => 0,
        };
        if answer.is_some() || record.get(Member::Details).is_some() {
            trace.more();
            self.rest(choice, answer.filter(|_| self.index_is_choice.is_some()), &details, emitter)?;
            details.read(emitter, choice)?;
            if !emitter.is_failed() {
                emitter.at(details.start());
                emitter.usage(details.usage());
            }
        }
        if answer.is_some() && !emitter.is_failed() {
            emitter.end_choice(choice)?;
        }
        if let Some(sequences) = &details.sequences {
            self.sequences(sequences, emitter, trace)?;
        }
        self.texts(record, Member::GeneratedTexts, true, emitter, trace)
    }

    /// One token of a stream. Returns the choice that it belongs to.
    fn token(
        &mut self,
        token: &Token,
        index: Option<Range<usize>>,
        emitter: &mut Emitter<'_>,
        trace: &mut Trace,
    ) -> Result<u32, Stop> {
        let value = integer(emitter.record, index.clone());
        // TGI begins to count with 1, and always says whether a token is special.
        let is_choice = *self.index_is_choice.get_or_insert(value == Some(0) && !token.has_special);
        let choice = if is_choice { value.and_then(|index| u32::try_from(index).ok()) } else { None };
        let choice = choice.unwrap_or(0);
        if let (Some(message), false) = (token.error, emitter.is_failed()) {
            trace.more();
            emitter.fail(Failure::of("error", None, emitter.to_string(message), emitter.record));
        }
        self.say(emitter, trace, choice, token.text.filter(|_| !token.is_special))?;
        let count = if is_choice {
            trace.places.choice = index;
            None
        } else {
            index
        };
        trace.places.numbers = [count, token.id.clone(), token.logprob.clone()];
        if token.has_others {
            trace.more();
            others(emitter, &token.range, Some(choice), Token::is_known)?;
        }
        if emitter.wants_token_logprobs() && !emitter.is_failed() {
            trace.more();
            emitter.logprobs(choice, token.range.clone());
        }
        Ok(choice)
    }

    /// What the server says that it streamed, and did not.
    fn rest(
        &mut self,
        choice: u32,
        answer: Option<Str>,
        details: &Details,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Stop> {
        // With several choices, LMI on vLLM throws all their texts together.
        let Some(answer) = answer.filter(|_| !self.has_choices && self.choice == Some(choice)) else {
            return Ok(());
        };
        let inputs = details.inputs.map(|inputs| unescaped(emitter.record, inputs));
        let text = unescaped(emitter.record, answer);
        let Some(at) = self.streamed.missing(&text, inputs.as_deref()) else { return Ok(()) };
        emitter.at(answer.start);
        let rest = emitter.copy(&text[at..]);
        self.streamed.add(&text, at..text.len());
        emitter.plain(choice, TextKind::Text, rest)
    }

    /// The answers that TGI made and thought less of.
    fn sequences(
        &mut self,
        sequences: &Range<usize>,
        emitter: &mut Emitter<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        emitter.objects(sequences, |emitter, _, sequence| {
            let details = Details::find(emitter, sequence)?;
            let choice = self.next_answer();
            self.say(emitter, trace, choice, details.generated_text)?;
            details.read(emitter, choice)?;
            emitter.end_choice(choice)
        })
    }

    /// A text, or a list of texts that are a choice each; `whole` answers or pieces of them.
    fn texts(
        &mut self,
        record: &Record,
        member: Member,
        whole: bool,
        emitter: &mut Emitter<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        let Some(value) = record.get(member) else { return Ok(()) };
        let (bytes, depth, mut position) = (emitter.record, emitter.depth(), 0);
        let mut each = |json: &mut Json<'_>| {
            let text = json.string_or_skip()?;
            let choice = if whole { self.next_answer() } else { position };
            position += 1;
            self.say(emitter, trace, choice, text)?;
            if whole {
                trace.more();
                emitter.end_choice(choice)?;
            }
            Ok::<_, Stop>(())
        };
        let mut json = Json::new(bytes, value.start, depth);
        if json.kind()? == Kind::Array { json.array(each) } else { each(&mut json) }
    }

    /// JumpStart's answers, and the records of LMI's `3p` and of Llama on Bedrock, which say why they stop.
    fn generation(&mut self, record: &Record, emitter: &mut Emitter<'_>, trace: &mut Trace) -> Result<(), Stop> {
        let bytes = emitter.record;
        let body = match record.get(Member::Body) {
            Some(range) => Some(Record::find(&mut emitter.json(range.start))?),
            None => None,
        };
        let inner = body.as_ref().unwrap_or(record);
        let value = inner.get_kind(bytes, Member::Generation, b"\"{");
        let mut text = value.clone();
        let message = value.clone().filter(|range| bytes[range.start] == b'{');
        if let Some(message) = &message {
            let [role, content] = emitter.members(message, [b"role", b"content"])?;
            text = content.filter(|content| bytes[content.start] == b'"');
            if text.is_some() && !emitter.is_failed() {
                emitter.start(None, None, None, role.and_then(|range| emitter.text(&range)));
            }
        }
        if text.is_none() && !inner.has_stop_reason {
            // Whatever it is, it is no answer.
            trace.more();
            if let (Some(range), false) = (value.or(body.map(|body| body.range)), emitter.is_failed()) {
                emitter.other(None, None, range);
            }
            return Ok(());
        }
        let choice = if inner.has_stop_reason { 0 } else { self.next_answer() };
        self.say(emitter, trace, choice, text.and_then(|range| emitter.text(&range)))?;
        if let Some(message) = &message {
            trace.more();
            others(emitter, message, Some(choice), |name| matches!(name, b"role" | b"content"))?;
        }
        if let Some(body) = body.as_ref().filter(|body| body.has_others(Shape::Generation)) {
            trace.more();
            others(emitter, &body.range, Some(choice), |name| Record::is_known(name, Shape::Generation))?;
        }
        let reason = inner.get(Member::StopReason);
        let is_end = reason.is_some() || !inner.has_stop_reason;
        self.counts(record, inner, is_end, emitter, trace)?;
        if is_end {
            trace.more();
            finish(emitter, choice, reason, None)?;
            if !emitter.is_failed() {
                emitter.end_choice(choice)?;
            }
        }
        Ok(())
    }

    /// The counts at the beginning, where the input's are, and those at the end. The first are remembered, for the last
    /// that are delivered stand for all.
    fn counts(
        &mut self,
        record: &Record,
        inner: &Record,
        is_end: bool,
        emitter: &mut Emitter<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        let bytes = emitter.record;
        let mut metering = [None, None];
        if let Some(range) = record.get(Member::Metering) {
            metering = emitter.members(&range, [b"inputTokenCount", b"outputTokenCount"])?;
        }
        let [input, output] = metering;
        let count = number(bytes, inner.get(Member::GeneratedTokens));
        let input = integer(bytes, input).or_else(|| integer(bytes, inner.get(Member::PromptTokens)));
        self.input_tokens = input.or(self.input_tokens);
        if (is_end || input.is_some()) && !emitter.is_failed() {
            trace.more();
            // The first count that is there stands for them.
            let counts = [inner.get(Member::GeneratedTokens), record.get(Member::Metering)];
            if let Some(counts) = counts.into_iter().flatten().next() {
                emitter.at(counts.start);
            }
            let output_tokens = integer(bytes, count).or_else(|| integer(bytes, output));
            emitter.usage(Usage { input_tokens: self.input_tokens, output_tokens, ..Usage::default() });
        } else {
            trace.places.numbers = [count, number(bytes, output), None];
        }
        Ok(())
    }

    fn triton(&mut self, record: &Record, emitter: &mut Emitter<'_>, trace: &mut Trace) -> Result<(), Stop> {
        let model = record.get(Member::ModelName).and_then(|range| emitter.text(&range));
        if !emitter.is_failed() {
            emitter.start(None, model, None, None);
        }
        self.texts(record, Member::TextOutput, false, emitter, trace)?;
        if record.is_true(emitter.record, Member::SequenceEnd) {
            trace.more();
            emitter.done();
        } else {
            self.open_ends = self.open_ends.saturating_add(1);
        }
        Ok(())
    }

    fn llama(&mut self, record: &Record, emitter: &mut Emitter<'_>, trace: &mut Trace) -> Result<(), Stop> {
        let bytes = emitter.record;
        let model = record.get(Member::Model).and_then(|range| emitter.text(&range));
        if !emitter.is_failed() {
            emitter.start(None, model, None, None);
        }
        let index = number(bytes, record.get(Member::Index));
        let choice = integer(bytes, index.clone()).and_then(|index| u32::try_from(index).ok()).unwrap_or(0);
        let text = record.get(Member::Content).and_then(|range| emitter.text(&range));
        self.say(emitter, trace, choice, text)?;
        let predicted = number(bytes, record.get(Member::Predicted));
        let token = record.get(Member::Tokens).and_then(|tokens| only_number(bytes, &tokens));
        (trace.places.choice, trace.places.numbers) = (index, [token, predicted.clone(), None]);
        if let Some(logprobs) = record.get_kind(bytes, Member::Probabilities, b"[") {
            if !is_empty(bytes, &logprobs) {
                trace.more();
                emitter.logprobs(choice, logprobs);
            }
        }
        if record.is_true(bytes, Member::Stop) && !emitter.is_failed() {
            trace.more();
            let evaluated = integer(bytes, record.get(Member::Evaluated));
            self.llama_end(record, choice, emitter)?;
            if let Some(counts) = &predicted {
                emitter.at(counts.start);
            }
            emitter.usage(Usage {
                input_tokens: evaluated,
                output_tokens: integer(bytes, predicted),
                ..Usage::default()
            });
        }
        Ok(())
    }

    fn llama_end(&mut self, record: &Record, choice: u32, emitter: &mut Emitter<'_>) -> Result<(), Stop> {
        let bytes = emitter.record;
        let stop = record.get(Member::StoppingWord).and_then(|range| emitter.text(&range));
        let stop = emitter.non_empty(stop);
        let reason = record.get(Member::StopType).filter(|range| &bytes[range.clone()] != b"\"none\"");
        let said = [Member::StopType, Member::StoppedWord, Member::StoppedLimit, Member::StoppedEos];
        if let Some(said) = said.into_iter().find_map(|member| record.get(member)) {
            emitter.at(said.start);
        }
        if reason.is_some() {
            finish(emitter, choice, reason, stop)?;
        } else if record.is_true(bytes, Member::StoppedWord) {
            // Before there was a `stop_type`, there was a member for each.
            emitter.finish(choice, Reason::Known(&FinishReason::StopSequence), stop)?;
        } else if record.is_true(bytes, Member::StoppedLimit) {
            emitter.finish(choice, Reason::Known(&FinishReason::Length), stop)?;
        } else if record.is_true(bytes, Member::StoppedEos) {
            emitter.finish(choice, Reason::Known(&FinishReason::Stop), stop)?;
        }
        if emitter.is_failed() { Ok(()) } else { emitter.end_choice(choice) }
    }
}

/// The only element of an array, if it is a number.
fn only_number(record: &[u8], array: &Range<usize>) -> Option<Range<usize>> {
    if record[array.start] != b'[' {
        return None;
    }
    let start = array.start + 1;
    let inside = &record[start..array.end - 1];
    (!inside.is_empty() && inside.iter().all(u8::is_ascii_digit)).then_some(start..array.end - 1)
}
