//! What the child runs between clone and exec.
//!
//! The child shares the parent's memory and runs on a borrowed stack while the thread that cloned
//! it is suspended; the parent's other threads go on. So this routine only makes raw system calls
//! over data that the parent prepared. It must not allocate, lock, panic, index, unwind, log, run
//! a destructor, or call a libc wrapper that keeps state of its own (setuid and friends broadcast
//! to "all threads" through lists that belong to the parent). `libc::syscall` writes errno, which
//! is the suspended thread's: allowed. Sanitizers and coverage instrument this code like any other:
//! what they find here is about their own bookkeeping in shared memory.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};

use nix::libc;

use super::close_others::{close_others, close_range};
use super::step::Step;

/// Where the child writes what failed, in memory that both sides see.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// 1 and up: a step failed; 0: none did.
    failed: AtomicU32,
    errno: AtomicI32,
}

/// What failed in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The step with this index.
    Step(usize),
    /// Leaving the parent's descriptor table. Nothing else was done.
    Unshare,
    /// The spawn was cancelled before the exec.
    Cancelled,
    /// None of the candidates could be executed.
    Exec,
}

impl Report {
    /// What failed, and its errno.
    pub(crate) fn failure(&self) -> Option<(Failed, i32)> {
        let failed = match self.failed.load(Ordering::Acquire) {
            0 => return None,
            EXEC => Failed::Exec,
            CANCEL => Failed::Cancelled,
            UNSHARE => Failed::Unshare,
            index => Failed::Step(index as usize - 1),
        };
        Some((failed, self.errno.load(Ordering::Acquire)))
    }
}

const EXEC: u32 = u32::MAX;
const CANCEL: u32 = u32::MAX - 1;
const UNSHARE: u32 = u32::MAX - 2;

/// Everything that the child needs, prepared by the parent and alive until the exec.
pub(super) struct Orders<'a> {
    pub(super) steps: &'a [Step],
    /// What the program shall have, ascending: everything else is closed.
    pub(super) kept: &'a [RawFd],
    /// The table is the parent's own: it must be left first of all, with what is below this number.
    pub(super) unshare_from: Option<RawFd>,
    /// Paths to exec in turn; NULL-terminated.
    pub(super) candidates: *const *const c_char,
    /// NULL-terminated.
    pub(super) argv: *const *const c_char,
    /// NULL-terminated.
    pub(super) envp: *const *const c_char,
    /// Who must be the parent still, if a parent-death signal is to come.
    pub(super) parent: libc::pid_t,
    /// Set to [`CANCELLED`] by whoever no longer wants this child.
    pub(super) ticket: &'a AtomicU8,
    pub(super) report: &'a Report,
}

/// The value of `Orders::ticket` that stops the child before its exec.
pub(crate) const CANCELLED: u8 = 2;

/// The kernel's signal set is 64 bits on every architecture that Rust's std supports but MIPS.
pub(super) const KERNEL_SIGSET_BYTES: usize = 8;

