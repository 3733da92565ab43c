//! The built-in model families: their templates and tokens, and which models belong to them.
//!
//! The templates in `families/` were written for this crate; they render the same strings as the models' own templates.

use crate::error::{TemplateError, TemplateErrorKind};

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
    /// Patterns for the normalized names of its models.
    models: &'static [NamePattern],
}

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
    models: &[names(&["mistral-7b-instruct"], &[], &[])],
};

const MISTRAL_V3_CONTROL: &[&str] = &[
    "[INST]",
    "[/INST]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
];

const CHATML: Family = Family {
    name: "chatml",
    source: include_str!("families/chatml.jinja"),
    bos: "",
    eos: "<|im_end|>",
    variables: &[],
    stop: &["<|im_end|>"],
    control: &["<|im_start|>", "<|endoftext|>"],
    models: &[],
};

const GEMMA: Family = Family {
    name: "gemma",
    source: include_str!("families/gemma.jinja"),
    bos: "<bos>",
    eos: "<eos>",
    variables: &[],
    stop: &["<end_of_turn>"],
    control: &["<start_of_turn>"],
    models: &[names(&["gemma-"], INSTRUCT, &["gemma-3", "zephyr", "embed", "guard", "pali", "shield"])],
};

const DEEPSEEK_LLM: Family = Family {
    name: "deepseek-llm",
    source: include_str!("families/deepseek-llm.jinja"),
    bos: "<｜begin▁of▁sentence｜>",
    eos: "<｜end▁of▁sentence｜>",
    variables: &[],
    stop: &["<｜end▁of▁sentence｜>"],
    control: &[],
    models: &[names(&["deepseek-llm-", "chat"], &[], &[])],
};

const DEEPSEEK_V3: Family = Family {
    name: "deepseek-v3",
    source: include_str!("families/deepseek-v3.jinja"),
    control: &["<｜User｜>", "<｜Assistant｜>"],
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
        models: &[
            names(&["llama-2-"], &["chat", "-f$"], &[]),
            names(&["codellama-"], &["instruct"], &["70b"]),
        ],
    },
    Family {
        name: "llama3.1",
        source: include_str!("families/llama3.1.jinja"),
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
        source: include_str!("families/mistral-v3.jinja"),
        control: MISTRAL_V3_CONTROL,
        models: &[
            names(&["mistral-7b-instruct-v0-3"], &[], &[]),
            names(&["mixtral-8x22b-instruct"], &[], &[]),
        ],
        ..MISTRAL
    },
    Family {
        name: "mistral-nemo",
        source: include_str!("families/mistral-nemo.jinja"),
        control: MISTRAL_V3_CONTROL,
        models: &[names(&["mistral-nemo-instruct"], &[], &[])],
        ..MISTRAL
    },
    Family {
        name: "mistral-v7",
        source: include_str!("families/mistral-v7.jinja"),
        control: MISTRAL_V3_CONTROL,
        models: &[names(&["mistral-small-", "instruct"], &["2501", "2503", "2506"], &[])],
        ..MISTRAL
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
        variables: &[(
            "default_system",
            "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
        )],
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
        models: &[names(
            &["qwen3-"],
            &[],
            &["base", "embed", "rerank", "guard", "-vl", "omni", "thinking", "asr", "tts", "next"],
        )],
        ..CHATML
    },
    CHATML,
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
        models: &[
            names(&["phi-3-", "instruct"], &[], &["vision"]),
            names(&["phi-3-5-", "instruct"], &[], &["vision"]),
        ],
    },
    Family {
        name: "phi4",
        source: include_str!("families/phi4.jinja"),
        bos: "",
        eos: "<|im_end|>",
        variables: &[],
        stop: &["<|im_end|>"],
        control: &["<|im_start|>", "<|im_sep|>", "<|endoftext|>"],
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
