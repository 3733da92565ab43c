//! `sagewire chat` at a terminal.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use serde_json::{Value, json};

use crate::process::{Local, TempFile};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

/// A terminal, with the text that it has shown.
struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    shown: Arc<Mutex<String>>,
    /// Bytes of the text that were compared already.
    seen: usize,
}

impl Terminal {
    fn new(local: &Local, args: &[&str]) -> Self {
        Self::with(local, args, |command| command)
    }

    fn with(local: &Local, args: &[&str], change: impl FnOnce(Command) -> Command) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(24, 500)).unwrap();
        let command = local.command(&[&["chat", "--endpoint", "e", "--retries", "0"], args].concat());
        let child = change(Command::from(command).env("TERM", "xterm")).spawn(pts).unwrap();
        let (pty, shown) = (Arc::new(pty), Arc::new(Mutex::new(String::new())));
        let (reader, screen) = (Arc::clone(&pty), Arc::clone(&shown));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match (&*reader).read(&mut buffer) {
                    Ok(0) => break,
                    Ok(len) => screen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..len])),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        });
        Self { pty, child, shown, seen: 0 }
    }

    /// Waits until the terminal shows a text, after those that were compared already.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            let shown = self.shown.lock().unwrap().clone();
            if let Some(at) = shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no {text:?} in {:?}", &shown[self.seen..]);
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn types(&self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn prompts(&mut self, text: &str) {
        self.shows("> ");
        self.types(&format!("{text}\r"));
    }

    #[track_caller]
    fn ends(&mut self, code: i32) {
        assert_eq!(self.child.wait().unwrap().code(), Some(code), "{:?}", self.shown.lock().unwrap());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn assistant(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

fn chunk(delta: &Value, finish: &Value) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
}

#[test]
fn a_conversation_is_kept() {
    let local = Local::new();
    let mut terminal = Terminal::new(&local, &["--system", "Be brief.", "--max-tokens", "3"]);
    terminal.shows("note: Ctrl-C stops a response, Ctrl-D ends the conversation");
    terminal.prompts("one");
    terminal.shows("You said: “one”");
    terminal.prompts("");
    terminal.prompts("two");
    terminal.shows("You said: “two”");
    terminal.shows("> ");
    let system = json!({"role": "system", "content": "Be brief."});
    let messages = json!([system, user("one"), assistant("You said: “one”"), user("two")]);
    assert_eq!(local.last()["messages"], messages);
    assert_eq!(local.requests().len(), 2);
    // A line that is discarded, and the previous one from the history.
    terminal.types("three");
    terminal.types(CTRL_C);
    terminal.shows("> ");
    terminal.types("\x1b[A\r");
    terminal.shows("You said: “two”");
    terminal.shows("> ");
    assert_eq!(local.last()["messages"].as_array().unwrap().len(), 6);
    terminal.types(CTRL_D);
    terminal.ends(0);
}

#[test]
fn a_response_can_be_stopped() {
    let body = chunk(&json!({"content": "so far"}), &Value::Null);
    let stalled = json!({"times": 1, "first_byte_ms": 300, "body": body, "content_type": "text/event-stream",
        "fault": {"stall": true, "after": body.len()}});
    let local = Local::scripted(&json!([stalled, {}]));
    let mut terminal = Terminal::new(&local, &["--max-tokens", "3"]);
    terminal.prompts("one");
    terminal.shows("waiting");
    terminal.shows("so far");
    terminal.types(CTRL_C);
    terminal.shows("note: response stopped");
    terminal.prompts("two");
    terminal.shows("You said: “two”");
    terminal.shows("> ");
    assert_eq!(local.last()["messages"], json!([user("one"), assistant("so far"), user("two")]));
    terminal.types(CTRL_D);
    terminal.ends(0);
}

#[test]
fn a_prompt_without_a_response_is_removed() {
    let local = Local::scripted(&json!([{"status": 503, "times": 1}, {"body": "", "times": 1}, {}]));
    let mut terminal = Terminal::new(&local, &["--max-tokens", "3"]);
    terminal.prompts("one");
    terminal.shows("service: 503 ");
    terminal.prompts("two");
    terminal.shows("truncated");
    terminal.prompts("three");
    terminal.shows("You said: “three”");
    assert_eq!(local.last()["messages"], json!([user("three")]));
    terminal.shows("> ");
    terminal.types(CTRL_D);
    terminal.ends(0);
}

#[test]
fn errors_that_would_recur_end_the_conversation() {
    let local = Local::new();
    let mut terminal = Terminal::new(&local, &["--target-model", "m"]);
    terminal.prompts("one");
    terminal.shows("usage: --target-model is not available");
    terminal.ends(2);
}

#[test]
fn results_of_tools_are_read_from_the_terminal() {
    let function = json!({"name": "weather", "arguments": "{\"city\":\"Paris\"}"});
    let call =
        json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]});
    let body =
        format!("{}{}data: [DONE]\n\n", chunk(&call, &Value::Null), chunk(&json!({}), &json!("tool_calls")));
    let response = format!("{}data: [DONE]\n\n", chunk(&json!({"content": "Rain."}), &json!("stop")));
    let rule = |body: &str| json!({"times": 1, "body": body, "content_type": "text/event-stream"});
    let local = Local::scripted(&json!([rule(&body), rule(&response)]));
    let tools = TempFile::new(r#"[{"type":"function","function":{"name":"weather"}}]"#);
    let mut terminal = Terminal::new(&local, &["--tools", tools.path()]);
    terminal.prompts("one");
    terminal.shows("weather {\"city\":\"Paris\"} = ");
    terminal.types("wet\r");
    terminal.shows("Rain.");
    terminal.shows("> ");
    let messages = local.last()["messages"].clone();
    assert_eq!(messages[1]["tool_calls"][0]["id"], "call_1");
    assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": "call_1", "content": "wet"}));
    terminal.types(CTRL_D);
    terminal.ends(0);
}

