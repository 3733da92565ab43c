use std::time::Duration;

use sagewire_codec::Api;
use sagewire_codec::embeddings::RequestShape;
use sagewire_gateway::config::{
    AccessLog, LossPolicy, ModelKind, ModelName, Period, Streams, Upstream, WhenDown,
};
use sha2::{Digest, Sha256};

use crate::{CANARY, Directory, lines, read, read_in};

/// The example of the documentation. `small` is the fallback in it.
pub(crate) const EXAMPLE: &str = r#"
listen: 127.0.0.1:4000              # or a list; each may have tls: {cert, key, client_ca}
admin: 127.0.0.1:4001
models:
  - name: llama
    endpoint: my-llm
    region: us-east-1
    format: tgi                     # what the container takes; default openai
    template: llama3
    component: base
    timeouts: {first_byte: 30s, idle: 60s, total: 8m}
    prices: {input: 0.20, output: 0.60}      # dollars per million tokens
  - name: llama                     # the same name again: a group; weight, then fallback order
    endpoint: my-llm-b
    weight: 1
  - name: small
    endpoint: my-small-llm
  - name: embed
    endpoint: my-tei
    kind: embeddings
    format: tei
routing: {attempts: 2, fallback: {llama: [small]}, cooldown: {failures: 3, base: 5s, max: 60s}}
keys:
  - name: team-a
    hash: "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    aws: {access_key_id: AKSW0123, secret: {file: team-a}}    # for SigV4 clients
    models: [llama, embed]
    limits: {requests: 600/min, tokens: 200k/min, parallel: 20, budget: 50 USD/month}
state: {url: "${VALKEY_URL}", when_down: local}      # local | deny; without it: this process
cache: {size: 256MiB, ttl: 60s}
losses: report                      # report (response header and log) | refuse
"#;

#[test]
fn the_example_of_the_documentation_is_read() {
    let directory = Directory::new();
    directory.file("team-a", &format!("{CANARY}\n"));
    let (config, notes) = read_in(&directory.0, EXAMPLE).unwrap();
    assert_eq!(lines(&notes), [""; 0]);
    assert_eq!(config.listen[0].address, "127.0.0.1:4000".parse().unwrap());
    assert_eq!(config.admin, Some("127.0.0.1:4001".parse().unwrap()));

    let [llama, second, small, embed] = config.models.as_slice() else { panic!("{:?}", config.models) };
    let Upstream::SageMaker(upstream) = &llama.upstream else { panic!("{llama:?}") };
    assert_eq!((&*upstream.endpoint.name, upstream.region.as_deref()), ("my-llm", Some("us-east-1")));
    assert_eq!(upstream.endpoint.inference_component.as_deref(), Some("base"));
    assert_eq!((llama.format, llama.kind, llama.weight), (Api::Tgi, ModelKind::Chat, 1));
    assert_eq!(llama.template.as_ref().unwrap().name, "llama3");
    let timeouts = (llama.timeouts.connect, llama.timeouts.first_byte, llama.timeouts.total);
    assert_eq!(timeouts, (Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(480)));
    assert_eq!((llama.prices.input, llama.prices.output), (0.2, 0.6));
    assert_eq!((&*second.name, second.format, &*small.name), ("llama", Api::OpenAi, "small"));
    assert_eq!(embed.kind, ModelKind::Embeddings(RequestShape::Inputs));

    assert_eq!(config.routing.fallback["llama"], ["small"]);
    assert_eq!(config.routing.cooldown.max, Duration::from_secs(60));
    let key = &config.keys[0];
    assert_eq!(hex::encode(key.hash.unwrap())[..8], *"2c26b46b");
    assert_eq!(key.aws.as_ref().unwrap().secret.expose(), CANARY);
    assert_eq!(key.models.as_deref().unwrap(), ["llama", "embed"]);
    let limits = &key.limits;
    assert_eq!(
        (limits.requests.unwrap().amount, limits.requests.unwrap().per),
        (600, Duration::from_secs(60))
    );
    assert_eq!((limits.tokens.unwrap().amount, limits.parallel), (200_000, Some(20)));
    assert_eq!((limits.budget.unwrap().dollars, limits.budget.unwrap().per), (50.0, Period::Month));
    let state = config.state.as_ref().unwrap();
    assert_eq!(state.url.expose(), format!("redis://:{CANARY}@localhost:6379"));
    assert_eq!(state.when_down, WhenDown::Local);
    assert_eq!(config.cache.unwrap().size, 256 << 20);
    assert_eq!(config.losses, LossPolicy::Report);
}

