//! Reads whole responses of Converse.

use core::ops::Range;

use crate::assemble::{Plain, Sink, Stop, ToolKey};
use crate::decode::shape_cache::Trace;
use crate::formats::converse::read_stream::{
    CHOICE, block_reasoning, block_text, finish, is_empty, read_usage, stop_sequence, tool_start,
};
use crate::json::{Fault, Json, Kind, Str};
use crate::model::Api;

/// The members of a whole response.
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

    pub(crate) fn read(self, sink: &mut Sink<'_>, range: Range<usize>) -> Result<(), Stop> {
        let Some(output) = self.output else {
            sink.other(None, None, range);
            return Ok(());
        };
        if let [Some(message)] = sink.members(&output, [b"message"])? {
            let [role, content] = sink.members(&message, [b"role", b"content"])?;
            sink.start(None, None, None, role.and_then(|range| sink.text(&range)));
            sink.touch(CHOICE)?;
            if let Some(content) = content {
                sink.objects(&content, |sink, index, block| response_block(sink, index, &block))?;
            }
        }
        let stop = stop_sequence(sink, self.response_fields.as_ref())?;
        finish(sink, self.stop_reason, stop)?;
        if let Some(usage) = self.usage {
            read_usage(sink, &usage)?;
        }
        sink.others(&range, None, Self::is_known)
    }
}

/// Reads a block of a whole message.
fn response_block(sink: &mut Sink<'_>, index: u64, block: &Range<usize>) -> Result<(), Stop> {
    let [content, tool, reasoning, cited] =
        sink.members(block, [b"text", b"toolUse", b"reasoningContent", b"citationsContent"])?;
    let trace = &mut Trace::default();
    let is_own = match &tool {
        Some(tool) if sink.record[tool.start] == b'{' => tool_start(sink, index, tool)?,
        _ => false,
    };
    if let Some(content) = content.and_then(|range| sink.text(&range)) {
        block_text(sink, trace, index, Plain::Text, content)?;
    } else if let (Some(tool), true) = (tool, is_own) {
        let [input] = sink.members(&tool, [b"input"])?;
        // An empty object is how Converse says that there are no arguments.
        if let Some(input) = input.filter(|range| !is_empty(sink, range)) {
            let key = ToolKey { index: Some(index), ..ToolKey::default() };
            sink.tool_json(CHOICE, key, input)?;
        }
    } else if let Some(reasoning) = reasoning {
        let [inner] = sink.members(&reasoning, [b"reasoningText"])?;
        block_reasoning(sink, trace, index, inner.as_ref().unwrap_or(&reasoning))?;
    } else if let Some(cited) = cited {
        cited_block(sink, index, &cited)?;
    } else {
        sink.begin_other(CHOICE, index, (Api::Converse, block.clone()))?;
    }
    sink.end(CHOICE, index);
    Ok(())
}

fn cited_block(sink: &mut Sink<'_>, index: u64, cited: &Range<usize>) -> Result<(), Stop> {
    let [content, citations] = sink.members(cited, [b"content", b"citations"])?;
    if let Some(content) = content {
        sink.objects(&content, |sink, _, piece| {
            let [piece] = sink.members(&piece, [b"text"])?;
            match piece.and_then(|range| sink.text(&range)) {
                Some(piece) => block_text(sink, &mut Trace::default(), index, Plain::Text, piece),
                None => Ok(()),
            }
        })?;
    }
    if let Some(citations) = citations.filter(|range| sink.record[range.start] == b'[') {
        sink.json(citations.start).array(|json| {
            sink.citation(CHOICE, json.skip()?);
            Ok::<_, Stop>(())
        })?;
    }
    Ok(())
}
