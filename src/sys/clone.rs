//! Cloning a child: `CLONE_VM | CLONE_VFORK | CLONE_PIDFD` on a stack of our own, by clone3 where that is possible.
//!
//! The parent's page tables are not copied, so a spawn costs the same whatever the parent's size.
//! The calling thread is suspended until the child's exec or exit; [`super::child`] says what may
//! run in between. A child that changes its ids is cloned without CLONE_VM: it has a copy of the
//! memory, which the kernel closes to everybody but privileged processes.

use std::ffi::c_void;
use std::io::{self, Error};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;

use nix::libc;

use super::child::{ChildArgs, KERNEL_SIGSET_BYTES, child_main};
use super::clone3::{self, Birth};
use super::handshake::{Failed, Handshake};
use super::listen_pid::ListenPid;
use super::step::Steps;
use super::strings::{self, Strings};
use super::thread_state::Credentials;
use super::ticket::KillTarget;
pub(crate) use super::ticket::{Cloned, Ticket};
use super::trampoline::{Course, Files, Trampoline};
use super::{cvt, is_refusal, signal, wait};

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum CloneError {
    /// The kernel made no process.
    Clone(Error),
    /// The process was made, failed at a step before its exec, and has been reaped.
    Child { failed: Failed, errno: i32 },
}

