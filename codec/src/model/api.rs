//! The APIs of language models, by name.

use core::fmt;
use core::str::FromStr;

use alloc::string::String;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An API of a language model: the format of its requests, responses and streams.
///
/// ```
/// use sagewire_codec::Api;
///
/// let api: Api = "converse".parse()?;
/// assert_eq!(api, Api::Converse);
/// assert!(api.writes_streams());
/// let error = "opnai".parse::<Api>().unwrap_err();
/// assert!(error.to_string().contains("did you mean `openai`?"));
/// # Ok::<(), sagewire_codec::UnknownApi>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Api {
    /// OpenAI chat completions: also vLLM, SGLang, llama.cpp, and the chat routes of TGI and LMI.
    OpenAi,
    /// OpenAI completions: a prompt instead of messages.
    Completions,
    /// OpenAI Responses.
    Responses,
    /// Bedrock's Converse and ConverseStream.
    Converse,
    /// Anthropic Messages.
    Anthropic,
    /// Cohere Chat v2: Cohere's own containers, and vLLM's `/cohere/v2/chat`. Responses of v1 are read, too.
    Cohere,
    /// Amazon Nova's container for custom models: OpenAI's chat without a model, and with the parameters that it lists.
    /// Its responses are OpenAI's.
    Nova,
    /// Text generation of any kind: TGI, LMI, JumpStart, Triton, llama-server and SGLang share the fields of their responses, so
    /// one reader reads all of them. Their requests differ: those are the APIs below.
    TextGeneration,
    /// Text generation inference: `{"inputs":"…","parameters":{…}}`.
    Tgi,
    /// The LMI container's own: `{"inputs":"…","parameters":{…}}`.
    Lmi,
    /// JumpStart's text generation and Hugging Face's pipelines: `{"inputs":"…","parameters":{…}}`.
    JumpStart,
    /// JumpStart's text2text models: `{"text_inputs":"…","max_length":…}`, all in one object.
    JumpStartText,
    /// JumpStart's first text2text models: the prompt as it is, as `application/x-text`.
    JumpStartRaw,
    /// JumpStart's first Llama 2 chat models: `{"inputs":[[{"role":…,"content":…}]],"parameters":{…}}`.
    JumpStartDialogs,
    /// Triton's generate extension: `{"text_input":"…","parameters":{…}}`.
    Triton,
    /// llama-server's own `/completion`.
    LlamaServer,
    /// SGLang's own `/generate`: `{"text":"…","sampling_params":{…}}`.
    Sglang,
    /// Responses without records: all bytes are text, as TorchServe streams it. This is never detected and has to be
    /// selected. A plain text has no end marker, so it is complete when the input ends, unless it is empty; a body that
    /// consists of a JSON error is a failure.
    PlainText,
}

/// One line of the table of APIs.
struct Row {
    api: Api,
    name: &'static str,
    aliases: &'static [&'static str],
    title: &'static str,
    requests: Access,
    responses: Access,
    streams: Access,
}

/// What the codec can do with a kind of document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    No,
    Read,
    ReadWrite,
}

impl Access {
    const fn reads(self) -> bool {
        !matches!(self, Self::No)
    }

    const fn writes(self) -> bool {
        matches!(self, Self::ReadWrite)
    }
}

const fn row(
    api: Api,
    name: &'static str,
    aliases: &'static [&'static str],
    [requests, responses, streams]: [Access; 3],
    title: &'static str,
) -> Row {
    Row { api, name, aliases, title, requests, responses, streams }
}

