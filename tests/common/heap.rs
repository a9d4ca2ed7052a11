//! How much of the heap is used, for tests that find what is not given back.

use nix::libc;

use super::isolated::isolated_with;

/// Runs `body` where the allocator keeps nothing that a thread has freed for that thread: [`heap`] would
/// count such blocks as used, some 200 KiB a thread.
pub fn isolated_for_heap(body: impl FnOnce()) {
    let uncached = |command: &mut std::process::Command| {
        command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    };
    isolated_with(uncached, body);
}

/// How many bytes of the heap are in use.
pub fn heap() -> usize {
    // SAFETY: it takes nothing and gives integers.
    let used = unsafe { libc::mallinfo2() };
    used.uordblks + used.hblkhd
}