#[test]
fn all_other_keys_are_read() {
    let text = r#"
listen:
  - 127.0.0.1:0
  - {address: "localhost:4443"}
admin: off
access_log: {file: /var/log/access.log}
cors: "*"
losses: refuse
bounds: {body: 1MiB, connections: 16k, requests: 100, head: 1s, receive: 2s, send: 3s, ping: 15s, ping_before_response: true}
shutdown: {linger: 0s, drain: 1m}
models:
  - name: a
    endpoint: e
    variant: blue
    container: first
    custom_attributes: accept_eula=true
    route: auto
    endpoint_url: http://localhost:8080
    aws: {profile: work, role_arn: "arn:aws:iam::123456789012:role/llm", external_id: x, session_name: gateway}
    format: anthropic
    speaks: openai
    model: claude
    streams: never
    weight: 0
    wait: 5m
    defaults: {temperature: 0.2, stop: ["a"], user: "${COUNT}"}
    reserve_tokens: 4k
    allow_zero_temperature: true
  - name: b
    url: http://localhost:8000/v1
    api_key: ${SECRET}
    omit_model: true
    streams: always
    wait: off
  - name: c
    global_gateway: abc123
    model: llama
    aws: {access_key_id: AKIDEXAMPLE, secret: "${SECRET}", session_token: "${SECRET}"}
  - name: d
    endpoint: e
    format: TGI
    template:
      roles: {user: {prefix: "Q: ", suffix: "\n"}}
      final: "A:"
      stop: ["\nQ:"]
routing: {attempts: "${COUNT}"}
keys: {name: k, key: "${SECRET}"}
"#;
    let (config, notes) = read(text).unwrap();
    assert_eq!(lines(&notes), [""; 0]);
    assert_eq!(config.listen[1].address, "127.0.0.1:4443".parse().unwrap());
    assert_eq!((config.admin, config.cors.as_slice()), (None, &["*".to_owned()][..]));
    assert_eq!(config.access_log, AccessLog::File("/var/log/access.log".into()));
    assert_eq!(
        (config.bounds.body, config.bounds.connections, config.bounds.requests),
        (1 << 20, 16_000, 100)
    );
    assert_eq!(config.bounds.ping, Some(Duration::from_secs(15)));
    assert!(config.bounds.ping_before_response);
    assert_eq!((config.shutdown.linger, config.routing.attempts), (Duration::ZERO, 3));

    let [a, b, c, d] = config.models.as_slice() else { panic!("{:?}", config.models) };
    let Upstream::SageMaker(upstream) = &a.upstream else { panic!("{a:?}") };
    assert_eq!(upstream.endpoint.route.as_deref(), Some("/v1/messages"));
    assert_eq!(upstream.credentials.role_arn.as_deref(), Some("arn:aws:iam::123456789012:role/llm"));
    assert_eq!(
        (a.speaks, &a.model, a.streams),
        (Some(Api::OpenAi), &ModelName::Set("claude".into()), Streams::Never)
    );
    assert_eq!((a.weight, a.wait, a.reserve_tokens), (0, Some(Duration::from_secs(300)), 4000));
    assert_eq!(
        serde_json::json!(a.defaults),
        serde_json::json!({"temperature": 0.2, "stop": ["a"], "user": "3"})
    );
    let Upstream::Url(server) = &b.upstream else { panic!("{b:?}") };
    assert_eq!(
        (&*server.url, server.api_key.as_ref().unwrap().expose()),
        ("http://localhost:8000/v1", CANARY)
    );
    assert_eq!((&b.model, b.wait), (&ModelName::Omitted, None));
    let Upstream::SageMaker(upstream) = &c.upstream else { panic!("{c:?}") };
    assert!(upstream.endpoint.runtime.is_some());
    assert_eq!(upstream.credentials.keys.as_ref().unwrap().session_token.as_ref().unwrap().expose(), CANARY);
    assert_eq!((d.format, &*d.template.as_ref().unwrap().name), (Api::Tgi, "roles"));
    let hash = config.keys[0].hash.unwrap();
    assert_eq!(hash, <[u8; 32]>::from(Sha256::digest(CANARY)));
}

