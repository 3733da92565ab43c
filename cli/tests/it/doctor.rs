//! `sagewire doctor`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::process::{Local, TempFile, calling, command, run, sagewire};

fn find<'a>(findings: &'a Value, name: &str) -> &'a Value {
    findings.as_array().unwrap().iter().find(|finding| finding["name"] == name).unwrap()
}

#[test]
fn all_checks_succeed() {
    let local = Local::new();
    let text = local.run(&["doctor"], b"").succeeds();
    for found in [
        "ok   region       us-east-1  (from --region)\n",
        &format!("ok   host         {}  (from --endpoint-url)\n", local.url()),
        "ok   credentials  key …MPLE, without a session token  (from environment variables)\n",
        "ok   signature    made for us-east-1, not sent\n",
        "ok   reachable    status ",
        "ok   clock        agrees with the host's\n",
    ] {
        assert!(text.text().contains(found), "{found:?} in {}", text.text());
    }
    assert!(!text.text().contains("wJalrXUtnFEMI"));

    let mut command = command(&["doctor", "--json"]);
    command.env("AWS_DEFAULT_REGION", "eu-west-1").env("AWS_ENDPOINT_URL", local.url());
    command
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "hidden")
        .env("AWS_SESSION_TOKEN", "covered");
    let run = run(command, b"").succeeds();
    let findings: Value = serde_json::from_str(run.text()).unwrap();
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["ok"] == true), "{findings}");
    let region = json!({"name": "region", "ok": true, "value": "eu-west-1", "from": "AWS_DEFAULT_REGION"});
    assert_eq!(find(&findings, "region"), &region);
    assert_eq!(find(&findings, "host")["from"], "AWS_ENDPOINT_URL");
    assert_eq!(find(&findings, "credentials")["value"], "key …, with a session token");
    assert!(!run.text().contains("hidden") && !run.text().contains("covered"));
}

#[test]
fn missing_settings_are_reported() {
    let bare = run(command(&["doctor"]), b"");
    assert_eq!(
        bare.fails(2),
        "doctor: region: not set: give --region, or set AWS_REGION, or region in a profile"
    );
    for found in [
        "BAD  region ",
        "BAD  host         invalid configuration: the region is not set",
        "BAD  credentials  the credentials could not be loaded: environment: AWS_ACCESS_KEY_ID is not set; profile: ",
    ] {
        assert!(bare.text().contains(found), "{found} in {}", bare.text());
    }
    let mut command = calling("http://127.0.0.1:1", &["doctor", "--json"]);
    command.env_remove("AWS_SECRET_ACCESS_KEY");
    let run = run(command, b"");
    assert_eq!(
        run.fails(2),
        "doctor: credentials: the credentials could not be loaded: environment: AWS_SECRET_ACCESS_KEY is not set"
    );
    let findings: Value = serde_json::from_str(run.text()).unwrap();
    for (name, ok) in
        [("region", true), ("host", true), ("credentials", false), ("signature", false), ("reachable", false)]
    {
        assert_eq!(find(&findings, name)["ok"], ok, "{name}");
    }
}

#[test]
fn unreachable_hosts_and_invalid_urls_are_reported() {
    let gone = run(calling("http://127.0.0.1:1", &["doctor"]), b"");
    let line = gone.fails(4);
    assert!(line.starts_with("doctor: reachable: 127.0.0.1:1: ") && !line.contains("hint"), "{line}");
    let secret = run(calling("http://user:hidden@127.0.0.1:1", &["doctor"]), b"");
    assert!(secret.fails(2).starts_with("doctor: host: invalid configuration: endpoint url: "));
    assert!(!format!("{secret:?}").contains("hidden"));
}

