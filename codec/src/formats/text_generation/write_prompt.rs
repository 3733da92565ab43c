//! Writes requests of text generation: a prompt with an object of parameters.

use alloc::vec::Vec;

use crate::formats::conversion::Conversion;
use crate::formats::parameters::{Group, Table};
use crate::formats::request_reader::Result;
use crate::json::Object;

/// Appends a request with the prompt in the field `prompt`. The first of `groups` are the parameters in their object, the
/// others are beside it.
pub(crate) fn write_prompt(
    c: &Conversion<'_, '_>,
    prompt: &'static str,
    table: &Table,
    groups: &[&Group],
    out: &mut Vec<u8>,
) -> Result<()> {
    c.report_parameters(table);
    let mut object = Object::new(out);
    c.prompt()?.write(object.name(prompt));
    let [inside, beside @ ..] = groups else { return Ok(()) };
    let mut parameters = object.begin_object(inside.object);
    c.write_rows(&mut parameters, inside);
    c.write_extra_parameters(table, &mut parameters);
    drop(parameters);
    for group in beside {
        c.write_rows(&mut object, group);
    }
    Ok(())
}
