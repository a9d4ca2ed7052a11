//! A tiny program between a child that shares the parent's memory and the program that it shall
//! run: it changes the ids, in a memory of its own, which holds nothing of the parent's.
//!
//! It lies in a memfd, made for one spawn: an ELF header, code that is always the same, and a table
//! of system calls, then the candidates to exec. The last page of the memfd is shared with the
//! parent, for the report of a failure. In it is also a robust futex (see set_robust_list(2)), which
//! the kernel releases when the trampoline execs or dies: that is how the parent learns of it,
//! without a descriptor that others could inherit.

mod code;
mod image;
mod privilege;

use std::ffi::c_long;
use std::io::{self, Error};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

use nix::libc;

use super::handshake::Failed;
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
    /// The head of the robust list: its one element, the futex seen from there, none pending.
    head: [usize; 3],
    /// The element: back to the head.
    element: usize,
}

const HEAD_AT: usize = 16;
const ELEMENT_AT: usize = 40;
const _: () = assert!(std::mem::offset_of!(Shared, head) == HEAD_AT);
const _: () = assert!(std::mem::offset_of!(Shared, element) == ELEMENT_AT);

static REFUSED: AtomicBool = AtomicBool::new(false);

/// No more trampolines: the kernel or a sandbox does not execute them.
pub(crate) fn refuse() {
    REFUSED.store(true, Ordering::Relaxed);
}

/// One trampoline, for one clone.
#[derive(Debug)]
pub(crate) struct Trampoline {
    /// The whole file, shared.
    memory: NonNull<u8>,
}

impl Trampoline {
    /// Of the file. Most of it is never touched.
    const LENGTH: usize = 64 * PAGE;

    /// With its file; `None` where a child must be forked.
    pub(crate) fn new() -> Option<(Self, OwnedFd)> {
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

    fn make() -> io::Result<(Self, OwnedFd)> {
        let file = match memfd(libc::MFD_CLOEXEC | MFD_EXEC) {
            // Before Linux 6.3 each is executable.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => memfd(libc::MFD_CLOEXEC),
            result => result,
        }?;
        let file = super::io::above_stdio(file);
        nix::unistd::ftruncate(&file, Self::LENGTH as i64)?;
        // SAFETY: a mapping of a file that nobody else has, at an address of the kernel's choice.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::LENGTH,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let trampoline = Self { memory };
        // A fork of the host may be anybody's, and would write to it.
        // SAFETY: the mapping just made.
        cvt(unsafe {
            let memory = trampoline.memory.as_ptr().cast();
            libc::madvise(memory, Self::LENGTH, libc::MADV_DONTFORK)
        }
        .into())?;
        Ok((trampoline, file))
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the last page of the mapping, which is aligned, zeroed by the kernel (valid for
        // every field), and unmapped by the drop only. It is written to by `prepare`, before there
        // is a child, and else through its atomics.
        unsafe {
            let page = self.memory.as_ptr().wrapping_add(Self::LENGTH - PAGE);
            &*page.cast::<Shared>()
        }
    }

    /// Writes the program. False: there is no room, or a step that it cannot do.
    pub(super) fn prepare(&mut self, course: &Course<'_>) -> bool {
        let Some(image) = image::image(code::code(), course) else {
            return false;
        };
        if image.len() > Self::LENGTH - PAGE {
            return false;
        }
        let shared = Shared {
            owner: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            errno: AtomicI32::new(0),
            attached: AtomicU32::new(0),
            head: [SHARED + ELEMENT_AT, ELEMENT_AT.wrapping_neg(), 0],
            element: SHARED + HEAD_AT,
        };
        // SAFETY: the mapping is ours alone, long enough as just looked at, and aligned to a page.
        unsafe {
            ptr::copy_nonoverlapping(image.as_ptr(), self.memory.as_ptr(), image.len());
            let page = self.memory.as_ptr().wrapping_add(Self::LENGTH - PAGE);
            page.cast::<Shared>().write(shared);
        }
        true
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
            // Until it holds the futex, its death does not release it. Later it might have been let go
            // of only by who wrote to the page.
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

// SAFETY: plain memory with one owner.
unsafe impl Send for Trampoline {}

impl Drop for Trampoline {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `make`; a clone borrows the trampoline until it has landed.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), Self::LENGTH) };
    }
}

/// How often a trampoline that has not got so far as to hold its futex is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How often one that does is looked at.
const SELDOM: Duration = Duration::from_secs(1);
/// Since Linux 6.3: whatever vm.memfd_noexec is, but for 2.
const MFD_EXEC: u32 = 0x10;

fn memfd(flags: u32) -> io::Result<OwnedFd> {
    // SAFETY: a NUL-terminated name.
    let fd = cvt(unsafe { libc::syscall(libc::SYS_memfd_create, c"spawn".as_ptr(), flags) })?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A file that is larger than the limit allows costs the host a SIGXFSZ.
fn may_write_files() -> bool {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes one rlimit64 into the live local.
    let asked = unsafe { libc::getrlimit64(libc::RLIMIT_FSIZE, &raw mut limit) };
    asked == 0 && limit.rlim_cur >= Trampoline::LENGTH as u64
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