#[rustfmt::skip]
const ROWS: &[Row] = {
    use Access::{No, Read, ReadWrite as Both};
    &[
        row(Api::OpenAi, "openai", &["openai-chat", "chat-completions"], [Both, Both, Both], "OpenAI chat completions: also vLLM, SGLang, llama.cpp, and the chat of TGI and LMI"),
        row(Api::Completions, "completions", &["openai-completions"], [Both, Both, Both], "OpenAI completions: text, of the same servers"),
        row(Api::Responses, "responses", &["openai-responses"], [Both, Both, Both], "OpenAI Responses"),
        row(Api::Converse, "bedrock", &["converse", "bedrock-converse"], [Both, Both, Both], "Bedrock's Converse and ConverseStream"),
        row(Api::Anthropic, "anthropic", &["messages", "anthropic-messages"], [Both, Both, Both], "Anthropic Messages"),
        row(Api::Cohere, "cohere", &["cohere-chat", "cohere-v2"], [Both, Read, Read], "Cohere Chat v2: its own containers, and vLLM's /cohere/v2/chat; responses of v1"),
        row(Api::Nova, "nova", &["amazon-nova", "sagemaker-nova"], [Both, Read, Read], "Amazon Nova's container for custom models: OpenAI's chat with its parameters"),
        row(Api::TextGeneration, "text-generation", &[], [No, Read, Read], "text generation of any container below: responses only"),
        row(Api::Tgi, "tgi", &["generate"], [Both, Both, Both], "TGI's own generate: text"),
        row(Api::Lmi, "lmi", &["lmi-vllm", "lmi-outputs"], [Both, Read, Read], "LMI's own, of all generations: text"),
        row(Api::JumpStart, "jumpstart", &[], [Both, Read, No], "JumpStart's text generation, and Hugging Face's pipelines: text"),
        row(Api::JumpStartText, "jumpstart-text", &[], [Both, Read, No], "JumpStart's text2text models: text"),
        row(Api::JumpStartRaw, "jumpstart-raw", &["x-text"], [Both, Read, No], "the prompt alone, as application/x-text: JumpStart's first text2text models"),
        row(Api::JumpStartDialogs, "jumpstart-dialogs", &[], [Both, Read, No], "JumpStart's first Llama 2 chat models"),
        row(Api::Triton, "triton", &[], [Both, Read, Read], "Triton's generate extension: text"),
        row(Api::LlamaServer, "llama-server", &[], [No, Read, Read], "llama.cpp's own /completion: text"),
        row(Api::Sglang, "sglang", &["sglang-generate"], [Both, Read, Read], "SGLang's own /generate: text"),
        row(Api::PlainText, "text", &["torchserve"], [No, Read, Read], "raw text, as TorchServe streams it"),
    ]
};

impl Api {
    /// All APIs, in the order in which they are documented.
    pub const ALL: &'static [Self] = &{
        let mut all = [Self::OpenAi; ROWS.len()];
        let mut index = 0;
        while index < ROWS.len() {
            all[index] = ROWS[index].api;
            index += 1;
        }
        all
    };

    fn row(self) -> &'static Row {
        // The rows are in the order of the variants, which a test checks.
        &ROWS[self as usize]
    }

    /// The name, as [`FromStr`] takes it: `openai`, `jumpstart-text`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Other names that [`FromStr`] takes: `converse` for `bedrock`.
    pub fn aliases(self) -> &'static [&'static str] {
        self.row().aliases
    }

    /// A short description, one line without a full stop.
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// Whether [`read_request`](crate::read_request) takes it.
    pub fn reads_requests(self) -> bool {
        self.row().requests.reads()
    }

    /// Whether [`write_request`](crate::write_request) takes it.
    pub fn writes_requests(self) -> bool {
        self.row().requests.writes()
    }

    /// Whether its non-streaming responses are read. All are.
    pub fn reads_responses(self) -> bool {
        self.row().responses.reads()
    }

    /// Whether [`write_response`](crate::write_response) takes it.
    pub fn writes_responses(self) -> bool {
        self.row().responses.writes()
    }

    /// Whether it has streams, which are all read.
    pub fn reads_streams(self) -> bool {
        self.row().streams.reads()
    }

    /// Whether [`Transcoder`](crate::Transcoder) and [`Writer`](crate::Writer) take it.
    pub fn writes_streams(self) -> bool {
        self.row().streams.writes()
    }

    /// Whether its requests have a prompt in place of messages, so that a chat needs a template:
    /// [`ConversionOptions::render`](crate::model::ConversionOptions::render).
    pub fn takes_prompt(self) -> bool {
        use Api::{Completions, JumpStart, JumpStartRaw, JumpStartText, Lmi, Sglang, Tgi, Triton};
        matches!(self, Completions | Tgi | Lmi | JumpStart | JumpStartText | JumpStartRaw | Triton | Sglang)
    }

    /// Whether it is one of the APIs of text generation, which share the shapes of responses and errors.
    pub(crate) fn is_text_generation(self) -> bool {
        use Api::{
            JumpStart, JumpStartDialogs, JumpStartRaw, JumpStartText, LlamaServer, Lmi, Sglang,
            TextGeneration, Tgi, Triton,
        };
        matches!(
            self,
            TextGeneration
                | Tgi
                | Lmi
                | JumpStart
                | JumpStartText
                | JumpStartRaw
                | JumpStartDialogs
                | Triton
                | LlamaServer
                | Sglang
        )
    }

    /// The content type of a request: `application/json`, for [`JumpStartRaw`](Self::JumpStartRaw) `application/x-text`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::JumpStartRaw => crate::media_type::TEXT,
            _ => crate::media_type::JSON,
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Api {
    type Err = UnknownApi;

    /// Parses a name or an alias. Upper and lower case are the same, and so are `-` and `_`.
    fn from_str(name: &str) -> Result<Self, UnknownApi> {
        let is_same = |known: &str| {
            known.len() == name.len() && known.bytes().zip(name.bytes()).all(|(a, b)| a == normalized(b))
        };
        let found =
            ROWS.iter().find(|row| is_same(row.name) || row.aliases.iter().any(|alias| is_same(alias)));
        found.map(|row| row.api).ok_or_else(|| UnknownApi { name: name.chars().take(LEN_MAX).collect() })
    }
}

