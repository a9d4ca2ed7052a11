//! Which child a handle stands for.

#[cfg(feature = "monitor")]
use std::path::PathBuf;

use super::ProcessHandle;
use crate::command::containment::Containment;
use crate::id::ProcessId;

impl ProcessHandle {
    /// A number that no other child of this program has, ever.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.child.id
    }

    /// The process id, or `None` once the child was reaped: another process may have the number by then. A
    /// child that ends quickly can be reaped before its spawn resolves; see
    /// [`spawned_pid`](Self::spawned_pid).
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.child.live.pid()
    }

    /// The process id that the child got at its spawn, also after the reap: for a log, a file, an audit. Do not
    /// signal it: once the child was reaped, another process may have the number. Use
    /// [`signal`](Self::signal).
    ///
    /// ```
    /// use actix_process::{Command, NoProtocol};
    ///
    /// # actix::System::new().block_on(async {
    /// let process = Command::new("true").spawn(NoProtocol).await?;
    /// println!("started pid {}", process.spawned_pid());
    /// process.exited().await;
    /// assert_eq!(process.pid(), None);
    /// assert!(process.spawned_pid() > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn spawned_pid(&self) -> i32 {
        self.child.spawned_pid
    }

    /// When the child started, in hundredths of a second since the boot, as `/proc/PID/stat` has it: not before the first time and not after the
    /// second one. In all of the time between the child had its number.
    #[cfg(feature = "monitor")]
    pub(crate) fn start_since_boot(&self) -> Option<(u64, u64)> {
        self.child.start.get().copied()
    }

    /// The directory of the cgroup that was made for this child and holds no other.
    #[cfg(feature = "monitor")]
    pub(crate) fn own_cgroup(&self) -> Option<PathBuf> {
        self.child.live.own_cgroup()
    }

    /// The program, as the command named it. It is not escaped, so it may hold characters that do not print.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.child.program
    }

    /// What the child is called: by its command's [`name`](crate::Command::name), or, where that gave
    /// none, as the [`program`](Self::program).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.child.name
    }

    /// What holds the child and all that it starts; see
    /// [`Command::contained`](crate::Command::contained).
    #[must_use]
    pub fn containment(&self) -> Containment {
        self.child.containment
    }
}
