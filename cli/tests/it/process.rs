//! Runs the binary.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use sagewire_emulator::{Builder, Emulator, Request};
use serde_json::Value;

/// All emulated containers, and what the demo prints about the end of their streams.
pub(crate) const FORMATS: [(&str, &str); 14] = [
    ("openai", "complete"),
    ("anthropic", "complete"),
    ("responses", "complete"),
    ("cohere", "complete"),
    ("nova", "complete"),
    ("tgi", "complete"),
    ("jumpstart", "complete"),
    ("lmi", "complete"),
    ("lmi-vllm", "complete"),
    ("lmi-outputs", "not reported by this container"),
    ("triton", "not reported by this container"),
    ("llama-server", "complete"),
    ("sglang", "complete"),
    ("torchserve", "complete"),
];

/// The exit code and the output of a command.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as JSON lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks that the command failed with `code` and one line on standard error, which is returned.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        let line = self.stderr.strip_suffix('\n').expect("a line on stderr");
        assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
        line
    }

    /// Checks that the command succeeded without output on standard error.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{:?}", String::from_utf8_lossy(&self.stdout));
        self
    }
}

/// The binary, isolated from the AWS settings of this machine.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sagewire"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    for file in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env(file, std::env::temp_dir().join("sagewire-no-such-file"));
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary on `input`.
pub(crate) fn sagewire(args: &[&str], input: &[u8]) -> Run {
    run(command(args), input)
}

pub(crate) fn run(mut command: Command, input: &[u8]) -> Run {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // The command may end before it has read everything.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        code: output.status.code().expect("an exit code"),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Decodes `input`, and checks that the result does not depend on the size of the chunks.
#[track_caller]
pub(crate) fn decode(args: &[&str], input: &[u8]) -> Run {
    let run = |chunk: &str| sagewire(&[&["decode", "--chunk", chunk], args].concat(), input);
    let whole = run("65536");
    for chunk in ["1", "7"] {
        assert_eq!(run(chunk), whole, "--chunk {chunk} {args:?}");
    }
    whole
}

/// A file that is deleted when it is dropped.
#[derive(Debug)]
pub(crate) struct TempFile(pub(crate) PathBuf);

impl TempFile {
    pub(crate) fn new(text: &str) -> Self {
        Self::ending("", text)
    }

    /// A file with a name that ends with `end`.
    pub(crate) fn ending(end: &str, text: &(impl AsRef<[u8]> + ?Sized)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sagewire-{}-{}{end}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// `sagewire emulate` as a process.
#[derive(Debug)]
pub(crate) struct Emulate {
    pub(crate) child: Child,
    pub(crate) url: String,
    _script: Option<TempFile>,
}

impl Emulate {
    pub(crate) fn new(args: &[&str]) -> Self {
        Self::start(args, &[], None)
    }

    /// Starts it with environment variables.
    pub(crate) fn with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start(args, variables, None)
    }

    pub(crate) fn scripted(rules: &Value) -> Self {
        let script = TempFile::new(&serde_json::json!({ "rules": rules }).to_string());
        let path = script.path().to_string();
        Self::start(&["--script", &path], &[], Some(script))
    }

    fn start(args: &[&str], variables: &[(&str, &str)], script: Option<TempFile>) -> Self {
        let mut command = command(&[&["emulate", "--port", "0"], args].concat());
        let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.strip_prefix("listening on ").and_then(|line| line.strip_suffix('\n'));
        Self { child, url: url.expect("the first line").into(), _script: script }
    }

    /// Calls it with its default credentials.
    pub(crate) fn chat(&self, args: &[&str]) -> Run {
        run(self.command(args), b"")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        calling(&self.url, &[&["chat", "--endpoint", "my-llm"], args].concat())
    }
}

/// A command that calls an emulator, with its default credentials.
pub(crate) fn calling(url: &str, args: &[&str]) -> Command {
    let mut command = command(&[args, &["--region", "us-east-1"]].concat());
    // A token is created without a call.
    if args[0] != "token" {
        command.args(["--endpoint-url", url]);
    }
    command.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    command.env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    command
}

/// A server that sends these bytes in response to every request, and then closes the connection.
pub(crate) fn server(response: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.ends_with(b"}") {
                match socket.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(len) => request.extend_from_slice(&buffer[..len]),
                }
            }
            let _ = socket.write_all(response);
        }
    });
    url
}

/// An emulator in this process, which records its requests.
pub(crate) struct Local(Emulator);

impl Local {
    pub(crate) fn new() -> Self {
        Self::with(Emulator::builder())
    }

    pub(crate) fn scripted(rules: &Value) -> Self {
        let script = serde_json::json!({ "rules": rules }).to_string();
        Self::with(Emulator::builder().script(script.parse().unwrap()))
    }

    pub(crate) fn with(builder: Builder) -> Self {
        let (sender, receiver) = mpsc::channel();
        // The thread ends with the tests.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                sender.send(builder.start().await.unwrap()).unwrap();
                std::future::pending::<()>().await;
            });
        });
        Self(receiver.recv().unwrap())
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.0.requests()
    }

    /// The JSON body of the last request.
    pub(crate) fn last(&self) -> Value {
        serde_json::from_slice(&self.requests().last().unwrap().body).unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        calling(&self.url(), args)
    }

    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> Run {
        run(self.command(args), input)
    }

    pub(crate) fn chat(&self, args: &[&str]) -> Run {
        self.run(&[&["chat", "--endpoint", "my-llm"], args].concat(), b"")
    }
}

impl Drop for Emulate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
