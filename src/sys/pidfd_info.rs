//! How a child ended that other code has reaped: the kernel tells it by the child's pidfd.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::cvt;

/// The kernel's `struct pidfd_info` in its first version, 64 bytes. A later kernel takes it as it is.
#[repr(C)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)`.
const GET_INFO: libc::Ioctl = libc::_IOWR::<PidfdInfo>(0xFF, 11);

/// How long the thread that reaps the child may take from the end of its wait to the child's release. The kernel
/// needs microseconds, unless it preempts that thread in between.
const RELEASE_MS: u8 = 100;

/// The wait status of a child that was reaped, as waitpid(2) encodes it: Linux 6.15 keeps it.
pub(super) fn exit_status(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let told = get_info(pidfd)?;
    if told.mask & INFO_EXIT != 0 {
        return Some(told.exit_code);
    }
    // Another thread has taken the status and not yet released the process. The release comes next, and hangs
    // the pidfd up.
    let mut wait = [PollFd::new(pidfd, PollFlags::empty())];
    let _ = poll(&mut wait, PollTimeout::from(RELEASE_MS));
    let told = get_info(pidfd)?;
    (told.mask & INFO_EXIT != 0).then_some(told.exit_code)
}

/// `None`: the kernel does not know the question, or no longer knows the process.
fn get_info(pidfd: BorrowedFd<'_>) -> Option<PidfdInfo> {
    let mut info = MaybeUninit::<PidfdInfo>::zeroed();
    // SAFETY: the kernel reads and writes one structure, of the size that the number of the request
    // holds, in the live local. A kernel that does not know it writes nothing.
    let asked = unsafe {
        (*info.as_mut_ptr()).mask = INFO_EXIT;
        libc::ioctl(pidfd.as_raw_fd(), GET_INFO, info.as_mut_ptr())
    };
    cvt(asked.into()).ok()?;
    // SAFETY: integers only, all of them zeroed.
    Some(unsafe { info.assume_init() })
}
