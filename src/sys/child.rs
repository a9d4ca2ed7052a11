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

use nix::libc;

use super::close_others::{close_others, close_range};
use super::errno;
use super::handshake::{Failed, Handshake};
use super::listen_pid::ListenPid;
use super::step::Step;
use super::trampoline::Trampoline;

/// Everything that the child needs, prepared by the parent and alive until the exec.
#[derive(Clone, Copy)]
pub(super) struct ChildArgs<'a> {
    pub(super) steps: &'a [Step],
    /// The descriptors that the program shall have, ascending: everything else is closed.
    pub(super) kept: &'a [RawFd],
    /// The table is the parent's own: the child must leave it first of all, with what is below this number.
    pub(super) unshare_from: Option<RawFd>,
    /// Paths to exec in turn; NULL-terminated.
    pub(super) candidates: *const *const c_char,
    /// NULL-terminated.
    pub(super) argv: *const *const c_char,
    /// NULL-terminated.
    pub(super) envp: *const *const c_char,
    /// Where among these the child writes its pid.
    pub(super) listen_pid: Option<&'a ListenPid>,
    /// Whether the child ignores what the parent does, but SIGPIPE and SIGCHLD.
    pub(super) keep_ignored: bool,
    /// Whether the child was made without handlers: each signal is ignored, or at its default.
    pub(super) has_no_handlers: bool,
    /// The pid that the parent must still have, if a parent-death signal is to come.
    pub(super) parent: libc::pid_t,
    pub(super) handshake: &'a Handshake,
    /// The trampoline that does the rest, and the number of its program's file.
    pub(super) trampoline: Option<(&'a Trampoline, RawFd)>,
}

/// The kernel's signal set is 64 bits on every architecture that Rust's std supports but MIPS.
pub(super) const KERNEL_SIGSET_BYTES: usize = 8;

/// Entry point of the child. Returns only to `_exit`.
pub(super) extern "C" fn child_main(child_args: *mut c_void) -> c_int {
    // SAFETY: `clone` was given a pointer to `ChildArgs` which outlives the suspended parent
    // thread's call (CLONE_VFORK), and nothing writes to it but through its atomics.
    let child_args = unsafe { &*child_args.cast::<ChildArgs<'_>>() };
    let (failed, errno) = run(child_args);
    child_args.handshake.fail(failed, errno);
    loop {
        // SAFETY: ends this thread group, which is the child alone (no CLONE_THREAD).
        unsafe { libc::syscall(libc::SYS_exit_group, 127 as c_long) };
    }
}

/// Runs what is ordered; comes back only with what failed.
fn run(child_args: &ChildArgs<'_>) -> (Failed, c_int) {
    if !child_args.handshake.begin() {
        return (Failed::Cancelled, libc::ECANCELED);
    }
    if let Some(end) = child_args.unshare_from
        && !close_range(end.into(), c_int::MAX.into(), libc::CLOSE_RANGE_UNSHARE)
    {
        return (Failed::Unshare, errno());
    }
    // The one signal that may come through to here: it has no handler of the parent's now.
    set_disposition(libc::SIGCHLD.into(), &DEFAULT);
    let mut index = 0_usize;
    for step in child_args.steps {
        let errno = run_step(step, child_args);
        if errno != 0 {
            return (Failed::Step(index), errno);
        }
        index = index.wrapping_add(1);
    }
    // For a cancel whose signal did not get through to a child that hung in a step.
    if child_args.handshake.is_cancelled() {
        return (Failed::Cancelled, libc::ECANCELED);
    }
    reset_signals(child_args.keep_ignored, child_args.has_no_handlers);
    if let Some(listen_pid) = child_args.listen_pid {
        listen_pid.store(pid());
    }
    if let Some((trampoline, file)) = child_args.trampoline {
        return (Failed::Trampoline, go_on(trampoline, file, child_args));
    }
    // Last, so that no handler of the parent can run here: they are all default by now.
    open_signal_mask();
    (Failed::Exec, exec(child_args))
}

/// Returns an errno or 0.
fn run_step(step: &Step, child_args: &ChildArgs<'_>) -> c_int {
    match step {
        Step::Call {
            number,
            args,
            optional,
            ..
        } => {
            let [a, b, c, d, e] = *args;
            // SAFETY: the code that made the step vouches for its arguments: integers, or pointers to memory
            // that the image keeps alive.
            let result = unsafe { libc::syscall(*number, a, b, c, d, e) };
            let errno = if result == -1 { errno() } else { 0 };
            if *optional && errno == libc::EPERM {
                0
            } else {
                errno
            }
        }
        Step::CloseOthers => close_others(child_args.kept),
        Step::WriteFile { path, text } => write_file(path.as_ptr(), text.as_bytes()),
        Step::CheckParent => {
            // SAFETY: no arguments.
            let parent = unsafe { libc::syscall(libc::SYS_getppid) };
            // The parent died between the clone and the request for a signal at its death.
            if parent == child_args.parent as c_long {
                0
            } else {
                libc::ESRCH
            }
        }
    }
}

fn write_file(path: *const c_char, text: &[u8]) -> c_int {
    // SAFETY: a NUL-terminated path of the image's; integers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat,
            libc::AT_FDCWD,
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

/// A sigaction of the kernel's, which is 32 bytes in the widest layout. Zeroes are SIG_DFL, no flags
/// and an empty mask in every one.
type Action = [u64; 8];
const DEFAULT: Action = [0; 8];

/// Not ignored by any child. A program that started this one by posix_spawn may have left libc's own two signals, 32
/// and 33, ignored.
const ALWAYS_DEFAULT: [c_long; 4] = [libc::SIGPIPE as c_long, libc::SIGCHLD as c_long, 32, 33];

/// Every disposition to default, 32 and 33 included, which libc's wrappers refuse to touch; or back to
/// ignored, if that is to stay.
///
/// The table is the child's own (no CLONE_SIGHAND). KILL and STOP answer EINVAL: ignored.
fn reset_signals(keep_ignored: bool, has_no_handlers: bool) {
    if keep_ignored && has_no_handlers {
        // All others are as they shall be.
        for signal in ALWAYS_DEFAULT {
            set_disposition(signal, &DEFAULT);
        }
        return;
    }
    let mut signal: c_long = 1;
    while signal <= 64 {
        let before = set_disposition(signal, &DEFAULT);
        if keep_ignored && !ALWAYS_DEFAULT.contains(&signal) && is_ignored(&before) {
            set_disposition(signal, &before);
        }
        signal = signal.wrapping_add(1);
    }
}

/// The handler comes first in the kernel's layout, but on MIPS, where flags of 32 bits do.
fn is_ignored(action: &Action) -> bool {
    let [first, second, ..] = *action;
    let handler = if cfg!(target_arch = "mips64") {
        second
    } else {
        first
    };
    handler == libc::SIG_IGN as u64
}

/// Gives what was set before.
fn set_disposition(signal: c_long, action: &Action) -> Action {
    let mut before = DEFAULT;
    // SAFETY: reads and writes at most one kernel_sigaction each, which is smaller than these.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            before.as_mut_ptr(),
            KERNEL_SIGSET_BYTES,
        )
    };
    before
}

