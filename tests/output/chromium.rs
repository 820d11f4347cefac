//! A headless Chromium, spoken to through two named pipes.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// A browser with one page open.
pub struct Chromium {
    child: Child,
    to: File,
    from: BufReader<File>,
    _profile: tempfile::TempDir,
    id: u64,
    session: Option<String>,
    /// All that it has told beside answers.
    pub events: Vec<Value>,
}

impl Chromium {
    /// Starts it, and opens a file in it.
    pub fn open(page: &Path) -> Self {
        let profile = tempfile::tempdir().expect("a directory");
        let pipe = |name: &str| {
            let path = profile.path().join(name);
            let made = Command::new("mkfifo").arg(&path).status();
            assert!(made.expect("mkfifo").success());
            path
        };
        let (down, up) = (pipe("down"), pipe("up"));
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-quic \
             --no-first-run --disable-background-networking --disable-component-update \
             --disable-sync --disable-default-apps --remote-debugging-pipe \
             --user-data-dir=\"$1/profile\" about:blank 3< \"$1/down\" 4> \"$1/up\"";
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(profile.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        // Each waits for the other side, so a Chromium that is missing must open neither.
        let there = Command::new("sh")
            .args(["-c", "command -v chromium"])
            .output();
        assert!(
            there.is_ok_and(|found| found.status.success()),
            "chromium is needed (Debian: chromium; .ci/test installs it)"
        );
        let to = File::options()
            .write(true)
            .open(down)
            .expect("the way there");
        let from = File::open(up).expect("the way back");
        let mut browser = Self {
            child,
            to,
            from: BufReader::new(from),
            _profile: profile,
            id: 0,
            session: None,
            events: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let params = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", params);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let focused = json!({ "enabled": true });
        browser.call("Emulation.setFocusEmulationEnabled", focused);
        let url = format!("file://{}", page.display());
        browser.call("Page.navigate", json!({ "url": url }));
        browser.wait_for("Page.loadEventFired");
        browser
    }

    /// Calls a method of the protocol, and gives its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let mut message = json!({ "id": self.id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).expect("it listens");
        loop {
            let message = self.read();
            if message["id"] == json!(self.id) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    /// Reads until it tells of this.
    fn wait_for(&mut self, event: &str) {
        while !self.events.iter().any(|told| told["method"] == event) {
            let message = self.read();
            self.events.push(message);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("it answers");
        assert_eq!(bytes.pop(), Some(0), "chromium has ended");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// The value of an expression in the page; a promise is waited for.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{result}");
        result["result"]["value"].clone()
    }

    /// Types a key.
    pub fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let params = json!({ "type": kind, "key": key, "text": key });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Presses a key that types nothing.
    pub fn named_key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let params = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text,
            });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Fails the test unless the page fits a phone, and can be printed.
    #[track_caller]
    pub fn fits_a_phone_and_paper(&mut self) {
        let phone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", phone);
        let width = self.value("document.documentElement.scrollWidth");
        assert_eq!(width, 360);
        self.call("Emulation.clearDeviceMetricsOverride", json!({}));
        let pdf = self.call("Page.printToPDF", json!({}));
        assert!(pdf["data"].as_str().is_some_and(|data| data.len() > 10_000));
    }

    /// What a screen reader hears, by its role.
    pub fn heard(&mut self) -> impl Fn(&str) -> Vec<String> + use<> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        move |role| {
            let nodes = tree["nodes"].as_array().expect("nodes").iter();
            nodes
                .filter(|node| node["ignored"] != true && node["role"]["value"] == role)
                .filter_map(|node| node["name"]["value"].as_str().map(str::to_owned))
                .collect()
        }
    }

    /// What it has told by this name.
    pub fn told(&self, event: &str) -> Vec<&Value> {
        let of = self.events.iter().filter(|told| told["method"] == event);
        of.map(|told| &told["params"]).collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
