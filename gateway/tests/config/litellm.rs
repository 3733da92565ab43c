use std::time::Duration;

use sagewire_codec::Api;
use sagewire_codec::embeddings::RequestShape;
use sagewire_codec::model::{Content, Message, Part, Role};
use sagewire_gateway::config::{Config, LossPolicy, Model, ModelKind, ModelName, SageMaker, Upstream};
use sagewire_transport_reqwest::WebIdentityToken;
use sha2::{Digest, Sha256};

use crate::{CANARY, lines, read};

/// A file with one model, whose parameters are `lines`.
fn one(parameters: &str) -> (Model, Vec<String>) {
    let text = format!("model_list:\n  - model_name: jumpstart-model\n    litellm_params:\n{parameters}");
    let (config, notes) = read(&text).unwrap_or_else(|error| panic!("{error}"));
    let [model] = config.models.as_slice() else { panic!("{config:?}") };
    assert_eq!(model.name, "jumpstart-model");
    assert!(config.keys.is_empty() && config.listen[0].address.ip().is_loopback());
    (model.clone(), lines(&notes))
}

fn sagemaker(model: &Model) -> &SageMaker {
    let Upstream::SageMaker(upstream) = &model.upstream else { panic!("{model:?}") };
    upstream
}

/// The prompt of a conversation.
fn prompt(model: &Model) -> String {
    let message = |role, text: &'static str| Message::new(role, vec![Part::new(Content::Text(text.into()))]);
    let messages = [message(Role::System, "Be brief."), message(Role::User, "Why?")];
    model.template.as_ref().unwrap().template.render(&messages, &[]).unwrap().text
}

const ENDPOINT: &str = "jumpstart-dft-hf-textgeneration1-mp-20240815-185614";
const JOINED: &str = "4: there is no `hf_model_name`, so the texts of messages are joined with spaces, as LiteLLM does for \
                      models that it does not know";

#[test]
fn the_examples_of_the_sagemaker_page_are_read() {
    let (model, notes) = one(&format!(
        "      model: sagemaker/{ENDPOINT}
      aws_access_key_id: os.environ/CUSTOM_AWS_ACCESS_KEY_ID
      aws_secret_access_key: os.environ/CUSTOM_AWS_SECRET_ACCESS_KEY
      aws_region_name: os.environ/CUSTOM_AWS_REGION_NAME
"
    ));
    assert_eq!(notes, [JOINED]);
    let upstream = sagemaker(&model);
    assert_eq!((&*upstream.endpoint.name, upstream.region.as_deref()), (ENDPOINT, Some("eu-west-1")));
    let keys = upstream.credentials.keys.as_ref().unwrap();
    assert_eq!((&*keys.access_key_id, keys.secret.expose()), ("AKIDEXAMPLE", CANARY));
    assert_eq!((model.format, model.kind, &model.model), (Api::Tgi, ModelKind::Chat, &ModelName::Omitted));
    assert!(!model.allow_zero_temperature);
    assert_eq!(prompt(&model), "Be brief. Why?");

    let (model, _) =
        one(&format!("      model: sagemaker/{ENDPOINT}\n      temperature: 0.7\n      top_p: 1\n"));
    assert_eq!(serde_json::json!(model.defaults), serde_json::json!({"temperature": 0.7, "top_p": 1}));

    let (model, _) =
        one(&format!("      model: sagemaker/{ENDPOINT}\n      aws_sagemaker_allow_zero_temp: true\n"));
    assert!(model.allow_zero_temperature && model.defaults.is_empty());

    let (model, _) = one(&format!("      model: sagemaker/{ENDPOINT}\n      top_k: 1 # provider-specific\n"));
    assert_eq!(model.defaults["top_k"], 1);

    let (model, notes) = one(&format!(
        "      model: \"sagemaker_chat/{ENDPOINT}\"
      aws_access_key_id: os.environ/AWS_ACCESS_KEY_ID
      aws_secret_access_key: os.environ/AWS_SECRET_ACCESS_KEY
      aws_region_name: os.environ/AWS_REGION_NAME
"
    ));
    assert_eq!((notes.len(), model.format, model.template.is_none()), (0, Api::OpenAi, true));
    assert_eq!(model.model, ModelName::Set(ENDPOINT.into()));
}

