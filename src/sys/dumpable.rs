//! Keeping this process dumpable while its children change their ids.
//!
//! A child that shares our memory and changes its ids makes that memory "not dumpable", and so us:
//! no core dumps, no debugger, and /proc/self belongs to root. The flag is put back after each
//! such clone.

use std::ffi::c_ulong;
use std::sync::Mutex;

use nix::libc;

use crate::sync::lock;

/// The clones under way that change ids, and the flag before the first of them.
static KEPT: Mutex<(usize, i32)> = Mutex::new((0, 0));

/// Puts the flag back when it drops.
#[derive(Debug)]
pub(super) struct Keep(());

impl Keep {
    pub(super) fn new() -> Self {
        let mut kept = lock(&KEPT);
        if kept.0 == 0 {
            // SAFETY: integers only.
            kept.1 = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) };
        }
        kept.0 += 1;
        Self(())
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        let mut kept = lock(&KEPT);
        kept.0 -= 1;
        // The kernel allows no other value than 0 and 1 to be set.
        if kept.1 == 1 {
            // SAFETY: integers only.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1 as c_ulong) };
        }
    }
}
