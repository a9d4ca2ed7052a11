//! What a child up to its exec and the thread that clones it tell each other: in the memory that they
//! share, or where the child has a copy, in a page that lives as long as the clone.
//!
//! A fork of the host has what is in that page for its life. So it is made for one clone, where
//! there must be one, and what it says is only believed of a child that is killed then.

use std::io::{self, Error};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use nix::libc;

/// What failed in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The step with this index.
    Step(usize),
    /// Leaving the parent's descriptor table. Nothing else was done.
    Unshare,
    /// The spawn was cancelled before the exec.
    Cancelled,
    /// The program that would have changed the ids could not be executed. Nothing else was done.
    Trampoline,
    /// None of the candidates could be executed.
    Exec,
}

impl Failed {
    const EXEC: u32 = u32::MAX;
    const CANCEL: u32 = u32::MAX - 1;
    const UNSHARE: u32 = u32::MAX - 2;
    const TRAMPOLINE: u32 = u32::MAX - 3;

    pub(super) fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => None,
            Self::EXEC => Some(Self::Exec),
            Self::CANCEL => Some(Self::Cancelled),
            Self::UNSHARE => Some(Self::Unshare),
            Self::TRAMPOLINE => Some(Self::Trampoline),
            number => Some(Self::Step(number as usize - 1)),
        }
    }

    pub(super) fn code(self) -> u32 {
        match self {
            Self::Step(index) => (index as u32).wrapping_add(1),
            Self::Unshare => Self::UNSHARE,
            Self::Trampoline => Self::TRAMPOLINE,
            Self::Cancelled => Self::CANCEL,
            Self::Exec => Self::EXEC,
        }
    }
}

/// Zero before a clone: not begun, not cancelled, nothing failed.
#[derive(Debug, Default)]
struct Words {
    /// Set by the child's first act.
    begun: AtomicBool,
    cancelled: AtomicBool,
    /// The code of a [`Failed`].
    failed: AtomicU32,
    errno: AtomicI32,
}

/// For one clone after the other, or with a page for one.
#[derive(Debug)]
pub(super) struct Handshake {
    /// The child's pidfd or pid, stored by the kernel, in the parent's memory in any case.
    id: AtomicI32,
    words: WordsPlace,
}

#[derive(Debug)]
enum WordsPlace {
    Here(Words),
    Page(NonNull<Words>),
}

// SAFETY: everything in the page is atomic.
unsafe impl Send for WordsPlace {}
// SAFETY: as above.
unsafe impl Sync for WordsPlace {}

impl Handshake {
    /// For children that share this memory.
    pub(super) fn new() -> Self {
        Self {
            id: AtomicI32::new(-1),
            words: WordsPlace::Here(Words::default()),
        }
    }

    /// For one child that has a copy of this memory.
    pub(super) fn for_a_copy() -> io::Result<Self> {
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Words>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let page = NonNull::new(page.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            id: AtomicI32::new(-1),
            words: WordsPlace::Page(page),
        })
    }

    fn words(&self) -> &Words {
        match &self.words {
            WordsPlace::Here(words) => words,
            // SAFETY: a page that was mapped in `for_a_copy`, zeroed by the kernel (valid for every
            // field), and is unmapped by the drop only.
            WordsPlace::Page(page) => unsafe { page.as_ref() },
        }
    }

    /// For the next clone.
    pub(super) fn clear(&self) {
        let words = self.words();
        words.begun.store(false, Ordering::SeqCst);
        words.cancelled.store(false, Ordering::SeqCst);
        words.failed.store(0, Ordering::SeqCst);
        words.errno.store(0, Ordering::SeqCst);
        self.id.store(-1, Ordering::SeqCst);
    }

    /// Where the kernel stores the pidfd or the pid.
    pub(super) fn id_place(&self) -> *mut i32 {
        self.id.as_ptr()
    }

    /// The number that the kernel stored there; no process's number if the clone failed.
    pub(super) fn id(&self) -> Option<i32> {
        Some(self.id.load(Ordering::SeqCst)).filter(|id| *id >= 0)
    }

    /// Stops the child before its exec. If the child runs already, gives the number by which to kill it, since
    /// it does not see the cancel while it hangs.
    ///
    /// A number counts only when the child runs. Before that the clone may still fail, and the kernel give the
    /// number to another process. Either this call sees that the child has begun, or the child sees the cancel
    /// in [`begin`](Self::begin).
    pub(super) fn cancel(&self) -> Option<i32> {
        let words = self.words();
        words.cancelled.store(true, Ordering::SeqCst);
        let begun = words.begun.load(Ordering::SeqCst);
        self.id().filter(|_| begun)
    }

    /// The child's first act. False: the spawn was cancelled.
    pub(super) fn begin(&self) -> bool {
        let words = self.words();
        words.begun.store(true, Ordering::SeqCst);
        !words.cancelled.load(Ordering::SeqCst)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.words().cancelled.load(Ordering::SeqCst)
    }

    /// The child's last act.
    pub(super) fn fail(&self, failed: Failed, errno: i32) {
        let words = self.words();
        words.errno.store(errno, Ordering::SeqCst);
        words.failed.store(failed.code(), Ordering::SeqCst);
    }

    /// What failed, and its errno.
    pub(super) fn failure(&self) -> Option<(Failed, i32)> {
        let words = self.words();
        let failed = Failed::from_code(words.failed.load(Ordering::SeqCst))?;
        Some((failed, words.errno.load(Ordering::SeqCst)))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        if let WordsPlace::Page(page) = self.words {
            // SAFETY: the mapping made in `for_a_copy`; the child has a mapping of its own.
            unsafe { libc::munmap(page.as_ptr().cast(), size_of::<Words>()) };
        }
    }
}
