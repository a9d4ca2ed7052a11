//! The resource limits of this process.

use std::io;

use nix::libc;

use super::cvt;

/// The soft and the hard limit, by their number.
pub(crate) fn own_limits(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes one rlimit64 into the live local.
    cvt(unsafe { libc::getrlimit64(resource, &raw mut limit) }.into())?;
    Ok((limit.rlim_cur, limit.rlim_max))
}
