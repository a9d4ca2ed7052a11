//! What security modules keep for each thread: labels, and Landlock domains.

use std::cell::Cell;
use std::ffi::c_long;
use std::sync::OnceLock;

use nix::libc;

use super::{KCMP_VM, call, kcmp};

thread_local! {
    /// No security module has labels.
    static NO_LABELS: Cell<bool> = const { Cell::new(false) };
}

/// The labels of security modules, now and at the next exec. The answer that there are none counts for this
/// thread alone: a system call filter may have given it.
pub(super) fn read_labels(state: &mut Vec<u64>) {
    const SYS_LSM_GET_SELF_ATTR: c_long = 459;
    const CURRENT_AND_AT_EXEC: [c_long; 2] = [100, 101];
    if NO_LABELS.try_with(Cell::get).unwrap_or(true) {
        return;
    }
    for attribute in CURRENT_AND_AT_EXEC {
        let mut labels = [0_u64; 512];
        let mut size = size_of_val(&labels) as u32;
        let address = labels.as_mut_ptr() as c_long;
        let args = [attribute, address, &raw mut size as c_long, 0, 0];
        let count = call(SYS_LSM_GET_SELF_ATTR, args);
        if attribute == 100 && count == -i64::from(libc::ENOSYS) {
            return read_labels_of_old(state);
        }
        // The modules are settled when the kernel starts.
        if attribute == 100 && count == -i64::from(libc::EOPNOTSUPP) {
            let _ = NO_LABELS.try_with(|none| none.set(true));
            return;
        }
        state.push(count as u64);
        if count > 0 {
            state.extend(labels.iter().take((size as usize).div_ceil(8)));
        }
    }
}

/// The same before Linux 6.8. Without a module that has labels the file cannot be read.
fn read_labels_of_old(state: &mut Vec<u64>) {
    for path in [
        "/proc/thread-self/attr/current",
        "/proc/thread-self/attr/exec",
    ] {
        match std::fs::read(path) {
            Ok(label) => {
                state.push(label.len() as u64);
                state.extend(label.iter().map(|byte| u64::from(*byte)));
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let _ = NO_LABELS.try_with(|none| none.set(true));
                return;
            }
            Err(error) => state.push(error.raw_os_error().map_or(u64::MAX, |errno| errno as u64)),
        }
    }
}

/// What the calling thread is told when it looks at our parent, so whether a Landlock domain is seen. A domain
/// cannot be read, but a thread in one may not look at a process outside of it, such as our parent, where it
/// might otherwise. `None`: there is no Landlock.
pub(super) fn look_at_parent() -> Option<i64> {
    if !has_landlock() {
        return None;
    }
    // SAFETY: no arguments.
    let parent = unsafe { libc::getppid() };
    Some(kcmp(parent, parent, KCMP_VM))
}

/// Whether a privileged thread is in a Landlock domain about files, where it may not look at our parent, as
/// `seen` says. (The first process of a PID namespace has no parent to look at.) A thread in such a domain may
/// not mount, and the kernel says so before it says that this mount has no type.
pub(super) fn may_not_mount(seen: Option<i64>) -> bool {
    if matches!(seen, None | Some(0)) {
        return false;
    }
    let root = c"/".as_ptr() as c_long;
    call(libc::SYS_mount, [0, root, 0, 0, 0]) == -i64::from(libc::EPERM)
}

/// Only a yes is kept: a system call filter may have said no, to one thread.
fn has_landlock() -> bool {
    static EXISTS: OnceLock<()> = OnceLock::new();
    const VERSION: c_long = 1;
    let exists = EXISTS.get().is_some()
        || call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0]) > 0;
    if exists {
        let _ = EXISTS.set(());
    }
    exists
}
