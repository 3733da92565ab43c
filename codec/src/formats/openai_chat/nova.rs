//! Requests for Amazon Nova's container for custom models on SageMaker.
//!
//! Source: the pages of the Nova 2 user guide about inference on SageMaker. The container is vLLM with a list of parameters:
//! others are reported and left out. There is no `model`, and `reasoning_effort` is `low` or `high`. `stream` has to be in the body,
//! beside the operation that streams.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::openai::effort;
use crate::formats::openai_chat::parameters::{STREAM, STREAM_OPTIONS, TABLE, logprobs, max_tokens};
use crate::formats::openai_chat::write_messages::write_messages;
use crate::formats::parameters::{Group, Parameter as P, Table, row};
use crate::formats::request_reader::Result;
use crate::formats::sampling::top_k;
use crate::json::Object;

pub(crate) const NOVA: Table = Table {
    groups: &[&PARAMETERS, &STREAM, &STREAM_OPTIONS],
    code: &[P::Reasoning],
    known: &["messages", "reasoning_effort", "stream_options"],
    deprecated: &[],
    reason: "Nova's container has no such parameter",
    ..TABLE
};

const PARAMETERS: Group = Group {
    object: "",
    rows: &[&[
        row(P::Model, "model").read_only(),
        row(P::MaxTokens, "max_completion_tokens").read_only(),
        row(P::MaxTokens, "max_tokens").quirk(max_tokens),
        row(P::Temperature, "temperature").range(0.0, 2.0),
        row(P::TopP, "top_p").range(1e-10, 1.0),
        row(P::TopK, "top_k").quirk(top_k),
        row(P::Logprobs, "logprobs").quirk(logprobs),
        row(P::TopLogprobs, "top_logprobs"),
    ]],
};

/// Parameters of the container that no other API has.
const EXTRA: [&str; 2] = ["allowed_token_ids", "truncate_prompt_tokens"];

/// Appends the request.
pub(crate) fn write(c: &Conversion<'_, '_>, out: &mut Vec<u8>) -> Result<()> {
    c.report_parameters(&NOVA);
    c.report_tools();
    let mut object = Object::new(out);
    let messages = c.messages(false, None)?;
    write_messages(c, &messages, object.begin_array("messages"))?;
    c.write_rows(&mut object, &PARAMETERS);
    write_effort(c, &mut object);
    c.write_rows(&mut object, &STREAM);
    if c.wants(&[c.request.stream]) {
        c.write_group(&mut object, &STREAM_OPTIONS);
    }
    if c.is_native() || c.options.drop_extra_parameters {
        return Ok(());
    }
    for (name, param) in &c.request.extra_parameters {
        if EXTRA.contains(&&**name) {
            object.raw(name, param.value.as_str());
        } else {
            c.report_dropped(param.offset, "extra_parameters", NOVA.reason);
        }
    }
    Ok(())
}

fn write_effort(c: &Conversion<'_, '_>, object: &mut Object<'_>) {
    let Some(reasoning) = &c.request.reasoning else { return };
    let Some(effort) = effort(c) else { return };
    let nearest = match effort {
        "low" | "high" => effort,
        "none" | "minimal" => "low",
        "medium" | "xhigh" | "max" => "high",
        _ => {
            return c.report_dropped(reasoning.offset, "reasoning", "Nova's effort is low or high");
        }
    };
    if nearest != effort {
        c.report_approximated(reasoning.offset, "reasoning", "Nova's effort is low or high");
    }
    object.string("reasoning_effort", nearest);
}