/// The child's own, in its own namespace.
fn pid() -> u32 {
    // SAFETY: no arguments.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) };
    pid as u32
}

/// Executes the trampoline, with all signals blocked; returns the errno.
fn go_on(trampoline: &Trampoline, file: RawFd, child_args: &ChildArgs<'_>) -> c_int {
    trampoline.board(pid());
    // SAFETY: an empty path, NULL-terminated arrays of the parent's, integers.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file as c_long,
            c"".as_ptr(),
            child_args.argv,
            child_args.envp,
            libc::AT_EMPTY_PATH as c_long,
        )
    };
    errno()
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

/// Execs the candidates in turn by posix_spawnp's rules; returns the errno that tells most.
fn exec(child_args: &ChildArgs<'_>) -> c_int {
    let mut best = (0, libc::ENOENT);
    let mut waits = 0;
    let mut next = child_args.candidates;
    loop {
        // SAFETY: the list ends with a null, where the loop stops.
        let candidate = unsafe { next.read() };
        if candidate.is_null() {
            return best.1;
        }
        next = next.wrapping_add(1);
        let errno = exec_one(candidate, child_args, &mut waits);
        match telling(errno) {
            Some(rank) if rank >= best.0 => best = (rank, errno),
            Some(_) => {}
            None => return errno,
        }
    }
}

/// How much it tells that this candidate was none; `None` ends the search.
pub(super) fn telling(errno: c_int) -> Option<u8> {
    match errno {
        // No file can be there: its directory is none, or the path is none.
        libc::ENOTDIR | libc::ENAMETOOLONG | libc::ELOOP => Some(0),
        libc::ENOENT => Some(1),
        // The file may be there, on a file system that does not answer.
        libc::ENODEV
        | libc::ESTALE
        | libc::ETIMEDOUT
        | libc::ENOTCONN
        | libc::EIO
        | libc::EHOSTDOWN => Some(2),
        libc::EACCES => Some(3),
        _ => None,
    }
}

/// So often, all candidates together, a file that is being written is tried again: for 32 ms.
pub(super) const MOST_WAITS: u32 = 7;
pub(super) const FIRST_WAIT: c_long = 250_000;

/// Execs; returns the errno. A program that was just written may be busy for a moment only: a child
/// that is between its clone and exec at the same time has a copy of the writer's descriptor.
fn exec_one(candidate: *const c_char, child_args: &ChildArgs<'_>, waits: &mut u32) -> c_int {
    loop {
        // SAFETY: NUL-terminated path and NULL-terminated arrays of the parent's.
        unsafe {
            libc::syscall(
                libc::SYS_execve,
                candidate,
                child_args.argv,
                child_args.envp,
            )
        };
        let errno = errno();
        if errno != libc::ETXTBSY || *waits == MOST_WAITS {
            return errno;
        }
        let wait: [c_long; 2] = [0, FIRST_WAIT.wrapping_shl(*waits)];
        // SAFETY: reads a timespec of two words.
        unsafe {
            libc::syscall(
                libc::SYS_nanosleep,
                wait.as_ptr(),
                std::ptr::null::<c_void>(),
            )
        };
        *waits = waits.wrapping_add(1);
    }
}