#[test]
fn the_calls_of_the_sagemaker_page_can_be_written_as_models() {
    let (model, notes) = one("      model: sagemaker/my-endpoint\n      model_id: my-component\n");
    assert_eq!(sagemaker(&model).endpoint.inference_component.as_deref(), Some("my-component"));
    assert_eq!(notes, [JOINED]);
    // The variable of LiteLLM.
    assert_eq!(sagemaker(&model).region.as_deref(), Some("eu-west-1"));

    for (endpoint, is_chat) in [
        ("jumpstart-dft-meta-textgeneration-llama-2-7b", false),
        ("jumpstart-dft-meta-textgeneration-llama-2-7b-f", true),
        ("jumpstart-dft-meta-textgeneration-llama-2-13b", false),
        ("jumpstart-dft-meta-textgeneration-llama-2-13b-f", true),
        ("jumpstart-dft-meta-textgeneration-llama-2-70b", false),
        ("jumpstart-dft-meta-textgeneration-llama-2-70b-b-f", true),
        ("jumpstart-dft-meta-textgeneration-llama-2-7b-f-20240815-185614", true),
    ] {
        let (model, notes) = one(&format!("      model: sagemaker/{endpoint}\n"));
        let expected = match is_chat {
            true => "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWhy? [/INST]",
            false => "Be brief. Why?",
        };
        assert_eq!((&*prompt(&model), notes.is_empty()), (expected, is_chat), "{endpoint}");
    }

    let (model, notes) = one(&format!(
        "      model: sagemaker/{ENDPOINT}\n      hf_model_name: meta-llama/Llama-2-7b-chat-hf\n"
    ));
    assert!(prompt(&model).starts_with("[INST] <<SYS>>") && notes.is_empty());
    let (model, notes) =
        one(&format!("      model: sagemaker/{ENDPOINT}\n      hf_model_name: meta-llama/Llama-2-7b\n"));
    assert_eq!(prompt(&model), "Be brief. Why?");
    assert!(
        notes[0].starts_with("4: the model of `hf_model_name` has no built-in chat template, so "),
        "{notes:?}"
    );
}

