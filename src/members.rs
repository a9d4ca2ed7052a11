//! Who is in a process group, as /proc tells.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;

use nix::libc;

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

/// All living processes of a group but its leader; what has exited and waits to be reaped is not one.
pub(crate) fn of_group(group: libc::pid_t) -> io::Result<Vec<Leftover>> {
    Ok(of_groups(&[group])?.remove(&group).unwrap_or_default())
}

/// The same for several groups, by one look at all processes.
pub(crate) fn of_groups(groups: &[libc::pid_t]) -> io::Result<HashMap<libc::pid_t, Vec<Leftover>>> {
    let groups: HashSet<_> = groups.iter().copied().collect();
    let mut members = HashMap::<_, Vec<_>>::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = stat(pid)
            && stat.group != pid
            && groups.contains(&stat.group)
            && !stat.gone
        {
            members.entry(stat.group).or_default().push(stat.leftover);
        }
    }
    Ok(members)
}

/// Whether the living process `pid` is in the group.
pub(crate) fn is_in_group(pid: libc::pid_t, group: libc::pid_t) -> bool {
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
        assert!(is_in_group(pid, own));
        let listed = of_group(own).unwrap();
        assert_eq!(
            listed.iter().any(|member| member.pid == Some(pid)),
            pid != own
        );
        let stat = stat(pid).unwrap();
        assert!(stat.leftover.state.is_alphabetic());
        assert!(!stat.gone);
    }
}
