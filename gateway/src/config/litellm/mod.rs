//! LiteLLM's configuration file: what the gateway has too is taken over, and everything else is noted with its line.
//!
//! The keys and what they mean are those of <https://docs.litellm.ai/docs/proxy/config_settings> and
//! <https://docs.litellm.ai/docs/providers/aws_sagemaker>; where these pages are silent, those of LiteLLM's source.

mod model;
mod section;
mod settings;

use std::collections::BTreeMap;

use self::section::Section;
use super::Config;
use super::read::{Position, Reader};
use super::yaml::{Node, Value};

/// Positions by JSON pointers into the gateway's own file. The longest pointer that is a prefix counts.
pub(super) type Positions = BTreeMap<String, Position>;

/// The position of what a pointer into the gateway's own file leads to.
pub(super) fn position(positions: &Positions, mut pointer: &str) -> Position {
    loop {
        match (positions.get(pointer), pointer.rsplit_once('/')) {
            (Some(position), _) => return *position,
            (None, Some((parent, _))) => pointer = parent,
            (None, None) => return Position::START,
        }
    }
}

/// Reads a file of LiteLLM.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Option<(Config, Positions)> {
    let mut file = Section::new(root, "", reader)?;
    if let Some(variables) = file.take("environment_variables") {
        set_variables(variables, reader);
    }
    let (mut config, mut positions) = (Config::default(), Positions::new());
    let list = file.take("model_list")?;
    positions.insert("/models".into(), list.at);
    let Value::List(items) = &list.value else { return reader.expected(list, "a list") };
    for item in items {
        let Some(read) = model::read(item, reader) else { continue };
        positions.insert(format!("/models/{}", config.models.len()), item.at);
        config.models.push(read);
    }
    let mut settings = settings::Settings::default();
    for (key, take) in [
        ("router_settings", settings::Settings::router as fn(&mut _, &mut _, &mut _)),
        ("litellm_settings", settings::Settings::litellm),
        ("general_settings", settings::Settings::general),
    ] {
        if let Some(node) = file.take(key)
            && let Some(mut section) = Section::new(node, key, reader)
        {
            take(&mut settings, &mut section, reader);
            section.note_rest(reader);
        }
    }
    file.note_rest(reader);
    settings.apply(&mut config, &mut positions, reader);
    if config.models.is_empty() && reader.problems.is_empty() {
        return reader.problem(list.at, "no model of the file can be taken over");
    }
    Some((config, positions))
}

/// Variables that the file sets for itself.
fn set_variables(node: &Node, reader: &mut Reader<'_>) {
    let Value::Section(entries) = &node.value else {
        return reader.expected::<()>(node, "a section").unwrap_or_default();
    };
    for entry in entries {
        if let Some(value) = section::scalar(&entry.node, reader) {
            reader.variables.insert(entry.key.clone(), value);
        }
    }
}
