//! A server that wants TLS and a password.

use std::process::Command;

use super::shared::{patient, policy};
use super::state_server::StateServer;
use super::*;
use crate::config::{Secret, State, WhenDown};

const PASSWORD: &str = "canary-5ecret";

/// The variable that makes [`tls_process`] a process of its own, which trusts the certificate of the test.
const PROCESS: &str = "SAGEWIRE_TEST_TLS_STATE";

#[test]
fn a_server_may_want_tls_and_a_password() {
    let folder = std::env::temp_dir().join(format!("sagewire-state-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, content: String| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cert = file("cert.pem", certified.cert.pem());
    let key = file("key.pem", certified.signing_key.serialize_pem());
    let server = StateServer::start_with(|port| {
        let port = port.to_string();
        let options = ["--port", "0", "--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key];
        let more = ["--tls-ca-cert-file", &cert, "--tls-auth-clients", "no", "--requirepass", PASSWORD];
        options.into_iter().chain(more).map(str::to_owned).collect()
    });
    let output = server.map(|server| {
        Command::new(std::env::current_exe().unwrap())
            .args(["policy::tests::tls::tls_process", "--exact", "--nocapture"])
            .env(PROCESS, server.port().to_string())
            .env("SSL_CERT_FILE", &cert)
            .output()
            .unwrap()
    });
    std::fs::remove_dir_all(&folder).unwrap();
    let Some(output) = output else { return };
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{out}{err}");
    // A wrong password is an outage, of which the log has one line, without the password.
    assert_eq!(err.matches("the shared state at").count(), 1, "{err}");
    assert!(!format!("{out}{err}").contains("canary"), "{err}");
}

#[tokio::test]
async fn tls_process() {
    let Ok(port) = std::env::var(PROCESS) else { return };
    let state = |password: &str| State {
        url: Secret::new(format!("rediss://:{password}@localhost:{port}/3")),
        when_down: WhenDown::Deny,
    };
    let key = key("team", KeyLimits { requests: rate(1, HOUR), ..limits() });
    let right = policy(&state(PASSWORD), patient());
    let reservation = right.reserve(&key, ask(0, 0.0)).await.unwrap();
    assert!(!format!("{reservation:?}").contains(PASSWORD));
    assert_eq!(right.reserve(&key, ask(0, 0.0)).await.unwrap_err().limit, Limit::Requests);
    let wrong = policy(&state("canary-wrong"), patient());
    assert_eq!(wrong.reserve(&key, ask(0, 0.0)).await.unwrap_err().limit, Limit::Unavailable);
    assert!(wrong.degraded());
}

#[tokio::test]
async fn what_is_no_url_of_a_server_is_refused_without_its_password() {
    for url in ["http://:canary@localhost", "canary", "redis://:canary@localhost/database", ""] {
        let state = State { url: Secret::new(url), when_down: WhenDown::Deny };
        let error = Policy::new(Some(&state)).err().unwrap().to_string();
        assert!(error.contains("redis://") && !error.contains("canary"), "{error}");
    }
    // A server that does not exist is not an error: it may start later.
    let state = State { url: Secret::new("redis://127.0.0.1:1"), when_down: WhenDown::Local };
    let policy = Policy::new(Some(&state)).unwrap();
    let key = key("team", KeyLimits { requests: rate(1, HOUR), ..limits() });
    drop(policy.reserve(&key, ask(0, 0.0)).await.unwrap());
    assert_eq!(policy.reserve(&key, ask(0, 0.0)).await.unwrap_err().limit, Limit::Requests);
}