#[test]
fn literal_secrets_are_accepted_with_a_note() {
    let text = format!("models: [{{name: a, url: \"http://localhost:1/v1\",\n  api_key: {CANARY}}}]");
    let (config, notes) = read(&text).unwrap();
    let Upstream::Url(server) = &config.models[0].upstream else { panic!("{config:?}") };
    assert_eq!(server.api_key.as_ref().unwrap().expose(), CANARY);
    let note = "2: the secret is in the file as plain text; use the environment or a file of its own for it";
    assert_eq!(lines(&notes), [note]);
}

/// The problems of a file, which is valid but for `lines`.
fn problems(lines: &str) -> String {
    let text = match lines.starts_with(['m', '#', '[']) {
        true => lines.to_owned(),
        false => format!("{lines}\nmodels: [{{name: a, endpoint: a}}]"),
    };
    read(&text).unwrap_err().to_string()
}

#[test]
fn mistakes_have_a_line_a_column_and_a_hint() {
    for (text, message) in [
        ("# models: nothing", "1:1: `models` is missing"),
        ("[models: 1]", "1:1: expected a section, found a list"),
        ("models: []", "1:1: there are no models"),
        ("modles: [{name: a, endpoint: a}]\nmodels: []", "1:1: unknown key `modles`; did you mean `models`?"),
        (
            "models: [{name: a, endpoint: a, fromat: tgi}]",
            "1:33: unknown key `fromat`; did you mean `format`?",
        ),
        ("models: [{endpoint: a}]", "1:10: `name` is missing"),
        ("models: [{name: a}]", "1:10: a model has one of `endpoint`, `global_gateway` and `url`"),
        ("models: [{name: a, endpoint: a, url: http://b}]", "1:10: a model has one of `endpoint`, "),
        ("models: [{name: 5, endpoint: a}]", "1:17: expected a text, found a number: put it in quotes"),
        ("models: [{name: a, endpoint: a_b}]", "1:10: invalid request: endpoint \"a_b\" does not match"),
        (
            "models: [{name: a, endpoint: a, format: opnai}]",
            "1:41: unknown API \"opnai\": did you mean `openai`?",
        ),
        (
            "models: [{name: a, endpoint: a, format: text}]",
            "1:41: requests of the format `text` cannot be written",
        ),
        (
            "models: [{name: a, endpoint: a, format: tgi}]",
            "1:33: the format `tgi` takes a prompt, so a `template` is required",
        ),
        ("models: [{name: a, endpoint: a, format: tgi, template: lama9}]", "1:56: "),
        ("models: [{name: a, endpoint: a, format: tgi, template: none.json}]", "1:56: none.json: "),
        (
            "models: [{name: a, endpoint: a, kind: embeddings, format: tgi}]",
            "1:59: not a format of embedding requests; did you mean `tei`?",
        ),
        (
            "models: [{name: a, endpoint: a}, {name: a, kind: embeddings, endpoint: b}]",
            "1:44: the models of a group have the same kind",
        ),
        (
            "models: [{name: a, endpoint: a, aws: {access_key_id: x}}]",
            "1:54: `access_key_id` without `secret`",
        ),
        ("models: [{name: a, endpoint: a, api_key: '${SECRET}'}]", "1:10: `api_key` is for a server"),
        ("models: [{name: a, url: 'http://a', region: b}]", "1:10: `region` is for SageMaker"),
        ("models: [{name: a, url: 'ftp://u:canary-4711@a'}]", "1:10: `url` is not an HTTP URL"),
        (
            "models: [{name: a, url: 'http://a', format: tgi, template: llama3}]",
            "1:10: a server with a `url` has",
        ),
        (
            "models: [{name: a, endpoint: a, openai_route: true, format: anthropic}]",
            "1:10: `openai_route` is for chat",
        ),
        (
            "models: [{name: a, endpoint: a, timeouts: {idle: 30}}]",
            "1:50: expected a duration with its unit, such as 30s, ",
        ),
        ("models: [{name: a, endpoint: a, timeouts: {idle: 0s}}]", "1:44: the timeout is zero"),
        (
            "models: [{name: a, endpoint: a, streams: maybe}]",
            "1:42: expected one of `both`, `never`, `always`",
        ),
        ("models: [{name: a, endpoint: a, weight: -1}]", "1:41: expected a whole number, "),
        (
            "models: [{name: a, endpoint: a, prices: {input: -1}}]",
            "1:49: expected a number that is not negative",
        ),
        (
            "listen: 0.0.0.0:4000",
            "1:1: without `keys`, only loopback addresses such as 127.0.0.1:4000 are allowed",
        ),
        ("listen: [127.0.0.1:1, '[::]:4000']", "1:23: without `keys`, only loopback"),
        ("listen: 127.0.0.1", "1:9: expected an IP address and a port, "),
        ("listen: 127.0.0.1:4001", "1:1: the address 127.0.0.1:4001 is used twice"),
        ("listen: {address: '127.0.0.1:1', tls: {cert: no.pem, key: no.pem}}", "1:40: no.pem: "),
        ("routing: {fallback: {a: [b]}}", "1:26: no model has the name `b`; did you mean `a`?"),
        ("routing: {fallback: {x: a}}", "1:22: no model has the name `x`; did you mean `a`?"),
        ("routing: {fallback: {a: a}}", "1:22: the model `a` is its own fallback"),
        ("routing: {attempts: 0}", "1:11: a request has at least one attempt"),
        ("keys: [{name: k}]", "1:8: a key has `hash`, `key` or `aws`"),
        ("keys: [{name: k, hash: canary-4711}]", "1:24: expected `sha256:` and 64 hexadecimal digits"),
        (
            "keys: [{name: k, key: '${SECRET}'}, {name: k, key: '${VALKEY_URL}'}]",
            "1:38: there are two keys with the name `k`",
        ),
        ("keys: [{name: k, key: '${SECRET}'}, {name: l, key: '${SECRET}'}]", "another key has the same hash"),
        ("keys: [{name: k, key: '${SECRET}', models: [b]}]", "1:45: no model has the name `b`"),
        ("keys: [{name: k, key: '${UNSET}'}]", "1:23: the environment variable UNSET is not set"),
        ("keys: [{name: k, key: '${EMPTY}'}]", "1:23: the secret is empty"),
        ("keys: [{name: k, key: {file: no-such-file}}]", "1:30: no-such-file: "),
        ("keys: [{name: k, key: '${SECRET'}]", "1:23: `${` without the name of a variable and `}`"),
        (
            "keys: [{name: k, key: '${SECRET}', limits: {requests: 600}}]",
            "1:55: expected an amount in a period, ",
        ),
        (
            "keys: [{name: k, key: '${SECRET}', limits: {budget: 50/month}}]",
            "1:53: expected dollars in a period, ",
        ),
        ("state: {when_down: local}", "1:8: `url` is missing"),
        ("cache: {size: 256MB, ttl: 1 minute}", "1:27: expected a duration"),
        ("losses: ${SECRET}", "1:9: expected one of `report`, `refuse`"),
        ("a: b: c", "1:5: "),
    ] {
        let found = problems(text);
        assert!(
            found.lines().any(|line| line.starts_with("gateway.yaml:") && line.contains(message)),
            "{text}: {found}"
        );
    }
}

