//! Files that can be told apart, and which of them a child has.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use actix_process::{FdMap, ProcessHandle};
use nix::libc;
use tempfile::TempDir;

use super::eventually;
use super::helper::helper;
use super::trace::spawned;

/// Files that can be told apart in /proc, at numbers of one's choice.
pub struct Files {
    dir: TempDir,
}

impl Files {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// Opens the file `name` as `fd` in this process, for good.
    pub fn open_at(&self, fd: i32, name: &str, close_on_exec: bool) {
        let file = File::create(self.path(name)).unwrap();
        let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
        // SAFETY: integers; the number is free, since only tests in a process of their own do this.
        let result = unsafe { libc::dup3(file.as_raw_fd(), fd, flags) };
        assert_eq!(result, fd);
    }

    pub fn owned(&self, name: &str) -> OwnedFd {
        File::create(self.path(name)).unwrap().into()
    }
}

/// What a process has open.
pub fn fds_of(pid: i32) -> BTreeMap<i32, PathBuf> {
    let mut fds = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let fd = entry.file_name().to_str().unwrap().parse().unwrap();
        if let Ok(target) = fs::read_link(entry.path()) {
            fds.insert(fd, target);
        }
    }
    fds
}

/// Waits until the child has exactly the files `names`; its loader opens libraries for a moment.
pub async fn assert_has(process: &ProcessHandle, files: &Files, names: &[(i32, &str)]) {
    let wanted: BTreeMap<i32, PathBuf> = names.iter().map(|(fd, n)| (*fd, files.path(n))).collect();
    let pid = process.pid().unwrap();
    eventually(
        "the child's descriptors",
        || (fds_of(pid) == wanted).then_some(()),
        || format!("{:?}, not {wanted:?}", fds_of(pid)),
    )
    .await;
}

/// Spawns a child with `map` that waits, and looks at what it has.
pub async fn assert_map(files: &Files, map: impl Into<FdMap>, names: &[(i32, &str)]) {
    let command = helper(["pause"]).fds(map.into());
    let (trace, process) = spawned(command).await;
    assert_has(&process, files, names).await;
    assert!(process.kill());
    trace.ended(&process).await.assert_rules(&[]);
}

pub fn flags_of(fd: i32) -> (i32, i32) {
    // SAFETY: reads flags of a number.
    unsafe {
        (
            libc::fcntl(fd, libc::F_GETFD),
            libc::fcntl(fd, libc::F_GETFL),
        )
    }
}
