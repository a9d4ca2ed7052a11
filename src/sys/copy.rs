//! Whether this process is a copy, by fork(2), of the one that spawned its children.
//!
//! The copy has the memory of its parent, its children's numbers and descriptors among it, but none of its
//! threads: a lock that another thread held at the fork stays locked for ever. So code that may reach a child of
//! the parent's, or wait for a lock, asks here first.

use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, Ordering};

use nix::libc;

/// A page of the kernel's making that is not zero here and is zero in every copy; null before the
/// first spawn.
static MARK: AtomicPtr<AtomicU8> = AtomicPtr::new(ptr::null_mut());

/// Where the kernel makes no such page: the process that spawned first; 0 before it did.
static HOST: AtomicI32 = AtomicI32::new(0);

/// From the first spawn on: the crate's state belongs to this process.
pub(crate) fn settle() {
    if !MARK.load(Ordering::Acquire).is_null() || HOST.load(Ordering::Relaxed) != 0 {
        return;
    }
    match make_mark() {
        Some(page) => {
            // If two threads do this at the same time, one of the pages stays mapped and unused.
            MARK.store(page, Ordering::Release);
        }
        None => HOST.store(this_process(), Ordering::Relaxed),
    }
}

/// Whether the crate's children are another process's.
pub(crate) fn is_copy() -> bool {
    let mark = MARK.load(Ordering::Acquire);
    if mark.is_null() {
        let host = HOST.load(Ordering::Relaxed);
        return host != 0 && host != this_process();
    }
    // SAFETY: a page that was mapped in `make_mark` and never is unmapped.
    unsafe { &*mark }.load(Ordering::Relaxed) == 0
}

fn make_mark() -> Option<*mut AtomicU8> {
    // Less than a page: the kernel rounds up.
    let length = 1;
    // SAFETY: a fresh anonymous mapping at an address of the kernel's choice.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping just made, which nobody else knows.
    if unsafe { libc::madvise(page, length, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: as above.
        unsafe { libc::munmap(page, length) };
        return None;
    }
    let mark = page.cast::<AtomicU8>();
    // SAFETY: the mapping is writable, zero, and large enough.
    unsafe { &*mark }.store(1, Ordering::Relaxed);
    Some(mark)
}

fn this_process() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::getpid() }
}

#[cfg(test)]
pub(crate) mod tests {
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    /// Whether a copy of this process comes to the end of `act`, in 20 seconds.
    pub(crate) fn is_done_in_a_copy(act: impl FnOnce()) -> bool {
        settle();
        // SAFETY: the copy does what a test gives it, on its only thread, and ends without unwinding into
        // the harness; that other threads may have held locks is the test.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => {
                matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0)))
            }
            ForkResult::Child => {
                // SAFETY: integers; the copy dies of SIGALRM, or ends here.
                unsafe {
                    libc::alarm(20);
                    act();
                    libc::_exit(0)
                }
            }
        }
    }
}
