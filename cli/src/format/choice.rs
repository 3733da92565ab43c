//! Values that are chosen by name on the command line, or described in a file.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};

/// What stands before the path of a file that describes a format.
const CUSTOM: &str = "custom:";

/// A value and its names.
#[derive(Clone, Debug)]
pub(super) struct Choice<T> {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) help: &'static str,
    pub(super) value: T,
}

/// Reads the file of this path, or says what is wrong with it.
pub(super) type Load<T> = fn(&str) -> Result<T, String>;

/// Reads one of the names, or `custom:` and the path of a file: with `load`, or why none can be used here.
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
        let custom = PossibleValue::new("custom:FILE").help("What the JSON in FILE describes: see below");
        self.choices.iter().map(value).chain(self.load.is_ok().then_some(custom))
    }

    fn load(&self, path: &str) -> Result<T, String> {
        match (path, self.load) {
            (_, Err(refusal)) => Err(refusal.into()),
            ("", _) => Err("the path of a file has to follow".into()),
            (path, Ok(load)) => load(path),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Choices<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        if let Some(path) = value.to_str().and_then(|value| value.strip_prefix(CUSTOM)) {
            let (this, path) = (self.clone(), path.to_owned());
            return StringValueParser::new()
                .try_map(move |_| this.load(&path))
                .parse_ref(command, arg, value);
        }
        let name = PossibleValuesParser::new(self.values()).parse_ref(command, arg, value)?;
        let found =
            self.choices.iter().find(|choice| choice.name == name || choice.aliases.contains(&&*name));
        Ok(found.expect("no other name gets here").value.clone())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.values()))
    }
}
