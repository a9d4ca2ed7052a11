//! A tiny program between a child that shares the parent's memory and the program that it shall
//! run: it changes the ids, in a memory of its own, which holds nothing of the parent's.
//!
//! It lies in a memfd, made for one spawn and sealed: an ELF header, code that is always the same, and a
//! table of system calls, then the candidates to exec. A page of another memfd is shared with the
//! parent, for the report of a failure. In it is also a robust futex (see set_robust_list(2)), which
//! the kernel releases when the trampoline execs or dies: that is how the parent learns of it,
//! without a descriptor whose end others could hold up.

mod code;
mod image;
mod memfds;
mod privilege;

use std::ffi::c_long;
use std::fs::File;
use std::io::{self, Error};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

use nix::libc;

use super::handshake::Failed;
use super::rlimit::own_limits;
use super::{cvt, wait};

pub(super) use image::Course;

const PAGE: usize = 4096;
/// Where the shared page is in the trampoline's memory.
const SHARED: usize = 0x2000_0000;

/// The shared page.
#[repr(C)]
struct Shared {
    /// The trampoline's pid, with FUTEX_WAITERS, until it is released.
    owner: AtomicU32,
    failed: AtomicU32,
    errno: AtomicI32,
    attached: AtomicU32,
}

static REFUSED: AtomicBool = AtomicBool::new(false);

/// No more trampolines: the kernel or a sandbox does not execute them.
pub(crate) fn refuse() {
    REFUSED.store(true, Ordering::Relaxed);
}

/// One trampoline, for one clone.
#[derive(Debug)]
pub(crate) struct Trampoline {
    program: File,
    report: File,
    /// The page of the report.
    page: NonNull<Shared>,
}

/// The numbers of its two files, in the parent or in the child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files {
    pub(crate) program: RawFd,
    pub(crate) report: RawFd,
}

impl Trampoline {
    /// Of the program, at most.
    const LENGTH: usize = 63 * PAGE;

    /// `None` where a child must be forked.
    pub(crate) fn new() -> Option<Self> {
        if !cfg!(target_arch = "x86_64")
            || cfg!(actix_process_force_no_trampoline)
            || REFUSED.load(Ordering::Relaxed)
            || !privilege::outlives_an_exec()
            || privilege::next_exec_has_a_label()
            || !may_write_files()
        {
            return None;
        }
        Self::make().ok()
    }

    fn make() -> io::Result<Self> {
        let (program, report) = (memfds::program()?, memfds::report()?);
        // SAFETY: a page of a file that is never shorter, at an address of the kernel's choice.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                report.as_raw_fd(),
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let page = NonNull::new(page.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let trampoline = Self {
            program,
            report,
            page,
        };
        // A fork of the host may be anybody's, and would write to it.
        // SAFETY: the mapping just made.
        cvt(unsafe { libc::madvise(page.as_ptr().cast(), PAGE, libc::MADV_DONTFORK) }.into())?;
        Ok(trampoline)
    }

    /// In the parent; the child has them under other numbers.
    pub(crate) fn files(&self) -> Files {
        Files {
            program: self.program.as_raw_fd(),
            report: self.report.as_raw_fd(),
        }
    }

    fn shared(&self) -> &Shared {
        // SAFETY: a page that was mapped in `make`, zeroed by the kernel (valid for every field), and is
        // unmapped by the drop only. Everything in it is atomic.
        unsafe { self.page.as_ref() }
    }

    /// Writes the program, once. False: there is no room, or a step that it cannot do.
    pub(super) fn prepare(&self, course: &Course<'_>) -> bool {
        image::image(code::code(), course).is_some_and(|image| {
            image.len() <= Self::LENGTH && memfds::write_program(&self.program, &image).is_ok()
        })
    }

    /// The child is about to execute it: the last that it writes to the parent's memory.
    pub(super) fn board(&self, pid: u32) {
        let owner = pid | libc::FUTEX_WAITERS;
        self.shared().owner.store(owner, Ordering::SeqCst);
    }

    /// Waits until the child `pid` has executed its program, or died; tells what failed.
    pub(super) fn landed(&self, pid: libc::pid_t) -> Option<(Failed, i32)> {
        let shared = self.shared();
        loop {
            let owner = shared.owner.load(Ordering::SeqCst);
            if owner & libc::FUTEX_OWNER_DIED != 0 {
                break;
            }
            // Before the trampoline holds the futex, its death does not release the futex. After that, only a
            // process that writes to the page can release it otherwise.
            let attached = || shared.attached.load(Ordering::SeqCst) != 0;
            let look = if attached() { SELDOM } else { LOOK };
            if wait::has_exited(pid) {
                if !attached() && shared.failed.load(Ordering::SeqCst) == 0 {
                    // It was killed, or could not map the page: nothing that is always so.
                    return Some((Failed::Trampoline, libc::EIO));
                }
                break;
            }
            futex_wait(&shared.owner, owner, look);
        }
        let failed = Failed::from_code(shared.failed.load(Ordering::SeqCst))?;
        Some((failed, shared.errno.load(Ordering::SeqCst)))
    }
}

// SAFETY: plain memory with one owner, and files.
unsafe impl Send for Trampoline {}

impl Drop for Trampoline {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `make`; a clone borrows the trampoline until it has landed.
        unsafe { libc::munmap(self.page.as_ptr().cast(), PAGE) };
    }
}

/// How often a trampoline that has not got so far as to hold its futex is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How often one that does is looked at.
const SELDOM: Duration = Duration::from_secs(1);

/// A file that is larger than the limit allows costs the host a SIGXFSZ.
fn may_write_files() -> bool {
    own_limits(libc::RLIMIT_FSIZE).is_ok_and(|(soft, _)| soft >= Trampoline::LENGTH as u64)
}

fn futex_wait(futex: &AtomicU32, value: u32, timeout: Duration) {
    let timeout: [c_long; 2] = [timeout.as_secs() as c_long, timeout.subsec_nanos().into()];
    // SAFETY: a futex in the shared page, and a timespec of two words.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            futex.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            timeout.as_ptr(),
        )
    };
}
