//! Reaping one child of ours: never anybody else's, and never through a status type that cannot
//! hold a real-time signal.

use std::ffi::c_long;
use std::io::{self, Error};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::libc;

use super::{cvt, pidfd_info};
use crate::signal::Signal;
use crate::status::{ExitStatus, Rusage};

/// Reaps the child if it has exited. `Ok(None)`: it has not.
///
/// Of a child that somebody else reaped (a `waitpid(-1)`, or SIGCHLD ignored) the kernel may know how
/// it ended; else it is [`ExitStatus::Unknown`].
pub(crate) fn try_reap(
    pid: libc::pid_t,
    pidfd: Option<BorrowedFd<'_>>,
) -> io::Result<Option<ExitStatus>> {
    let by_pidfd = pidfd.map(|fd| waitid(libc::P_PIDFD, fd.as_raw_fd(), libc::WNOHANG));
    let result = match by_pidfd {
        // Linux 5.3 has pidfds, but no waiting by them.
        Some(Err(e)) if e.raw_os_error() == Some(libc::EINVAL) => {
            waitid(libc::P_PID, pid, libc::WNOHANG)
        }
        Some(result) => result,
        None => waitid(libc::P_PID, pid, libc::WNOHANG),
    };
    match result {
        Err(e) if is_taken(&e) => Ok(Some(status_of_taken(pidfd))),
        // A sandbox that knows only the older call.
        Err(_) => match wait4(pid, libc::WNOHANG) {
            Err(e) if is_taken(&e) => Ok(Some(status_of_taken(pidfd))),
            result => result,
        },
        result => result,
    }
}

/// Whether it is no child of ours any more.
fn is_taken(error: &Error) -> bool {
    error.raw_os_error() == Some(libc::ECHILD)
}

fn status_of_taken(pidfd: Option<BorrowedFd<'_>>) -> ExitStatus {
    let told = pidfd.and_then(pidfd_info::exit_status);
    // The code that reaped the child has got what the child used.
    told.and_then(|status| decode(status, Rusage::default()).ok())
        .unwrap_or(ExitStatus::Unknown)
}

/// How the child ended, if it has exited; it stays unreaped.
pub(crate) fn peek(
    pid: libc::pid_t,
    pidfd: Option<BorrowedFd<'_>>,
) -> io::Result<Option<ExitStatus>> {
    let options = libc::WNOHANG | libc::WNOWAIT;
    match pidfd.map(|fd| waitid(libc::P_PIDFD, fd.as_raw_fd(), options)) {
        None => waitid(libc::P_PID, pid, options),
        Some(Err(e)) if e.raw_os_error() == Some(libc::EINVAL) => waitid(libc::P_PID, pid, options),
        Some(result) => result,
    }
}

/// Blocks until the child has exited, and leaves it unreaped.
pub(crate) fn wait_until_exited(pid: libc::pid_t) {
    let _ = waitid(libc::P_PID, pid, libc::WNOWAIT);
}

/// Whether this number is a pidfd, of a child of ours. True where nobody can tell: Linux 5.3 has
/// pidfds, but no waiting by them.
pub(super) fn is_child(pidfd: i32) -> bool {
    let options = libc::WNOWAIT | libc::WNOHANG;
    match waitid(libc::P_PIDFD, pidfd, options) {
        Ok(_) => true,
        Err(error) => error.raw_os_error() == Some(libc::EINVAL),
    }
}

/// Whether the child has exited, reaped or not; leaves it as it is.
pub(super) fn has_exited(pid: libc::pid_t) -> bool {
    let options = libc::WNOWAIT | libc::WNOHANG;
    !matches!(waitid(libc::P_PID, pid, options), Ok(None))
}

/// Blocks until the child has exited, reaps it and forgets its status.
pub(super) fn wait_and_forget(pid: libc::pid_t) {
    // ECHILD: somebody else has reaped it, and the pid may be another child's by now.
    if waitid(libc::P_PID, pid, 0).is_err_and(|error| !is_taken(&error)) {
        let _ = wait4(pid, 0);
    }
}

fn waitid(kind: libc::idtype_t, id: i32, options: i32) -> io::Result<Option<ExitStatus>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: the kernel writes one siginfo and one rusage into the live locals. The raw call
        // is used because libc's wrapper has no rusage.
        let result = cvt(unsafe {
            libc::syscall(
                libc::SYS_waitid,
                kind as c_long,
                id as c_long,
                info.as_mut_ptr(),
                (libc::WEXITED | options) as c_long,
                usage.as_mut_ptr(),
            )
        });
        match result {
            Ok(_) => break,
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    // SAFETY: all-zero bytes are valid for both, and the kernel wrote the rest.
    let (info, usage) = unsafe { (info.assume_init(), usage.assume_init()) };
    // SAFETY: the union's child part; zero when no child had exited.
    let (found, status) = unsafe { (info.si_pid(), info.si_status()) };
    if found == 0 {
        return Ok(None);
    }
    status_of(info.si_code, status, rusage(&usage)).map(Some)
}

fn wait4(pid: libc::pid_t, options: i32) -> io::Result<Option<ExitStatus>> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes one int and one rusage into the live locals.
    let found =
        cvt(unsafe { libc::wait4(pid, &raw mut status, options, usage.as_mut_ptr()) }.into());
    match found {
        Ok(0) => return Ok(None),
        Err(e) => return Err(e),
        Ok(_) => {}
    }
    // SAFETY: all-zero bytes are valid, and the kernel wrote the rest.
    let usage = unsafe { usage.assume_init() };
    decode(status, rusage(&usage)).map(Some)
}

/// What a wait status says, in waitpid(2)'s encoding.
fn decode(status: i32, rusage: Rusage) -> io::Result<ExitStatus> {
    if libc::WIFEXITED(status) {
        status_of(libc::CLD_EXITED, libc::WEXITSTATUS(status), rusage)
    } else {
        let code = if libc::WCOREDUMP(status) {
            libc::CLD_DUMPED
        } else {
            libc::CLD_KILLED
        };
        status_of(code, libc::WTERMSIG(status), rusage)
    }
}

fn status_of(code: i32, status: i32, rusage: Rusage) -> io::Result<ExitStatus> {
    match code {
        libc::CLD_EXITED => Ok(ExitStatus::Exited {
            code: status,
            rusage,
        }),
        libc::CLD_KILLED | libc::CLD_DUMPED => Signal::new(status)
            .map(|signal| ExitStatus::Signaled {
                signal,
                core_dumped: code == libc::CLD_DUMPED,
                rusage,
            })
            .ok_or_else(|| Error::other(format!("died by signal {status}, which is none"))),
        other => Err(Error::other(format!("waitid answered si_code {other}"))),
    }
}

fn rusage(raw: &libc::rusage) -> Rusage {
    let duration = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs())
            + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    Rusage {
        user_time: duration(raw.ru_utime),
        system_time: duration(raw.ru_stime),
        max_rss: raw.ru_maxrss.unsigned_abs() * 1024,
        minor_faults: raw.ru_minflt.unsigned_abs(),
        major_faults: raw.ru_majflt.unsigned_abs(),
        voluntary_switches: raw.ru_nvcsw.unsigned_abs(),
        involuntary_switches: raw.ru_nivcsw.unsigned_abs(),
    }
}
