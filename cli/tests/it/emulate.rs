//! `sagewire emulate`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::process::{Emulate, FORMATS, TempFile, run, sagewire};

#[test]
fn the_first_line_has_the_url() {
    let emulate = Emulate::new(&[]);
    let port = emulate.url.strip_prefix("http://127.0.0.1:").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    // A port that is in use.
    let taken = sagewire(&["emulate", "--port", port], b"");
    assert!(taken.fails(2).starts_with(&format!("usage: --port {port}: ")));
}

#[test]
fn credentials_can_be_set() {
    let set = ["--access-key-id", "AKIDOTHER", "--secret-access-key", "s3cret", "--session-token", "token"];
    let emulate = Emulate::new(&set);
    assert!(emulate.chat(&["hi"]).fails(4).starts_with("service: 403 "));
    let mut command = emulate.command(&["hi"]);
    command.env("AWS_ACCESS_KEY_ID", "AKIDOTHER");
    command.env("AWS_SECRET_ACCESS_KEY", "s3cret");
    command.env("AWS_SESSION_TOKEN", "token");
    run(command, b"").succeeds();
}

#[test]
fn requests_are_printed_on_demand() {
    let mut emulate = Emulate::new(&["-v"]);
    emulate.chat(&["hi"]).succeeds();
    let mut command = emulate.command(&["hi"]);
    command.env("AWS_SECRET_ACCESS_KEY", "wrong");
    run(command, b"").fails(4);
    emulate.child.kill().unwrap();
    let mut log = String::new();
    emulate.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("POST /endpoints/my-llm/invocations-response-stream "), "{log}");
    assert!(lines[0].ends_with(" bytes: 200") && lines[1].ends_with(" bytes: 403"), "{log}");
}

#[test]
fn the_pace_is_set_by_options() {
    let pace =
        ["--time-to-first-token", "20", "--tokens-per-second", "500", "--jitter", "0.5", "--slots", "4"];
    let emulate = Emulate::new(&[&pace[..], &["--queue", "4", "--overload-status", "503"]].concat());
    assert!(emulate.chat(&["hi"]).succeeds().text().contains("hi"));
    for (arguments, found) in [
        (&["--jitter", "2"][..], "usage: jitter must be from 0 to 1"),
        (&["--slots", "0"], "usage: slots must be at least 1"),
        (&["--slots", "1", "--overload-status", "500"], "usage: overload_status must be 429 or 503"),
        (&["--queue", "1"], "--slots <N>"),
        (&["--slots", "1", "--script", "x.json"], "cannot be used with"),
    ] {
        let run = sagewire(&[&["emulate", "--port", "0"], arguments].concat(), b"");
        let message = run.fails(2);
        assert!(message.contains(found), "{message}");
    }
}

/// A request of an OpenAI client: containers that support it respond, the others reject it.
#[test]
fn the_container_is_selected_by_the_option() {
    for (format, _) in FORMATS {
        let run = Emulate::new(&["--format", format]).chat(&["--max-tokens", "500", "hi"]);
        match format {
            "openai" | "anthropic" | "cohere" | "nova" | "tgi" | "lmi" | "lmi-vllm" => {
                assert!(run.succeeds().text().starts_with("You said: “hi”\n\n"), "{format}");
            }
            _ => assert!(run.fails(4).starts_with("service: 424 ModelError: Received "), "{format}"),
        }
    }
    let run = sagewire(&["emulate", "--format", "bedrock"], b"");
    assert!(run.fails(2).starts_with("usage: invalid value 'bedrock' for '--format <FORMAT>'"));
}

#[test]
fn a_script_can_select_the_container() {
    let emulate = Emulate::scripted(&json!([{"format": "lmi", "cut": "characters"}]));
    assert_eq!(emulate.chat(&["--max-tokens", "2", "hi"]).succeeds().text(), "You said:");
}

/// The address of a container that streams the same response to every request.
fn container() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|socket| respond(socket.unwrap())));
    url
}

/// The same container with TLS.
fn tls_container() -> String {
    let key = PrivateKeyDer::from_pem_file(tls_file("localhost.key.pem")).unwrap();
    let certificate = CertificateDer::from_pem_file(tls_file("localhost.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            respond(StreamOwned::new(connection, socket.unwrap()));
        }
    });
    url
}

