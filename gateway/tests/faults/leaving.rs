//! Fault 1: a client that leaves cancels the call, over each protocol.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sagewire_gateway::config::Config;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::common::certificates::Certificates;
use crate::common::server::serve;
use crate::process::{endpoint, model};

const TRIES: usize = 5;
/// What the endpoint has sent when the client leaves.
const STAGES: [Stage; 3] = [Stage::Nothing, Stage::Tokens(0), Stage::Tokens(5)];

#[derive(Clone, Copy, Debug)]
enum Stage {
    Nothing,
    Tokens(usize),
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http1,
    Http2,
    Tls,
}

/// What happens at an endpoint.
#[derive(Debug)]
enum Seen {
    /// It has sent everything.
    Sent,
    /// Its connection was closed.
    Closed(Instant),
}

/// An endpoint that sends this much and then nothing more.
async fn endpoint_until(stage: Stage) -> (SocketAddr, UnboundedReceiver<Seen>) {
    let (sender, receiver): (UnboundedSender<Seen>, _) = unbounded_channel();
    let address = endpoint(move |mut connection| {
        let sender = sender.clone();
        async move {
            connection.receive().await?;
            if let Stage::Tokens(count) = stage {
                connection.respond().await?;
                for _ in 0..count {
                    connection.token("tok").await?;
                }
            }
            sender.send(Seen::Sent).expect("the test goes on");
            connection.closed().await;
            // The last one is not waited for.
            let _ = sender.send(Seen::Closed(Instant::now()));
            Ok(())
        }
    })
    .await;
    (address, receiver)
}

/// Sends a request. The client leaves when the value is dropped.
async fn start(protocol: Protocol, address: SocketAddr, tls: &TlsConnector, model: &str) -> Box<dyn Send> {
    let body =
        json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    match protocol {
        Protocol::Http1 => {
            stream.write_all(format!("{head}{body}").as_bytes()).await.expect("it is open");
            Box::new(stream)
        }
        Protocol::Tls => {
            let name = ServerName::try_from("localhost").expect("a name");
            let mut stream = tls.connect(name, stream).await.expect("TLS");
            stream.write_all(format!("{head}{body}").as_bytes()).await.expect("it is open");
            stream.flush().await.expect("it is open");
            Box::new(stream)
        }
        Protocol::Http2 => {
            let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            tokio::spawn(connection);
            let request = http::Request::post("http://x/v1/chat/completions").body(()).expect("a request");
            let mut sender = sender.ready().await.expect("it is open");
            let (response, mut sent) = sender.send_request(request, false).expect("it is open");
            sent.send_data(body.into(), true).expect("it is open");
            // Only the stream is reset, the connection stays.
            tokio::spawn(async move {
                sleep(Duration::from_secs(60)).await;
                drop(sender);
            });
            Box::new((response, sent))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_01_a_client_that_leaves_is_noticed_at_once_over_each_protocol() {
    let certificates = Certificates::new("leaving");
    let log = certificates.path("access.log");
    let (mut models, mut endpoints) = (Vec::new(), Vec::new());
    for (index, stage) in STAGES.into_iter().enumerate() {
        let (address, seen) = endpoint_until(stage).await;
        let mut model = model(address);
        model["name"] = index.to_string().into();
        models.push(model);
        endpoints.push(seen);
    }
    let files = json!({"cert": certificates.path("cert.pem"), "key": certificates.path("key.pem")});
    let file = json!({
        "listen": ["127.0.0.1:0", {"address": "127.0.0.1:0", "tls": files}],
        "models": models,
        "access_log": {"file": log},
        "shutdown": {"linger": "0s", "drain": "0s"},
    });
    let (config, _) = Config::read(&file.to_string(), Path::new("gateway.yaml"), |_| None)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut server = serve(config).await;
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(certificates.path("ca.pem")).expect("a certificate");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = TlsConnector::from(Arc::new(tls));

    let mut count = 0;
    for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Tls] {
        let address = server.addresses[usize::from(matches!(protocol, Protocol::Tls))];
        for (index, stage) in STAGES.into_iter().enumerate() {
            let mut best = Duration::MAX;
            for _ in 0..TRIES {
                let client = start(protocol, address, &tls, &index.to_string()).await;
                let seen = timeout(Duration::from_secs(10), endpoints[index].recv()).await;
                assert!(matches!(seen, Ok(Some(Seen::Sent))), "{protocol:?}, {stage:?}: {seen:?}");
                sleep(Duration::from_millis(20)).await;
                let left = Instant::now();
                drop(client);
                count += 1;
                let seen = timeout(Duration::from_secs(10), endpoints[index].recv()).await;
                let Ok(Some(Seen::Closed(closed))) = seen else {
                    panic!("{protocol:?}, {stage:?}: {seen:?}")
                };
                best = best.min(closed.saturating_duration_since(left));
                if best < Duration::from_millis(100) {
                    break;
                }
            }
            println!("{protocol:?}, {stage:?}: closed after {best:?}");
            assert!(best < Duration::from_millis(100), "{protocol:?}, {stage:?}: {best:?}");
        }
    }
    server.begin_stop();
    server.stopped().await;
    let log = std::fs::read_to_string(log).expect("a log");
    assert_eq!(log.lines().count(), count, "{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let found = (&line["status"], &line["ending"], &line["error"]);
        assert_eq!(found, (&json!(499), &json!("client_closed"), &json!("client_closed")), "{line}");
    }
}
