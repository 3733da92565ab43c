//! A raw TCP client: it signs with configurable mistakes, and returns the received bytes chunk by chunk.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningInstructions, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sagewire_codec::eventstream::Decoder;
use sagewire_emulator::{ACCESS_KEY_ID, Emulator, SECRET_ACCESS_KEY};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request. By default it is valid.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: String,
    pub(crate) key_id: &'static str,
    pub(crate) secret: &'static str,
    pub(crate) token: Option<&'static str>,
    pub(crate) service: &'static str,
    pub(crate) time: SystemTime,
    /// The host, instead of the emulator's address.
    pub(crate) host: Option<&'static str>,
    /// A bearer token, sent instead of a signature.
    pub(crate) bearer: Option<String>,
    /// Changes the request after it has been signed.
    pub(crate) tamper: fn(&mut String),
}

impl Request {
    pub(crate) fn new(path: &str, body: &str) -> Self {
        Self {
            method: "POST",
            path: path.into(),
            headers: vec![("content-type", "application/json")],
            body: body.into(),
            key_id: ACCESS_KEY_ID,
            secret: SECRET_ACCESS_KEY,
            token: None,
            service: "sagemaker",
            time: SystemTime::now(),
            host: None,
            bearer: None,
            tamper: |_| {},
        }
    }

    pub(crate) fn unary(endpoint: &str, body: &str) -> Self {
        Self::new(&format!("/endpoints/{endpoint}/invocations"), body)
    }

    pub(crate) fn stream(endpoint: &str, body: &str) -> Self {
        Self::new(&format!("/endpoints/{endpoint}/invocations-response-stream"), body)
    }

    /// A request to the OpenAI route, with a token generated for it.
    pub(crate) fn openai(endpoint: &str, body: &str) -> Self {
        let mut request = Self::new(&format!("/endpoints/{endpoint}/openai/v1/chat/completions"), body);
        request.bearer = Some(request.token());
        request
    }

    /// A bearer token, signed with this request's keys and time.
    pub(crate) fn token(&self) -> String {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(60));
        let url = "https://sagemaker.amazonaws.com/?Action=CallWithBearerToken";
        let signable = SignableRequest::new("POST", url, std::iter::empty(), SignableBody::Bytes(b""));
        let signed = self.sign(signable.unwrap(), settings);
        let mut token = url.trim_start_matches("https://").to_string();
        for (name, value) in signed.params() {
            token += &format!("&{name}={}", value.replace('/', "%2F"));
        }
        format!("sagemaker-api-key-{}", STANDARD.encode(token + "&Version=1"))
    }

    fn sign(&self, signable: SignableRequest<'_>, settings: SigningSettings) -> SigningInstructions {
        let identity =
            Credentials::new(self.key_id, self.secret, self.token.map(Into::into), None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-central-1")
            .name(self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        sign(signable, &params).unwrap().into_parts().0
    }

    /// Sends the request, and returns the socket.
    pub(crate) async fn connect(&self, emulator: &Emulator) -> TcpStream {
        let mut socket = TcpStream::connect(emulator.addr()).await.unwrap();
        socket.write_all(self.text(emulator).as_bytes()).await.unwrap();
        socket
    }

    /// Sends the request, and reads until the connection ends or no bytes arrive for half a second.
    pub(crate) async fn send(&self, emulator: &Emulator) -> Reply {
        let mut socket = self.connect(emulator).await;
        let mut bytes = Vec::new();
        let end = loop {
            match tokio::time::timeout(Duration::from_millis(500), socket.read_buf(&mut bytes)).await {
                Ok(Ok(0)) => break End::Fin,
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => break End::Reset,
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => break End::Silence,
            }
        };
        Reply::parse(&bytes, end)
    }

    /// The signed request for HTTP/2, in which `:authority` replaces the header `host`.
    pub(crate) fn http2(&self, emulator: &Emulator) -> axum::http::Request<axum::body::Body> {
        let host = emulator.addr().to_string();
        let signed = self.signed(&host);
        let headers = self.headers.iter().copied().chain(signed.headers());
        let request = axum::http::Request::builder().method(self.method).uri(format!(
            "{}{}",
            emulator.url(),
            self.path
        ));
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        request.body(self.body.clone().into()).unwrap()
    }

    fn signed(&self, host: &str) -> SigningInstructions {
        let headers = [("host", host)].into_iter().chain(self.headers.iter().copied());
        let uri = format!("http://{host}{}", self.path);
        let body = SignableBody::Bytes(self.body.as_bytes());
        let signable = SignableRequest::new(self.method, uri, headers, body).unwrap();
        self.sign(signable, SigningSettings::default())
    }

    fn text(&self, emulator: &Emulator) -> String {
        let host = self.host.map_or_else(|| emulator.addr().to_string(), Into::into);
        let mut headers: Vec<(&str, &str)> = vec![("host", &host)];
        headers.extend(self.headers.iter().copied());
        let signed = self.signed(&host);
        let bearer = self.bearer.as_ref().map(|token| format!("Bearer {token}"));
        let signed: Vec<(&str, &str)> = match &bearer {
            Some(bearer) => vec![("authorization", bearer)],
            None => signed.headers().collect(),
        };
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in headers.iter().copied().chain(signed) {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("connection: close\r\ncontent-length: {}\r\n\r\n{}", self.body.len(), self.body);
        (self.tamper)(&mut text);
        text
    }
}

/// How the connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
    /// It did not end.
    Silence,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) chunks: Vec<Vec<u8>>,
    /// The body is complete: as many bytes as `content-length` announced, or with the last chunk.
    pub(crate) whole: bool,
    pub(crate) end: End,
}

impl Reply {
    fn parse(bytes: &[u8], end: End) -> Self {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let mut lines = std::str::from_utf8(&bytes[..head]).unwrap().lines();
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let mut reply = Self { status, headers, chunks: Vec::new(), whole: false, end };
        let mut body = &bytes[head..];
        if let Some(len) = reply.header("content-length") {
            reply.whole = body.len() == len.parse::<usize>().unwrap();
            reply.chunks.push(body.into());
            return reply;
        }
        while let Some(line) = body.windows(2).position(|window| window == b"\r\n") {
            let len = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
            reply.whole = len == 0;
            if len > 0 {
                reply.chunks.push(body[line + 2..line + 2 + len].into());
            }
            body = &body[line + 4 + len..];
        }
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body()).unwrap()
    }

    /// `:message-type` and payload of each frame, and the error after them.
    pub(crate) fn frames(&self) -> (Vec<(String, Vec<u8>)>, Option<String>) {
        let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
        let mut body = self.body().into();
        loop {
            match decoder.decode(&mut body) {
                Ok(Some(frame)) => {
                    let kind = frame.headers().get(":message-type").and_then(|value| value.as_str()).unwrap();
                    frames.push((kind.to_string(), frame.payload().to_vec()));
                }
                Ok(None) => return (frames, decoder.finish().err().map(|error| error.to_string())),
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }

    /// The bytes that the container sent: the payloads of all parts, joined.
    pub(crate) fn parts(&self) -> Vec<u8> {
        let (frames, error) = self.frames();
        assert_eq!(error, None);
        frames.into_iter().flat_map(|(_, payload)| payload).collect()
    }
}
