//! The example `web_terminal` as a server under test, a viewer of it that is no browser, and its page in a browser.

use super::browser::Browser;
use super::websocket::{Frame, WebSocket};
use crate::common::DEADLINE;
use crate::common::census::{is_gone, state_and_parent};
use crate::common::example::program;
use crate::common::isolated::skipped;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub const WEB_TERMINAL: &str = env!("CARGO_BIN_EXE_web_terminal");
pub const XTERM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web_terminal/node_modules");

/// What the terminal of the page has, line by line.
pub const SCREEN: &str = "
    const buffer = terminal.buffer.active;
    let text = '';
    for (let row = Math.max(0, buffer.length - 100); row < buffer.length; row++) {
        const line = buffer.getLine(row);
        text += (line.isWrapped || row === 0 ? '' : '\\n') + line.translateToString(true);
    }
    return text.trimEnd();";

pub struct Server {
    pub process: Child,
    pub address: String,
    /// Bash's home, without any settings.
    _home: tempfile::TempDir,
}

impl Server {
    /// `None`, and a word to the user, where the page's parts are not installed.
    pub fn start(settings: &[(&str, &str)]) -> Option<Self> {
        if !Path::new(XTERM).exists() {
            skipped("xterm.js is not installed: npm ci --prefix examples/web/web_terminal");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut process = program(WEB_TERMINAL)
            .env("PORT", "0")
            .env("HOME", home.path())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("open http://");
        let address = address.unwrap_or_else(|| panic!("it said {line:?}"));
        Some(Self {
            address: address.trim_end_matches('/').to_owned(),
            process,
            _home: home,
        })
    }

    /// A viewer that is no browser, and has a window of 24 rows.
    pub fn view(&self, session: &str) -> Viewer {
        let origin = format!("Origin: http://{}\r\n", self.address);
        let path = format!("/sessions/{session}");
        let mut socket = WebSocket::open(&self.address, &path, &origin).unwrap_or_else(|status| {
            panic!("refused with {status}");
        });
        socket.text("24 80");
        Viewer::of(socket)
    }

    pub fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub struct Viewer {
    pub socket: WebSocket,
    pub seen: String,
}

impl Viewer {
    pub const fn of(socket: WebSocket) -> Self {
        let seen = String::new();
        Self { socket, seen }
    }

    pub fn types(&mut self, keys: &str) {
        self.socket.binary(keys.as_bytes());
    }

    /// Shows what comes until `text` does, and gives that and what came before.
    pub fn sees(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            self.shows();
        }
    }

    /// Shows the next that comes.
    pub fn shows(&mut self) {
        match self.socket.next() {
            Some(Frame::Binary(shown)) => {
                self.seen += &String::from_utf8_lossy(&shown);
                self.socket.text("shown");
            }
            other => panic!("{other:?} came; saw {:?}", self.seen),
        }
    }

    /// Types a command, and what prints a pid; gives that.
    pub fn pid(&mut self, command: &str, which: &str) -> i32 {
        // What is typed is echoed, and is not what it prints.
        self.types(&format!("{command} echo pid$((1+1))={which}.\r"));
        self.after("pid2=").parse().unwrap()
    }

    /// Starts a job in the background, and gives its pid when `sleep` runs: a shell that is not yet `sleep` may miss a signal.
    pub fn job(&mut self, command: &str) -> i32 {
        let job = self.pid(command, "$!");
        let name = || std::fs::read_to_string(format!("/proc/{job}/comm")).unwrap_or_default();
        wait("sleep", || name() == "sleep\n", name);
        job
    }

    /// What comes after `beginning`, to a full stop.
    pub fn after(&mut self, beginning: &str) -> String {
        self.sees(beginning);
        self.sees(".").trim_end_matches('.').to_owned()
    }

    /// Shows all that comes until it is told that it is over, and gives the reason; empty if it is told none.
    pub fn closed(mut self) -> String {
        loop {
            match self.socket.next() {
                Some(Frame::Binary(_)) => self.socket.text("shown"),
                Some(Frame::Close(reason)) => return reason,
                None => return String::new(),
            }
        }
    }
}

/// Waits for what can only be looked at; fails with what `seen` gives.
pub fn wait(what: &str, condition: impl Fn() -> bool, seen: impl Fn() -> String) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < DEADLINE,
            "waited for {what}; saw {}",
            seen()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn gone(pid: i32) {
    let seen = || format!("{:?}", state_and_parent(pid));
    wait("a death", || is_gone(pid), seen);
}

/// A page with a terminal, in a browser.
pub struct Page {
    pub browser: Browser,
    pub server: Server,
}

impl Page {
    pub fn open() -> Option<Self> {
        let server = Server::start(&[])?;
        let browser = Browser::start()?;
        let page = Self { browser, server };
        page.go();
        Some(page)
    }

    /// Waits for the first thing that bash shows: what is typed before that is nobody's.
    pub fn go(&self) {
        self.browser.go(&format!("http://{}/", self.server.address));
        self.is_ready();
    }

    pub fn is_ready(&self) {
        self.browser.wait("return replayed || null", SCREEN);
    }

    /// Waits until a line of the screen is `line`.
    pub fn shows(&self, line: &str) {
        let lines = format!("(() => {{ {SCREEN} }})().split('\\n')");
        let there = format!("return {lines}.includes({line:?}) || null");
        self.browser.wait(&there, SCREEN);
    }

    pub fn screen(&self) -> String {
        self.browser.script(SCREEN).as_str().unwrap().to_owned()
    }
}
