//! A Valkey or Redis server of a test, on a free port of loopback, with nothing on disk.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server, which ends with this value.
pub struct StateServer {
    process: Child,
    program: &'static str,
    port: u16,
    options: Vec<String>,
}

impl StateServer {
    /// Starts a server. `None`, and a line that says so, where none is installed.
    pub fn start() -> Option<Self> {
        Self::start_with(|port| vec!["--port".into(), port.to_string()])
    }

    /// The same, with options of its own, made of the port.
    pub fn start_with(options: impl FnOnce(u16) -> Vec<String>) -> Option<Self> {
        let installed = |program: &&str| {
            let version =
                Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        };
        let Some(program) = ["valkey-server", "redis-server"].into_iter().find(installed) else {
            eprintln!("skipped: needs valkey-server or redis-server");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().port();
        let options = options(port);
        Some(Self { process: run(program, port, &options), program, port, options })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The process stands still; its sockets remain open.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// The process is gone, with all its data.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        self.process = run(self.program, self.port, &self.options);
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }
}

impl Drop for StateServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(program: &str, port: u16, options: &[String]) -> Child {
    let process = Command::new(program)
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "{program} does not listen on port {port}");
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}
