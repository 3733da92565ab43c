//! The formats, as they are called on the command line.

mod choice;
mod custom;
mod embedding;
mod table;

use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sagewire_codec::chat::RequestFormat;
use sagewire_codec::format::bedrock::Encoding;
use sagewire_codec::format::custom as codec;
use sagewire_codec::{Format, Framing, Options, Target};
use sagewire_emulator::ContainerFormat;

use self::choice::{Choice, Choices};
use self::table::{FORMATS, Request, Row, TARGETS};

pub(crate) use custom::HELP as CUSTOM_HELP;
pub(crate) use embedding::EmbeddingFormat;
pub(crate) use table::TABLE;

/// How a request is written.
#[derive(Clone, Debug)]
pub(crate) enum Writing {
    /// As the codec knows it.
    Known(RequestFormat),
    /// As a file describes it.
    Custom(Arc<codec::Format>),
}

impl Writing {
    /// What to send as `Content-Type`.
    pub(crate) fn media_type(&self) -> &'static str {
        match self {
            Self::Known(format) => format.media_type(),
            Self::Custom(_) => "application/json",
        }
    }
}

/// How a response is read.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    /// As the codec knows it.
    Known(Format),
    /// As a file describes it.
    Custom(Arc<codec::Format>),
}

impl Reading {
    /// Sets what the records mean.
    pub(crate) fn apply(&self, options: Options) -> Options {
        match self {
            Self::Known(format) => options.format(*format),
            Self::Custom(format) => options.custom(Arc::clone(format)),
        }
    }

    /// Sets what a whole answer means, which is JSON, whatever it looks like.
    pub(crate) fn apply_to_whole(&self, options: Options) -> Options {
        let options = options.framing(Framing::JsonLines);
        match self {
            Self::Known(format) => options.format(*format),
            Self::Custom(format) => match format.of_whole_answers() {
                Some(whole) => options.custom(whole),
                None => options.custom(Arc::clone(format)),
            },
        }
    }
}

/// What a container takes and answers.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// What it takes.
    pub(crate) request: Writing,
    /// What it answers.
    pub(crate) response: Reading,
}

impl Container {
    fn of(row: &Row) -> Self {
        // The shape tells more than the name, which is only that of what was asked. Text has no shape.
        let response = match row.response {
            Format::Text => Format::Text,
            _ => Format::Auto,
        };
        let request = match row.request {
            Request::Full(format) => Writing::Known(format),
            Request::Plain(text) => {
                let format = custom::compile(text).expect("the descriptions here are tested");
                Writing::Custom(Arc::new(format))
            }
        };
        Self { request, response: Reading::Known(response) }
    }

    fn custom(path: &str) -> Result<Self, String> {
        let format = load_written(path)?;
        let response = match custom::is_read(&format) {
            true => Reading::Custom(Arc::clone(&format)),
            false => Reading::Known(Format::Auto),
        };
        Ok(Self { request: Writing::Custom(format), response })
    }

    /// The container that the emulator calls so.
    pub(crate) fn emulated(format: ContainerFormat) -> Self {
        let name = format.name();
        let row = FORMATS.iter().find(|row| row.name == name || row.aliases.contains(&name));
        Self::of(row.expect("all containers are in the table, which is tested"))
    }
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// The text of the first choice.
    Text,
    /// Canonical events.
    Events,
    /// Event-stream frames.
    Frames,
    /// Server-sent events.
    Sse,
    /// Another API's answer.
    Api(Target),
}

/// Reads the name of a container that is emulated.
pub(crate) fn emulated() -> impl TypedValueParser<Value = ContainerFormat> {
    PossibleValuesParser::new(ContainerFormat::ALL.map(ContainerFormat::name))
        .try_map(|name| name.parse::<ContainerFormat>())
}

/// Reads the format of a container that is called.
pub(crate) fn containers() -> impl TypedValueParser<Value = Container> {
    Choices::new(choices(|row| Some(Container::of(row))), Ok(Container::custom))
}

