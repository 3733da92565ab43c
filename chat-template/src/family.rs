//! The built-in model families: their templates and tokens, and which models belong to them.
//!
//! The templates in `families/` were written for this crate; they render the same strings as the models' own templates.

use crate::error::{TemplateError, TemplateErrorKind};
use crate::messages::{Reasoning, TextWithCalls};

/// A family of models that use the same prompt format.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) bos: &'static str,
    pub(crate) eos: &'static str,
    /// Further variables of the template.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// Stop sequences.
    pub(crate) stop: &'static [&'static str],
    /// Control tokens besides `bos`, `eos` and `stop`.
    pub(crate) control: &'static [&'static str],
    pub(crate) traits: Traits,
    /// Patterns for the normalized names of its models.
    models: &'static [NamePattern],
}

/// What the format of a family leaves out or requires, which its template does not show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    pub(crate) text_with_calls: TextWithCalls,
    pub(crate) reasoning: Reasoning,
    pub(crate) short_call_ids: bool,
}

const TRAITS: Traits =
    Traits { text_with_calls: TextWithCalls::All, reasoning: Reasoning::None, short_call_ids: false };

/// Matches a name that contains all of `all`, one of `any` unless it is empty, and none of `none`. `$` is the end of the name.
#[derive(Debug)]
struct NamePattern {
    all: &'static [&'static str],
    any: &'static [&'static str],
    none: &'static [&'static str],
}

const fn names(
    all: &'static [&'static str],
    any: &'static [&'static str],
    none: &'static [&'static str],
) -> NamePattern {
    NamePattern { all, any, none }
}

const INSTRUCT: &[&str] = &["instruct", "chat", "-it$", "-it-"];
const NO_CHAT: &[&str] = &["embed", "rerank", "guard", "reward", "-vl", "vision", "audio", "omni", "-base"];

const LLAMA3: Family = Family {
    traits: TRAITS,
    name: "llama3",
    source: include_str!("families/llama3.jinja"),
    bos: "<|begin_of_text|>",
    eos: "<|eot_id|>",
    variables: &[],
    stop: &["<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"],
    control: &["<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>", "<|reserved_special_token_"],
    models: &[names(&["llama-3-"], INSTRUCT, NO_CHAT)],
};

const MISTRAL: Family = Family {
    name: "mistral",
    source: include_str!("families/mistral.jinja"),
    bos: "<s>",
    eos: "</s>",
    variables: &[],
    stop: &["</s>"],
    control: &["[INST]", "[/INST]"],
    traits: TRAITS,
    models: &[names(&["mistral-7b-instruct"], &[], &[])],
};

/// Mistral's models since the third version of the format, which has tools.
const MISTRAL_TOOLS: Family = Family {
    source: include_str!("families/mistral-tools.jinja"),
    control: &[
        "[INST]",
        "[/INST]",
        "[TOOL_CALLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "[TOOL_CONTENT]",
        "[CALL_ID]",
        "[ARGS]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[SYSTEM_PROMPT]",
        "[/SYSTEM_PROMPT]",
    ],
    traits: Traits { text_with_calls: TextWithCalls::None, short_call_ids: true, ..TRAITS },
    ..MISTRAL
};

const CHATML: Family = Family {
    name: "chatml",
    source: include_str!("families/chatml.jinja"),
    bos: "",
    eos: "<|im_end|>",
    variables: &[],
    stop: &["<|im_end|>"],
    control: &["<|im_start|>", "<|endoftext|>"],
    traits: TRAITS,
    models: &[],
};

/// The variables of `qwen.jinja` that Qwen's models share.
macro_rules! qwen {
    ($style:literal $(, $more:expr)*) => {
        &[
            ("style", $style),
            ("start", "<|im_start|>"),
            ("role_end", "\n"),
            ("role_end_before_calls", ""),
            ("end", "<|im_end|>\n"),
            (
                "tools_before",
                "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided \
                 with function signatures within <tools></tools> XML tags:\n<tools>",
            ),
            (
                "tools_after",
                "\n</tools>\n\nFor each function call, return a json object with function name and arguments within \
                 <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": \
                 <args-json-object>}\n</tool_call>",
            ),
            $($more,)*
        ]
    };
}

const GEMMA: Family = Family {
    name: "gemma",
    source: include_str!("families/gemma.jinja"),
    bos: "<bos>",
    eos: "<eos>",
    variables: &[],
    stop: &["<end_of_turn>"],
    control: &["<start_of_turn>"],
    traits: TRAITS,
    models: &[names(&["gemma-"], INSTRUCT, &["gemma-3", "zephyr", "embed", "guard", "pali", "shield"])],
};

const GRANITE3: Family = Family {
    name: "granite3",
    source: include_str!("families/granite3.jinja"),
    bos: "",
    eos: "<|end_of_text|>",
    variables: &[],
    stop: &["<|end_of_text|>"],
    control: &["<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"],
    traits: TRAITS,
    models: &[names(&["granite-3-", "instruct"], &[], NO_CHAT)],
};

