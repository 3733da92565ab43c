//! A server with the credential sources of AWS: container and instance metadata, STS and SSO.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sagewire_emulator::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// The session token of all credentials of this server.
pub(crate) const SESSION_TOKEN: &str = "session-of-the-role";

pub(crate) struct Metadata {
    pub(crate) addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Metadata {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(&socket, &kept));
            }
        });
        Self { addr, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Request lines and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

fn serve(mut socket: &TcpStream, kept: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let (mut line, mut len) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            len = value.trim().parse().ok()?;
        }
        if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    let request = format!("{} {}", line.trim(), String::from_utf8_lossy(&body));
    let reply = reply(&request);
    kept.lock().expect("not poisoned").push(request);
    let (status, reply) = reply.map_or((404, String::new()), |reply| (200, reply));
    let len = reply.len();
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-length: {len}\r\nconnection: close\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n"
    );
    socket.write_all(format!("{head}{reply}").as_bytes()).ok()
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
