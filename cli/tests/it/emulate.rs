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
fn the_first_line_says_where() {
    let emulate = Emulate::new(&[]);
    let port = emulate.url.strip_prefix("http://127.0.0.1:").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    // A port that is taken.
    let taken = sagewire(&["emulate", "--port", port], b"");
    assert!(taken.fails(2).starts_with(&format!("usage: port {port}: ")));
}

#[test]
fn credentials_are_those_that_were_set() {
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
fn requests_are_told_to_those_who_ask() {
    let mut emulate = Emulate::new(&["-v"]);
    emulate.chat(&["hi"]).succeeds();
    let mut command = emulate.command(&["hi"]);
    command.env("AWS_SECRET_ACCESS_KEY", "wrong");
    run(command, b"").fails(4);
    emulate.child.kill().unwrap();
    let mut told = String::new();
    emulate.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("POST /endpoints/my-llm/invocations-response-stream "), "{told}");
    assert!(lines[0].ends_with(" bytes: 200") && lines[1].ends_with(" bytes: 403"), "{told}");
}

/// Asked as OpenAI's clients ask: those that take it answer, in whichever shape, the others refuse.
#[test]
fn the_container_is_that_which_was_asked_for() {
    for (format, _) in FORMATS {
        let run = Emulate::new(&["--format", format]).chat(&["--max-tokens", "500", "hi"]);
        match format {
            "openai" | "anthropic" | "tgi" | "lmi" | "lmi-vllm" => {
                assert!(run.succeeds().text().starts_with("You said: “hi”\n\n"), "{format}");
            }
            _ => assert!(run.fails(4).starts_with("service: 424 ModelError: Received "), "{format}"),
        }
    }
    let run = sagewire(&["emulate", "--format", "bedrock"], b"");
    assert!(run.fails(2).starts_with("usage: invalid value 'bedrock' for '--format <FORMAT>'"));
}

#[test]
fn a_script_may_name_the_container() {
    let emulate = Emulate::scripted(&json!([{"format": "lmi", "cut": "characters"}]));
    assert_eq!(emulate.chat(&["--max-tokens", "2", "hi"]).succeeds().text(), "You said:");
}

/// A container that streams the same answer to everybody, and its address.
fn container() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|socket| answer(socket.unwrap())));
    url
}

/// The same behind TLS.
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
            answer(StreamOwned::new(connection, socket.unwrap()));
        }
    });
    url
}

fn tls_file(name: &str) -> String {
    format!("{}/testdata/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Reads a request, unless the client goes away, and answers it.
fn answer(mut socket: impl Read + Write) {
    const EVENTS: [&str; 3] = [
        "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"你\"}}]}\n\n",
        "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"好\"},\
         \"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    ];
    let (mut request, mut byte) = (vec![], [0]);
    // The body of a chat ends its one object.
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
fn a_real_container_may_speak_tls() {
    let url = tls_container();
    let trusted = Emulate::with(&["--upstream", &url], &[("SSL_CERT_FILE", &tls_file("ca.pem"))]);
    assert_eq!(trusted.chat(&["hi"]).succeeds().text(), "你好");
    // Its certificate is not one that everybody trusts.
    let run = Emulate::new(&["--upstream", &url, "--seed", "2"]).chat(&["hi"]);
    let line = run.fails(4);
    assert!(line.starts_with("service: 424 ModelError: Received server error (0) from primary"), "{line}");
    assert!(line.contains("certificate"), "{line}");
}

#[test]
fn a_real_container_answers_is_recorded_and_replayed() {
    let folder = std::env::temp_dir().join(format!("sagewire-recordings-{}", std::process::id()));
    let calls = folder.join("calls");
    let recorded = Emulate::new(&["--upstream", &container(), "--record", calls.to_str().unwrap()]);
    let answer = recorded.chat(&["--to", "events", "hi"]).succeeds();
    assert!(answer.text().contains("你") && answer.text().contains("好"), "{}", answer.text());
    drop(recorded);
    let call = calls.join("000001-my-llm.json");
    assert!(!fs::read_to_string(&call).unwrap().contains("AKIDEXAMPLE"));
    let replayed = Emulate::new(&["--script", call.to_str().unwrap()]);
    assert_eq!(replayed.chat(&["--to", "events", "hi"]).succeeds(), answer);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn containers_that_cannot_be_called_are_named() {
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
    assert!(run.fails(2).starts_with("usage: /dev/null/calls: "), "{run:?}");
    // One that is not there is the model's failure.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = Emulate::new(&["--upstream", &format!("http://{port}")]).chat(&["hi"]);
    assert!(run.fails(4).starts_with("service: 424 ModelError: Received server error (0) from primary"));
}

#[test]
fn a_script_that_cannot_be_used_is_named() {
    let script = TempFile::new(r#"{"rules": [{"stauts": 1}]}"#);
    let run = sagewire(&["emulate", "--port", "0", "--script", script.path()], b"");
    let line = run.fails(2);
    assert!(line.starts_with(&format!("usage: {}: unknown field `stauts`", script.path())), "{line}");
    assert!(
        sagewire(&["emulate", "--script", "/no/such/file"], b"")
            .fails(2)
            .starts_with("usage: /no/such/file: ")
    );
    let both = sagewire(&["emulate", "--script", script.path(), "--seed", "2"], b"");
    assert!(both.fails(2).contains("cannot be used with"));
}

#[cfg(unix)]
#[test]
fn signals_end_it_well() {
    for signal in ["-TERM", "-INT"] {
        // Also while an answer hangs.
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
