//! Whether the exec of a trampoline leaves the child all that the asker has, and gives it nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::OnceLock;

use nix::libc;

use crate::sys::caps::CapSets;

/// Whether a program that this thread executes has this thread's capabilities, no less and no more. That is so
/// for a thread of root without securebits, to which an exec gives what is in the bounding or the inheritable
/// set, if it has just these. What a thread has given up must not come back, not even up to `no_new_privs`.
pub(super) fn outlives_an_exec() -> bool {
    let root = nix::unistd::Uid::from_raw(0);
    let is_root =
        nix::unistd::getresuid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [root; 3]);
    // SAFETY: integers only.
    let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
    is_root
        && bits == 0
        && CapSets::of_this_thread().is_ok_and(|sets| {
            let after = bounding() | sets.inheritable;
            sets.permitted == after && sets.effective == after
        })
}

/// The bounding set.
fn bounding() -> u64 {
    let mut set = 0;
    for number in 0..64 {
        // SAFETY: integers only.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, number as libc::c_ulong) } {
            1 => set |= 1 << number,
            0 => {}
            // Past the last that this kernel knows.
            _ => break,
        }
    }
    set
}

/// Whether the next exec shall get a security module's label: the trampoline's would use it up.
/// Where nobody can tell it counts as so.
pub(super) fn next_exec_has_a_label() -> bool {
    static NO_MODULES: OnceLock<()> = OnceLock::new();
    if NO_MODULES.get().is_some() {
        return false;
    }
    match label("exec") {
        Ok(is_set) => is_set,
        Err(error) => {
            // A module without a label for the next exec says EINVAL, and no module as well.
            let is_none = says_none(&error);
            // The modules are settled when the kernel starts.
            if is_none && label("current").is_err_and(|error| says_none(&error)) {
                let _ = NO_MODULES.set(());
            }
            !is_none
        }
    }
}

/// Whether there is one.
fn label(which: &str) -> io::Result<bool> {
    let mut file = File::open(format!("/proc/thread-self/attr/{which}"))?;
    Ok(file.read(&mut [0; 1])? > 0)
}

fn says_none(error: &io::Error) -> bool {
    match error.kind() {
        // A kernel without security modules has no such file, in a /proc that is one.
        ErrorKind::NotFound => std::path::Path::new("/proc/thread-self/stat").exists(),
        kind => kind == ErrorKind::InvalidInput || error.raw_os_error() == Some(libc::EOPNOTSUPP),
    }
}
