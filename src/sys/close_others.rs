//! The child's step that closes what its map does not name. Bound by the rules of [`super::child`].

use std::ffi::{c_int, c_long, c_uint};
use std::os::fd::RawFd;

use nix::libc;

use super::errno;

/// Closes whatever is not kept, before anything that may hang: a child held up in its chdir or
/// exec must not hold the pipes of others open. Returns an errno or 0.
///
/// The table is the child's own by now, so it does not matter what the parent opens
/// meanwhile.
pub(super) fn close_others(kept: &[RawFd]) -> c_int {
    #[cfg(not(actix_process_force_no_close_range))]
    {
        let mut from: c_long = 0;
        let mut all_closed = true;
        for fd in kept {
            let fd = *fd as c_long;
            all_closed &= close_range(from, fd.wrapping_sub(1), 0);
            from = fd.wrapping_add(1);
        }
        if all_closed && close_range(from, i32::MAX as c_long, 0) {
            return 0;
        }
    }
    // Before Linux 5.9 there is no close_range, and a sandbox may refuse it with any errno.
    close_listed(kept)
}

/// Closes `first` to `last`; an empty range is closed already. False: errno says why.
pub(super) fn close_range(first: c_long, last: c_long, flags: c_uint) -> bool {
    let flags = flags as c_long;
    // SAFETY: integers only.
    first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } == 0
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
