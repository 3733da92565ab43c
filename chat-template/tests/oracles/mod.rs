//! What has to hold for every template and all messages, malicious ones included. Used by the tests, and the body of the fuzz
//! target `chat_templates`.
#![allow(unreachable_pub)]

use std::borrow::Cow;

use sagewire_chat_template::{ControlTokens, Ending, Limits, Prompt, Roles, Template, TemplateError};
use sagewire_codec::model::{Content, Json, Message, Part, Role, Source, Tool};

/// Low limits, so that each input takes little time.
const LIMITS: Limits = Limits { template: 64 * 1024, steps: 5_000, depth: 50, prompt: 64 * 1024 };

/// The control token of custom templates. It can be split in several ways.
const TOKEN: &str = "<|t|>";

/// A template that writes all of its variables. Used in place of an empty one.
const WRITES_ALL: &str = "{% for m in messages %}{{ m.role }};{{ m.content }};{{ m.reasoning_content }};{{ m.name }};\
    {{ m.tool_call_id }};{% for c in m.tool_calls %}{{ c.id }};{{ c.function.name }};{{ c.function.arguments | tojson }};\
    {% endfor %}{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}{# developer, message.name, image #}";

/// The first byte selects the kind of template and the policy for control tokens, the second the ending; the rest is a
/// template and messages, separated by bytes of 0xFF.
///
/// Rendering terminates without a panic, within the limits. A text with a control token is rejected, or the token does not
/// appear in the prompt.
pub fn chat_templates(data: &[u8]) {
    let (kind, data) = first_byte(data);
    let (how, data) = first_byte(data);
    let mut texts = data.split(|byte| *byte == 0xff);
    let source = String::from_utf8_lossy(texts.next().unwrap_or_default()).into_owned();
    let writes_all = source.is_empty() && kind % 4 == 1;
    let source = match source.strip_prefix('\u{1}') {
        Some(choices) => statements(choices),
        None if writes_all => WRITES_ALL.to_owned(),
        None => source,
    };
    let texts: Vec<Cow<'_, str>> = texts.take(24).map(String::from_utf8_lossy).collect();
    let messages: Vec<_> = texts.iter().map(|text| message(text, false)).collect();
    let tools = [tool(texts.first().map_or("f", |text| text))];
    let tools = if how % 2 == 1 { &tools[..] } else { &[] };
    let policy = [ControlTokens::Reject, ControlTokens::Escape, ControlTokens::Allow][kind as usize / 4 % 3];
    let families: Vec<_> = Template::families().collect();
    let family = families[how as usize / 2 % families.len()];
    let template = match kind % 4 {
        0 => Template::from_tokenizer_config(&source),
        1 => Template::from_jinja(&source, &format!(r#"{{"eos_token": "{TOKEN}"}}"#)),
        2 => Template::named(family),
        _ => serde_json::from_str::<Roles>(&source)
            .map_or_else(|_| Ok(letters()), |roles| Ok(Template::from_roles(roles))),
    };
    let template = match template {
        Ok(template) => template.limits(LIMITS).control_tokens(policy),
        Err(error) => return check_error(&error),
    };
    let ending = [Ending::Prompt, Ending::Message, Ending::Continue][how as usize / 64 % 3];
    let template = template.ending(ending).bos(how % 32 == 31);
    match template.render(&messages, tools) {
        Ok(prompt) => {
            assert!(prompt.text.len() <= LIMITS.prompt || kind % 4 == 3, "{} bytes", prompt.text.len());
            if kind % 4 == 1 && policy == ControlTokens::Reject {
                let is_text =
                    |text: &Cow<'_, str>| !matches!(text.as_bytes().get(1), Some(b'r' | b'c' | b'n' | b'e'));
                let mut written =
                    texts.iter().filter(|text| is_text(text)).flat_map(|text| shown(text).split('~'));
                assert!(!written.any(|text| text.contains(TOKEN)), "a text with a token was accepted");
            }
            if writes_all && policy != ControlTokens::Allow {
                assert!(!prompt.text.contains(TOKEN), "a token of a text is in {:?}", prompt.text);
            }
            if matches!(kind % 4, 2) && policy != ControlTokens::Allow {
                let harmless: Vec<_> = texts.iter().map(|text| message(text, true)).collect();
                let no_tools: &[Tool<'_>] = &[];
                let expected = template.render(&harmless, if tools.is_empty() { no_tools } else { tools });
                check_tokens(family, &prompt, expected);
            }
        }
        Err(error) => check_error(&error),
    }
}

/// Statements that make values deep, shared and long, and that visit them.
const STATEMENTS: [&str; 40] = [
    "{% set ns = namespace(x=[1], y=[1], t='x') %}",
    "{% for i in range(200) %}",
    "{% endfor %}",
    "{% if ns.x == ns.y %}",
    "{% endif %}",
    "{% set ns.x = [ns.x] %}",
    "{% set ns.y = [ns.y] %}",
    "{% set ns.x = [ns.x, ns.x] %}",
    "{% set ns.y = [ns.y, ns.y] %}",
    "{% set ns.x = ns.x + ns.y %}",
    "{% set ns.x = (ns.x, ns.y) %}",
    "{% set ns.x = {'a': ns.x, 'b': ns.y} %}",
    "{% set ns.x = {ns.y: ns.x} %}",
    "{% set ns.x = ns.x[1:] %}",
    "{% set ns.x = ns.x[::-1] %}",
    "{% set ns.x = ns.x * 3 %}",
    "{% set ns.t = ns.t ~ ns.t %}",
    "{% set ns.t = '%s-%5s' % (ns.t, ns.x) %}",
    "{% set ns.t = ns.t.replace('x', ns.t) %}",
    "{% set ns.x = ns.t | list %}",
    "{% set ns.x = messages %}",
    "{% set ns.x = ns %}",
    "{% set ns.x = namespace(a=ns.x) %}",
    "{% set ns.x = dict(a=ns.x) %}",
    "{% set ns.x = ns.x | batch(2) %}",
    "{% set ns.x = ns.x | reverse %}",
    "{% set ns.x = ns.x.items() %}",
    "{% set ns.x, ns.y = ns.y, ns.x %}",
    "{% set ns.t %}{{ ns.t }}{{ ns.x }}{% endset %}",
    "{{ ns.x in [ns.y] }}",
    "{{ [ns.x, ns.y] | sort }}",
    "{{ [ns.x, ns.y] | unique | list | length }}",
    "{{ ns.x | tojson }}",
    "{{ ns.x | join('-') }}",
    "{{ ns.x | max }}",
    "{{ ns.t[-1] ~ ns.x[0] ~ ns.x | length }}",
    "{{ ns.x is eq ns.y }}",
    "{{ ns.x < ns.y or ns.x | groupby(0) }}",
    "{% macro m(v) %}{% set ns.x = [v] %}{{ m(ns.x) }}{% endmacro %}",
    "{{ m(ns.x) }}",
];

/// A template of statements, chosen by the characters of a text.
fn statements(choices: &str) -> String {
    choices.chars().take(200).map(|choice| STATEMENTS[choice as usize % STATEMENTS.len()]).collect()
}

/// The first byte, and the rest.
fn first_byte(data: &[u8]) -> (u64, &[u8]) {
    data.split_first().map_or((0, data), |(&byte, rest)| (byte.into(), rest))
}

/// Roles with a prefix of one letter each, and a control token.
fn letters() -> Template {
    let mut roles =
        Roles::new().role("system", "S:", "\n").role("user", "U:", "\n").role("assistant", "A:", "\n");
    roles.control.push(TOKEN.to_owned());
    Template::from_roles(roles)
}

fn check_error(error: &TemplateError) {
    let kinds = [error.is_invalid_template(), error.is_rejected(), error.is_limit()];
    assert_eq!(kinds.iter().filter(|is_kind| **is_kind).count(), 1, "{error:?}");
    assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
}

/// Control tokens of the families.
const TOKENS: [&str; 10] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "<s>",
    "</s>",
    "[INST]",
    "<start_of_turn>",
    "<|assistant|>",
];

/// The prompt has as many control tokens as one of harmless texts: those of the template, and none of the texts.
fn check_tokens(family: &str, prompt: &Prompt, harmless: Result<Prompt, TemplateError>) {
    let Ok(harmless) = harmless else { return };
    for token in TOKENS.into_iter().filter(|token| is_control(family, token)) {
        let count = |prompt: &Prompt| prompt.text.matches(token).count();
        assert_eq!(count(prompt), count(&harmless), "{family}: `{token}` in {:?}", prompt.text);
    }
}

/// Whether the family rejects the token.
fn is_control(family: &str, token: &str) -> bool {
    let message = Message::new(Role::User, vec![Part::new(Content::Text(token.into()))]);
    Template::named(family).expect("a family").render(&[message], &[]).is_err()
}

/// The text of a message without its first two letters.
fn shown(text: &str) -> &str {
    text.get(2..).unwrap_or_default()
}

/// A message: the first letter of the text is the role, the second the kind of content; `~` separates the parts. If
/// `harmless`, every text is replaced.
fn message(text: &str, harmless: bool) -> Message<'_> {
    let mut letters = text.bytes();
    let role = match letters.next() {
        Some(b's') => Role::System,
        Some(b'd') => Role::Developer,
        Some(b'a') => Role::Assistant,
        Some(b't') => Role::Tool,
        Some(b'o') => Role::Other("critic".into()),
        _ => Role::User,
    };
    let content = |text: &str| -> Cow<'static, str> {
        if harmless && !text.trim().is_empty() { "x".into() } else { text.to_owned().into() }
    };
    let shown = shown(text);
    let several = |make: fn(Cow<'static, str>) -> Content<'static>| {
        shown.split('~').map(|text| Part::new(make(content(text)))).collect::<Vec<_>>()
    };
    let parts = match letters.next() {
        Some(b'r') => several(|text| Content::Reasoning { text: text.into(), signature: None }),
        Some(b'i') => {
            let mut parts = several(|text| Content::Text(text.into()));
            parts.push(Part::new(Content::Image { source: Source::Url("https://x".into()), detail: None }));
            parts
        }
        Some(b'c') => several(|input| Content::ToolCall {
            id: Some("1".into()),
            name: "f".into(),
            input: input.into(),
            custom: false,
        }),
        Some(b'n') => several(|name| Content::ToolCall { id: None, name, input: "{}".into(), custom: false }),
        Some(b'j') => several(|text| Content::Json(Json(text))),
        Some(b'e') => {
            let content = several(|text| Content::Text(text.into()));
            vec![Part::new(Content::ToolResult { id: Some("1".into()), content, is_error: Some(true) })]
        }
        _ => several(|text| Content::Text(text.into())),
    };
    let mut message = Message::new(role, parts);
    if text.len() % 5 == 0 {
        message.name = Some(content(shown));
    }
    message
}

/// A tool with the text as its name and description.
fn tool(text: &str) -> Tool<'_> {
    let mut tool = Tool::new(text);
    tool.description = Some(text.into());
    tool.schema = Some(Json(r#"{"type":"object"}"#.into()));
    tool
}