/// Reads the format of a request that is read.
pub(crate) fn requests_read() -> impl TypedValueParser<Value = RequestFormat> {
    let known = choices(|row| match row.request {
        Request::Full(format) => Some(format),
        Request::Plain(_) => None,
    });
    Choices::new(known, Err("requests of such a format can be written, but not read"))
}

/// Reads the format of a request that is written.
pub(crate) fn requests_written() -> impl TypedValueParser<Value = Writing> {
    let known = choices(|row| match row.request {
        Request::Full(format) => Some(Writing::Known(format)),
        Request::Plain(_) => None,
    });
    Choices::new(known, Ok(|path| load_written(path).map(Writing::Custom)))
}

/// Reads the format of a response that is read.
pub(crate) fn responses_read() -> impl TypedValueParser<Value = Reading> {
    let mut all = Vec::from([Choice {
        name: "auto",
        aliases: &[],
        help: "Tell by the shape",
        value: Reading::Known(Format::Auto),
    }]);
    all.extend(choices(|row| Some(Reading::Known(row.response))));
    Choices::new(all, Ok(load_read))
}

/// Reads the format of a response that is written.
pub(crate) fn responses_written() -> impl TypedValueParser<Value = Target> {
    Choices::new(TARGETS.into(), Err(UNWRITTEN))
}

/// Reads what is printed of a container's answer.
pub(crate) fn printed() -> impl TypedValueParser<Value = To> {
    Choices::new(printable(), Err(UNWRITTEN))
}

/// Reads what is printed of captured bytes.
pub(crate) fn printed_of_captures() -> impl TypedValueParser<Value = To> {
    let mut all = printable();
    for (name, help, value) in [
        ("bedrock-wire", "Bedrock's ConverseStream as binary event-stream frames", To::Api(WIRE)),
        (
            "frames",
            "One event-stream frame as JSON a line, whatever is in it; always reads frames",
            To::Frames,
        ),
        ("sse", "One server-sent event as JSON a line, by the letter of the standard", To::Sse),
    ] {
        all.push(Choice { name, aliases: &[], help, value });
    }
    Choices::new(all, Err(UNWRITTEN))
}

const UNWRITTEN: &str = "answers in such a format can be read, but not written";
const WIRE: Target = Target::Bedrock(Encoding::EventStream);

fn choices<T>(value: impl Fn(&Row) -> Option<T>) -> Vec<Choice<T>> {
    let choice = |row: &Row| {
        let value = value(row)?;
        Some(Choice { name: row.name, aliases: row.aliases, help: row.help, value })
    };
    FORMATS.iter().filter_map(choice).collect()
}

fn printable() -> Vec<Choice<To>> {
    let text = "The text of the first choice, nothing else";
    let events = "One canonical event as JSON a line";
    let mut all = Vec::from([
        Choice { name: "text", aliases: &[], help: text, value: To::Text },
        Choice { name: "events", aliases: &[], help: events, value: To::Events },
    ]);
    all.extend(TARGETS.map(|Choice { name, aliases, help, value }| Choice {
        name,
        aliases,
        help,
        value: To::Api(value),
    }));
    all
}

fn load_written(path: &str) -> Result<Arc<codec::Format>, String> {
    let format = custom::load(path)?;
    match custom::is_written(&format) {
        true => Ok(format),
        false => Err(format!("{path}: there is no `request` in it, so none can be written")),
    }
}

fn load_read(path: &str) -> Result<Reading, String> {
    let format = custom::load(path)?;
    match custom::is_read(&format) {
        true => Ok(Reading::Custom(format)),
        false => {
            Err(format!("{path}: there is no path in `stream` or `response` of it, so nothing can be read"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_containers_have_a_row_and_all_descriptions_compile() {
        for row in &FORMATS {
            Container::of(row);
        }
        for format in ContainerFormat::ALL {
            Container::emulated(format);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = FORMATS
            .iter()
            .flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied()))
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
