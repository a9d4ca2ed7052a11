//! What the child runs between clone and exec.
//!
//! The child shares the parent's memory and runs on a borrowed stack while the thread that cloned
//! it is suspended; the parent's other threads go on. So this routine only makes raw system calls
//! over data that the parent prepared. It must not allocate, lock, panic, index, unwind, log, run
//! a destructor, or call a libc wrapper that keeps state of its own (setuid and friends broadcast
//! to "all threads" through lists that belong to the parent). `libc::syscall` writes errno, which
//! is the suspended thread's: allowed.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};

use nix::libc;

use super::fdplan::FdStep;

/// How far the child came when a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ChildStep {
    Group = 1,
    Place = 2,
    CloseOthers = 3,
    Cwd = 4,
    Exec = 5,
    Cancelled = 6,
}

impl ChildStep {
    fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Group),
            2 => Some(Self::Place),
            3 => Some(Self::CloseOthers),
            4 => Some(Self::Cwd),
            5 => Some(Self::Exec),
            6 => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// Where the child writes what failed, in memory that both sides see. Step 0: nothing did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    step: AtomicU32,
    errno: AtomicI32,
    index: AtomicU32,
}

impl Report {
    /// The failed step, its errno, and the index of the descriptor step concerned.
    pub(crate) fn failure(&self) -> Option<(ChildStep, i32, usize)> {
        let step = ChildStep::from_number(self.step.load(Ordering::Acquire))?;
        Some((
            step,
            self.errno.load(Ordering::Acquire),
            self.index.load(Ordering::Acquire) as usize,
        ))
    }
}

/// Everything that the child needs, prepared by the parent and alive until the exec.
pub(super) struct Orders<'a> {
    /// Paths to exec in turn, NUL-terminated.
    pub(super) candidates: &'a [*const c_char],
    /// NULL-terminated.
    pub(super) argv: *const *const c_char,
    /// NULL-terminated.
    pub(super) envp: *const *const c_char,
    /// NULL for none.
    pub(super) cwd: *const c_char,
    /// The process group to join, 0 for one of its own.
    pub(super) group: Option<libc::pid_t>,
    pub(super) fds: &'a [FdStep],
    /// What the program shall have, ascending: everything else is closed.
    pub(super) kept: &'a [RawFd],
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
    let (step, errno, index) = run(orders);
    orders.report.errno.store(errno, Ordering::Release);
    orders.report.index.store(index, Ordering::Release);
    orders.report.step.store(step as u32, Ordering::Release);
    loop {
        // SAFETY: ends this thread group, which is the child alone (no CLONE_THREAD).
        unsafe { libc::syscall(libc::SYS_exit_group, 127 as c_long) };
    }
}

/// Runs the orders; comes back only with what failed.
fn run(orders: &Orders<'_>) -> (ChildStep, i32, u32) {
    reset_signals();

    if let Some(group) = orders.group {
        // SAFETY: integers only.
        let result = unsafe { libc::syscall(libc::SYS_setpgid, 0 as c_long, group as c_long) };
        if result == -1 {
            return (ChildStep::Group, errno(), 0);
        }
    }
    let mut index = 0_u32;
    for step in orders.fds {
        if !run_fd_step(*step) {
            return (ChildStep::Place, errno(), index);
        }
        index = index.wrapping_add(1);
    }
    let failed = close_others(orders.kept);
    if failed != 0 {
        return (ChildStep::CloseOthers, failed, 0);
    }
    if !orders.cwd.is_null() {
        // SAFETY: a NUL-terminated string of the parent's, alive until the exec.
        if unsafe { libc::syscall(libc::SYS_chdir, orders.cwd) } == -1 {
            return (ChildStep::Cwd, errno(), 0);
        }
    }
    if orders.ticket.load(Ordering::SeqCst) == CANCELLED {
        return (ChildStep::Cancelled, libc::ECANCELED, 0);
    }
    // Last, so that no handler of the parent can run here: they are all default by now.
    open_signal_mask();
    (ChildStep::Exec, exec(orders), 0)
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

/// Closes whatever is not kept, before anything that may hang: a child held up in its chdir or
/// exec must not hold the pipes of others open. Returns an errno or 0.
///
/// The table is the child's own (no CLONE_FILES), so it does not matter what the parent opens
/// meanwhile.
fn close_others(kept: &[RawFd]) -> c_int {
    #[cfg(not(actix_process_force_no_close_range))]
    {
        let mut from: c_long = 0;
        let mut all_closed = true;
        for fd in kept {
            let fd = *fd as c_long;
            all_closed &= close_range(from, fd.wrapping_sub(1));
            from = fd.wrapping_add(1);
        }
        if all_closed && close_range(from, i32::MAX as c_long) {
            return 0;
        }
    }
    // Before Linux 5.9 there is no close_range, and a sandbox may refuse it with any errno.
    close_listed(kept)
}

#[cfg(not(actix_process_force_no_close_range))]
fn close_range(first: c_long, last: c_long) -> bool {
    // SAFETY: integers only.
    first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0 as c_long) } == 0
}

