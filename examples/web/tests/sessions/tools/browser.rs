//! Chromium without a window, driven by its WebDriver.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SIGKILL, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::http;
use crate::common::DEADLINE;
use crate::common::isolated::skipped;

/// A key that is held down together with those that follow.
pub const CTRL: &str = "\u{e009}";

/// So often a driver is started that finds no port.
const TRIES: usize = 20;

pub struct Browser {
    driver: Child,
    address: String,
    session: String,
    /// Its profile, and whatever else it leaves.
    dir: tempfile::TempDir,
}

/// A driver, and its port unless it has ended. It takes a free port of IPv6, and ends if that of IPv4 is not free: any connection may
/// have that one.
fn start_driver(dir: &Path) -> io::Result<(Child, Option<String>)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .env("TMPDIR", dir)
        .env("HOME", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        let port = line.split("started successfully on port ").nth(1)?;
        Some(port.trim_end_matches('.').to_owned())
    });
    Ok((driver, port))
}

impl Browser {
    /// `None`, and a word to the user, where there is none.
    pub fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut tries = 0;
        let (driver, port) = loop {
            match start_driver(dir.path()) {
                Ok((driver, Some(port))) => break (driver, port),
                Ok((mut driver, None)) => drop(driver.wait()),
                Err(_) => {
                    skipped("there is no chromedriver (Debian: chromium, chromium-driver)");
                    return None;
                }
            }
            tries += 1;
            assert!(tries < TRIES, "no driver found a port");
        };
        let mut browser = Self {
            driver,
            address: format!("127.0.0.1:{port}"),
            session: String::new(),
            dir,
        };
        // Root needs the first one; containers have a small /dev/shm.
        let flags = [
            "no-sandbox",
            "headless=new",
            "disable-dev-shm-usage",
            "disable-gpu",
        ];
        let args = flags.map(|flag| format!("--{flag}"));
        let options = json!({ "args": args });
        let wanted = json!({ "alwaysMatch": { "goog:chromeOptions": options } });
        let made = browser.post("", &json!({ "capabilities": wanted }));
        browser.session = format!("/{}", made["sessionId"].as_str().unwrap());
        browser.post(
            "/timeouts",
            &json!({ "pageLoad": 60_000, "script": 60_000 }),
        );
        Some(browser)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let head = format!("{method} /session{}{path} HTTP/1.1", self.session);
        let (status, answer) = http::request(&self.address, &head, body);
        assert_eq!(status, 200, "{head}: {answer}");
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        answer["value"].take()
    }

    pub fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// The value of a function's body.
    pub fn script(&self, body: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// Waits until the function's body gives something else than null; fails with what `seen` gives.
    pub fn wait(&self, body: &str, seen: &str) -> Value {
        let begun = Instant::now();
        loop {
            let value = self.script(body);
            if !value.is_null() {
                return value;
            }
            let late = begun.elapsed() > DEADLINE;
            assert!(!late, "waited for {body}; saw {}", self.script(seen));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses the keys, one after the other, in the element that has the focus.
    pub fn press(&self, keys: &str) {
        let element = self.ask("GET", "/element/active", "");
        let id = element.as_object().unwrap().values().next().unwrap();
        let path = format!("/element/{}/value", id.as_str().unwrap());
        self.post(&path, &json!({ "text": keys }));
    }

    pub fn resize(&self, width: u32, height: u32) {
        self.post("/window/rect", &json!({ "width": width, "height": height }));
    }

    /// Opens another window, and works in that from now on.
    pub fn open_window(&self) {
        let window = self.post("/window/new", &json!({ "type": "window" }));
        self.go_to_window(&window["handle"]);
    }

    pub fn window(&self) -> Value {
        self.ask("GET", "/window", "")
    }

    pub fn go_to_window(&self, handle: &Value) {
        self.post("/window", &json!({ "handle": handle }));
    }

    /// What the window shows, as PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        let shot = self.ask("GET", "/screenshot", "");
        base64(shot.as_str().unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver waits for the end of its browser. Without a session there is none.
        if !self.session.is_empty() {
            let _ = catch_unwind(AssertUnwindSafe(|| self.ask("DELETE", "", "")));
        }
        let _ = killpg(Pid::from_raw(self.driver.id().cast_signed()), SIGKILL);
        let _ = self.driver.wait();
        // Those that note its crashes are in groups of their own. Each process of it has the directory among its arguments.
        let dir = self.dir.path().to_str().unwrap();
        let begun = Instant::now();
        while let Some(pid) = process_with(dir) {
            let _ = kill(Pid::from_raw(pid), SIGKILL);
            if begun.elapsed() > DEADLINE {
                eprintln!("{pid} of the browser lives on");
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text
        .bytes()
        .map_while(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let digits: Vec<usize> = digits.collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let number =
            four.iter().fold(0, |number, digit| number << 6 | digit) << (6 * (4 - four.len()));
        (0..four.len() - 1).map(move |n| u8::try_from(number >> (16 - 8 * n) & 0xff).unwrap())
    });
    bytes.collect()
}

/// A process that has `word` in its arguments.
fn process_with(word: &str) -> Option<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    })
}
