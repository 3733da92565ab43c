//! JumpStart's three bodies: a prompt with parameters, text2text, and the dialogs of Llama 2.

use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{Group, Parameter as P, Row, Table, row};
use crate::formats::request_reader::{Result, Source};
use crate::formats::sampling::sampling;
use crate::formats::text_generation::read_request::{self, Body, PromptList, READ, READ_IN_PARAMETERS};
use crate::formats::text_generation::write_prompt;
use crate::json::{Array, Object};
use crate::model::{Content, Message, Request, Role};

pub(crate) const PIPELINE: Table = Table::of_prompt(
    &[&PARAMETERS, &READ_IN_PARAMETERS, &OPTIONAL_STREAM],
    &[],
    &["grammar"],
    "JumpStart's text generation has no such parameter",
);

const PARAMETERS: Group = Group {
    object: "parameters",
    rows: &[&[
        row(P::MaxTokens, "max_new_tokens"),
        TEMPERATURE,
        TOP_P,
        TOP_K,
        SEED,
        N,
        row(P::Stop, "stop"),
        row(P::RepetitionPenalty, "repetition_penalty"),
        row(P::Details, "details"),
        row(P::ReturnFullText, "return_full_text").quirk(return_full_text),
    ]],
};

const OPTIONAL_STREAM: Group = Group { object: "", rows: &[&[row(P::Stream, "stream").skip_neutral()]] };

const TEMPERATURE: Row = row(P::Temperature, "temperature").quirk(sampling);
const TOP_P: Row = row(P::TopP, "top_p").quirk(top_p);
const TOP_K: Row = row(P::TopK, "top_k").skip_neutral();
const SEED: Row = row(P::Seed, "seed");
const N: Row = row(P::N, "num_return_sequences").skip_neutral();

pub(crate) const TEXT: Table = Table {
    groups: &[&TEXT_PARAMETERS, &Group { object: "", rows: &[&READ] }, &STREAM_READ],
    code: &[],
    extra: Some(""),
    known: &["grammar", "inputs", "text_inputs", "text_input", "parameters"],
    objects: &[],
    deprecated: &[],
    reason: "JumpStart's text2text has no such parameter",
};

const TEXT_PARAMETERS: Group =
    Group { object: "", rows: &[&[row(P::MaxTokens, "max_length"), TEMPERATURE, TOP_P, TOP_K, SEED, N]] };

const STREAM_READ: Group = Group { object: "", rows: &[&[row(P::Stream, "stream").read_only()]] };

pub(crate) const DIALOGS: Table = Table {
    groups: &[&DIALOG_PARAMETERS, &READ_IN_PARAMETERS, &STREAM_READ],
    reason: "the dialogs of Llama 2 have no such parameter",
    ..PIPELINE
};

const DIALOG_PARAMETERS: Group = Group {
    object: "parameters",
    rows: &[&[
        row(P::MaxTokens, "max_new_tokens"),
        // Its own code takes 0 as greedy.
        row(P::Temperature, "temperature"),
        row(P::TopP, "top_p"),
    ]],
};

/// TGI and the pipelines take 1 as off, but TGI rejects it if it is sent.
fn top_p(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    if let Some(top_p) = c.request.top_p.filter(|top_p| top_p.value < 1.0) {
        c.number(top_p, object.name(name));
    }
}

/// Excludes the prompt from the response unless it was requested: Hugging Face's pipelines echo it by default.
fn return_full_text(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    object.bool(name, c.wants(&[c.request.return_full_text]));
}

/// Reads a prompt with parameters.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    read_request::read(source, &Body::new("inputs", &PIPELINE))
}

/// Reads a text2text request.
pub(crate) fn read_text<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    read_request::read(source, &Body::new("text_inputs", &TEXT))
}

/// Reads a list with one conversation.
pub(crate) fn read_dialogs<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    read_request::read(source, &Body { list: PromptList::Dialog, ..Body::new("inputs", &DIALOGS) })
}