const DEEPSEEK_LLM: Family = Family {
    name: "deepseek-llm",
    source: include_str!("families/deepseek-llm.jinja"),
    bos: "<｜begin▁of▁sentence｜>",
    eos: "<｜end▁of▁sentence｜>",
    variables: &[],
    stop: &["<｜end▁of▁sentence｜>"],
    control: &[],
    traits: TRAITS,
    models: &[names(&["deepseek-llm-", "chat"], &[], &[])],
};

const DEEPSEEK_V3: Family = Family {
    name: "deepseek-v3",
    source: include_str!("families/deepseek-v3.jinja"),
    control: &["<｜User｜>", "<｜Assistant｜>", "<｜tool▁"],
    models: &[names(&["deepseek-v3"], &[], &["base", "v3-1", "v3-2"])],
    ..DEEPSEEK_LLM
};

const FALCON: Family = Family {
    name: "falcon",
    source: include_str!("families/falcon.jinja"),
    bos: "",
    eos: "<|endoftext|>",
    variables: &[],
    // No token ends a turn. The start of the next turn does.
    stop: &["\nUser:", "<|endoftext|>"],
    control: &[],
    traits: TRAITS,
    models: &[names(&["falcon-7b-instruct"], &[], &[]), names(&["falcon-40b-instruct"], &[], &[])],
};