/// What a child is made from. All strings are ready for the kernel.
#[derive(Debug)]
pub(crate) struct Image<'a> {
    pub(crate) candidates: &'a Strings,
    pub(crate) argv: &'a Strings,
    /// The second list follows the first.
    pub(crate) envp: [&'a Strings; 2],
    /// One more variable, in which the child writes its pid.
    pub(crate) listen_pid: Option<&'a ListenPid>,
    pub(crate) steps: Steps,
    /// Whether a step changes the ids: the child must not share the parent's memory then.
    pub(crate) changes_ids: bool,
    /// The trampoline that changes the ids, if the child cannot be forked cheaply: the first step that it takes
    /// over, and its files' numbers in the child. It serves one clone.
    pub(crate) trampoline: Option<(&'a Trampoline, usize, Files)>,
    /// The descriptors of the map, ascending.
    pub(crate) kept: Vec<RawFd>,
    /// Whether the child ignores what the parent does.
    pub(crate) keep_ignored: bool,
    /// The child shares the parent's descriptor table up to its first act, which keeps what is below this
    /// number. See [`super::reserved_fds`].
    pub(crate) unshare_from: Option<RawFd>,
    /// The directory of the cgroup that the child is in from the start: where [`clone3::joins_cgroups`]. An error of the clone
    /// may be this cgroup's then.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

/// What a spawner thread clones with: a stack for the children, with a guard page below; their handshake; and
/// the rights that the thread must have. One per spawner thread; no two processes use it at the same time.
#[derive(Debug)]
pub(crate) struct Stack {
    base: *mut c_void,
    length: usize,
    /// The handshake with children that share the memory.
    handshake: Arc<Handshake>,
    /// The rights that the thread must have to clone.
    credentials: Credentials,
    /// The thread had other rights at a clone.
    has_changed: bool,
}

// SAFETY: plain memory; only its owner uses it.
unsafe impl Send for Stack {}

impl Stack {
    const USABLE: usize = 64 * 1024;

    /// For a thread that clones for askers with these credentials.
    pub(crate) fn new(credentials: Credentials) -> io::Result<Self> {
        // SAFETY: no memory involved.
        let page = cvt(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })? as usize;
        let length = Self::USABLE + page;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let stack = Self {
            base,
            length,
            handshake: Arc::new(Handshake::new()),
            credentials,
            has_changed: false,
        };
        // SAFETY: the lowest page of the mapping just made.
        cvt(unsafe { libc::mprotect(stack.base, page, libc::PROT_NONE) }.into())?;
        Ok(stack)
    }

    /// Whether the thread was found to have other credentials, since libc's setuid and the like change those of
    /// all threads. Such a thread clones for no asker any more.
    pub(crate) const fn has_changed(&self) -> bool {
        self.has_changed
    }

    fn top(&mut self) -> *mut c_void {
        // One past the mapping, where a stack that grows down starts; page-aligned.
        self.base.wrapping_byte_add(self.length)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; no child runs on it, since `spawn` borrows the stack
        // until the child has left it.
        unsafe { libc::munmap(self.base, self.length) };
    }
}

/// Clones a child that execs `image`; blocks until it has, however long the file system takes.
///
/// Must run on a thread that outlives a child with a parent-death signal: that follows the thread that
/// cloned.
pub(crate) fn spawn(
    image: &Image<'_>,
    ticket: &Ticket,
    stack: &mut Stack,
) -> Result<Cloned, CloneError> {
    // The pointers live to the end of this function.
    let none = &Strings::new();
    let [own, more] = image.envp;
    let lists = [
        ([image.candidates, none], None),
        ([image.argv, none], None),
        ([own, more], image.listen_pid.map(ListenPid::as_ptr)),
    ];
    let (_pointers, [candidates, argv, envp]) = strings::pointers(lists);
    let parent = if image.steps.compare_parent() {
        std::process::id() as libc::pid_t
    } else {
        0
    };
    let mut steps = image.steps.as_slice();
    let mut trampoline = None;
    if let Some((program, from, files)) = image.trampoline {
        let course = Course {
            steps: &image.steps,
            from,
            candidates: image.candidates,
            parent,
            files,
        };
        if program.prepare(&course) {
            steps = steps.get(..from).unwrap_or_default();
            trampoline = Some((program, files.program));
        } else {
            return Err(CloneError::Child {
                failed: Failed::Trampoline,
                errno: libc::E2BIG,
            });
        }
    }
    let copies_memory = image.changes_ids && trampoline.is_none();
    let handshake = if copies_memory || SHARING_IS_EMULATED {
        Arc::new(Handshake::for_a_copy().map_err(CloneError::Clone)?)
    } else {
        Arc::clone(&stack.handshake)
    };
    let child_args = ChildArgs {
        candidates,
        argv,
        envp,
        listen_pid: image.listen_pid,
        steps,
        parent,
        kept: &image.kept,
        keep_ignored: image.keep_ignored,
        has_no_handlers: false,
        unshare_from: image.unshare_from,
        handshake: &handshake,
        trampoline,
    };
    let mut clone = |way| {
        ticket.take_off(&handshake, way != CloneWay::CloneWithoutPidfd);
        clone_child(&child_args, copies_memory, image.cgroup, ticket, stack, way)
    };
    let cloned = clone_by_any(&mut clone, image.cgroup.is_some()).map_err(CloneError::Clone)?;

    let failure = handshake.failure();
    let landed = || trampoline.and_then(|(trampoline, _)| trampoline.landed(cloned.pid));
    match failure.or_else(landed) {
        None => Ok(cloned),
        Some((failed, errno)) => {
            // It is exiting already; if that is not true, the wait is short all the same.
            if !wait::has_exited(cloned.pid) {
                let pidfd = cloned.pidfd.as_ref().map(|fd| fd.as_fd());
                let _ = signal::send(cloned.pid, pidfd, libc::SIGKILL);
            }
            ticket.forget();
            wait::wait_and_forget(cloned.pid);
            Err(CloneError::Child { failed, errno })
        }
    }
}

/// valgrind makes a copy of a clone that shares memory.
const SHARING_IS_EMULATED: bool = cfg!(actix_process_force_no_shared_table);

/// Why a thread does not clone for another one any more.
pub(crate) const CHANGED: &str =
    "the ids, groups or capabilities of the spawner thread have changed since it was asked";

/// How a child is cloned: the first way that is not refused. What is truly short (memory, processes, descriptors) stays an
/// error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CloneWay {
    Clone3,
    Clone,
    CloneWithoutPidfd,
}

/// `in_cgroup`: by clone3, or not at all.
fn clone_by_any(
    clone: &mut impl FnMut(CloneWay) -> io::Result<Cloned>,
    in_cgroup: bool,
) -> io::Result<Cloned> {
    if clone3::is_possible() {
        match clone(CloneWay::Clone3) {
            Err(refused) if is_refusal(&refused) && !in_cgroup => {}
            result => return result,
        }
        return clone_without_clone3(clone).inspect(|_| clone3::refuse());
    }
    if in_cgroup {
        return Err(Error::from_raw_os_error(libc::ENOSYS));
    }
    clone_without_clone3(clone)
}

