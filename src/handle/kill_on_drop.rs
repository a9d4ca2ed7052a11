//! A handle whose drop kills the child and all that belongs to it.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::handle::ProcessHandle;
use crate::sys;

impl ProcessHandle {
    /// This handle as a guard: when the guard drops, the child and all that belongs to it get SIGKILL.
    ///
    /// ```
    /// use actix_process::{Command, NoProtocol, Signal};
    ///
    /// # actix::System::new().block_on(async {
    /// let sleep = Command::new("sleep").arg("60");
    /// let process = sleep.spawn(NoProtocol).await?.kill_on_drop();
    /// let ended = process.ended();
    /// drop(process);
    /// assert_eq!(ended.await.signal(), Some(Signal::KILL));
    /// # Ok::<(), actix_process::SpawnError>(()) }).unwrap();
    /// ```
    pub const fn kill_on_drop(self) -> KillOnDrop {
        KillOnDrop {
            process: self,
            armed: AtomicBool::new(true),
            ending: AtomicBool::new(false),
            cuts: false,
        }
    }

    /// The same, and the drop cuts the child's pipes, whatever descendants of it do with the other ends: nobody
    /// waits for its end.
    pub(crate) const fn kill_and_cut_on_drop(self) -> KillOnDrop {
        KillOnDrop {
            process: self,
            armed: AtomicBool::new(true),
            ending: AtomicBool::new(false),
            cuts: true,
        }
    }
}

/// A [`ProcessHandle`] whose drop sends SIGKILL to the child and to the process group that it leads, or to
/// its cgroup; made by [`ProcessHandle::kill_on_drop`].
///
/// The thread that drops the guard sends the signal, with or without a runtime, and waits for nothing. If that
/// thread may not signal the child, another thread with the rights of the one that asked for the child tries. If
/// the child has exited, the drop kills the other members of its group, and never another process that has got
/// the number of a dead one. The child is reaped and its end is told as ever. Other handles of the child are no
/// guards; the handle that `clone()` on the guard gives is none either.
///
/// In a copy of this process, by fork, the drop does nothing. A program that ends without unwinding its
/// stack (`std::process::exit`, a signal) drops nothing: see
/// [`parent_death_signal`](crate::Command::parent_death_signal).
#[derive(Debug)]
#[must_use = "dropping it kills the child"]
pub struct KillOnDrop {
    process: ProcessHandle,
    armed: AtomicBool,
    ending: AtomicBool,
    cuts: bool,
}

impl KillOnDrop {
    /// Gives the handle, whose drop does nothing.
    #[must_use]
    pub fn disarm(self) -> ProcessHandle {
        self.let_live();
        self.process.clone()
    }

    /// Kills now, if the drop would. What is dropped before this guard can close pipes of the child: it must not take that for the
    /// end of its input.
    pub(crate) fn kill_early(&self) {
        if self.armed.load(Ordering::Relaxed) && !sys::copy::is_copy() {
            self.process.child().kill_by_policy();
        }
    }

    /// The child is being terminated: the drop does nothing any more, and closes no input, which the end of the ladder cuts.
    pub(crate) fn let_end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.let_live();
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// The drop does nothing any more.
    pub(crate) fn let_live(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }
}

impl Deref for KillOnDrop {
    type Target = ProcessHandle;

    fn deref(&self) -> &ProcessHandle {
        &self.process
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.kill_early();
        if self.cuts && self.armed.load(Ordering::Relaxed) && !sys::copy::is_copy() {
            self.process.cut_connection();
        }
    }
}
