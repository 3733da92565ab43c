//! The files of `deploy/`: what can be checked without a cluster.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::server::serve;
use common::{ECHO, emulator, model};
use sagewire_codec::Api;
use sagewire_emulator::ContainerFormat;
use sagewire_gateway::config::Config;
use serde_json::Value;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(path: &str) -> String {
    fs::read_to_string(deploy().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder with one of these extensions.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extensions));
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|name| extension == *name)) {
            found.push(path);
        }
    }
    found
}

/// A configuration, in an environment with the address of a Valkey.
fn config(path: &str) -> Config {
    let environment = |name: &str| (name == "VALKEY_URL").then(|| "redis://valkey:6379".to_owned());
    let (config, notes) = Config::read(&read(path), &deploy().join(path), environment)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(notes, [], "{path}");
    config
}

fn stopping_time(config: &Config) -> Duration {
    config.shutdown.linger + config.shutdown.drain
}

#[test]
fn all_files_can_be_parsed() {
    let yaml_files = files(&deploy(), &["yaml", "yml"]);
    let json_files = files(&deploy(), &["json"]);
    assert!(yaml_files.len() >= 10 && !json_files.is_empty());
    for path in yaml_files {
        let text = fs::read_to_string(&path).unwrap();
        serde_saphyr::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    for path in json_files {
        let text = fs::read_to_string(&path).unwrap();
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn kubernetes_fits_the_configuration() {
    let config = config("kubernetes/gateway.yaml");
    let deployment = yaml("kubernetes/deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(Duration::from_secs(grace) > stopping_time(&config));
    let container = &pod["containers"][0];
    let port = |name: &str| {
        let ports = container["ports"].as_array().unwrap();
        ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].as_u64().unwrap()
    };
    assert_eq!(port("http"), u64::from(config.listen[0].address.port()));
    assert_eq!(port("admin"), u64::from(config.admin.unwrap().port()));
    for (probe, path) in
        [("startupProbe", "/readyz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], "admin");
    }
    assert_eq!(yaml("kubernetes/service.yaml")["spec"]["ports"][0]["targetPort"], "http");
    let kustomization = yaml("kubernetes/kustomization.yaml");
    for resource in kustomization["resources"].as_array().unwrap() {
        let resource = resource.as_str().unwrap();
        assert_eq!(yaml(&format!("kubernetes/{resource}"))["metadata"]["name"], "sagewire", "{resource}");
    }
}

#[test]
fn compose_fits_the_configuration() {
    let config = config("compose/gateway.yaml");
    let compose = yaml("compose/compose.yaml");
    for service in ["gateway-1", "gateway-2"] {
        assert_eq!(compose["services"][service]["stop_grace_period"], "2m");
    }
    assert!(Duration::from_secs(120) > stopping_time(&config));
    let address = |name: &str, port: u16| format!("{name}:{port}");
    let caddy = read("compose/Caddyfile");
    let prometheus = read("compose/prometheus.yml");
    for name in ["gateway-1", "gateway-2"] {
        assert!(caddy.contains(&address(name, config.listen[0].address.port())));
        assert!(prometheus.contains(&address(name, config.admin.unwrap().port())));
    }
    assert!(caddy.contains(&format!("health_port {}", config.admin.unwrap().port())));
}

/// The names in an expression that are metrics of the gateway.
fn metric_names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sagewire_") || word.starts_with("gen_ai_"))
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_dashboards_and_alerts_exist() {
    let emulator = emulator(ContainerFormat::default(), ECHO).await;
    let server = serve(common::config(vec![model(&emulator, "e", Api::OpenAi)])).await;
    let mut client = server.connect().await;
    client.chat("e", true).await;
    assert_eq!(client.whole().await.status, 200);
    let metrics = server.admin("/metrics").await.body;
    let mut names = BTreeSet::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        names.insert(name.to_owned());
        if kind == "histogram" {
            names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
    }
    let labels = ["gen_ai_request_model", "gen_ai_token_type"];
    let mut used = 0;
    for path in files(&deploy(), &["json", "yml"]) {
        let text = fs::read_to_string(&path).unwrap();
        for name in metric_names(&text).filter(|name| !labels.contains(name)) {
            assert!(names.contains(name), "{}: there is no metric {name}", path.display());
            used += 1;
        }
    }
    assert!(used > 20, "{used}");
}

/// Runs a program that may not be installed.
fn run(program: &str, arguments: &[&Path]) -> Option<std::process::Output> {
    match Command::new(program).args(arguments).env("SYSTEMD_LOG_LEVEL", "warning").output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("not checked: {program}: {error}");
            None
        }
    }
}

#[test]
fn systemd_accepts_the_units() {
    let config = Config::default();
    let service = read("systemd/sagewire.service");
    assert!(service.contains("TimeoutStopSec=11min") && Duration::from_secs(660) > stopping_time(&config));
    let socket = read("systemd/sagewire.socket");
    assert!(socket.contains(&format!("ListenStream={}", config.listen[0].address)));
    let folder = std::env::temp_dir().join(format!("sagewire-units-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    // The program is not installed here.
    let service = service.replace("/usr/local/bin/sagewire", "/bin/true");
    let (service_path, socket_path) = (folder.join("sagewire.service"), folder.join("sagewire.socket"));
    fs::write(&service_path, service).unwrap();
    fs::write(&socket_path, socket).unwrap();
    let output = run("systemd-analyze", &[Path::new("verify"), &service_path, &socket_path]);
    fs::remove_dir_all(folder).unwrap();
    if let Some(output) = output {
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{messages}");
        // Unknown settings are warnings.
        assert!(!messages.contains("sagewire."), "{messages}");
    }
}

#[test]
fn kustomize_builds_the_manifests() {
    if let Some(output) = run("kubectl", &[Path::new("kustomize"), &deploy().join("kubernetes")]) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let built = String::from_utf8_lossy(&output.stdout);
        for kind in ["Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "ServiceAccount"] {
            assert!(built.contains(&format!("kind: {kind}\n")), "{kind}");
        }
    }
}
