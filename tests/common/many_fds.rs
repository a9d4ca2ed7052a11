//! A process with many open descriptors. For tests in a process of their own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::{IntoRawFd, OwnedFd};

use nix::libc;

use super::census::{Census, open_fds};
use super::files::flags_of;
use super::helper::helper;
use super::limits::set_soft_limit;
use super::trace::history;

/// Below this number everything is open in a process that has [`ManyFds`].
pub const MANY: i32 = 600;

/// Whether clones share the descriptor table where there is much in it.
pub const SHARES: bool =
    !cfg!(actix_process_force_no_shared_table) && !cfg!(actix_process_force_no_close_range);

/// All numbers below [`MANY`] are open, and so whatever is opened for a spawn is above.
#[derive(Debug)]
pub struct ManyFds {
    /// The low numbers that the first spawn has reserved, ascending.
    pub reserved: Vec<i32>,
}

impl ManyFds {
    /// Opens them for good, after a first spawn.
    pub async fn open() -> Self {
        let before = nulls();
        history(&helper(["exit"])).await;
        Census::quiet().await;
        let reserved: Vec<i32> = nulls().difference(&before).copied().collect();
        // Two sets of eight, and what each is filled with when it is free.
        assert_eq!(reserved.len(), if SHARES { 18 } else { 0 }, "{reserved:?}");
        fill();
        Self { reserved }
    }

    /// How many descriptors of children the reserved numbers hold.
    pub fn loaded(&self) -> usize {
        let targets = self.reserved.iter().map(|fd| format!("/proc/self/fd/{fd}"));
        targets
            .map(|link| fs::read_link(link).unwrap())
            .filter(|target| target.to_str() != Some("/dev/null"))
            .count()
    }
}

/// All descriptors of this process, what they are and their flags.
pub fn with_flags() -> Vec<(i32, String, (i32, i32))> {
    let fds = open_fds().into_iter();
    fds.map(|(fd, what)| (fd, what, flags_of(fd))).collect()
}

/// Opens all numbers below [`MANY`] for good, every second one without close-on-exec.
pub fn fill() {
    set_soft_limit(libc::RLIMIT_NOFILE, 4096);
    let mut last = 0;
    while last < MANY {
        let file = OwnedFd::from(File::open("/dev/zero").unwrap());
        last = file.into_raw_fd();
        if last % 2 == 0 {
            // SAFETY: integers.
            unsafe { libc::fcntl(last, libc::F_SETFD, 0) };
        }
    }
}

pub fn nulls() -> BTreeSet<i32> {
    let fds = open_fds().into_iter();
    fds.filter_map(|(fd, what)| (what == "/dev/null").then_some(fd))
        .collect()
}
