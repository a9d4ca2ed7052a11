//! The names of cgroups of services: each tells the host, the monitor, the start and the service that it was made for.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

const PREFIX: &str = "actix-monitor-";

/// A monitor that makes cgroups: the process, told apart from others that have its pid later or in another namespace, and a number
/// in that process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeafMaker {
    /// The number of the pid namespace; 0 if it is not known.
    namespace: u64,
    pub(super) pid: i32,
    /// When the process was started, in ticks since boot; 0 if it is not known.
    start: u64,
    monitor: u64,
}

impl LeafMaker {
    /// A new monitor of this process.
    pub(super) fn new() -> Self {
        static MONITORS: AtomicU64 = AtomicU64::new(0);
        let pid = std::process::id().cast_signed();
        Self {
            namespace: pid_namespace().unwrap_or(0),
            pid,
            start: start_of(pid).unwrap_or(0),
            monitor: MONITORS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The name of the cgroup for one start of a service. It has only the characters `a-zA-Z0-9_.-`.
    pub(super) fn name(&self, generation: u64, service: &str) -> String {
        /// The kernel takes 255 bytes in all.
        const MOST: usize = 64;
        let Self {
            namespace,
            pid,
            start,
            monitor,
        } = self;
        let mut name = format!("{PREFIX}{namespace}-{pid}-{start}-{monitor}-{generation}-");
        // The numbers before it tell it from others that are shortened to the same.
        name.extend(service.chars().take(MOST).map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => c,
            _ => '_',
        }));
        name
    }

    /// The monitor that made a cgroup of this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.splitn(6, '-');
        let maker = Self {
            namespace: parts.next()?.parse().ok()?,
            pid: parts.next()?.parse().ok()?,
            start: parts.next()?.parse().ok()?,
            monitor: parts.next()?.parse().ok()?,
        };
        let _generation: u64 = parts.next()?.parse().ok()?;
        parts.next().map(|_service| maker)
    }

    /// Whether a monitor of this very process made it.
    pub(super) fn is_this_process(&self) -> bool {
        let this = Self {
            namespace: pid_namespace().unwrap_or(0),
            pid: std::process::id().cast_signed(),
            start: start_of(self.pid).unwrap_or(0),
            monitor: self.monitor,
        };
        this == *self && this.namespace != 0 && this.start != 0
    }

    /// Whether its process is surely no more, as far as `this` one can see.
    pub(super) fn is_dead(&self, this: &Self) -> bool {
        // Pids of another namespace mean nothing here.
        if self.namespace == 0 || self.namespace != this.namespace || self.pid <= 0 {
            return false;
        }
        if kill(Pid::from_raw(self.pid), None) == Err(Errno::ESRCH) {
            return true;
        }
        // A later process may have its pid.
        self.start != 0 && start_of(self.pid).is_some_and(|start| start > self.start)
    }
}

fn pid_namespace() -> Option<u64> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    let link = link.to_str()?;
    link.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

fn start_of(pid: i32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name of the program, in parentheses, may hold anything. After it comes the third field; the start is the 22nd.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_monitor_and_has_plain_characters_only() {
        let (maker, other) = (LeafMaker::new(), LeafMaker::new());
        assert_ne!(maker, other);
        let long = "x".repeat(1000);
        for (service, told) in [
            ("web", "-7-web"),
            ("a-b.c_D9", "-7-a-b.c_D9"),
            ("../..", "-7-.._.."),
            ("lsp@/src/ü\n\0", "-7-lsp__src____"),
            ("", "-7-"),
            (&long, &format!("-7-{}", "x".repeat(64))),
        ] {
            let name = maker.name(7, service);
            assert!(name.ends_with(told), "{name}");
            assert!(name.len() < 255, "{name}");
            assert_eq!(LeafMaker::parse(&name), Some(maker), "{name}");
        }
        for strange in [
            "",
            "web",
            "actix-monitor-1-2-3-4-5",
            "actix-monitor-1-2-3-4-x-y",
            "actix-process-1-2-3-4-5-x",
        ] {
            assert_eq!(LeafMaker::parse(strange), None, "{strange}");
        }
    }

    #[test]
    fn only_a_process_that_is_surely_no_more_is_dead() {
        let this = LeafMaker::new();
        assert_ne!((this.namespace, this.start), (0, 0));
        assert!(!this.is_dead(&this));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        child.wait().unwrap();
        assert!(LeafMaker { pid, ..this }.is_dead(&this));
        // Its pid is another's by now.
        let start = this.start - 1;
        assert!(LeafMaker { start, ..this }.is_dead(&this));
        assert!(!LeafMaker { start: 0, ..this }.is_dead(&this));
        for namespace in [0, this.namespace + 1] {
            let elsewhere = LeafMaker {
                namespace,
                pid,
                ..this
            };
            assert!(!elsewhere.is_dead(&this));
        }
    }
}
