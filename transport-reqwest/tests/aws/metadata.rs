//! A server with the credential sources of AWS: container and instance metadata, STS and SSO; and with an endpoint.
#![allow(dead_code, reason = "no test uses all of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sagewire_emulator::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// The session token of all credentials of this server.
pub(crate) const SESSION_TOKEN: &str = "session-of-the-role";

pub(crate) struct Metadata {
    pub(crate) addr: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The request line and the body.
    pub(crate) request: String,
    /// The ID of the access key that it is signed with, if it is signed.
    pub(crate) key: Option<String>,
}

impl Metadata {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// The same with TLS.
    pub(crate) fn with_tls(config: ServerConfig) -> Self {
        Self::start_with(Some(Arc::new(config)))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&calls);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (kept, tls) = (Arc::clone(&kept), tls.clone());
                thread::spawn(move || accept(socket, tls, &kept));
            }
        });
        Self { addr, calls }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Request lines and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.calls.lock().expect("not poisoned").iter().map(|call| call.request.clone()).collect()
    }

    /// The requests since the last call.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().expect("not poisoned"))
    }
}

fn accept(socket: TcpStream, tls: Option<Arc<ServerConfig>>, kept: &Mutex<Vec<Call>>) -> Option<()> {
    let Some(config) = tls else { return serve(socket, kept) };
    serve(StreamOwned::new(ServerConnection::new(config).ok()?, socket), kept)
}

fn serve(socket: impl Read + Write, kept: &Mutex<Vec<Call>>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let (mut line, mut len, mut key) = (String::new(), 0, None);
    reader.read_line(&mut line).ok()?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let lower = header.trim().to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            len = value.trim().parse().ok()?;
        }
        if let Some((_, credential)) = header.split_once("Credential=") {
            key = credential.split('/').next().map(str::to_owned);
        }
        if lower.is_empty() {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    let request = format!("{} {}", line.trim(), String::from_utf8_lossy(&body));
    let reply = reply(&request);
    kept.lock().expect("not poisoned").push(Call { request, key });
    let (status, reply) = reply.map_or((404, String::new()), |reply| (200, reply));
    let len = reply.len();
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-length: {len}\r\nconnection: close\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n"
    );
    reader.get_mut().write_all(format!("{head}{reply}").as_bytes()).ok()?;
    reader.get_mut().flush().ok()
}

fn reply(request: &str) -> Option<String> {
    const EXPIRY: &str = "2126-01-01T00:00:00Z";
    let role = |action: &str| {
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><AssumedRoleUser>\
             <Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>a:b</AssumedRoleId></AssumedRoleUser>\
             <Credentials><AccessKeyId>{ACCESS_KEY_ID}</AccessKeyId><SecretAccessKey>{SECRET_ACCESS_KEY}</SecretAccessKey>\
             <SessionToken>{SESSION_TOKEN}</SessionToken><Expiration>{EXPIRY}</Expiration></Credentials>\
             </{action}Result></{action}Response>"
        )
    };
    let json = |token: &str| {
        format!(
            r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"{ACCESS_KEY_ID}","SecretAccessKey":"{SECRET_ACCESS_KEY}",
               "{token}":"{SESSION_TOKEN}","Expiration":"{EXPIRY}","LastUpdated":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let (_, path) = request.split_once(' ')?;
    Some(match path.split_once(' ')?.0 {
        "/container" => json("Token"),
        path if path.starts_with("/endpoints/") => "{}".into(),
        "/latest/api/token" => "token of the instance".into(),
        "/latest/meta-data/placement/region" => "eu-north-1".into(),
        "/latest/meta-data/iam/security-credentials/" => "role-of-the-instance".into(),
        "/latest/meta-data/iam/security-credentials/role-of-the-instance" => json("Token"),
        path if path.starts_with("/federation/credentials") => format!(
            r#"{{"roleCredentials":{{"accessKeyId":"{ACCESS_KEY_ID}","secretAccessKey":"{SECRET_ACCESS_KEY}",
               "sessionToken":"{SESSION_TOKEN}","expiration":4922898000000}}}}"#
        ),
        "/" if request.contains("Action=AssumeRoleWithWebIdentity") => role("AssumeRoleWithWebIdentity"),
        "/" if request.contains("Action=AssumeRole&") => role("AssumeRole"),
        _ => return None,
    })
}
