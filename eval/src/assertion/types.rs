//! The types of assertions: those that are supported, and what to use in place of the others of promptfoo.

/// The supported types, without their prefix `not-`.
pub(super) const SUPPORTED: [&str; 34] = [
    "answer-relevance",
    "assert-set",
    "bleu",
    "contains",
    "contains-all",
    "contains-any",
    "contains-json",
    "cost",
    "ends-with",
    "equals",
    "factuality",
    "finish-reason",
    "gleu",
    "icontains",
    "icontains-all",
    "icontains-any",
    "is-json",
    "is-valid-function-call",
    "is-valid-openai-function-call",
    "is-valid-openai-tools-call",
    "latency",
    "levenshtein",
    "llm-rubric",
    "model-graded-closedqa",
    "model-graded-factuality",
    "regex",
    "rouge-n",
    "similar",
    "similar:cosine",
    "similar:dot",
    "similar:euclidean",
    "starts-with",
    "tool-call-f1",
    "word-count",
];

const CODE: &str = "no code is run; use contains, regex, is-json with a schema, or llm-rubric";
const COMPARISON: &str = "outputs are not compared with each other; the report shows them side by side";
const CONTEXT: &str = "use llm-rubric, with the context as a variable";
const LOG_PROBABILITIES: &str = "log probabilities are not read";
const MARKUP: &str = "use regex or contains";
const MODERATION: &str = "use llm-rubric or a not-contains-any";
const TRACE: &str = "traces are not read; use is-valid-openai-tools-call or tool-call-f1";

/// Types of promptfoo that are not supported, and what to use in their place. A name that ends with `:` is a prefix.
const UNSUPPORTED: [(&str, &str); 43] = [
    ("agent-rubric", "use llm-rubric"),
    ("character-count", "use regex, such as \"^[\\s\\S]{1,280}$\""),
    ("classifier", MODERATION),
    ("contains-html", MARKUP),
    ("contains-sql", MARKUP),
    ("contains-xml", MARKUP),
    ("context-faithfulness", CONTEXT),
    ("context-recall", CONTEXT),
    ("context-relevance", CONTEXT),
    ("conversation-relevance", CONTEXT),
    ("g-eval", "use llm-rubric"),
    ("guardrails", MODERATION),
    ("human", "the report shows the outputs for a review"),
    ("is-html", MARKUP),
    ("is-refusal", "use not-icontains-any with phrases, or llm-rubric"),
    ("is-sql", MARKUP),
    ("is-xml", MARKUP),
    ("javascript", CODE),
    ("max-score", COMPARISON),
    ("meteor", "use rouge-n, bleu or gleu"),
    ("moderation", MODERATION),
    ("noise-sensitivity", CONTEXT),
    ("perplexity", LOG_PROBABILITIES),
    ("perplexity-score", LOG_PROBABILITIES),
    ("pi", "use llm-rubric"),
    ("promptfoo:", "attacks are not made"),
    ("python", CODE),
    ("research-rubric", "use llm-rubric"),
    ("rouge-l", "use rouge-n"),
    ("rouge-s", "use rouge-n"),
    ("ruby", CODE),
    ("search-rubric", "use llm-rubric"),
    ("select-best", COMPARISON),
    ("skill-used", TRACE),
    ("tokens-used", "use cost, or the tokens in the results"),
    ("trace-error-spans", TRACE),
    ("trace-span-count", TRACE),
    ("trace-span-duration", TRACE),
    ("trajectory:", TRACE),
    ("webhook", "no other service is called; use llm-rubric with a provider"),
    ("bertscore", "use similar"),
    ("math-equivalent", "use regex"),
    ("citation-faithfulness", CONTEXT),
];

/// Whether a type is one of promptfoo's, supported or not.
pub(super) fn is_known(kind: &str) -> bool {
    SUPPORTED.contains(&kind) || equivalent(kind).is_some()
}

fn equivalent(kind: &str) -> Option<&'static str> {
    let is = |name: &str| if name.ends_with(':') { kind.starts_with(name) } else { kind == name };
    UNSUPPORTED.iter().find(|(name, _)| is(name)).map(|(_, equivalent)| *equivalent)
}

/// Why a type is not supported.
pub(super) fn unsupported(kind: &str) -> String {
    if let Some(equivalent) = equivalent(kind) {
        return format!("{kind:?} is not supported: {equivalent}");
    }
    if kind == "assert-set" {
        return "a set has no prefix \"not-\"; put it before the types of its assertions".to_owned();
    }
    let near = SUPPORTED.iter().map(|name| (strsim::damerau_levenshtein(name, kind), name)).min();
    match near {
        Some((distance, name)) if distance <= 3 => format!("{kind:?} is not a type; did you mean {name:?}?"),
        _ => format!("{kind:?} is not a type"),
    }
}
