//! Cloning a child: `CLONE_VM | CLONE_VFORK | CLONE_PIDFD` on a stack of our own.
//!
//! The parent's page tables are not copied, so a spawn costs the same whatever the parent's size.
//! The calling thread is suspended until the child's exec or exit; [`super::child`] says what may
//! run in between.

use std::ffi::c_void;
use std::io::{self, Error};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::libc;

use super::child::{CANCELLED, Failed, KERNEL_SIGSET_BYTES, Orders, Report, child_main};
use super::dumpable;
use super::step::Steps;
use super::strings::Strings;
use super::{copy, cvt, signal, wait};

/// A child that has exec'd (or was killed while it did).
#[derive(Debug, Clone)]
pub(crate) struct Born {
    pub(crate) pid: libc::pid_t,
    /// `None` where the kernel or a sandbox refuses pidfds.
    pub(crate) pidfd: Option<Arc<OwnedFd>>,
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) enum Stillborn {
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
    pub(crate) envp: &'a Strings,
    pub(crate) steps: Steps,
    /// Whether a step changes the ids.
    pub(crate) changes_ids: bool,
    /// The descriptors of the map, ascending.
    pub(crate) kept: Vec<RawFd>,
    /// Shares the parent's descriptor table up to the child's first act, which keeps what is below
    /// this number. See [`super::slots`].
    pub(crate) unshare_from: Option<RawFd>,
}

/// One spawn, seen by whoever wants it and by the thread that does it: wanted, committed, or
/// cancelled, and while the clone runs, whom to kill.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    state: AtomicU8,
    target: Mutex<Option<Target>>,
}

/// Whom a cancel kills.
#[derive(Debug)]
enum Target {
    /// The clone runs.
    InFlight(Arc<InFlight>),
    /// It came back; the child is not reaped before [`Ticket::forget`].
    Born(Born),
}

/// The kernel stores the child's pidfd (or pid) here before the child runs.
#[derive(Debug)]
struct InFlight {
    id: AtomicI32,
    by_pidfd: bool,
}

const WANTED: u8 = 0;
const COMMITTED: u8 = 1;

impl Ticket {
    /// Decides for the child to live. False if it was cancelled before.
    pub(crate) fn commit(&self) -> bool {
        let decided =
            self.state
                .compare_exchange(WANTED, COMMITTED, Ordering::SeqCst, Ordering::SeqCst);
        if decided.is_ok() {
            self.forget();
        }
        decided.is_ok()
    }

    /// The child is about to be reaped: nobody signals it through the ticket any more.
    pub(crate) fn forget(&self) {
        if copy::is_copy() {
            return;
        }
        let target = self.lock().take();
        drop(target);
    }

