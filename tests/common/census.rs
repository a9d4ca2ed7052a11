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

    /// The census when no child is left, not even the pidfd or the waiter thread of one that has
    /// just been reaped.
    pub async fn quiet() -> Self {
        let quiet = || children().is_empty() && !has_watch();
        eventually(
            "no child to be left",
            || quiet().then(Self::take),
            || format!("{:#?}", Self::take()),
        )
        .await
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

    /// The same, but for spawner threads: they are immortal and few, and when another one starts
    /// depends on the load.
    pub async fn assert_restored_but_spawners(&self) {
        let wanted = self.clone().without_spawners();
        eventually(
            "the census to be as before, spawner threads aside",
            || (Self::take().without_spawners() == wanted).then_some(()),
            || format!("{:#?}, before {wanted:#?}", Self::take()),
        )
        .await;
    }

    fn without_spawners(mut self) -> Self {
        self.threads.retain(|name| !is_spawner(name));
        self
    }
}

/// Whether a thread's name, which the kernel cuts off, is that of a spawner thread.
pub fn is_spawner(name: &str) -> bool {
    name == "actix-process-s"
}

/// How many spawner threads there are.
pub fn spawner_threads() -> usize {
    threads().iter().filter(|name| is_spawner(name)).count()
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

/// Whether a child is still watched: the pidfd, or the waiter thread, of one that has just ended
/// goes a little later.
pub fn has_watch() -> bool {
    let listing = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut targets = listing.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| target.to_string_lossy().contains("pidfd"))
        || threads().iter().any(|name| name == "actix-process-w")
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
