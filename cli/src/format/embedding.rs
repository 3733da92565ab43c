//! The formats of embeddings.

use sagewire_codec::embeddings;

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
    pub(crate) fn target(self) -> embeddings::RequestShape {
        match self {
            Self::OpenAi => embeddings::RequestShape::OpenAi,
            Self::Inputs => embeddings::RequestShape::Inputs,
            Self::TextInputs => embeddings::RequestShape::TextInputs { mode: false },
            Self::TextInputsMode => embeddings::RequestShape::TextInputs { mode: true },
            Self::TextList => embeddings::RequestShape::TextList,
            Self::Text => embeddings::RequestShape::Text,
            Self::Cohere => embeddings::RequestShape::Cohere,
            Self::Voyage => embeddings::RequestShape::Voyage,
        }
    }
}
