//! The formats of embeddings.

use sagewire_codec::embedding;

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
