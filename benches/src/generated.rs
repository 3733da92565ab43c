//! Generates streams of formats other than OpenAI's from a fixed seed.

use crate::formats::Source;
use crate::frames::{event_frame, frame};
use crate::random::Random;
use crate::script::{json, token};
use crate::tally::Kind;
use crate::workload::Workload;

/// Generates a workload of one text stream with `events` events. `None` for OpenAI, whose streams
/// [`Script`](crate::script::Script) generates.
pub(crate) fn generate(source: Source, events: usize) -> Option<Workload> {
    let mut random = Random::new(0x5a9e_0003);
    // The start and the end of a stream are events as well.
    let (others, write): (_, Write) = match source {
        Source::OpenAi => return None,
        Source::Tgi => (1, tgi),
        Source::Lmi => (0, lmi),
        Source::ConverseStream => (4, converse_stream),
        Source::Anthropic => (5, anthropic),
    };
    let tokens: Vec<String> = (0..events.saturating_sub(others)).map(|_| token(&mut random)).collect();
    let pieces = write(&tokens, &mut random);
    let mut framed = Vec::new();
    for piece in &pieces {
        match source {
            Source::ConverseStream => framed.extend_from_slice(piece),
            _ => frame(piece, &mut framed),
        }
    }
    let deltas: Vec<(Kind, String)> = tokens.into_iter().map(|token| (Kind::Text, token)).collect();
    Some(Workload::of_frames(source, framed, pieces.len(), &deltas))
}

/// Writes the parts or frames of a stream with these tokens.
type Write = fn(&[String], &mut Random) -> Vec<Vec<u8>>;

/// Number of prompt tokens.
const INPUT_TOKENS: usize = 16;

/// The events of TGI 3, which numbers the tokens and writes log probabilities as 32-bit floats. The last token is
/// special and not text.
fn tgi(tokens: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    let count = tokens.len() + 1;
    let mut event = |index, text: &str, special, rest: &str| {
        let id = random.between(0, 128_255);
        let logprob = -(random.between(1000, 99_999_999) as f64) / 1e7;
        let text = json(text);
        format!(
            "data:{{\"index\":{index},\"token\":{{\"id\":{id},\"text\":{text},\"logprob\":{logprob},\"special\":{special}}},{rest}}}\n\n"
        )
        .into_bytes()
    };
    let mut events: Vec<Vec<u8>> = Vec::with_capacity(count);
    for (index, token) in tokens.iter().enumerate() {
        events.push(event(index + 1, token, false, r#""generated_text":null,"details":null"#));
    }
    let details = format!(
        r#""generated_text":{},"details":{{"finish_reason":"eos_token","generated_tokens":{count},"seed":null,"input_length":{INPUT_TOKENS}}}"#,
        json(&tokens.concat())
    );
    events.push(event(count, "<|eot_id|>", true, &details));
    events
}

/// The lines of LMI's rolling batch with the formatter `jsonlines`, with the spaces that Python writes. The last line also
/// has the whole text.
fn lmi(tokens: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    let mut line = |text: &str, rest: &str| {
        let id = random.between(0, 128_255);
        let log_prob = -(random.between(1 << 40, 1 << 53) as f64) / (1u64 << 50) as f64;
        let text = json(text);
        format!("{{\"token\": {{\"id\": {id}, \"text\": {text}, \"log_prob\": {log_prob}}}{rest}}}\n")
            .into_bytes()
    };
    let Some((last, tokens_before)) = tokens.split_last() else { return Vec::new() };
    let mut lines: Vec<Vec<u8>> = tokens_before.iter().map(|token| line(token, "")).collect();
    let details = format!(
        r#", "generated_text": {}, "details": {{"finish_reason": "eos_token", "generated_tokens": {}, "inputs": "What is Deep Learning?"}}"#,
        json(&tokens.concat()),
        tokens.len()
    );
    lines.push(line(last, &details));
    lines
}

/// The frames of ConverseStream, each with padding of random length.
fn converse_stream(tokens: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut frames: Vec<Vec<u8>> = Vec::with_capacity(tokens.len() + 4);
    // Fields are in alphabetical order, including the padding `p`.
    let mut push = |name: &str, before: &str, after: &str| {
        let padding = &PADDING[..random.between(1, PADDING.len())];
        let payload = format!(r#"{{{before}"p":"{padding}"{after}}}"#);
        let mut frame = Vec::new();
        event_frame(name, "application/json", payload.as_bytes(), &mut frame);
        frames.push(frame);
    };
    push("messageStart", "", r#","role":"assistant""#);
    for token in tokens {
        let delta = format!(r#""contentBlockIndex":0,"delta":{{"text":{}}},"#, json(token));
        push("contentBlockDelta", &delta, "");
    }
    push("contentBlockStop", r#""contentBlockIndex":0,"#, "");
    push("messageStop", "", r#","stopReason":"end_turn""#);
    let (output, total) = (tokens.len(), tokens.len() + INPUT_TOKENS);
    let usage = format!(
        r#","usage":{{"inputTokens":{INPUT_TOKENS},"outputTokens":{output},"serverToolUsage":{{}},"totalTokens":{total}}}"#
    );
    push("metadata", r#""metrics":{"latencyMs":551},"#, &usage);
    frames
}

/// The events of Anthropic Messages, with fields in the order of Anthropic's own server.
fn anthropic(tokens: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    let id = format!("msg_{:016x}{:08x}", random.next(), random.next() >> 32);
    let event = |name: &str, rest: &str| {
        format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n").into_bytes()
    };
    let mut events: Vec<Vec<u8>> = Vec::with_capacity(tokens.len() + 5);
    events.push(event(
        "message_start",
        &format!(
            r#","message":{{"id":"{id}","type":"message","role":"assistant","content":[],"model":"meta-llama/Llama-3.1-8B-Instruct","stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":{INPUT_TOKENS},"output_tokens":0}}}}"#
        ),
    ));
    events.push(event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#));
    for token in tokens {
        let delta = format!(r#","index":0,"delta":{{"type":"text_delta","text":{}}}"#, json(token));
        events.push(event("content_block_delta", &delta));
    }
    events.push(event("content_block_stop", r#","index":0"#));
    let output = tokens.len();
    events.push(event(
        "message_delta",
        &format!(
            r#","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"input_tokens":{INPUT_TOKENS},"output_tokens":{output}}}"#
        ),
    ));
    events.push(event("message_stop", ""));
    events
}
