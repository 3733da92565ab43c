//! Drives headless Chromium through the DevTools protocol, over pipes: <https://chromedevtools.github.io/devtools-protocol/>.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A browser is slow on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The protocol uses these descriptors.
const START: &str = "exec 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null; exec \"$@\"";

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    directory: PathBuf,
    session: Value,
    last_id: u64,
    /// Errors of the console, exceptions, and requests other than for the page itself.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// Starts the browser. `None` if Chromium is not installed, which a test reports as skipped.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let found = |binary: &&str| Command::new(binary).arg("--version").output().is_ok();
        let Some(binary) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(found) else {
            eprintln!("skipped: needs chromium");
            return None;
        };
        let directory = std::env::temp_dir().join(format!("sagewire-browser-{name}-{}", std::process::id()));
        let mut process = Command::new("sh")
            .args(["-c", START, "sh", binary, "--headless=new", "--no-sandbox", "--disable-gpu"])
            .args(["--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args(["--remote-debugging-pipe", &format!("--user-data-dir={}", directory.display())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while out.read_until(0, &mut message).is_ok_and(|len| len > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).unwrap();
                if sender.send(parsed).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let (session, complaints) = (Value::Null, Vec::new());
        let mut browser = Self { process, commands, messages, directory, session, last_id: 0, complaints };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", &target)["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": parameters});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        let id = json!(self.last_id);
        let answer = self.wait_for(|message| message["id"] == id);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn wait_for(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.messages.recv_timeout(TIMEOUT).expect("the browser answers");
            let parameters = &message["params"];
            match message["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" | "Log.entryAdded" => self.complaints.push(parameters.to_string()),
                "Runtime.consoleAPICalled" => self.complaints.push(parameters["args"].to_string()),
                "Network.requestWillBeSent" => {
                    let url = parameters["request"]["url"].as_str().unwrap();
                    let is_page = url.starts_with("file:///") && parameters["type"] == "Document";
                    if !is_page && url != "data:," {
                        self.complaints.push(format!("fetched {url}"));
                    }
                }
                _ => {}
            }
            if is_it(&message) {
                return message;
            }
        }
    }

    /// Opens a file in a window of this width, in dark or light.
    pub(crate) fn open(&mut self, path: &Path, width: u32, scheme: &str) {
        let height = if width < 600 { 844 } else { 900 };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        );
        let scheme = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", &json!({"features": [scheme]}));
        self.call("Page.navigate", &json!({"url": format!("file://{}", path.display())}));
        self.wait_for(|message| message["method"] == "Page.loadEventFired");
    }

    /// The value of an expression of JavaScript.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", &parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn wait_until(&mut self, expression: &str) {
        let condition = format!(
            "new Promise((done) => {{ const check = () => (({expression}) ? done(true) : setTimeout(check, 20)); check(); }})"
        );
        self.eval(&condition);
    }

    /// Clicks in the middle of an element, as a mouse does.
    pub(crate) fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        let at = self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector}); e.scrollIntoView({{block: 'center'}}); const r = \
             e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Presses a key, such as `Tab` or `/`.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowRight" => (39, ""),
            " " => (32, " "),
            key => (0, key),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if !text.is_empty() && kind == "keyDown" {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Types a text.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Writes a picture of the window if the environment variable `SAGEWIRE_SCREENSHOTS` names a directory.
    pub(crate) fn screenshot(&mut self, name: &str) {
        let Some(directory) = std::env::var_os("SAGEWIRE_SCREENSHOTS") else { return };
        let picture = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(PathBuf::from(directory).join(name), picture).unwrap();
    }

    /// Nothing is wider than the window, all text has the contrast of WCAG AA, and everything that can be operated has a name.
    pub(crate) fn check_page(&mut self, context: &str) {
        let widths = self.eval("[document.documentElement.scrollWidth, innerWidth]");
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "{context}: wider than the window: {widths}");
        let poor = self.eval(CONTRAST);
        assert_eq!(poor, json!([]), "{context}: contrast below 4.5");
        let nodes = self.call("Accessibility.getFullAXTree", &json!({}));
        for node in nodes["nodes"].as_array().unwrap() {
            let role = node["role"]["value"].as_str().unwrap_or_default();
            let is_control = ["button", "searchbox", "combobox", "checkbox", "table", "link"].contains(&role);
            if is_control && node["ignored"] != json!(true) {
                let name = node["name"]["value"].as_str().unwrap_or_default();
                assert!(!name.is_empty(), "{context}: a {role} has no name");
            }
        }
        assert_eq!(self.complaints, [] as [String; 0], "{context}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The texts in view whose contrast with what is behind them is too small: WCAG 2.2, 1.4.3.
const CONTRAST: &str = r"(() => {
  const rgba = (text) => text.match(/[\d.]+/g).map(Number);
  const channel = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !element.checkVisibility() || element.closest('script, style, option')) continue;
    const isSvg = element.closest('svg');
    const style = getComputedStyle(element);
    const [front, back] = [rgba(isSvg ? style.fill : style.color), behind(element)].map(luminance);
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) poor.push(`${element.className.baseVal ?? element.className}: ${element.textContent.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return poor;
})()";
