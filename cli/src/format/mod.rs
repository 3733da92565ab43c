//! The formats, as they are called on the command line.

mod choice;
mod custom;

use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sagewire_codec::chat::RequestFormat;
use sagewire_codec::format::bedrock::Encoding;
use sagewire_codec::format::custom as codec;
use sagewire_codec::{Format, Options, Target, embedding};
use sagewire_emulator::ContainerFormat;

use self::choice::{Choice, OrCustom, among};

pub(crate) use custom::HELP as CUSTOM_HELP;

/// A format and what can be done with it.
struct Row {
    name: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
    request: Request,
    response: Format,
}

/// How the requests of a format are known.
enum Request {
    /// Read and written.
    Full(RequestFormat),
    /// Written by this description, as far as a plain question goes.
    Plain(&'static str),
}

const FORMATS: [Row; 13] = [
    Row {
        name: "openai",
        aliases: &[],
        help: "OpenAI chat completions: also vLLM, SGLang, llama.cpp, and the chat of TGI and LMI",
        request: Request::Full(RequestFormat::OpenAi),
        response: Format::OpenAi,
    },
    Row {
        name: "completions",
        aliases: &["openai-completions"],
        help: "OpenAI completions: text, of the same servers",
        request: Request::Full(RequestFormat::Completions),
        response: Format::OpenAi,
    },
    Row {
        name: "responses",
        aliases: &[],
        help: "OpenAI Responses",
        request: Request::Plain(include_str!("responses.json")),
        response: Format::Responses,
    },
    Row {
        name: "bedrock",
        aliases: &[],
        help: "Bedrock's Converse and ConverseStream",
        request: Request::Full(RequestFormat::Bedrock),
        response: Format::Bedrock,
    },
    Row {
        name: "anthropic",
        aliases: &[],
        help: "Anthropic Messages",
        request: Request::Full(RequestFormat::Anthropic),
        response: Format::Anthropic,
    },
    Row {
        name: "tgi",
        aliases: &["generate"],
        help: "TGI's own generate: text",
        request: Request::Full(RequestFormat::Tgi),
        response: Format::Generate,
    },
    Row {
        name: "lmi",
        aliases: &["lmi-vllm", "lmi-outputs"],
        help: "LMI's own, of all generations: text",
        request: Request::Full(RequestFormat::Lmi),
        response: Format::Generate,
    },
    Row {
        name: "jumpstart",
        aliases: &[],
        help: "JumpStart's text generation, and Hugging Face's pipelines: text",
        request: Request::Full(RequestFormat::JumpStart),
        response: Format::Generate,
    },
    Row {
        name: "jumpstart-text",
        aliases: &[],
        help: "JumpStart's text2text models: text",
        request: Request::Full(RequestFormat::JumpStartText),
        response: Format::Generate,
    },
    Row {
        name: "jumpstart-dialogs",
        aliases: &[],
        help: "JumpStart's first Llama 2 chat models",
        request: Request::Full(RequestFormat::JumpStartDialogs),
        response: Format::Generate,
    },
    Row {
        name: "triton",
        aliases: &[],
        help: "Triton's generate extension: text",
        request: Request::Full(RequestFormat::Triton),
        response: Format::Generate,
    },
    Row {
        name: "llama-server",
        aliases: &[],
        help: "llama.cpp's own /completion: text",
        request: Request::Plain(include_str!("llama-server.json")),
        response: Format::Generate,
    },
    Row {
        name: "text",
        aliases: &["torchserve"],
        help: "Raw text, as TorchServe streams it",
        request: Request::Plain(include_str!("text.json")),
        response: Format::Text,
    },
];

/// What is written of streams, and of whole answers.
const TARGETS: [Choice<Target>; 4] = [
    Choice {
        name: "openai",
        aliases: &[],
        help: "OpenAI chat completions; streams as server-sent events",
        value: Target::OpenAi,
    },
    Choice {
        name: "bedrock",
        aliases: &[],
        help: "Bedrock's Converse; streams as one ConverseStream event as JSON a line",
        value: Target::Bedrock(Encoding::JsonLines),
    },
    Choice {
        name: "anthropic",
        aliases: &[],
        help: "Anthropic Messages; streams as server-sent events",
        value: Target::Anthropic,
    },
    Choice {
        name: "tgi",
        aliases: &[],
        help: "TGI's generate; streams as server-sent events",
        value: Target::Tgi,
    },
];

/// How a request is written.
#[derive(Clone, Debug)]
pub(crate) enum Writing {
    /// As the codec knows it.
    Known(RequestFormat),
    /// As a file describes it.
    Custom(Arc<codec::Format>),
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
    let names = among(choices(|row| Some(Container::of(row))));
    OrCustom { names, load: Ok(Container::custom) }
}

/// Reads the format of a request that is read.
pub(crate) fn requests_read() -> impl TypedValueParser<Value = RequestFormat> {
    let names = among(choices(|row| match row.request {
        Request::Full(format) => Some(format),
        Request::Plain(_) => None,
    }));
    OrCustom { names, load: Err("requests of such a format can be written, but not read") }
}

/// Reads the format of a request that is written.
pub(crate) fn requests_written() -> impl TypedValueParser<Value = Writing> {
    let names = among(choices(|row| match row.request {
        Request::Full(format) => Some(Writing::Known(format)),
        Request::Plain(_) => None,
    }));
    OrCustom { names, load: Ok(|path| load_written(path).map(Writing::Custom)) }
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
    OrCustom { names: among(all), load: Ok(load_read) }
}

/// Reads the format of a response that is written.
pub(crate) fn responses_written() -> impl TypedValueParser<Value = Target> {
    OrCustom { names: among(TARGETS.into()), load: Err(UNWRITTEN) }
}

/// Reads what is printed of a container's answer.
pub(crate) fn printed() -> impl TypedValueParser<Value = To> {
    OrCustom { names: among(printable()), load: Err(UNWRITTEN) }
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
    OrCustom { names: among(all), load: Err(UNWRITTEN) }
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

/// A format of requests for embeddings.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum EmbeddingFormat {
    /// OpenAI
    #[value(name = "openai")]
    OpenAi,
    /// `inputs`: TEI, the Hugging Face containers, LMI
    #[value(alias = "tei")]
    Inputs,
    /// `text_inputs`: JumpStart
    #[value(name = "jumpstart")]
    TextInputs,
    /// `text_inputs` with `"mode": "embedding"`: JumpStart's sentence similarity models
    #[value(name = "jumpstart-mode")]
    TextInputsMode,
    /// A JSON list of texts as application/x-text
    #[value(name = "text-list")]
    TextList,
    /// One text as application/x-text
    Text,
    /// Cohere
    Cohere,
    /// Voyage
    Voyage,
}

impl EmbeddingFormat {
    /// The codec's name for it.
    pub(crate) fn target(self) -> embedding::Target {
        match self {
            Self::OpenAi => embedding::Target::OpenAi,
            Self::Inputs => embedding::Target::Inputs,
            Self::TextInputs => embedding::Target::TextInputs { mode: false },
            Self::TextInputsMode => embedding::Target::TextInputs { mode: true },
            Self::TextList => embedding::Target::TextList,
            Self::Text => embedding::Target::Text,
            Self::Cohere => embedding::Target::Cohere,
            Self::Voyage => embedding::Target::Voyage,
        }
    }
}

/// What is read and written.
pub(crate) const TABLE: &str = "\
FORMAT             REQUEST       RESPONSE      STREAM        WHAT
openai             read, write   read, write   read, write   chat completions of OpenAI, vLLM, SGLang, llama.cpp, TGI, LMI
completions        read, write   read          read          completions as text, of the same
responses          -             read          read          OpenAI Responses
bedrock            read, write   read, write   read, write   Converse, ConverseStream; InvokeModel's chunks are read
anthropic          read, write   read, write   read, write   Messages
tgi                read, write   read, write   read, write   TGI's generate
lmi                read, write   read          read          DJL-Serving, three generations
jumpstart          read, write   read          -             Hugging Face and text-to-text models, Llama 2 dialogs
triton             read, write   read          read          Triton's generate extension
llama-server       -             read          read          llama.cpp's own /completion
text               -             read          read          raw text, as TorchServe sends it
embeddings         read, write   read, write   -             OpenAI's to and from TEI, JumpStart, Cohere, Voyage
custom:FILE        write         read          read          what a JSON file describes: see sagewire decode --help

Streams are written as server-sent events; ConverseStream as frames or as JSON lines too. What a conversion cannot carry
over is told on standard error. sagewire chat puts its question in the words of responses, llama-server and text as well.
";

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
