//! `sagewire serve` with its optional features: traces over OTLP, and sockets of systemd.

#[cfg(feature = "otlp")]
mod traces {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{self, Sender};
    use std::time::Duration;

    use serde_json::json;

    use crate::process::command;
    use crate::serve::Serve;

    /// A field of a message of Protocol Buffers, as far as traces have them
    /// (<https://protobuf.dev/programming-guides/encoding/>).
    #[derive(Clone, Debug, PartialEq)]
    enum Field<'a> {
        Number(u64),
        Bytes(&'a [u8]),
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = bytes.split_first().expect("a number");
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }

    fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(len);
        *bytes = rest;
        taken
    }

    /// The fields of a message with this number.
    fn fields(mut message: &[u8], wanted: u64) -> Vec<Field<'_>> {
        let mut found = Vec::new();
        while !message.is_empty() {
            let tag = varint(&mut message);
            let field = match tag & 7 {
                0 => Field::Number(varint(&mut message)),
                1 => Field::Bytes(take(&mut message, 8)),
                2 => {
                    let len = varint(&mut message) as usize;
                    Field::Bytes(take(&mut message, len))
                }
                5 => Field::Bytes(take(&mut message, 4)),
                kind => panic!("no such kind of field: {kind}"),
            };
            if tag >> 3 == wanted {
                found.push(field);
            }
        }
        found
    }

    /// The messages along a path of numbers.
    fn messages<'a>(message: &'a [u8], path: &[u64]) -> Vec<&'a [u8]> {
        path.iter().fold(vec![message], |found, number| {
            let inner = found.into_iter().flat_map(|message| fields(message, *number));
            inner.map(|field| if let Field::Bytes(bytes) = field { bytes } else { &[] }).collect()
        })
    }

    /// The value of an attribute of a span: a text, or a number as one.
    fn attribute(span: &[u8], name: &str) -> Option<String> {
        let found =
            messages(span, &[9]).into_iter().find(|pair| messages(pair, &[1]) == [name.as_bytes()])?;
        let value = messages(found, &[2]).pop()?;
        match (&fields(value, 1)[..], &fields(value, 3)[..]) {
            ([Field::Bytes(text)], _) => Some(String::from_utf8_lossy(text).into_owned()),
            (_, [Field::Number(number)]) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A collector: the path and the body of what it gets.
    fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || serve(socket, &sender));
            }
        });
        (url, receiver)
    }

    fn serve(socket: TcpStream, sender: &Sender<(String, Vec<u8>)>) {
        let mut reader = BufReader::new(socket);
        loop {
            let (mut line, mut len) = (String::new(), 0);
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                if header.trim().is_empty() {
                    break;
                }
                if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                    len = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; len];
            reader.read_exact(&mut body).unwrap();
            let _ = sender.send((line, body));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            reader.get_mut().write_all(head.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_request_is_a_span_in_the_trace_of_its_client() {
        let (url, received) = collector();
        let mut command = command(&["serve", "--demo"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url).env("OTEL_BSP_SCHEDULE_DELAY", "50");
        let serve = Serve::new(command);
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let body =
            json!({"model": "demo-tgi", "max_tokens": 200, "messages": [{"role": "user", "content": "hi"}]});
        // A client that does not record its trace gets no span.
        for flags in ["00", "01"] {
            let header = format!("traceparent: 00-{trace}-{parent}-{flags}\r\n");
            let (status, response) = serve.post_with("/v1/chat/completions", &header, &body);
            assert_eq!(status, 200, "{response}");
        }
        let (line, body) = received.recv_timeout(Duration::from_secs(20)).expect("an export");
        assert!(line.starts_with("POST /v1/traces "), "{line}");
        let spans = messages(&body, &[1, 2, 2]);
        let [span] = &spans[..] else { panic!("{} spans", spans.len()) };
        let hex = |number| {
            let bytes = messages(span, &[number]).concat();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!((hex(1).as_str(), hex(4).as_str()), (trace, parent));
        assert_eq!(messages(span, &[5]), [b"/v1/chat/completions"]);
        for (name, value) in [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.request.model", "demo-tgi"),
            ("http.route", "/v1/chat/completions"),
            ("http.response.status_code", "200"),
            ("sagewire.ending", "complete"),
            ("sagewire.attempts", "1"),
        ] {
            assert_eq!(attribute(span, name).as_deref(), Some(value), "{name}");
        }
        let tokens: u64 = attribute(span, "gen_ai.usage.output_tokens").expect("counts").parse().unwrap();
        assert!(tokens > 0);
        let resource = messages(&body, &[1, 1, 1]);
        let service = resource.iter().find(|pair| messages(pair, &[1]) == [b"service.name"]);
        assert_eq!(messages(service.expect("a name"), &[2, 1]), [b"sagewire"]);
    }
}

#[cfg(all(feature = "systemd", target_os = "linux"))]
mod systemd {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use crate::serve::{Serve, request};

    /// Hands over the socket that the shell has as standard input, as systemd does: as descriptor 3, for its own process.
    const HAND_OVER: &str = r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#;

    #[test]
    fn a_socket_is_taken_over() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let path = std::env::temp_dir().join(format!("sagewire-notify-{}", std::process::id()));
        let notified = UnixDatagram::bind(&path).unwrap();
        notified.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_sagewire"), "serve", "--demo"]);
        command.args(["--listen", &address.to_string(), "--admin", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", &path).stdin(Stdio::from(OwnedFd::from(socket)));
        // A client that connects before the gateway has started waits.
        let client = std::thread::spawn(move || request(&address.to_string(), "GET /v1/models", "\r\n"));
        let serve = Serve::start(command);
        assert_eq!(serve.url, address.to_string());
        let mut message = [0; 64];
        let mut next = || {
            let len = notified.recv(&mut message).expect("a message");
            String::from_utf8_lossy(&message[..len]).trim().to_owned()
        };
        assert_eq!(next(), "READY=1");
        let (status, models) = client.join().unwrap();
        assert!(status == 200 && models.contains("demo-tgi"), "{status}: {models}");
        assert_eq!(serve.terminate(), 0);
        assert_eq!(next(), "STOPPING=1");
        std::fs::remove_file(&path).unwrap();
    }

    /// A socket that no address of the configuration has is a mistake: its clients would wait for ever.
    #[test]
    fn a_socket_without_an_address_is_refused() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_sagewire"), "serve", "--demo"]);
        command.args(["--listen", "127.0.0.1:0", "--admin", "off"]);
        let output = command.stdin(Stdio::from(OwnedFd::from(socket))).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && error.contains("no address of the configuration"),
            "{error}"
        );
    }
}
