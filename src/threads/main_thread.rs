//! Whether a thread is like the process's main thread, as far as /proc tells of another.
//!
//! For threads of ours that serve the whole process. The state that a child gets is compared with more care: see
//! `sys/thread_state/mod.rs`.

use std::cell::Cell;
use std::fs;
use std::process;

/// Lines of `status`.
const STATUS: [&str; 12] = [
    "Uid:",
    "Gid:",
    "Groups:",
    "CapInh:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "NoNewPrivs:",
    "Seccomp:",
    "Seccomp_filters:",
    "Cpus_allowed:",
    "Mems_allowed:",
];

/// Fields of `stat` after the name: nice value, real-time priority, policy.
const STAT: [usize; 3] = [16, 37, 38];

thread_local! {
    /// The calling thread was compared with the main thread, and found to be unlike it.
    static IS_ODD: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is like the main thread. One that was found unlike it once is not compared again.
pub(super) fn is_like_us() -> bool {
    if IS_ODD.get() {
        return false;
    }
    let is_like_us = state_of("thread-self") == state_of(&format!("self/task/{}", process::id()));
    IS_ODD.set(!is_like_us);
    is_like_us
}

/// What cannot be read is missing.
fn state_of(thread: &str) -> Vec<String> {
    let read = |name| fs::read_to_string(format!("/proc/{thread}/{name}")).unwrap_or_default();
    let status = read("status");
    let lines = status.lines();
    let lines = lines.filter(|line| STATUS.iter().any(|name| line.starts_with(name)));
    let stat = read("stat");
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let fields: Vec<_> = fields.split(' ').collect();
    let fields = STAT.iter().filter_map(|index| fields.get(*index).copied());
    let links = ["root", "ns/mnt"].into_iter().filter_map(|name| {
        let link = fs::read_link(format!("/proc/{thread}/{name}")).ok()?;
        Some(link.to_string_lossy().into_owned())
    });
    lines
        .chain(fields)
        .map(str::to_owned)
        .chain(links)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_compared_can_be_read() {
        let state = state_of("thread-self");
        assert!(state.len() >= STAT.len() + 10, "{state:?}");
        assert_eq!(state, state_of(&format!("self/task/{}", process::id())));
    }
}