fn tls_file(name: &str) -> String {
    format!("{}/testdata/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Reads a request, unless the client disconnects, and sends the response.
fn respond(mut socket: impl Read + Write) {
    const EVENTS: [&str; 3] = [
        "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"你\"}}]}\n\n",
        "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"好\"},\
         \"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    ];
    let (mut request, mut byte) = (vec![], [0]);
    // The body is one JSON object.
    while !(request.ends_with(b"}") && request.windows(4).any(|window| window == b"\r\n\r\n")) {
        if socket.read_exact(&mut byte).is_err() {
            return;
        }
        request.push(byte[0]);
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    for event in EVENTS {
        socket.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).unwrap();
    }
    socket.write_all(b"0\r\n\r\n").unwrap();
    socket.flush().unwrap();
}

#[test]
fn a_real_container_may_use_tls() {
    let url = tls_container();
    let trusted = Emulate::with(&["--upstream", &url], &[("SSL_CERT_FILE", &tls_file("ca.pem"))]);
    assert_eq!(trusted.chat(&["hi"]).succeeds().text(), "你好");
    // By default its certificate is not trusted.
    let run = Emulate::new(&["--upstream", &url, "--seed", "2"]).chat(&["hi"]);
    let line = run.fails(4);
    assert!(line.starts_with("service: 424 ModelError: Received server error (0) from primary"), "{line}");
    assert!(line.contains("certificate"), "{line}");
}

#[test]
fn a_real_container_is_recorded_and_replayed() {
    let folder = std::env::temp_dir().join(format!("sagewire-recordings-{}", std::process::id()));
    let calls = folder.join("calls");
    let recorded = Emulate::new(&["--upstream", &container(), "--record", calls.to_str().unwrap()]);
    let response = recorded.chat(&["--to", "events", "hi"]).succeeds();
    assert!(response.text().contains("你") && response.text().contains("好"), "{}", response.text());
    drop(recorded);
    let call = calls.join("000001-my-llm.json");
    assert!(!fs::read_to_string(&call).unwrap().contains("AKIDEXAMPLE"));
    let replayed = Emulate::new(&["--script", call.to_str().unwrap()]);
    assert_eq!(replayed.chat(&["--to", "events", "hi"]).succeeds(), response);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn invalid_containers_are_reported() {
    for (args, found) in [
        (["--upstream", "ftp://localhost"], "not an http or https URL"),
        (["--upstream", "localhost:8000"], "not an http or https URL"),
        (["--record", "calls"], "--upstream <URL>"),
    ] {
        let run = sagewire(&[&["emulate", "--port", "0"], &args[..]].concat(), b"");
        assert!(run.fails(2).contains(found), "{run:?}");
    }
    let run = sagewire(&["emulate", "--upstream", "http://localhost", "--format", "tgi"], b"");
    assert!(run.fails(2).contains("cannot be used with"), "{run:?}");
    let run = sagewire(&["emulate", "--upstream", "http://localhost", "--record", "/dev/null/calls"], b"");
    assert!(run.fails(2).starts_with("usage: --record: /dev/null/calls: "), "{run:?}");
    // A container that is not reachable is a failure of the model.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = Emulate::new(&["--upstream", &format!("http://{port}")]).chat(&["hi"]);
    assert!(run.fails(4).starts_with("service: 424 ModelError: Received server error (0) from primary"));
}

#[test]
fn an_invalid_script_is_reported() {
    let script = TempFile::new(r#"{"rules": [{"stauts": 1}]}"#);
    let run = sagewire(&["emulate", "--port", "0", "--script", script.path()], b"");
    let line = run.fails(2);
    assert!(
        line.starts_with(&format!("usage: --script: {}: unknown field `stauts`", script.path())),
        "{line}"
    );
    assert!(
        sagewire(&["emulate", "--script", "/no/such/file"], b"")
            .fails(2)
            .starts_with("usage: --script: /no/such/file: ")
    );
    let both = sagewire(&["emulate", "--script", script.path(), "--seed", "2"], b"");
    assert!(both.fails(2).contains("cannot be used with"));
}

#[cfg(unix)]
#[test]
fn signals_stop_it() {
    for signal in ["-TERM", "-INT"] {
        // Also during a response that has stalled.
        let mut emulate =
            Emulate::scripted(&json!([{"body": "data: {}\n\n", "fault": {"stall": true, "after": 10}}]));
        let mut waiting = emulate.command(&["hi"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let id = emulate.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert_eq!(emulate.child.wait().unwrap().code(), Some(0));
        assert_eq!(waiting.wait().unwrap().code(), Some(3));
    }
}

#[test]
fn the_environment_of_clients_is_printed() {
    let run = sagewire(&["emulate", "--print-env", "--port", "9000"], b"");
    let expected = "export AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=http://127.0.0.1:9000 AWS_REGION=us-east-1\n\
                    export AWS_ACCESS_KEY_ID=AKIDEXAMPLE \
                    AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n";
    assert_eq!(run.succeeds().text(), expected);
    let args = ["emulate", "--print-env", "--secret-access-key", "it's", "--session-token", "a b"];
    let text = sagewire(&args, b"").succeeds().text().to_owned();
    assert!(text.contains(r"AWS_SECRET_ACCESS_KEY='it'\''s'"), "{text}");
    assert!(text.ends_with("export AWS_SESSION_TOKEN='a b'\n"), "{text}");
}
