//! The work for a prompt grows with the conversation, whatever is repeated in it: neither a built-in family nor a Jinja template
//! with one loop is quadratic. `growth.rs` of the codec's tests describes how conversations grow and how the work is measured.

#[path = "../../codec/tests/common/growth.rs"]
mod growth;

use growth::{Case, Steps, of_document};
use sagewire_chat_template::{ControlTokens, Template};
use sagewire_codec::{Api, read_request};
use serde_json::Value;

/// What published templates have: a loop with look-ahead and a namespace, filters, the tools as JSON, and calls.
const JINJA: &str = "{{ bos_token }}{% set ns = namespace(system='') %}
{%- for m in messages if m.role == 'system' %}{% set ns.system = m.content | string | trim %}{% endfor %}
{%- if tools %}{{ tools | tojson }}{% for t in tools %}{{ t.function.name | upper }}{% endfor %}{% endif %}
{%- for m in messages %}
{%- if not loop.last and messages[loop.index0 + 1].role != m.role %}<turn>{% endif %}
{%- for c in m.tool_calls or [] %}{{ c.function.name ~ ': ' ~ (c.function.arguments | tojson) }}{% endfor %}
{%- if m.content is string %}{{ m.content.split('</think>')[-1] | trim }}
{%- else %}{% for p in m.content or [] %}{{ p.text }}{% endfor %}{% endif %}{{ eos_token }}
{%- endfor %}{{ ns.system }}";

fn run(_: &str, input: &[u8], steps: &mut Steps) {
    let Ok(request) = read_request(Api::OpenAi, input) else { return };
    let mut render = |name: &str, template: Template| {
        for policy in [ControlTokens::Allow, ControlTokens::Reject] {
            let template = template.clone().control_tokens(policy);
            steps.run(format!("{name}, {policy:?}"), || template.render(&request.messages, &request.tools));
        }
    };
    for family in Template::families() {
        render(family, Template::named(family).expect("a family"));
    }
    let config = r#"{"bos_token": "<s>", "eos_token": "</s>"}"#;
    render("Jinja", Template::from_jinja(JINJA, config).expect("a template"));
}

fn cases() -> Vec<Case> {
    let recorded: Value =
        serde_json::from_str(include_str!("../testdata/families.json")).expect("valid JSON");
    let mut cases = Vec::new();
    for (name, body) in recorded["conversations"].as_object().expect("conversations") {
        let body = serde_json::from_str(body.as_str().expect("a request")).expect("valid JSON");
        of_document(name, &body, "render", &mut cases);
    }
    cases
}

#[test]
fn one_case() {
    growth::one_case(run);
}

#[test]
fn work_grows_with_the_conversation() {
    growth::check(&cases(), run, 256);
}
