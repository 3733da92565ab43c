//! The formats that options name.

mod choice;
mod custom;
mod embedding;
mod table;

use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sagewire_codec::{Api, Framing, Options, custom as codec, detect_request};
use sagewire_emulator::ContainerFormat;

use self::choice::{Choice, Choices};
use self::table::{choices, description};

pub(crate) use custom::HELP as CUSTOM_HELP;
pub(crate) use embedding::EmbeddingFormat;
pub(crate) use table::table;

/// How a request is written.
#[derive(Clone, Debug)]
pub(crate) enum Writing {
    /// In an API of the codec.
    Known(Api),
    /// In a custom format.
    Custom(Arc<codec::Format>),
}

impl Writing {
    /// The `Content-Type` of the request.
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
    /// In an API of the codec; `None` if the API is detected.
    Known(Option<Api>),
    /// In a custom format.
    Custom(Arc<codec::Format>),
}

impl Reading {
    /// Sets the format of the records of a stream.
    pub(crate) fn apply(&self, options: Options) -> Options {
        match self {
            Self::Known(api) => options.api(*api),
            Self::Custom(format) => options.custom(Arc::clone(format)),
        }
    }

    /// Sets the format of a non-streaming response, which is JSON.
    pub(crate) fn apply_to_response(&self, options: Options) -> Options {
        let options = options.framing(Framing::JsonLines);
        match self {
            Self::Known(api) => options.api(*api),
            Self::Custom(format) => match format.for_whole_responses() {
                Some(response) => options.custom(response),
                None => options.custom(Arc::clone(format)),
            },
        }
    }
}

/// The API of a request that is read; `None` if it is detected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestApi(Option<Api>);

impl RequestApi {
    /// The API of this request, if it is known or can be detected.
    pub(crate) fn detect(self, body: &[u8]) -> Option<Api> {
        self.0.or_else(|| detect_request(body))
    }
}

/// The formats of a container.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// The format of its requests.
    pub(crate) request: Writing,
    /// The format of its responses.
    pub(crate) response: Reading,
}

impl Container {
    /// A container that takes requests of an API. The API of its responses is detected, except for plain text.
    fn of(api: Api) -> Option<Self> {
        let request = match description(api) {
            Some(text) => {
                let format = codec::Format::from_json(text).expect("the descriptions are tested");
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
        let response = match format.reads_responses() {
            true => Reading::Custom(Arc::clone(&format)),
            false => Reading::Known(None),
        };
        Ok(Self { request: Writing::Custom(format), response })
    }

    /// The formats of an emulated container that responds with text.
    pub(crate) fn emulated(format: ContainerFormat) -> Self {
        let api = format.name().parse().expect("tested: every container format is an API");
        Self::of(api).expect("tested: every container takes requests")
    }
}

/// An output format.
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
    /// A response of an API.
    Api(Api),
    /// ConverseStream as event-stream frames.
    ConverseFrames,
}

/// Parses the name of an emulated container.
pub(crate) fn emulated() -> impl TypedValueParser<Value = ContainerFormat> {
    named(|_| true)
}

/// Parses the name of an emulated container that responds with text.
pub(crate) fn emulated_texts() -> impl TypedValueParser<Value = ContainerFormat> {
    named(|format| *format != ContainerFormat::Tei)
}

fn named(is_accepted: impl Fn(&ContainerFormat) -> bool) -> impl TypedValueParser<Value = ContainerFormat> {
    let accepted = ContainerFormat::ALL.into_iter().filter(is_accepted).map(ContainerFormat::name);
    PossibleValuesParser::new(accepted).try_map(|name| name.parse::<ContainerFormat>())
}

/// Parses the format of a container that is called.
pub(crate) fn containers() -> impl TypedValueParser<Value = Container> {
    Choices::new(choices(Container::of), Ok(Container::custom))
}

const DETECTED: &str = "detected automatically";

/// Parses the API of a request that is read.
pub(crate) fn requests_read() -> impl TypedValueParser<Value = RequestApi> {
    let mut all = vec![Choice { name: "auto", aliases: &[], help: DETECTED, value: RequestApi(None) }];
    all.extend(choices(|api| api.reads_requests().then_some(RequestApi(Some(api)))));
    Choices::new(all, Err("requests of custom formats can be written, but not read"))
}

/// Parses the format of a request that is written.
pub(crate) fn requests_written() -> impl TypedValueParser<Value = Writing> {
    let known = choices(|api| api.writes_requests().then_some(Writing::Known(api)));
    Choices::new(known, Ok(|path| load_written(path).map(Writing::Custom)))
}

/// Parses the format of a response that is read.
pub(crate) fn responses_read() -> impl TypedValueParser<Value = Reading> {
    let mut all = vec![Choice { name: "auto", aliases: &[], help: DETECTED, value: Reading::Known(None) }];
    all.extend(choices(|api| Some(Reading::Known(Some(api)))));
    Choices::new(all, Ok(load_read))
}

/// Parses the API of a response that is written.
pub(crate) fn responses_written() -> impl TypedValueParser<Value = Api> {
    Choices::new(choices(|api| api.writes_responses().then_some(api)), Err(UNWRITTEN))
}

/// Parses the output format of `chat`.
pub(crate) fn printed() -> impl TypedValueParser<Value = To> {
    Choices::new(printable(), Err(UNWRITTEN))
}

/// Parses the output format of `decode`.
pub(crate) fn printed_of_captures() -> impl TypedValueParser<Value = To> {
    let mut all = printable();
    for (name, help, value) in [
        ("bedrock-wire", "Bedrock ConverseStream, as binary event-stream frames", To::ConverseFrames),
        ("frames", "event-stream frames, one per line as JSON", To::Frames),
        ("sse", "server-sent events, one per line as JSON", To::Sse),
    ] {
        all.push(Choice { name, aliases: &[], help, value });
    }
    Choices::new(all, Err(UNWRITTEN))
}

const UNWRITTEN: &str = "responses of custom formats can be read, but not written";

fn printable() -> Vec<Choice<To>> {
    let text = "text of the first choice";
    let events = "canonical events, one per line as JSON";
    let mut all = Vec::from([
        Choice { name: "text", aliases: &[], help: text, value: To::Text },
        Choice { name: "events", aliases: &[], help: events, value: To::Events },
    ]);
    all.extend(choices(|api| api.writes_responses().then_some(To::Api(api))));
    all
}

fn load_written(path: &str) -> Result<Arc<codec::Format>, String> {
    let format = custom::load(path)?;
    match format.writes_requests() {
        true => Ok(format),
        false => Err(format!("{path}: has no `request`, so requests cannot be written")),
    }
}

fn load_read(path: &str) -> Result<Reading, String> {
    let format = custom::load(path)?;
    match format.reads_responses() {
        true => Ok(Reading::Custom(format)),
        false => Err(format!("{path}: has no path in `stream` or `response`, so nothing can be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_containers_are_apis_and_all_descriptions_compile() {
        assert!(Api::ALL.iter().filter_map(|api| Container::of(*api)).count() > 10);
        for format in ContainerFormat::ALL.into_iter().filter(|format| *format != ContainerFormat::Tei) {
            Container::emulated(format);
        }
    }
}
