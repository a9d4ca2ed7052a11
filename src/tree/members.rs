//! The members of a child's group, as /proc tells.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;

use nix::libc;

use crate::tree::cgroup::Cgroup;

/// A process of a child's tree that is still alive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// Its process id. Another process may get the number as soon as this one has ended. `None` where /proc
    /// cannot be read: one entry stands for one or more processes then.
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

/// The group of a child.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// The number of the process group which the child leads; `None` if that group is empty, so that another one
    /// may have the number.
    pub(crate) number: Option<libc::pid_t>,
    pub(crate) cgroup: Option<Arc<Cgroup>>,
}

impl Group {
    /// All living processes of the group but the leader; a zombie is none.
    pub(crate) fn members(&self) -> io::Result<Vec<Leftover>> {
        let mut members = of_groups(std::slice::from_ref(self))?;
        Ok(members.pop().unwrap_or_default())
    }

    /// Whether the living process `pid` is in the group.
    pub(crate) fn has(&self, pid: libc::pid_t) -> bool {
        let in_process_group = self.number.is_some_and(|group| is_in_group(pid, group));
        let cgroup = self.cgroup.as_ref();
        in_process_group || cgroup.is_some_and(|cgroup| cgroup.has(pid))
    }
}

/// The same for several groups, by one look at all processes; in the order of `groups`. A group may be there more than once.
pub(crate) fn of_groups(groups: &[Group]) -> io::Result<Vec<Vec<Leftover>>> {
    let mut members = vec![Vec::new(); groups.len()];
    let mut by_number: HashMap<libc::pid_t, Vec<usize>> = HashMap::new();
    let mut by_cgroup: HashMap<libc::pid_t, Vec<usize>> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        if let Some(number) = group.number {
            by_number.entry(number).or_default().push(index);
        }
        for pid in group.cgroup.iter().flat_map(|cgroup| cgroup.members()) {
            by_cgroup.entry(pid).or_default().push(index);
        }
    }
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Some(stat) = stat(pid).filter(|stat| !stat.gone) else {
            continue;
        };
        let of_its = [by_number.get(&stat.group), by_cgroup.get(&pid)];
        for index in of_its.into_iter().flatten().flatten() {
            let is_leader = |group: &Group| group.number == Some(pid);
            if let Some(members) = members.get_mut(*index)
                && !groups.get(*index).is_some_and(is_leader)
                && members.last() != Some(&stat.leftover)
            {
                members.push(stat.leftover.clone());
            }
        }
    }
    // The kernel's number for a process of a pid namespace that cannot be seen from here.
    for index in by_cgroup.get(&0).into_iter().flatten() {
        if let Some(members) = members.get_mut(*index) {
            members.push(Leftover::unlisted());
        }
    }
    Ok(members)
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
        // A process whose first thread has exited has the state of a zombie, but lives.
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
        // Twice asked for, twice told: two stops of one child look for the same members.
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let both = of_groups(&[group.clone(), group]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let has_child = |members: &Vec<Leftover>| {
            let pids = members.iter().filter_map(|member| member.pid);
            pids.filter(|pid| *pid == child.id() as i32).count()
        };
        assert_eq!(both.iter().map(has_child).collect::<Vec<_>>(), [1, 1]);
        let stat = stat(pid).unwrap();
        assert!(stat.leftover.state.is_alphabetic());
        assert!(!stat.gone);
    }
}
