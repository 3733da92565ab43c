//! Anthropic's `thinking`, which Claude takes on Bedrock, too.

use alloc::borrow::Cow;

use crate::formats::request_reader::{Result, Source};
use crate::model::{Fields, Param, Reasoning};

/// Reads `thinking`. `disabled` is an effort of `none`; what says more than a number of tokens is kept as it is.
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