#[test]
fn possible_mistakes_are_warnings() {
    let mut plain = calling("http://sagewire.invalid:1", &["doctor", "--json"]);
    plain.env("AWS_ACCESS_KEY_ID", "AKIDNOEXAMPLE");
    let plain = run(plain, b"");
    let findings: Value = serde_json::from_str(plain.text()).unwrap();
    let findings = findings.as_array().unwrap().iter().filter(|finding| finding["warning"] == true);
    let values: Vec<&str> = findings.map(|finding| finding["value"].as_str().unwrap()).collect();
    let exposed = "requests to sagewire.invalid:1 are not encrypted";
    assert!(values.iter().any(|value| value.starts_with(exposed)), "{values:?}");

    let local = Local::new();
    let config = TempFile::new(
        "[profile base]\nregion = eu-west-3\naws_access_key_id = base\naws_secret_access_key = s\n\
         [profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\nmfa_serial = m\n\
         use_fips_endpoint = yes\nmax_attempts = 5\n",
    );
    for (env, line) in [
        (
            &[("AWS_DEFAULT_PROFILE", "b")][..],
            "WARN profile      AWS_DEFAULT_PROFILE is \"b\", but is not read: ",
        ),
        (
            &[("AWS_USE_FIPS_ENDPOINT", "1")],
            "WARN host         1 (environment: AWS_USE_FIPS_ENDPOINT) is neither true nor ",
        ),
        (
            &[("AWS_SHARED_CREDENTIALS_FILE", "/no/file")],
            "WARN files        AWS_SHARED_CREDENTIALS_FILE: /no/file does not ",
        ),
        (
            &[("AWS_PROFILE", "role")],
            "WARN host         yes (profile: use_fips_endpoint) is neither true nor false",
        ),
        (
            &[("AWS_PROFILE", "role")],
            "WARN credentials  the profile \"role\" has mfa_serial, which is not supported: ",
        ),
        (&[("AWS_PROFILE", "role")], "ok   attempts     5  (from max_attempts of profile role in "),
    ] {
        let mut command = calling(&local.url(), &["doctor"]);
        command.env("AWS_CONFIG_FILE", config.path()).envs(env.iter().copied());
        let doctor = run(command, b"");
        assert!(doctor.text().contains(line), "{line}: {doctor:?}");
    }
    let mut command = command(&["doctor", "--profile", "role"]);
    command.env("AWS_CONFIG_FILE", config.path()).env("AWS_ENDPOINT_URL", local.url());
    let doctor = run(command, b"");
    let line = "ok   region       eu-west-3  (from region of the source_profile of profile role in ";
    assert!(doctor.text().contains(line), "{doctor:?}");
    // Other commands print them, too.
    let mut chat = calling("http://127.0.0.1:1", &["chat", "--endpoint", "e", "--retries", "0", "hi"]);
    chat.env("AWS_DEFAULT_PROFILE", "b");
    let chat = run(chat, b"");
    assert!(chat.stderr.starts_with("warning: AWS_DEFAULT_PROFILE is \"b\""), "{chat:?}");
}

/// The service refuses a role without the second factor, and STS may be out of reach. The reasons are named.
#[test]
fn roles_that_cannot_be_assumed_are_explained() {
    let config = TempFile::new(
        "[profile role]\nregion = eu-west-3\nrole_arn = arn:aws:iam::123456789012:role/r\nmfa_serial = m\n\
         aws_access_key_id = base\naws_secret_access_key = s\nsource_profile = role\n",
    );
    let mut command = command(&["doctor", "--profile", "role"]);
    command.env("AWS_CONFIG_FILE", config.path()).env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    command.env("AWS_MAX_ATTEMPTS", "1");
    let doctor = run(command, b"");
    let line = "BAD  credentials  the credentials could not be loaded: profile: the profile \"role\" has mfa_serial, which is not \
                supported: 127.0.0.1:1: ";
    assert!(doctor.text().contains(line), "{doctor:?}");
    assert!(doctor.fails(2).starts_with("doctor: credentials: "), "{doctor:?}");
}

#[test]
fn clock_skew_is_reported() {
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", host.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = host.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let response =
            "HTTP/1.1 404 Not Found\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(response.as_bytes()).unwrap();
    });
    let run = run(calling(&url, &["doctor"]), b"");
    server.join().unwrap();
    let line = run.fails(4);
    assert!(line.starts_with("doctor: clock: ") && line.ends_with(" s ahead of the host's"), "{line}");
    assert!(run.text().contains("ok   reachable    status 404 after "), "{}", run.text());
}

#[test]
fn expired_credentials_fail() {
    let local = Local::new();
    let output = |expiration: &str| {
        let json = json!({"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "s", "SessionToken": "t",
            "Expiration": expiration});
        TempFile::new(&json.to_string())
    };
    let doctor = |file: &TempFile| {
        let config = TempFile::new(&format!(
            "[profile p]\nregion = us-east-1\ncredential_process = cat {}\n",
            file.path()
        ));
        let mut command = command(&["doctor", "--profile", "p", "--endpoint-url", &local.url()]);
        command.env("AWS_CONFIG_FILE", config.path());
        run(command, b"")
    };
    let expired = doctor(&output("2020-01-01T00:00:00Z"));
    assert!(expired.fails(2).starts_with("doctor: credentials: "), "{expired:?}");
    assert!(expired.stderr.contains("expired"), "{expired:?}");
    assert!(
        expired.text().contains("BAD  signature    not made: there are no valid credentials"),
        "{expired:?}"
    );
    let valid = doctor(&output("2126-01-01T00:00:00Z")).succeeds();
    assert!(valid.text().contains("with a session token, for another "), "{valid:?}");
}

/// Only options that are used.
#[test]
fn options_of_calls_are_not_accepted() {
    for (command, option) in
        [("doctor", "--retries"), ("doctor", "--timeout"), ("token", "--route"), ("token", "--endpoint-url")]
    {
        let run = sagewire(&[command, option, "1"], b"");
        assert!(run.fails(2).starts_with("usage: unexpected argument"), "{run:?}");
    }
}
