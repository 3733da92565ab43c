//! Claude's rules for reasoning, which Converse and Anthropic share, and its blocks.

use alloc::borrow::Cow;

use crate::formats::conversion::Conversion;
use crate::formats::request_reader::{Result, Source};
use crate::json::Object;
use crate::model::{Content, Fields, Offset, Param, Reasoning, ToolChoice};

/// Reads `thinking`. `disabled` is an effort of `none`. An object with more than a number of tokens is also kept unchanged.
pub(crate) fn thinking<'a>(
    source: &mut Source<'a>,
    reasoning: &mut Option<Param<Reasoning<'a>>>,
) -> Result<bool> {
    let offset = source.offset()?;
    let (mut kind, mut budget, mut rest) = (None::<Cow<'a, str>>, None, Fields::new());
    let json = source.probe(|source| {
        let mut again = source.clone();
        let is_object = again.nested(&mut rest, "", |source, name| match name {
            "type" => source.value(&mut kind),
            "budget_tokens" => source.value(&mut budget),
            _ => Ok(false),
        })?;
        if is_object { source.raw().map(Some) } else { Ok(None) }
    })?;
    let Some(json) = json else { return Ok(false) };
    let is_plain = kind.as_deref() == Some("enabled") && budget.is_some() && rest.is_empty();
    let reasoning = reasoning.get_or_insert_with(|| Param { value: Reasoning::default(), offset });
    reasoning.value.budget_tokens = budget;
    reasoning.value.other = (!is_plain).then_some(json);
    Ok(true)
}

/// Reads an effort.
pub(crate) fn effort<'a>(
    source: &mut Source<'a>,
    reasoning: &mut Option<Param<Reasoning<'a>>>,
) -> Result<bool> {
    let offset = source.offset()?;
    let mut effort = None;
    let is_read = source.value(&mut effort)?;
    if is_read {
        let reasoning = reasoning.get_or_insert_with(|| Param { value: Reasoning::default(), offset });
        reasoning.value.effort = effort;
    }
    Ok(is_read)
}

impl Conversion<'_, '_> {
    /// Whether the request enables thinking, which restricts its other parameters.
    pub(crate) fn thinks(&self) -> bool {
        let reasoning = self.request.reasoning.as_ref();
        reasoning.is_some_and(|reasoning| reasoning.value.budget_tokens.is_some())
    }

    /// Writes `thinking`, if there is more than an effort.
    pub(crate) fn write_thinking(&self, object: &mut Object<'_>) {
        let Some(reasoning) = self.request.reasoning.as_ref().map(|reasoning| &reasoning.value) else {
            return;
        };
        if let Some(other) = &reasoning.other {
            object.raw("thinking", other.as_str());
        } else if let Some(budget) = reasoning.budget_tokens {
            let mut thinking = object.begin_object("thinking");
            thinking.string("type", "enabled");
            thinking.integer("budget_tokens", budget);
        }
    }

    /// The effort, if the API has it.
    pub(crate) fn effort(&self) -> Option<&str> {
        let reasoning = self.request.reasoning.as_ref()?;
        match reasoning.value.effort.as_deref()? {
            "none" => {
                let reason = "there is no effort `none`: no thinking is requested";
                self.report_dropped(reasoning.offset, "reasoning", reason);
                None
            }
            "minimal" => {
                self.report_approximated(reasoning.offset, "reasoning", "the least effort is low");
                Some("low")
            }
            effort => Some(effort),
        }
    }

    /// Whether the model must not be forced to call a tool, because it thinks. Reports it.
    pub(crate) fn frees_choice(&self, choice: &ToolChoice<'_>, offset: Offset) -> bool {
        let is_forced = match choice {
            ToolChoice::Required | ToolChoice::Tool(_) => true,
            ToolChoice::Allowed { required, .. } => *required,
            _ => false,
        };
        let is_freed = is_forced && self.thinks();
        if is_freed {
            self.report_approximated(offset, "tool_choice", "a model that thinks chooses tools by itself");
        }
        is_freed
    }

    /// A number from 0 to 1; for a model that thinks, 1 or nothing.
    fn unless_thinking(&self, number: Option<Param<f64>>, name: &'static str) -> Option<Param<f64>> {
        let number = self.clamped(number?, name, (0.0, 1.0));
        if self.thinks() && number.value != 1.0 {
            self.report_dropped(number.offset, name, "a model with extended thinking does not accept it");
            return None;
        }
        Some(number)
    }
}

/// Writes Claude's temperature.
pub(crate) fn temperature(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    if let Some(temperature) = c.unless_thinking(c.temperature(), "temperature") {
        c.number(temperature, object.name(name));
    }
}

/// Writes Claude's `top_p`.
pub(crate) fn top_p(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    if let Some(top_p) = c.unless_thinking(c.request.top_p, "top_p") {
        c.number(top_p, object.name(name));
    }
}

/// Writes Claude's `top_k`, which is above 0.
pub(crate) fn top_k(c: &Conversion<'_, '_>, object: &mut Object<'_>, name: &'static str) {
    let Some(top_k) = c.request.top_k.filter(|top_k| top_k.value > 0) else { return };
    if c.thinks() {
        c.report_dropped(top_k.offset, "top_k", "a model with extended thinking does not accept it");
    } else {
        object.integer(name, top_k.value.unsigned_abs());
    }
}

/// Writes reasoning as a block of Anthropic's, which gateways with OpenAI's chat have in `thinking_blocks`. Nothing for other
/// content.
pub(crate) fn write_thinking(content: &Content<'_>, block: &mut Object<'_>) {
    match content {
        Content::Reasoning { text, signature } => {
            block.string("type", "thinking");
            text.write(block.name("thinking"));
            if let Some(signature) = signature {
                block.string("signature", signature);
            }
        }
        Content::Redacted(data) => {
            block.string("type", "redacted_thinking");
            block.string("data", data);
        }
        _ => {}
    }
}