    /// Decides against the child, unless it is committed, and kills it if it is there already: by
    /// the time that anybody else gets to it, this process may have ended.
    pub(crate) fn cancel(&self) {
        if copy::is_copy() {
            return;
        }
        let decided =
            self.state
                .compare_exchange(WANTED, CANCELLED, Ordering::SeqCst, Ordering::SeqCst);
        if decided.is_err() {
            return;
        }
        match &*self.lock() {
            // A child whose id is not stored yet has not run yet: it will see the state itself.
            Some(Target::InFlight(child)) => {
                let id = child.id.load(Ordering::SeqCst);
                if id >= 0 {
                    let _ = signal::kill_unreaped(id, child.by_pidfd);
                }
            }
            Some(Target::Born(Born { pid, pidfd })) => {
                let pidfd = pidfd.as_ref().map(|fd| fd.as_fd());
                let _ = signal::send(*pid, pidfd, libc::SIGKILL);
            }
            None => {}
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CANCELLED
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stack for children, with a guard page below. One per spawner thread.
#[derive(Debug)]
pub(crate) struct Stack {
    base: *mut c_void,
    length: usize,
}

// SAFETY: plain memory; only its owner uses it.
unsafe impl Send for Stack {}

impl Stack {
    const USABLE: usize = 64 * 1024;

    pub(crate) fn new() -> io::Result<Self> {
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
        let stack = Self { base, length };
        // SAFETY: the lowest page of the mapping just made.
        cvt(unsafe { libc::mprotect(stack.base, page, libc::PROT_NONE) }.into())?;
        Ok(stack)
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
/// Must run on a thread that lives as long as the process: a parent-death signal follows the
/// thread that cloned.
pub(crate) fn spawn(
    image: &Image<'_>,
    ticket: &Ticket,
    stack: &mut Stack,
) -> Result<Born, Stillborn> {
    let candidates = image.candidates.pointers();
    let argv = image.argv.pointers();
    let envp = image.envp.pointers();
    let report = Report::default();
    let orders = Orders {
        candidates: candidates.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        steps: image.steps.as_slice(),
        parent: if image.steps.compare_parent() {
            std::process::id() as libc::pid_t
        } else {
            0
        },
        kept: &image.kept,
        unshare_from: image.unshare_from,
        ticket: &ticket.state,
        report: &report,
    };

    let _dumpable = image.changes_ids.then(dumpable::Keep::new);
    let born = if cfg!(actix_process_force_no_pidfd) {
        clone_child(&orders, ticket, stack, false)
    } else {
        match clone_child(&orders, ticket, stack, true) {
            // EINVAL: the flag is unknown or combined otherwise; a sandbox answers what it likes.
            // What is truly short (memory, processes, descriptors) stays an error.
            Err(refused) if is_refusal(&refused) => clone_child(&orders, ticket, stack, false),
            result => result,
        }
    }
    .map_err(Stillborn::Clone)?;

    match report.failure() {
        None => Ok(born),
        Some((failed, errno)) => {
            // It is exiting already, so this wait is short.
            ticket.forget();
            wait::wait_and_forget(born.pid);
            Err(Stillborn::Child { failed, errno })
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINVAL | libc::EPERM | libc::ENOSYS | libc::EACCES)
    )
}

fn clone_child(
    orders: &Orders<'_>,
    ticket: &Ticket,
    stack: &mut Stack,
    with_pidfd: bool,
) -> io::Result<Born> {
    let in_flight = Arc::new(InFlight {
        id: AtomicI32::new(-1),
        by_pidfd: with_pidfd,
    });
    let id = in_flight.id.as_ptr();
    *ticket.lock() = Some(Target::InFlight(Arc::clone(&in_flight)));
    let store_id = if with_pidfd {
        libc::CLONE_PIDFD
    } else {
        libc::CLONE_PARENT_SETTID
    };

    let share_files = if orders.unshare_from.is_some() {
        libc::CLONE_FILES
    } else {
        0
    };

    let mask = block_all_signals();
    // SAFETY: `child_main` keeps to what a child that shares our memory may do; the stack is
    // ours, large enough and not in use; `orders` and `id` (in `in_flight`) outlive the
    // call, which returns only when the child has left our memory (CLONE_VFORK).
    let pid = unsafe {
        libc::clone(
            child_main,
            stack.top(),
            libc::CLONE_VM | libc::CLONE_VFORK | share_files | store_id | libc::SIGCHLD,
            ptr::from_ref(orders).cast_mut().cast::<c_void>(),
            id,
        )
    };
    let result = cvt(pid.into());
    restore_signals(mask);

    // In one step under the lock: whoever cancels finds the id or the child, never a gap.
    let mut target = ticket.lock();
    *target = None;
    let stored = in_flight.id.load(Ordering::SeqCst);
    result?;
    let pidfd = (with_pidfd && stored >= 0).then(|| {
        // SAFETY: the kernel just opened this descriptor for us, and nobody else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(stored) };
        Arc::new(super::io::above_stdio(pidfd))
    });
    let born = Born { pid, pidfd };
    *target = Some(Target::Born(born.clone()));
    Ok(born)
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
