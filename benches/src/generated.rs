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
        Source::Cohere => (5, cohere),
        Source::Sglang => (2, sglang),
        Source::Nova => (3, nova),
        Source::Responses => (8, responses),
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

/// Server-sent events of these records, and the terminal record.
fn events(records: impl IntoIterator<Item = String>) -> Vec<Vec<u8>> {
    let done = std::iter::once("[DONE]".to_owned());
    records.into_iter().chain(done).map(|record| format!("data: {record}\n\n").into_bytes()).collect()
}

/// The events of Cohere Chat v2, as vLLM sends them.
fn cohere(tokens: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    let id = format!("chatcmpl-{:016x}", random.next());
    let start = [
        format!(r#"{{"type":"message-start","id":"{id}","delta":{{"message":{{"role":"assistant"}}}}}}"#),
        r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#
            .into(),
    ];
    let deltas = tokens.iter().map(|token| {
        let text = json(token);
        format!(
            r#"{{"type":"content-delta","index":0,"delta":{{"message":{{"content":{{"text":{text}}}}}}}}}"#
        )
    });
    let counts = format!(r#"{{"input_tokens":{INPUT_TOKENS}.0,"output_tokens":{}.0}}"#, tokens.len());
    let end = [
        r#"{"type":"content-end","index":0}"#.to_owned(),
        format!(
            r#"{{"type":"message-end","id":"{id}","delta":{{"finish_reason":"COMPLETE","usage":{{"billed_units":{counts},"tokens":{counts}}}}}}}"#
        ),
    ];
    events(start.into_iter().chain(deltas).chain(end))
}

/// The records of SGLang with only the new text in each.
fn sglang(tokens: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    let id = format!("{:016x}{:016x}", random.next(), random.next());
    let mut record = |count: usize, text: &str, is_last: bool| {
        let (token, text) = (random.between(0, 128_255), json(text));
        let ids = if is_last { String::new() } else { token.to_string() };
        let reason = if is_last { r#"{"type":"stop","matched":128009}"# } else { "null" };
        format!(
            r#"{{"text":{text},"output_ids":[{ids}],"meta_info":{{"id":"{id}","finish_reason":{reason},"prompt_tokens":{INPUT_TOKENS},"weight_version":"default","total_retractions":0,"completion_tokens":{count},"cached_tokens":0}}}}"#
        )
    };
    let mut records: Vec<String> =
        tokens.iter().enumerate().map(|(index, token)| record(index + 1, token, false)).collect();
    records.push(record(tokens.len(), "", true));
    events(records)
}

/// The chunks of Amazon Nova's container.
fn nova(tokens: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    let id = format!("chatcmpl-{:016x}{:016x}", random.next(), random.next());
    let chunk = |choice: &str, rest: &str| {
        format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","created":1790000000,"model":"default","choices":[{{"index":0,{choice}}}]{rest}}}"#
        )
    };
    let start = chunk(
        r#""delta":{"role":"assistant","content":"","reasoning_content":null},"logprobs":null,"finish_reason":null"#,
        r#","prompt_token_ids":null"#,
    );
    let deltas = tokens.iter().map(|token| {
        let content = json(token);
        let delta = format!(
            r#""delta":{{"content":{content},"reasoning_content":null}},"logprobs":null,"finish_reason":null,"token_ids":null"#
        );
        chunk(&delta, "")
    });
    let (output, total) = (tokens.len(), tokens.len() + INPUT_TOKENS);
    let end = chunk(
        r#""delta":{},"logprobs":null,"finish_reason":"stop","stop_reason":null,"token_ids":null"#,
        &format!(
            r#","usage":{{"prompt_tokens":{INPUT_TOKENS},"completion_tokens":{output},"total_tokens":{total}}}"#
        ),
    );
    events(std::iter::once(start).chain(deltas).chain([end]))
}

/// The events of Responses, with fields in the order of vLLM, which repeats the text three times at the end.
fn responses(tokens: &[String], random: &mut Random) -> Vec<Vec<u8>> {
    let (id, item) = (format!("resp_{:016x}", random.next()), format!("msg_{:016x}", random.next()));
    let mut events: Vec<Vec<u8>> = Vec::with_capacity(tokens.len() + 8);
    let mut push = |name: &str, fields: &str| {
        let number = events.len();
        let event = format!(
            "event: response.{name}\ndata: {{{fields},\"sequence_number\":{number},\"type\":\"response.{name}\"}}\n\n"
        );
        events.push(event.into_bytes());
    };
    let response = |status: &str, output: &str, usage: &str| {
        format!(
            r#""response":{{"id":"{id}","created_at":1770933892,"incomplete_details":null,"instructions":null,"metadata":null,"model":"meta-llama/Llama-3.1-8B-Instruct","object":"response","output":[{output}],"parallel_tool_calls":true,"temperature":0.6,"tool_choice":"auto","tools":[],"top_p":0.9,"background":false,"max_output_tokens":131035,"service_tier":"auto","status":"{status}","truncation":"disabled","usage":{usage},"user":null}}"#
        )
    };
    let text = json(&tokens.concat());
    let part =
        |text: &str| format!(r#"{{"annotations":[],"text":{text},"type":"output_text","logprobs":[]}}"#);
    let message = |status: &str, content: &str| {
        format!(
            r#"{{"id":"{item}","content":[{content}],"role":"assistant","status":"{status}","type":"message"}}"#
        )
    };
    let place = format!(r#""item_id":"{item}","output_index":0"#);
    push("created", &response("in_progress", "", "null"));
    push("in_progress", &response("in_progress", "", "null"));
    push("output_item.added", &format!(r#""item":{},"output_index":0"#, message("in_progress", "")));
    push("content_part.added", &format!(r#""content_index":0,{place},"part":{}"#, part("\"\"")));
    for token in tokens {
        let delta = format!(
            r#""content_index":0,"delta":{},"item_id":"{item}","logprobs":[],"output_index":0"#,
            json(token)
        );
        push("output_text.delta", &delta);
    }
    push(
        "output_text.done",
        &format!(r#""content_index":0,"item_id":"{item}","logprobs":[],"output_index":0,"text":{text}"#),
    );
    push("content_part.done", &format!(r#""content_index":0,{place},"part":{}"#, part(&text)));
    let done = message("completed", &part(&text));
    push("output_item.done", &format!(r#""item":{done},"output_index":0"#));
    let (output, total) = (tokens.len(), tokens.len() + INPUT_TOKENS);
    let usage = format!(
        r#"{{"input_tokens":{INPUT_TOKENS},"input_tokens_details":{{"cached_tokens":0}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{total}}}"#
    );
    push("completed", &response("completed", &done, &usage));
    events
}
