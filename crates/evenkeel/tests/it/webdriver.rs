//! A browser that is driven: headless Chromium through chromedriver (W3C WebDriver), over plain HTTP.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{eventually, free_port};

const START_LIMIT: Duration = Duration::from_secs(60);
/// How long the page may take to show something.
const SHOW_LIMIT: Duration = Duration::from_secs(20);

/// A browser with one window. Ends with its value.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// The browser's profile; goes last.
    _profile: TempDir,
}

impl Browser {
    /// Starts one; `None` where Chromium or its driver is not installed.
    pub(crate) fn start() -> Option<Self> {
        Command::new("chromium").arg("--version").output().ok()?;
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let profile = TempDir::new().unwrap();
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        eventually(START_LIMIT, "chromedriver listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let made = browser.request("POST", "/session", Some(&wanted));
        browser.session = made["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map_or_else(String::new, Value::to_string);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(START_LIMIT)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let answer: Value = serde_json::from_slice(&body_of(BufReader::new(stream))).unwrap();
        answer["value"].clone()
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let value = self.ask(method, path, body);
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }

    fn command(&self, name: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{name}", self.session);
        self.request("POST", &path, Some(body))
    }

    pub(crate) fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.command("window/rect", &json!({"width": width, "height": height}));
    }

    /// What a script returns.
    pub(crate) fn eval(&self, script: &str) -> Value {
        let body = json!({"script": format!("return ({script});"), "args": []});
        self.command("execute/sync", &body)
    }

    /// The text that an element shows.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!("document.querySelector({selector:?})?.innerText ?? ''");
        self.eval(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Presses a button as a user would: it must be there and be seen. The page may draw it anew between the two.
    pub(crate) fn press(&self, text: &str) {
        let path = format!("//button[normalize-space()={text:?}]");
        let limit = std::time::Instant::now() + SHOW_LIMIT;
        loop {
            let found = self.command("element", &json!({"using": "xpath", "value": path}));
            let id = found.as_object().unwrap().values().next().unwrap();
            let click = format!(
                "/session/{}/element/{}/click",
                self.session,
                id.as_str().unwrap()
            );
            let clicked = self.ask("POST", &click, Some(&json!({})));
            let Some(error) = clicked.get("error") else {
                return;
            };
            let is_redrawn = error == "stale element reference";
            let is_late = std::time::Instant::now() >= limit;
            assert!(is_redrawn && !is_late, "{text}: {clicked}");
        }
    }

    /// Waits until a text is as wanted.
    pub(crate) fn sees(&self, what: &str, selector: &str, wanted: impl Fn(&str) -> bool) {
        let mut last = String::new();
        let limit = std::time::Instant::now() + SHOW_LIMIT;
        while std::time::Instant::now() < limit {
            last = self.text(selector);
            if wanted(&last) {
                return;
            }
        }
        panic!("the page does not show {what}; {selector} says: {last}");
    }

    /// Writes what the window shows to a file, where one is asked for by `EVENKEEL_SCREENSHOTS=DIR`.
    pub(crate) fn picture(&self, name: &str) {
        let Ok(dir) = std::env::var("EVENKEEL_SCREENSHOTS") else {
            return;
        };
        let path = format!("/session/{}/screenshot", self.session);
        let picture = self.request("GET", &path, None);
        let bytes = from_base64(picture.as_str().unwrap());
        std::fs::write(std::path::Path::new(&dir).join(name), bytes).unwrap();
    }

    /// What scripts complained about.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({"type": "browser"}));
        let lines = log.as_array().cloned().unwrap_or_default();
        let severe = lines.iter().filter(|line| line["level"] == "SEVERE");
        severe.map(|line| line["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            let path = format!("/session/{}", self.session);
            self.request("DELETE", &path, None);
        }
        // It may have ended already; Chromium ends with it.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The body of an HTTP response. The driver may keep the connection open behind it.
fn body_of(mut response: impl BufRead) -> Vec<u8> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        response.read_line(&mut line).unwrap();
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    response.read_exact(&mut body).unwrap();
    body
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut have, mut out) = (0_u32, 0, Vec::new());
    for digit in text.bytes() {
        let Some(value) = DIGITS.iter().position(|known| *known == digit) else {
            continue;
        };
        bits = bits << 6 | u32::try_from(value).unwrap();
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push(u8::try_from(bits >> have & 0xff).unwrap());
        }
    }
    out
}
