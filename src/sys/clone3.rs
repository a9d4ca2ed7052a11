//! clone3(2), for which libc has no wrapper: it makes a child in a cgroup, and without handlers.
//!
//! A child that shares the parent's memory returns from the call on a stack of its own, where the caller has no
//! frame. So the call and what the child does next are one piece of assembly, which there is for x86_64. Elsewhere,
//! and where a kernel or a sandbox refuses the call, clone(2) does without both.

use std::ffi::c_int;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use super::child::ChildArgs;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
use super::child::child_main;

/// What a child is made with, besides its program.
#[derive(Debug)]
pub(super) struct Birth<'a> {
    /// Those of clone(2), without the signal.
    pub(super) flags: c_int,
    /// Where the kernel stores the pidfd or the pid, by the flags.
    pub(super) id_place: *mut i32,
    /// The lowest byte of the child's stack, and its length.
    pub(super) stack: (*mut u8, usize),
    /// The directory of the cgroup that the child is in from the start.
    pub(super) cgroup: Option<BorrowedFd<'a>>,
}

static REFUSED: AtomicBool = AtomicBool::new(false);
static REFUSED_CGROUPS: AtomicBool = AtomicBool::new(false);

/// Whether the call has not been refused yet. It begins in Linux 5.3; of the flags that are used here the one about
/// handlers comes with 5.5.
pub(super) fn is_possible() -> bool {
    IS_BUILT && !REFUSED.load(Ordering::Relaxed)
}

/// clone(2) has just done what this call was refused.
pub(super) fn refuse() {
    REFUSED.store(true, Ordering::Relaxed);
}

/// Whether a child may be made in a cgroup: from Linux 5.7 on.
pub(crate) fn joins_cgroups() -> bool {
    is_possible() && !REFUSED_CGROUPS.load(Ordering::Relaxed)
}

/// A child has just joined the cgroup in which it could not be made.
pub(crate) fn refuse_cgroups() {
    REFUSED_CGROUPS.store(true, Ordering::Relaxed);
}

const IS_BUILT: bool = cfg!(all(
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(actix_process_force_no_clone3)
));

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod call {
    use std::arch::asm;
    use std::ffi::c_void;
    use std::io::{self, Error};
    use std::os::fd::AsRawFd;
    use std::ptr;

    use nix::libc;

    use super::{Birth, ChildArgs, child_main};

    /// The kernel's, all of 64 bits.
    #[repr(C)]
    struct Args {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }

    /// What Linux 5.3 knows of them: all up to `tls`. What it does not know, and is not 0, it refuses.
    const FIRST_SIZE: usize = 64;
    /// libc has both as numbers of 32 bits.
    const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
    const CLONE_INTO_CGROUP: u64 = 1 << 33;

    /// Clones a child that runs [`child_main`] with `child_args`; it has no handlers of the parent's. Gives its pid.
    ///
    /// # Safety
    ///
    /// As for `libc::clone` with these flags: the stack is the child's alone and large enough for it, and
    /// what the pointers lead to outlives the child's use of it. The flags hold CLONE_VFORK.
    pub(in super::super) unsafe fn clone3(
        birth: &Birth<'_>,
        child_args: &ChildArgs<'_>,
    ) -> io::Result<libc::pid_t> {
        let id_place = birth.id_place as u64;
        let (cgroup_flag, size) = match birth.cgroup {
            Some(_) => (CLONE_INTO_CGROUP, size_of::<Args>()),
            None => (0, FIRST_SIZE),
        };
        let args = Args {
            flags: u64::from(birth.flags.cast_unsigned()) | CLONE_CLEAR_SIGHAND | cgroup_flag,
            pidfd: id_place,
            child_tid: 0,
            parent_tid: id_place,
            exit_signal: libc::SIGCHLD as u64,
            stack: birth.stack.0 as u64,
            stack_size: birth.stack.1 as u64,
            tls: 0,
            set_tid: 0,
            set_tid_size: 0,
            cgroup: birth.cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
        };
        let result: i64;
        // SAFETY: the kernel reads `size` bytes of `args`, and writes to the place for the id. In the parent this is a
        // system call like any other: it changes rax, rcx and r11. The child goes on in the second half, with the same
        // registers, on its own stack, whose end is a page's and so aligned as a call wants it; nothing is on it,
        // and nothing of the caller's frame is touched. It calls `child_main`, which does not return, as the last
        // frame (rbp is 0), and has `child_args` as its argument, whose life the caller vouches for.
        unsafe {
            asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, {child_args}",
                "call {main}",
                "ud2",
                "2:",
                child_args = in(reg) ptr::from_ref(child_args).cast_mut().cast::<c_void>(),
                main = in(reg) child_main as extern "C" fn(*mut c_void) -> std::ffi::c_int,
                inlateout("rax") libc::SYS_clone3 => result,
                in("rdi") &raw const args,
                in("rsi") size,
                out("rcx") _,
                out("r11") _,
            );
        }
        if result < 0 {
            return Err(Error::from_raw_os_error(result.unsigned_abs() as i32));
        }
        Ok(result as libc::pid_t)
    }
}

#[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64")))]
mod call {
    use std::io;

    use nix::libc;

    use super::{Birth, ChildArgs};

    /// There is none: see `is_possible`.
    ///
    /// # Safety
    ///
    /// None is needed.
    pub(in super::super) unsafe fn clone3(
        _: &Birth<'_>,
        _: &ChildArgs<'_>,
    ) -> io::Result<libc::pid_t> {
        Err(io::Error::from_raw_os_error(libc::ENOSYS))
    }
}

pub(super) use call::clone3;