#[test]
fn all_credentials_are_taken_over() {
    let (model, notes) = one("      model: sagemaker_chat/e
      aws_access_key_id: AKIDEXAMPLE
      aws_secret_access_key: canary-4711
      aws_session_token: os.environ/SECRET
      aws_region_name: us-west-2
      aws_session_name: my-session
      aws_profile_name: work
      aws_role_name: arn:aws:iam::123456789012:role/llm
      aws_external_id: my-id
      aws_web_identity_token: oidc/file//run/secrets/token
      aws_sts_endpoint: https://sts.example.com
");
    let upstream = sagemaker(&model);
    let credentials = &upstream.credentials;
    assert_eq!(upstream.region.as_deref(), Some("us-west-2"));
    assert_eq!(credentials.profile.as_deref(), Some("work"));
    assert_eq!(credentials.role_arn.as_deref(), Some("arn:aws:iam::123456789012:role/llm"));
    assert_eq!(
        (credentials.external_id.as_deref(), credentials.session_name.as_deref()),
        (Some("my-id"), Some("my-session"))
    );
    assert_eq!(credentials.keys.as_ref().unwrap().session_token.as_ref().unwrap().expose(), CANARY);
    assert_eq!(
        notes,
        ["6: the secret is in the file as plain text; use the environment or a file of its own for it",]
    );
    assert_eq!(credentials.sts_endpoint_url.as_deref(), Some("https://sts.example.com"));
    let file = Some(WebIdentityToken::File("/run/secrets/token".into()));
    assert_eq!(credentials.web_identity_token, file);
}

#[test]
fn prompt_templates_are_taken_over() {
    let (model, notes) = one("      model: sagemaker/e
      initial_prompt_value: \"<start>\\n\"
      roles:
        system: {pre_message: \"### System: \", post_message: \"\\n\"}
        user: {pre_message: \"### User: \", post_message: \"\\n\"}
      final_prompt_value: \"### Assistant: \"
      eos_token: </s>
      max_tokens: 4096
");
    assert_eq!(prompt(&model), "<start>\n### System: Be brief.\n### User: Why?\n### Assistant: ");
    assert_eq!(model.defaults["max_tokens"], 4096);
    assert_eq!(notes, ["10: `litellm_params.eos_token` is not taken over"]);
}

#[test]
fn other_providers_options_and_prices_are_taken_over() {
    let text = "model_list:
  - model_name: vllm
    litellm_params:
      model: openai/meta-llama/Llama-3.1-8B-Instruct
      api_base: http://localhost:8000/v1/
      api_key: os.environ/SECRET
      timeout: 30
      stream_timeout: 2.5
      rpm: 6
      max_parallel_requests: 3
      input_cost_per_token: 0.0000002
    model_info: {output_cost_per_token: 6e-7, id: x}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4, api_base: 'http://localhost:1'}
  - model_name: gpt
    litellm_params: {model: azure/gpt-5}
  - model_name: '*'
    litellm_params: {model: 'openai/*'}
  - model_name: embed
    litellm_params: {model: sagemaker/my-tei}
    model_info: {mode: embedding}
  - model_name: voyage
    litellm_params: {model: sagemaker/my-voyage}
    model_info: {mode: embedding}
  - model_name: direct
    litellm_params: {model: sagemaker_chat/e, sagemaker_base_url: 'http://localhost:8080/endpoints/e/invocations'}
";
    let (config, notes) = read(text).unwrap();
    let [vllm, claude, embed, voyage, direct] = config.models.as_slice() else { panic!("{config:?}") };
    let Upstream::Url(server) = &vllm.upstream else { panic!("{vllm:?}") };
    assert_eq!(
        (&*server.url, server.api_key.as_ref().unwrap().expose()),
        ("http://localhost:8000/v1", CANARY)
    );
    assert_eq!(vllm.model, ModelName::Set("meta-llama/Llama-3.1-8B-Instruct".into()));
    assert_eq!(
        (vllm.timeouts.total, vllm.timeouts.idle),
        (Duration::from_secs(30), Duration::from_millis(2500))
    );
    let is_near = |price: f64, expected: f64| (price - expected).abs() < 1e-9;
    assert!(is_near(vllm.prices.input, 0.2) && is_near(vllm.prices.output, 0.6) && vllm.weight == 6);
    let limit = vllm.limits.requests.expect("a limit");
    assert_eq!((limit.amount, limit.per, vllm.limits.tokens), (6, Duration::from_secs(60), None));
    let Upstream::Url(server) = &claude.upstream else { panic!("{claude:?}") };
    assert_eq!((&*server.url, claude.format), ("http://localhost:1/v1", Api::Anthropic));
    assert_eq!(embed.kind, ModelKind::Embeddings(RequestShape::Inputs));
    assert_eq!(voyage.kind, ModelKind::Embeddings(RequestShape::Voyage));
    assert_eq!(sagemaker(direct).endpoint_url.as_deref(), Some("http://localhost:8080"));
    assert_eq!(
        lines(&notes),
        [
            "10: `litellm_params.max_parallel_requests` is not taken over",
            "12: `model_info.id` is not taken over",
            "16: the model `gpt` is not taken over: its provider is not SageMaker, OpenAI or Anthropic",
            "18: the model `*` is not taken over: names with `*` are not supported",
        ]
    );
}

pub(crate) const SETTINGS: &str = "
model_list:
  - {model_name: a, litellm_params: {model: sagemaker_chat/a}}
  - {model_name: b, litellm_params: {model: sagemaker_chat/b, timeout: 7}}
environment_variables: {REDIS_PASSWORD: 'p@ss/canary-4711'}
router_settings:
  routing_strategy: latency-based-routing
  num_retries: 3
  timeout: 20
  stream_timeout: 4
  allowed_fails: 2
  cooldown_time: 90
  fallbacks: [{a: [b, none]}, {none: [a]}]
  model_group_alias: {gpt-4: a, old: {model: b, hidden: true}, lost: none}
  redis_host: localhost
  redis_port: 6380
  redis_password: os.environ/REDIS_PASSWORD
  enable_pre_call_checks: true
litellm_settings:
  drop_params: false
  num_retries: 9
  default_fallbacks: [b]
  cache: true
  cache_params: {type: redis, host: other, ttl: 600, namespace: x}
  success_callback: [langfuse]
general_settings:
  master_key: os.environ/SECRET
  max_request_size_mb: 2
  database_url: postgresql://canary-4711
mcp_servers: {}
";

#[test]
fn settings_are_taken_over_as_far_as_they_exist() {
    let (config, notes) = read(SETTINGS).unwrap();
    let routing = &config.routing;
    assert_eq!((routing.attempts, routing.cooldown.failures), (4, 3));
    assert_eq!(
        (routing.cooldown.base, routing.cooldown.max),
        (Duration::from_secs(90), Duration::from_secs(90))
    );
    assert_eq!(
        serde_json::json!(routing.fallback),
        serde_json::json!({"a": ["b"], "gpt-4": ["b"], "old": ["b"]})
    );
    let names: Vec<_> =
        config.models.iter().map(|model| (&*model.name, &*sagemaker(model).endpoint.name)).collect();
    assert_eq!(names, [("a", "a"), ("b", "b"), ("gpt-4", "a"), ("old", "b")]);
    let totals: Vec<_> = config.models.iter().map(|model| model.timeouts.total.as_secs()).collect();
    assert_eq!(totals, [20, 7, 20, 7]);
    assert_eq!(config.models[0].timeouts.idle, Duration::from_secs(4));
    assert_eq!(config.state.as_ref().unwrap().url.expose(), "redis://:p%40ss%2Fcanary%2D4711@localhost:6380");
    assert_eq!(config.cache.unwrap().ttl, Duration::from_secs(600));
    assert_eq!((config.losses, config.bounds.body), (LossPolicy::Refuse, 2 << 20));
    assert_eq!(config.keys[0].hash.unwrap(), <[u8; 32]>::from(Sha256::digest(CANARY)));
    assert_eq!(
        lines(&notes),
        [
            "7: `router_settings.routing_strategy` is not taken over: requests are distributed by weight",
            "13: the fallback `none` is not taken over: there is no such model",
            "13: the fallbacks of `none` are not taken over: there is no such model",
            "14: the alias `lost` is not taken over: there is no model `none`",
            "18: `router_settings.enable_pre_call_checks` is not taken over",
            "24: `cache_params.namespace` is not taken over",
            "25: `litellm_settings.success_callback` is not taken over",
            "29: `general_settings.database_url` is not taken over",
            "30: `mcp_servers` is not taken over",
        ]
    );
}

#[test]
fn mistakes_have_a_line() {
    for (text, message) in [
        ("model_list: []", "1:13: no model of the file can be taken over"),
        ("model_list: {}", "1:13: expected a list, found a section"),
        ("model_list: [{model_name: a}]", "1:14: `model_name` or `litellm_params` is missing"),
        ("model_list: [{model_name: a, litellm_params: {}}]", "1:46: `model` is missing"),
        (
            "model_list: [{model_name: a, litellm_params: {model: azure/x}}]",
            "1:13: no model of the file can be taken over",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: hosted_vllm/x}}]",
            "1:54: `api_base` is missing",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: sagemaker_chat/a_b}}]",
            "1:14: invalid request: endpoint",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: sagemaker_chat/a, timeout: soon}}]",
            "1:81: expected a number of seconds above 0",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: sagemaker_chat/a, aws_secret_access_key: os.environ/UNSET}}]",
            "the environment variable UNSET is not set",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: sagemaker_chat/a, aws_access_key_id: x}}]",
            "`aws_access_key_id` and `aws_secret_access_key` belong together",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: sagemaker_chat/a, sagemaker_base_url: 'http://a/b'}}]",
            "another path than that of the endpoint",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: sagemaker/a, roles: {user: {before: x}}}}]",
            "`roles`: unknown field `before`",
        ),
        (
            "model_list: [{model_name: a, litellm_params: {model: sagemaker_chat/a}}]\nrouter_settings: 5",
            "2:18: expected a section",
        ),
    ] {
        let found = read(text).unwrap_err().to_string();
        assert!(found.contains(message), "{text}: {found}");
    }
}

/// The page itself, where it is at hand: every block of it with a list of models.
#[test]
fn the_page_is_read() {
    let Ok(shared) = std::env::var("SAGEWIRE_SHARED") else {
        println!("SAGEWIRE_SHARED is not set: skipped");
        return;
    };
    let page = std::fs::read_to_string(format!("{shared}/seeds/litellm-sagemaker.txt")).unwrap();
    let mut count = 0;
    for block in page.split("```").skip(1).step_by(2).filter(|block| block.contains("model_list:")) {
        // Two values of the page are placeholders.
        let text = block.replace("<your-temp>", "0.7").replace("<your-top-p>", "1");
        let (config, _): (Config, _) = read(&text).unwrap_or_else(|error| panic!("{text}{error}"));
        assert_eq!(config.models.len(), 1, "{text}");
        count += 1;
    }
    assert_eq!(count, 5);
}
