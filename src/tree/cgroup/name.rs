//! The names of cgroups that this crate makes: no two hosts ever have the same, and of each it can be
//! told whether its host is dead.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::sync::lock;

const PREFIX: &str = "actix-process";

/// A process that makes cgroups: a pid, told apart from others that have it later, or in another
/// namespace. (No cgroup outlives a reboot.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host {
    /// The number of the pid namespace.
    namespace: u64,
    pid: i32,
    /// In ticks since boot.
    start: u64,
}

impl Host {
    /// This process. Where /proc does not tell it, the numbers are 0, and nobody takes it for dead.
    pub(super) fn this() -> Self {
        static THIS: Mutex<Option<Host>> = Mutex::new(None);
        let pid = std::process::id().cast_signed();
        let mut this = lock(&THIS);
        // A fork is another process.
        match *this {
            Some(known) if known.pid == pid => known,
            _ => *this.insert(Self {
                namespace: pid_namespace().unwrap_or(0),
                pid,
                start: own_start().unwrap_or(0),
            }),
        }
    }

    /// A name that this process has not given before.
    pub(super) fn next_name(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let Self {
            namespace,
            pid,
            start,
        } = self;
        format!("{PREFIX}-{namespace}-{pid}-{start}-{count}")
    }
}

/// What a name says of the host that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameOf(Host);

impl NameOf {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
        let host = Host {
            namespace: numbers.next()?.parse().ok()?,
            pid: numbers.next()?.parse().ok()?,
            start: numbers.next()?.parse().ok()?,
        };
        let _count: u64 = numbers.next()?.parse().ok()?;
        numbers.next().is_none().then_some(Self(host))
    }

    /// Whether that process is surely no more, as far as `this` one can see.
    pub(super) fn is_dead(&self, this: &Host) -> bool {
        let Self(host) = self;
        // Pids of another namespace mean nothing here.
        if host.namespace == 0 || host.namespace != this.namespace || host.pid <= 0 {
            return false;
        }
        kill(Pid::from_raw(host.pid), None) == Err(Errno::ESRCH)
    }
}

fn pid_namespace() -> Option<u64> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    let link = link.to_str()?;
    link.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

/// When this process was started.
fn own_start() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command, in parentheses, may hold anything. After it comes the third field; the start is the 22nd.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Option<Host> {
        NameOf::parse(name).map(|NameOf(host)| host)
    }

    #[test]
    fn a_name_tells_its_host_and_no_two_are_alike() {
        let host = Host::this();
        assert_eq!(host.pid, std::process::id().cast_signed());
        assert_ne!((host.namespace, host.start), (0, 0));
        let (one, other) = (host.next_name(), host.next_name());
        assert_ne!(one, other);
        assert_eq!((parsed(&one), parsed(&other)), (Some(host), Some(host)));
        for strange in ["", "actix-process", "actix-process-1-2-3", "other-1-2-3-4"] {
            assert_eq!(parsed(strange), None, "{strange}");
        }
        assert_eq!(parsed(&format!("{one}-5")), None);
    }

    #[test]
    fn only_a_process_that_is_surely_no_more_is_dead() {
        let this = Host::this();
        let is_dead = |host: Host| NameOf(host).is_dead(&this);
        assert!(!is_dead(this));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        child.wait().unwrap();
        assert!(is_dead(Host { pid, ..this }));
        // Its pid is in use, maybe by a later process: nobody can tell.
        let start = this.start - 1;
        assert!(!is_dead(Host { start, ..this }));
        let namespace = this.namespace + 1;
        assert!(!is_dead(Host {
            namespace,
            pid,
            ..this
        }));
    }
}
