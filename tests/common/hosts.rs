//! Hosts of monitors and pools that end in some way: this program once more, which runs one test of it alone. That test is no test but plays a role.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};
use tempfile::NamedTempFile;

use super::DEADLINE;
use super::census::is_gone;
use super::isolated::test_beside;

/// Says what the host does.
const ROLE: &str = "ACTIX_PROCESS_HOST_ROLE";
/// All that a host starts has it in its environment, but the guard.
const TAG: &str = "ACTIX_PROCESS_HOST_TAG";

/// The drop kills it and all that has its tag.
pub struct Host {
    child: Child,
    output: BufReader<ChildStdout>,
    log: NamedTempFile,
    tag: String,
}

/// The role of this process, if it is a host. Its log goes to its standard error then: warnings and worse.
pub fn role() -> Option<String> {
    let role = std::env::var(ROLE).ok()?;
    let logger = env_logger::Builder::new()
        .filter_level(log::LevelFilter::Warn)
        .try_init();
    assert!(logger.is_ok());
    Some(role)
}

/// Of a host: tells its test something.
pub fn tell(text: impl std::fmt::Display) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "\nhost: {text}");
    let _ = out.flush();
}

impl Host {
    /// A host that runs the test `host` of the calling test's module.
    pub fn start(role: &str) -> Self {
        static HOSTS: AtomicUsize = AtomicUsize::new(0);
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{role}-{}-{number}", std::process::id());
        let log = NamedTempFile::new().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                &test_beside("host"),
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .env(TAG, &tag)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            output,
            log,
            tag,
        }
    }

    /// What it tells next.
    pub fn told(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let count = self.output.read_line(&mut line).unwrap();
            assert!(count > 0, "the host has ended: {}", self.log());
            if let Some(text) = line.trim_end().strip_prefix("host: ") {
                return text.to_owned();
            }
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// The warnings of its log.
    pub fn warnings(&self) -> Vec<String> {
        let log = self.log();
        let warnings = log.lines().filter(|line| line.contains("WARN "));
        warnings.map(str::to_owned).collect()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).unwrap();
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut rest = Vec::new();
        let _ = self.output.read_to_end(&mut rest);
        self.child.wait().unwrap()
    }

    /// The processes of its services that live, and have `which` in their environment as well.
    pub fn services(&self, which: &str) -> Vec<i32> {
        let host = self.child.id().cast_signed();
        let tag = format!("{TAG}={}", self.tag);
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_of_it = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let has = |wanted: &str| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == wanted.as_bytes())
            };
            *pid != host && has(&tag) && (which.is_empty() || has(which)) && !is_gone(*pid)
        };
        pids.filter(is_of_it).collect()
    }

    /// Those that are in the session of the host, or whose child they are is unknown. Others have made a session of their own.
    pub fn services_in_its_session(&self) -> Vec<i32> {
        let session = |pid| getsid(Some(Pid::from_raw(pid))).map(Pid::as_raw).ok();
        let ours = session(0);
        let mut pids = self.services("");
        pids.retain(|pid| session(*pid) == ours && !is_gone(*pid));
        pids
    }

    /// Waits until `left` gives none.
    pub fn none_left(&self, left: impl Fn(&Self) -> Vec<i32>) {
        self.until_there_are(left, 0);
    }

    /// Waits until there are so many.
    pub fn until_there_are(&self, which: impl Fn(&Self) -> Vec<i32>, count: usize) {
        let begun = Instant::now();
        loop {
            let pids = which(self);
            if pids.len() == count {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{pids:?} live: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in self.services("") {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
