//! Reads whole responses of Converse.

use core::ops::Range;

use crate::assemble::{Emitter, Stop, TextKind, ToolDelta};
use crate::formats::converse::read_content::{
    CHOICE, block_reasoning, finish, is_empty, read_usage, response_fields, tool_start,
};
use crate::json::{Fault, Json, Kind, Str};
use crate::model::Api;

/// The fields of a whole response.
#[derive(Default)]
pub(crate) struct Response {
    output: Option<Range<usize>>,
    stop_reason: Option<Str>,
    usage: Option<Range<usize>>,
    response_fields: Option<Range<usize>>,
}

impl Response {
    pub(crate) fn is_known(name: &[u8]) -> bool {
        matches!(name, b"output" | b"stopReason" | b"usage" | b"additionalModelResponseFields")
    }

    pub(crate) fn member(&mut self, json: &mut Json<'_>, name: &[u8]) -> Result<(), Fault> {
        match name {
            b"output" => self.output = json.skip_kind(Kind::Object)?,
            b"stopReason" => self.stop_reason = json.string_or_skip()?,
            b"usage" => self.usage = json.skip_kind(Kind::Object)?,
            b"additionalModelResponseFields" => self.response_fields = json.skip_some()?,
            _ => {
                json.skip()?;
            }
        }
        Ok(())
    }

    pub(crate) fn read(self, emitter: &mut Emitter<'_>, range: Range<usize>) -> Result<(), Stop> {
        let Some(output) = self.output else {
            emitter.other(None, None, range);
            return Ok(());
        };
        if let [Some(message)] = emitter.fields(&output, [b"message"])? {
            let [role, content] = emitter.fields(&message, [b"role", b"content"])?;
            emitter.start(None, None, None, emitter.string_in(role));
            emitter.touch(&CHOICE)?;
            if let Some(content) = content {
                emitter.objects(&content, |emitter, index, block| response_block(emitter, index, &block))?;
            }
        }
        let stop = response_fields(emitter, self.response_fields.as_ref())?;
        finish(emitter, self.stop_reason, stop)?;
        if let Some(usage) = self.usage {
            read_usage(emitter, &usage)?;
        }
        emitter.other_fields(&range, None, Self::is_known)
    }
}

/// Reads a block of a whole message.
fn response_block(emitter: &mut Emitter<'_>, index: u64, block: &Range<usize>) -> Result<(), Stop> {
    let [content, tool, reasoning, cited] =
        emitter.fields(block, [b"text", b"toolUse", b"reasoningContent", b"citationsContent"])?;
    let is_own = match &tool {
        Some(tool) if emitter.record[tool.start] == b'{' => tool_start(emitter, index, tool)?,
        _ => false,
    };
    if let Some(content) = emitter.string_in(content) {
        emitter.block_text(&CHOICE, index, TextKind::Text, Some(content))?;
    } else if let (Some(tool), true) = (tool, is_own) {
        let [input] = emitter.fields(&tool, [b"input"])?;
        // This is how Converse writes a call without arguments.
        if let Some(input) = input.filter(|range| !is_empty(emitter, range)) {
            emitter.tool_json(&CHOICE, &ToolDelta::input(index, None), input)?;
        }
    } else if let Some(reasoning) = reasoning {
        let [inner] = emitter.fields(&reasoning, [b"reasoningText"])?;
        block_reasoning(emitter, index, inner.as_ref().unwrap_or(&reasoning))?;
    } else if let Some(cited) = cited {
        cited_block(emitter, index, &cited)?;
    } else {
        emitter.begin_other(&CHOICE, index, (Api::Converse, block.clone()))?;
    }
    emitter.end(&CHOICE, index);
    Ok(())
}

fn cited_block(emitter: &mut Emitter<'_>, index: u64, cited: &Range<usize>) -> Result<(), Stop> {
    let [content, citations] = emitter.fields(cited, [b"content", b"citations"])?;
    if let Some(content) = content {
        emitter.objects(&content, |emitter, _, piece| {
            let [piece] = emitter.string_fields(&piece, [b"text"])?;
            emitter.block_text(&CHOICE, index, TextKind::Text, piece)
        })?;
    }
    citations.map_or(Ok(()), |citations| emitter.citations(&CHOICE, &citations))
}
