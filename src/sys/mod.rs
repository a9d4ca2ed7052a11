//! The kernel, and the only `unsafe` of the crate.
//!
//! Everything here is a thin, argued wrapper: descriptors come in and go out as `OwnedFd` and
//! `BorrowedFd`, failures as `io::Error`. What a child runs between clone and exec is in
//! [`child`], how it is cloned in [`clone`], which descriptors it gets in [`fdplan`].

pub(crate) mod caps;
pub(crate) mod child;
pub(crate) mod clone;
pub(crate) mod clone3;
mod close_others;
pub(crate) mod copy;
pub(crate) mod fdplan;
pub(crate) mod handshake;
#[cfg(feature = "pool")]
pub(crate) mod inherited;
pub(crate) mod io;
pub(crate) mod listen_pid;
mod pidfd_info;
pub(crate) mod reserved_fds;
pub(crate) mod rlimit;
pub(crate) mod signal;
pub(crate) mod sigpipe;
pub(crate) mod step;
pub(crate) mod strings;
pub(crate) mod thread_state;
pub(crate) mod ticket;
pub(crate) mod trampoline;
pub(crate) mod tty;
pub(crate) mod wait;

use std::io::Error;

use nix::libc::{self, c_int, c_long};

/// Turns the kernel's -1 into the error that errno names.
fn cvt(result: c_long) -> Result<c_long, Error> {
    if result == -1 {
        Err(Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Whether an error may mean that a call fails always. ENOSYS: the kernel does not have the call. EINVAL: the kernel does
/// not know a flag of it. EPERM and EACCES: a sandbox forbids it; a sandbox may answer the other two as well.
pub(crate) fn is_refusal(error: &Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EPERM | libc::ENOSYS | libc::EACCES)
    )
}

/// The calling thread's errno, without allocating. A child that shares its parent's memory reads that of the thread that
/// cloned it.
fn errno() -> c_int {
    // SAFETY: the address of this thread's errno; in such a child the thread that owns it is suspended.
    unsafe { *libc::__errno_location() }
}
