//! The descriptors that a spawn takes away from the command that it spawns.

use std::os::fd::OwnedFd;

use crate::sys::tty::PtyEnds;

/// The descriptors that one spawn has taken. Closed with it, whatever becomes of it.
#[derive(Debug)]
pub(crate) struct TakenFds {
    fds: Vec<(i32, OwnedFd)>,
    /// A terminal that was given.
    pub(crate) pty: Option<PtyEnds>,
}

impl TakenFds {
    pub(crate) const fn new(fds: Vec<(i32, OwnedFd)>, pty: Option<PtyEnds>) -> Self {
        Self { fds, pty }
    }

    pub(crate) fn has(&self, n: i32) -> bool {
        self.fds.iter().any(|(number, _)| *number == n)
    }

    /// The descriptor meant for `n`.
    pub(crate) fn take(&mut self, n: i32) -> Option<OwnedFd> {
        let at = self.fds.iter().position(|(number, _)| *number == n)?;
        Some(self.fds.swap_remove(at).1)
    }
}
