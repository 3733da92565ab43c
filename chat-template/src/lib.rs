//! Renders chat messages as the prompt string of a model.
//!
//! A container with a chat API applies the chat template of its model. A text generation endpoint, which takes
//! `{"inputs": "…"}`, does not: the caller has to. This crate does what `apply_chat_template` of Hugging Face transformers
//! does, for the messages of [`sagewire_codec::model`]. It performs no I/O and reads no clock.
//!
//! ```
//! use sagewire_chat_template::Template;
//! use sagewire_codec::model::{Content, Message, Part, Role};
//!
//! let template = Template::named("meta-llama/Llama-2-7b-chat-hf")?;
//! let message = |role, text: &'static str| Message::new(role, vec![Part::new(Content::Text(text.into()))]);
//! let messages = [message(Role::System, "Be brief."), message(Role::User, "Why?")];
//!
//! let prompt = template.render(&messages, &[])?;
//! assert_eq!(prompt.text, "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWhy? [/INST]");
//! assert_eq!(prompt.stop, ["</s>"]);
//! assert!(prompt.losses.is_empty());
//! # Ok::<(), sagewire_chat_template::TemplateError>(())
//! ```
//!
//! # Which function do I want?
//!
//! | I have | function |
//! |---|---|
//! | the name of a model or of a built-in family | [`Template::named`] |
//! | the model's `tokenizer_config.json` | [`Template::from_tokenizer_config`] |
//! | the model's `chat_template.jinja` | [`Template::from_jinja`] |
//! | a prefix and a suffix for each role, as in LiteLLM | [`Template::from_roles`] |
//! | messages, and I need the prompt | [`Template::render`] |
//! | a request, and I need it in the API of a text generation container | [`Template::rendered`], as the [`render`] option of a conversion |
//! | a template that writes the current date | [`Template::date`] |
//! | texts that may contain control tokens such as `<\|im_end\|>` | [`Template::control_tokens`] |
//! | a template with switches such as `enable_thinking` | [`Template::variable`] |
//!
//! [`render`]: sagewire_codec::model::ConversionOptions::render
//!
//! Converting an OpenAI chat request for a TGI endpoint:
//!
//! ```
//! use sagewire_chat_template::Template;
//! use sagewire_codec::model::{ConversionOptions, Message, Tool};
//! use sagewire_codec::{Api, convert_request};
//!
//! let template = Template::named("chatml")?;
//! let render = |messages: &[Message<'_>], tools: &[Tool<'_>]| template.rendered(messages, tools);
//! let options = ConversionOptions::new().render(&render);
//!
//! let request = br#"{"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 9}"#;
//! let (body, losses) = convert_request(Api::OpenAi, Api::Tgi, request, &options)?;
//! # let body: serde_json::Value = serde_json::from_slice(&body)?;
//! assert_eq!(body["inputs"], "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n");
//! assert!(losses.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Model families
//!
//! | family | models |
//! |---|---|
//! | `llama2` | Llama 2 Chat, Code Llama Instruct (not 70B) |
//! | `llama3` | Llama 3 Instruct |
//! | `llama3.1` | Llama 3.1, 3.2 and 3.3 Instruct |
//! | `mistral` | Mistral 7B Instruct v0.1 and v0.2 |
//! | `mistral-v3` | Mistral 7B Instruct v0.3, Mixtral 8x22B Instruct |
//! | `mistral-nemo` | Mistral Nemo Instruct |
//! | `mistral-v7` | Mistral Small Instruct 2501 and 2503 |
//! | `mistral-v11` | Mistral Small Instruct 2506 |
//! | `mixtral` | Mixtral 8x7B Instruct |
//! | `zephyr` | Zephyr 7B Alpha and Beta |
//! | `chatml` | the format `<\|im_start\|>…<\|im_end\|>` without a default system message |
//! | `qwen1.5`, `qwen2`, `qwen2.5` | Qwen Chat and Instruct of these versions |
//! | `qwen3` | Qwen3, text models without `Thinking` in their name |
//! | `hermes` | Hermes 2 Pro and Hermes 3 on Llama 3 |
//! | `granite3`, `granite4` | Granite 3 Instruct, Granite 4 |
//! | `gpt-oss` | gpt-oss, whose format is harmony |
//! | `gemma`, `gemma3` | Gemma 1, 2 and 3 Instruct |
//! | `phi3`, `phi4`, `phi4-mini` | Phi-3 and Phi-3.5 Instruct, Phi-4, Phi-4-mini Instruct |
//! | `falcon`, `falcon-180b` | Falcon 7B and 40B Instruct, Falcon 180B Chat |
//! | `deepseek-llm`, `deepseek-v3`, `deepseek-r1` | DeepSeek LLM Chat, V3 and R1 |
//!
//! Tool definitions, calls and results are rendered as the model was trained for `llama3.1`, `qwen2.5`, `qwen3`, `hermes`,
//! `mistral-v3`, `mistral-nemo`, `mistral-v7`, `mistral-v11`, `deepseek-v3`, `deepseek-r1`, `gemma3`, `granite3`, `granite4`,
//! `phi4-mini` and `gpt-oss`. Tests compare them with the models' published templates, and Mistral's with mistral-common.
//!
//! # What a prompt cannot express
//!
//! A chat API keeps more than a prompt does. Audio, video, documents, images for which the template has no marker, and tool
//! calls and results that it does not write, are an error: the conversation would mean something else without them. Tool
//! definitions that the template does not write, text beside tool calls, names of authors, reasoning and cache markers are
//! left out and reported in [`Prompt::losses`]. Of an image, the prompt has only the template's marker, which is reported as
//! well; so are IDs of tool calls that had to be shortened.
//!
//! # Untrusted templates and texts
//!
//! A template is a program. [`Limits`] bound its steps, its output, the bytes that it creates, the values that it visits and
//! its recursion. Within the default limits, a malicious template can use some hundred megabytes of memory and some seconds
//! of time. A template reads nothing but its variables.
//!
//! A text that contains a control token of the model, such as `<|im_end|>`, could end its message and start another one.
//! By default such a text is an error; see [`ControlTokens`].

#![forbid(unsafe_code)]

mod budget;
mod call_ids;
mod control_tokens;
mod date;
mod engine;
mod error;
mod expressions;
mod family;
mod filters;
mod limits;
mod messages;
mod meter;
mod methods;
mod operators;
mod percent;
mod prompt;
mod python;
mod roles;
mod scan;
mod template;
mod tokenizer_config;
mod values;

pub use control_tokens::ControlTokens;
pub use date::Date;
pub use error::{Position, TemplateError, TemplateErrorKind};
pub use limits::Limits;
pub use prompt::{Ending, Prompt};
pub use roles::{Affixes, Roles};
pub use template::Template;
