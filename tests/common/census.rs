//! What this process has: descriptors, threads, children. For tests in a process of their own.

use std::collections::BTreeMap;
use std::fs;

use super::eventually;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Open descriptors and what they are.
    pub fds: BTreeMap<i32, String>,
    /// Children that are not reaped, with their state.
    pub children: Vec<(i32, char)>,
    /// Names of threads.
    pub threads: Vec<String>,
}

impl Census {
    pub fn take() -> Self {
        Self {
            fds: open_fds(),
            children: children(),
            threads: threads(),
        }
    }

    /// Waits until the process has exactly what it had at `self`.
    pub async fn assert_restored(&self) {
        eventually(
            "the census to be as before",
            || (Self::take() == *self).then_some(()),
            || format!("{:#?}, before {self:#?}", Self::take()),
        )
        .await;
    }
}

/// Descriptors by number. Sockets and pipes without their inode, which differ in every run.
pub fn open_fds() -> BTreeMap<i32, String> {
    let mut fds = BTreeMap::new();
    let listing = fs::read_dir("/proc/self/fd").unwrap();
    for entry in listing {
        let entry = entry.unwrap();
        let Ok(fd) = entry.file_name().to_str().unwrap().parse() else {
            continue;
        };
        // The listing's own descriptor is gone by now.
        if let Ok(target) = fs::read_link(entry.path()) {
            let target = target.to_string_lossy();
            if !target.ends_with("/fd") {
                let kind = target.split('[').next().unwrap_or_default();
                fds.insert(fd, kind.to_owned());
            }
        }
    }
    fds
}

/// Direct children of this process, zombies included.
pub fn children() -> Vec<(i32, char)> {
    let me = std::process::id() as i32;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some((state, parent)) = state_and_parent(pid)
            && parent == me
        {
            found.push((pid, state));
        }
    }
    found.sort_unstable();
    found
}

/// The state letter and the parent of a process, `None` if there is none.
pub fn state_and_parent(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether a process is gone: there is none, or a zombie that its reaper has not got to.
pub fn is_gone(pid: i32) -> bool {
    matches!(state_and_parent(pid), None | Some(('Z' | 'X', _)))
}

pub fn threads() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect();
    names.sort_unstable();
    names
}
