//! Formats of embedding requests.

use sagewire_codec::embeddings;

/// A format of embedding requests.
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
    /// JSON list of texts, as application/x-text
    #[value(name = "text-list")]
    TextList,
    /// one text, as application/x-text
    Text,
    /// Cohere
    Cohere,
    /// Voyage
    Voyage,
}

impl EmbeddingFormat {
    /// The shape of the request in the codec.
    pub(crate) fn shape(self) -> embeddings::RequestShape {
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
