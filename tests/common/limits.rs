//! Limits and identity of this process. For tests in a process of their own.

use nix::libc;

/// Sets the soft limit of `resource` (a `libc::RLIMIT_*`); gives what it and the hard one were.
pub fn set_soft_limit(resource: u32, soft: u64) -> (u64, u64) {
    let mut limits = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes one rlimit into a live local.
    assert_eq!(unsafe { libc::getrlimit(resource, &mut limits) }, 0);
    let before = (limits.rlim_cur, limits.rlim_max);
    limits.rlim_cur = soft.min(limits.rlim_max);
    // SAFETY: reads it.
    assert_eq!(unsafe { libc::setrlimit(resource, &limits) }, 0);
    before
}

pub fn is_root() -> bool {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() == 0 }
}

/// The largest resident set of this process so far, in bytes.
pub fn max_rss() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: writes one rusage into a live local; zeroes are valid too.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_maxrss as u64 * 1024
}
