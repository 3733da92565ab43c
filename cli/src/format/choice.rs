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

/// Reads one of the names.
pub(super) fn among<T>(choices: Vec<Choice<T>>) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
{
    let values = choices.iter().map(|choice| {
        PossibleValue::new(choice.name).aliases(choice.aliases.iter().copied()).help(choice.help)
    });
    PossibleValuesParser::new(values).map(move |name| {
        let found = choices.iter().find(|choice| choice.name == name || choice.aliases.contains(&&*name));
        found.expect("no other name gets here").value.clone()
    })
}

/// Reads the file of this path, or says what is wrong with it.
pub(super) type Load<T> = fn(&str) -> Result<T, String>;

/// Reads what `names` reads, or the path of a file behind `custom:`.
#[derive(Clone, Debug)]
pub(super) struct OrCustom<P, T> {
    pub(super) names: P,
    /// Reads the file; or why none can be used here.
    pub(super) load: Result<Load<T>, &'static str>,
}

impl<P, T> TypedValueParser for OrCustom<P, T>
where
    P: TypedValueParser<Value = T>,
    T: Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let Some(path) = value.to_str().and_then(|value| value.strip_prefix(CUSTOM)) else {
            return self.names.parse_ref(command, arg, value);
        };
        let load = self.load;
        let path = path.to_owned();
        let parser = StringValueParser::new().try_map(move |_| match load {
            Ok(load) => load(&path),
            Err(refusal) => Err(refusal.to_owned()),
        });
        parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let custom = PossibleValue::new("custom:FILE").help("What the JSON in FILE describes: see below");
        let custom = self.load.is_ok().then_some(custom);
        Some(Box::new(self.names.possible_values()?.chain(custom)))
    }
}