/// All families. If a name matches several, the first one is used.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        name: "llama2",
        source: include_str!("families/llama2.jinja"),
        bos: "<s>",
        eos: "</s>",
        variables: &[],
        stop: &["</s>"],
        control: &["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"],
        traits: TRAITS,
        models: &[
            names(&["llama-2-"], &["chat", "-f$"], &[]),
            names(&["codellama-"], &["instruct"], &["70b"]),
        ],
    },
    Family {
        name: "llama3.1",
        source: include_str!("families/llama3.1.jinja"),
        traits: Traits { text_with_calls: TextWithCalls::None, ..TRAITS },
        models: &[
            names(&["llama-3-1-"], INSTRUCT, NO_CHAT),
            names(&["llama-3-2-"], INSTRUCT, NO_CHAT),
            names(&["llama-3-3-"], INSTRUCT, NO_CHAT),
        ],
        ..LLAMA3
    },
    LLAMA3,
    Family {
        name: "mistral-v3",
        variables: &[("version", "3"), ("space", " ")],
        models: &[
            names(&["mistral-7b-instruct-v0-3"], &[], &[]),
            names(&["mixtral-8x22b-instruct"], &[], &[]),
        ],
        ..MISTRAL_TOOLS
    },
    Family {
        name: "mistral-nemo",
        variables: &[("version", "3"), ("space", "")],
        models: &[names(&["mistral-nemo-instruct"], &[], &[])],
        ..MISTRAL_TOOLS
    },
    Family {
        name: "mistral-v7",
        variables: &[("version", "7"), ("space", "")],
        traits: Traits { short_call_ids: true, ..TRAITS },
        models: &[names(&["mistral-small-", "instruct"], &["2501", "2503"], &[])],
        ..MISTRAL_TOOLS
    },
    Family {
        name: "mistral-v11",
        variables: &[("version", "11"), ("space", "")],
        models: &[names(&["mistral-small-", "instruct", "2506"], &[], &[])],
        ..MISTRAL_TOOLS
    },
    Family {
        name: "mixtral",
        source: include_str!("families/mixtral.jinja"),
        models: &[names(&["mixtral-8x7b-instruct"], &[], &[])],
        ..MISTRAL
    },
    MISTRAL,
    Family {
        name: "zephyr",
        source: include_str!("families/zephyr.jinja"),
        bos: "<s>",
        eos: "</s>",
        variables: &[],
        stop: &["</s>"],
        control: &["<|system|>", "<|user|>", "<|assistant|>"],
        traits: TRAITS,
        models: &[names(&["zephyr-7b-"], &["alpha", "beta"], &[])],
    },
    Family {
        name: "qwen1.5",
        variables: &[("default_system", "You are a helpful assistant")],
        models: &[names(&["qwen1-5-", "chat"], &[], NO_CHAT)],
        ..CHATML
    },
    Family {
        name: "qwen2.5",
        source: include_str!("families/qwen.jinja"),
        variables: qwen!(
            "qwen2.5",
            ("default_system", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
        ),
        models: &[names(
            &["qwen2-5-", "instruct"],
            &[],
            &["embed", "rerank", "reward", "math", "-vl", "audio", "omni"],
        )],
        ..CHATML
    },
    Family {
        name: "qwen2",
        variables: &[("default_system", "You are a helpful assistant.")],
        models: &[names(&["qwen2-", "instruct"], &[], &["qwen2-5", "math", "-vl", "audio", "embed"])],
        ..CHATML
    },
    Family {
        name: "qwen3",
        source: include_str!("families/qwen.jinja"),
        variables: qwen!("qwen3"),
        traits: Traits { reasoning: Reasoning::AfterQuestion, ..TRAITS },
        models: &[names(
            &["qwen3-"],
            &[],
            &["base", "embed", "rerank", "guard", "-vl", "omni", "thinking", "asr", "tts", "next"],
        )],
        ..CHATML
    },
    Family {
        name: "hermes",
        source: include_str!("families/hermes.jinja"),
        bos: "<|begin_of_text|>",
        traits: Traits { text_with_calls: TextWithCalls::None, ..TRAITS },
        models: &[names(&["hermes-2-pro-llama-3"], &[], &[]), names(&["hermes-3-llama-3"], &[], &[])],
        ..CHATML
    },
    CHATML,
    Family {
        name: "granite4",
        source: include_str!("families/qwen.jinja"),
        variables: &[
            ("style", "granite"),
            ("start", "<|start_of_role|>"),
            ("role_end", "<|end_of_role|>"),
            ("role_end_before_calls", "<|end_of_role|>"),
            ("end", "<|end_of_text|>\n"),
            (
                "default_system",
                "You are a helpful assistant. Please ensure responses are professional, accurate, and safe.",
            ),
            (
                "tools_before",
                "You are a helpful assistant with access to the following tools. You may call one or more tools to \
                 assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML \
                 tags:\n<tools>",
            ),
            (
                "tools_after",
                "\n</tools>\n\nFor each tool call, return a json object with function name and arguments within \
                 <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": \
                 <args-json-object>}\n</tool_call>. If a tool does not exist in the provided list of tools, notify the \
                 user that you do not have the ability to fulfill the request.",
            ),
        ],
        models: &[names(&["granite-4"], &[], NO_CHAT)],
        ..GRANITE3
    },
    GRANITE3,
    Family {
        name: "gpt-oss",
        source: include_str!("families/gpt-oss.jinja"),
        bos: "",
        eos: "<|return|>",
        variables: &[],
        stop: &["<|return|>", "<|call|>"],
        control: &["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>"],
        traits: Traits {
            text_with_calls: TextWithCalls::AfterAnswer,
            reasoning: Reasoning::AfterAnswer,
            ..TRAITS
        },
        models: &[names(&["gpt-oss-"], &[], &["safeguard"])],
    },
    Family {
        name: "gemma3",
        source: include_str!("families/gemma3.jinja"),
        models: &[names(&["gemma-3"], INSTRUCT, &[])],
        ..GEMMA
    },
    GEMMA,
    Family {
        name: "phi3",
        source: include_str!("families/phi3.jinja"),
        bos: "",
        eos: "<|endoftext|>",
        variables: &[],
        stop: &["<|end|>"],
        control: &["<|system|>", "<|user|>", "<|assistant|>"],
        traits: TRAITS,
        models: &[
            names(&["phi-3-", "instruct"], &[], &["vision"]),
            names(&["phi-3-5-", "instruct"], &[], &["vision"]),
        ],
    },
    Family {
        name: "phi4-mini",
        source: include_str!("families/phi4-mini.jinja"),
        bos: "",
        eos: "<|endoftext|>",
        variables: &[],
        stop: &["<|end|>"],
        control: &[
            "<|system|>",
            "<|user|>",
            "<|assistant|>",
            "<|tool|>",
            "<|/tool|>",
            "<|tool_call|>",
            "<|/tool_call|>",
            "<|tool_response|>",
        ],
        traits: TRAITS,
        models: &[names(&["phi-4-mini-instruct"], &[], &[])],
    },
    Family {
        name: "phi4",
        source: include_str!("families/phi4.jinja"),
        bos: "",
        eos: "<|im_end|>",
        variables: &[],
        stop: &["<|im_end|>"],
        control: &["<|im_start|>", "<|im_sep|>", "<|endoftext|>"],
        traits: TRAITS,
        models: &[names(&["phi-4"], &[], &["mini", "multimodal", "reasoning", "vision"])],
    },
    Family {
        name: "falcon-180b",
        source: include_str!("families/falcon-180b.jinja"),
        models: &[names(&["falcon-180b-chat"], &[], &[])],
        ..FALCON
    },
    FALCON,
    Family {
        name: "deepseek-r1",
        variables: &[("think", "true")],
        models: &[names(&["deepseek-r1"], &[], &[])],
        ..DEEPSEEK_V3
    },
    DEEPSEEK_V3,
    DEEPSEEK_LLM,
];

/// The family of this name, or the family of the model of this name.
pub(crate) fn find(name: &str) -> Result<&'static Family, TemplateError> {
    // The name of a model is `owner/name` at Hugging Face, and `huggingface-llm-name` in JumpStart.
    let model = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    if let Some(family) = FAMILIES.iter().find(|family| family.name == model) {
        return Ok(family);
    }
    let model = model.replace(['.', '_'], "-");
    FAMILIES.iter().find(|family| family.models.iter().any(|pattern| pattern.matches(&model))).ok_or_else(
        || {
            let known = FAMILIES.iter().map(|family| family.name).collect();
            TemplateError::new(TemplateErrorKind::UnknownFamily { name: name.into(), known })
        },
    )
}

impl NamePattern {
    fn matches(&self, model: &str) -> bool {
        let has = |part: &&str| match part.strip_suffix('$') {
            Some(end) => model.ends_with(end),
            None => model.contains(*part),
        };
        self.all.iter().all(has)
            && (self.any.is_empty() || self.any.iter().any(has))
            && !self.none.iter().any(has)
    }
}
