//! The formats, as they are called on the command line.

mod choice;
mod custom;
mod embedding;
mod table;

use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sagewire_codec::{Api, Framing, Options, custom as codec};
use sagewire_emulator::ContainerFormat;

use self::choice::{Choice, Choices};
use self::table::{choices, description};

pub(crate) use custom::HELP as CUSTOM_HELP;
pub(crate) use embedding::EmbeddingFormat;
pub(crate) use table::table;

/// How a request is written.
#[derive(Clone, Debug)]
pub(crate) enum Writing {
    /// As the codec knows it.
    Known(Api),
    /// As a file describes it.
    Custom(Arc<codec::Format>),
}

impl Writing {
    /// What to send as `Content-Type`.
    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Known(api) => api.content_type(),
            Self::Custom(_) => "application/json",
        }
    }
}

/// How a response is read.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    /// As the codec knows it; `None`: the API is detected.
    Known(Option<Api>),
    /// As a file describes it.
    Custom(Arc<codec::Format>),
}

impl Reading {
    /// Sets what the records mean.
    pub(crate) fn apply(&self, options: Options) -> Options {
        match self {
            Self::Known(api) => options.api(*api),
            Self::Custom(format) => options.custom(Arc::clone(format)),
        }
    }

    /// Sets what a whole answer means, which is JSON, whatever it looks like.
    pub(crate) fn apply_to_whole(&self, options: Options) -> Options {
        let options = options.framing(Framing::JsonLines);
        match self {
            Self::Known(api) => options.api(*api),
            Self::Custom(format) => match format.for_whole_responses() {
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
    /// Requests in an API, and responses in whatever API they turn out to be. Only plain text cannot be detected.
    fn of(api: Api) -> Option<Self> {
        let request = match description(api) {
            Some(text) => {
                let format = custom::compile(text).expect("the descriptions here are tested");
                Writing::Custom(Arc::new(format))
            }
            None if api.writes_requests() => Writing::Known(api),
            None => return None,
        };
        let response = Reading::Known((api == Api::PlainText).then_some(api));
        Some(Self { request, response })
    }

    fn custom(path: &str) -> Result<Self, String> {
        let format = load_written(path)?;
        let response = match custom::is_read(&format) {
            true => Reading::Custom(Arc::clone(&format)),
            false => Reading::Known(None),
        };
        Ok(Self { request: Writing::Custom(format), response })
    }

    /// The container that the emulator calls so.
    pub(crate) fn emulated(format: ContainerFormat) -> Self {
        let api = format.name().parse().expect("all containers are APIs, which is tested");
        Self::of(api).expect("all containers take requests, which is tested")
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
    /// The response of another API.
    Api(Api),
    /// ConverseStream as event-stream frames.
    ConverseFrames,
}

/// Reads the name of a container that is emulated.
pub(crate) fn emulated() -> impl TypedValueParser<Value = ContainerFormat> {
    PossibleValuesParser::new(ContainerFormat::ALL.map(ContainerFormat::name))
        .try_map(|name| name.parse::<ContainerFormat>())
}

/// Parses the format of a container that is called.
pub(crate) fn containers() -> impl TypedValueParser<Value = Container> {
    Choices::new(choices(Container::of), Ok(Container::custom))
}

/// Parses the API of a request that is read.
pub(crate) fn requests_read() -> impl TypedValueParser<Value = Api> {
    let known = choices(|api| api.reads_requests().then_some(api));
    Choices::new(known, Err("requests of such a format can be written, but not read"))
}

/// Parses the format of a request that is written.
pub(crate) fn requests_written() -> impl TypedValueParser<Value = Writing> {
    let known = choices(|api| api.writes_requests().then_some(Writing::Known(api)));
    Choices::new(known, Ok(|path| load_written(path).map(Writing::Custom)))
}

/// Parses the format of a response that is read.
pub(crate) fn responses_read() -> impl TypedValueParser<Value = Reading> {
    let auto =
        Choice { name: "auto", aliases: &[], help: "detected automatically", value: Reading::Known(None) };
    let mut all = Vec::from([auto]);
    all.extend(choices(|api| Some(Reading::Known(Some(api)))));
    Choices::new(all, Ok(load_read))
}

/// Parses the API of a response that is written.
pub(crate) fn responses_written() -> impl TypedValueParser<Value = Api> {
    Choices::new(choices(|api| api.writes_responses().then_some(api)), Err(UNWRITTEN))
}

/// Reads what is printed of a container's answer.
pub(crate) fn printed() -> impl TypedValueParser<Value = To> {
    Choices::new(printable(), Err(UNWRITTEN))
}

/// Reads what is printed of captured bytes.
pub(crate) fn printed_of_captures() -> impl TypedValueParser<Value = To> {
    let mut all = printable();
    for (name, help, value) in [
        ("bedrock-wire", "Bedrock's ConverseStream as binary event-stream frames", To::ConverseFrames),
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

fn printable() -> Vec<Choice<To>> {
    let text = "The text of the first choice, nothing else";
    let events = "One canonical event as JSON a line";
    let mut all = Vec::from([
        Choice { name: "text", aliases: &[], help: text, value: To::Text },
        Choice { name: "events", aliases: &[], help: events, value: To::Events },
    ]);
    all.extend(choices(|api| api.writes_responses().then_some(To::Api(api))));
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
    fn all_containers_are_apis_and_all_descriptions_compile() {
        assert!(Api::ALL.iter().filter_map(|api| Container::of(*api)).count() > 10);
        for format in ContainerFormat::ALL {
            Container::emulated(format);
        }
    }
}
