//! Real clients, unmodified, call the gateway in front of the emulator: `clients/install.sh` installs them. Each script of
//! `clients/python` and `clients/node` is a process, and is skipped where its packages are not installed.
//!
//! The gateway has two addresses: one without TLS, and one with the certificate of an authority that the clients trust.

#[path = "common/certificates.rs"]
mod certificates;

use std::path::{Path, PathBuf};
use std::process::Command;

use certificates::Certificates;
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY, Script, echo};
use sagewire_gateway::Server;
use sagewire_gateway::config::Config;
use serde_json::json;

const PROMPT: &str = "The quick brown fox jumps over the lazy dog: Grüße, 世界, \"quotes\" and 🦊.";
const KEY: &str = "sk-sagewire-of-the-tests-of-real-clients";
const CLIENT_KEY_ID: &str = "AKIDCLIENT";
const CLIENT_SECRET: &str = "secret/of+the/tests";

/// Where `clients/install.sh` installs them.
fn installed() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| manifest.join("../target"), PathBuf::from);
    target.join("clients")
}

/// The endpoints behind the gateway.
fn script() -> Script {
    let reason =
        json!({"error": {"message": "the container's own reason", "type": "BadRequestError", "code": 400}});
    let exception =
        json!({"type": "ModelStreamError", "code": "StreamBroken", "message": "the stream broke"});
    let rules = json!({"rules": [
        {"endpoint": "chat"},
        {"endpoint": "tgi", "format": "tgi"},
        {"endpoint": "claude", "format": "anthropic"},
        {"endpoint": "embeddings", "content_type": "application/json", "body": "[[0.25,-0.5,1.0],[2.0,0.0,-4.0]]"},
        {"endpoint": "refusing", "status": 424, "original_status": 400, "body": reason.to_string()},
        {"endpoint": "failing", "status": 424, "original_status": 500, "body": reason.to_string()},
        {"endpoint": "broken", "fault": {"exception": exception, "after": 3000}},
        {"endpoint": "cut", "fault": {"hang_up": true, "after": 3000}},
    ]});
    rules.to_string().parse().unwrap()
}

/// The gateway's configuration.
fn config(emulator: &str, certificates: &Certificates) -> Config {
    let models =
        ["chat", "tgi", "claude", "embeddings", "refusing", "failing", "broken", "cut"].map(|name| {
            let mut model = json!({
                "name": name,
                "endpoint": name,
                "region": "us-east-1",
                "endpoint_url": emulator,
                "aws": {"access_key_id": ACCESS_KEY_ID, "secret": "${EMULATOR_SECRET}"},
            });
            let more = match name {
                "tgi" => json!({"format": "tgi", "template": "none"}),
                "claude" => json!({"format": "anthropic"}),
                "embeddings" => json!({"kind": "embeddings", "format": "tei"}),
                _ => json!({}),
            };
            model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            model
        });
    let hash = sagewire_sigv4::signing::hash(KEY.as_bytes());
    let aws = json!({"access_key_id": CLIENT_KEY_ID, "secret": "${CLIENT_SECRET}"});
    let file = json!({
        "listen": [
            "127.0.0.1:0",
            {
                "address": "127.0.0.1:0",
                "tls": {"cert": certificates.path("cert.pem"), "key": certificates.path("key.pem")},
            },
        ],
        "admin": "off",
        "models": models,
        "access_log": "off",
        // Each error has to arrive, and none from a cooldown.
        "routing": {"attempts": 1, "cooldown": {"failures": 1_000_000}},
        "keys": [{"name": "tests", "hash": format!("sha256:{hash}"), "aws": aws}],
    });
    let environment = |name: &str| match name {
        "EMULATOR_SECRET" => Some(SECRET_ACCESS_KEY.into()),
        "CLIENT_SECRET" => Some(CLIENT_SECRET.into()),
        _ => None,
    };
    Config::read(&file.to_string(), Path::new("gateway.yaml"), environment).unwrap().0
}

/// Runs a script: `node/NAME.mjs`, or `python/NAME.py` in an environment. With `tls`, it calls the address with TLS.
async fn run(environment: &str, name: &str, tls: bool) {
    let (folder, program, file) = match environment {
        "node" => ("node", PathBuf::from("node"), format!("{name}.mjs")),
        environment => ("python", installed().join(environment).join("bin/python"), format!("{name}.py")),
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(folder);
    let is_installed =
        installed().join(environment).join(if folder == "node" { "node_modules" } else { "bin/python" });
    if !is_installed.exists() {
        return println!("skipped: {name}: run gateway/tests/clients/install.sh");
    }
    let emulator = Emulator::builder().script(script()).start().await.unwrap();
    let certificates = Certificates::new(&format!("{environment}-{name}-{tls}"));
    let server = Server::bind(config(&emulator.url(), &certificates)).await.unwrap();
    let [plain, with_tls] = server.addresses()[..] else { panic!("it has two addresses") };
    let tls_url = format!("https://localhost:{}", with_tls.port());
    let url = if tls { tls_url.clone() } else { format!("http://{plain}") };
    tokio::spawn(server.serve(std::future::pending()));
    let mut command = Command::new(program);
    // Nothing of the environment may send a client elsewhere.
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"));
    command.envs([("GATEWAY", &*url), ("GATEWAY_TLS", &*tls_url), ("GATEWAY_KEY", KEY)]);
    for name in ["AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
        command.env(name, certificates.path("ca.pem"));
    }
    command.envs([
        ("GATEWAY_ACCESS_KEY_ID", CLIENT_KEY_ID),
        ("GATEWAY_SECRET_ACCESS_KEY", CLIENT_SECRET),
        ("PROMPT", PROMPT),
        ("TEXT", &*echo(PROMPT)),
    ]);
    command.envs([("AWS_EC2_METADATA_DISABLED", "true"), ("PYTHONDONTWRITEBYTECODE", "1")]);
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    if folder == "node" {
        // Modules are found from the folder of a script, so it is run where they are installed.
        for file in ["common.mjs", &*file] {
            std::fs::copy(source.join(file), installed().join("node").join(file)).unwrap();
        }
        command.current_dir(installed().join("node")).arg(file);
    } else {
        command.current_dir(&source).arg(file);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) {
        return println!("skipped: {name}: {stdout}");
    }
    println!("{stdout}");
    assert!(output.status.success(), "{name}\n{stdout}\n{stderr}");
    assert!(stdout.lines().filter(|line| line.starts_with("ok ")).count() >= 5, "{stdout}");
}

macro_rules! clients {
    ($($test:ident: $environment:literal, $name:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $test() {
            run($environment, $name, false).await;
        }
    )*};
}

clients! {
    openai_of_python: "sdks", "openai_sdk";
    anthropic_of_python: "sdks", "anthropic_sdk";
    boto3: "sdks", "boto3_sdk";
    litellm: "frameworks", "litellm_client";
    langchain: "frameworks", "langchain_client";
    strands: "frameworks", "strands_client";
    openai_agents: "frameworks", "agents_sdk";
    openai_of_node: "node", "openai_sdk";
    anthropic_of_node: "node", "anthropic_sdk";
    vercel_ai: "node", "vercel_ai";
}

/// The client of Bedrock speaks nothing but HTTP/2: without TLS by prior knowledge, with TLS negotiated by ALPN.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fault_31_the_aws_sdk_of_node_over_http2() {
    for tls in [false, true] {
        run("node", "aws_sdk", tls).await;
    }
}
