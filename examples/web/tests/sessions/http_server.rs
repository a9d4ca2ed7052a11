//! The server of the example `http` or `serve`, and its clients.

use crate::common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::DEADLINE;
use common::census::is_gone;
use common::example::{finish, program};
use common::isolated::skipped;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) const HTTP: &str = env!("CARGO_BIN_EXE_http");

/// The server, which ends with the test and takes its children with it.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
    dir: TempDir,
}

impl Server {
    /// `http` with these programs. Their scripts run in a directory of their own.
    pub(crate) fn start(programs: &[&str]) -> Self {
        Self::start_of(HTTP, programs)
    }

    /// Another one with these arguments after the port.
    pub(crate) fn start_of(server: &str, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut process = program(server)
            .arg("0")
            .args(args)
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("it said {line:?}"));
        Self {
            address: address.to_owned(),
            process,
            dir,
        }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// A request with this head, but for its end.
    pub(crate) fn ask(&self, head: &str) -> TcpStream {
        let mut client = TcpStream::connect(&self.address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client.set_write_timeout(Some(DEADLINE)).unwrap();
        write!(client, "{head} HTTP/1.1\r\nHost: test\r\n").unwrap();
        client
    }

    pub(crate) fn get(&self, path: &str) -> TcpStream {
        let mut client = self.ask(&format!("GET {path}"));
        client.write_all(b"\r\n").unwrap();
        client
    }

    pub(crate) fn post(&self, path: &str, length: usize) -> TcpStream {
        let mut client = self.ask(&format!("POST {path}"));
        write!(client, "Content-Length: {length}\r\n\r\n").unwrap();
        client
    }

    /// The pids that a script has put into a file, when it has.
    pub(crate) fn pids(&self, file: &str, count: usize) -> Vec<i32> {
        let path = self.path(file);
        soon(
            || {
                let text = fs::read_to_string(&path).ok()?;
                let pids: Vec<i32> = text
                    .split_whitespace()
                    .map_while(|pid| pid.parse().ok())
                    .collect();
                (text.ends_with('\n') && pids.len() == count).then_some(pids)
            },
            || format!("no {count} pids in {file}; {}", self.log()),
        )
    }

    pub(crate) fn curl(&self, args: &[&str], path: &str) -> Output {
        let mut curl = Command::new("curl");
        let url = format!("http://{}{path}", self.address);
        finish(
            curl.args(["--silent", "--show-error", "--no-buffer"])
                .args(args)
                .arg(url),
        )
    }

    /// The most memory that it ever used, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<usize>().unwrap() * 1024
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            // Ends it at once, and its children.
            self.signal(Signal::SIGINT);
            let begun = Instant::now();
            while begun.elapsed() < DEADLINE && matches!(self.process.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

pub(crate) fn soon<T>(mut look: impl FnMut() -> Option<T>, seen: impl Fn() -> String) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "{}", seen());
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn gone(pids: &[i32]) {
    let all = || pids.iter().all(|pid| is_gone(*pid)).then_some(());
    soon(all, || format!("of {pids:?} some live"));
}

/// Reads until `end` has come; gives all.
pub(crate) fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(end) {
        let mut byte = [0];
        let count = client.read(&mut byte).unwrap();
        assert_eq!(
            count,
            1,
            "no {end:?} in {:?}",
            String::from_utf8_lossy(&seen)
        );
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

pub(crate) fn read_head(client: &mut TcpStream) {
    let head = read_until(client, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
}

pub(crate) fn has_curl() -> bool {
    let has = Command::new("curl").arg("--version").output().is_ok();
    if !has {
        skipped("there is no curl");
    }
    has
}
