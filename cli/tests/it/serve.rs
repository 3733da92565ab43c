//! `sagewire serve`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::process::{Emulate, TempFile, calling, command, sagewire};

/// `sagewire serve` as a process.
pub(crate) struct Serve {
    child: Child,
    pub(crate) url: String,
    admin: String,
}

impl Serve {
    /// Starts it on free ports.
    pub(crate) fn new(mut command: std::process::Command) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        Self::start(command)
    }

    /// Starts it with these arguments.
    pub(crate) fn start(mut command: std::process::Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut url = |prefix: &str| {
            let line = lines.next().expect("a line").unwrap();
            line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line:?}")).to_owned()
        };
        let (url, admin) = (url("listening on http://"), url("admin on http://"));
        Self { child, url, admin }
    }

    fn demo() -> Self {
        Self::new(command(&["serve", "--demo"]))
    }

    /// The status and the body of a response.
    fn post(&self, path: &str, body: &Value) -> (u16, String) {
        self.post_with(path, "", body)
    }

    /// The same for a request with these headers.
    pub(crate) fn post_with(&self, path: &str, headers: &str, body: &Value) -> (u16, String) {
        let body = body.to_string();
        let len = body.len();
        request(
            &self.url,
            &format!("POST {path}"),
            &format!("content-type: application/json\r\n{headers}content-length: {len}\r\n\r\n{body}"),
        )
    }

    #[cfg(unix)]
    pub(crate) fn terminate(mut self) -> i32 {
        let pid = self.child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.child.wait().unwrap().code().expect("an exit code")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn request(address: &str, line: &str, rest: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{rest}").unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{response:?}"));
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn the_demo_serves_every_model_to_every_client() {
    let serve = Serve::demo();
    let (status, models) = request(&serve.url, "GET /v1/models", "\r\n");
    assert_eq!(status, 200);
    for model in ["demo-openai", "demo-tgi", "demo-lmi", "demo-anthropic"] {
        assert!(models.contains(model), "{models}");
        let messages = json!([{"role": "user", "content": "Hello"}]);
        for (path, end) in [("/v1/chat/completions", "data: [DONE]"), ("/v1/messages", "message_stop")] {
            let body = json!({"model": model, "messages": messages, "stream": true, "max_tokens": 300});
            let (status, stream) = serve.post(path, &body);
            assert!(status == 200 && stream.contains(end), "{model} {path}: {status} {stream}");
        }
        let body = json!({"model": model, "messages": messages, "max_tokens": 300});
        let (status, response) = serve.post("/chat/completions", &body);
        assert!(status == 200 && response.contains("Nothing was lost on the way"), "{model}: {response}");
    }
    let (status, response) =
        serve.post("/v1/embeddings", &json!({"model": "demo-embeddings", "input": ["a", "b"]}));
    assert!(status == 200 && response.matches("\"embedding\":").count() >= 2, "{response}");
    let (status, _) = request(&serve.admin, "GET /live", "\r\n");
    assert_eq!(status, 200);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_with_success() {
    assert_eq!(Serve::demo().terminate(), 0);
}

#[test]
fn endpoints_need_no_file() {
    let emulate = Emulate::new(&["--format", "tgi"]);
    let options =
        ["serve", "--endpoint", "my-tgi", "--endpoint", "other", "--format", "tgi", "--template", "llama3"];
    let serve = Serve::new(calling(&emulate.url, &options));
    for model in ["my-tgi", "other"] {
        let body =
            json!({"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 300});
        let (status, response) = serve.post("/v1/chat/completions", &body);
        assert!(status == 200 && response.contains("Nothing was lost on the way"), "{status} {response}");
    }
}

#[test]
fn files_are_checked_without_a_server() {
    let valid = TempFile::ending(
        ".yaml",
        "models:\n  - {name: a, url: 'http://localhost:1/v1', api_key: canary-4711}\n",
    );
    let run = sagewire(&["serve", "--check", valid.path()], b"");
    let path = valid.path();
    assert_eq!((run.code, run.text()), (0, &*format!("{path}: valid: models 1, keys 0\n")), "{run:?}");
    assert!(run.stderr.starts_with(&format!("{path}:2:54: note: the secret is in the file")), "{run:?}");

    let invalid = TempFile::ending(".yaml", "models:\n  - {name: a, endpiont: a}\nlosses: canary-4711\n");
    for option in ["--check", "--config"] {
        let run = sagewire(&["serve", option, invalid.path()], b"");
        let lines: Vec<&str> = run.stderr.lines().collect();
        let path = invalid.path();
        assert_eq!((run.code, run.stdout.len(), lines.len()), (2, 0, 4), "{run:?}");
        assert_eq!(
            lines[0],
            format!("{path}:2:5: a model has one of `endpoint`, `global_gateway` and `url`")
        );
        assert_eq!(lines[1], format!("{path}:2:15: unknown key `endpiont`; did you mean `endpoint`?"));
        assert_eq!(lines[2], format!("{path}:3:9: expected one of `report`, `refuse`"));
        assert_eq!(lines[3], format!("usage: {path}: 3 mistakes"));
        assert!(!run.stderr.contains("canary"));
    }
    let run = sagewire(&["serve", "--check", "no-such.yaml"], b"");
    assert!(
        run.code == 2 && run.stderr.starts_with("no-such.yaml:1:1: the file cannot be read: "),
        "{run:?}"
    );
}

#[test]
fn a_schema_and_keys_are_printed() {
    let schema: Value =
        serde_json::from_slice(&sagewire(&["serve", "--schema"], b"").succeeds().stdout).unwrap();
    assert!(schema["properties"]["models"].is_object());
    let run = sagewire(&["serve", "--new-key", "team-a"], b"").succeeds();
    let (key, entry) = run.text().split_once("\n\n").unwrap();
    assert!(
        key.starts_with("sk-")
            && entry.contains("- name: \"team-a\"\n  hash: \"sha256:")
            && !entry.contains(key)
    );
}

#[test]
fn mistakes_in_arguments_are_one_line() {
    for (args, message) in [
        (&["serve"][..], "usage: the following required arguments were not provided:"),
        (&["serve", "--demo", "--schema"], "usage: the argument '--demo' cannot be used with '--schema'"),
        (
            &["serve", "--endpoint", "a", "--format", "tgi"],
            "usage: the format `tgi` takes a prompt, so a `template` is required",
        ),
        (&["serve", "--endpoint", "a", "--template", "lama9"], "usage: --template: "),
        (&["serve", "--endpoint", "a_b"], "usage: invalid request: endpoint \"a_b\""),
        (
            &["serve", "--endpoint", "a", "--listen", "0.0.0.0:0"],
            "usage: without `keys`, only loopback addresses",
        ),
        (
            &["serve", "--endpoint", "a", "--listen", "here"],
            "usage: invalid value 'here' for '--listen <ADDRESS>'",
        ),
        (
            &["serve", "--demo", "--admin", "there"],
            "usage: invalid value 'there' for '--admin <ADDRESS|off>'",
        ),
        (
            &["serve", "--demo", "--region", "x", "--format", "nonsense"],
            "usage: invalid value 'nonsense' for '--format",
        ),
    ] {
        let run = sagewire(args, b"");
        assert!(run.fails(2).starts_with(message), "{args:?}: {}", run.stderr);
    }
}
