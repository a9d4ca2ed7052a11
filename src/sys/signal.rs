//! Sending signals to a child that is known not to be reaped yet.

use std::ffi::c_long;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;

use super::{cvt, is_refusal};

/// Sends `signal` to the unreaped child `pid`, by its pidfd where there is one.
///
/// A sandbox may know clone's pidfd but not pidfd_send_signal; the pid is as good while the child
/// is unreaped, which the caller's lock guarantees against ourselves (the pidfd guards against a
/// stranger's `waitpid(-1)` as well, hence the order).
pub(crate) fn send(pid: libc::pid_t, pidfd: Option<BorrowedFd<'_>>, signal: i32) -> io::Result<()> {
    match pidfd.map(|fd| send_by_pidfd(fd.as_raw_fd(), signal)) {
        Some(Err(refused)) if is_refusal(&refused) => kill(pid, signal),
        Some(result) => result,
        None => kill(pid, signal),
    }
}

/// Sends `signal` to the process group whose number is that of the unreaped child `pid`. While the
/// child is unreaped no other process and no other group can have the number. ESRCH: there is none.
pub(crate) fn send_to_group(pid: libc::pid_t, signal: i32) -> io::Result<()> {
    // 0 and -1 would mean others.
    if pid <= 1 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    kill(-pid, signal)
}

/// Sends `signal` to the process group that the process of this pidfd made, also when it was reaped:
/// the kernel finds the members by the pidfd, not by a number. From Linux 6.9 on. ESRCH: no process
/// is in it.
pub(crate) fn send_to_group_by_pidfd(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    if cfg!(actix_process_force_no_group_pidfd) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    pidfd_send_signal(pidfd.as_raw_fd(), signal, PIDFD_SIGNAL_PROCESS_GROUP)
}

/// Whether the process of this pidfd has exited, as a whole.
pub(crate) fn has_exited(pidfd: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd {
        fd: pidfd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one live pollfd; does not wait.
    let found = unsafe { libc::poll(&raw mut poll, 1, 0) };
    found == 1 && poll.revents & libc::POLLIN != 0
}

/// Not in libc yet.
const PIDFD_SIGNAL_PROCESS_GROUP: c_long = 1 << 2;

/// Sends `signal` to the process of this pidfd, also if it is no child of ours; never by its number.
pub(crate) fn send_to_any(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send_by_pidfd(pidfd.as_raw_fd(), signal)
}

/// Whether a child was reaped by somebody else, as far as its pidfd tells.
pub(crate) fn is_reaped(pidfd: Option<BorrowedFd<'_>>) -> bool {
    pidfd.is_some_and(|fd| {
        let probed = send_by_pidfd(fd.as_raw_fd(), 0);
        probed.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
    })
}

/// Whether the unreaped child `pid` is in the process group that it made.
pub(crate) fn leads_group(pid: libc::pid_t) -> bool {
    // SAFETY: integers only.
    unsafe { libc::getpgid(pid) == pid }
}

/// SIGKILL to a child which is just being cloned, by the number that the kernel stored for it.
pub(super) fn kill_unreaped(id: i32, by_pidfd: bool) -> io::Result<()> {
    if by_pidfd {
        send_by_pidfd(id, libc::SIGKILL)
    } else {
        kill(id, libc::SIGKILL)
    }
}

fn send_by_pidfd(pidfd: i32, signal: i32) -> io::Result<()> {
    pidfd_send_signal(pidfd, signal, 0)
}

fn pidfd_send_signal(pidfd: i32, signal: i32, flags: c_long) -> io::Result<()> {
    // SAFETY: integers and a null siginfo; a number that is no pidfd is refused by the kernel.
    cvt(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd as c_long,
            signal as c_long,
            std::ptr::null::<libc::siginfo_t>(),
            flags,
        )
    })
    .map(drop)
}

/// A descriptor that becomes readable when the process `pid` has exited, as a whole.
pub(crate) fn open_pidfd(pid: libc::pid_t) -> io::Result<OwnedFd> {
    if cfg!(actix_process_force_no_pidfd) {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    // SAFETY: integers only.
    let fd = cvt(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as c_long, 0 as c_long) })?;
    // SAFETY: the kernel just opened this descriptor for us, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    Ok(super::io::above_stdio(pidfd))
}

fn kill(pid: libc::pid_t, signal: i32) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Whether a SIGCHLD does nothing to this process: its default.
pub(super) fn ignores_sigchld() -> bool {
    matches!(
        handler_of(libc::SIGCHLD),
        Some(libc::SIG_IGN | libc::SIG_DFL)
    )
}

pub(super) fn handler_of(signal: i32) -> Option<libc::sighandler_t> {
    // SAFETY: all zero is a valid sigaction; the call fills it.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: asks only; the pointer is to a live local.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    (asked == 0).then_some(action.sa_sigaction)
}
