//! Mounts of a test's own, for tests in a process of their own.

use nix::libc;
use nix::mount::{MsFlags, mount};

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
