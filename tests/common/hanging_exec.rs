//! A program whose exec hangs: another process holds a write lease on its file.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use actix_process::Command;
use tempfile::TempDir;

use super::census::children;
use super::{copy_of_this_program, eventually};

/// An exec of [`program`](Self::program) hangs until this is dropped, or the kernel breaks the
/// lease (/proc/sys/fs/lease-break-time, 45 seconds).
pub struct HangingExec {
    holder: Child,
    program: PathBuf,
    _dir: TempDir,
}

impl HangingExec {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Any user may try.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let program = dir.path().join("hung");
        copy_of_this_program(&program);
        // Not from the copy: one's own text cannot be leased.
        let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["@helper", "lease"])
            .arg(&program)
            .args(["say", "ready", "pause"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        let stdout = holder.stdout.as_mut().unwrap();
        stdout.read_exact(&mut ready).expect("the lease");
        Self {
            holder,
            program,
            _dir: dir,
        }
    }

    /// The helper, as a program whose exec hangs.
    pub fn helper<const N: usize>(&self, actions: [&str; N]) -> Command {
        Command::new(&self.program).arg("@helper").args(actions)
    }

    /// Children of this process but the holder.
    pub fn children(&self) -> Vec<i32> {
        let holder = self.holder.id() as i32;
        let pids = children().into_iter().map(|(pid, _)| pid);
        pids.filter(|pid| *pid != holder).collect()
    }

    /// Waits until there are `count` children.
    pub async fn until_children(&self, count: usize) -> Vec<i32> {
        eventually(
            &format!("{count} children"),
            || Some(self.children()).filter(|pids| pids.len() == count),
            || format!("{:?}", self.children()),
        )
        .await
    }

    /// Waits until there is a child besides `others`; gives its pid.
    pub async fn until_child_beside(&self, others: &[u32]) -> i32 {
        let found = || {
            let mut pids = self.children().into_iter();
            pids.find(|pid| !others.contains(&pid.unsigned_abs()))
        };
        eventually("a child", found, || format!("{:?}", self.children())).await
    }

    /// Lets the execs go on.
    pub fn release(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}

impl Drop for HangingExec {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
