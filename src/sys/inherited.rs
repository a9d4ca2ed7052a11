//! Descriptors that this program was started with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::libc;

use super::cvt;

/// A duplicate of the descriptor `n`, which the parent of this process has opened for it. `n` stays open, so that nothing else gets
/// the number, but no program that this process executes from now on gets it: a grandchild would keep the parent's pipe open.
///
/// # Errors
///
/// EBADF if `n` is not open.
pub(crate) fn inherited(n: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: duplicates what the number is at the moment, and touches no memory; EBADF if that is nothing.
    let copy = cvt(unsafe { libc::fcntl(n, libc::F_DUPFD_CLOEXEC, 3) }.into())?;
    let copy = RawFd::try_from(copy).map_err(io::Error::other)?;
    // SAFETY: fcntl just made this descriptor for us.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    // SAFETY: sets the one flag of the number, and touches no memory. It closes nothing that somebody in this process uses.
    cvt(unsafe { libc::fcntl(n, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    Ok(copy)
}
