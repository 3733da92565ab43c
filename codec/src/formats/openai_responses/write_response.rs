//! Writes whole responses.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::formats::openai_responses::write_stream::Writer;
use crate::model::position::ResponseItem;
use crate::model::{Choice, Content, Event, Json, Losses, Response, ResponseOptions};

/// Writes a response.
///
/// A response is what the last event of a stream has, so this writes the stream and keeps only that. A response has one choice: the
/// first is written. The [`ResponseOptions`] have defaults for what the source does not have.
pub(crate) fn write_response(response: &Response, context: &ResponseOptions) -> (Vec<u8>, Losses) {
    let mut fold = Fold { writer: Writer::unbounded(context.clone()), events: Vec::new() };
    let borrowed = |text: &'_ Option<alloc::string::String>| text.clone().map(Cow::Owned);
    fold.write(&Event::Start {
        id: borrowed(&response.id),
        model: borrowed(&response.model),
        created: response.created,
        role: None,
    });
    let positions = &response.positions;
    let losses = &mut fold.writer.losses;
    response.lose_other_choices("a response has only one choice", losses);
    response.note_malformed(losses);
    if let Some(choice) = response.choices.first() {
        fold.choice(response, choice);
    }
    for (index, (name, json)) in response.others.iter().enumerate() {
        fold.set_here(response, ResponseItem::Other { choice: None, index });
        fold.other(None, name.as_deref(), json);
    }
    fold.set_here(response, ResponseItem::Usage);
    if let Some(usage) = response.usage {
        // The counts of the source's own shape came before, and stay.
        fold.writer.set_usage(usage);
    }
    let mut out = Vec::new();
    let status = fold.writer.end(&mut fold.events);
    fold.writer.write_response(&status, &mut out);
    let mut losses = fold.writer.losses;
    losses.find(positions.document());
    (out, losses)
}

/// A writer of a stream, and its events, which are not used.
struct Fold {
    writer: Writer,
    events: Vec<u8>,
}

impl Fold {
    fn write(&mut self, event: &Event<'_>) {
        self.events.clear();
        self.writer.write(event, &mut self.events);
    }

    fn set_here(&mut self, response: &Response, item: ResponseItem) {
        self.writer.losses.set_here(response.positions.of(item));
    }

    fn other(&mut self, choice: Option<u32>, name: Option<&str>, json: &Json<'_>) {
        self.write(&Event::Other { choice, name: name.map(Cow::Borrowed), json: json.clone() });
    }

    fn choice(&mut self, response: &Response, choice: &Choice) {
        let is_text = |part: &usize| matches!(choice.content[*part].content, Content::Text(_));
        let first_text = (0..choice.content.len()).find(is_text);
        let last_text = (0..choice.content.len()).rfind(is_text);
        for (index, part) in choice.content.iter().enumerate() {
            // Some servers give the phase behind the text.
            let is_here = |at: u32| at as usize == index || (last_text == Some(index) && at as usize > index);
            for (_, json) in choice.phases.iter().filter(|(at, _)| is_here(*at)) {
                self.other(Some(0), Some("phase"), json);
            }
            self.set_here(response, ResponseItem::Part { choice: choice.index, part: index });
            part.content.for_each_event((0, index as u32), response.api, &mut |event| self.write(event));
            for (at, (part, json)) in choice.citations.iter().enumerate() {
                if *part as usize == index {
                    self.set_here(response, ResponseItem::Citation { choice: choice.index, index: at });
                    self.write(&Event::Citation { choice: 0, part: Some(*part), json: json.clone() });
                }
            }
            if first_text == Some(index) {
                self.logprobs(response, choice);
            }
            self.write(&Event::PartEnd { choice: 0, part: index as u32 });
        }
        if first_text.is_none() {
            self.logprobs(response, choice);
        }
        for (index, (name, json)) in choice.others.iter().enumerate() {
            self.set_here(response, ResponseItem::Other { choice: Some(choice.index), index });
            self.other(Some(0), name.as_deref(), json);
        }
        self.set_here(response, ResponseItem::Finish { choice: choice.index });
        if let Some(reason) = &choice.finish {
            let stop = choice.stop.as_deref().map(Cow::Borrowed);
            self.write(&Event::Finish { choice: 0, reason: reason.clone(), stop });
        }
    }

    fn logprobs(&mut self, response: &Response, choice: &Choice) {
        for (index, json) in choice.logprobs.iter().enumerate() {
            self.set_here(response, ResponseItem::Logprobs { choice: choice.index, index });
            self.write(&Event::Logprobs { choice: 0, part: None, json: json.clone() });
        }
    }
}