fn clone_without_clone3(
    clone: &mut impl FnMut(CloneWay) -> io::Result<Cloned>,
) -> io::Result<Cloned> {
    if cfg!(actix_process_force_no_pidfd) {
        return clone(CloneWay::CloneWithoutPidfd);
    }
    match clone(CloneWay::Clone) {
        Err(refused) if is_refusal(&refused) => clone(CloneWay::CloneWithoutPidfd),
        result => result,
    }
}

fn clone_child(
    child_args: &ChildArgs<'_>,
    copies_memory: bool,
    cgroup: Option<BorrowedFd<'_>>,
    ticket: &Ticket,
    stack: &mut Stack,
    way: CloneWay,
) -> io::Result<Cloned> {
    let with_pidfd = way != CloneWay::CloneWithoutPidfd;
    let store_id = if with_pidfd {
        libc::CLONE_PIDFD
    } else {
        libc::CLONE_PARENT_SETTID
    };
    let share_memory = if copies_memory { 0 } else { libc::CLONE_VM };
    let share_files = if child_args.unshare_from.is_some() {
        libc::CLONE_FILES
    } else {
        0
    };

    let mask = block_all_signals();
    // From here on libc's setuid and the like wait for this thread.
    if !stack.credentials.are_ours() {
        stack.has_changed = true;
        restore_signals(mask);
        *ticket.target() = None;
        return Err(Error::other(CHANGED));
    }
    let before = ticks_since_boot();
    let flags = share_memory | libc::CLONE_VFORK | share_files | store_id;
    let id_place = child_args.handshake.id_place();
    let result = if way == CloneWay::Clone3 {
        let birth = Birth {
            flags,
            id_place,
            stack: (stack.base.cast(), stack.length),
            cgroup,
        };
        let child_args = ChildArgs {
            has_no_handlers: true,
            ..*child_args
        };
        // SAFETY: `child_main` keeps to what a child that shares our memory may do; the stack is
        // ours, large enough and not in use; `child_args` and the place for the id outlive the call, which
        // returns only when the child has left our memory, or its copy of it (CLONE_VFORK).
        unsafe { clone3::clone3(&birth, &child_args) }
    } else {
        // SAFETY: as above.
        let pid = unsafe {
            libc::clone(
                child_main,
                stack.top(),
                flags | libc::SIGCHLD,
                ptr::from_ref(child_args).cast_mut().cast::<c_void>(),
                id_place,
            )
        };
        cvt(pid.into()).map(|_| pid)
    };
    restore_signals(mask);
    let start = before.zip(ticks_since_boot());

    // In one step under the lock: a cancel finds the clone running or the child back, never a gap.
    let mut target = ticket.target();
    *target = None;
    let pid = result?;
    let stored = child_args.handshake.id().filter(|_| with_pidfd);
    let pidfd = stored.map(|stored| {
        // SAFETY: the kernel just opened this descriptor for us, and nobody else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(stored) };
        Arc::new(super::io::above_stdio(pidfd))
    });
    let cloned = Cloned { pid, pidfd, start };
    *target = Some(KillTarget::Cloned(cloned.clone()));
    Ok(cloned)
}

/// In hundredths of a second, whatever the kernel's own ticks are.
fn ticks_since_boot() -> Option<u64> {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: fills a live local.
    cvt(unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) }.into()).ok()?;
    let seconds = u64::try_from(now.tv_sec).ok()?;
    let hundredths = u64::try_from(now.tv_nsec).ok()? / 10_000_000;
    seconds.checked_mul(100)?.checked_add(hundredths)
}

/// Blocks all 64 signals, the two of libc's own included; returns the mask before.
///
/// All but SIGCHLD where it does nothing: the kernel drops what it would send to a thread that
/// ignores it, but keeps a blocked one, and interrupts another thread for it. That would be one at
/// each death of a child of this thread, which is in a clone most of the time. The child sets every
/// disposition to default first of all.
fn block_all_signals() -> u64 {
    let sigchld = 1_u64 << (libc::SIGCHLD - 1);
    let all = if signal::ignores_sigchld() {
        !sigchld
    } else {
        u64::MAX
    };
    let mut before = 0_u64;
    // SAFETY: reads and writes 8 bytes of live locals. KILL and STOP are left out by the kernel.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const all,
            &raw mut before,
            KERNEL_SIGSET_BYTES,
        )
    };
    before
}

fn restore_signals(mask: u64) {
    // SAFETY: reads 8 bytes of a live local.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            ptr::null::<c_void>(),
            KERNEL_SIGSET_BYTES,
        )
    };
}
