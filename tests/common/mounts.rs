//! Mounts of a test's own, for tests in a process of their own.

use nix::libc;
use nix::mount::{MsFlags, mount};

use super::isolated::{isolated, may_change_ids, skipped};

/// Gives this thread a mount namespace of its own. False where it may not. Call it before other threads
/// start: only what starts later is in the namespace as well.
pub fn own_mounts() -> bool {
    // SAFETY: integers.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let nothing = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).is_ok()
}

/// Runs `body` alone in a process that may change its mounts, as root.
pub fn isolated_with_mounts(body: impl FnOnce()) {
    if !may_change_ids() {
        return;
    }
    isolated(|| {
        if !own_mounts() {
            return skipped("no mount namespace can be made");
        }
        body();
    });
}