/// Appends a prompt with parameters.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    write_prompt(c, "inputs", &PIPELINE, &[&PARAMETERS, &OPTIONAL_STREAM], out)
}

/// Appends a text2text request, which has no stream.
pub(crate) fn write_text(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&TEXT);
    report_stream(c);
    let mut object = Object::new(out);
    c.prompt()?.write(object.name("text_inputs"));
    c.write_rows(&mut object, &TEXT_PARAMETERS);
    c.write_extra_parameters(&TEXT, &mut object);
    Ok(())
}

fn report_stream(c: &Conversion<'_, '_>) {
    if let Some(stream) = c.request.stream.filter(|stream| stream.value) {
        c.report_dropped(stream.offset, "stream", "the container has no stream");
    }
}

/// Appends a conversation: the system first, then user and assistant in turns, the user last.
pub(crate) fn write_dialogs(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&DIALOGS);
    report_stream(c);
    c.report_tools();
    let messages = c.messages(true, None)?;
    let mut object = Object::new(out);
    let mut dialogs = object.begin_array("inputs");
    let mut dialog = Array::new(dialogs.element());
    if c.is_native() {
        for message in messages.iter() {
            dialog.maybe(|out| {
                c.message(message, out, |out| {
                    let mut text = String::new();
                    texts(c, message, &mut text);
                    turn(message.role.as_str(), &text, out);
                    Ok(true)
                })
            })?;
        }
    } else {
        write_turns(c, &messages, &mut dialog)?;
    }
    drop(dialog);
    drop(dialogs);
    let mut parameters = object.begin_object("parameters");
    c.write_rows(&mut parameters, &DIALOG_PARAMETERS);
    c.write_extra_parameters(&DIALOGS, &mut parameters);
    Ok(())
}

fn write_turns(c: &Conversion<'_, '_>, messages: &[Message<'_>], dialog: &mut Array<'_>) -> Result<()> {
    let (system, rest) = c.split_system(messages);
    let turns = turns(c, rest);
    if turns.last().is_none_or(|(role, _)| *role != "user") {
        let offset = rest.last().and_then(|message| message.offset);
        return Err(c.error(offset, "the last message of a dialog has to be from the user"));
    }
    let mut text = String::new();
    for message in system {
        texts(c, message, &mut text);
    }
    if !text.is_empty() {
        turn("system", &text, dialog.element());
    }
    for (role, text) in &turns {
        turn(role, text, dialog.element());
    }
    Ok(())
}

fn turn(role: &str, text: &str, out: &mut Vec<u8>) {
    let mut object = Object::new(out);
    object.string("role", role);
    object.string("content", text);
}

/// The turns of a conversation, each in one role.
fn turns<'a>(c: &Conversion<'_, 'a>, messages: &[Message<'a>]) -> Vec<(&'static str, String)> {
    let mut turns: Vec<(&'static str, String)> = Vec::new();
    for message in messages {
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        let mut text = String::new();
        texts(c, message, &mut text);
        let is_known = matches!(message.role, Role::User | Role::Assistant);
        if !is_known && !text.is_empty() {
            c.report_approximated(message.offset, "role", "a dialog has no such role: sent as the user's");
        }
        match turns.last_mut().filter(|(last, _)| *last == role) {
            _ if text.is_empty() => {}
            Some((_, before)) => {
                c.report_approximated(
                    message.offset,
                    "messages",
                    "roles have to take turns: joined to the one before",
                );
                before.push_str("\n\n");
                before.push_str(&text);
            }
            None => turns.push((role, text)),
        }
    }
    turns
}

/// Appends the texts of a message, and reports all other content as lost.
fn texts(c: &Conversion<'_, '_>, message: &Message<'_>, out: &mut String) {
    if message.name.is_some() {
        c.report_dropped(message.offset, "name", "a dialog has no names of speakers");
    }
    for part in &message.content {
        let (Content::Text(text) | Content::Refusal(text)) = &part.content else {
            c.report_dropped(part.offset, "content", "a dialog has text only");
            continue;
        };
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(text);
    }
}