/// Sets the clipboard, clears the screen with a one-byte CSI, goes back to the start of the line, and reorders the rest.
const HOSTILE: &str = "a\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J\r\u{202e}b";
const SHOWN: &str = r"a\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J\r\u{202e}b";

#[test]
fn control_characters_of_the_model_do_not_reach_the_terminal() {
    let function = json!({"name": HOSTILE, "arguments": json!({"a": HOSTILE}).to_string()});
    let call =
        json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]});
    let body = format!(
        "{}{}{}data: [DONE]\n\n",
        chunk(&json!({"content": HOSTILE}), &Value::Null),
        chunk(&call, &Value::Null),
        chunk(&json!({}), &json!("tool_calls"))
    );
    let script = json!([{"body": body, "content_type": "text/event-stream"}]);
    let tools = TempFile::new(r#"[{"type":"function","function":{"name":"weather"}}]"#);
    let local = Local::scripted(&script);
    let mut terminal = Terminal::new(&local, &["--tools", tools.path()]);
    terminal.prompts("one");
    terminal.shows(SHOWN);
    terminal.shows(&format!("{SHOWN} {{"));
    terminal.shows(" = ");
    let shown = terminal.shown.lock().unwrap().clone();
    for sequence in ["\u{1b}]52", "\u{9b}", "\u{202e}"] {
        assert!(!shown.contains(sequence), "{sequence:?} in {shown:?}");
    }
    // With --raw the text is sent as it is. The name of a tool, in a question to the user, never is.
    let mut terminal = Terminal::new(&local, &["--raw", "--tools", tools.path()]);
    terminal.prompts("one");
    terminal.shows(HOSTILE);
    terminal.shows(&format!("{SHOWN} {{"));
    terminal.shows(" = ");
}

/// Standard output has the responses and nothing else.
#[test]
fn responses_can_be_redirected() {
    let local = Local::new();
    let mut terminal =
        Terminal::with(&local, &["--max-tokens", "3"], |command| command.stdout(Stdio::piped()));
    for text in ["one", "two"] {
        terminal.prompts(text);
    }
    terminal.shows("> ");
    terminal.types(CTRL_D);
    terminal.ends(0);
    let mut stdout = String::new();
    terminal.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "You said: “one”\nYou said: “two”\n");
}

#[test]
fn a_conversation_is_one_session() {
    let local = Local::new();
    let mut terminal = Terminal::new(&local, &["--session"]);
    terminal.prompts("one");
    terminal.shows("You said: “one”");
    terminal.prompts("two");
    terminal.shows("You said: “two”");
    terminal.shows("> ");
    terminal.types(CTRL_D);
    terminal.ends(0);
    let requests = local.requests();
    let ids: Vec<_> =
        requests.iter().map(|request| request.header("x-amzn-sagemaker-session-id").unwrap()).collect();
    assert_eq!((ids[0], ids.len()), ("NEW_SESSION", 4));
    assert!(ids[1..].iter().all(|id| *id == ids[1]), "{ids:?}");
    assert_eq!(requests[3].body, r#"{"requestType":"CLOSE"}"#);
}
