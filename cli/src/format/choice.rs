//! Option values that are a known name, or the path of a custom format.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, Error};
use sagewire_codec::Api;

/// The prefix of the path of a custom format.
const CUSTOM: &str = "custom:";

/// A value with its names.
#[derive(Clone, Debug)]
pub(super) struct Choice<T> {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) help: &'static str,
    pub(super) value: T,
}

/// Loads a custom format from a path.
pub(super) type Load<T> = fn(&str) -> Result<T, String>;

/// Parses a name, or `custom:` and a path. `load` is either the loader or the reason why custom formats are not accepted.
#[derive(Clone, Debug)]
pub(super) struct Choices<T> {
    choices: Vec<Choice<T>>,
    load: Result<Load<T>, &'static str>,
}

impl<T> Choices<T> {
    pub(super) fn new(choices: Vec<Choice<T>>, load: Result<Load<T>, &'static str>) -> Self {
        Self { choices, load }
    }

    fn values(&self) -> impl Iterator<Item = PossibleValue> {
        let value =
            |choice: &Choice<T>| PossibleValue::new(choice.name).aliases(choice.aliases).help(choice.help);
        let custom = PossibleValue::new("custom:FILE").help("format that the JSON in FILE describes");
        self.choices.iter().map(value).chain(self.load.is_ok().then_some(custom))
    }

    /// Finds a choice by its name or an alias. Names of APIs are accepted in upper case and with underscores, too.
    fn find(&self, name: &str) -> Option<&Choice<T>> {
        let api = name.parse::<Api>().map(Api::name);
        let is_named = |choice: &&Choice<T>| {
            choice.name == name || choice.aliases.contains(&name) || api.as_ref() == Ok(&choice.name)
        };
        self.choices.iter().find(is_named)
    }

    fn load(&self, path: &str) -> Result<T, String> {
        match (path, self.load) {
            (_, Err(reason)) => Err(reason.into()),
            ("", _) => Err("the path of a file has to follow".into()),
            (path, Ok(load)) => load(path),
        }
    }

    /// Replaces the list of values by the most similar one, if there is one.
    fn suggest(&self, name: &str, mut error: Error) -> Error {
        let suggestion = name.parse::<Api>().err().and_then(|unknown| unknown.suggestion());
        if let Some(suggestion) = suggestion.filter(|name| self.find(name).is_some()) {
            error.insert(ContextKind::SuggestedValue, ContextValue::String(suggestion.into()));
        }
        if error.get(ContextKind::SuggestedValue).is_some() {
            error.remove(ContextKind::ValidValue);
        }
        error
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Choices<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let text = value.to_str().unwrap_or_default();
        if let Some(path) = text.strip_prefix(CUSTOM) {
            let (this, path) = (self.clone(), path.to_owned());
            return StringValueParser::new()
                .try_map(move |_| this.load(&path))
                .parse_ref(command, arg, value);
        }
        if let Some(choice) = self.find(text) {
            return Ok(choice.value.clone());
        }
        match PossibleValuesParser::new(self.values()).parse_ref(command, arg, value) {
            Err(error) => Err(self.suggest(text, error)),
            // The placeholder in the list of values.
            Ok(_) => StringValueParser::new()
                .try_map(|_| Err("FILE has to be the path of a file"))
                .parse_ref(command, arg, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.values()))
    }
}
