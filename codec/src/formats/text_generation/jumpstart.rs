//! JumpStart's three bodies: a prompt with parameters, text2text, and the dialogs of Llama 2.

use alloc::string::String;
use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::extension_fields::Put;
use crate::formats::request_reader::{Result, Source};
use crate::formats::text_generation::read_request as generate;
use crate::formats::text_generation::read_request::Shape;
use crate::json::{Array, Object};
use crate::model::Request;
use crate::model::{Content, Message, Role};

const PIPELINE: Shape = Shape {
    prompt: "inputs",
    parameters: "parameters",
    max_tokens: "max_new_tokens",
    stop: "stop",
    n: "num_return_sequences",
    stream_inside: false,
    one_stop: false,
    dialogs: false,
};

const TEXT: Shape = Shape {
    prompt: "text_inputs",
    parameters: "",
    max_tokens: "max_length",
    stop: "",
    n: "num_return_sequences",
    stream_inside: false,
    one_stop: false,
    dialogs: false,
};

const DIALOGS: Shape = Shape { dialogs: true, n: "", stop: "", ..PIPELINE };

/// Reads a prompt with parameters.
pub(crate) fn read<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    generate::read(source, &PIPELINE)
}

/// Reads a text2text request.
pub(crate) fn read_text<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    generate::read(source, &TEXT)
}

/// Reads a list with one conversation.
pub(crate) fn read_dialogs<'a>(source: &mut Source<'a>) -> Result<Request<'a>> {
    generate::read(source, &DIALOGS)
}

/// Appends a prompt with parameters. The prompt is not wanted back, unless the request says so: Hugging Face's pipelines
/// echo it.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    const TAKES: &[&str] = &[
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "n",
        "stop",
        "repetition_penalty",
        "return_full_text",
        "details",
    ];
    c.report_parameters(TAKES, "JumpStart's text generation has no such parameter");
    let request = c.request;
    let mut object = Object::new(out);
    object.text("inputs", &*c.prompt()?);
    let mut parameters = object.begin_object("parameters");
    shared(c, &mut parameters, &PIPELINE);
    c.stop(&mut parameters, "stop");
    c.number_member(&mut parameters, "repetition_penalty", request.repetition_penalty);
    if let Some(details) = request.details {
        parameters.bool("details", details.value);
    }
    if request.return_full_text.is_some() || !c.same {
        parameters.bool("return_full_text", request.return_full_text.is_some_and(|full| full.value));
    }
    c.extra_parameters(&mut parameters, |name| PIPELINE.knows(name));
    if c.same {
        parameters.extension_fields(&request.extension_fields, "parameters");
    }
    drop(parameters);
    if let Some(stream) = request.stream.filter(|stream| stream.value || c.same) {
        object.bool("stream", stream.value);
    }
    if c.same {
        object.extension_fields(&request.extension_fields, "");
    }
    Ok(())
}

/// Appends a text2text request, which has no stream.
pub(crate) fn write_text(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    const TAKES: &[&str] = &["max_tokens", "temperature", "top_p", "top_k", "seed", "n"];
    c.report_parameters(TAKES, "JumpStart's text2text has no such parameter");
    note_stream(c);
    let mut object = Object::new(out);
    object.text("text_inputs", &*c.prompt()?);
    shared(c, &mut object, &TEXT);
    c.extra_parameters(&mut object, |name| TEXT.knows(name));
    if c.same {
        object.extension_fields(&c.request.extension_fields, "");
    }
    Ok(())
}

fn shared(c: &Conversion<'_, '_>, parameters: &mut Object<'_>, shape: &Shape) {
    let request = c.request;
    if let Some(tokens) = c.max_tokens() {
        parameters.integer(shape.max_tokens, tokens);
    }
    c.sampling(parameters);
    // Both TGI and the pipelines take 1 as off, but TGI does not take it said.
    c.number_member(parameters, "top_p", request.top_p.filter(|top_p| top_p.value < 1.0 || c.same));
    c.signed(parameters, "top_k", request.top_k.filter(|top_k| top_k.value > 0));
    c.signed(parameters, "seed", request.seed);
    if let Some(n) = request.n.filter(|n| n.value != 1 || c.same) {
        parameters.integer(shape.n, n.value);
    }
}

fn note_stream(c: &Conversion<'_, '_>) {
    if let Some(stream) = c.request.stream.filter(|stream| stream.value) {
        c.report_dropped(stream.offset, "stream", "the container has no stream");
    }
}

/// Appends a conversation: the system first, then user and assistant by turns, the user last.
pub(crate) fn write_dialogs(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    const TAKES: &[&str] = &["max_tokens", "temperature", "top_p"];
    c.report_parameters(TAKES, "the dialogs of Llama 2 have no such parameter");
    note_stream(c);
    c.report_tools();
    let messages = c.messages(!c.same)?;
    let mut object = Object::new(out);
    let mut dialogs = object.begin_array("inputs");
    let mut dialog = Array::new(dialogs.element());
    if c.same {
        for message in messages.iter() {
            let mut text = String::new();
            texts(c, message, &mut text);
            let mut written = turn(&mut dialog, message.role.as_str(), &text);
            written.extension_fields(&message.extension_fields, "");
        }
    } else {
        write_turns(c, &messages, &mut dialog)?;
    }
    drop(dialog);
    drop(dialogs);
    let mut parameters = object.begin_object("parameters");
    if let Some(tokens) = c.max_tokens() {
        parameters.integer("max_new_tokens", tokens);
    }
    // Its own code takes 0 as greedy.
    c.number_member(&mut parameters, "temperature", c.temperature());
    c.number_member(&mut parameters, "top_p", c.request.top_p);
    c.extra_parameters(&mut parameters, |name| DIALOGS.knows(name));
    if c.same {
        parameters.extension_fields(&c.request.extension_fields, "parameters");
        drop(parameters);
        object.extension_fields(&c.request.extension_fields, "");
    }
    Ok(())
}

fn write_turns(c: &Conversion<'_, '_>, messages: &[Message<'_>], dialog: &mut Array<'_>) -> Result<()> {
    let (system, rest) = c.split_system(messages);
    let turns = turns(c, rest);
    if turns.last().is_none_or(|(role, _)| *role != "user") {
        let offset = rest.last().and_then(|message| message.offset);
        return Err(c.error(offset, "the last message of a dialog has to be the user's"));
    }
    let mut text = String::new();
    for message in system {
        texts(c, message, &mut text);
    }
    if !text.is_empty() {
        turn(dialog, "system", &text);
    }
    for (role, text) in &turns {
        turn(dialog, role, text);
    }
    Ok(())
}

fn turn<'d>(dialog: &'d mut Array<'_>, role: &str, text: &str) -> Object<'d> {
    let mut object = dialog.begin_object();
    object.string("role", role);
    object.string("content", text);
    object
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
                c.report_approximated(message.offset, "messages", "roles have to take turns: joined to the one before");
                before.push_str("\n\n");
                before.push_str(&text);
            }
            None => turns.push((role, text)),
        }
    }
    turns
}

/// Appends the texts of a message, and notes what is no text.
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
