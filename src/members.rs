//! Who is in the group of a child, as /proc tells.

use std::fs;
use std::io;
use std::sync::Arc;

use nix::libc;

use crate::cgroup::Cgroup;

/// A process of a child's tree that is still alive: what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// Its process id; it may be another's as soon as that process has ended. `None` where /proc
    /// cannot be read: then there is one entry, for one or more processes.
    pub pid: Option<i32>,
    /// Its name, as the kernel has it: at most 15 bytes, with control characters escaped.
    pub name: String,
    /// Its state, a letter as in proc(5): `S` sleeps, `D` cannot be interrupted, `T` is stopped.
    pub state: char,
}

impl Leftover {
    pub(crate) const fn unlisted() -> Self {
        Self {
            pid: None,
            name: String::new(),
            state: '?',
        }
    }
}

/// What /proc says of a process.
struct Stat {
    leftover: Leftover,
    group: libc::pid_t,
    gone: bool,
}

/// The group of a child: who belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// That of the process group which the child leads; `None` if nobody is in that, so that the number may
    /// be another's.
    pub(crate) number: Option<libc::pid_t>,
    pub(crate) cgroup: Option<Arc<Cgroup>>,
}

impl Group {
    /// All its living processes but the leader; what has exited and waits to be reaped is not one.
    pub(crate) fn members(&self) -> io::Result<Vec<Leftover>> {
        let in_cgroup = self.cgroup.as_ref().map(|cgroup| cgroup.members());
        let in_cgroup = in_cgroup.unwrap_or_default();
        let mut members = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if Some(pid) != self.number
                && let Some(stat) = stat(pid)
                && (Some(stat.group) == self.number || in_cgroup.contains(&pid))
                && !stat.gone
            {
                members.push(stat.leftover);
            }
        }
        // The kernel's number for whoever is in a pid namespace that cannot be seen from here.
        if in_cgroup.contains(&0) {
            members.push(Leftover::unlisted());
        }
        Ok(members)
    }

    /// Whether the living process `pid` is one of them.
    pub(crate) fn has(&self, pid: libc::pid_t) -> bool {
        let in_process_group = self.number.is_some_and(|group| is_in_group(pid, group));
        let cgroup = self.cgroup.as_ref();
        in_process_group || cgroup.is_some_and(|cgroup| cgroup.has(pid))
    }
}

fn is_in_group(pid: libc::pid_t, group: libc::pid_t) -> bool {
    stat(pid).is_some_and(|stat| stat.group == group && !stat.gone)
}

fn stat(pid: libc::pid_t) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The name may hold anything, parentheses too.
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // Parent, group, and from there on to the number of threads.
    let group = fields.nth(1)?.parse().ok()?;
    let threads: u32 = fields.nth(14)?.parse().ok()?;
    Some(Stat {
        leftover: Leftover {
            pid: Some(pid),
            name: name.escape_debug().to_string(),
            state,
        },
        group,
        // Of a process whose first thread has exited the state is that of a zombie; it lives.
        gone: matches!(state, 'Z' | 'X') && threads <= 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_in_its_group() {
        let own = nix::unistd::getpgrp().as_raw();
        let pid = std::process::id() as i32;
        let group = Group {
            number: Some(own),
            cgroup: None,
        };
        assert!(group.has(pid));
        let listed = group.members().unwrap();
        assert_eq!(
            listed.iter().any(|member| member.pid == Some(pid)),
            pid != own
        );
        let stat = stat(pid).unwrap();
        assert!(stat.leftover.state.is_alphabetic());
        assert!(!stat.gone);
    }
}
