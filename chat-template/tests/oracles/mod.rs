//! Chat templates that anybody may have written, and messages that mean harm.

use std::borrow::Cow;

use sagewire_codec::DecodeError;
use sagewire_codec::chat_template::{Control, Ending, Limits, Prompt, Roles, Template};
use sagewire_codec::model::{Content, Json, Message, Part, Role, Source, Tool};

use super::{seeded, split};

/// What a template may do here: little, so that an input takes little time.
const LIMITS: Limits = Limits { template: 64 * 1024, steps: 5_000, depth: 50, prompt: 64 * 1024 };

/// The token of the file that templates and texts are given along with. It has three ways to be cut.
const TOKEN: &str = "<|t|>";

/// A template that shows all it is given: it takes the place of an empty one.
const SHOWS: &str = "{% for m in messages %}{{ m.role }};{{ m.content }};{{ m.reasoning_content }};{{ m.name }};\
    {{ m.tool_call_id }};{% for c in m.tool_calls %}{{ c.id }};{{ c.function.name }};{{ c.function.arguments | tojson }};\
    {% endfor %}{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}{# developer, message.name, image #}";

/// Chat templates: the first byte says what the template is and what becomes of control tokens, the second how the prompt
/// ends. The rest is a template and messages. Total, within the limits; a prompt that is longer than it may be is none; a
/// text with a control token is refused, and of an escaped one nothing is left.
pub fn chat_templates(data: &[u8]) {
    let (kind, data) = seeded(data);
    let (how, data) = seeded(data);
    let mut texts = split(data);
    let source = String::from_utf8_lossy(texts.next().unwrap_or_default()).into_owned();
    let shows = source.is_empty() && kind % 4 == 1;
    let source = if shows { SHOWS.to_owned() } else { source };
    let texts: Vec<Cow<'_, str>> = texts.take(24).map(String::from_utf8_lossy).collect();
    let messages: Vec<_> = texts.iter().map(|text| message(text, false)).collect();
    let tools = [tool(texts.first().map_or("f", |text| text))];
    let tools = if how % 2 == 1 { &tools[..] } else { &[] };
    let control = [Control::Refuse, Control::Escape, Control::Allow][kind as usize / 4 % 3];
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
        Ok(template) => template.limits(LIMITS).control(control),
        Err(error) => return check_error(&error),
    };
    let ending = [Ending::Prompt, Ending::Message, Ending::Continue][how as usize / 64 % 3];
    let template = template.ending(ending).bos(how % 32 == 31);
    match template.render(&messages, tools) {
        Ok(prompt) => {
            assert!(prompt.text.len() <= LIMITS.prompt || kind % 4 == 3, "{} bytes", prompt.text.len());
            if kind % 4 == 1 && control == Control::Refuse {
                let is_text =
                    |text: &Cow<'_, str>| !matches!(text.as_bytes().get(1), Some(b'r' | b'c' | b'n' | b'e'));
                let mut said =
                    texts.iter().filter(|text| is_text(text)).flat_map(|text| shown(text).split('~'));
                assert!(!said.any(|text| text.contains(TOKEN)), "a text with a token was taken");
            }
            if shows && control != Control::Allow {
                assert!(!prompt.text.contains(TOKEN), "a token of a text is in {:?}", prompt.text);
            }
            if matches!(kind % 4, 2) && control != Control::Allow {
                let harmless: Vec<_> = texts.iter().map(|text| message(text, true)).collect();
                let no_tools: &[Tool<'_>] = &[];
                let expected = template.render(&harmless, if tools.is_empty() { no_tools } else { tools });
                check_tokens(family, &prompt, expected);
            }
        }
        Err(error) => check_error(&error),
    }
}

/// A prefix of a letter for each role, and a control token.
fn letters() -> Template {
    let mut roles =
        Roles::new().role("system", "S:", "\n").role("user", "U:", "\n").role("assistant", "A:", "\n");
    roles.control.push(TOKEN.to_owned());
    Template::from_roles(roles)
}

fn check_error(error: &DecodeError) {
    assert!(error.is_refused() || error.is_limit(), "{error:?}");
    assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
}

/// The tokens that mean something to the families.
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

/// As many control tokens as with texts that mean no harm: those of the template, and none of the texts.
fn check_tokens(family: &str, prompt: &Prompt, harmless: Result<Prompt, DecodeError>) {
    let Ok(harmless) = harmless else { return };
    for token in TOKENS.into_iter().filter(|token| is_control(family, token)) {
        let count = |prompt: &Prompt| prompt.text.matches(token).count();
        assert_eq!(count(prompt), count(&harmless), "{family}: `{token}` in {:?}", prompt.text);
    }
}

/// Whether a token means something to a family: it is refused.
fn is_control(family: &str, token: &str) -> bool {
    let message = Message::new(Role::User, vec![Part::new(Content::Text(token.into()))]);
    Template::named(family).expect("a family").render(&[message], &[]).is_err()
}

/// The text of a message, without the letters that say what it is.
fn shown(text: &str) -> &str {
    text.get(2..).unwrap_or_default()
}

/// A message: the first letter of its text is the role, the second what it is; `~` stands between its parts. A harmless
/// one says something else in the same places.
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

/// A tool that is named and described by a text.
fn tool(text: &str) -> Tool<'_> {
    let mut tool = Tool::new(text);
    tool.description = Some(text.into());
    tool.schema = Some(Json(r#"{"type":"object"}"#.into()));
    tool
}
