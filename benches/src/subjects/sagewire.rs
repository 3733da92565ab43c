//! sagewire, used as in its documentation.

use sagewire_codec::model::{Event, ResponseOptions};
use sagewire_codec::{Api, DecodeError, Decoder, Options, Transcoder, eventstream, json_lines, sse};

use crate::reads::Reads;
use crate::tally::{Kind, Tally};
use crate::workload::Workload;

/// Bytes to deltas.
pub fn decode(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    or_fail(tally, |tally| {
        let mut decoder = Decoder::new();
        for mut chunk in reads {
            while let Some(event) = decoder.decode(&mut chunk)? {
                observe(event, tally);
            }
        }
        while let Some(event) = decoder.finish()? {
            observe(event, tally);
        }
        Ok(())
    });
}

/// Adds a delta to the tally.
#[inline(always)]
pub fn observe(event: Event<'_>, tally: &mut Tally) {
    match event {
        Event::TextDelta { text, .. } => tally.text(Kind::Text, &text),
        Event::ReasoningDelta { text, .. } => tally.text(Kind::Reasoning, &text),
        Event::ToolInputDelta { text, .. } => tally.text(Kind::ToolInput, &text),
        _ => {}
    }
}

/// Bytes to frames of ConverseStream.
pub fn transcode_bedrock(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    or_fail(tally, |tally| transcode(Api::Converse, reads, tally));
}

/// Bytes to server-sent events of OpenAI.
pub fn transcode_openai(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    or_fail(tally, |tally| transcode(Api::OpenAi, reads, tally));
}

/// Bytes to server-sent events of Anthropic.
pub fn transcode_anthropic(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    or_fail(tally, |tally| transcode(Api::Anthropic, reads, tally));
}

/// Bytes to server-sent events of TGI.
pub fn transcode_tgi(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    or_fail(tally, |tally| transcode(Api::Tgi, reads, tally));
}

fn transcode(target: Api, reads: &mut Reads<'_>, tally: &mut Tally) -> Result<(), DecodeError> {
    let mut transcoder = Transcoder::new(Options::new(), target, ResponseOptions::new())
        .expect("streams of all targets are written");
    for mut chunk in reads {
        while let Some(bytes) = transcoder.decode(&mut chunk)? {
            tally.output(bytes);
        }
    }
    while let Some(bytes) = transcoder.finish()? {
        tally.output(bytes);
    }
    Ok(())
}

/// Frames alone.
pub fn frames(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    or_fail(tally, |tally| {
        let mut decoder = eventstream::Decoder::new();
        for mut chunk in reads {
            while let Some(frame) = decoder.decode(&mut chunk)? {
                tally.piece(frame.payload());
            }
        }
        decoder.finish()
    });
}

/// Server-sent events alone.
pub fn sse(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    or_fail(tally, |tally| {
        let mut decoder = sse::Decoder::new();
        for mut chunk in reads {
            while let Some(event) = decoder.decode(&mut chunk)? {
                tally.piece(event.data.as_bytes());
            }
        }
        decoder.finish()
    });
}

/// JSON lines alone.
pub fn json_lines(_: &Workload, reads: &mut Reads<'_>, tally: &mut Tally) {
    or_fail(tally, |tally| {
        let mut decoder = json_lines::Decoder::new();
        for mut chunk in reads {
            while let Some(line) = decoder.decode(&mut chunk)? {
                tally.piece(line.as_bytes());
            }
        }
        while let Some(line) = decoder.finish()? {
            tally.piece(line.as_bytes());
        }
        Ok(())
    });
}

fn or_fail(tally: &mut Tally, run: impl FnOnce(&mut Tally) -> Result<(), DecodeError>) {
    if let Err(error) = run(tally) {
        tally.fail(error);
    }
}
