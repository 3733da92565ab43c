//! The formats and their names.

use sagewire_codec::chat::RequestFormat;
use sagewire_codec::format::bedrock::Encoding;
use sagewire_codec::{Format, Target};

use super::choice::Choice;

/// A format and what can be done with it.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) help: &'static str,
    pub(super) request: Request,
    pub(super) response: Format,
}

/// How the requests of a format are known.
pub(super) enum Request {
    /// Read and written.
    Full(RequestFormat),
    /// Written by this description, as far as a plain question goes.
    Plain(&'static str),
}

/// All of them.
pub(super) const FORMATS: [Row; 14] = [
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
        name: "jumpstart-raw",
        aliases: &["x-text"],
        help: "The prompt alone, as application/x-text: JumpStart's first text2text models",
        request: Request::Full(RequestFormat::Text),
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
pub(super) const TARGETS: [Choice<Target>; 4] = [
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
jumpstart          read, write   read          -             Hugging Face and text-to-text models, raw text, Llama 2 dialogs
triton             read, write   read          read          Triton's generate extension
llama-server       -             read          read          llama.cpp's own /completion
text               -             read          read          raw text, as TorchServe sends it
embeddings         read, write   read, write   -             OpenAI's to and from TEI, JumpStart, Cohere, Voyage
custom:FILE        write         read          read          what a JSON file describes: see sagewire decode --help

Streams are written as server-sent events; ConverseStream as frames or as JSON lines too. What a conversion cannot carry
over is told on standard error. sagewire chat puts its question in the words of responses, llama-server and text as well.
";