/// Entry point of the child. Returns only to `_exit`.
pub(super) extern "C" fn child_main(orders: *mut c_void) -> c_int {
    // SAFETY: `clone` was given a pointer to an `Orders` which outlives the suspended parent
    // thread's call (CLONE_VFORK), and nothing writes to it but through its atomics.
    let orders = unsafe { &*orders.cast::<Orders<'_>>() };
    let (failed, errno) = run(orders);
    orders.report.errno.store(errno, Ordering::Release);
    orders.report.failed.store(failed, Ordering::Release);
    loop {
        // SAFETY: ends this thread group, which is the child alone (no CLONE_THREAD).
        unsafe { libc::syscall(libc::SYS_exit_group, 127 as c_long) };
    }
}

/// Runs the orders; comes back only with what failed.
fn run(orders: &Orders<'_>) -> (u32, c_int) {
    if let Some(end) = orders.unshare_from
        && !close_range(end.into(), c_int::MAX.into(), libc::CLOSE_RANGE_UNSHARE)
    {
        return (UNSHARE, errno());
    }
    reset_signals();
    let mut number = 1_u32;
    for step in orders.steps {
        let errno = run_step(step, orders);
        if errno != 0 {
            return (number, errno);
        }
        number = number.wrapping_add(1);
    }
    if orders.ticket.load(Ordering::SeqCst) == CANCELLED {
        return (CANCEL, libc::ECANCELED);
    }
    // Last, so that no handler of the parent can run here: they are all default by now.
    open_signal_mask();
    (EXEC, exec(orders))
}

/// Returns an errno or 0.
fn run_step(step: &Step, orders: &Orders<'_>) -> c_int {
    match step {
        Step::Call { number, args } => call(*number, *args),
        Step::CallIfAllowed { number, args } => match call(*number, *args) {
            libc::EPERM => 0,
            errno => errno,
        },
        Step::CloseOthers => close_others(orders.kept),
        Step::WriteFile { dir, path, text } => write_file(*dir, path.as_ptr(), text.as_bytes()),
        Step::CheckParent => {
            // SAFETY: no arguments.
            let parent = unsafe { libc::syscall(libc::SYS_getppid) };
            // It died between the clone and the request for a signal at its death.
            if parent == orders.parent as c_long {
                0
            } else {
                libc::ESRCH
            }
        }
    }
}

fn call(number: c_long, [a, b, c, d, e]: [c_long; 5]) -> c_int {
    // SAFETY: whoever made the step answers for its arguments: integers, or pointers to memory that
    // the image keeps alive.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result == -1 { errno() } else { 0 }
}

fn write_file(dir: c_int, path: *const c_char, text: &[u8]) -> c_int {
    // SAFETY: a NUL-terminated path of the image's; integers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat,
            dir,
            path,
            libc::O_WRONLY | libc::O_CLOEXEC,
            0 as c_long,
        )
    };
    if fd == -1 {
        return errno();
    }
    // SAFETY: reads the given length of the image's text; the descriptor is the child's own.
    let written = unsafe { libc::syscall(libc::SYS_write, fd, text.as_ptr(), text.len()) };
    let failed = if written == -1 { errno() } else { 0 };
    // SAFETY: an integer.
    unsafe { libc::syscall(libc::SYS_close, fd) };
    failed
}

/// Every disposition to default, 32 and 33 included, which libc's wrappers refuse to touch.
///
/// The table is the child's own (no CLONE_SIGHAND). KILL and STOP answer EINVAL: ignored.
fn reset_signals() {
    // Zeroes are SIG_DFL, no flags, empty mask in every layout of the kernel's sigaction; the
    // widest has 32 bytes.
    let default = [0_u64; 8];
    let mut signal: c_long = 1;
    while signal <= 64 {
        // SAFETY: the pointer is to readable memory larger than any kernel_sigaction.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null::<c_void>(),
                KERNEL_SIGSET_BYTES,
            )
        };
        signal = signal.wrapping_add(1);
    }
}

fn open_signal_mask() {
    let empty = 0_u64;
    // SAFETY: reads 8 bytes from a live local.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const empty,
            std::ptr::null::<c_void>(),
            KERNEL_SIGSET_BYTES,
        )
    };
}

/// Execs the candidates in turn by posix_spawnp's rules; returns the errno to report.
fn exec(orders: &Orders<'_>) -> c_int {
    let mut refused = false;
    let mut last = libc::ENOENT;
    let mut next = orders.candidates;
    loop {
        // SAFETY: the list ends with a null, where the loop stops.
        let candidate = unsafe { next.read() };
        if candidate.is_null() {
            break;
        }
        next = next.wrapping_add(1);
        // SAFETY: NUL-terminated path and NULL-terminated arrays of the parent's.
        unsafe { libc::syscall(libc::SYS_execve, candidate, orders.argv, orders.envp) };
        last = errno();
        match last {
            libc::EACCES => refused = true,
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {}
            _ => return last,
        }
    }
    if refused { libc::EACCES } else { last }
}

pub(super) fn errno() -> c_int {
    // SAFETY: the address of this thread's errno; the thread that owns it is suspended.
    unsafe { *libc::__errno_location() }
}
