//! `sagewire doctor`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::process::{Local, calling, command, run};

fn find<'a>(findings: &'a Value, name: &str) -> &'a Value {
    findings.as_array().unwrap().iter().find(|finding| finding["name"] == name).unwrap()
}

#[test]
fn all_is_well() {
    let local = Local::new();
    let text = local.run(&["doctor"], b"").succeeds();
    for found in [
        "ok   region       us-east-1  (from --region)\n",
        &format!("ok   host         {}  (from --endpoint-url)\n", local.url()),
        "ok   credentials  key …MPLE, without a session token  (from environment variables)\n",
        "ok   signature    made for us-east-1, not sent\n",
        "ok   reachable    status ",
        "ok   clock        right, by the host's\n",
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
fn what_is_missing_is_said() {
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
fn a_host_that_is_not_there_and_a_url_that_is_none_are_told() {
    let gone = run(calling("http://127.0.0.1:1", &["doctor"]), b"");
    assert!(gone.fails(4).starts_with("doctor: reachable: "), "{gone:?}");
    let secret = run(calling("http://user:hidden@127.0.0.1:1", &["doctor"]), b"");
    assert!(secret.fails(2).starts_with("doctor: host: invalid configuration: endpoint url: "));
    assert!(!format!("{secret:?}").contains("hidden"));
}

#[test]
fn keys_on_the_open_wire_are_warned_of() {
    let mut command = calling("http://nobody.invalid:1", &["doctor"]);
    command.env("AWS_ACCESS_KEY_ID", "AKIDNOEXAMPLE");
    let run = run(command, b"");
    assert!(run.stderr.starts_with("warning: requests to nobody.invalid:1 are not encrypted"), "{run:?}");
}

#[test]
fn a_clock_that_is_off_is_told() {
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", host.local_addr().unwrap());
    let answers = thread::spawn(move || {
        let (mut stream, _) = host.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let answer =
            "HTTP/1.1 404 Not Found\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let run = run(calling(&url, &["doctor"]), b"");
    answers.join().unwrap();
    let line = run.fails(4);
    assert!(line.starts_with("doctor: clock: ") && line.ends_with(" s ahead of the host's"), "{line}");
    assert!(run.text().contains("ok   reachable    status 404 after "), "{}", run.text());
}