fn normalized(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// Characters of a name that are shown.
const LEN_MAX: usize = 64;

/// A name that is not that of an [`Api`]. Its message has the nearest known name, or all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownApi {
    name: String,
}

impl UnknownApi {
    /// The known name that differs least from the unknown one, if one is near enough.
    pub fn suggestion(&self) -> Option<&'static str> {
        let names = ROWS.iter().flat_map(|row| core::iter::once(&row.name).chain(row.aliases));
        let nearest = names.min_by_key(|known| distance(known, &self.name))?;
        (distance(nearest, &self.name) <= 2 + self.name.len() / 5).then_some(nearest)
    }
}

impl fmt::Display for UnknownApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown API {:?}: ", self.name)?;
        if let Some(name) = self.suggestion() {
            return write!(f, "did you mean `{name}`?");
        }
        f.write_str("known are ")?;
        for (index, row) in ROWS.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, row.name)?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownApi {}

/// The edit distance: how many characters have to be inserted, deleted or replaced.
fn distance(known: &str, name: &str) -> usize {
    let mut row = [0; LEN_MAX + 1];
    let chars = || name.bytes().map(normalized).take(LEN_MAX);
    row.iter_mut().enumerate().for_each(|(index, cell)| *cell = index);
    for (line, a) in known.bytes().enumerate() {
        let mut diagonal = core::mem::replace(&mut row[0], line + 1);
        for (index, b) in chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[index + 1];
            row[index + 1] = replaced.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[chars().count()]
}

impl Serialize for Api {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Api {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Api;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an API")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Api, E> {
                name.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn rows_are_in_the_order_of_the_variants_and_names_are_unique() {
        let mut names = Vec::new();
        for (index, api) in Api::ALL.iter().enumerate() {
            assert_eq!(*api as usize, index);
            for name in core::iter::once(&api.name()).chain(api.aliases()) {
                assert_eq!(name.parse(), Ok(*api));
                assert!(!names.contains(name), "{name} is there twice");
                names.push(*name);
            }
        }
    }

    #[test]
    fn names_are_lenient_and_typos_get_a_hint() {
        assert_eq!("JumpStart_Text".parse(), Ok(Api::JumpStartText));
        for (typo, hint) in
            [("opnai", "openai"), ("antropic", "anthropic"), ("convers", "converse"), ("tig", "tgi")]
        {
            assert_eq!(typo.parse::<Api>().unwrap_err().suggestion(), Some(hint), "{typo}");
        }
        let error = "x".repeat(10_000).parse::<Api>().unwrap_err().to_string();
        assert!(error.len() < 400 && error.contains("known are openai, completions"), "{error}");
    }
}