#[test]
fn every_mistake_is_reported_in_the_order_of_the_file() {
    let text = "\
lisen: 127.0.0.1:1
models:
  - name: a
    endpoint: a
    weight: much
    streams: no
  - {name: b}
cache: 5
";
    let error = read(text).unwrap_err();
    let lines: Vec<u64> = error.problems().iter().map(|problem| problem.at.line).collect();
    assert_eq!(lines, [1, 5, 6, 7, 8], "{error}");
}

#[test]
fn files_are_read_with_their_folder() {
    let directory = Directory::new();
    directory.file("tokenizer_config.json", r#"{"eos_token": "</s>"}"#);
    directory.file("llm.jinja", "{{ messages[0].content }}{{ eos_token }}");
    let path = directory.file(
        "gateway.yaml",
        "models: [{name: a, endpoint: a, format: tgi, template: llm.jinja}]\nkeys: {name: k, key: {file: key}}",
    );
    directory.file("key", "secret\r\n");
    let (config, _) = sagewire_gateway::config::Config::load(&path).unwrap();
    assert!(config.models[0].template.as_ref().unwrap().name.ends_with("llm.jinja"));
    assert_eq!(config.keys[0].hash.unwrap(), <[u8; 32]>::from(Sha256::digest("secret")));
    let error = sagewire_gateway::config::Config::load(directory.0.join("none.yaml")).unwrap_err();
    assert!(error.to_string().contains("none.yaml:1:1: the file cannot be read: "), "{error}");
}

#[test]
fn a_budget_without_prices_is_noted() {
    let text =
        "models: [{name: a, endpoint: a}]\nkeys: {name: k, key: '${SECRET}', limits: {budget: 5 USD/day}}";
    assert_eq!(
        lines(&read(text).unwrap().1),
        ["2: no model has `prices`, so nothing is counted against the budget"]
    );
}