/// The same by listing /proc/self/fd.
fn close_listed(kept: &[RawFd]) -> c_int {
    const RECORD_NAME: usize = 19; // d_ino 8, d_off 8, d_reclen 2, d_type 1

    // SAFETY: a literal path; integers.
    let dir = unsafe {
        libc::syscall(
            libc::SYS_openat,
            libc::AT_FDCWD,
            c"/proc/self/fd".as_ptr(),
            libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
            0 as c_long,
        )
    };
    if dir == -1 {
        return errno();
    }
    let mut records = [0_u64; 256];
    let bytes = records.as_mut_ptr().cast::<u8>();
    loop {
        // SAFETY: the kernel writes at most the given length into the live buffer.
        let filled =
            unsafe { libc::syscall(libc::SYS_getdents64, dir, bytes, size_of_val(&records)) };
        if filled == 0 {
            return 0;
        }
        if filled < 0 {
            return errno();
        }
        let filled = filled as usize;
        let mut at = 0_usize;
        while at < filled {
            // SAFETY: `at` is the start of a record that the kernel wrote wholly inside the
            // buffer: d_reclen is at offset 16, the NUL-terminated name at offset 19.
            let (length, name) = unsafe {
                let record = bytes.wrapping_add(at);
                let length = record.wrapping_add(16).cast::<u16>().read_unaligned();
                (length as usize, record.wrapping_add(RECORD_NAME))
            };
            let fd = parse_number(name);
            // The listing goes by number, so closing what it named does not disturb it.
            if fd >= 0 && fd as c_long != dir && !kept.contains(&fd) {
                // SAFETY: integers only.
                unsafe { libc::syscall(libc::SYS_close, fd as c_long) };
            }
            if length == 0 {
                return libc::EIO;
            }
            at = at.wrapping_add(length);
        }
    }
}

/// The decimal number at `name`, -1 for anything else ("." and "..").
fn parse_number(name: *const u8) -> RawFd {
    let mut number: RawFd = 0;
    let mut at = 0_usize;
    loop {
        // SAFETY: the name is NUL-terminated and the loop stops at the NUL.
        let byte = unsafe { name.wrapping_add(at).read() };
        if byte == 0 && at > 0 {
            return number;
        }
        if !byte.is_ascii_digit() {
            return -1;
        }
        number = number
            .wrapping_mul(10)
            .wrapping_add(byte.wrapping_sub(b'0') as RawFd);
        at = at.wrapping_add(1);
    }
}

fn run_fd_step(step: FdStep) -> bool {
    let (call, fd, argument, flags) = match step {
        FdStep::Save { from, to } => (libc::SYS_dup3, from, to, libc::O_CLOEXEC),
        FdStep::Place { from, to, .. } => (libc::SYS_dup3, from, to, 0),
        FdStep::Keep { fd } => (libc::SYS_fcntl, fd, libc::F_SETFD, 0),
    };
    // SAFETY: integers only, on the child's private table.
    let result = unsafe { libc::syscall(call, fd as c_long, argument as c_long, flags as c_long) };
    result != -1
}

/// Execs the candidates in turn by posix_spawnp's rules; returns the errno to report.
fn exec(orders: &Orders<'_>) -> c_int {
    let mut refused = false;
    let mut last = libc::ENOENT;
    for candidate in orders.candidates {
        // SAFETY: NUL-terminated path and NULL-terminated arrays of the parent's.
        unsafe { libc::syscall(libc::SYS_execve, *candidate, orders.argv, orders.envp) };
        last = errno();
        match last {
            libc::EACCES => refused = true,
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {}
            _ => return last,
        }
    }
    if refused { libc::EACCES } else { last }
}

fn errno() -> c_int {
    // SAFETY: the address of this thread's errno; the thread that owns it is suspended.
    unsafe { *libc::__errno_location() }
}
